//! The rate limiter in front of Cognito. The end users' own password recovery uses the same quota, so the
//! operator takes only a share. Each account, Region and quota category has a token bucket, with a queue in
//! front that is fair by namespace.
//!
//! A permit takes a token, and some time passes before the call leaves. So a second limit counts each permit
//! that is in use, and each call that ended within the last second. With this limit, no second has more than
//! `rps + burst` calls, whatever pauses lie between permit and call.
//!
//! Times are those of a monotonic clock, since any origin. The queue contains keys, never values.

mod bucket;
mod category;

pub use bucket::RateLimits;
pub use category::Category;

use super::fair_queue::FairQueue;
use bucket::Bucket;
use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    time::Duration,
};

/// The maximum number of permits of one rate limiter in use at a time.
pub const PERMITS_MAX: u32 = 16;

/// The same maximum after a call without a reply, until a call gets a reply.
const PERMITS_MAX_WITHOUT_REPLY: u32 = 2;

/// The maximum number of permits of all rate limiters in use at a time.
const ALL_PERMITS_MAX: u32 = 128;

/// How many of these permits are reserved for services that answered the last call. Tenants can name any
/// number of Regions that do not exist, and no such Region answers.
const PERMITS_FOR_ANSWERING: u32 = 32;

/// While both classes wait, one permit in this many goes to [`Urgency::Retry`].
const PERMITS_PER_RETRY: u32 = 4;

/// The time in which at most `rps + burst` calls leave.
const WINDOW: Duration = Duration::from_secs(1);

/// The class of a key in the queue.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Urgency {
    /// A later try after failures. No person or program just asked for this set.
    Retry,
    /// A set that a person or program just asked for.
    Requested,
}

impl Urgency {
    /// The index of the class in the queue.
    const fn class(self) -> usize {
        match self {
            Self::Requested => 0,
            Self::Retry => 1,
        }
    }
}

/// How the call of a permit ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PermitEnd {
    /// The service answered the call.
    Answered,
    /// No reply came, or no connection to the service could be made.
    NoReply,
    /// The request may not have left. The call says nothing about the service.
    Unsent,
}

/// How many permits one rate limiter may have in use, while all rate limiters together have `permits` in use.
/// One rate limiter may have no more permits than are left for the others. So the next service gets a permit,
/// however many services hang.
#[must_use]
pub const fn room(permits: u32, has_answered: bool) -> u32 {
    let all = if has_answered {
        ALL_PERMITS_MAX
    } else {
        ALL_PERMITS_MAX - PERMITS_FOR_ANSWERING
    };
    all.saturating_sub(permits)
}

/// The state of a key in the rate limiter.
#[derive(Clone, PartialEq, Eq, Debug)]
enum KeyState {
    Waiting {
        namespace: String,
        ticket: u64,
        urgency: Urgency,
    },
    HasPermit,
}

/// The rate limiter of one account, Region and quota category. A key waits and is given a permit. The permit ends with a
/// call, or the key gives the token back because no call is needed any more.
#[derive(Clone, Debug)]
pub struct RateLimiter<K> {
    bucket: Bucket,
    waiting: FairQueue<K, 2>,
    places: HashMap<K, KeyState>,
    tickets: u64,
    /// The number of permits in use.
    permits: u32,
    /// When the calls of the last second ended, the earliest first.
    ended: VecDeque<Duration>,
    /// The number of permits for [`Urgency::Requested`] since the last permit for [`Urgency::Retry`].
    urgent_in_a_row: u32,
    /// Whether the last call got no reply.
    is_hanging: bool,
}

impl<K: Clone + Eq + Hash> RateLimiter<K> {
    /// Creates a rate limiter with a full bucket, in which no key waits.
    #[must_use]
    pub fn new(limits: RateLimits, now: Duration) -> Self {
        Self {
            bucket: Bucket::new(limits, now),
            waiting: FairQueue::default(),
            places: HashMap::new(),
            tickets: 0,
            permits: 0,
            ended: VecDeque::new(),
            urgent_in_a_row: 0,
            is_hanging: false,
        }
    }

    /// Lets a key wait for a permit. A key that waits or has a permit keeps its place. A waiting key whose
    /// urgency has risen moves to the class [`Urgency::Requested`].
    pub fn wait(&mut self, namespace: &str, key: &K, urgency: Urgency) {
        match self.places.get(key) {
            Some(KeyState::HasPermit) => return,
            Some(KeyState::Waiting { urgency: was, .. }) if *was >= urgency => return,
            Some(KeyState::Waiting { .. }) => {
                self.leave(key);
            }
            None => {}
        }
        self.tickets += 1;
        let ticket = self.tickets;
        self.waiting
            .push(urgency.class(), namespace, ticket, key.clone());
        let place = KeyState::Waiting {
            namespace: namespace.to_owned(),
            ticket,
            urgency,
        };
        self.places.insert(key.clone(), place);
    }

    /// Gives the next permit, if there is a token and a key waits. `room` is the maximum number of permits
    /// that all other rate limiters leave to this rate limiter.
    pub fn give(&mut self, now: Duration, room: u32) -> Option<K> {
        self.bucket.advance(now);
        if self.permits >= self.permits_max().min(room)
            || self.bucket.tokens < 1.0
            || self.until_window_admits(now) != Some(Duration::ZERO)
        {
            return None;
        }
        let key = self.next_key()?;
        self.bucket.tokens -= 1.0;
        self.permits += 1;
        self.places.insert(key.clone(), KeyState::HasPermit);
        Some(key)
    }

    /// Urgent keys come first. But one permit in [`PERMITS_PER_RETRY`] goes to a retry, because urgent work
    /// that never ends would keep the retries waiting for ever.
    fn next_key(&mut self) -> Option<K> {
        let (urgent, other) = (Urgency::Requested.class(), Urgency::Retry.class());
        let is_others_permit = self.urgent_in_a_row + 1 >= PERMITS_PER_RETRY;
        if self.waiting.len(other) > 0 && (is_others_permit || self.waiting.len(urgent) == 0) {
            self.urgent_in_a_row = 0;
            return self.waiting.pop(other);
        }
        self.urgent_in_a_row = (self.urgent_in_a_row + 1).min(PERMITS_PER_RETRY);
        self.waiting.pop(urgent)
    }

    /// The time until a permit can be given, with this `room`. None: no key waits, or a permit in use must
    /// end first.
    #[must_use]
    pub fn next_permit_in(&mut self, now: Duration, room: u32) -> Option<Duration> {
        self.bucket.advance(now);
        if self.waiting.is_empty() || self.permits >= self.permits_max().min(room) {
            return None;
        }
        let window = self.until_window_admits(now)?;
        Some(self.bucket.until_token().max(window))
    }

    /// The time until every waiting key, plus one newcomer, has a token, if no permit is in use for long.
    #[must_use]
    pub fn until_all(&mut self, now: Duration) -> Duration {
        self.bucket.advance(now);
        let waiting = u32::try_from(self.waiting()).unwrap_or(u32::MAX);
        self.bucket.until_tokens(f64::from(waiting) + 1.0)
    }

    /// Whether this key has a permit.
    #[must_use]
    pub fn has_permit(&self, key: &K) -> bool {
        self.places.get(key) == Some(&KeyState::HasPermit)
    }

    /// Ends a permit whose call was made. Returns whether the key had a permit.
    pub fn used(&mut self, key: &K, end: PermitEnd, now: Duration) -> bool {
        if self.places.remove(key) != Some(KeyState::HasPermit) {
            return false;
        }
        self.permits -= 1;
        self.forget_ended(now);
        self.ended.push_back(now);
        match end {
            PermitEnd::Answered => self.is_hanging = false,
            PermitEnd::NoReply => self.is_hanging = true,
            PermitEnd::Unsent => {}
        }
        true
    }

    /// Removes a key that needs no call (any more). If the key has a permit, the token goes back. Returns
    /// whether the key had a permit.
    pub fn leave(&mut self, key: &K) -> bool {
        match self.places.remove(key) {
            None => false,
            Some(KeyState::HasPermit) => {
                self.permits -= 1;
                self.bucket.tokens = (self.bucket.tokens + 1.0).min(self.bucket.capacity());
                true
            }
            Some(KeyState::Waiting {
                namespace,
                ticket,
                urgency,
            }) => {
                self.waiting.remove(urgency.class(), &namespace, ticket);
                false
            }
        }
    }

    /// Lowers the rate after Cognito throttled a call that was sent at `sent_at`.
    pub fn throttled(&mut self, sent_at: Duration, now: Duration) {
        self.bucket.throttled(sent_at, now);
    }

    /// The number of waiting keys.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.places.len() - self.permits as usize
    }

    /// The number of permits in use.
    #[must_use]
    pub const fn permits(&self) -> u32 {
        self.permits
    }

    /// The current rate, in calls per second.
    #[must_use]
    pub fn rate(&mut self, now: Duration) -> f64 {
        self.bucket.advance(now);
        self.bucket.rate
    }

    /// Whether the rate limiter is like a new one: no key waits or has a permit, no call ended within the
    /// last second, and the bucket is full.
    #[must_use]
    pub fn is_at_rest(&mut self, now: Duration) -> bool {
        self.bucket.advance(now);
        self.forget_ended(now);
        self.places.is_empty() && self.ended.is_empty() && self.bucket.is_full()
    }

    const fn permits_max(&self) -> u32 {
        if self.is_hanging {
            PERMITS_MAX_WITHOUT_REPLY
        } else {
            PERMITS_MAX
        }
    }

    /// The time until one more call may leave without exceeding the calls of any second. None: a permit must
    /// end first.
    fn until_window_admits(&mut self, now: Duration) -> Option<Duration> {
        self.forget_ended(now);
        let calls = self.permits as usize + self.ended.len() + 1;
        let Some(surplus) = calls.checked_sub(self.bucket.limits.calls_a_second() + 1) else {
            return Some(Duration::ZERO);
        };
        let end = self.ended.get(surplus)?;
        Some((*end + WINDOW).saturating_sub(now) + Duration::from_millis(1))
    }

    fn forget_ended(&mut self, now: Duration) {
        while self.ended.front().is_some_and(|end| *end + WINDOW < now) {
            self.ended.pop_front();
        }
    }
}

#[cfg(test)]
mod tests;
