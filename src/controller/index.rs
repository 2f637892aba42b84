//! What the watches showed: which Secrets there are, in which version, which resources reference
//! them, and which claim the same user. A synchronous index: it is told events and answers with the resources to look
//! at. It follows relists, so that what is gone is forgotten.

use super::{
    claims::{Claim, Claims},
    grants::Grants,
    key::Key,
    listing::Listing,
};
use crate::{
    cluster::watch::Scope,
    core::{
        grant::{Admission, Ungranted},
        observed::SecretVersion,
        target::Target,
    },
};
use std::{
    collections::{BTreeSet, HashMap},
    time::Instant,
};

/// See the module.
#[derive(Default)]
pub struct Index {
    secrets: HashMap<Key, Seen>,
    /// Secret -> resources.
    references: HashMap<Key, BTreeSet<Key>>,
    /// Resource -> Secret.
    resources: HashMap<Key, Key>,
    claims: Claims,
    grants: Grants,
    scopes: HashMap<Scope, Listings>,
}

struct Seen {
    version: SecretVersion,
    /// When the watch told of this version; none for what a first list showed.
    since: Option<Instant>,
}

#[derive(Default)]
struct Listings {
    resources: Listing<Key>,
    secrets: Listing<Key>,
}

/// What a complete list of resources tells.
#[derive(Default, PartialEq, Eq, Debug)]
pub struct Relisted {
    /// The resources that are gone.
    pub gone: Vec<Key>,
    /// The resources to look at, because one that is gone managed their user.
    pub affected: Vec<Key>,
}

impl Index {
    /// With grants, and what holds where there is none.
    #[must_use]
    pub fn with_grants(ungranted: Ungranted) -> Self {
        Self {
            grants: Grants::new(ungranted),
            ..Self::default()
        }
    }

    /// Whether a resource in this namespace may manage this user.
    #[must_use]
    pub fn admission(&self, target: &Target, namespace: &str, now: Instant) -> Admission {
        self.grants.admission(target, namespace, now)
    }

    /// What is known of the grants.
    #[must_use]
    pub fn grants(&mut self) -> &mut Grants {
        &mut self.grants
    }

    /// The grants or the namespaces change. Answers with the resources to look at: those for whom
    /// something else follows, and those whose user is managed by another one now.
    pub fn regrant(&mut self, change: impl FnOnce(&mut Grants) -> Vec<Key>) -> Vec<Key> {
        let mut affected = change(&mut self.grants);
        for key in affected.clone() {
            let admitted = self.grants.is_admitted(&key);
            affected.extend(self.claims.admit(&key, admitted));
        }
        affected
    }

    /// Whether both kinds were listed in this scope: before that, an absent Secret means nothing.
    #[must_use]
    pub fn is_listed(&self, scope: &Scope) -> bool {
        self.scopes
            .get(scope)
            .is_some_and(|listings| listings.resources.complete && listings.secrets.complete)
    }

    /// Whether both kinds were listed where this resource is.
    #[must_use]
    pub fn is_listed_for(&self, resource: &Key) -> bool {
        let namespace = Scope::Namespace(resource.namespace.clone());
        self.is_listed(&Scope::All) || self.is_listed(&namespace)
    }

    /// The resource that manages the user instead of this one, if it isn't this one itself.
    #[must_use]
    pub fn older(&self, resource: &Key, claim: &Claim) -> Option<&Key> {
        self.claims.older(resource, claim)
    }

    /// Who must know of what this resource did.
    #[must_use]
    pub fn concerned(&self, resource: &Key, claim: &Claim) -> Vec<Key> {
        self.claims.concerned(resource, claim).cloned().collect()
    }

    /// The other resources for the same user.
    #[must_use]
    pub fn rivals(&self, resource: &Key, claim: &Claim) -> Vec<Key> {
        self.claims.rivals(resource, claim).cloned().collect()
    }

    /// The version in which a Secret was last seen.
    #[must_use]
    pub fn secret(&self, key: &Key) -> Option<&SecretVersion> {
        self.secrets.get(key).map(|seen| &seen.version)
    }

    /// When the watch told of this version of a Secret, if it was told of as a change.
    #[must_use]
    pub fn changed_at(&self, key: &Key, resource_version: &str) -> Option<Instant> {
        let seen = self.secrets.get(key)?;
        (seen.version.resource_version == resource_version).then_some(seen.since)?
    }

    /// The resources of a scope.
    #[must_use]
    pub fn resources_in(&self, scope: &Scope) -> Vec<Key> {
        self.resources
            .keys()
            .filter(|key| contains(scope, key))
            .cloned()
            .collect()
    }

    /// All resources.
    #[must_use]
    pub fn resources(&self) -> Vec<Key> {
        self.resources.keys().cloned().collect()
    }

    /// How many entries there are: resources, Secrets.
    #[cfg(test)]
    fn len(&self) -> (usize, usize) {
        (self.resources.len(), self.secrets.len())
    }

    /// A resource is there, references this Secret and makes this claim. Answers with the other
    /// resources to look at, because their user is managed by another one now.
    pub fn apply_resource(
        &mut self,
        scope: &Scope,
        resource: Key,
        secret: Key,
        claim: Option<Claim>,
    ) -> Vec<Key> {
        let listing = &mut self.scopes.entry(scope.clone()).or_default().resources;
        listing.show(&resource);
        let target = claim.as_ref().map(Claim::target);
        let admitted = self.grants.apply_resource(&resource, target);
        let affected = self.claims.apply(&resource, claim, admitted);
        if self.resources.get(&resource) != Some(&secret) {
            self.unlink(&resource);
            self.references
                .entry(secret.clone())
                .or_default()
                .insert(resource.clone());
            self.resources.insert(resource, secret);
        }
        affected
    }

    /// A resource is gone. Answers with the resources to look at, as
    /// [`apply_resource`](Self::apply_resource) does.
    pub fn delete_resource(&mut self, resource: &Key) -> Vec<Key> {
        self.unlink(resource);
        self.grants.delete_resource(resource);
        self.claims.remove(resource)
    }

    /// A Secret is there in this version. Answers with the resources to look at: none when this
    /// version was known.
    pub fn apply_secret(
        &mut self,
        scope: &Scope,
        secret: Key,
        version: SecretVersion,
        now: Instant,
    ) -> Vec<Key> {
        let listing = &mut self.scopes.entry(scope.clone()).or_default().secrets;
        listing.show(&secret);
        let since = listing.complete.then_some(now);
        if self
            .secrets
            .get(&secret)
            .is_some_and(|seen| seen.version == version)
        {
            return Vec::new();
        }
        let affected = self.referencing(&secret);
        self.secrets.insert(secret, Seen { version, since });
        affected
    }

    /// A Secret is gone. Answers with the resources to look at.
    pub fn delete_secret(&mut self, secret: &Key) -> Vec<Key> {
        match self.secrets.remove(secret) {
            Some(_) => self.referencing(secret),
            None => Vec::new(),
        }
    }

    /// A list of the resources of a scope begins.
    pub fn resources_listing(&mut self, scope: &Scope) {
        self.scopes
            .entry(scope.clone())
            .or_default()
            .resources
            .begin();
    }

    /// A list of the Secrets of a scope begins.
    pub fn secrets_listing(&mut self, scope: &Scope) {
        self.scopes
            .entry(scope.clone())
            .or_default()
            .secrets
            .begin();
    }

    /// The list of resources is complete.
    pub fn resources_listed(&mut self, scope: &Scope) -> Relisted {
        let listing = &mut self.scopes.entry(scope.clone()).or_default().resources;
        let gone = listing.finish(self.resources.keys().filter(|key| contains(scope, key)));
        let affected = gone
            .iter()
            .flat_map(|resource| self.delete_resource(resource));
        Relisted {
            affected: affected.collect(),
            gone,
        }
    }

    /// The list of Secrets is complete. Answers with the resources whose Secret is gone.
    pub fn secrets_listed(&mut self, scope: &Scope) -> Vec<Key> {
        let listing = &mut self.scopes.entry(scope.clone()).or_default().secrets;
        let gone = listing.finish(self.secrets.keys().filter(|key| contains(scope, key)));
        gone.iter()
            .flat_map(|secret| self.delete_secret(secret))
            .collect()
    }

    fn referencing(&self, secret: &Key) -> Vec<Key> {
        self.references
            .get(secret)
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    }

    fn unlink(&mut self, resource: &Key) {
        let Some(secret) = self.resources.remove(resource) else {
            return;
        };
        if let Some(resources) = self.references.get_mut(&secret) {
            resources.remove(resource);
            if resources.is_empty() {
                self.references.remove(&secret);
            }
        }
    }
}

fn contains(scope: &Scope, key: &Key) -> bool {
    match scope {
        Scope::All => true,
        Scope::Namespace(namespace) => key.namespace == *namespace,
    }
}

#[cfg(test)]
mod tests {
    use super::super::key::key;
    use super::*;
    use proptest::prelude::*;

    fn version(resource_version: u32) -> SecretVersion {
        SecretVersion {
            uid: "uid".to_owned(),
            resource_version: resource_version.to_string(),
        }
    }

    #[test]
    fn two_resources_on_one_secret_are_both_followed() {
        let mut index = Index::default();
        index.apply_resource(&Scope::All, key("one"), key("secret"), None);
        index.apply_resource(&Scope::All, key("two"), key("secret"), None);
        let now = Instant::now();
        let affected = index.apply_secret(&Scope::All, key("secret"), version(1), now);
        assert_eq!(affected, [key("one"), key("two")]);
        let again = index.apply_secret(&Scope::All, key("secret"), version(1), now);
        assert_eq!(again, [], "a version that was known");
    }

    #[test]
    fn a_resource_that_moved_to_another_secret_is_followed_there_only() {
        let mut index = Index::default();
        index.apply_resource(&Scope::All, key("one"), key("old"), None);
        index.apply_resource(&Scope::All, key("one"), key("new"), None);
        let now = Instant::now();
        assert_eq!(
            index.apply_secret(&Scope::All, key("old"), version(1), now),
            []
        );
        assert_eq!(
            index.apply_secret(&Scope::All, key("new"), version(1), now),
            [key("one")]
        );
    }

    #[test]
    fn what_a_relist_does_not_show_is_gone() {
        let mut index = Index::default();
        let scope = Scope::Namespace("team-a".to_owned());
        let other = Scope::Namespace("team-b".to_owned());
        index.apply_resource(&scope, key("one"), key("secret"), None);
        index.apply_secret(&scope, key("secret"), version(1), Instant::now());
        let elsewhere = Key {
            namespace: "team-b".to_owned(),
            name: "secret".to_owned(),
        };
        index.apply_secret(&other, elsewhere.clone(), version(1), Instant::now());
        index.secrets_listing(&scope);
        assert_eq!(index.secrets_listed(&scope), [key("one")]);
        assert_eq!(index.secret(&key("secret")), None);
        assert!(
            index.secret(&elsewhere).is_some(),
            "another scope's list says nothing of it"
        );
        index.resources_listing(&scope);
        assert_eq!(index.resources_listed(&scope).gone, [key("one")]);
        assert_eq!(index.len(), (0, 1));
        assert!(index.is_listed(&scope) && !index.is_listed(&other));
    }

    #[test]
    fn only_a_change_after_the_first_list_has_a_time() {
        let mut index = Index::default();
        let now = Instant::now();
        index.secrets_listing(&Scope::All);
        index.apply_secret(&Scope::All, key("secret"), version(1), now);
        index.secrets_listed(&Scope::All);
        assert_eq!(index.changed_at(&key("secret"), "1"), None);
        index.apply_secret(&Scope::All, key("secret"), version(2), now);
        assert_eq!(index.changed_at(&key("secret"), "2"), Some(now));
        assert_eq!(index.changed_at(&key("secret"), "1"), None);
    }

    proptest! {
        #[test]
        fn nothing_is_left_behind(moves in proptest::collection::vec((0_u8..5, 0_u8..3), 0..40)) {
            let mut index = Index::default();
            for (resource, secret) in &moves {
                index.apply_resource(&Scope::All, key(&format!("r{resource}")), key(&format!("s{secret}")), None);
            }
            for (resource, _) in &moves {
                index.delete_resource(&key(&format!("r{resource}")));
            }
            prop_assert_eq!(index.len(), (0, 0));
            prop_assert!(index.references.is_empty());
        }
    }
}
