//! The state and the services that all reconciles share.

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
    state::{index::Index, key::Key, look_board::LookBoard, memory::Memory},
};
use crate::{
    api::{CognitoUserPassword, Drift},
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

/// How much of the lease must be left when a call begins: the 5 s that a call may take, and 2 s for
/// differences of clocks and for a process that the system does not schedule at once.
const LEASE_FOR_A_CALL: Duration = Duration::from_secs(7);

/// How many reconciles hold a slot at the same time. Each may wait 5 s for the API server.
const SLOTS: usize = 32;

/// The state and the services that all reconciles share. A process has one context.
pub struct Context<C> {
    /// The client of the API server.
    pub client: Client,
    /// The port to Cognito.
    pub cognito: Arc<C>,
    /// Stops the resources of an authority that has no working credentials.
    pub credential_gate: CredentialGate<C>,
    /// The fingerprint keys: see [`Context::renew_keyring`].
    keyring: Mutex<Arc<Keyring>>,
    /// The queue of Kubernetes Events.
    pub events: Events,
    /// Whether this process leads, and for how long the lease lasts.
    pub leadership: Leadership,
    /// The metrics of this process.
    pub metrics: Arc<Metrics>,
    /// What the watches showed.
    pub index: Arc<Mutex<Index>>,
    /// Notified when the status of a grant may have to change.
    pub grants_changed: Arc<Notify>,
    /// What this process remembers of each resource: hints that a restart may lose.
    pub memory: Arc<Memory>,
    /// The keys of the resources to reconcile.
    pub queue: Queue,
    /// Limits how many reconciles run at the same time.
    pub slots: Slots,
    /// The resources for which a read found the recorded value, and whose Secret version may have to be
    /// recorded.
    pub version_queue: VersionQueue,
    /// The permits of sets, from one rate limiter for each account and Region.
    pub permits: Permits<Key>,
    /// Allows one call at a time for a user of a pool.
    pub user_locks: UserLocks,
    /// The labels that a Secret must have. None: the operator uses all Secrets.
    pub secret_selector: Option<Selector>,
    /// What looks at users found.
    pub looks: Arc<LookBoard>,
    /// The limits of the calls that look at users.
    pub budget: RateLimits,
    /// The time between two looks at the same user.
    pub drift_interval: Duration,
    /// The drift of resources that don't say.
    pub drift: Drift,
    stopping: AtomicBool,
}

/// The settings of the installation that the controller obeys.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The policy for the users of pools that no grant names. None: grants are off.
    pub ungranted: Option<UngrantedPolicy>,
    /// The labels that a Secret must have. None: the operator uses all Secrets.
    pub secret_selector: Option<Selector>,
    /// The rate and the burst of sets, for each account and Region. Each quota category has a share of both.
    pub budget: RateLimits,
    /// Whether the operator looks at the users of resources that don't say.
    pub drift: Drift,
    /// The time between two looks at the same user.
    pub drift_interval: Duration,
}

impl<C: Cognito> Context<C> {
    /// Builds the context from the clients, the fingerprint keys and the settings.
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
            // The credential gate may wake resources while a reconcile unwinds. A second panic would
            // then abort the process.
            move |key: &Key, why| {
                let wake = || {
                    #[cfg(test)]
                    super::panic_tests::panic_at("wake", key);
                    match why {
                        Wake::Recovered => memory.recovered(key),
                        Wake::Report => {}
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
                .within(cognito.regions())
                .looking(rules.drift),
        ));
        let grants_changed = Arc::new(Notify::new());
        let notify_reporter = {
            let (index, grants_changed) = (index.clone(), grants_changed.clone());
            let metrics = metrics.clone();
            move |authority: &Authority| {
                let find = || lock(&index).grants().authority_changed(authority);
                let _ = isolated(&metrics, authority, "finding an authority's grants", find);
                grants_changed.notify_one();
            }
        };
        let lost = {
            let metrics = metrics.clone();
            move || metrics.lost_event()
        };
        let count_failure = {
            let metrics = metrics.clone();
            move |authority: &Authority| metrics.credential_failure(authority.role.is_some())
        };
        let slots = Slots::new(SLOTS);
        Self {
            events: Events::new(client.clone(), lost),
            client,
            credential_gate: CredentialGate::new(
                cognito.clone(),
                slots.clone(),
                wake,
                notify_reporter,
                count_failure,
            ),
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
            looks: Arc::default(),
            budget: rules.budget,
            drift_interval: rules.drift_interval,
            drift: rules.drift,
            stopping: AtomicBool::new(false),
        }
    }

    /// What the watches showed.
    pub fn index(&self) -> MutexGuard<'_, Index> {
        lock(&self.index)
    }

    /// Runs the work for one object, and catches a panic of the work: see `isolated`.
    pub fn isolated<T>(
        &self,
        object: &dyn Display,
        step: &'static str,
        work: impl FnOnce() -> T,
    ) -> Option<T> {
        isolated(&self.metrics, object, step, work)
    }

    /// Remembers the resource that a write or a read returned, because the watch shows that version
    /// only later.
    pub fn remember(&self, key: &Key, resource: Arc<CognitoUserPassword>) {
        self.index().wrote(&resource);
        self.memory.wrote(key, resource);
    }

    /// The fingerprint keys.
    pub fn keyring(&self) -> Arc<Keyring> {
        let keyring = self.keyring.lock();
        keyring.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the fingerprint keys. A process that stood by for months may have old keys.
    pub fn renew_keyring(&self, keyring: Keyring) {
        let mut known = self.keyring.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Arc::new(keyring);
    }

    /// Whether this process leads, and enough of the lease is left for a call.
    pub fn leads_for_a_call(&self) -> bool {
        self.leadership.has_left(LEASE_FOR_A_CALL)
    }

    /// Marks the shutdown as begun. From now on no reconcile or set begins.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Whether the shutdown has begun, so that no reconcile or set may begin.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}

pub(super) fn lock(index: &Mutex<Index>) -> MutexGuard<'_, Index> {
    // The event handler repairs the index if a change of the index panics half-way: see
    // `controller/watch`.
    index.lock().unwrap_or_else(PoisonError::into_inner)
}
