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
pub struct ResourceWalk {
    /// The pools and namespaces whose resources are still to be visited.
    pub(super) groups: VecDeque<ResourceGroup>,
    /// The last visited resource of the first entry of `groups`.
    pub(super) after: Option<Key>,
    /// If set, a resource is concerned only if one of these grants admits the resource. If `None`, every
    /// visited resource is concerned.
    pub(super) grants: Option<Vec<Arc<Grant>>>,
}

/// All resources of one pool or of one namespace.
pub(crate) enum ResourceGroup {
    Pool(PoolId),
    Namespace(Name),
}

impl ResourceWalk {
    /// A walk in which every resource of these pools and namespaces is concerned.
    pub(crate) fn all(groups: impl IntoIterator<Item = ResourceGroup>) -> Self {
        Self {
            groups: groups.into_iter().collect(),
            after: None,
            grants: None,
        }
    }

    /// A walk in which only the resources that one of `grants` admits are concerned.
    pub(crate) fn admitted_by(
        grants: Vec<Arc<Grant>>,
        groups: impl IntoIterator<Item = ResourceGroup>,
    ) -> Self {
        Self {
            grants: Some(grants),
            ..Self::all(groups)
        }
    }

    /// Whether the walk has visited every resource.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.groups.is_empty()
    }
}

/// The versions of a grant before and after a change.
#[derive(Default)]
pub(super) struct GrantChange {
    /// The pools that the grant named before the change, or names now.
    pub(super) pools: BTreeSet<PoolId>,
    /// Whether the grant was unreadable before the change, so that it may have named any pool.
    pub(super) may_name_any: bool,
    /// The valid versions.
    pub(super) grants: Vec<Arc<Grant>>,
}
