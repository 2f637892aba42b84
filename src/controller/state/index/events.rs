//! The events of the watches of resources and Secrets. An event returns the affected resources.

use super::{Index, Resource, WatchedVersion, contains};
use crate::{
    api::{CognitoUserPassword, CognitoUserPasswordSpec, Drift, FederatedUser, PasswordSecretRef},
    cluster::watch::{Scope, lean_object::DecodeError},
    controller::state::{
        claims::Claim,
        compact_record::{CompactRecord, Text, sent},
        key::Key,
        listing::Sweep,
    },
    core::protocol::observation::SecretVersion,
};
use std::time::Instant;

impl Index {
    /// Adds or updates a resource. Returns the affected resources:
    ///
    /// - the resource itself, if the watch shows a new version;
    /// - the claimants of its user, if the manager changed;
    /// - the resources of `Claims::affected_by_call`, if the resource set its user's password, or tried to.
    pub fn apply_resource(&mut self, scope: &Scope, resource: &CognitoUserPassword) -> Vec<Key> {
        let key = Key::of(resource);
        let listing = &mut self.scopes.entry(scope.clone()).or_default().resources;
        listing.show(&key);
        self.unreadable.remove(&key);
        #[cfg(test)]
        crate::controller::panic_tests::panic_at("index", &key);
        let packed = CompactRecord::of(resource, &self.interner);
        let secret = Key::of_secret(resource);
        let known = self.resources.get(&key);
        if known.is_some_and(|known| known.packed == packed && known.secret == secret) {
            return Vec::new();
        }
        let before = known.map(|known| known.packed.sent());
        let did = sent(resource) != before.unwrap_or_default();
        let claim = Claim::of(resource).map(|claim| self.grants.sharing(claim));
        let admitted = self.grants.apply_resource(&key, claim.as_ref());
        #[cfg(test)]
        crate::controller::panic_tests::panic_at("index, half-way", &key);
        let mut affected = self.claims.apply(&key, claim.clone(), admitted);
        self.claims.look_at(&key, self.is_to_look_at(resource));
        self.claims.acted(&key, sent(resource));
        if let Some(claim) = claim.filter(|_| did) {
            // A younger resource may set the user before the younger resource learns of an older one, so
            // the older one must decide again. Other status changes wake no rival: a thousand resources for
            // one user would wake one another a thousand times.
            affected.extend(self.claims.affected_by_call(&key, &claim).cloned());
        }
        self.link(&key, &secret, packed);
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
        self.claims.look_at(resource, false);
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
            .watched
            .as_ref()
            .is_some_and(|watched| watched.version == version)
        {
            return Vec::new();
        }
        known.watched = Some(WatchedVersion { version, since });
        known.resources.iter().cloned().collect()
    }

    /// Removes a Secret. Returns the resources that reference the Secret.
    pub fn delete_secret(&mut self, secret: &Key) -> Vec<Key> {
        #[cfg(test)]
        crate::controller::panic_tests::panic_at("remove secret", secret);
        let Some(known) = self.secrets.get_mut(secret) else {
            return Vec::new();
        };
        if known.watched.take().is_none() {
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
        let watched = self.secrets.iter().filter(|(_, it)| it.watched.is_some());
        let known = watched.map(|(key, _)| key);
        listing.finish(known.filter(|key| contains(scope, key)))
    }

    /// Whether the operator looks at the user of this resource, as far as the spec says.
    fn is_to_look_at(&self, resource: &CognitoUserPassword) -> bool {
        let drift = resource.spec.drift.unwrap_or(self.drift);
        let is_deleted = resource.metadata.deletion_timestamp.is_some();
        drift != Drift::Ignore && !resource.spec.suspend && !is_deleted
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
            if referenced.resources.is_empty() && referenced.watched.is_none() {
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
            drift: None,
            federated_user: FederatedUser::Refuse,
            revoke_sessions: false,
        },
        status: None,
    })
}
