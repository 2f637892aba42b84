//! What is known at a door: who was turned away and told so, and whose calls were refused.

use super::Key;
use crate::core::reply::CredentialsFailure;
use std::collections::HashSet;

/// After so many refusals in a row it is the credentials and not the call.
const REFUSALS_MAX: usize = 3;

/// How many resources are told at once, and again at each probe, whose status need not say it for
/// the sake of truth: in a short outage of ten thousand few are written.
pub(super) const TOLD_AT_ONCE: usize = 25;

/// Why a resource was turned away.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TurnedAway {
    /// Why nobody passes.
    pub failure: CredentialsFailure,
    /// Whether the resource's status is to say so now. If not, it is looked at again when it is.
    pub tell: bool,
}

/// What was refused to one authority.
#[derive(Default)]
pub(super) struct Refusals {
    /// How many since the last call that was taken.
    in_a_row: usize,
    /// Whose calls they were, the scouts' among them.
    whose: HashSet<Key>,
    /// Whose calls were refused while others' were taken: that says nothing of the credentials.
    their_own: HashSet<Key>,
}

impl Refusals {
    pub(super) fn accepted(&mut self, resource: &Key) {
        self.their_own.extend(self.whose.drain());
        self.their_own.remove(resource);
        self.in_a_row = 0;
    }

    /// Whether it is the credentials.
    pub(super) fn refused(&mut self, resource: &Key) -> bool {
        if !self.their_own.contains(resource) {
            self.whose.insert(resource.clone());
            self.in_a_row += 1;
        }
        self.in_a_row >= REFUSALS_MAX
    }

    /// There are other credentials: what was refused before doesn't count.
    pub(super) fn count_anew(&mut self) {
        self.in_a_row = 0;
        self.whose.clear();
    }

    /// How many resources are known here.
    pub(super) fn len(&self) -> usize {
        self.whose.len() + self.their_own.len()
    }

    /// Whether nothing was refused that still counts.
    pub(super) fn is_empty(&self) -> bool {
        self.in_a_row == 0 && self.len() == 0
    }

    pub(super) fn forget(&mut self, resource: &Key) {
        self.whose.remove(resource);
        self.their_own.remove(resource);
    }
}

/// A closed door.
pub(super) struct Door {
    /// Tells it from one that was opened and closed again.
    pub(super) number: u64,
    pub(super) failure: CredentialsFailure,
    /// There are credentials, and AWS refused them: only a call tells whether it still does.
    pub(super) refused: bool,
    /// Who is let through to find out.
    pub(super) scout: Option<Key>,
    pub(super) turned_away: HashSet<Key>,
    /// Who was the scout already, and came back without an answer that helps.
    been_scout: HashSet<Key>,
    /// Those among them whose status doesn't say so yet.
    untold: HashSet<Key>,
    /// How many more are told before the next probe.
    tellings: usize,
}

impl Door {
    pub(super) fn new(number: u64, failure: CredentialsFailure, refused: bool) -> Self {
        Self {
            number,
            failure,
            refused,
            scout: None,
            turned_away: HashSet::new(),
            been_scout: HashSet::new(),
            untold: HashSet::new(),
            tellings: TOLD_AT_ONCE,
        }
    }

    pub(super) fn turn_away(&mut self, resource: &Key, must_tell: bool) -> TurnedAway {
        self.turned_away.insert(resource.clone());
        let tell = must_tell || self.tellings > 0;
        if tell {
            self.untold.remove(resource);
            self.tellings = self.tellings.saturating_sub(1);
        } else {
            self.untold.insert(resource.clone());
        }
        TurnedAway {
            failure: self.failure.clone(),
            tell,
        }
    }

    /// Some more may be told.
    pub(super) fn next_told(&mut self) -> Vec<Key> {
        self.tellings = TOLD_AT_ONCE;
        let told: Vec<_> = self.untold.iter().take(TOLD_AT_ONCE).cloned().collect();
        // Taken out, be it that they don't come: else they would be told for ever, and the others
        // never.
        for resource in &told {
            self.untold.remove(resource);
        }
        told
    }

    /// How many entries it is: its own, and its resources' in each of their parts.
    pub(super) fn len(&self) -> usize {
        1 + self.turned_away.len() + self.been_scout.len() + self.untold.len()
    }

    pub(super) fn forget(&mut self, resource: &Key) {
        self.turned_away.remove(resource);
        self.been_scout.remove(resource);
        self.untold.remove(resource);
    }

    /// Whether nobody is left who wants to pass.
    pub(super) fn is_deserted(&self) -> bool {
        self.turned_away.is_empty() && self.scout.is_none()
    }

    /// Another one goes and sees, and the same one again only after all others: what is refused to it
    /// may be its own business.
    pub(super) fn send_scout(&mut self) -> Option<Key> {
        let fresh = |door: &Self| {
            let mut waiting = door.turned_away.iter();
            waiting.find(|key| !door.been_scout.contains(*key)).cloned()
        };
        self.scout = fresh(self).or_else(|| {
            self.been_scout.clear();
            fresh(self)
        });
        if let Some(scout) = &self.scout {
            self.turned_away.remove(scout);
            self.been_scout.insert(scout.clone());
        }
        self.scout.clone()
    }
}
