//! What a reconcile works with.

use super::{
    isolate::isolated,
    schedule::{
        credential_gate::{CredentialGate, Wake},
        permits::Permits,
        queue::Queue,
        slots::Slots,
        user_locks::UserLocks,
        version_queue::VersionQueue,
    },
    state::{index::Index, key::Key, memory::Memory},
};
use crate::{
    api::CognitoUserPassword,
    cluster::{Leadership, events::Events},
    cognito::Cognito,
    core::{
        access::{authority::Authority, grant::UngrantedPolicy},
        credential::fingerprint::Keyring,
        schedule::rate_limit::RateLimits,
    },
    ops::metrics::Metrics,
};
use kube::{Client, core::Selector};
use std::{
    fmt::Display,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::Notify;

/// What must be left of the lease when a call begins: the 5 s that it may take, and 2 s for clocks
/// and for a process that isn't scheduled at once.
const LEASE_FOR_A_CALL: Duration = Duration::from_secs(7);

/// Reconciles that run at the same time. Each may wait 5 s for the API server.
const PLACES: usize = 32;

/// See the module. One for the whole process.
pub struct Context<C> {
    /// To the API server.
    pub client: Client,
    /// To Cognito.
    pub cognito: Arc<C>,
    /// The door in front of Cognito.
    pub credential_gate: CredentialGate<C>,
    /// The fingerprint keys: see [`Context::keyring`].
    keyring: Mutex<Arc<Keyring>>,
    /// To the resources' events.
    pub events: Events,
    /// Whether this process leads.
    pub leadership: Leadership,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What the watches showed.
    pub index: Arc<Mutex<Index>>,
    /// Something else is to be said of a grant.
    pub grants_changed: Arc<Notify>,
    /// Hints that may be lost.
    pub memory: Arc<Memory>,
    /// What is to be looked at.
    pub queue: Queue,
    /// How many are looked at at the same time.
    pub slots: Slots,
    /// Whose Secret was read and found as the record says.
    pub version_queue: VersionQueue,
    /// Whose turn it is in the budget.
    pub permits: Permits,
    /// For whom a call is being made.
    pub user_locks: UserLocks,
    /// Which labels a Secret must have to be seen; none for all Secrets.
    pub secret_selector: Option<Selector>,
    stopping: AtomicBool,
}

/// What whoever installed it wants.
#[derive(Clone, Debug)]
pub struct Rules {
    /// What holds for users whom no grant is about; none where grants are off.
    pub ungranted: Option<UngrantedPolicy>,
    /// Which labels a Secret must have to be seen; none for all Secrets.
    pub secret_selector: Option<Selector>,
    /// How many calls Cognito gets, for each account and Region.
    pub budget: RateLimits,
}

impl<C: Cognito> Context<C> {
    /// Puts it together.
    pub fn new(
        client: Client,
        cognito: Arc<C>,
        keyring: Keyring,
        leadership: Leadership,
        metrics: Arc<Metrics>,
        rules: Rules,
    ) -> Self {
        let memory = Arc::new(Memory::default());
        let queue = Queue::default();
        let wake = {
            let (memory, queue, metrics) = (memory.clone(), queue.clone(), metrics.clone());
            // Some are called while a reconcile unwinds, where a panic would abort the process.
            move |key: &Key, why| {
                let wake = || {
                    #[cfg(test)]
                    super::panic_tests::panic_at("wake", key);
                    match why {
                        Wake::Healed => memory.healed(key),
                        Wake::Tell => {}
                    }
                    queue.push(key.clone());
                };
                let _ = isolated(&metrics, key, "waking a resource", wake);
            }
        };
        let index = Arc::new(Mutex::new(
            rules
                .ungranted
                .map_or_else(Index::default, Index::with_grants)
                .within(cognito.regions()),
        ));
        let grants_changed = Arc::new(Notify::new());
        let tell = {
            let (index, grants_changed) = (index.clone(), grants_changed.clone());
            let metrics = metrics.clone();
            move |authority: &Authority| {
                let tell = || lock(&index).grants().authority_changed(authority);
                let _ = isolated(&metrics, authority, "finding an authority's grants", tell);
                grants_changed.notify_one();
            }
        };
        let lost = {
            let metrics = metrics.clone();
            move || metrics.lost_event()
        };
        let slots = Slots::new(PLACES);
        Self {
            events: Events::new(client.clone(), lost),
            client,
            credential_gate: CredentialGate::new(cognito.clone(), slots.clone(), wake, tell),
            slots,
            cognito,
            keyring: Mutex::new(Arc::new(keyring)),
            leadership,
            metrics,
            index,
            grants_changed,
            memory,
            version_queue: VersionQueue::default(),
            permits: Permits::new(rules.budget, queue.clone()),
            user_locks: UserLocks::default(),
            queue,
            secret_selector: rules.secret_selector,
            stopping: AtomicBool::new(false),
        }
    }

    /// What the watches showed.
    pub fn index(&self) -> MutexGuard<'_, Index> {
        lock(&self.index)
    }

    /// Does the work for one object: see [`isolated`].
    pub fn isolated<T>(
        &self,
        object: &dyn Display,
        step: &'static str,
        work: impl FnOnce() -> T,
    ) -> Option<T> {
        isolated(&self.metrics, object, step, work)
    }

    /// Remembers what a write or a read of a resource returned: the watch shows it later.
    pub fn wrote(&self, key: &Key, resource: Arc<CognitoUserPassword>) {
        self.index().wrote(&resource);
        self.memory.wrote(key, resource);
    }

    /// The fingerprint keys.
    pub fn keyring(&self) -> Arc<Keyring> {
        let keyring = self.keyring.lock();
        keyring.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The keys as they are by now: one that has stood by for months may have old ones.
    pub fn renew_keyring(&self, keyring: Keyring) {
        let mut known = self.keyring.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Arc::new(keyring);
    }

    /// Whether the lease lasts for a call.
    pub fn leads_for_a_call(&self) -> bool {
        self.leadership.has_left(LEASE_FOR_A_CALL)
    }

    /// From now on nothing new is begun.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Whether nothing new is to be begun.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}

pub(super) fn lock(index: &Mutex<Index>) -> MutexGuard<'_, Index> {
    // Where a change of the index panics half-way, its caller makes up for it: see `follow`.
    index.lock().unwrap_or_else(PoisonError::into_inner)
}
