//! What is known at a door: who was turned away and told so, and whose calls were refused.

use crate::controller::state::key::Key;
use crate::core::{access::authority::Authority, credential::failure::CredentialsFailure};
use std::{
    collections::{HashSet, VecDeque},
    mem,
};

/// After so many refusals in a row it is the credentials and not the call.
const REFUSALS_MAX: usize = 3;

/// How many resources are told at once, and again at each probe, whose status need not say it for
/// the sake of truth: in a short outage of ten thousand few are written.
pub(crate) const TOLD_AT_ONCE: usize = 25;

/// By so many authorities the probe of one door asks, one after the other.
const ASKERS_MAX: usize = 64;

/// Why a resource was turned away.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GateRefusal {
    /// Why nobody passes.
    pub failure: CredentialsFailure,
    /// Whether the resource's status is to say so now. If not, it is looked at again when it is.
    pub tell: bool,
}

/// What was refused to one authority.
#[derive(Default)]
pub(crate) struct Refusals {
    /// How many since the last call that was taken.
    in_a_row: usize,
    /// Whose calls they were, the scouts' among them.
    whose: HashSet<Key>,
    /// Whose calls were refused while others' were taken: that says nothing of the credentials.
    their_own: HashSet<Key>,
}

impl Refusals {
    pub(crate) fn accepted(&mut self, resource: &Key) {
        self.their_own.extend(self.whose.drain());
        self.their_own.remove(resource);
        self.in_a_row = 0;
    }

    /// Whether it is the credentials.
    pub(crate) fn refused(&mut self, resource: &Key) -> bool {
        if !self.their_own.contains(resource) {
            self.whose.insert(resource.clone());
            self.in_a_row += 1;
        }
        self.in_a_row >= REFUSALS_MAX
    }

    /// There are other credentials: what was refused before doesn't count. Answers with whose calls
    /// that were.
    pub(crate) fn count_anew(&mut self) -> HashSet<Key> {
        self.in_a_row = 0;
        mem::take(&mut self.whose)
    }

    /// All resources that are known here.
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

    /// How many resources are known here.
    pub(crate) fn len(&self) -> usize {
        self.whose.len() + self.their_own.len()
    }

    /// Whether nothing was refused to anybody who is still there.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn forget(&mut self, resource: &Key) {
        self.whose.remove(resource);
        self.their_own.remove(resource);
    }
}

/// A closed door.
pub(crate) struct ClosedGate {
    /// Tells it from one that was opened and closed again.
    pub(crate) number: u64,
    pub(crate) failure: CredentialsFailure,
    /// There are credentials, and AWS refused them: only a call tells whether it still does.
    pub(crate) refused: bool,
    /// Who is let through to find out.
    pub(crate) scout: Option<Key>,
    pub(crate) turned_away: HashSet<Key>,
    /// Who was the scout already, and came back without an answer that helps.
    been_scout: HashSet<Key>,
    /// Those among them whose status doesn't say so yet.
    untold: HashSet<Key>,
    /// How many more are told before the next probe.
    tellings: usize,
    /// By which authorities the probe asks, the next one first: without a Region in the environment, STS is
    /// asked in that of the call, and tenants make up Regions.
    askers: VecDeque<Authority>,
}

impl ClosedGate {
    /// Nobody has been turned away yet.
    pub(crate) fn new(number: u64, failure: CredentialsFailure, refused: bool) -> Self {
        Self {
            number,
            failure,
            refused,
            scout: None,
            turned_away: HashSet::new(),
            been_scout: HashSet::new(),
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

    /// Some more may be told.
    pub(crate) fn next_told(&mut self) -> Vec<Key> {
        self.tellings = TOLD_AT_ONCE;
        let told: Vec<_> = self.untold.iter().take(TOLD_AT_ONCE).cloned().collect();
        // Taken out, be it that they don't come: else they would be told for ever, and the others
        // never.
        for resource in &told {
            self.untold.remove(resource);
        }
        told
    }

    /// Somebody would call by this authority. The one that came last is asked by first.
    pub(crate) fn wanted_by(&mut self, authority: &Authority) {
        if !self.askers.contains(authority) {
            self.askers.push_front(authority.clone());
            self.askers.truncate(ASKERS_MAX);
        }
    }

    /// By whom the next probe asks.
    pub(crate) fn next_asker(&mut self) -> Option<Authority> {
        let asker = self.askers.pop_front()?;
        self.askers.push_back(asker.clone());
        Some(asker)
    }

    /// How many entries it is: its own, and its resources' in each of their parts.
    pub(crate) fn len(&self) -> usize {
        1 + self.turned_away.len() + self.been_scout.len() + self.untold.len()
    }

    pub(crate) fn knows(&self, resource: &Key) -> bool {
        let parts = [&self.turned_away, &self.been_scout, &self.untold];
        parts.iter().any(|part| part.contains(resource))
    }

    #[cfg(test)]
    pub(crate) fn all(&self) -> impl Iterator<Item = &Key> {
        let parts = self.turned_away.iter().chain(&self.been_scout);
        parts.chain(&self.untold)
    }

    /// All that were turned away, and all others that are known here.
    pub(crate) fn keys(self) -> (HashSet<Key>, [HashSet<Key>; 2]) {
        (self.turned_away, [self.been_scout, self.untold])
    }

    pub(crate) fn forget(&mut self, resource: &Key) {
        self.turned_away.remove(resource);
        self.been_scout.remove(resource);
        self.untold.remove(resource);
        self.scout.take_if(|scout| scout == resource);
    }

    /// Whether nobody is left who wants to pass.
    pub(crate) fn is_deserted(&self) -> bool {
        self.turned_away.is_empty() && self.scout.is_none()
    }

    /// Another one goes and sees, and the same one again only after all others: what is refused to it
    /// may be its own business. Answers also with those that may not be known here any more.
    pub(crate) fn send_scout(&mut self) -> (Option<Key>, HashSet<Key>) {
        let fresh = |door: &Self| {
            let mut waiting = door.turned_away.iter();
            waiting.find(|key| !door.been_scout.contains(*key)).cloned()
        };
        let mut forgotten = HashSet::new();
        self.scout = fresh(self).or_else(|| {
            forgotten = mem::take(&mut self.been_scout);
            fresh(self)
        });
        if let Some(scout) = &self.scout {
            self.turned_away.remove(scout);
            self.been_scout.insert(scout.clone());
        }
        (self.scout.clone(), forgotten)
    }
}
