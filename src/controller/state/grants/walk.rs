//! Which resources a change of grants or namespaces may concern.

use super::{
    Grants,
    resource_walk::{GrantChange, ResourceGroup, ResourceWalk, WALKED_FOR_ONE_JUDGED},
};
use crate::{
    controller::state::key::Key,
    core::access::grant::{Grant, Namespace, UngrantedPolicy},
};
use std::{
    collections::BTreeSet,
    ops::Bound,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

impl Grants {
    /// The next resources to judge, at most `max`. Each call makes at least one step of the walk. A portion
    /// may be empty before the walk is done.
    pub fn next_resources(&self, walk: &mut ResourceWalk, max: usize) -> Vec<Key> {
        let most = max * WALKED_FOR_ONE_JUDGED;
        let mut found = Vec::new();
        let mut cost = 0;
        let ResourceWalk {
            groups,
            after,
            grants,
        } = walk;
        while let Some(group) = groups.front() {
            let members = match group {
                ResourceGroup::Pool(pool) => self.of_pool.get(pool),
                ResourceGroup::Namespace(name) => self.of_namespace.get(name),
            };
            let begin = after.take().map_or(Bound::Unbounded, Bound::Excluded);
            let range = (begin, Bound::Unbounded);
            for key in members.into_iter().flat_map(|all| all.range(range.clone())) {
                cost += 1;
                let is_concerned = || self.is_concerned(key, grants.as_deref());
                // After a panic, return the resource: judging the resource panics again, and then the panic
                // is reported.
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
            groups.pop_front();
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
        grants.iter().any(|grant| grant.admits(target, namespace))
    }

    /// The resources that a change may concern. Of 10,000 resources in a pool, these are only the resources
    /// that the grant admitted before the change or admits now.
    pub(super) fn walk_after(&self, change: GrantChange) -> ResourceWalk {
        if !self.is_listed() {
            return ResourceWalk::default();
        }
        if self.ungranted == Some(UngrantedPolicy::Allow) {
            // A pool that no grant names is open to all. So a change of whether any grant names the pool
            // concerns every resource of the pool. An unreadable grant may name any pool.
            return if change.may_name_any || !self.unreadable.is_empty() {
                self.whole_walk()
            } else {
                ResourceWalk::all(change.pools.into_iter().map(ResourceGroup::Pool))
            };
        }
        let grants = change.grants;
        let names: Option<Vec<_>> = grants.iter().map(|it| it.only_names()).collect();
        let groups: Vec<_> = if let Some(names) = names {
            let names: BTreeSet<&String> = names.into_iter().flatten().collect();
            names
                .into_iter()
                .filter_map(|name| self.of_namespace.get_key_value(name.as_str()))
                .map(|(name, _)| ResourceGroup::Namespace(name.clone()))
                .collect()
        } else {
            let pools: BTreeSet<_> = grants.iter().map(|grant| &grant.pool).collect();
            pools
                .into_iter()
                .cloned()
                .map(ResourceGroup::Pool)
                .collect()
        };
        ResourceWalk::admitted_by(grants, groups)
    }

    pub(super) fn whole_walk(&self) -> ResourceWalk {
        ResourceWalk::all(
            self.of_namespace
                .keys()
                .cloned()
                .map(ResourceGroup::Namespace),
        )
    }
}
