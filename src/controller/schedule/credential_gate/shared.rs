//! The data that all parts of the credential gate share, and the wake-up of stopped resources.

use super::state::{Departures, Gate, State};
use crate::{
    cognito::Cognito,
    controller::{
        schedule::{pace::Pace, slots::Slots},
        state::key::Key,
    },
    core::{access::authority::Authority, names::target::Account},
};
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tracing::info;

/// Why a resource is queued again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wake {
    /// The wait is over: the gate is open, or the resource is the trial resource. This ends the backoff of
    /// the resource.
    Recovered,
    /// The status may report the failure now, or another reconcile has resolved the credentials. The backoff
    /// goes on.
    Report,
}

pub(crate) type Waker = dyn Fn(&Key, Wake) + Send + Sync;

pub(crate) type ChangeListener = dyn Fn(&Authority) + Send + Sync;

pub(crate) struct Shared<C> {
    pub(crate) cognito: Arc<C>,
    pub(crate) state: Mutex<State>,
    /// The accounts that the last resolved credentials name.
    pub(crate) accounts: Mutex<Accounts>,
    pub(crate) slots: Slots,
    pub(crate) wake: Box<Waker>,
    pub(crate) on_change: Box<ChangeListener>,
    /// Counts a failure of an authority's credentials.
    pub(crate) count_failure: Box<ChangeListener>,
}

/// The account of each identity. The operator's own account is the same in all Regions, and tenants can name
/// any number of Regions, so `own` is a single entry.
#[derive(Default)]
pub(crate) struct Accounts {
    pub(crate) own: Option<Account>,
    pub(crate) of_roles: HashMap<Authority, Account>,
}

impl Accounts {
    pub(crate) fn get(&self, authority: &Authority) -> Option<&Account> {
        match authority.role {
            None => self.own.as_ref(),
            Some(_) => self.of_roles.get(authority),
        }
    }

    pub(crate) fn set(&mut self, authority: &Authority, account: &Account) {
        if self.get(authority) == Some(account) {
            return;
        }
        match authority.role {
            None => self.own = Some(account.clone()),
            Some(_) => {
                self.of_roles.insert(authority.clone(), account.clone());
            }
        }
    }
}

impl<C: Cognito> Shared<C> {
    /// Opens a gate and queues the resources that the gate stopped.
    pub(crate) fn open(self: &Arc<Self>, gate: &Gate) {
        let opened = self.state().open(gate);
        let Some(opened) = opened else {
            return;
        };
        info!(authority = %gate, resources = opened.stopped.len(), "found AWS credentials that work");
        self.release(gate, opened.stopped, Wake::Recovered, opened.departures);
        self.report_change(gate);
    }

    /// Wakes the first [`WOKEN_AT_ONCE`] resources at once, and the others in a task that yields to other
    /// work. Then tidies up `departures`.
    pub(crate) fn release(
        self: &Arc<Self>,
        gate: &Gate,
        resources: HashSet<Key>,
        why: Wake,
        departures: Vec<Departures>,
    ) {
        let mut resources = resources.into_iter();
        for resource in resources.by_ref().take(WOKEN_AT_ONCE) {
            self.state().tidy(&resource, gate);
            (self.wake)(&resource, why);
        }
        if resources.len() == 0 {
            return self.tidy(departures);
        }
        let (shared, gate) = (self.clone(), gate.clone());
        tokio::spawn(async move {
            let mut pace = Pace::new();
            for resource in resources {
                shared.state().tidy(&resource, &gate);
                (shared.wake)(&resource, why);
                pace.step().await;
            }
            shared.tidy(departures);
        });
    }

    pub(crate) fn tidy(self: &Arc<Self>, mut departures: Vec<Departures>) {
        departures.retain(|(_, keys)| !keys.is_empty());
        if departures.is_empty() {
            return;
        }
        let shared = self.clone();
        tokio::spawn(async move {
            let mut pace = Pace::new();
            for (gate, keys) in departures {
                for key in keys {
                    shared.state().tidy(&key, &gate);
                    pace.step().await;
                }
            }
        });
    }

    /// Reports a change of the state of a role. No grant reports on the operator's own identity.
    pub(crate) fn report_change(&self, gate: &Gate) {
        match gate {
            Gate::Of(authority) if authority.role.is_some() => (self.on_change)(authority),
            Gate::Own | Gate::Of(_) => {}
        }
    }

    pub(crate) fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // No method of `State` panics half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many resources are woken at once when a gate opens. A task that yields to other work wakes the others.
pub(crate) const WOKEN_AT_ONCE: usize = 100;
