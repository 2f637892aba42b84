//! The state of all rate limiters: which keys wait, and how many permits are in use.

use crate::{
    controller::state::key::Key,
    core::{
        names::target::{Account, Region},
        schedule::rate_limit::{PermitEnd, RateLimiter, room},
    },
};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

/// The maximum of [`State::answered`]: tenants choose the Regions, so the set needs a bound.
const ANSWERED_MAX: usize = 1_000;

/// The account and Region whose quota a call uses.
pub type Payer = (Account, Region);

#[derive(Default)]
pub(super) struct State {
    pub(super) rate_limiters: HashMap<Payer, RateLimiter<Key>>,
    /// The rate limiters in which keys wait, in rotation. A rate limiter that was given permits moves to the
    /// end.
    pub(super) rotation: BTreeMap<u64, Payer>,
    /// For each rate limiter in `rotation`, its number there (not the [`Key`] of a resource).
    rotation_numbers: HashMap<Payer, u64>,
    last_number: u64,
    /// The accounts and Regions that answered the last call, at most [`ANSWERED_MAX`].
    answered: HashSet<Payer>,
    /// The permits of all rate limiters that are in use.
    pub(super) permits: u32,
    /// When the rate limiters at rest were last removed.
    pub(super) idle_removed_at: Duration,
    /// For each key that waits or has an unclaimed permit, the rate limiter.
    pub(super) places: HashMap<Key, KeyEntry>,
}

pub(super) struct KeyEntry {
    pub(super) payer: Payer,
    since: Duration,
}

impl State {
    /// Removes the rate limiters at rest. Tenants can name any number of Regions, so the map would grow
    /// without bound.
    pub(super) fn remove_idle(&mut self, now: Duration) {
        self.rate_limiters
            .retain(|_, rate_limiter| !rate_limiter.is_at_rest(now));
        self.idle_removed_at = now;
    }

    /// Gives the permits of one rate limiter that are due. Returns the keys that were given a permit.
    pub(super) fn give(&mut self, payer: &Payer, now: Duration) -> Vec<Key> {
        let mut given = Vec::new();
        let Some(rate_limiter) = self.rate_limiters.get_mut(payer) else {
            self.leave_rotation(payer);
            return given;
        };
        let has_answered = self.answered.contains(payer);
        while let Some(key) = rate_limiter.give(now, room(self.permits, has_answered)) {
            #[cfg(test)]
            crate::controller::panic_tests::panic_at("give", &key);
            self.permits += 1;
            given.push(key);
        }
        let has_waiting = rate_limiter.waiting() > 0;
        if !has_waiting || !given.is_empty() {
            self.leave_rotation(payer);
        }
        if has_waiting {
            self.join_rotation(payer);
        }
        given
    }

    /// The time until this rate limiter can give a permit. None: no key waits, or a permit in use must end
    /// first.
    pub(super) fn next_permit_in(&mut self, payer: &Payer, now: Duration) -> Option<Duration> {
        let room = room(self.permits, self.answered.contains(payer));
        self.rate_limiters.get_mut(payer)?.next_permit_in(now, room)
    }

    /// Removes a rate limiter. Returns the keys that waited there or had an unclaimed permit there.
    pub(super) fn remove_rate_limiter(&mut self, payer: &Payer) -> Vec<Key> {
        self.rate_limiters.remove(payer);
        self.leave_rotation(payer);
        // Subtract the permits of the removed rate limiter now: when their calls end, no rate limiter will
        // subtract them.
        self.permits = self.rate_limiters.values().map(RateLimiter::permits).sum();
        let keys = self.places.extract_if(|_, place| place.payer == *payer);
        keys.map(|(key, _)| key).collect()
    }

    /// Adds the rate limiter to the end of the rotation, unless the rate limiter is in the rotation already.
    pub(super) fn join_rotation(&mut self, payer: &Payer) {
        if !self.rotation_numbers.contains_key(payer) {
            self.last_number += 1;
            self.rotation.insert(self.last_number, payer.clone());
            self.rotation_numbers
                .insert(payer.clone(), self.last_number);
        }
    }

    fn leave_rotation(&mut self, payer: &Payer) {
        if let Some(place) = self.rotation_numbers.remove(payer) {
            self.rotation.remove(&place);
        }
    }

    /// Ends a permit whose call was made.
    pub(super) fn used(&mut self, payer: &Payer, key: &Key, end: PermitEnd, now: Duration) {
        let Some(rate_limiter) = self.rate_limiters.get_mut(payer) else {
            return;
        };
        if rate_limiter.used(key, end, now) {
            self.permits -= 1;
        }
        match end {
            PermitEnd::Answered if self.answered.len() < ANSWERED_MAX => {
                self.answered.insert(payer.clone());
            }
            PermitEnd::NoReply => {
                self.answered.remove(payer);
            }
            PermitEnd::Answered | PermitEnd::Unsent => {}
        }
    }

    /// Removes a waiting key from a rate limiter, or gives the token of the key's permit back.
    pub(super) fn release(&mut self, payer: &Payer, key: &Key) {
        if let Some(rate_limiter) = self.rate_limiters.get_mut(payer)
            && rate_limiter.leave(key)
        {
            self.permits -= 1;
        }
    }

    /// Assigns the key to this payer only. Returns since when the key has waited there.
    pub(super) fn enter(&mut self, key: &Key, payer: &Payer, now: Duration) -> Duration {
        if let Some(place) = self.places.get(key) {
            if place.payer == *payer {
                return place.since;
            }
            self.leave(key);
        }
        let (payer, since) = (payer.clone(), now);
        self.places.insert(key.clone(), KeyEntry { payer, since });
        since
    }

    pub(super) fn leave(&mut self, key: &Key) -> bool {
        let Some(KeyEntry { payer, .. }) = self.places.remove(key) else {
            return false;
        };
        self.release(&payer, key);
        true
    }
}
