use super::*;
use crate::{
    controller::{schedule::queue::Queue, state::key::Key},
    core::names::target::{Account, PoolId},
};
use futures::FutureExt;
use rstest::rstest;
use std::fmt;

mod categories;

const SETS: Category = Category::UserAccountRecovery;

fn key(namespace: &str, n: u32) -> Key {
    Key::new(namespace, &format!("bot-{n}"))
}

fn payer(pool: &str) -> Payer {
    payer_of(SETS, pool)
}

fn payer_of(category: Category, pool: &str) -> Payer {
    Payer {
        account: Account::OfSource,
        region: PoolId::parse(pool).expect("valid").region(),
        category,
    }
}

/// Permits of which each payer gets one, and the next after `1 / rps` seconds.
fn one_permit(rps: f64, queue: &Queue) -> Permits<Key> {
    Permits::new(RateLimits { rps, burst: 1 }, queue.clone())
}

fn claim<K: Waiter>(permits: &Permits<K>, key: &K, payer: &Payer) -> Result<Permit<K>, PermitWait> {
    permits.claim(key, payer, Urgency::Requested)
}

/// The key has a permit, and the call is made.
fn call(permits: &Permits<Key>, key: &Key, payer: &Payer) {
    claim(permits, key, payer).expect("a permit").calling();
}

fn assert_waits(permits: &Permits<Key>, key: &Key, payer: &Payer) {
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
    assert_eq!(permits.waiting(SETS), 1);
    assert_eq!(queue.take().await, key("a", 1));
    call(&permits, &key("a", 1), &payer);
    assert_eq!(permits.waiting(SETS), 0);
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
    assert_eq!(permits.waiting(SETS), 0);
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
    assert_eq!(permits.waiting(SETS), 1);
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

#[rstest]
#[case::of_sets(SETS, 10)]
#[case::of_lists(Category::UserList, 3)]
#[case::of_sign_outs(Category::UserUpdate, 5)]
#[case::of_pools(Category::UserPoolRead, 1)]
#[tokio::test]
async fn each_category_has_its_own_limits(#[case] category: Category, #[case] burst: usize) {
    // A rate so low that no further permit comes during the test.
    let limits = RateLimits {
        rps: 0.001,
        burst: 10,
    };
    let permits = Permits::new(limits, Queue::default());
    for n in 0..10 {
        call(&permits, &key("sets", n), &payer("eu-west-1_a"));
    }
    let pool = match category {
        // No other category has used the burst of this Region.
        Category::UserAccountRecovery => "eu-west-2_a",
        Category::UserList | Category::UserUpdate | Category::UserPoolRead => "eu-west-1_a",
    };
    let payer = payer_of(category, pool);
    let claimed = (0..20).map_while(|n| claim(&permits, &key("others", n), &payer).ok());
    assert_eq!(claimed.map(|mut permit| permit.calling()).count(), burst);
    assert_eq!(permits.waiting(category), 1);
    let others = [SETS, Category::UserList, Category::UserUpdate];
    for other in others.into_iter().filter(|other| *other != category) {
        assert_eq!(permits.waiting(other), 0);
    }
}

#[tokio::test]
async fn a_throttled_call_lowers_the_rate_of_its_category_only() {
    let limits = RateLimits {
        rps: 10.0,
        burst: 10,
    };
    let permits = Permits::new(limits, Queue::default());
    call(&permits, &key("a", 0), &payer("eu-west-1_a"));
    let sign_outs = payer_of(Category::UserUpdate, "eu-west-1_a");
    let mut permit = claim(&permits, &key("a", 0), &sign_outs).expect("a permit");
    permit.calling();
    permit.throttled();
    assert!(permits.rate(Category::UserUpdate) < 4.0);
    assert!((permits.rate(SETS) - 10.0).abs() < f64::EPSILON);
    // Without a rate limiter, the rate is that of a new one.
    assert!((permits.rate(Category::UserList) - 3.0).abs() < f64::EPSILON);
}

#[tokio::test]
async fn a_key_waits_in_one_category_at_a_time() {
    let permits = one_permit(0.001, &Queue::default());
    let sets = payer("eu-west-1_a");
    let sign_outs = payer_of(Category::UserUpdate, "eu-west-1_a");
    for payer in [&sets, &sign_outs] {
        call(&permits, &key("a", 0), payer);
    }
    assert_waits(&permits, &key("a", 1), &sign_outs);
    assert_waits(&permits, &key("a", 1), &sets);
    let waiting = [SETS, Category::UserUpdate].map(|category| permits.waiting(category));
    assert_eq!(
        waiting,
        [1, 0],
        "a set comes before a sign-out that is owed"
    );
    assert_eq!(permits.entries()[0], 1);
}

/// A key that is no [`Key`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Job {
    ListPool(&'static str),
    FindUser(&'static str, u32),
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl Waiter for Job {
    fn namespace(&self) -> &str {
        match self {
            Self::ListPool(pool) | Self::FindUser(pool, _) => pool,
        }
    }
}

/// The jobs that were given a permit, in order.
#[derive(Clone, Default)]
struct Given(Arc<Mutex<Vec<Job>>>);

impl Turns<Job> for Given {
    fn first(&self, job: Job) {
        let mut given = self.0.lock().expect("no panic");
        given.push(job);
    }

    fn after(&self, job: Job, _: Duration) {
        self.first(job);
    }
}

#[tokio::test]
async fn keys_of_another_kind_wait_in_an_instance_of_their_own_with_pools_in_rotation() {
    let given = Given::default();
    let limits = RateLimits {
        rps: 1_000.0,
        burst: 1_000,
    };
    let permits = Permits::new(limits, given.clone());
    let payer = payer_of(Category::UserList, "eu-west-1_a");
    let find = |n| Job::FindUser("a", n);
    let out: Vec<_> = (0..16)
        .flat_map(|n| claim(&permits, &find(n), &payer))
        .collect();
    assert_eq!(out.len(), 16);
    for job in [find(16), find(17), Job::ListPool("b")] {
        assert!(claim(&permits, &job, &payer).is_err(), "{job} has a permit");
    }
    drop(out);
    let metrics = Metrics::new("0.0.0");
    assert_eq!(permits.give(&metrics).now_or_never(), None, "it never ends");
    let order = given.0.lock().expect("no panic").clone();
    assert_eq!(order, [find(16), Job::ListPool("b"), find(17)]);
    assert!(permits.has_permit(&find(17)));
}

#[tokio::test]
async fn lists_that_hang_in_an_instance_of_their_own_take_no_permit_of_sets() {
    let limits = RateLimits {
        rps: 1_000.0,
        burst: 1_000,
    };
    let (sets, lists) = (
        Permits::new(limits, Queue::default()),
        Permits::new(limits, Given::default()),
    );
    let mut hanging = Vec::new();
    for (region, n) in (0..100).flat_map(|region| (0..16).map(move |n| (region, n))) {
        let payer = payer_of(Category::UserList, &format!("eu-west-{region}_a"));
        hanging.extend(claim(&lists, &Job::FindUser("a", region * 16 + n), &payer));
    }
    assert_eq!(hanging.len(), 96, "all but those for services that answer");
    let payer = payer("eu-west-1_a");
    let mut out = Vec::new();
    for n in 0..32 {
        out.extend(claim(&sets, &key("a", n), &payer));
    }
    assert_eq!(out.len(), 16, "as many as without any list");
}

#[test]
fn a_key_waits_in_vain_only_for_a_service_that_does_not_answer() {
    let permits = one_permit(0.01, &Queue::default());
    let (silent, answering) = (payer("eu-west-1_a"), payer("eu-west-2_a"));
    let (patient, served) = (key("a", 1), key("b", 1));
    // The first call of each payer takes the only token. One of the services answers.
    call(&permits, &key("a", 0), &silent);
    let mut permit = claim(&permits, &key("b", 0), &answering).expect("a permit");
    permit.calling();
    permit.answered();
    drop(permit);
    assert_waits(&permits, &patient, &silent);
    assert_waits(&permits, &served, &answering);
    let hour = Duration::from_hours(1);
    assert!(!permits.waits_in_vain(&patient, hour), "not for long");
    assert!(permits.waits_in_vain(&patient, Duration::ZERO));
    assert!(!permits.waits_in_vain(&served, Duration::ZERO));
    permits.leave(&patient);
    assert!(!permits.waits_in_vain(&patient, Duration::ZERO), "gone");
}
