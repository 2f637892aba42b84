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
pub(crate) const REPORTS_AT_ONCE: usize = 25;

/// The maximum number of authorities by which the probe of one gate asks in rotation.
const AUTHORITIES_MAX: usize = 64;

/// Why the gate stopped a resource.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GateRefusal {
    /// Why the credentials do not work.
    pub failure: CredentialsFailure,
    /// Whether the status of the resource reports the failure now. If not, the resource is queued again once
    /// the status may report the failure.
    pub report_now: bool,
}

/// The refusals by AWS for one authority.
#[derive(Default)]
pub(crate) struct Refusals {
    /// The number of refusals since the last accepted call.
    in_a_row: usize,
    /// The resources of these refusals, trial resources included.
    counted: HashSet<Key>,
    /// Resources that were refused while calls of other resources were accepted. A refusal of such a resource
    /// proves nothing about the credentials.
    individual: HashSet<Key>,
}

impl Refusals {
    pub(crate) fn accepted(&mut self, resource: &Key) {
        self.individual.extend(self.counted.drain());
        self.individual.remove(resource);
        self.in_a_row = 0;
    }

    /// Records a refusal. Returns whether the credentials are the cause.
    pub(crate) fn refused(&mut self, resource: &Key) -> bool {
        if !self.individual.contains(resource) {
            self.counted.insert(resource.clone());
            self.in_a_row += 1;
        }
        self.in_a_row >= REFUSALS_MAX
    }

    /// Resets the count, because the credentials are new. Returns the resources of the refusals that no
    /// longer count.
    pub(crate) fn reset_count(&mut self) -> HashSet<Key> {
        self.in_a_row = 0;
        mem::take(&mut self.counted)
    }

    /// All resources in the refusals.
    pub(crate) fn keys(self) -> [HashSet<Key>; 2] {
        [self.counted, self.individual]
    }

    pub(crate) fn contains(&self, resource: &Key) -> bool {
        self.counted.contains(resource) || self.individual.contains(resource)
    }

    #[cfg(test)]
    pub(crate) fn all(&self) -> impl Iterator<Item = &Key> {
        self.counted.iter().chain(&self.individual)
    }

    /// The number of resources in the refusals.
    pub(crate) fn len(&self) -> usize {
        self.counted.len() + self.individual.len()
    }

    /// Whether no existing resource has a refusal.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn forget(&mut self, resource: &Key) {
        self.counted.remove(resource);
        self.individual.remove(resource);
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
    pub(crate) stopped: HashSet<Key>,
    /// The resources that became the trial resource in this round.
    tried: HashSet<Key>,
    /// Stopped resources whose status does not report the failure yet.
    unreported: HashSet<Key>,
    /// How many more statuses may report the failure before the next probe.
    reports_left: usize,
    /// The authorities by which the probe asks, the next one first. Without a Region in the environment, the
    /// SDK asks STS in the Region of the call. Tenants can name Regions that do not exist, so one authority
    /// is not enough.
    authorities: VecDeque<Authority>,
}

impl ClosedGate {
    /// Creates a gate that has stopped no resource yet.
    pub(crate) fn new(number: u64, failure: CredentialsFailure, refused: bool) -> Self {
        Self {
            number,
            failure,
            refused,
            trial: None,
            stopped: HashSet::new(),
            tried: HashSet::new(),
            unreported: HashSet::new(),
            reports_left: REPORTS_AT_ONCE,
            authorities: VecDeque::new(),
        }
    }

    pub(crate) fn refuse(&mut self, resource: &Key, must_report: bool) -> GateRefusal {
        self.stopped.insert(resource.clone());
        let report_now = must_report || self.reports_left > 0;
        if report_now {
            self.unreported.remove(resource);
            self.reports_left = self.reports_left.saturating_sub(1);
        } else {
            self.unreported.insert(resource.clone());
        }
        GateRefusal {
            failure: self.failure.clone(),
            report_now,
        }
    }

    /// Chooses the next resources whose status may report the failure.
    pub(crate) fn next_to_report(&mut self) -> Vec<Key> {
        self.reports_left = REPORTS_AT_ONCE;
        let reporting: Vec<_> = self
            .unreported
            .iter()
            .take(REPORTS_AT_ONCE)
            .cloned()
            .collect();
        // Remove the resources before the wake-up, so that the next wake-up reaches others. A woken resource
        // may never come back.
        for resource in &reporting {
            self.unreported.remove(resource);
        }
        reporting
    }

    /// Records that a resource needs this authority. The probe asks by the newest authority first.
    pub(crate) fn add_authority(&mut self, authority: &Authority) {
        if !self.authorities.contains(authority) {
            self.authorities.push_front(authority.clone());
            self.authorities.truncate(AUTHORITIES_MAX);
        }
    }

    /// Chooses the authority of the next probe, in rotation.
    pub(crate) fn next_authority(&mut self) -> Option<Authority> {
        let authority = self.authorities.pop_front()?;
        self.authorities.push_back(authority.clone());
        Some(authority)
    }

    /// The number of entries: the gate itself, and the resources in each of its sets.
    pub(crate) fn len(&self) -> usize {
        1 + self.stopped.len() + self.tried.len() + self.unreported.len()
    }

    pub(crate) fn contains(&self, resource: &Key) -> bool {
        let parts = [&self.stopped, &self.tried, &self.unreported];
        parts.iter().any(|part| part.contains(resource))
    }

    #[cfg(test)]
    pub(crate) fn all(&self) -> impl Iterator<Item = &Key> {
        let parts = self.stopped.iter().chain(&self.tried);
        parts.chain(&self.unreported)
    }

    /// The stopped resources, and the resources in the other sets.
    pub(crate) fn keys(self) -> (HashSet<Key>, [HashSet<Key>; 2]) {
        (self.stopped, [self.tried, self.unreported])
    }

    pub(crate) fn forget(&mut self, resource: &Key) {
        self.stopped.remove(resource);
        self.tried.remove(resource);
        self.unreported.remove(resource);
        self.trial.take_if(|trial| trial == resource);
    }

    /// Whether no resource is left that the gate could let pass.
    pub(crate) fn is_deserted(&self) -> bool {
        self.stopped.is_empty() && self.trial.is_none()
    }

    /// Chooses the next trial resource. A resource becomes the trial resource again only after all other
    /// resources, because a refusal may concern that one resource only. Also returns the resources that left
    /// `tried`.
    pub(crate) fn next_trial(&mut self) -> (Option<Key>, HashSet<Key>) {
        let fresh = |closed: &Self| {
            let mut waiting = closed.stopped.iter();
            waiting.find(|key| !closed.tried.contains(*key)).cloned()
        };
        let mut forgotten = HashSet::new();
        self.trial = fresh(self).or_else(|| {
            forgotten = mem::take(&mut self.tried);
            fresh(self)
        });
        if let Some(trial) = &self.trial {
            self.stopped.remove(trial);
            self.tried.insert(trial.clone());
        }
        (self.trial.clone(), forgotten)
    }
}
