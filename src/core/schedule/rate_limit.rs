//! The operator's share of a quota that it has in common with the end users' own password recovery:
//! a token bucket for each account and Region, and in front of it a queue that is fair by namespace.
//!
//! A token is taken when a turn is given, and some time passes before the call leaves. So a second
//! limit counts every turn that is out or whose call ended within the last second: whatever pauses in
//! between, no second sees more calls than `rps + burst`.
//!
//! Time is a monotonic clock's, since any origin. The queue holds keys, never values.

use super::fair_queue::FairQueue;
use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    time::Duration,
};

/// How many turns of one budget are out at a time.
pub const TURNS_MAX: u32 = 16;

/// How many turns are out at a time after a call that got no reply, until a call gets one.
const TURNS_MAX_WITHOUT_REPLY: u32 = 2;

/// How many turns of all budgets together are out at a time.
const ALL_TURNS_MAX: u32 = 128;

/// So many of these are for services that have answered a call: tenants can make up any number of
/// Regions, and none of those answers.
const TURNS_FOR_ANSWERING: u32 = 32;

/// While urgent and other work wait, one turn in so many goes to the other work.
const TURNS_PER_RETRY: u32 = 4;

/// The span in which at most `rps + burst` calls leave.
const WINDOW: Duration = Duration::from_secs(1);

/// A throttled rate grows back from nothing to the full one in so many seconds.
const RECOVERY_SECONDS: f64 = 30.0;

/// The lowest rate, as a fraction of the full one.
const RATE_MIN: f64 = 0.1;

/// Whose turn comes first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Urgency {
    /// Nobody just asked for it: it is merely tried again.
    Unasked,
    /// Somebody just asked for it.
    Asked,
}

impl Urgency {
    /// The class in the queue.
    const fn class(self) -> usize {
        match self {
            Self::Asked => 0,
            Self::Unasked => 1,
        }
    }
}

/// How many calls the operator may make.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Limits {
    /// Calls a second, in the long run.
    pub rps: f64,
    /// Calls at once, after a rest.
    pub burst: u32,
}

impl Limits {
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

/// How a turn ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TurnEnd {
    /// The service answered the call.
    Answered,
    /// The call was made, and no reply came.
    NoReply,
    /// A call was made, and nothing is known of the service: the request may not have left.
    Unsent,
}

/// How many turns one budget may have out while all budgets together have `turns` out: no more than
/// are left for the others. So however many services hang, the next one still gets a turn.
#[must_use]
pub const fn room(turns: u32, has_answered: bool) -> u32 {
    let all = if has_answered {
        ALL_TURNS_MAX
    } else {
        ALL_TURNS_MAX - TURNS_FOR_ANSWERING
    };
    all.saturating_sub(turns)
}

/// A token bucket whose rate is halved when Cognito throttles, and recovers slowly.
#[derive(Clone, Debug)]
struct Bucket {
    limits: Limits,
    /// The present rate, at most `limits.rps`.
    rate: f64,
    tokens: f64,
    /// When `rate` and `tokens` were as they are.
    at: Duration,
    /// When the rate was halved last.
    halved_at: Option<Duration>,
}

impl Bucket {
    fn new(limits: Limits, now: Duration) -> Self {
        Self {
            limits,
            rate: limits.rps,
            tokens: f64::from(limits.burst),
            at: now,
            halved_at: None,
        }
    }

    /// A burst shrinks with the rate: after a rest at a lowered rate the whole of it would be
    /// throttled again.
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
        // Not the burst itself: 3 * 0.7 / 0.7 is less than 3.
        self.rate >= self.limits.rps && self.tokens >= self.capacity()
    }

    /// Calls that were under way together are throttled together, and count once.
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
        // Rounded up: a timer that fires too early would find nothing and be set to nothing again.
        Duration::from_secs_f64(missing / self.rate) + Duration::from_millis(1)
    }
}

/// Where a key is.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Place {
    Waits {
        namespace: String,
        ticket: u64,
        urgency: Urgency,
    },
    HasTurn,
}

/// The budget of one account and Region. A key waits, is given a turn, and ends it: by a call, or
/// by giving the token back because there is nothing to do any more.
#[derive(Clone, Debug)]
pub struct Budget<K> {
    bucket: Bucket,
    waiting: FairQueue<K, 2>,
    places: HashMap<K, Place>,
    tickets: u64,
    /// How many turns are out.
    turns: u32,
    /// When the calls of the last second ended, the earliest first.
    ended: VecDeque<Duration>,
    /// How many turns went to urgent work since one went to other work.
    urgent_in_a_row: u32,
    /// Whether the last call got no reply.
    is_hanging: bool,
}

impl<K: Clone + Eq + Hash> Budget<K> {
    /// A full budget in which nobody waits.
    #[must_use]
    pub fn new(limits: Limits, now: Duration) -> Self {
        Self {
            bucket: Bucket::new(limits, now),
            waiting: FairQueue::default(),
            places: HashMap::new(),
            tickets: 0,
            turns: 0,
            ended: VecDeque::new(),
            urgent_in_a_row: 0,
            is_hanging: false,
        }
    }

    /// Waits for a turn. A key that waits or has a turn already keeps its place; a key that has
    /// become urgent goes over to the urgent ones.
    pub fn wait(&mut self, namespace: &str, key: &K, urgency: Urgency) {
        match self.places.get(key) {
            Some(Place::HasTurn) => return,
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

    /// Gives the next turn, if there is a token and somebody who waits. `room` is how many turns may
    /// be out at a time as far as others are concerned.
    pub fn give(&mut self, now: Duration, room: u32) -> Option<K> {
        self.bucket.advance(now);
        if self.turns >= self.turns_max().min(room)
            || self.bucket.tokens < 1.0
            || self.until_window_has_room(now) != Some(Duration::ZERO)
        {
            return None;
        }
        let key = self.next_key()?;
        self.bucket.tokens -= 1.0;
        self.turns += 1;
        self.places.insert(key.clone(), Place::HasTurn);
        Some(key)
    }

    /// Urgent work first; but of so many turns one is for what merely is tried again, or urgent
    /// work that never ends would keep the rest waiting for ever.
    fn next_key(&mut self) -> Option<K> {
        let (urgent, other) = (Urgency::Asked.class(), Urgency::Unasked.class());
        let is_others_turn = self.urgent_in_a_row + 1 >= TURNS_PER_RETRY;
        if self.waiting.len(other) > 0 && (is_others_turn || self.waiting.len(urgent) == 0) {
            self.urgent_in_a_row = 0;
            return self.waiting.pop(other);
        }
        self.urgent_in_a_row = (self.urgent_in_a_row + 1).min(TURNS_PER_RETRY);
        self.waiting.pop(urgent)
    }

    /// How long until there is a turn to give, with this room. None: nobody waits, or no turn can be
    /// given before one that is out ends.
    #[must_use]
    pub fn next_turn(&mut self, now: Duration, room: u32) -> Option<Duration> {
        self.bucket.advance(now);
        if self.waiting.is_empty() || self.turns >= self.turns_max().min(room) {
            return None;
        }
        let window = self.until_window_has_room(now)?;
        Some(self.bucket.until_token().max(window))
    }

    /// How long until there is a token for everybody who waits, and one more: how long they wait if no
    /// turn is out for long.
    #[must_use]
    pub fn until_all(&mut self, now: Duration) -> Duration {
        self.bucket.advance(now);
        let waiting = u32::try_from(self.waiting()).unwrap_or(u32::MAX);
        self.bucket.until_tokens(f64::from(waiting) + 1.0)
    }

    /// Whether this key has a turn.
    #[must_use]
    pub fn has_turn(&self, key: &K) -> bool {
        self.places.get(key) == Some(&Place::HasTurn)
    }

    /// The turn was used for a call, which has ended. Answers with whether the key had a turn.
    pub fn used(&mut self, key: &K, end: TurnEnd, now: Duration) -> bool {
        if self.places.remove(key) != Some(Place::HasTurn) {
            return false;
        }
        self.turns -= 1;
        self.forget_ended(now);
        self.ended.push_back(now);
        match end {
            TurnEnd::Answered => self.is_hanging = false,
            TurnEnd::NoReply => self.is_hanging = true,
            TurnEnd::Unsent => {}
        }
        true
    }

    /// There is nothing to do for this key (any more): it waits no longer, and the token of a turn
    /// that it had goes back. Answers with whether the key had a turn.
    pub fn leave(&mut self, key: &K) -> bool {
        match self.places.remove(key) {
            None => false,
            Some(Place::HasTurn) => {
                self.turns -= 1;
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

    /// Cognito throttled a call that was sent then.
    pub fn throttled(&mut self, sent_at: Duration, now: Duration) {
        self.bucket.throttled(sent_at, now);
    }

    /// How many wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.places.len() - self.turns as usize
    }

    /// How many turns are out.
    #[must_use]
    pub const fn turns(&self) -> u32 {
        self.turns
    }

    /// Calls a second, at present.
    #[must_use]
    pub fn rate(&mut self, now: Duration) -> f64 {
        self.bucket.advance(now);
        self.bucket.rate
    }

    /// Whether it is as good as new: nobody waits or has a turn, no call ended within the last second,
    /// and the bucket is full.
    #[must_use]
    pub fn is_at_rest(&mut self, now: Duration) -> bool {
        self.bucket.advance(now);
        self.forget_ended(now);
        self.places.is_empty() && self.ended.is_empty() && self.bucket.is_full()
    }

    const fn turns_max(&self) -> u32 {
        if self.is_hanging {
            TURNS_MAX_WITHOUT_REPLY
        } else {
            TURNS_MAX
        }
    }

    /// How long until one more call may leave without a second that sees too many. None: not before a
    /// turn ends.
    fn until_window_has_room(&mut self, now: Duration) -> Option<Duration> {
        self.forget_ended(now);
        let calls = self.turns as usize + self.ended.len() + 1;
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

    const LIMITS: Limits = Limits {
        rps: 10.0,
        burst: 10,
    };

    /// Others need no turns.
    const ROOM: u32 = u32::MAX;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    fn budget() -> Budget<(String, u32)> {
        Budget::new(LIMITS, Duration::ZERO)
    }

    fn put(budget: &mut Budget<(String, u32)>, namespace: &str, keys: std::ops::Range<u32>) {
        for key in keys {
            budget.wait(namespace, &(namespace.to_owned(), key), Urgency::Asked);
        }
    }

    /// Turns given and used at once until this time, with the time of each.
    fn serve(budget: &mut Budget<(String, u32)>, until: f64) -> Vec<(Duration, (String, u32))> {
        let mut now = budget.bucket.at;
        let mut served = Vec::new();
        loop {
            while let Some(key) = budget.give(now, ROOM) {
                budget.used(&key, TurnEnd::Answered, now);
                served.push((now, key));
            }
            match budget.next_turn(now, ROOM) {
                Some(left) if now + left <= seconds(until) => now += left,
                Some(_) | None => return served,
            }
        }
    }

    #[test]
    fn one_change_does_not_wait_for_another_namespaces_ten_thousand() {
        let mut budget = budget();
        put(&mut budget, "busy", 0..10_000);
        serve(&mut budget, 1.0);
        put(&mut budget, "team-b", 0..1);
        let served = serve(&mut budget, 2.0);
        let at = served.iter().position(|(_, key)| key.0 == "team-b");
        assert!(at.is_some_and(|at| at < 2), "{at:?}");
    }

    #[test]
    fn namespaces_take_turns_and_within_one_the_first_comes_first() {
        let mut budget = budget();
        put(&mut budget, "a", 0..3);
        put(&mut budget, "b", 0..2);
        put(&mut budget, "c", 0..1);
        let order: Vec<_> = serve(&mut budget, 0.0)
            .into_iter()
            .map(|(_, (namespace, key))| format!("{namespace}{key}"))
            .collect();
        assert_eq!(order, ["a0", "b0", "c0", "a1", "b1", "a2"]);
    }

    #[test]
    fn what_was_asked_for_comes_before_what_was_not() {
        let mut budget = budget();
        let key = |name: u32| ("a".to_owned(), name);
        budget.wait("a", &key(1), Urgency::Unasked);
        budget.wait("a", &key(2), Urgency::Unasked);
        budget.wait("b", &("b".to_owned(), 3), Urgency::Asked);
        // It waits already, and is asked for now.
        budget.wait("a", &key(2), Urgency::Asked);
        budget.wait("a", &key(2), Urgency::Unasked);
        let order: Vec<_> = serve(&mut budget, 0.0)
            .into_iter()
            .map(|(_, key)| key.1)
            .collect();
        // Namespace a waits for longer.
        assert_eq!(order, [2, 3, 1]);
    }

    #[test]
    fn urgent_work_without_end_leaves_a_share_to_what_is_tried_again() {
        let mut budget = budget();
        let key = |name: u32| ("loop".to_owned(), name);
        for retry in 0..5 {
            let namespace = format!("ns-{retry}");
            budget.wait(&namespace, &(namespace.clone(), 0), Urgency::Unasked);
        }
        let (mut retries, mut turns, mut now) = (0, 0, Duration::ZERO);
        while retries < 5 {
            assert!(turns < 40, "{retries} of 5 after {turns} turns");
            // Somebody asks again whenever the last request was served.
            budget.wait("loop", &key(turns), Urgency::Asked);
            now += budget.next_turn(now, ROOM).expect("somebody waits");
            while let Some(served) = budget.give(now, ROOM) {
                turns += 1;
                retries += u32::from(served.0 != "loop");
                budget.used(&served, TurnEnd::Answered, now);
                budget.wait("loop", &key(turns), Urgency::Asked);
            }
        }
    }

    #[test]
    fn a_service_that_does_not_reply_gets_few_turns_until_it_does() {
        let limits = Limits {
            rps: 1_000.0,
            burst: 1_000,
        };
        let now = Duration::ZERO;
        let mut budget = Budget::new(limits, now);
        put(&mut budget, "a", 0..100);
        let all: Vec<_> = std::iter::from_fn(|| budget.give(now, ROOM)).collect();
        for key in &all {
            budget.used(key, TurnEnd::NoReply, now);
        }
        let few: Vec<_> = std::iter::from_fn(|| budget.give(now, ROOM)).collect();
        assert_eq!(few.len(), TURNS_MAX_WITHOUT_REPLY as usize);
        assert_eq!(budget.next_turn(now, ROOM), None, "no timer helps");
        budget.used(&few[0], TurnEnd::Unsent, now);
        assert!(budget.give(now, ROOM).is_some() && budget.give(now, ROOM).is_none());
        budget.used(&few[1], TurnEnd::Answered, now);
        let all: Vec<_> = std::iter::from_fn(|| budget.give(now, ROOM)).collect();
        assert_eq!(all.len(), TURNS_MAX as usize - 1);
    }

    #[test]
    fn services_that_hang_leave_turns_to_the_next_one_and_to_one_that_answered() {
        let mut turns = Vec::new();
        for _ in 0..1_500 {
            let mut own = 0;
            while own < TURNS_MAX.min(room(turns.iter().sum::<u32>() + own, false)) {
                own += 1;
            }
            turns.push(own);
        }
        let out: u32 = turns.iter().sum();
        let with_a_turn = turns.iter().filter(|own| **own > 0).count();
        assert!(with_a_turn >= 8, "{turns:?}");
        assert!(room(out, true) >= TURNS_FOR_ANSWERING, "{out}");
    }

    #[test]
    fn no_more_turns_are_out_than_others_leave_room_for() {
        let mut budget = budget();
        put(&mut budget, "a", 0..9);
        let now = Duration::ZERO;
        assert!(budget.give(now, 2).is_some() && budget.give(now, 2).is_some());
        assert_eq!(budget.give(now, 2), None);
        assert!(budget.give(now, 3).is_some());
    }

    #[test]
    fn a_turn_that_was_not_needed_goes_to_the_next() {
        let mut budget = budget();
        put(&mut budget, "a", 0..12);
        let now = Duration::ZERO;
        let given: Vec<_> = std::iter::from_fn(|| budget.give(now, ROOM)).collect();
        assert_eq!(given.len(), 10, "the burst");
        budget.leave(&given[0]);
        assert_eq!(budget.give(now, ROOM), Some(("a".to_owned(), 10)));
        assert_eq!(budget.give(now, ROOM), None);
        budget.used(&given[1], TurnEnd::Answered, now);
        assert_eq!(budget.give(now, ROOM), None, "a call was made of it");
    }

    #[test]
    fn calls_that_hang_leave_room_for_others() {
        let limits = Limits {
            rps: 1_000.0,
            burst: 1_000,
        };
        let mut budget = Budget::new(limits, Duration::ZERO);
        put(&mut budget, "a", 0..100);
        let given: Vec<_> = std::iter::from_fn(|| budget.give(Duration::ZERO, ROOM)).collect();
        assert_eq!(given.len(), TURNS_MAX as usize);
        assert_eq!(
            budget.next_turn(Duration::ZERO, ROOM),
            None,
            "no timer helps"
        );
        budget.used(&given[0], TurnEnd::Answered, Duration::ZERO);
        assert!(budget.give(Duration::ZERO, ROOM).is_some());
    }

    #[test]
    fn how_long_all_wait_at_most_is_told_by_the_tokens() {
        let mut budget = budget();
        put(&mut budget, "a", 0..30);
        // Of 31 tokens ten are there.
        let all = budget.until_all(Duration::ZERO).as_secs_f64();
        assert!((2.1..2.2).contains(&all), "{all}");
        let served = serve(&mut budget, 10.0);
        let last = served.last().expect("all are served").0.as_secs_f64();
        assert!(served.len() == 30 && last <= all, "{last}");
    }

    #[test]
    fn throttling_halves_the_rate_once_for_calls_sent_together() {
        let mut budget = budget();
        for _ in 0..6 {
            budget.throttled(seconds(0.5), seconds(1.0));
        }
        assert!((budget.rate(seconds(1.0)) - 5.0).abs() < 0.01);
        budget.throttled(seconds(1.5), seconds(2.0));
        assert!((budget.rate(seconds(2.0)) - 2.66).abs() < 0.02);
        let later = budget.rate(seconds(9.5));
        assert!((4.9..5.3).contains(&later), "7.5 s later it is {later}");
        assert!(budget.rate(seconds(32.0)) >= 10.0);
    }

    /// A server that takes so many calls in any second.
    fn under_a_limit(limit: usize, span: f64) -> (usize, usize) {
        let mut budget = budget();
        put(&mut budget, "a", 0..10_000);
        let mut taken: Vec<Duration> = Vec::new();
        let mut throttled = 0;
        let mut now = Duration::ZERO;
        while now < seconds(span) {
            while let Some(key) = budget.give(now, ROOM) {
                budget.used(&key, TurnEnd::Answered, now);
                let recent = taken.iter().rev();
                let recent = recent.take_while(|at| now < **at + seconds(1.0)).count();
                if recent < limit {
                    taken.push(now);
                } else {
                    throttled += 1;
                    budget.throttled(now, now);
                }
            }
            now += budget.next_turn(now, ROOM).expect("somebody waits");
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
            let limits = Limits {
                rps: f64::from(tenths) / 10.0,
                burst,
            };
            let mut budget = Budget::new(limits, Duration::ZERO);
            budget.wait("a", &0, Urgency::Asked);
            assert_eq!(budget.give(Duration::ZERO, ROOM), Some(0));
            budget.used(&0, TurnEnd::Answered, Duration::ZERO);
            assert!(budget.is_at_rest(seconds(1_000.0)), "{limits:?}");
        }
    }

    proptest! {
        /// Over any span no more is given than the burst and the rate allow, and none is lost.
        #[test]
        fn never_more_than_burst_and_rate_and_never_less(
            steps in proptest::collection::vec((0_u8..4, 0_u32..40, 0_u64..400), 1..200),
        ) {
            let mut budget = budget();
            let mut now = Duration::ZERO;
            let mut held: Vec<(String, u32)> = Vec::new();
            let mut calls = 0.0;
            for (what, key, wait) in steps {
                let key = (format!("ns-{}", key % 3), key);
                match what {
                    0 => budget.wait(&key.0.clone(), &key, Urgency::Asked),
                    1 => budget.wait(&key.0.clone(), &key, Urgency::Unasked),
                    2 => {
                        if let Some(key) = held.pop() {
                            budget.used(&key, TurnEnd::Answered, now);
                            calls += 1.0;
                        }
                    }
                    _ => {
                        held.retain(|other| *other != key);
                        budget.leave(&key);
                    }
                }
                now += Duration::from_millis(wait);
                while let Some(key) = budget.give(now, ROOM) {
                    prop_assert!(!held.contains(&key), "two turns for one");
                    held.push(key);
                }
                let given = calls + f64::from(u32::try_from(held.len()).expect("few"));
                prop_assert!(given <= 10.0 + 10.0 * now.as_secs_f64() + 1e-6);
                prop_assert_eq!(budget.turns as usize, held.len());
                prop_assert!(held.iter().all(|key| budget.has_turn(key)));
                // Whoever waits has a turn to come.
                let waits = budget.waiting() > 0 && held.len() < TURNS_MAX as usize;
                prop_assert_eq!(budget.next_turn(now, ROOM).is_some(), waits);
            }
            for key in held {
                budget.used(&key, TurnEnd::Answered, now);
            }
            let waiting = budget.waiting();
            let served = serve(&mut budget, now.as_secs_f64() + 100.0);
            prop_assert_eq!(served.len(), waiting);
            prop_assert!(budget.is_at_rest(now + seconds(300.0)));
        }

        /// Whatever pauses between a turn, its call and the call's end: in no second do more calls
        /// leave than `rps + burst`.
        #[test]
        fn no_second_sees_too_many_calls(
            rps in 0.5_f64..60.0,
            burst in 1_u32..60,
            steps in proptest::collection::vec((0_usize..20, 0_u64..300, prop::bool::weighted(0.05)), 1..400),
        ) {
            let limits = Limits { rps, burst };
            let mut budget = Budget::new(limits, Duration::ZERO);
            put(&mut budget, "a", 0..10_000);
            let mut now = Duration::ZERO;
            // When each turn was given, and whose it is.
            let mut out: Vec<(Duration, (String, u32))> = Vec::new();
            // The span in which each call left.
            let mut calls: Vec<(Duration, Duration)> = Vec::new();
            for (finished, wait, freeze) in steps {
                now += Duration::from_millis(if freeze { wait * 20 } else { wait });
                for _ in 0..finished.min(out.len()) {
                    let (given, key) = out.remove(0);
                    budget.used(&key, TurnEnd::Answered, now);
                    calls.push((given, now));
                }
                while let Some(key) = budget.give(now, ROOM) {
                    out.push((now, key));
                }
            }
            calls.extend(out.into_iter().map(|(given, _)| (given, now)));
            for (from, _) in &calls {
                for start in [*from, from.saturating_sub(WINDOW)] {
                    let within = calls.iter().filter(|(given, end)| *given <= start + WINDOW && *end >= start);
                    // Each call leaves at one moment of its span: as late as it can before `from`, and
                    // as early as it can after.
                    let leaves = within.filter(|(given, end)| (*given).max(start) <= (*end).min(start + WINDOW));
                    let leaves = u32::try_from(leaves.count()).expect("few");
                    prop_assert!(f64::from(leaves) <= rps + f64::from(burst), "{} in a second", leaves);
                }
            }
        }
    }
}
