//! Finds the resources that a change of a grant or namespace may concern, in portions. A grant may admit
//! three of the 50,000 resources of a pool, and all 50,000 must be checked to find the three.
//!
//! A walk remembers the last resource that the walk visited, not the resources that are left. So resources,
//! grants and namespaces may change between two portions. A new resource is judged when the resource is
//! added. A grant or namespace that changes again begins a walk of its own.

use crate::{
    controller::state::key::{Key, Name},
    core::{access::grant::Grant, names::target::PoolId},
};
use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

/// To judge one resource costs as much time as to check this many resources in a walk.
pub(super) const WALKED_FOR_ONE_JUDGED: usize = 16;

/// A walk through the resources that a change may concern; see the module.
#[derive(Default)]
#[must_use]
pub struct Concerned {
    /// The pools and namespaces whose resources are still to be visited.
    pub(super) among: VecDeque<Among>,
    /// The last visited resource of the first entry of `among`.
    pub(super) after: Option<Key>,
    /// If set, a resource is concerned only if one of these grants admits the resource. If `None`, every
    /// visited resource is concerned.
    pub(super) grants: Option<Vec<Arc<Grant>>>,
}

/// All resources of one pool or of one namespace.
pub(crate) enum Among {
    Pool(PoolId),
    Namespace(Name),
}

impl Concerned {
    /// A walk in which every resource of these pools and namespaces is concerned.
    pub(crate) fn all(among: impl IntoIterator<Item = Among>) -> Self {
        Self {
            among: among.into_iter().collect(),
            after: None,
            grants: None,
        }
    }

    /// A walk in which only the resources that one of `grants` admits are concerned.
    pub(crate) fn let_in_by(
        grants: Vec<Arc<Grant>>,
        among: impl IntoIterator<Item = Among>,
    ) -> Self {
        Self {
            grants: Some(grants),
            ..Self::all(among)
        }
    }

    /// Whether the walk has visited every resource.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.among.is_empty()
    }
}

/// The versions of a grant before and after a change.
#[derive(Default)]
pub(super) struct Change {
    /// The pools that the grant named before the change, or names now.
    pub(super) pools: BTreeSet<PoolId>,
    /// Whether the grant was unreadable before the change, so that it may have named any pool.
    pub(super) may_name_any: bool,
    /// The valid versions.
    pub(super) grants: Vec<Arc<Grant>>,
}
