//! The index of what the watches showed: Secrets with their versions, the resources that reference each
//! Secret, and the claims for each user.
//!
//! The index is synchronous. Each event is a method call, and the call returns the affected resources: the
//! resources to decide on again. A complete relist removes the objects that the list did not show.

use super::{
    claims::{Claim, Claims},
    compact_record::{CompactRecord, Interner, Text, sent},
    grants::Grants,
    key::Key,
    listing::{Listing, Sweep},
    small_set::SmallSet,
};
use crate::{
    api::{CognitoUserPassword, CognitoUserPasswordSpec, PasswordSecretRef, Reason},
    cluster::watch::{Scope, WatchKind, lean_object::DecodeError},
    core::{
        access::grant::{Admission, UngrantedPolicy},
        names::{region::Regions, target::Target},
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
    /// The watches whose first list is still missing. While the set has an entry, no resource is decided
    /// on. A watch of resources leaves the set when the list is complete, or when the watch is known to be
    /// broken. The watches of grants and namespaces leave the set only when their list is complete.
    awaited: HashSet<(Scope, WatchKind)>,
    words: Interner,
}

struct Resource {
    packed: CompactRecord,
    secret: Key,
}

/// A Secret that exists, or that at least one resource references.
#[derive(Default)]
struct Secret {
    seen: Option<SeenSecret>,
    resources: SmallSet<Key>,
}

struct SeenSecret {
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
    pub fn may_look_at(&self, resource: &Key) -> bool {
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

    /// The last version of a Secret that the watch showed.
    #[must_use]
    pub fn secret(&self, key: &Key) -> Option<SecretVersion> {
        let (uid, version) = &self.secrets.get(key)?.seen.as_ref()?.version;
        Some(SecretVersion {
            uid: self.words.string(uid),
            resource_version: self.words.string(version),
        })
    }

    /// When the watch reported this version of a Secret. `None` if the watch shows another version by now,
    /// or if the version comes from the first list.
    #[must_use]
    pub fn changed_at(&self, key: &Key, resource_version: &str) -> Option<Instant> {
        let seen = self.secrets.get(key)?.seen.as_ref()?;
        (seen.version.1 == Text::of(resource_version)).then_some(seen.since)?
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
        Some(resource.packed.resource(&self.words))
    }

    /// Whether the watch shows this resource, and this version can read the resource.
    #[must_use]
    pub fn has_resource(&self, key: &Key) -> bool {
        self.resources.contains_key(key)
    }

    /// The reason in each resource's status, for the gauges.
    pub fn reasons(&self) -> impl Iterator<Item = Option<Reason>> {
        self.resources
            .values()
            .map(|resource| resource.packed.reason)
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

    /// Adds or updates a resource. Returns the affected resources:
    ///
    /// - the resource itself, if the watch shows a new version;
    /// - the claimants of its user, if the manager changed;
    /// - the resources of [`Claims::concerned`], if the resource set its user's password, or tried to.
    pub fn apply_resource(&mut self, scope: &Scope, resource: &CognitoUserPassword) -> Vec<Key> {
        let key = Key::of(resource);
        let listing = &mut self.scopes.entry(scope.clone()).or_default().resources;
        listing.show(&key);
        self.unreadable.remove(&key);
        #[cfg(test)]
        crate::controller::panic_tests::panic_at("index", &key);
        let packed = CompactRecord::of(resource, &self.words);
        let known = self.resources.get(&key);
        if known.is_some_and(|known| known.packed == packed) {
            return Vec::new();
        }
        let before = known.map(|known| known.packed.sent());
        let did = sent(resource) != before.unwrap_or_default();
        let claim = Claim::of(resource).map(|claim| self.grants.sharing(claim));
        let admitted = self.grants.apply_resource(&key, claim.as_ref());
        #[cfg(test)]
        crate::controller::panic_tests::panic_at("index, half-way", &key);
        let mut affected = self.claims.apply(&key, claim.clone(), admitted);
        self.claims.acted(&key, sent(resource));
        if let Some(claim) = claim.filter(|_| did) {
            // A younger resource may set the user before the younger resource learns of an older one, so
            // the older one must decide again. Other status changes wake no rival: a thousand resources for
            // one user would wake one another a thousand times.
            affected.extend(self.claims.concerned(&key, &claim).cloned());
        }
        self.link(&key, &Key::of_secret(resource), packed);
        affected.push(key);
        affected
    }

    /// Adds or updates a resource that this version can't read. The resource keeps its claim, because its
    /// record may hold a set or an attempt that this version can't see. Returns the claimants of its user
    /// if the manager changed, and never the resource itself.
    pub fn apply_unreadable(
        &mut self,
        scope: &Scope,
        resource: &Key,
        unreadable: &DecodeError,
    ) -> Vec<Key> {
        self.keep_claim(scope, resource, || claim_of(unreadable))
    }

    /// Keeps only the claim of a readable resource. The event handler calls this when indexing the whole
    /// resource has panicked.
    pub fn apply_claim_only(&mut self, scope: &Scope, resource: &CognitoUserPassword) -> Vec<Key> {
        self.keep_claim(scope, &Key::of(resource), || Claim::of(resource))
    }

    fn keep_claim(
        &mut self,
        scope: &Scope,
        resource: &Key,
        claim: impl FnOnce() -> Option<Claim>,
    ) -> Vec<Key> {
        let listing = &mut self.scopes.entry(scope.clone()).or_default().resources;
        listing.show(resource);
        if let Some(Resource { secret, .. }) = self.resources.remove(resource) {
            self.unlink(resource, &secret);
        }
        self.unreadable.insert(resource.clone());
        #[cfg(test)]
        crate::controller::panic_tests::panic_at("keep claim", resource);
        let claim = claim().map(|claim| self.grants.sharing(claim));
        let admitted = self.grants.apply_resource(resource, claim.as_ref());
        self.claims.apply(resource, claim, admitted)
    }

    /// Removes a resource. Returns the claimants of its user if the resource managed the user.
    pub fn delete_resource(&mut self, resource: &Key) -> Vec<Key> {
        let affected = self.claims.remove(resource);
        #[cfg(test)]
        crate::controller::panic_tests::panic_at("remove", resource);
        self.grants.delete_resource(resource);
        if let Some(secret) = self.resources.get(resource).map(|it| it.secret.clone()) {
            self.unlink(resource, &secret);
        }
        // Last: if a line above panics, the next relist still finds the resource here and removes it again.
        self.resources.remove(resource);
        self.unreadable.remove(resource);
        affected
    }

    /// Adds or updates a Secret. Returns the resources that reference the Secret, or none if the version
    /// was known already.
    pub fn apply_secret(
        &mut self,
        scope: &Scope,
        secret: Key,
        version: &SecretVersion,
        now: Instant,
    ) -> Vec<Key> {
        let listing = &mut self.scopes.entry(scope.clone()).or_default().secrets;
        listing.show(&secret);
        #[cfg(test)]
        crate::controller::panic_tests::panic_at("secret", &secret);
        let since = listing.complete.then_some(now);
        let version = (Text::of(&version.uid), Text::of(&version.resource_version));
        let known = self.secrets.entry(secret).or_default();
        if known
            .seen
            .as_ref()
            .is_some_and(|seen| seen.version == version)
        {
            return Vec::new();
        }
        known.seen = Some(SeenSecret { version, since });
        known.resources.iter().cloned().collect()
    }

    /// Removes a Secret. Returns the resources that reference the Secret.
    pub fn delete_secret(&mut self, secret: &Key) -> Vec<Key> {
        #[cfg(test)]
        crate::controller::panic_tests::panic_at("remove secret", secret);
        let Some(known) = self.secrets.get_mut(secret) else {
            return Vec::new();
        };
        if known.seen.take().is_none() {
            return Vec::new();
        }
        let affected: Vec<_> = known.resources.iter().cloned().collect();
        if affected.is_empty() {
            self.secrets.remove(secret);
        }
        affected
    }

    /// Begins a list of the resources of a scope.
    pub fn resources_listing(&mut self, scope: &Scope) {
        self.scopes
            .entry(scope.clone())
            .or_default()
            .resources
            .begin();
    }

    /// Begins a list of the Secrets of a scope.
    pub fn secrets_listing(&mut self, scope: &Scope) {
        self.scopes
            .entry(scope.clone())
            .or_default()
            .secrets
            .begin();
    }

    /// Completes the list of resources. The caller deletes each resource that the [`Sweep`] yields as gone.
    pub fn resources_listed(&mut self, scope: &Scope) -> Sweep<Key> {
        let listing = &mut self.scopes.entry(scope.clone()).or_default().resources;
        let known = self.resources.keys().chain(&self.unreadable);
        listing.finish(known.filter(|key| contains(scope, key)))
    }

    /// Completes the list of Secrets. The caller deletes each Secret that the [`Sweep`] yields as gone.
    pub fn secrets_listed(&mut self, scope: &Scope) -> Sweep<Key> {
        let listing = &mut self.scopes.entry(scope.clone()).or_default().secrets;
        let seen = self.secrets.iter().filter(|(_, it)| it.seen.is_some());
        let known = seen.map(|(key, _)| key);
        listing.finish(known.filter(|key| contains(scope, key)))
    }

    fn link(&mut self, resource: &Key, secret: &Key, packed: CompactRecord) {
        if let Some(known) = self.resources.get_mut(resource) {
            if known.secret == *secret {
                known.packed = packed;
                return;
            }
            let before = known.secret.clone();
            self.unlink(resource, &before);
        }
        // Clone the key that the map already has, so that all resources of a Secret share one allocation.
        let known = self.secrets.get_key_value(secret);
        let secret = known.map_or(secret, |(key, _)| key).clone();
        let referenced = self.secrets.entry(secret.clone()).or_default();
        referenced.resources.insert(resource.clone());
        self.resources
            .insert(resource.clone(), Resource { packed, secret });
    }

    fn unlink(&mut self, resource: &Key, secret: &Key) {
        if let Some(referenced) = self.secrets.get_mut(secret) {
            referenced.resources.remove(resource);
            if referenced.resources.is_empty() && referenced.seen.is_none() {
                self.secrets.remove(secret);
            }
        }
    }
}

/// The claim of an unreadable resource, or `None` if pool and username can't be read either.
fn claim_of(unreadable: &DecodeError) -> Option<Claim> {
    let user = unreadable.user.clone()?;
    // The other fields are placeholders: a claim needs only metadata, pool and username.
    Claim::of(&CognitoUserPassword {
        metadata: unreadable.metadata.clone(),
        spec: CognitoUserPasswordSpec {
            user_pool_id: user.user_pool_id,
            username: user.username,
            password_secret_ref: PasswordSecretRef {
                name: String::new(),
                key: String::new(),
            },
            permanent: true,
            suspend: true,
        },
        status: None,
    })
}

fn contains(scope: &Scope, key: &Key) -> bool {
    match scope {
        Scope::All => true,
        Scope::Namespace(namespace) => key.namespace() == namespace,
    }
}

#[cfg(test)]
mod tests {
    use super::{super::key::key, *};
    use crate::cluster::watch::lean_object::UserRef;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use proptest::prelude::*;

    /// A resource in `team-a`. Its user has the same name as the resource.
    fn resource(name: &str, secret: &str) -> CognitoUserPassword {
        let spec = CognitoUserPasswordSpec {
            user_pool_id: "eu-west-1_a".to_owned(),
            username: name.to_owned(),
            password_secret_ref: PasswordSecretRef {
                name: secret.to_owned(),
                key: "password".to_owned(),
            },
            permanent: true,
            suspend: false,
        };
        let mut resource = CognitoUserPassword::new(name, spec);
        resource.metadata.namespace = Some("team-a".to_owned());
        resource
    }

    fn version(resource_version: u32) -> SecretVersion {
        SecretVersion {
            uid: "uid".to_owned(),
            resource_version: resource_version.to_string(),
        }
    }

    /// The collections that have entries, with their sizes.
    fn held(index: &Index) -> Vec<(&'static str, usize)> {
        index
            .entries()
            .filter(|(_, entries)| *entries > 0)
            .collect()
    }

    fn resources_gone(index: &mut Index, scope: &Scope) -> Vec<Key> {
        index.resources_listed(scope).flatten().collect()
    }

    #[test]
    fn two_resources_on_one_secret_are_both_followed() {
        let mut index = Index::default();
        index.apply_resource(&Scope::All, &resource("one", "secret"));
        index.apply_resource(&Scope::All, &resource("two", "secret"));
        let now = Instant::now();
        let affected = index.apply_secret(&Scope::All, key("secret"), &version(1), now);
        assert_eq!(affected, [key("one"), key("two")]);
        let again = index.apply_secret(&Scope::All, key("secret"), &version(1), now);
        assert_eq!(again, [], "a version that was known");
    }

    #[test]
    fn a_resource_that_moved_to_another_secret_is_followed_there_only() {
        let mut index = Index::default();
        index.apply_resource(&Scope::All, &resource("one", "old"));
        index.apply_resource(&Scope::All, &resource("one", "new"));
        let now = Instant::now();
        assert_eq!(
            index.apply_secret(&Scope::All, key("old"), &version(1), now),
            []
        );
        assert_eq!(
            index.apply_secret(&Scope::All, key("new"), &version(1), now),
            [key("one")]
        );
    }

    #[test]
    fn what_a_relist_does_not_show_is_gone() {
        let mut index = Index::default();
        let scope = Scope::Namespace("team-a".to_owned());
        let other = Scope::Namespace("team-b".to_owned());
        index.apply_resource(&scope, &resource("one", "secret"));
        index.apply_secret(&scope, key("secret"), &version(1), Instant::now());
        let elsewhere = Key::new("team-b", "secret");
        index.apply_secret(&other, elsewhere.clone(), &version(1), Instant::now());
        index.secrets_listing(&scope);
        let gone: Vec<_> = index.secrets_listed(&scope).flatten().collect();
        assert_eq!(gone, [key("secret")]);
        assert_eq!(index.delete_secret(&key("secret")), [key("one")]);
        assert_eq!(index.secret(&key("secret")), None);
        assert!(
            index.secret(&elsewhere).is_some(),
            "another scope's list says nothing of it"
        );
        index.resources_listing(&scope);
        assert_eq!(resources_gone(&mut index, &scope), [key("one")]);
        index.delete_resource(&key("one"));
        assert_eq!(held(&index), [("secrets", 1)]);
        assert!(index.is_listed(&scope) && !index.is_listed(&other));
    }

    /// A resource for the user `bot`, created at that second. Its uid is its name.
    fn claimant(name: &str, created: i64) -> CognitoUserPassword {
        let mut resource = resource(name, name);
        resource.spec.username = "bot".to_owned();
        let created = Timestamp::from_second(created).expect("a time");
        resource.metadata.creation_timestamp = Some(Time(created));
        resource.metadata.uid = Some(name.to_owned());
        resource
    }

    /// The error of a version of the operator that can't read the resource.
    fn unreadable(resource: &CognitoUserPassword) -> DecodeError {
        DecodeError {
            error: String::new(),
            metadata: resource.metadata.clone(),
            user: Some(UserRef {
                user_pool_id: resource.spec.user_pool_id.clone(),
                username: resource.spec.username.clone(),
            }),
        }
    }

    #[test]
    fn a_resource_that_cannot_be_read_keeps_its_place_and_nothing_is_done_for_it() {
        let mut index = Index::default();
        let scope = Scope::All;
        let (old, young) = (claimant("old", 1), claimant("young", 2));
        let claim = Claim::of(&young).expect("a user");
        let manager = |index: &Index| index.older(&key("young"), &claim).cloned();
        index.apply_resource(&scope, &young);
        let illegible = unreadable(&old);
        // The first event already shows an unreadable resource.
        let affected = index.apply_unreadable(&scope, &key("old"), &illegible);
        assert_eq!(affected, [key("young")]);
        assert_eq!(manager(&index), Some(key("old")));
        assert!(!index.has_resource(&key("old")) && index.resources() == [key("young")]);
        // The resource becomes readable, and then unreadable again. The manager stays the same.
        assert_eq!(index.apply_resource(&scope, &old), [key("old")]);
        assert!(index.has_resource(&key("old")));
        assert_eq!(index.apply_unreadable(&scope, &key("old"), &illegible), []);
        assert_eq!(manager(&index), Some(key("old")));
        // A list that shows the unreadable resource keeps the claim. A list without the resource removes
        // the claim.
        index.resources_listing(&scope);
        index.apply_resource(&scope, &young);
        index.apply_unreadable(&scope, &key("old"), &illegible);
        assert_eq!(resources_gone(&mut index, &scope), []);
        index.resources_listing(&scope);
        index.apply_resource(&scope, &young);
        assert_eq!(resources_gone(&mut index, &scope), [key("old")]);
        assert_eq!(index.delete_resource(&key("old")), [key("young")]);
        assert_eq!(manager(&index), None);
        index.delete_resource(&key("young"));
        assert_eq!(held(&index), []);
    }

    #[test]
    fn only_a_change_after_the_first_list_has_a_time() {
        let mut index = Index::default();
        let now = Instant::now();
        index.secrets_listing(&Scope::All);
        index.apply_secret(&Scope::All, key("secret"), &version(1), now);
        let _: Vec<_> = index.secrets_listed(&Scope::All).collect();
        assert_eq!(index.changed_at(&key("secret"), "1"), None);
        index.apply_secret(&Scope::All, key("secret"), &version(2), now);
        assert_eq!(index.changed_at(&key("secret"), "2"), Some(now));
        assert_eq!(index.changed_at(&key("secret"), "1"), None);
    }

    proptest! {
        #[test]
        fn nothing_is_left_behind(moves in proptest::collection::vec((0_u8..5, 0_u8..3), 0..40)) {
            let mut index = Index::default();
            for (number, secret) in &moves {
                index.apply_resource(&Scope::All, &resource(&format!("r{number}"), &format!("s{secret}")));
            }
            for (number, _) in &moves {
                index.delete_resource(&key(&format!("r{number}")));
            }
            prop_assert_eq!(held(&index), []);
        }
    }
}
