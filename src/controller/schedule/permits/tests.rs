use super::*;
use crate::core::names::target::{Account, PoolId};
use futures::FutureExt;

fn key(namespace: &str, n: u32) -> Key {
    Key::new(namespace, &format!("bot-{n}"))
}

fn payer(pool: &str) -> Payer {
    let region = PoolId::parse(pool).expect("valid").region();
    (Account::OfSource, region)
}

/// Permits of which each payer gets one, and the next after `1 / rps` seconds.
fn one_permit(rps: f64, queue: &Queue) -> Permits {
    Permits::new(RateLimits { rps, burst: 1 }, queue.clone())
}

fn claim(permits: &Permits, key: &Key, payer: &Payer) -> Result<Permit, PermitWait> {
    permits.claim(key, payer, Urgency::Requested)
}

/// The key has a permit, and the call is made.
fn call(permits: &Permits, key: &Key, payer: &Payer) {
    claim(permits, key, payer).expect("a permit").calling();
}

fn assert_waits(permits: &Permits, key: &Key, payer: &Payer) {
    assert!(claim(permits, key, payer).is_err(), "{key} has a permit");
}

#[tokio::test]
async fn a_waiting_key_is_queued_first_once_its_permit_is_given() {
    let queue = Queue::default();
    let permits = one_permit(50.0, &queue);
    let giving = tokio::spawn({
        let permits = permits.clone();
        async move { permits.give(&Metrics::new("0.0.0")).await }
    });
    let payer = payer("eu-west-1_a");
    call(&permits, &key("a", 0), &payer);
    assert_waits(&permits, &key("a", 1), &payer);
    assert_eq!(permits.waiting(), 1);
    assert_eq!(queue.take().await, key("a", 1));
    call(&permits, &key("a", 1), &payer);
    assert_eq!(permits.waiting(), 0);
    giving.abort();
}

#[tokio::test]
async fn a_short_wait_for_earlier_calls_is_not_reported() {
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
    let claimed = |n| claim(&permits, &key("a", n), &payer);
    let mut out: Vec<_> = (0..16).flat_map(claimed).collect();
    assert_eq!(out.len(), 16);
    let waits = permits
        .wait_for_permit(&key("a", 16), &payer)
        .expect_err("it waits");
    let report_after = waits.report_after.expect("not for tokens");
    assert!(report_after <= REPORT_AFTER_MAX, "{report_after:?}");
    assert!(permits.contains(&key("a", 16)) && !permits.has_permit(&key("a", 16)));
    let waits = claimed(17).err().expect("it waits");
    assert!(waits.report_after.is_some());
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
    assert!(claimed(16).is_ok());
}

#[tokio::test]
async fn a_wait_for_tokens_is_reported_at_once() {
    let permits = one_permit(0.5, &Queue::default());
    let payer = payer("eu-west-1_a");
    call(&permits, &key("a", 0), &payer);
    let wait = PermitWait { report_after: None };
    assert_eq!(permits.wait_for_permit(&key("a", 1), &payer), Err(wait));
    let waits = claim(&permits, &key("a", 2), &payer).err();
    assert_eq!(waits, Some(wait));
}

#[tokio::test]
async fn an_unused_permit_goes_to_the_next_key() {
    let queue = Queue::default();
    let permits = one_permit(0.001, &queue);
    let payer = payer("eu-west-1_a");
    let permit = claim(&permits, &key("a", 0), &payer);
    assert!(permit.is_ok());
    assert_waits(&permits, &key("a", 1), &payer);
    assert_waits(&permits, &key("a", 2), &payer);
    permits.leave(&key("a", 1));
    drop(permit);
    assert_eq!(permits.give_due(&Metrics::new("0.0.0")), None);
    assert_eq!(queue.take().now_or_never(), Some(key("a", 2)));
    assert_eq!(permits.waiting(), 0);
    call(&permits, &key("a", 2), &payer);
    assert_waits(&permits, &key("a", 0), &payer);
}

#[tokio::test]
async fn a_call_keeps_its_token_spent_if_its_resource_is_deleted_meanwhile() {
    let queue = Queue::default();
    let permits = one_permit(0.001, &queue);
    let payer = payer("eu-west-1_a");
    let mut permit = claim(&permits, &key("a", 0), &payer);
    permit.as_mut().expect("a permit").calling();
    permits.leave(&key("a", 0));
    assert_waits(&permits, &key("a", 1), &payer);
    drop(permit);
    assert_waits(&permits, &key("a", 1), &payer);
    assert_eq!(permits.waiting(), 1);
}

#[tokio::test]
async fn each_region_has_its_own_rate_limiter_and_idle_ones_are_removed() {
    let queue = Queue::default();
    let permits = one_permit(1e6, &queue);
    for n in 0..100 {
        let payer = payer(&format!("eu-west-{n}_a"));
        call(&permits, &key("a", n), &payer);
    }
    let full = Instant::now() + Duration::from_mins(2);
    while !permits.lock().rate_limiters.is_empty() {
        assert!(Instant::now() < full, "idle rate limiters are kept");
        permits.give_due(&Metrics::new("0.0.0"));
    }
    assert!(permits.lock().places.is_empty());
}
