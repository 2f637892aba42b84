//! Grants and namespaces, as the watches showed them, and the admission of each resource.
//!
//! The index is synchronous. A change returns a walk, [`ResourceWalk`], through the resources that the change
//! may concern. [`Grants::next_resources`] returns these resources in portions, because a grant may concern
//! 10,000 resources. The caller passes each resource to [`Grants::judge`].

mod admission;
mod events;
mod resource_walk;
mod walk;
mod watched_objects;

pub use resource_walk::ResourceWalk;
use watched_objects::WatchedObjects;

use super::{
    claims::Claim,
    key::{Key, Name},
    small_set::SmallSet,
};
use crate::{
    api::{CognitoUserPoolGrant, ConditionType},
    core::{
        access::{
            authority::Authority,
            grant::{Admission, Grant, InvalidGrant, UngrantedPolicy},
            grant_index::GrantIndex,
        },
        names::{region::Regions, target::PoolId},
    },
};
use std::{
    borrow::Borrow,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    hash::Hash,
    sync::Arc,
};

/// The reason under which the gauges count a grant that this version can't read.
pub const UNDECODABLE: &str = "Undecodable";

/// The labels of a namespace.
pub type NamespaceLabels = BTreeMap<String, String>;

/// The grants, the namespaces, and the admission of each resource; see the module.
#[derive(Default)]
pub struct Grants {
    /// The policy for pools that no grant names. `None` if grants are turned off: then every resource is
    /// admitted by the operator's own identity.
    ungranted: Option<UngrantedPolicy>,
    /// The Regions in which the operator calls Cognito.
    regions: Regions,
    by_name: WatchedObjects<GrantEntry>,
    namespaces: WatchedObjects<NamespaceLabels>,
    /// The grants of each pool that a grant names.
    pools: HashMap<PoolId, GrantIndex<Name>>,
    /// Grants that this version can't read. Such a grant may name any pool.
    unreadable: BTreeSet<Name>,
    resources: HashMap<Key, AdmissionEntry>,
    of_pool: HashMap<PoolId, BTreeSet<Key>>,
    of_namespace: HashMap<Name, BTreeSet<Key>>,
    /// The number of resources that each grant admits, by the last judgement of each resource. A deleted
    /// grant keeps its entry until its resources are judged again.
    admitted_counts: HashMap<Name, usize>,
    /// The grants whose status may have to change.
    changed: BTreeSet<Name>,
    /// Whether a grant was deleted. The deletion may leave an authority that no grant names.
    has_deletion: bool,
}

/// The consequences of a complete list.
pub struct RelistChange {
    /// The objects that the list did not show. The caller deletes each of these objects.
    pub gone: Vec<Name>,
    /// The resources to judge.
    pub walk: ResourceWalk,
}

/// A grant that this version can read.
#[derive(Clone)]
pub struct GrantEntry {
    /// The object that the watch showed last.
    pub object: Arc<CognitoUserPoolGrant>,
    /// The parsed spec, or why the grant is invalid.
    pub grant: Result<Arc<Grant>, InvalidGrant>,
}

/// The claim of a resource, with the admission from its last judgement.
struct AdmissionEntry {
    claim: Claim,
    admission: Admission,
    /// The grants that admit the resource.
    by: SmallSet<Name>,
}

impl AdmissionEntry {
    const fn is_admitted(&self) -> bool {
        matches!(self.admission, Admission::Granted(_))
    }
}

impl Grants {
    /// An index with grants turned on. `ungranted` is the policy for pools that no grant names.
    #[must_use]
    pub fn new(ungranted: UngrantedPolicy) -> Self {
        Self {
            ungranted: Some(ungranted),
            ..Self::default()
        }
    }

    /// This index, restricted to calls in `regions`.
    #[must_use]
    pub fn within(self, regions: Regions) -> Self {
        Self { regions, ..self }
    }

    /// The number of entries of each collection, for the gauges.
    pub fn entries(&self) -> [(&'static str, usize); 4] {
        let index = self.pools.len()
            + self.unreadable.len()
            + self.of_pool.len()
            + self.of_namespace.len()
            + self.admitted_counts.len()
            + self.changed.len();
        [
            ("grants", self.by_name.known.len()),
            ("namespaces", self.namespaces.known.len()),
            ("granted", self.resources.len()),
            ("grant_index", index),
        ]
    }

    /// The reason in the status of each grant: empty without a status, [`UNDECODABLE`] for a grant that this
    /// version can't read.
    pub fn reasons(&self) -> impl Iterator<Item = &str> {
        let readable = self.by_name.known.values().map(|entry| {
            let status = entry.object.status.as_ref();
            let mut conditions = status.into_iter().flat_map(|status| &status.conditions);
            let ready = conditions.find(|it| it.type_ == ConditionType::Ready.as_str());
            ready.map_or("", |ready| &*ready.reason)
        });
        readable.chain(self.unreadable.iter().map(|_| UNDECODABLE))
    }

    /// The grant of this name, if this version can read the grant.
    #[must_use]
    pub fn grant(&self, name: &str) -> Option<&GrantEntry> {
        self.by_name.known.get(name)
    }

    /// The number of resources that the grant admits.
    #[must_use]
    pub fn admitted_count(&self, name: &str) -> usize {
        self.admitted_counts.get(name).copied().unwrap_or_default()
    }

    /// Whether the status of a grant may have to change, or a grant was deleted.
    #[must_use]
    pub fn have_changed(&self) -> bool {
        self.has_deletion || !self.changed.is_empty()
    }

    /// Takes the grants whose status may have to change, and resets [`have_changed`](Self::have_changed).
    pub fn take_changed(&mut self) -> BTreeSet<Name> {
        self.has_deletion = false;
        std::mem::take(&mut self.changed)
    }

    /// Marks the status of each grant that names `authority`: the state of the authority has changed.
    pub fn authority_changed(&mut self, authority: &Authority) {
        let naming = self.by_name.known.iter().filter(|(_, entry)| {
            let grant = entry.grant.as_ref();
            grant.is_ok_and(|grant| grant.authority == *authority)
        });
        self.changed.extend(naming.map(|(name, _)| name.clone()));
    }

    /// The authorities that valid grants name.
    #[must_use]
    pub fn authorities(&self) -> HashSet<Authority> {
        let grants = self.by_name.known.values();
        let readable = grants.filter_map(|entry| entry.grant.as_ref().ok());
        readable.map(|grant| grant.authority.clone()).collect()
    }

    /// The same claim. If the index knows the pool, the claim shares the allocation of the pool's id.
    #[must_use]
    pub fn sharing(&self, claim: Claim) -> Claim {
        match self.of_pool.get_key_value(&claim.target().pool) {
            Some((pool, _)) => claim.sharing(pool),
            None => claim,
        }
    }

    /// The resources whose claims name this pool, admitted or not.
    pub fn resources_of_pool(&self, pool: &PoolId) -> impl Iterator<Item = &Key> {
        self.of_pool.get(pool).into_iter().flatten()
    }

    /// Adds or updates a resource with its claim. Returns whether the resource is admitted.
    pub fn apply_resource(&mut self, resource: &Key, claim: Option<&Claim>) -> bool {
        let Some(claim) = claim else {
            self.delete_resource(resource);
            return false;
        };
        let known = self.resources.get(resource);
        if known.map(|it| it.claim.target()) != Some(claim.target()) {
            self.delete_resource(resource);
            let entry = AdmissionEntry {
                claim: claim.clone(),
                admission: Admission::Unknown,
                by: SmallSet::None,
            };
            self.resources.insert(resource.clone(), entry);
            let pool = claim.target().pool.clone();
            let of_pool = self.of_pool.entry(pool).or_default();
            of_pool.insert(resource.clone());
            let namespace = resource.namespace().into();
            let of_namespace = self.of_namespace.entry(namespace).or_default();
            of_namespace.insert(resource.clone());
            self.judge(resource);
        }
        self.is_admitted(resource)
    }

    /// Removes a resource.
    pub fn delete_resource(&mut self, resource: &Key) {
        let Some(entry) = self.resources.remove(resource) else {
            return;
        };
        self.count(&entry.by, &SmallSet::None);
        remove_from(&mut self.of_pool, &entry.claim.target().pool, resource);
        remove_from(&mut self.of_namespace, resource.namespace(), resource);
    }
}

/// Removes a value from the set of this key, and the set if the set is empty now.
fn remove_from<K, W, V, Q>(map: &mut HashMap<K, BTreeSet<V>>, key: &W, value: &Q)
where
    K: Eq + Hash + Borrow<W>,
    W: Eq + Hash + ?Sized,
    V: Ord + Borrow<Q>,
    Q: Ord + ?Sized,
{
    if let Some(values) = map.get_mut(key) {
        values.remove(value);
        if values.is_empty() {
            map.remove(key);
        }
    }
}

#[cfg(test)]
mod tests;
