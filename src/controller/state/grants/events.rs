//! The events of the watches of grants and namespaces. An event returns the resources to judge.

use super::{
    GrantEntry, Grants, NamespaceLabels, RelistChange,
    resource_walk::{GrantChange, ResourceGroup, ResourceWalk},
    watched_objects::WatchedObjects,
};
#[cfg(test)]
use crate::controller::state::key::Key;
use crate::{
    api::CognitoUserPoolGrant,
    controller::state::key::Name,
    core::{access::grant::Grant, names::target::PoolId},
};
use std::{sync::Arc, time::Instant};

impl Grants {
    /// Adds or updates a grant. Returns the resources to judge.
    pub fn apply_grant(&mut self, name: &str, object: Arc<CognitoUserPoolGrant>) -> ResourceWalk {
        self.by_name.listing.show(&name.into());
        if object.metadata.deletion_timestamp.is_some() {
            // A finalizer keeps the object alive, but a grant that is being deleted admits no resource.
            return self.delete_grant(name);
        }
        if let Some(entry) = self.by_name.known.get_mut(name) {
            let same = entry.object.spec == object.spec
                && entry.object.metadata.uid == object.metadata.uid;
            if same {
                // Only status or metadata changed, so the status may have to be written again.
                entry.object = object;
                self.changed.insert(name.into());
                return ResourceWalk::default();
            }
        }
        let grant = Grant::parse(&object.spec)
            .and_then(|grant| grant.within(self.regions))
            .map(Arc::new);
        let mut change = self.forget_grant(name);
        #[cfg(test)]
        crate::controller::panic_tests::panic_at("grant", &Key::new("", name));
        change.grants.extend(grant.clone());
        // A grant that is otherwise invalid still names its pool.
        match PoolId::parse(&object.spec.user_pool_id) {
            Ok(pool) => {
                let naming = self.pools.entry(pool.clone()).or_default();
                naming.insert(name.into(), grant.clone().ok());
                change.pools.insert(pool);
            }
            Err(_) => {
                self.unreadable.insert(name.into());
            }
        }
        let entry = GrantEntry { object, grant };
        self.by_name.known.insert(name.into(), entry);
        self.changed.insert(name.into());
        self.walk_after(change)
    }

    /// Adds or updates a grant that this version can't read. Returns the resources to judge.
    pub fn unreadable_grant(&mut self, name: &str) -> ResourceWalk {
        let change = self.forget_grant(name);
        self.by_name.listing.show(&name.into());
        self.unreadable.insert(name.into());
        self.walk_after(change)
    }

    /// Repairs the index after a change of this grant panicked half-way. The grant admits no resource from
    /// now on. A grant that still exists (`is_there`) counts as unreadable. Returns every resource to be
    /// judged, because the index can't tell which resources the grant admitted.
    pub fn panicking_grant(&mut self, name: &str, is_there: bool) -> ResourceWalk {
        self.by_name.known.remove(name);
        self.changed.remove(name);
        self.has_deletion = true;
        self.pools.clear();
        for (name, entry) in &self.by_name.known {
            if let Ok(pool) = PoolId::parse(&entry.object.spec.user_pool_id) {
                let naming = self.pools.entry(pool).or_default();
                naming.insert(name.clone(), entry.grant.clone().ok());
            }
        }
        if is_there {
            self.by_name.listing.show(&name.into());
            self.unreadable.insert(name.into());
        } else {
            self.unreadable.remove(name);
        }
        self.whole_walk()
    }

    /// Removes a grant. Returns the resources to judge.
    pub fn delete_grant(&mut self, name: &str) -> ResourceWalk {
        let change = self.forget_grant(name);
        self.changed.remove(name);
        self.has_deletion = true;
        self.walk_after(change)
    }

    fn forget_grant(&mut self, name: &str) -> GrantChange {
        let mut change = GrantChange::default();
        if let Some(entry) = self.by_name.known.remove(name) {
            #[cfg(test)]
            crate::controller::panic_tests::panic_at("forget grant", &Key::new("", name));
            change.grants.extend(entry.grant);
            if let Ok(pool) = PoolId::parse(&entry.object.spec.user_pool_id) {
                if let Some(naming) = self.pools.get_mut(&pool) {
                    naming.remove(&name.into());
                    if naming.is_empty() {
                        self.pools.remove(&pool);
                    }
                }
                change.pools.insert(pool);
            }
        }
        change.may_name_any = self.unreadable.remove(name);
        change
    }

    /// Adds or updates a namespace with its labels. Returns the resources to judge.
    pub fn apply_namespace(&mut self, name: &str, labels: NamespaceLabels) -> ResourceWalk {
        self.namespaces.listing.show(&name.into());
        #[cfg(test)]
        crate::controller::panic_tests::panic_at("namespace", &Key::new("", name));
        if self.namespaces.known.get(name) == Some(&labels) {
            return ResourceWalk::default();
        }
        self.namespaces.known.insert(name.into(), labels);
        ResourceWalk::all([ResourceGroup::Namespace(name.into())])
    }

    /// Removes a namespace. Returns the resources to judge.
    pub fn delete_namespace(&mut self, name: &str) -> ResourceWalk {
        self.namespaces.known.remove(name);
        ResourceWalk::all([ResourceGroup::Namespace(name.into())])
    }

    /// Begins a list of the grants.
    pub fn grants_listing(&mut self) {
        self.by_name.listing.begin();
    }

    /// Completes the list of the grants.
    pub fn grants_listed(&mut self) -> RelistChange {
        let WatchedObjects { known, listing, .. } = &mut self.by_name;
        let first = !listing.complete;
        let gone = listing.finish(known.keys().chain(&self.unreadable));
        self.relisted(gone.flatten().collect(), first)
    }

    /// Begins a list of the namespaces.
    pub fn namespaces_listing(&mut self) {
        self.namespaces.listing.begin();
    }

    /// Completes the list of the namespaces.
    pub fn namespaces_listed(&mut self) -> RelistChange {
        let WatchedObjects { known, listing, .. } = &mut self.namespaces;
        let first = !listing.complete;
        let gone = listing.finish(known.keys());
        self.relisted(gone.flatten().collect(), first)
    }

    /// The consequences of a complete list. No resource is judged before both lists are complete. So the
    /// first complete pair of lists concerns every resource.
    fn relisted(&self, gone: Vec<Name>, first: bool) -> RelistChange {
        let walk = if first && self.is_listed() {
            self.whole_walk()
        } else {
            ResourceWalk::default()
        };
        RelistChange { gone, walk }
    }

    pub(super) fn is_listed(&self) -> bool {
        self.by_name.listing.complete && self.namespaces.listing.complete
    }

    /// Treats the known grants as possibly out of date until this time: no resource is admitted. `None`
    /// ends the doubt.
    pub fn doubt_grants(&mut self, until: Option<Instant>) {
        self.by_name.doubtful_until = until;
    }

    /// Treats the known namespaces in the same way.
    pub fn doubt_namespaces(&mut self, until: Option<Instant>) {
        self.namespaces.doubtful_until = until;
    }
}
