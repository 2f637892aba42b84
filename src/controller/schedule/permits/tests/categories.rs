//! Two categories of one account and Region don't take from one another, whatever happens in each.

use super::*;
use proptest::prelude::*;
use std::collections::HashMap;

const SIGN_OUTS: Category = Category::UserUpdate;

/// A step of one category.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A key begins to wait.
    Wait(u32, Urgency),
    /// The call of the permit that was given first ends.
    End(PermitEnd),
    /// A key leaves. The token of the key's permit goes back.
    Leave(u32),
    /// Cognito throttles a call that was sent this many milliseconds ago.
    Throttle(u64),
}

/// A category's step, after a pause in milliseconds.
type Event = (Category, Step, u64);

fn events() -> impl Strategy<Value = Vec<Event>> {
    let urgency = prop_oneof![Just(Urgency::Requested), Just(Urgency::Retry)];
    let end = prop_oneof![
        Just(PermitEnd::Answered),
        Just(PermitEnd::NoReply),
        Just(PermitEnd::Unsent)
    ];
    let step = prop_oneof![
        8 => (0_u32..30, urgency).prop_map(|(key, urgency)| Step::Wait(key, urgency)),
        4 => end.prop_map(Step::End),
        1 => (0_u32..30).prop_map(Step::Leave),
        1 => (0_u64..200).prop_map(Step::Throttle),
    ];
    let category = prop_oneof![Just(SETS), Just(SIGN_OUTS)];
    prop::collection::vec((category, step, 0_u64..150), 1..200)
}

/// The permits of one category.
#[derive(Default)]
struct Record {
    /// The keys whose permits are in use, in the order in which the permits were given.
    held: Vec<Key>,
    /// All permits that were given, each with its time.
    given: Vec<(Duration, Key)>,
    /// The number of tokens that went back.
    returned: usize,
}

/// Runs the events of these categories only. Returns the permits of `watched`, and when the last event was.
/// The pauses of all events pass.
fn run(
    limits: RateLimits,
    events: &[Event],
    categories: &[Category],
    watched: Category,
) -> (Record, Duration) {
    let mut state = State::new(limits);
    let mut records: HashMap<Category, Record> = HashMap::new();
    let mut now = Duration::ZERO;
    for (category, step, pause) in events {
        now += Duration::from_millis(*pause);
        if categories.contains(category) {
            let record = records.entry(*category).or_default();
            apply(&mut state, record, *category, *step, now);
        }
        let waiting: Vec<_> = state.rotation.values().cloned().collect();
        for payer in waiting {
            let record = records.entry(payer.category).or_default();
            for key in state.give(&payer, now) {
                record.held.push(key.clone());
                record.given.push((now, key));
            }
        }
        state.remove_idle(now);
        let held: usize = records.values().map(|record| record.held.len()).sum();
        assert_eq!(state.permits as usize, held);
    }
    (records.remove(&watched).unwrap_or_default(), now)
}

fn apply(
    state: &mut State<Key>,
    record: &mut Record,
    category: Category,
    step: Step,
    now: Duration,
) {
    let payer = payer_of(category, "eu-west-1_a");
    // Each category has its own keys, because a key waits in one category at a time.
    let key = |n: u32| key(&format!("{category}-{}", n % 3), n);
    match step {
        Step::Wait(n, urgency) => {
            if !record.held.contains(&key(n)) {
                state.wait(&key(n), &payer, urgency, now);
            }
        }
        Step::End(end) => {
            if !record.held.is_empty() {
                let key = record.held.remove(0);
                state.places.remove(&key);
                state.used(&payer, &key, end, now);
            }
        }
        Step::Leave(n) => {
            let before = record.held.len();
            record.held.retain(|held| *held != key(n));
            record.returned += before - record.held.len();
            state.leave(&key(n));
        }
        Step::Throttle(ago) => {
            let sent_at = now.saturating_sub(Duration::from_millis(ago));
            if let Some(rate_limiter) = state.rate_limiters.get_mut(&payer) {
                rate_limiter.throttled(sent_at, now);
            }
        }
    }
}

proptest! {
    /// A category is given the same permits at the same times, whether or not the other one is in use. So
    /// neither waiting keys, nor calls that hang, nor throttled calls of one category delay the other one.
    #[test]
    fn a_category_is_given_the_same_permits_with_and_without_another_one(
        events in events(),
        rps in 1.0_f64..50.0,
        burst in 1_u32..50,
    ) {
        let limits = RateLimits { rps, burst };
        for watched in [SETS, SIGN_OUTS] {
            let (alone, _) = run(limits, &events, &[watched], watched);
            let (beside, _) = run(limits, &events, &[SETS, SIGN_OUTS], watched);
            prop_assert_eq!(alone.given, beside.given);
        }
    }

    /// Each category stays within the burst and the rate of its own limits.
    #[test]
    fn a_category_has_no_more_permits_than_its_own_limits_allow(
        events in events(),
        rps in 1.0_f64..50.0,
        burst in 1_u32..50,
    ) {
        let limits = RateLimits { rps, burst };
        for watched in [SETS, SIGN_OUTS] {
            let (record, until) = run(limits, &events, &[SETS, SIGN_OUTS], watched);
            let calls = u32::try_from(record.given.len() - record.returned).expect("few");
            let RateLimits { rps, burst } = limits.of_category(watched);
            let most = f64::from(burst) + rps * until.as_secs_f64();
            prop_assert!(f64::from(calls) <= most + 1e-6, "{} calls, at most {}", calls, most);
        }
    }
}
