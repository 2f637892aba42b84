//! The index of what the watches showed: Secrets with their versions, the resources that reference each
//! Secret, and the claims for each user.
//!
//! The index is synchronous. Each event is a method call, and the call returns the affected resources: the
//! resources to decide on again. A complete relist removes the objects that the list did not show.

mod events;

use super::{
    claims::{Claim, Claims},
    compact_record::{CompactRecord, Interner, Text, sent},
    grants::Grants,
    health::Health,
    key::Key,
    listing::Listing,
    small_set::SmallSet,
};
use crate::{
    api::{CognitoUserPassword, Drift},
    cluster::watch::{Scope, WatchKind},
    core::{
        access::grant::{Admission, UngrantedPolicy},
        names::{
            region::Regions,
            target::{PoolId, Target},
        },
        protocol::observation::SecretVersion,
    },
};
use jiff::Timestamp;
use std::{
    collections::{HashMap, HashSet},
    time::Instant,
};

/// Secrets, resources, claims and grants, as the watches showed them; see the module.
#[derive(Default)]
pub struct Index {
    secrets: HashMap<Key, Secret>,
    resources: HashMap<Key, Resource>,
    /// Resources that this version can't read. An unreadable resource keeps the claim for its user and is
    /// never reconciled.
    unreadable: HashSet<Key>,
    claims: Claims,
    grants: Grants,
    scopes: HashMap<Scope, Listings>,
    /// The drift of resources that don't say.
    drift: Drift,
    /// The watches whose first list is still missing. While the set has an entry, no resource is decided
    /// on. A watch of resources leaves the set when the list is complete, or when the watch is known to be
    /// broken. The watches of grants and namespaces leave the set only when their list is complete.
    awaited: HashSet<(Scope, WatchKind)>,
    interner: Interner,
}

struct Resource {
    packed: CompactRecord,
    secret: Key,
}

/// A Secret that exists, or that at least one resource references.
#[derive(Default)]
struct Secret {
    watched: Option<WatchedVersion>,
    resources: SmallSet<Key>,
}

struct WatchedVersion {
    version: Version,
    /// When the watch reported this version. `None` if the version comes from the first list.
    since: Option<Instant>,
}

/// The uid and resourceVersion of a Secret.
type Version = (Text, Text);

#[derive(Default)]
struct Listings {
    resources: Listing<Key>,
    secrets: Listing<Key>,
}

impl Index {
    /// An index with grants turned on. `ungranted` is the policy for pools that no grant names.
    #[must_use]
    pub fn with_grants(ungranted: UngrantedPolicy) -> Self {
        Self {
            grants: Grants::new(ungranted),
            ..Self::default()
        }
    }

    /// This index, restricted to calls in `regions`.
    #[must_use]
    pub fn within(self, regions: Regions) -> Self {
        Self {
            grants: self.grants.within(regions),
            ..self
        }
    }

    /// This index, with the drift of resources that don't say.
    #[must_use]
    pub fn looking(self, drift: Drift) -> Self {
        Self { drift, ..self }
    }

    /// The pools with at least one user that the operator looks at.
    pub fn pools_looked_at(&self) -> impl Iterator<Item = &PoolId> {
        self.claims.pools_looked_at()
    }

    /// The resources whose users in this pool the operator looks at.
    #[must_use]
    pub fn looked_at(&self, pool: &PoolId) -> Vec<Key> {
        let of_pool = self.grants.resources_of_pool(pool);
        let looked_at = of_pool.filter(|key| self.claims.is_looked_at(key));
        looked_at.cloned().collect()
    }

    /// Whether the resource may manage this user, and by which authority.
    #[must_use]
    pub fn admission(&self, resource: &Key, target: &Target, now: Instant) -> Admission {
        self.grants.admission(resource, target, now)
    }

    /// The grants and namespaces.
    #[must_use]
    pub fn grants(&mut self) -> &mut Grants {
        &mut self.grants
    }

    /// Judges the resource again after a change of grants or namespaces. Returns the affected resources:
    /// the resource itself if its admission changed, and the claimants of its user if the manager changed.
    pub fn judge(&mut self, resource: &Key) -> Vec<Key> {
        let mut affected = Vec::new();
        if self.grants.judge(resource) {
            affected.push(resource.clone());
            let admitted = self.grants.is_admitted(resource);
            affected.extend(self.claims.admit(resource, admitted));
        }
        affected
    }

    /// Some of the resources whose message may name a former manager of their user: see
    /// [`Claims::take_stale`].
    pub fn take_stale(&mut self, max: usize) -> Vec<Key> {
        self.claims.take_stale(max)
    }

    /// Whether [`take_stale`](Self::take_stale) would return resources.
    #[must_use]
    pub fn has_stale(&self) -> bool {
        self.claims.has_stale()
    }

    /// Whether resources and Secrets were listed in this scope. Before both lists, a Secret that the index
    /// does not know may still exist.
    #[must_use]
    pub fn is_listed(&self, scope: &Scope) -> bool {
        self.scopes
            .get(scope)
            .is_some_and(|listings| listings.resources.complete && listings.secrets.complete)
    }

    /// Sets the watches that must be listed, or known to be broken, before any resource is decided on.
    pub fn await_all(&mut self, watches: impl Iterator<Item = (Scope, WatchKind)>) {
        self.awaited = watches.collect();
    }

    /// No longer waits for this watch: the watch is listed, or the list fails for now. Returns whether this
    /// was the last watch to wait for.
    pub fn stop_awaiting(&mut self, scope: &Scope, watched: WatchKind) -> bool {
        self.awaited.remove(&(scope.clone(), watched)) && self.awaited.is_empty()
    }

    /// Whether a watch is still waited for.
    #[must_use]
    pub fn awaits_any(&self) -> bool {
        !self.awaited.is_empty()
    }

    /// Whether enough has been listed to decide on this resource.
    #[must_use]
    pub fn may_reconcile(&self, resource: &Key) -> bool {
        !self.awaits_any() && self.is_listed_for(resource)
    }

    /// Whether resources and Secrets were listed in the scope of this resource.
    fn is_listed_for(&self, resource: &Key) -> bool {
        let namespace = Scope::Namespace(resource.namespace().to_owned());
        self.is_listed(&Scope::All) || self.is_listed(&namespace)
    }

    /// The older resource that manages the user, or `None` if `resource` manages the user itself.
    #[must_use]
    pub fn older(&self, resource: &Key, claim: &Claim) -> Option<&Key> {
        self.claims.older(resource, claim)
    }

    /// When a rival last set the same user's password, or tried to: see [`Claims::rival_at`].
    #[must_use]
    pub fn rival_at(&self, resource: &Key, claim: &Claim, now: Timestamp) -> Option<Timestamp> {
        self.claims.rival_at(resource, claim, now)
    }

    /// Takes the times of sets from the last own write of a resource: the watch lags behind the operator's
    /// writes.
    pub fn wrote(&mut self, resource: &CognitoUserPassword) {
        self.claims.acted(&Key::of(resource), sent(resource));
    }

    /// The user that a resource claims, if the resource is known.
    #[must_use]
    pub fn target(&self, resource: &Key) -> Option<Target> {
        self.claims.target(resource).cloned()
    }

    /// The last version of a Secret that the watch showed.
    #[must_use]
    pub fn secret(&self, key: &Key) -> Option<SecretVersion> {
        let (uid, version) = &self.secrets.get(key)?.watched.as_ref()?.version;
        Some(SecretVersion {
            uid: self.interner.string(uid),
            resource_version: self.interner.string(version),
        })
    }

    /// When the watch reported this version of a Secret. `None` if the watch shows another version by now,
    /// or if the version comes from the first list.
    #[must_use]
    pub fn changed_at(&self, key: &Key, resource_version: &str) -> Option<Instant> {
        let watched = self.secrets.get(key)?.watched.as_ref()?;
        (watched.version.1 == Text::of(resource_version)).then_some(watched.since)?
    }

    /// The readable resources of a scope.
    #[must_use]
    pub fn resources_in(&self, scope: &Scope) -> Vec<Key> {
        self.resources
            .keys()
            .filter(|key| contains(scope, key))
            .cloned()
            .collect()
    }

    /// All readable resources.
    #[must_use]
    pub fn resources(&self) -> Vec<Key> {
        self.resources.keys().cloned().collect()
    }

    /// The resource as the watch last showed the resource.
    #[must_use]
    pub fn resource(&self, key: &Key) -> Option<CognitoUserPassword> {
        let resource = self.resources.get(key)?;
        #[cfg(test)]
        crate::controller::panic_tests::panic_at("unpack", key);
        let Resource { packed, secret } = resource;
        Some(packed.resource(key, secret, &self.interner))
    }

    /// Whether the watch shows this resource, and this version can read the resource.
    #[must_use]
    pub fn has_resource(&self, key: &Key) -> bool {
        self.resources.contains_key(key)
    }

    /// The health of each resource, for the gauges.
    pub fn health(&self) -> impl Iterator<Item = Health> {
        self.resources
            .values()
            .map(|resource| resource.packed.health)
    }

    /// The reason of the Ready condition of each grant, for the gauges: see [`Grants::reasons`].
    pub fn grant_reasons(&self) -> impl Iterator<Item = &str> {
        self.grants.reasons()
    }

    /// The number of entries of each collection, for the gauges.
    pub fn entries(&self) -> impl Iterator<Item = (&'static str, usize)> {
        [
            ("resources", self.resources.len() + self.unreadable.len()),
            ("secrets", self.secrets.len()),
        ]
        .into_iter()
        .chain(self.claims.entries())
        .chain(self.grants.entries())
    }
}

fn contains(scope: &Scope, key: &Key) -> bool {
    match scope {
        Scope::All => true,
        Scope::Namespace(namespace) => key.namespace() == namespace,
    }
}

#[cfg(test)]
mod tests;
