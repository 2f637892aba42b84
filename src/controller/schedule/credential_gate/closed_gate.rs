//! The state of one gate: the resources that the closed gate stops, and the resources whose calls AWS
//! refused.

use crate::{
    controller::state::key::Key,
    core::{access::authority::Authority, credential::failure::CredentialsFailure},
};
use std::{
    collections::{HashSet, VecDeque},
    mem,
};

/// After this many refusals in a row, the credentials are the cause and not the single calls.
const REFUSALS_MAX: usize = 3;

/// How many statuses report the failure when the gate closes, and how many more after each probe. A status
/// that would be untrue is not limited. So a short outage of 10,000 resources causes few writes.
pub(crate) const TOLD_AT_ONCE: usize = 25;

/// The maximum number of authorities by which the probe of one gate asks in rotation.
const ASKERS_MAX: usize = 64;

/// Why the gate stopped a resource.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GateRefusal {
    /// Why the credentials do not work.
    pub failure: CredentialsFailure,
    /// Whether the status of the resource reports the failure now. If not, the resource is queued again once
    /// the status may report the failure.
    pub tell: bool,
}

/// The refusals by AWS for one authority.
#[derive(Default)]
pub(crate) struct Refusals {
    /// The number of refusals since the last accepted call.
    in_a_row: usize,
    /// The resources of these refusals, trial resources included.
    whose: HashSet<Key>,
    /// Resources that were refused while calls of other resources were accepted. A refusal of such a resource
    /// proves nothing about the credentials.
    their_own: HashSet<Key>,
}

impl Refusals {
    pub(crate) fn accepted(&mut self, resource: &Key) {
        self.their_own.extend(self.whose.drain());
        self.their_own.remove(resource);
        self.in_a_row = 0;
    }

    /// Records a refusal. Returns whether the credentials are the cause.
    pub(crate) fn refused(&mut self, resource: &Key) -> bool {
        if !self.their_own.contains(resource) {
            self.whose.insert(resource.clone());
            self.in_a_row += 1;
        }
        self.in_a_row >= REFUSALS_MAX
    }

    /// Resets the count, because the credentials are new. Returns the resources of the refusals that no
    /// longer count.
    pub(crate) fn count_anew(&mut self) -> HashSet<Key> {
        self.in_a_row = 0;
        mem::take(&mut self.whose)
    }

    /// All resources in the refusals.
    pub(crate) fn keys(self) -> [HashSet<Key>; 2] {
        [self.whose, self.their_own]
    }

    pub(crate) fn knows(&self, resource: &Key) -> bool {
        self.whose.contains(resource) || self.their_own.contains(resource)
    }

    #[cfg(test)]
    pub(crate) fn all(&self) -> impl Iterator<Item = &Key> {
        self.whose.iter().chain(&self.their_own)
    }

    /// The number of resources in the refusals.
    pub(crate) fn len(&self) -> usize {
        self.whose.len() + self.their_own.len()
    }

    /// Whether no existing resource has a refusal.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn forget(&mut self, resource: &Key) {
        self.whose.remove(resource);
        self.their_own.remove(resource);
    }
}

/// A closed gate.
pub(crate) struct ClosedGate {
    /// Distinguishes this gate from the same gate closed at another time.
    pub(crate) number: u64,
    pub(crate) failure: CredentialsFailure,
    /// Whether the gate closed because AWS refused the credentials. If so, only a call can show that the
    /// credentials work again.
    pub(crate) refused: bool,
    /// The trial resource, which may pass the gate.
    pub(crate) trial: Option<Key>,
    pub(crate) turned_away: HashSet<Key>,
    /// The resources that became the trial resource in this round.
    tried: HashSet<Key>,
    /// Stopped resources whose status does not report the failure yet.
    untold: HashSet<Key>,
    /// How many more statuses may report the failure before the next probe.
    tellings: usize,
    /// The authorities by which the probe asks, the next one first. Without a Region in the environment, the
    /// SDK asks STS in the Region of the call. Tenants can name Regions that do not exist, so one authority
    /// is not enough.
    askers: VecDeque<Authority>,
}

impl ClosedGate {
    /// Creates a gate that has stopped no resource yet.
    pub(crate) fn new(number: u64, failure: CredentialsFailure, refused: bool) -> Self {
        Self {
            number,
            failure,
            refused,
            trial: None,
            turned_away: HashSet::new(),
            tried: HashSet::new(),
            untold: HashSet::new(),
            tellings: TOLD_AT_ONCE,
            askers: VecDeque::new(),
        }
    }

    pub(crate) fn turn_away(&mut self, resource: &Key, must_tell: bool) -> GateRefusal {
        self.turned_away.insert(resource.clone());
        let tell = must_tell || self.tellings > 0;
        if tell {
            self.untold.remove(resource);
            self.tellings = self.tellings.saturating_sub(1);
        } else {
            self.untold.insert(resource.clone());
        }
        GateRefusal {
            failure: self.failure.clone(),
            tell,
        }
    }

    /// Chooses the next resources whose status may report the failure.
    pub(crate) fn next_told(&mut self) -> Vec<Key> {
        self.tellings = TOLD_AT_ONCE;
        let told: Vec<_> = self.untold.iter().take(TOLD_AT_ONCE).cloned().collect();
        // Remove the resources before the wake-up, so that the next wake-up reaches others. A woken resource
        // may never come back.
        for resource in &told {
            self.untold.remove(resource);
        }
        told
    }

    /// Records that a resource needs this authority. The probe asks by the newest authority first.
    pub(crate) fn wanted_by(&mut self, authority: &Authority) {
        if !self.askers.contains(authority) {
            self.askers.push_front(authority.clone());
            self.askers.truncate(ASKERS_MAX);
        }
    }

    /// Chooses the authority of the next probe, in rotation.
    pub(crate) fn next_asker(&mut self) -> Option<Authority> {
        let asker = self.askers.pop_front()?;
        self.askers.push_back(asker.clone());
        Some(asker)
    }

    /// The number of entries: the gate itself, and the resources in each of its sets.
    pub(crate) fn len(&self) -> usize {
        1 + self.turned_away.len() + self.tried.len() + self.untold.len()
    }

    pub(crate) fn knows(&self, resource: &Key) -> bool {
        let parts = [&self.turned_away, &self.tried, &self.untold];
        parts.iter().any(|part| part.contains(resource))
    }

    #[cfg(test)]
    pub(crate) fn all(&self) -> impl Iterator<Item = &Key> {
        let parts = self.turned_away.iter().chain(&self.tried);
        parts.chain(&self.untold)
    }

    /// The stopped resources, and the resources in the other sets.
    pub(crate) fn keys(self) -> (HashSet<Key>, [HashSet<Key>; 2]) {
        (self.turned_away, [self.tried, self.untold])
    }

    pub(crate) fn forget(&mut self, resource: &Key) {
        self.turned_away.remove(resource);
        self.tried.remove(resource);
        self.untold.remove(resource);
        self.trial.take_if(|trial| trial == resource);
    }

    /// Whether no resource is left that the gate could let pass.
    pub(crate) fn is_deserted(&self) -> bool {
        self.turned_away.is_empty() && self.trial.is_none()
    }

    /// Chooses the next trial resource. A resource becomes the trial resource again only after all other
    /// resources, because a refusal may concern that one resource only. Also returns the resources that left
    /// `tried`.
    pub(crate) fn next_trial(&mut self) -> (Option<Key>, HashSet<Key>) {
        let fresh = |door: &Self| {
            let mut waiting = door.turned_away.iter();
            waiting.find(|key| !door.tried.contains(*key)).cloned()
        };
        let mut forgotten = HashSet::new();
        self.trial = fresh(self).or_else(|| {
            forgotten = mem::take(&mut self.tried);
            fresh(self)
        });
        if let Some(trial) = &self.trial {
            self.turned_away.remove(trial);
            self.tried.insert(trial.clone());
        }
        (self.trial.clone(), forgotten)
    }
}
