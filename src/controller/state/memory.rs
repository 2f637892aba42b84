//! What this process remembers of each resource beyond the resource's status. All of this may get lost: a
//! restart forgets everything.
//!
//! The memory includes the last own write of each resource. The watch lags behind own writes. Without the
//! memory, a reconcile would decide on a status that the operator has already replaced.

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

/// One entry for each resource of which there is something to remember; see the module.
#[derive(Default)]
pub struct Memory {
    entries: Mutex<HashMap<Key, Box<Entry>>>,
}

#[derive(Default)]
struct Entry {
    uid: String,
    /// What the last own write returned, until the watch shows the same version or a later one.
    own: Option<Arc<CognitoUserPassword>>,
    tried: Option<Arc<DecisionBasis>>,
    pending_outcome: Option<Arc<PendingOutcome>>,
    /// Consecutive failures: failed calls to the API server, and panics.
    api_failures: u32,
    recoveries: Recoveries,
    has_acted: bool,
}

/// Counts how often a cause of failure went away for a resource, without any watch event: for example, the
/// credentials work again.
#[derive(Clone, Copy, Default)]
struct Recoveries {
    seen: u64,
    used: u64,
}

/// The result of a plan that the API server has not taken yet.
pub struct PendingOutcome {
    /// The plan. Its attempt may be in the status already.
    pub plan: Plan,
    /// The outcome of the call, or `None` if no call was made.
    pub outcome: Option<Outcome>,
}

/// What the memory knows of one resource.
#[derive(Default)]
pub struct Recollection {
    /// What the last conclusion of this process was based on.
    pub tried: Option<Arc<DecisionBasis>>,
    /// A pending outcome, which must be recorded before any other work on the resource.
    pub pending_outcome: Option<Arc<PendingOutcome>>,
    /// Whether the cause of the last failure went away since the last reconcile: see
    /// [`crate::core::protocol::observation::Observation::recovered`].
    pub recovered: bool,
    /// The number of recoveries so far, to be passed to [`Memory::acted`].
    pub recovery: u64,
    /// Whether this process has acted or concluded on the resource before.
    pub has_acted: bool,
}

impl Memory {
    /// The latest known version of the resource: `stored`, which the watch showed, or what the last own
    /// write returned.
    #[must_use]
    pub fn freshest(&self, key: &Key, stored: CognitoUserPassword) -> Arc<CognitoUserPassword> {
        let mut entries = self.lock();
        let own = entries.get_mut(key).and_then(|entry| {
            entry.own.take_if(|own| !is_later(own, &stored));
            entry.own.clone()
        });
        own.unwrap_or_else(|| Arc::new(stored))
    }

    /// What is remembered of the resource. Empty if the entry has another uid: the resource was recreated
    /// under its name.
    #[must_use]
    pub fn recall(&self, key: &Key, uid: &str) -> Recollection {
        let entries = self.lock();
        let Some(entry) = entries.get(key).filter(|entry| entry.uid == uid) else {
            return Recollection::default();
        };
        Recollection {
            tried: entry.tried.clone(),
            pending_outcome: entry.pending_outcome.clone(),
            recovered: entry.recoveries.seen > entry.recoveries.used,
            recovery: entry.recoveries.seen,
            has_acted: entry.has_acted,
        }
    }

    /// Remembers the resource that a write or a read returned.
    pub fn wrote(&self, key: &Key, resource: Arc<CognitoUserPassword>) {
        let uid = resource.uid().unwrap_or_default();
        self.update(key, &uid, |entry| entry.own = Some(resource));
    }

    /// Remembers what a conclusion was based on.
    pub fn concluded(&self, key: &Key, uid: &str, tried: DecisionBasis) {
        self.update(key, uid, |entry| entry.tried = Some(Arc::new(tried)));
    }

    /// Notes that a reconcile acted on the resource, and consumes the recoveries that the reconcile knew of.
    /// `recovery` comes from the [`Recollection`] with which the reconcile began. A later recovery stays for
    /// the next reconcile.
    pub fn acted(&self, key: &Key, uid: &str, recovery: u64) {
        self.update(key, uid, |entry| {
            entry.has_acted = true;
            entry.recoveries.used = entry.recoveries.used.max(recovery);
        });
    }

    /// Makes sure that the resource has an entry: [`recovered`](Self::recovered) ignores a resource without
    /// one.
    pub fn expect_recovery(&self, key: &Key, uid: &str) {
        self.update(key, uid, |_| {});
    }

    /// Remembers a pending outcome until [`recorded`](Self::recorded).
    pub fn pending_outcome(&self, key: &Key, uid: &str, pending_outcome: Arc<PendingOutcome>) {
        self.update(key, uid, |entry| {
            entry.pending_outcome = Some(pending_outcome);
        });
    }

    /// Drops the pending outcome of the resource: the API server has taken the record.
    pub fn recorded(&self, key: &Key) {
        if let Some(entry) = self.lock().get_mut(key) {
            entry.pending_outcome = None;
        }
    }

    /// Counts a failed call to the API server, or a panic. Returns the number of consecutive failures.
    #[must_use]
    pub fn api_failed(&self, key: &Key) -> u32 {
        let mut entries = self.lock();
        let entry = entries.entry(key.clone()).or_default();
        entry.api_failures = entry.api_failures.saturating_add(1);
        entry.api_failures
    }

    /// Resets the count of consecutive failures after a call to the API server that succeeded.
    pub fn api_works(&self, key: &Key) {
        if let Some(entry) = self.lock().get_mut(key) {
            entry.api_failures = 0;
        }
    }

    /// Counts a recovery: a cause of failure that the resource waited for is gone.
    pub fn recovered(&self, key: &Key) {
        if let Some(entry) = self.lock().get_mut(key) {
            entry.recoveries.seen += 1;
        }
    }

    /// What the last own write returned, if that is later than `stored`, which the watch showed.
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

    /// Whether the resource has a pending outcome.
    #[must_use]
    pub fn has_pending_outcome(&self, key: &Key) -> bool {
        let entries = self.lock();
        entries
            .get(key)
            .is_some_and(|entry| entry.pending_outcome.is_some())
    }

    /// Drops the entry of a resource that is in sync by its status and the watches. The entry stays if it
    /// has an own write that the watch does not show yet, or a pending outcome.
    pub fn rest(&self, key: &Key) {
        let mut entries = self.lock();
        let is_needed = |entry: &Entry| entry.own.is_some() || entry.pending_outcome.is_some();
        if entries.get(key).is_some_and(|entry| !is_needed(entry)) {
            entries.remove(key);
        }
    }

    /// The number of resources with an entry.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Drops the entry of a resource that was deleted.
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
        // A poisoned lock is safe to use: no change of the map panics half-way.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an own write is later than the version that the watch shows. A resourceVersion is a number that
/// grows (KEP-5504). If a resourceVersion isn't a number, the watch wins. A stale decision then fails with
/// a conflict, because each write names the resourceVersion that was decided on.
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
    use crate::api::{CognitoUserPasswordSpec, FederatedUser, PasswordSecretRef};

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
            drift: None,
            federated_user: FederatedUser::Refuse,
            revoke_sessions: false,
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
    fn own_writes_win_until_the_watch_shows_them() {
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
    fn a_healing_during_a_reconcile_counts_for_the_next_reconcile() {
        let memory = Memory::default();
        let recall = || memory.recall(&key("bot"), "a");
        memory.expect_recovery(&key("bot"), "a");
        memory.recovered(&key("bot"));
        let began = recall();
        assert!(began.recovered);
        memory.acted(&key("bot"), "a", began.recovery);
        assert!(!recall().recovered, "used up");
        memory.recovered(&key("bot"));
        // The reconcile that began before the second recovery ends.
        memory.acted(&key("bot"), "a", began.recovery);
        assert!(recall().recovered);
        memory.acted(&key("bot"), "a", recall().recovery);
        assert!(!recall().recovered);
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
