//! Finding the resources that a change of a grant or namespace may concern, some at a time: of fifty
//! thousand residents of a pool a grant may let in three, and all are asked for that. A walk remembers
//! the last resource that it came to, not the resources that are left. So what comes or goes between two
//! portions does no harm: a resource that comes is judged then, and a grant or namespace that changes
//! again begins a walk of its own.

use super::{Grants, Name};
use crate::{
    controller::key::Key,
    core::{
        grant::{Grant, Namespace},
        target::PoolId,
    },
};
use std::{
    collections::VecDeque,
    ops::Bound,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

/// So many resources are walked past in the time that it takes to judge one.
const WALKED_FOR_ONE_JUDGED: usize = 16;

/// A walk through the resources that a change may concern: see the module.
#[derive(Default)]
#[must_use]
pub struct Concerned {
    /// Whose resources are walked through yet.
    among: VecDeque<Among>,
    /// The last resource, of the first of these, that the walk came to.
    after: Option<Key>,
    /// Only resources that one of these lets in are concerned; without these, all are.
    grants: Option<Vec<Arc<Grant>>>,
}

/// Resources that have something in common.
pub(super) enum Among {
    Pool(PoolId),
    Namespace(Name),
}

impl Concerned {
    /// All of these.
    pub(super) fn all(among: impl IntoIterator<Item = Among>) -> Self {
        Self {
            among: among.into_iter().collect(),
            after: None,
            grants: None,
        }
    }

    /// Of these whom one of the grants lets in.
    pub(super) fn let_in_by(
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

impl Grants {
    /// The next resources to judge: at most `max`, and at least one step of the walk. None may be found
    /// in a portion although the walk isn't done.
    pub fn next_concerned(&self, concerned: &mut Concerned, max: usize) -> Vec<Key> {
        let most = max * WALKED_FOR_ONE_JUDGED;
        let mut found = Vec::new();
        let mut cost = 0;
        let Concerned {
            among,
            after,
            grants,
        } = concerned;
        while let Some(those) = among.front() {
            let residents = match those {
                Among::Pool(pool) => self.of_pool.get(pool),
                Among::Namespace(name) => self.of_namespace.get(name),
            };
            let begin = after.take().map_or(Bound::Unbounded, Bound::Excluded);
            let range = (begin, Bound::Unbounded);
            for key in residents
                .into_iter()
                .flat_map(|all| all.range(range.clone()))
            {
                cost += 1;
                let is_concerned = || self.is_concerned(key, grants.as_deref());
                // After a panic, judging that resource panics by itself, and says so.
                if catch_unwind(AssertUnwindSafe(is_concerned)).unwrap_or(true) {
                    found.push(key.clone());
                    cost += WALKED_FOR_ONE_JUDGED - 1;
                }
                if cost >= most {
                    *after = Some(key.clone());
                    return found;
                }
            }
            cost += 1;
            among.pop_front();
        }
        found
    }

    fn is_concerned(&self, key: &Key, grants: Option<&[Arc<Grant>]>) -> bool {
        #[cfg(test)]
        crate::controller::panic_tests::panic_at("concerned", key);
        let Some(grants) = grants else {
            return true;
        };
        let target = self.resources.get(key).map(|it| it.claim.target());
        let labels = self.namespaces.known.get(key.namespace());
        let (Some(target), Some(labels)) = (target, labels) else {
            return false;
        };
        let namespace = Namespace {
            name: key.namespace(),
            labels,
        };
        grants.iter().any(|grant| grant.lets_in(target, namespace))
    }
}
