use super::*;
use crate::core::names::target::Account;
use crate::core::names::target::PoolId;
use futures::FutureExt;

fn key(namespace: &str, n: u32) -> Key {
    Key::new(namespace, &format!("bot-{n}"))
}

fn payer(pool: &str) -> Payer {
    let region = PoolId::parse(pool).expect("valid").region();
    (Account::OfSource, region)
}

fn call(permit: Result<Permit, PermitWait>) {
    permit.expect("a permit").calling();
}

#[tokio::test]
async fn who_waits_is_put_into_the_queue_when_the_turn_has_come() {
    let queue = Queue::default();
    let limits = RateLimits {
        rps: 50.0,
        burst: 1,
    };
    let permits = Permits::new(limits, queue.clone());
    let giving = tokio::spawn({
        let permits = permits.clone();
        async move { permits.give(&Metrics::new("0.0.0")).await }
    });
    let payer = payer("eu-west-1_a");
    call(permits.claim(&key("a", 0), &payer, Urgency::Requested));
    assert!(
        permits
            .claim(&key("a", 1), &payer, Urgency::Requested)
            .is_err()
    );
    assert_eq!(permits.waiting(), 1);
    assert_eq!(queue.take().await, key("a", 1));
    call(permits.claim(&key("a", 1), &payer, Urgency::Requested));
    assert_eq!(permits.waiting(), 0);
    giving.abort();
}

#[tokio::test]
async fn who_waits_for_others_calls_only_reads_and_says_nothing_until_then() {
    let queue = Queue::default();
    let limits = RateLimits {
        rps: 1_000.0,
        burst: 1_000,
    };
    let permits = Permits::new(limits, queue.clone());
    let payer = payer("eu-west-1_a");
    assert_eq!(
        permits.wait_for_permit(&key("a", 0), &payer),
        Ok(()),
        "there is room"
    );
    assert!(permits.has_permit(&key("a", 0)));
    let claim = |n| permits.claim(&key("a", n), &payer, Urgency::Requested);
    let mut out: Vec<_> = (0..16).flat_map(claim).collect();
    assert_eq!(out.len(), 16);
    let waits = permits
        .wait_for_permit(&key("a", 16), &payer)
        .expect_err("it waits");
    let quiet = waits.quiet.expect("not for tokens");
    assert!(quiet <= QUIET_MAX, "{quiet:?}");
    assert!(permits.holds(&key("a", 16)) && !permits.has_permit(&key("a", 16)));
    let waits = claim(17).err().expect("it waits");
    assert!(waits.quiet.is_some());
    queue.push(key("a", 99));
    out.truncate(15);
    assert_eq!(
        permits.give_due(&Metrics::new("0.0.0")),
        None,
        "all permits are out"
    );
    assert_eq!(
        queue.take().now_or_never(),
        Some(key("a", 16)),
        "before all"
    );
    assert!(permits.has_permit(&key("a", 16)));
    assert_eq!(permits.wait_for_permit(&key("a", 16), &payer), Ok(()));
    assert!(claim(16).is_ok());
}

#[tokio::test]
async fn who_waits_for_tokens_has_it_said() {
    let limits = RateLimits { rps: 0.5, burst: 1 };
    let permits = Permits::new(limits, Queue::default());
    let payer = payer("eu-west-1_a");
    call(permits.claim(&key("a", 0), &payer, Urgency::Requested));
    let said = PermitWait { quiet: None };
    assert_eq!(permits.wait_for_permit(&key("a", 1), &payer), Err(said));
    let waits = permits
        .claim(&key("a", 2), &payer, Urgency::Requested)
        .err();
    assert_eq!(waits, Some(said));
}

#[tokio::test]
async fn a_turn_that_was_not_used_is_the_next_ones() {
    let queue = Queue::default();
    let limits = RateLimits {
        rps: 0.001,
        burst: 1,
    };
    let permits = Permits::new(limits, queue.clone());
    let payer = payer("eu-west-1_a");
    let permit = permits.claim(&key("a", 0), &payer, Urgency::Requested);
    assert!(permit.is_ok());
    assert!(
        permits
            .claim(&key("a", 1), &payer, Urgency::Requested)
            .is_err()
    );
    assert!(
        permits
            .claim(&key("a", 2), &payer, Urgency::Requested)
            .is_err()
    );
    permits.leave(&key("a", 1));
    drop(permit);
    assert_eq!(permits.give_due(&Metrics::new("0.0.0")), None);
    assert_eq!(queue.take().now_or_never(), Some(key("a", 2)));
    assert_eq!(permits.waiting(), 0);
    call(permits.claim(&key("a", 2), &payer, Urgency::Requested));
    assert!(
        permits
            .claim(&key("a", 0), &payer, Urgency::Requested)
            .is_err()
    );
}

#[tokio::test]
async fn a_call_whose_resource_is_deleted_meanwhile_is_paid_for() {
    let queue = Queue::default();
    let limits = RateLimits {
        rps: 0.001,
        burst: 1,
    };
    let permits = Permits::new(limits, queue.clone());
    let payer = payer("eu-west-1_a");
    let mut permit = permits.claim(&key("a", 0), &payer, Urgency::Requested);
    permit.as_mut().expect("a permit").calling();
    permits.leave(&key("a", 0));
    assert!(
        permits
            .claim(&key("a", 1), &payer, Urgency::Requested)
            .is_err()
    );
    drop(permit);
    assert!(
        permits
            .claim(&key("a", 1), &payer, Urgency::Requested)
            .is_err()
    );
    assert_eq!(permits.waiting(), 1);
}

#[tokio::test]
async fn each_region_has_a_budget_of_its_own_and_no_more_are_kept_than_are_needed() {
    let queue = Queue::default();
    let limits = RateLimits { rps: 1e6, burst: 1 };
    let permits = Permits::new(limits, queue.clone());
    for n in 0..100 {
        let payer = payer(&format!("eu-west-{n}_a"));
        call(permits.claim(&key("a", n), &payer, Urgency::Requested));
    }
    let full = Instant::now() + Duration::from_mins(2);
    while !permits.lock().rate_limiters.is_empty() {
        assert!(Instant::now() < full, "rate_limiters at rest are kept");
        permits.give_due(&Metrics::new("0.0.0"));
    }
    assert!(permits.lock().places.is_empty());
}
