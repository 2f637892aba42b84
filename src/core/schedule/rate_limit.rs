//! The rate limiter in front of Cognito. The end users' own password recovery uses the same quota, so the
//! operator takes only a share. Each account and Region has a token bucket, with a queue in front that is
//! fair by namespace.
//!
//! A permit takes a token, and some time passes before the call leaves. So a second limit counts each permit
//! that is in use, and each call that ended within the last second. With this limit, no second has more than
//! `rps + burst` calls, whatever pauses lie between permit and call.
//!
//! Times are those of a monotonic clock, since any origin. The queue contains keys, never values.

use super::fair_queue::FairQueue;
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

/// How long the rate takes to grow from nothing to the full rate.
const RECOVERY_SECONDS: f64 = 30.0;

/// The lowest rate, as a fraction of the full rate.
const RATE_MIN: f64 = 0.1;

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

/// How many calls the operator may make to one account and Region.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct RateLimits {
    /// Calls per second, in the long run.
    pub rps: f64,
    /// Calls at once, after a rest.
    pub burst: u32,
}

impl RateLimits {
    /// How many calls may leave in any second: at least one.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the command line takes 0.01 to 10,000 calls a second, and a burst of 1 to 10,000"
    )]
    fn calls_a_second(self) -> usize {
        (self.rps + f64::from(self.burst)).max(1.0) as usize
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

/// A token bucket. The rate is halved when Cognito throttles, and recovers slowly.
#[derive(Clone, Debug)]
struct Bucket {
    limits: RateLimits,
    /// The current rate in calls per second, at most `limits.rps`.
    rate: f64,
    tokens: f64,
    /// The time at which `rate` and `tokens` were computed.
    at: Duration,
    /// When the rate was last halved.
    halved_at: Option<Duration>,
}

impl Bucket {
    fn new(limits: RateLimits, now: Duration) -> Self {
        Self {
            limits,
            rate: limits.rps,
            tokens: f64::from(limits.burst),
            at: now,
            halved_at: None,
        }
    }

    /// The burst shrinks with the rate. After a rest at a lowered rate, Cognito would throttle a full burst
    /// again.
    fn capacity(&self) -> f64 {
        (f64::from(self.limits.burst) * self.rate / self.limits.rps).max(1.0)
    }

    fn advance(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.at = self.at.max(now);
        self.tokens = (self.tokens + self.rate * passed).min(self.capacity());
        let recovered = self.rate + self.limits.rps * passed / RECOVERY_SECONDS;
        self.rate = recovered.min(self.limits.rps);
    }

    fn is_full(&self) -> bool {
        // Compared with the capacity and not with the burst: 3 * 0.7 / 0.7 is less than 3.
        self.rate >= self.limits.rps && self.tokens >= self.capacity()
    }

    /// Halves the rate, unless the call was sent before the last halving. Cognito throttles calls that are in
    /// flight together, and such calls count once.
    fn throttled(&mut self, sent_at: Duration, now: Duration) {
        self.advance(now);
        if self.halved_at.is_some_and(|halved| sent_at < halved) {
            return;
        }
        self.rate = (self.rate / 2.0).max(self.limits.rps * RATE_MIN);
        self.tokens = 0.0;
        self.halved_at = Some(now);
    }

    fn until_token(&self) -> Duration {
        self.until_tokens(1.0)
    }

    fn until_tokens(&self, tokens: f64) -> Duration {
        let missing = (tokens - self.tokens).max(0.0);
        // Rounded up: a timer that fires too early would find no token and be set to zero again.
        Duration::from_secs_f64(missing / self.rate) + Duration::from_millis(1)
    }
}

/// The state of a key in the rate limiter.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Place {
    Waits {
        namespace: String,
        ticket: u64,
        urgency: Urgency,
    },
    HasPermit,
}

/// The rate limiter of one account and Region. A key waits and is given a permit. The permit ends with a
/// call, or the key gives the token back because no call is needed any more.
#[derive(Clone, Debug)]
pub struct RateLimiter<K> {
    bucket: Bucket,
    waiting: FairQueue<K, 2>,
    places: HashMap<K, Place>,
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
            Some(Place::HasPermit) => return,
            Some(Place::Waits { urgency: was, .. }) if *was >= urgency => return,
            Some(Place::Waits { .. }) => {
                self.leave(key);
            }
            None => {}
        }
        self.tickets += 1;
        let ticket = self.tickets;
        self.waiting
            .push(urgency.class(), namespace, ticket, key.clone());
        let place = Place::Waits {
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
            || self.until_window_has_room(now) != Some(Duration::ZERO)
        {
            return None;
        }
        let key = self.next_key()?;
        self.bucket.tokens -= 1.0;
        self.permits += 1;
        self.places.insert(key.clone(), Place::HasPermit);
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
        let window = self.until_window_has_room(now)?;
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
        self.places.get(key) == Some(&Place::HasPermit)
    }

    /// Ends a permit whose call was made. Returns whether the key had a permit.
    pub fn used(&mut self, key: &K, end: PermitEnd, now: Duration) -> bool {
        if self.places.remove(key) != Some(Place::HasPermit) {
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
            Some(Place::HasPermit) => {
                self.permits -= 1;
                self.bucket.tokens = (self.bucket.tokens + 1.0).min(self.bucket.capacity());
                true
            }
            Some(Place::Waits {
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
    fn until_window_has_room(&mut self, now: Duration) -> Option<Duration> {
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: RateLimits = RateLimits {
        rps: 10.0,
        burst: 10,
    };

    /// Other rate limiters have no permits in use.
    const ROOM: u32 = u32::MAX;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    fn rate_limiter() -> RateLimiter<(String, u32)> {
        RateLimiter::new(LIMITS, Duration::ZERO)
    }

    fn put(
        rate_limiter: &mut RateLimiter<(String, u32)>,
        namespace: &str,
        keys: std::ops::Range<u32>,
    ) {
        for key in keys {
            rate_limiter.wait(namespace, &(namespace.to_owned(), key), Urgency::Requested);
        }
    }

    /// The permits that are given and used at once until this time, with the time of each permit.
    fn serve(
        rate_limiter: &mut RateLimiter<(String, u32)>,
        until: f64,
    ) -> Vec<(Duration, (String, u32))> {
        let mut now = rate_limiter.bucket.at;
        let mut served = Vec::new();
        loop {
            while let Some(key) = rate_limiter.give(now, ROOM) {
                rate_limiter.used(&key, PermitEnd::Answered, now);
                served.push((now, key));
            }
            match rate_limiter.next_permit_in(now, ROOM) {
                Some(left) if now + left <= seconds(until) => now += left,
                Some(_) | None => return served,
            }
        }
    }

    #[test]
    fn one_change_does_not_wait_for_another_namespaces_ten_thousand() {
        let mut rate_limiter = rate_limiter();
        put(&mut rate_limiter, "busy", 0..10_000);
        serve(&mut rate_limiter, 1.0);
        put(&mut rate_limiter, "team-b", 0..1);
        let served = serve(&mut rate_limiter, 2.0);
        let at = served.iter().position(|(_, key)| key.0 == "team-b");
        assert!(at.is_some_and(|at| at < 2), "{at:?}");
    }

    #[test]
    fn namespaces_take_turns_and_within_one_the_first_comes_first() {
        let mut rate_limiter = rate_limiter();
        put(&mut rate_limiter, "a", 0..3);
        put(&mut rate_limiter, "b", 0..2);
        put(&mut rate_limiter, "c", 0..1);
        let order: Vec<_> = serve(&mut rate_limiter, 0.0)
            .into_iter()
            .map(|(_, (namespace, key))| format!("{namespace}{key}"))
            .collect();
        assert_eq!(order, ["a0", "b0", "c0", "a1", "b1", "a2"]);
    }

    #[test]
    fn what_was_asked_for_comes_before_what_was_not() {
        let mut rate_limiter = rate_limiter();
        let key = |name: u32| ("a".to_owned(), name);
        rate_limiter.wait("a", &key(1), Urgency::Retry);
        rate_limiter.wait("a", &key(2), Urgency::Retry);
        rate_limiter.wait("b", &("b".to_owned(), 3), Urgency::Requested);
        // The key waits as a retry already and becomes urgent.
        rate_limiter.wait("a", &key(2), Urgency::Requested);
        rate_limiter.wait("a", &key(2), Urgency::Retry);
        let order: Vec<_> = serve(&mut rate_limiter, 0.0)
            .into_iter()
            .map(|(_, key)| key.1)
            .collect();
        // Namespace a began to wait first.
        assert_eq!(order, [2, 3, 1]);
    }

    #[test]
    fn urgent_work_without_end_leaves_a_share_to_what_is_tried_again() {
        let mut rate_limiter = rate_limiter();
        let key = |name: u32| ("loop".to_owned(), name);
        for retry in 0..5 {
            let namespace = format!("ns-{retry}");
            rate_limiter.wait(&namespace, &(namespace.clone(), 0), Urgency::Retry);
        }
        let (mut retries, mut permits, mut now) = (0, 0, Duration::ZERO);
        while retries < 5 {
            assert!(permits < 40, "{retries} of 5 after {permits} permits");
            // The namespace `loop` requests another set after each of its calls.
            rate_limiter.wait("loop", &key(permits), Urgency::Requested);
            now += rate_limiter
                .next_permit_in(now, ROOM)
                .expect("somebody waits");
            while let Some(served) = rate_limiter.give(now, ROOM) {
                permits += 1;
                retries += u32::from(served.0 != "loop");
                rate_limiter.used(&served, PermitEnd::Answered, now);
                rate_limiter.wait("loop", &key(permits), Urgency::Requested);
            }
        }
    }

    #[test]
    fn a_service_that_does_not_reply_gets_few_turns_until_it_does() {
        let limits = RateLimits {
            rps: 1_000.0,
            burst: 1_000,
        };
        let now = Duration::ZERO;
        let mut rate_limiter = RateLimiter::new(limits, now);
        put(&mut rate_limiter, "a", 0..100);
        let all: Vec<_> = std::iter::from_fn(|| rate_limiter.give(now, ROOM)).collect();
        for key in &all {
            rate_limiter.used(key, PermitEnd::NoReply, now);
        }
        let few: Vec<_> = std::iter::from_fn(|| rate_limiter.give(now, ROOM)).collect();
        assert_eq!(few.len(), PERMITS_MAX_WITHOUT_REPLY as usize);
        assert_eq!(
            rate_limiter.next_permit_in(now, ROOM),
            None,
            "no timer helps"
        );
        rate_limiter.used(&few[0], PermitEnd::Unsent, now);
        assert!(rate_limiter.give(now, ROOM).is_some() && rate_limiter.give(now, ROOM).is_none());
        rate_limiter.used(&few[1], PermitEnd::Answered, now);
        let all: Vec<_> = std::iter::from_fn(|| rate_limiter.give(now, ROOM)).collect();
        assert_eq!(all.len(), PERMITS_MAX as usize - 1);
    }

    #[test]
    fn services_that_hang_leave_turns_to_the_next_one_and_to_one_that_answered() {
        let mut permits = Vec::new();
        for _ in 0..1_500 {
            let mut own = 0;
            while own < PERMITS_MAX.min(room(permits.iter().sum::<u32>() + own, false)) {
                own += 1;
            }
            permits.push(own);
        }
        let out: u32 = permits.iter().sum();
        let with_a_permit = permits.iter().filter(|own| **own > 0).count();
        assert!(with_a_permit >= 8, "{permits:?}");
        assert!(room(out, true) >= PERMITS_FOR_ANSWERING, "{out}");
    }

    #[test]
    fn no_more_turns_are_out_than_others_leave_room_for() {
        let mut rate_limiter = rate_limiter();
        put(&mut rate_limiter, "a", 0..9);
        let now = Duration::ZERO;
        assert!(rate_limiter.give(now, 2).is_some() && rate_limiter.give(now, 2).is_some());
        assert_eq!(rate_limiter.give(now, 2), None);
        assert!(rate_limiter.give(now, 3).is_some());
    }

    #[test]
    fn a_turn_that_was_not_needed_goes_to_the_next() {
        let mut rate_limiter = rate_limiter();
        put(&mut rate_limiter, "a", 0..12);
        let now = Duration::ZERO;
        let given: Vec<_> = std::iter::from_fn(|| rate_limiter.give(now, ROOM)).collect();
        assert_eq!(given.len(), 10, "the burst");
        rate_limiter.leave(&given[0]);
        assert_eq!(rate_limiter.give(now, ROOM), Some(("a".to_owned(), 10)));
        assert_eq!(rate_limiter.give(now, ROOM), None);
        rate_limiter.used(&given[1], PermitEnd::Answered, now);
        assert_eq!(rate_limiter.give(now, ROOM), None, "a call was made of it");
    }

    #[test]
    fn calls_that_hang_leave_room_for_others() {
        let limits = RateLimits {
            rps: 1_000.0,
            burst: 1_000,
        };
        let mut rate_limiter = RateLimiter::new(limits, Duration::ZERO);
        put(&mut rate_limiter, "a", 0..100);
        let given: Vec<_> =
            std::iter::from_fn(|| rate_limiter.give(Duration::ZERO, ROOM)).collect();
        assert_eq!(given.len(), PERMITS_MAX as usize);
        assert_eq!(
            rate_limiter.next_permit_in(Duration::ZERO, ROOM),
            None,
            "no timer helps"
        );
        rate_limiter.used(&given[0], PermitEnd::Answered, Duration::ZERO);
        assert!(rate_limiter.give(Duration::ZERO, ROOM).is_some());
    }

    #[test]
    fn how_long_all_wait_at_most_is_told_by_the_tokens() {
        let mut rate_limiter = rate_limiter();
        put(&mut rate_limiter, "a", 0..30);
        // Ten of the 31 tokens are there.
        let all = rate_limiter.until_all(Duration::ZERO).as_secs_f64();
        assert!((2.1..2.2).contains(&all), "{all}");
        let served = serve(&mut rate_limiter, 10.0);
        let last = served.last().expect("all are served").0.as_secs_f64();
        assert!(served.len() == 30 && last <= all, "{last}");
    }

    #[test]
    fn throttling_halves_the_rate_once_for_calls_sent_together() {
        let mut rate_limiter = rate_limiter();
        for _ in 0..6 {
            rate_limiter.throttled(seconds(0.5), seconds(1.0));
        }
        assert!((rate_limiter.rate(seconds(1.0)) - 5.0).abs() < 0.01);
        rate_limiter.throttled(seconds(1.5), seconds(2.0));
        assert!((rate_limiter.rate(seconds(2.0)) - 2.66).abs() < 0.02);
        let later = rate_limiter.rate(seconds(9.5));
        assert!((4.9..5.3).contains(&later), "7.5 s later it is {later}");
        assert!(rate_limiter.rate(seconds(32.0)) >= 10.0);
    }

    /// The calls that a server with this limit per second accepts and throttles.
    fn under_a_limit(limit: usize, span: f64) -> (usize, usize) {
        let mut rate_limiter = rate_limiter();
        put(&mut rate_limiter, "a", 0..10_000);
        let mut taken: Vec<Duration> = Vec::new();
        let mut throttled = 0;
        let mut now = Duration::ZERO;
        while now < seconds(span) {
            while let Some(key) = rate_limiter.give(now, ROOM) {
                rate_limiter.used(&key, PermitEnd::Answered, now);
                let recent = taken.iter().rev();
                let recent = recent.take_while(|at| now < **at + seconds(1.0)).count();
                if recent < limit {
                    taken.push(now);
                } else {
                    throttled += 1;
                    rate_limiter.throttled(now, now);
                }
            }
            now += rate_limiter
                .next_permit_in(now, ROOM)
                .expect("somebody waits");
        }
        (taken.len(), throttled)
    }

    #[test]
    fn under_a_lower_limit_most_of_it_is_used_and_little_is_throttled() {
        let (taken, throttled) = under_a_limit(4, 300.0);
        assert!(taken >= 4 * 300 * 7 / 10, "{taken} taken");
        assert!(throttled * 12 <= taken, "{throttled} of {taken} throttled");
    }

    #[test]
    fn whatever_its_limits_it_comes_to_rest() {
        for (burst, tenths) in (1..20).flat_map(|burst| (1..200).map(move |rps| (burst, rps))) {
            let limits = RateLimits {
                rps: f64::from(tenths) / 10.0,
                burst,
            };
            let mut rate_limiter = RateLimiter::new(limits, Duration::ZERO);
            rate_limiter.wait("a", &0, Urgency::Requested);
            assert_eq!(rate_limiter.give(Duration::ZERO, ROOM), Some(0));
            rate_limiter.used(&0, PermitEnd::Answered, Duration::ZERO);
            assert!(rate_limiter.is_at_rest(seconds(1_000.0)), "{limits:?}");
        }
    }

    proptest! {
        /// Over any span the rate limiter gives no more permits than burst and rate allow, and loses no key.
        #[test]
        fn never_more_than_burst_and_rate_and_never_less(
            steps in proptest::collection::vec((0_u8..4, 0_u32..40, 0_u64..400), 1..200),
        ) {
            let mut rate_limiter = rate_limiter();
            let mut now = Duration::ZERO;
            let mut held: Vec<(String, u32)> = Vec::new();
            let mut calls = 0.0;
            for (what, key, wait) in steps {
                let key = (format!("ns-{}", key % 3), key);
                match what {
                    0 => rate_limiter.wait(&key.0.clone(), &key, Urgency::Requested),
                    1 => rate_limiter.wait(&key.0.clone(), &key, Urgency::Retry),
                    2 => {
                        if let Some(key) = held.pop() {
                            rate_limiter.used(&key, PermitEnd::Answered, now);
                            calls += 1.0;
                        }
                    }
                    _ => {
                        held.retain(|other| *other != key);
                        rate_limiter.leave(&key);
                    }
                }
                now += Duration::from_millis(wait);
                while let Some(key) = rate_limiter.give(now, ROOM) {
                    prop_assert!(!held.contains(&key), "two permits for one");
                    held.push(key);
                }
                let given = calls + f64::from(u32::try_from(held.len()).expect("few"));
                prop_assert!(given <= 10.0 + 10.0 * now.as_secs_f64() + 1e-6);
                prop_assert_eq!(rate_limiter.permits as usize, held.len());
                prop_assert!(held.iter().all(|key| rate_limiter.has_permit(key)));
                // A permit is due for each waiting key.
                let waits = rate_limiter.waiting() > 0 && held.len() < PERMITS_MAX as usize;
                prop_assert_eq!(rate_limiter.next_permit_in(now, ROOM).is_some(), waits);
            }
            for key in held {
                rate_limiter.used(&key, PermitEnd::Answered, now);
            }
            let waiting = rate_limiter.waiting();
            let served = serve(&mut rate_limiter, now.as_secs_f64() + 100.0);
            prop_assert_eq!(served.len(), waiting);
            prop_assert!(rate_limiter.is_at_rest(now + seconds(300.0)));
        }

        /// No second has more than `rps + burst` calls, whatever pauses lie between a permit, its call and
        /// the call's end.
        #[test]
        fn no_second_sees_too_many_calls(
            rps in 0.5_f64..60.0,
            burst in 1_u32..60,
            steps in proptest::collection::vec((0_usize..20, 0_u64..300, prop::bool::weighted(0.05)), 1..400),
        ) {
            let limits = RateLimits { rps, burst };
            let mut rate_limiter = RateLimiter::new(limits, Duration::ZERO);
            put(&mut rate_limiter, "a", 0..10_000);
            let mut now = Duration::ZERO;
            // When each permit was given, and to which key.
            let mut out: Vec<(Duration, (String, u32))> = Vec::new();
            // The span in which each call left.
            let mut calls: Vec<(Duration, Duration)> = Vec::new();
            for (finished, wait, freeze) in steps {
                now += Duration::from_millis(if freeze { wait * 20 } else { wait });
                for _ in 0..finished.min(out.len()) {
                    let (given, key) = out.remove(0);
                    rate_limiter.used(&key, PermitEnd::Answered, now);
                    calls.push((given, now));
                }
                while let Some(key) = rate_limiter.give(now, ROOM) {
                    out.push((now, key));
                }
            }
            calls.extend(out.into_iter().map(|(given, _)| (given, now)));
            for (from, _) in &calls {
                for start in [*from, from.saturating_sub(WINDOW)] {
                    let within = calls.iter().filter(|(given, end)| *given <= start + WINDOW && *end >= start);
                    // Each call leaves at one moment of its span: as late as possible before `from`, and as
                    // early as possible after `from`.
                    let leaves = within.filter(|(given, end)| (*given).max(start) <= (*end).min(start + WINDOW));
                    let leaves = u32::try_from(leaves.count()).expect("few");
                    prop_assert!(f64::from(leaves) <= rps + f64::from(burst), "{} in a second", leaves);
                }
            }
        }
    }
}
