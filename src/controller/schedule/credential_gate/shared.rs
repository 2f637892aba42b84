//! What the gate's stages share: who is turned away, the accounts, and how the resources are woken.

use super::state::{Gate, Left, State};
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

/// Why a resource is looked at again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wake {
    /// The wait is over, or it is the scout.
    Healed,
    /// Its status may say now why it is turned away.
    Tell,
}

pub(crate) type Waker = dyn Fn(&Key, Wake) + Send + Sync;

pub(crate) type Teller = dyn Fn(&Authority) + Send + Sync;

pub(crate) struct Shared<C> {
    pub(crate) cognito: Arc<C>,
    pub(crate) state: Mutex<State>,
    /// Whose account the credentials were that there were last.
    pub(crate) accounts: Mutex<Accounts>,
    pub(crate) places: Slots,
    pub(crate) wake: Box<Waker>,
    pub(crate) tell: Box<Teller>,
}

/// The operator's own account is the same in all Regions, of which tenants can name any number.
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
    /// Lets everybody through.
    pub(crate) fn open(self: &Arc<Self>, gate: &Gate) {
        let opened = self.state().open(gate);
        let Some(opened) = opened else {
            return;
        };
        info!(authority = %gate, resources = opened.turned_away.len(), "there are AWS credentials");
        self.release(gate, opened.turned_away, Wake::Healed, opened.left);
        self.tell_of(gate);
    }

    /// Wakes the first at once, and the others by and by; and tidies up after them and the others that
    /// left.
    pub(crate) fn release(
        self: &Arc<Self>,
        gate: &Gate,
        resources: HashSet<Key>,
        why: Wake,
        left: Vec<Left>,
    ) {
        let mut resources = resources.into_iter();
        for resource in resources.by_ref().take(WOKEN_AT_ONCE) {
            self.state().tidy(&resource, gate);
            (self.wake)(&resource, why);
        }
        if resources.len() == 0 {
            return self.tidy(left);
        }
        let (shared, gate) = (self.clone(), gate.clone());
        tokio::spawn(async move {
            let mut pace = Pace::new();
            for resource in resources {
                shared.state().tidy(&resource, &gate);
                (shared.wake)(&resource, why);
                pace.step().await;
            }
            shared.tidy(left);
        });
    }

    pub(crate) fn tidy(self: &Arc<Self>, mut left: Vec<Left>) {
        left.retain(|(_, keys)| !keys.is_empty());
        if left.is_empty() {
            return;
        }
        let shared = self.clone();
        tokio::spawn(async move {
            let mut pace = Pace::new();
            for (gate, keys) in left {
                for key in keys {
                    shared.state().tidy(&key, &gate);
                    pace.step().await;
                }
            }
        });
    }

    /// There is something new to say of a role. Of the operator's own identity no grant says anything.
    pub(crate) fn tell_of(&self, gate: &Gate) {
        match gate {
            Gate::Of(authority) if authority.role.is_some() => (self.tell)(authority),
            Gate::Own | Gate::Of(_) => {}
        }
    }

    pub(crate) fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // It is whole at any time.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// So many resources are woken at once when a door opens, the others by and by.
pub(crate) const WOKEN_AT_ONCE: usize = 100;
