use super::*;
use proptest::prelude::*;

const LIMITS: RateLimits = RateLimits {
    rps: 10.0,
    burst: 10,
};

const CATEGORIES: [Category; 4] = [
    Category::UserAccountRecovery,
    Category::UserList,
    Category::UserUpdate,
    Category::UserPoolRead,
];

/// Other rate limiters have no permits in use.
const ROOM: u32 = u32::MAX;

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn rate_limiter() -> RateLimiter<(String, u32)> {
    RateLimiter::new(LIMITS, Duration::ZERO)
}

fn put(rate_limiter: &mut RateLimiter<(String, u32)>, namespace: &str, keys: std::ops::Range<u32>) {
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
fn one_change_does_not_wait_for_ten_thousand_of_another_namespace() {
    let mut rate_limiter = rate_limiter();
    put(&mut rate_limiter, "busy", 0..10_000);
    serve(&mut rate_limiter, 1.0);
    put(&mut rate_limiter, "team-b", 0..1);
    let served = serve(&mut rate_limiter, 2.0);
    let at = served.iter().position(|(_, key)| key.0 == "team-b");
    assert!(at.is_some_and(|at| at < 2), "{at:?}");
}

#[test]
fn namespaces_rotate_and_within_a_namespace_the_first_key_comes_first() {
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
fn requested_sets_come_before_retries() {
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
fn endless_requests_leave_a_share_of_the_permits_to_retries() {
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
fn a_service_that_does_not_reply_gets_few_permits_until_it_replies() {
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
fn hanging_services_leave_permits_to_a_new_service_and_to_answering_ones() {
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
fn permits_in_use_stay_within_the_room_that_other_rate_limiters_leave() {
    let mut rate_limiter = rate_limiter();
    put(&mut rate_limiter, "a", 0..9);
    let now = Duration::ZERO;
    assert!(rate_limiter.give(now, 2).is_some() && rate_limiter.give(now, 2).is_some());
    assert_eq!(rate_limiter.give(now, 2), None);
    assert!(rate_limiter.give(now, 3).is_some());
}

#[test]
fn an_unneeded_permit_goes_to_the_next_key() {
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
    let given: Vec<_> = std::iter::from_fn(|| rate_limiter.give(Duration::ZERO, ROOM)).collect();
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
fn the_tokens_give_the_time_until_every_key_has_a_permit() {
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
fn under_a_lower_quota_most_of_the_quota_is_used_and_few_calls_are_throttled() {
    let (taken, throttled) = under_a_limit(4, 300.0);
    assert!(taken >= 4 * 300 * 7 / 10, "{taken} taken");
    assert!(throttled * 12 <= taken, "{throttled} of {taken} throttled");
}

#[test]
fn a_rate_limiter_of_any_limits_comes_to_rest() {
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
    fn calls_never_exceed_burst_and_rate_and_use_the_whole_rate(
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

    /// No second has more than `rps + burst` calls of a category, whatever pauses lie between a permit, its
    /// call and the call's end.
    #[test]
    fn no_second_sees_too_many_calls(
        category in prop::sample::select(CATEGORIES.to_vec()),
        rps in 0.5_f64..60.0,
        burst in 1_u32..60,
        steps in proptest::collection::vec((0_usize..20, 0_u64..300, prop::bool::weighted(0.05)), 1..400),
    ) {
        let limits = RateLimits { rps, burst }.of_category(category);
        let RateLimits { rps, burst } = limits;
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
