//! Finding the resources that a change of a grant or namespace may concern, some at a time: of fifty
//! thousand residents of a pool a grant may let in three, and all are asked for that. A walk remembers
//! the last resource that it came to, not the resources that are left. So what comes or goes between two
//! portions does no harm: a resource that comes is judged then, and a grant or namespace that changes
//! again begins a walk of its own.

use crate::{
    controller::state::key::{Key, Name},
    core::{access::grant::Grant, names::target::PoolId},
};
use std::{collections::VecDeque, sync::Arc};

/// So many resources are walked past in the time that it takes to judge one.
pub(super) const WALKED_FOR_ONE_JUDGED: usize = 16;

/// A walk through the resources that a change may concern: see the module.
#[derive(Default)]
#[must_use]
pub struct Concerned {
    /// Whose resources are walked through yet.
    pub(super) among: VecDeque<Among>,
    /// The last resource, of the first of these, that the walk came to.
    pub(super) after: Option<Key>,
    /// Only resources that one of these lets in are concerned; without these, all are.
    pub(super) grants: Option<Vec<Arc<Grant>>>,
}

/// Resources that have something in common.
pub(crate) enum Among {
    Pool(PoolId),
    Namespace(Name),
}

impl Concerned {
    /// All of these.
    pub(crate) fn all(among: impl IntoIterator<Item = Among>) -> Self {
        Self {
            among: among.into_iter().collect(),
            after: None,
            grants: None,
        }
    }

    /// Of these whom one of the grants lets in.
    pub(crate) fn let_in_by(
        grants: Vec<Arc<Grant>>,
        among: impl IntoIterator<Item = Among>,
    ) -> Self {
        Self {
            grants: Some(grants),
            ..Self::all(among)
        }
    }

    /// Whether nobody is left.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.among.is_empty()
    }
}
