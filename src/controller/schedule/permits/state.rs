//! The state of all rate limiters: which keys wait, and how many permits are in use.

use super::waiter::Waiter;
use crate::core::{
    names::target::{Account, Region},
    schedule::rate_limit::{Category, PermitEnd, RateLimiter, RateLimits, Urgency, room},
};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
    time::Duration,
};

/// The maximum of [`State::answered`]: tenants choose the Regions, so the set needs a bound. That is a
/// thousand accounts and Regions, with two categories each.
const ANSWERED_MAX: usize = 2_000;

/// The quota that a call uses: Cognito counts by account, Region and category.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Payer {
    /// The account of the credentials.
    pub account: Account,
    /// The Region of the pool.
    pub region: Region,
    /// The category of the operation.
    pub category: Category,
}

impl fmt::Display for Payer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.category, self.region)
    }
}

pub(super) struct State<K> {
    /// The limits of the command line, of which each category has a share.
    pub(super) limits: RateLimits,
    pub(super) rate_limiters: HashMap<Payer, RateLimiter<K>>,
    /// The rate limiters in which keys wait, in rotation. A rate limiter that was given permits moves to the
    /// end.
    pub(super) rotation: BTreeMap<u64, Payer>,
    /// For each rate limiter in `rotation`, its number there.
    rotation_numbers: HashMap<Payer, u64>,
    last_number: u64,
    /// The quotas whose last call was answered, at most [`ANSWERED_MAX`]. Each category counts alone, because
    /// one operation can hang while others are answered.
    pub(super) answered: HashSet<Payer>,
    /// The permits of all rate limiters that are in use.
    pub(super) permits: u32,
    /// When the rate limiters at rest were last removed.
    pub(super) idle_removed_at: Duration,
    /// For each key that waits or has an unclaimed permit, the rate limiter.
    pub(super) places: HashMap<K, KeyEntry>,
}

pub(super) struct KeyEntry {
    pub(super) payer: Payer,
    pub(super) since: Duration,
}

impl<K: Waiter> State<K> {
    /// Creates the state without any rate limiter.
    pub(super) fn new(limits: RateLimits) -> Self {
        Self {
            limits,
            rate_limiters: HashMap::new(),
            rotation: BTreeMap::new(),
            rotation_numbers: HashMap::new(),
            last_number: 0,
            answered: HashSet::new(),
            permits: 0,
            idle_removed_at: Duration::ZERO,
            places: HashMap::new(),
        }
    }

    /// Removes the rate limiters at rest. Tenants can name any number of Regions, so the map would grow
    /// without bound.
    pub(super) fn remove_idle(&mut self, now: Duration) {
        self.rate_limiters
            .retain(|_, rate_limiter| !rate_limiter.is_at_rest(now));
        self.idle_removed_at = now;
    }

    /// Gives the permits of one rate limiter that are due. Returns the keys that were given a permit.
    pub(super) fn give(&mut self, payer: &Payer, now: Duration) -> Vec<K> {
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
    pub(super) fn remove_rate_limiter(&mut self, payer: &Payer) -> Vec<K> {
        self.rate_limiters.remove(payer);
        self.leave_rotation(payer);
        // Subtract the permits of the removed rate limiter now: when their calls end, no rate limiter will
        // subtract them.
        self.permits = self.rate_limiters.values().map(RateLimiter::permits).sum();
        let keys = self.places.extract_if(|_, place| place.payer == *payer);
        keys.map(|(key, _)| key).collect()
    }

    /// Adds the rate limiter to the end of the rotation, unless the rate limiter is in the rotation already.
    fn join_rotation(&mut self, payer: &Payer) {
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
    pub(super) fn used(&mut self, payer: &Payer, key: &K, end: PermitEnd, now: Duration) {
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
    pub(super) fn release(&mut self, payer: &Payer, key: &K) {
        if let Some(rate_limiter) = self.rate_limiters.get_mut(payer)
            && rate_limiter.leave(key)
        {
            self.permits -= 1;
        }
    }

    /// Lets the key wait in the rate limiter of this payer, and nowhere else. Returns since when the key has
    /// waited there.
    pub(super) fn wait(
        &mut self,
        key: &K,
        payer: &Payer,
        urgency: Urgency,
        now: Duration,
    ) -> Duration {
        let since = self.enter(key, payer, now);
        let limits = self.limits.of_category(payer.category);
        let rate_limiter = self.rate_limiters.entry(payer.clone());
        let rate_limiter = rate_limiter.or_insert_with(|| RateLimiter::new(limits, now));
        rate_limiter.wait(key.namespace(), key, urgency);
        self.join_rotation(payer);
        since
    }

    /// Assigns the key to this payer only. Returns since when the key has waited there.
    fn enter(&mut self, key: &K, payer: &Payer, now: Duration) -> Duration {
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

    pub(super) fn leave(&mut self, key: &K) -> bool {
        let Some(KeyEntry { payer, .. }) = self.places.remove(key) else {
            return false;
        };
        self.release(&payer, key);
        true
    }
}
