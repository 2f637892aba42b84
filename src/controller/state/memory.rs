//! What this process remembers of each resource beyond its status: hints that may be lost. The
//! store lags behind; without the own writes a reconcile would decide on a status that it has
//! replaced already.

use super::key::Key;
use crate::{
    api::CognitoUserPassword,
    core::protocol::{observation::DecisionBasis, outcome::Outcome, plan::Plan},
};
use kube::ResourceExt;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// See the module.
#[derive(Default)]
pub struct Memory {
    entries: Mutex<HashMap<Key, Box<Entry>>>,
}

#[derive(Default)]
struct Entry {
    uid: String,
    /// What the last own write returned, until the store shows it or something later.
    own: Option<Arc<CognitoUserPassword>>,
    tried: Option<Arc<DecisionBasis>>,
    pending_outcome: Option<Arc<PendingOutcome>>,
    /// Calls to the API server that failed in a row.
    api_failures: u32,
    healings: Healings,
    looked: bool,
}

/// What healed of what a resource waited for.
#[derive(Clone, Copy, Default)]
struct Healings {
    seen: u64,
    used: u64,
}

/// What came of a plan, while it could not be written down yet.
pub struct PendingOutcome {
    /// What was planned, and perhaps written ahead.
    pub plan: Plan,
    /// What came of the call; none when it was never made.
    pub outcome: Option<Outcome>,
}

/// What is remembered of one resource.
#[derive(Default)]
pub struct Recollection {
    /// See [`DecisionBasis`].
    pub tried: Option<Arc<DecisionBasis>>,
    /// An outcome to write down before anything else.
    pub pending_outcome: Option<Arc<PendingOutcome>>,
    /// What it waited for has healed: see [`crate::core::protocol::observation::Observation::healed`].
    pub healed: bool,
    /// Up to which healing that is, for [`Memory::acted`].
    pub healing: u64,
    /// Whether this process has come to a conclusion on it before.
    pub looked: bool,
}

impl Memory {
    /// The resource as it is known best: as the store shows it, or as the last own write returned
    /// it where that is later.
    #[must_use]
    pub fn freshest(&self, key: &Key, stored: CognitoUserPassword) -> Arc<CognitoUserPassword> {
        let mut entries = self.lock();
        let own = entries.get_mut(key).and_then(|entry| {
            entry.own.take_if(|own| !is_later(own, &stored));
            entry.own.clone()
        });
        own.unwrap_or_else(|| Arc::new(stored))
    }

    /// What is remembered of this resource, if it is still the same one.
    #[must_use]
    pub fn recall(&self, key: &Key, uid: &str) -> Recollection {
        let entries = self.lock();
        let Some(entry) = entries.get(key).filter(|entry| entry.uid == uid) else {
            return Recollection::default();
        };
        Recollection {
            tried: entry.tried.clone(),
            pending_outcome: entry.pending_outcome.clone(),
            healed: entry.healings.seen > entry.healings.used,
            healing: entry.healings.seen,
            looked: entry.looked,
        }
    }

    /// Remembers what a write or a read returned.
    pub fn wrote(&self, key: &Key, resource: Arc<CognitoUserPassword>) {
        let uid = resource.uid().unwrap_or_default();
        self.update(key, &uid, |entry| entry.own = Some(resource));
    }

    /// Remembers what was concluded on.
    pub fn concluded(&self, key: &Key, uid: &str, tried: DecisionBasis) {
        self.update(key, uid, |entry| entry.tried = Some(Arc::new(tried)));
    }

    /// Something was done about it. A wait that was over because something healed is used up, if
    /// that was known when the look began: what healed since is for the next look.
    pub fn acted(&self, key: &Key, uid: &str, healing: u64) {
        self.update(key, uid, |entry| {
            entry.looked = true;
            entry.healings.used = entry.healings.used.max(healing);
        });
    }

    /// From now on it may heal: that would be lost on what isn't remembered at all.
    pub fn expect_healing(&self, key: &Key, uid: &str) {
        self.update(key, uid, |_| {});
    }

    /// Remembers what came of a plan until it is recorded.
    pub fn pending_outcome(&self, key: &Key, uid: &str, pending_outcome: Arc<PendingOutcome>) {
        self.update(key, uid, |entry| {
            entry.pending_outcome = Some(pending_outcome);
        });
    }

    /// It is recorded.
    pub fn recorded(&self, key: &Key) {
        if let Some(entry) = self.lock().get_mut(key) {
            entry.pending_outcome = None;
        }
    }

    /// Counts a failed call to the API server; answers with how many there were in a row.
    #[must_use]
    pub fn api_failed(&self, key: &Key) -> u32 {
        let mut entries = self.lock();
        let entry = entries.entry(key.clone()).or_default();
        entry.api_failures = entry.api_failures.saturating_add(1);
        entry.api_failures
    }

    /// The API server did what it was asked.
    pub fn api_works(&self, key: &Key) {
        if let Some(entry) = self.lock().get_mut(key) {
            entry.api_failures = 0;
        }
    }

    /// Something that the resource waited for has healed.
    pub fn healed(&self, key: &Key) {
        if let Some(entry) = self.lock().get_mut(key) {
            entry.healings.seen += 1;
        }
    }

    /// What the last own write returned, if it is later than what the store shows.
    #[must_use]
    pub fn later_own(
        &self,
        key: &Key,
        stored: &CognitoUserPassword,
    ) -> Option<Arc<CognitoUserPassword>> {
        let entries = self.lock();
        let own = entries.get(key)?.own.as_ref()?;
        is_later(own, stored).then(|| own.clone())
    }

    /// Whether an outcome is still to be written down.
    #[must_use]
    pub fn has_pending_outcome(&self, key: &Key) -> bool {
        let entries = self.lock();
        entries
            .get(key)
            .is_some_and(|entry| entry.pending_outcome.is_some())
    }

    /// All is well with it, as far as its status and the watches tell: what is remembered beyond that
    /// says nothing any more.
    pub fn rest(&self, key: &Key) {
        let mut entries = self.lock();
        let is_needed = |entry: &Entry| entry.own.is_some() || entry.pending_outcome.is_some();
        if entries.get(key).is_some_and(|entry| !is_needed(entry)) {
            entries.remove(key);
        }
    }

    /// How many resources something is remembered of.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// The resource is gone.
    pub fn forget(&self, key: &Key) {
        self.lock().remove(key);
    }

    fn update<T>(&self, key: &Key, uid: &str, change: impl FnOnce(&mut Entry) -> T) -> T {
        let mut entries = self.lock();
        let entry = entries.entry(key.clone()).or_default();
        if entry.uid != uid {
            **entry = Entry {
                uid: uid.to_owned(),
                api_failures: entry.api_failures,
                ..Entry::default()
            };
        }
        change(entry)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Box<Entry>>> {
        // Nothing here panics half-way through a change.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an own write is later than what the store shows. A resourceVersion is a number that
/// grows (KEP-5504); where it isn't one, the store wins, and the fence catches what is stale.
fn is_later(own: &CognitoUserPassword, stored: &CognitoUserPassword) -> bool {
    let version = |resource: &CognitoUserPassword| resource.resource_version()?.parse::<u64>().ok();
    own.uid() == stored.uid()
        && match (version(own), version(stored)) {
            (Some(own), Some(stored)) => own > stored,
            (_, _) => false,
        }
}

#[cfg(test)]
mod tests {
    use super::{super::key::key, *};
    use crate::api::{CognitoUserPasswordSpec, PasswordSecretRef};

    fn resource(uid: &str, version: &str) -> CognitoUserPassword {
        let spec = CognitoUserPasswordSpec {
            user_pool_id: "eu-west-1_a".to_owned(),
            username: "bot".to_owned(),
            password_secret_ref: PasswordSecretRef {
                name: "secret".to_owned(),
                key: "password".to_owned(),
            },
            permanent: true,
            suspend: false,
        };
        let mut resource = CognitoUserPassword::new("bot", spec);
        resource.metadata.uid = Some(uid.to_owned());
        resource.metadata.resource_version = Some(version.to_owned());
        resource
    }

    fn freshest(own: (&str, &str), stored: (&str, &str)) -> Option<String> {
        let memory = Memory::default();
        memory.wrote(&key("bot"), Arc::new(resource(own.0, own.1)));
        memory
            .freshest(&key("bot"), resource(stored.0, stored.1))
            .resource_version()
    }

    #[test]
    fn own_writes_are_read_until_the_store_shows_them() {
        assert_eq!(freshest(("a", "10"), ("a", "9")).as_deref(), Some("10"));
        assert_eq!(freshest(("a", "10"), ("a", "11")).as_deref(), Some("11"));
        assert_eq!(
            freshest(("a", "10"), ("b", "9")).as_deref(),
            Some("9"),
            "recreated"
        );
        assert_eq!(
            freshest(("a", "x"), ("a", "9")).as_deref(),
            Some("9"),
            "not a number"
        );
    }

    #[test]
    fn what_heals_during_a_look_is_for_the_next_one() {
        let memory = Memory::default();
        let recall = || memory.recall(&key("bot"), "a");
        memory.expect_healing(&key("bot"), "a");
        memory.healed(&key("bot"));
        let began = recall();
        assert!(began.healed);
        memory.acted(&key("bot"), "a", began.healing);
        assert!(!recall().healed, "used up");
        memory.healed(&key("bot"));
        // The same look ends.
        memory.acted(&key("bot"), "a", began.healing);
        assert!(recall().healed);
        memory.acted(&key("bot"), "a", recall().healing);
        assert!(!recall().healed);
    }

    #[test]
    fn a_recreated_resource_inherits_no_memory() {
        let memory = Memory::default();
        let tried = DecisionBasis {
            generation: 1,
            requested_at: None,
            secret: None,
            fingerprint: None,
        };
        memory.concluded(&key("bot"), "a", tried);
        assert!(memory.recall(&key("bot"), "a").tried.is_some());
        assert!(memory.recall(&key("bot"), "b").tried.is_none());
        memory.forget(&key("bot"));
        assert!(memory.recall(&key("bot"), "a").tried.is_none());
    }
}
