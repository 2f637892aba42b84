use super::{closed_gate::REPORTS_AT_ONCE, probe::MAX as PROBE_MAX, *};
use crate::core::{
    access::authority::Role,
    credential::password::Password,
    look::user::{UserPage, UserQuery},
    names::{
        arn::RoleArn,
        region::Regions,
        target::{PoolId, Region, Target},
    },
    protocol::reply::Reply,
};
use proptest::prelude::*;
use std::{
    collections::HashSet,
    ops::Range,
    sync::atomic::{AtomicU32, Ordering},
};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// An identity without credentials for the first `failures` requests.
struct Identity {
    failures: AtomicU32,
    asked: AtomicU32,
    /// The time until each answer.
    takes: Duration,
    /// The only Region whose requests get credentials, if set.
    only_from: Option<Region>,
    /// What the identity says if no answer came in time.
    queue_delay: Option<CredentialsFailure>,
}

impl Cognito for Identity {
    fn regions(&self) -> Regions {
        Regions::OfAws
    }

    async fn authenticate(&self, authority: &Authority) -> Result<Account, CredentialsFailure> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if !self.takes.is_zero() {
            tokio::time::sleep(self.takes).await;
        }
        if self
            .only_from
            .as_ref()
            .is_some_and(|it| *it != authority.region)
        {
            return Err(CredentialsFailure("not from there".to_owned()));
        }
        let left = |left: u32| left.checked_sub(1);
        match self
            .failures
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, left)
        {
            Ok(_) => Err(CredentialsFailure("none".to_owned())),
            Err(_) => Ok(Account::OfSource),
        }
    }

    fn queue_delay(&self, _: &Authority) -> Option<CredentialsFailure> {
        self.queue_delay.clone()
    }

    async fn admin_set_user_password(
        &self,
        _: &Authority,
        _: &Target,
        _: &Password,
        _: bool,
    ) -> Reply {
        unreachable!("nothing is set here")
    }

    async fn list_users(&self, _: &Authority, _: &PoolId, _: &UserQuery) -> Reply<UserPage> {
        unreachable!("no user is read here")
    }

    async fn admin_user_global_sign_out(&self, _: &Authority, _: &Target) -> Reply {
        unreachable!("no session is revoked here")
    }

    async fn temporary_password_validity_days(
        &self,
        _: &Authority,
        _: &PoolId,
    ) -> Reply<Option<u32>> {
        unreachable!("no pool is read here")
    }

    fn retain(&self, _: &dyn Fn(&Authority) -> bool) {
        unreachable!("nothing is dropped here")
    }
}

type WakeUps = UnboundedReceiver<(Key, Wake)>;

fn open_gate(failures: u32) -> (Arc<Identity>, CredentialGate<Identity>, WakeUps) {
    slow_gate(failures, Duration::ZERO)
}

fn slow_gate(failures: u32, takes: Duration) -> (Arc<Identity>, CredentialGate<Identity>, WakeUps) {
    open_gate_of(Identity {
        failures: AtomicU32::new(failures),
        asked: AtomicU32::new(0),
        takes,
        only_from: None,
        queue_delay: None,
    })
}

fn open_gate_of(identity: Identity) -> (Arc<Identity>, CredentialGate<Identity>, WakeUps) {
    let identity = Arc::new(identity);
    let (sender, woken) = unbounded_channel();
    let wake = move |key: &Key, why| {
        // The send fails if the test has ended.
        let _ = sender.send((key.clone(), why));
    };
    let gate = CredentialGate::new(identity.clone(), Slots::new(32), wake, |_| (), |_| ());
    (identity, gate, woken)
}

fn authority() -> Authority {
    own("eu-west-1")
}

fn own(region: &str) -> Authority {
    let pool = PoolId::parse(&format!("{region}_a"));
    Authority::own(pool.expect("valid").region())
}

fn role(name: &str) -> Authority {
    let arn = format!("arn:aws:iam::111122223333:role/{name}");
    let role = Role {
        arn: RoleArn::parse(&arn).expect("an ARN"),
        external_id: None,
    };
    Authority {
        role: Some(Arc::new(role)),
        ..authority()
    }
}

fn key(n: u32) -> Key {
    Key::new("team-a", &format!("bot-{n}"))
}

async fn next(woken: &mut WakeUps, wanted: Wake) -> Key {
    loop {
        // The test's clock is paused, so the timeout costs no real time.
        let woken = timeout(Duration::from_hours(1), woken.recv()).await;
        let (key, why) = woken.expect("one is woken").expect("a resource");
        if why == wanted {
            return key;
        }
    }
}

fn refusal() -> CredentialsEvidence {
    CredentialsEvidence::Refused(CredentialsFailure("expired".to_owned()))
}

/// Whether the gate lets a resource of [`authority`] pass.
async fn passes(gate: &CredentialGate<Identity>, resource: &Key) -> bool {
    gate.ensure(resource, &authority(), false).await.is_ok()
}

/// Whether the status of a resource that the gate stops reports the failure now.
async fn reports(gate: &CredentialGate<Identity>, resource: &Key, authority: &Authority) -> bool {
    let ensured = gate.ensure(resource, authority, false).await;
    ensured.expect_err("no credentials").report_now
}

/// The gate stops each of these resources.
async fn stop_each(gate: &CredentialGate<Identity>, resources: Range<u32>) {
    for n in resources {
        assert!(!passes(gate, &key(n)).await, "{n}");
    }
}

/// AWS refuses one call of each of these resources.
fn refuse_each(gate: &CredentialGate<Identity>, resources: Range<u32>) {
    for n in resources {
        gate.answered(&key(n), &authority(), &refusal());
    }
}

fn forget_each(gate: &CredentialGate<Identity>, resources: Range<u32>) {
    for n in resources {
        gate.forget(&key(n));
    }
}

/// Waits until the gate has woken `count` different resources with `Recovered`. Returns the number of wake-ups.
async fn recovered(wake_ups: &mut WakeUps, count: usize) -> usize {
    let mut seen = HashSet::new();
    let mut number = 0;
    while seen.len() < count {
        seen.insert(next(wake_ups, Wake::Recovered).await);
        number += 1;
    }
    number
}

#[tokio::test(start_paused = true)]
async fn missing_credentials_are_probed_once_and_their_return_wakes_every_resource() {
    let (identity, gate, mut woken) = open_gate(3);
    let mut count = 0;
    for n in 0..1_000 {
        count += usize::from(reports(&gate, &key(n), &authority()).await);
    }
    assert_eq!(identity.asked.load(Ordering::Relaxed), 1);
    assert_eq!(count, REPORTS_AT_ONCE, "few statuses are written");
    let wake_ups = recovered(&mut woken, 1_000).await;
    assert_eq!(wake_ups, 1_000, "each resource once");
    assert_eq!(identity.asked.load(Ordering::Relaxed), 4);
    assert!(passes(&gate, &key(0)).await);
}

#[tokio::test(start_paused = true)]
async fn a_limited_number_of_statuses_reports_at_a_time_and_an_untrue_status_at_once() {
    let (_, gate, mut woken) = open_gate(u32::MAX);
    let mut waiting = HashSet::new();
    for n in 0..200 {
        if !reports(&gate, &key(n), &authority()).await {
            waiting.insert(key(n));
        }
    }
    let must = gate.ensure(&key(500), &authority(), true).await;
    assert!(must.expect_err("none").report_now);
    while !waiting.is_empty() {
        let resource = next(&mut woken, Wake::Report).await;
        assert!(reports(&gate, &resource, &authority()).await);
        assert!(waiting.remove(&resource), "reported twice");
    }
}

#[tokio::test(start_paused = true)]
async fn a_woken_resource_that_never_comes_back_delays_no_other_report() {
    let (_, gate, mut woken) = open_gate(u32::MAX);
    for n in 0..200 {
        // Some of these resources may report the failure at once.
        let _ = gate.ensure(&key(n), &authority(), false).await;
    }
    let mut called = HashSet::new();
    for _ in REPORTS_AT_ONCE..200 {
        called.insert(next(&mut woken, Wake::Report).await);
    }
    assert_eq!(called.len(), 200 - REPORTS_AT_ONCE);
}

#[tokio::test(start_paused = true)]
async fn no_credentials_are_asked_for_once_all_stopped_resources_are_deleted() {
    let (identity, gate, _woken) = open_gate(u32::MAX);
    stop_each(&gate, 0..3).await;
    forget_each(&gate, 0..3);
    tokio::time::sleep(PROBE_MAX * 10).await;
    assert!(gate.0.state().closed_gate_count() == 0);
    assert_eq!(identity.asked.load(Ordering::Relaxed), 2);
    let (_, gate, mut woken) = open_gate(0);
    refuse_each(&gate, 0..100);
    forget_each(&gate, 0..99);
    assert_eq!(next(&mut woken, Wake::Recovered).await, key(99));
}

#[tokio::test(start_paused = true)]
async fn after_refusals_one_trial_resource_at_a_time_passes_the_gate() {
    let (identity, gate, mut woken) = open_gate(0);
    for n in 0..3 {
        assert!(passes(&gate, &key(n)).await, "the credentials work");
    }
    refuse_each(&gate, 0..3);
    stop_each(&gate, 1..100).await;
    for _ in 0..5 {
        let trial = next(&mut woken, Wake::Recovered).await;
        for n in 0..100 {
            assert_eq!(passes(&gate, &key(n)).await, key(n) == trial, "{n}");
        }
        gate.answered(&trial, &authority(), &refusal());
    }
    let trial = next(&mut woken, Wake::Recovered).await;
    assert!(passes(&gate, &trial).await);
    gate.answered(&trial, &authority(), &CredentialsEvidence::Accepted);
    let mut seen = HashSet::from([trial]);
    while seen.len() < 100 {
        seen.insert(next(&mut woken, Wake::Recovered).await);
    }
    assert!(passes(&gate, &key(1)).await);
    assert!(identity.asked.load(Ordering::Relaxed) < 20);
}

#[tokio::test(start_paused = true)]
async fn refusals_between_accepted_calls_do_not_close_the_gate() {
    let (_, gate, _woken) = open_gate(0);
    let answered =
        |n, evidence: &CredentialsEvidence| gate.answered(&key(n), &authority(), evidence);
    answered(1, &refusal());
    answered(2, &refusal());
    answered(3, &CredentialsEvidence::Accepted);
    // The refusals of bot-1 and bot-2 prove nothing about the credentials, however often AWS refuses.
    for _ in 0..10 {
        answered(1, &refusal());
        answered(2, &refusal());
    }
    assert!(passes(&gate, &key(9)).await);
    answered(1, &CredentialsEvidence::Accepted);
    for _ in 0..3 {
        assert!(passes(&gate, &key(9)).await);
        answered(1, &refusal());
    }
    assert!(!passes(&gate, &key(9)).await);
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_is_always_refused_does_not_keep_the_gate_closed() {
    let (_, gate, mut woken) = open_gate(0);
    let evidence = |key: &Key| match key {
        key if *key == self::key(9) => CredentialsEvidence::Accepted,
        _ => refusal(),
    };
    refuse_each(&gate, 0..3);
    stop_each(&gate, 0..10).await;
    let mut trials = HashSet::new();
    loop {
        let trial = next(&mut woken, Wake::Recovered).await;
        gate.answered(&trial, &authority(), &evidence(&trial));
        assert!(trials.insert(trial.clone()), "{trial} before all others");
        if trial == key(9) {
            break;
        }
        // The refused resource waits at the gate again.
        assert!(!passes(&gate, &trial).await);
    }
    // Refusals of these resources no longer count against the credentials.
    refuse_each(&gate, 0..3);
    assert!(passes(&gate, &key(0)).await);
}

#[tokio::test(start_paused = true)]
async fn only_one_reconcile_waits_for_credentials_that_hang() {
    let (_, gate, mut woken) = slow_gate(0, Duration::from_secs(9));
    let started = tokio::time::Instant::now();
    stop_each(&gate, 0..100).await;
    assert_eq!(started.elapsed(), PATIENCE, "only the first one waits");
    // The probe waits longer than `PATIENCE`.
    recovered(&mut woken, 100).await;
}

#[tokio::test(start_paused = true)]
async fn a_role_that_was_not_asked_for_yet_says_so_and_blames_no_service() {
    let queued = CredentialsFailure("other roles come first".to_owned());
    for queue_delay in [Some(queued), None] {
        let (_, gate, _woken) = open_gate_of(Identity {
            failures: AtomicU32::new(0),
            asked: AtomicU32::new(0),
            takes: Duration::from_secs(9),
            only_from: None,
            queue_delay: queue_delay.clone(),
        });
        let refusal = gate.ensure(&key(0), &role("a"), false).await;
        let failure = refusal.expect_err("no credentials yet").failure;
        match queue_delay {
            Some(queued) => assert_eq!(failure, queued),
            None => assert!(failure.0.ends_with("service doesn't answer"), "{failure:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_trial_resource_that_never_calls_is_followed_by_another() {
    let (_, gate, mut woken) = open_gate(0);
    refuse_each(&gate, 0..5);
    let mut trials = HashSet::new();
    for _ in 0..3 {
        trials.insert(next(&mut woken, Wake::Recovered).await);
    }
    assert_eq!(trials.len(), 3);
    // No resource is left to try, so the gate opens.
    while gate.0.state().closed_gate_count() != 0 {
        tokio::time::sleep(PROBE_MAX).await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_probe_asks_for_the_operators_own_credentials_in_all_regions() {
    let (identity, gate, mut woken) = open_gate(3);
    let mut count = 0;
    for n in 0..1_000 {
        let made_up = own(&format!("eu-made{n}-1"));
        count += usize::from(reports(&gate, &key(n), &made_up).await);
        assert!(gate.account(&made_up).is_none());
    }
    assert_eq!(identity.asked.load(Ordering::Relaxed), 1);
    assert_eq!(count, REPORTS_AT_ONCE, "few statuses are written");
    assert_eq!(gate.0.state().closed_gate_count(), 1);
    // A role has a gate of its own.
    assert!(gate.account(&role("a")).is_none());
    assert!(!gate.refuses(&key(0), &role("a")));
    recovered(&mut woken, 1_000).await;
    assert_eq!(identity.asked.load(Ordering::Relaxed), 4);
}

#[tokio::test(start_paused = true)]
async fn a_mistyped_region_without_sts_does_not_keep_the_gate_closed() {
    let (_, gate, mut woken) = open_gate_of(Identity {
        failures: AtomicU32::new(0),
        asked: AtomicU32::new(0),
        takes: Duration::ZERO,
        only_from: Some(authority().region),
        queue_delay: None,
    });
    for n in 0..5 {
        let mistyped = own(&format!("eu-mistyped{n}-1"));
        assert!(gate.ensure(&key(n), &mistyped, false).await.is_err());
    }
    assert!(!passes(&gate, &key(9)).await);
    for n in 5..9 {
        let mistyped = own(&format!("eu-mistyped{n}-1"));
        assert!(gate.ensure(&key(n), &mistyped, false).await.is_err());
    }
    recovered(&mut woken, 10).await;
}

#[tokio::test(start_paused = true)]
async fn a_region_that_refuses_the_credentials_stops_no_other_region() {
    let (_, gate, _woken) = open_gate(0);
    for n in 0..3 {
        gate.answered(&key(n), &own("us-east-1"), &refusal());
    }
    for (region, passes) in [("us-east-1", false), ("eu-west-1", true)] {
        let ensured = gate.ensure(&key(7), &own(region), false).await;
        assert_eq!(ensured.is_ok(), passes, "{region}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_trial_resource_without_credentials_waits_with_the_others() {
    let (identity, gate, mut woken) = open_gate(0);
    refuse_each(&gate, 0..3);
    stop_each(&gate, 0..2).await;
    let trial = next(&mut woken, Wake::Recovered).await;
    identity.failures.store(2, Ordering::Relaxed);
    let ensured = gate.ensure(&trial, &authority(), false).await;
    assert!(ensured.is_err(), "they are gone");
    let elsewhere = gate.ensure(&key(9), &own("us-east-1"), false).await;
    assert!(elsewhere.is_err());
    let all: HashSet<_> = [0, 1, 2, 9].map(key).into();
    let mut recovered = HashSet::new();
    while recovered != all {
        // New credentials do not end the refusals. Only an accepted call does.
        let resource = next(&mut woken, Wake::Recovered).await;
        let by = if resource == key(9) {
            own("us-east-1")
        } else {
            authority()
        };
        if gate.ensure(&resource, &by, false).await.is_ok() {
            gate.answered(&resource, &by, &CredentialsEvidence::Accepted);
            recovered.insert(resource);
        }
    }
    assert_eq!(gate.0.state().closed_gate_count(), 0);
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Ensure(u32, usize),
    Accepted(u32, usize),
    Refused(u32, usize),
    Gone(u32),
    Needed(usize),
    Fails(u32),
    Passes(u64),
}

fn event() -> impl Strategy<Value = Event> {
    let (key, of) = (|| 0_u32..6, || 0_usize..4);
    prop_oneof![
        4 => (key(), of()).prop_map(|(key, of)| Event::Ensure(key, of)),
        2 => (key(), of()).prop_map(|(key, of)| Event::Accepted(key, of)),
        4 => (key(), of()).prop_map(|(key, of)| Event::Refused(key, of)),
        2 => key().prop_map(Event::Gone),
        1 => of().prop_map(Event::Needed),
        1 => (0_u32..9).prop_map(Event::Fails),
        2 => (0_u64..20).prop_map(Event::Passes),
    ]
}

async fn live(takes: u64, events: Vec<Event>) -> Result<(), TestCaseError> {
    let (identity, gate, _woken) = slow_gate(3, Duration::from_secs(takes));
    let authorities = [authority(), own("us-east-1"), role("a"), role("b")];
    for event in events {
        match event {
            Event::Ensure(n, of) => {
                let ensuring = gate.clone();
                let authority = authorities[of].clone();
                tokio::spawn(async move {
                    // With slow credentials, this call is still waiting when the next events happen.
                    let _ = ensuring.ensure(&key(n), &authority, false).await;
                });
                tokio::task::yield_now().await;
            }
            Event::Accepted(n, of) => {
                gate.answered(&key(n), &authorities[of], &CredentialsEvidence::Accepted);
            }
            Event::Refused(n, of) => gate.answered(&key(n), &authorities[of], &refusal()),
            Event::Gone(n) => {
                gate.forget(&key(n));
                let [actual, indexed] = gate.0.state().actual_and_indexed();
                let all = actual.union(&indexed);
                prop_assert!(all.into_iter().all(|(known, _)| *known != key(n)));
            }
            Event::Needed(of) => {
                let needed = &authorities[of];
                gate.retain(|it| it.role.is_none() || it == needed);
            }
            Event::Fails(times) => identity.failures.store(times, Ordering::Relaxed),
            Event::Passes(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
        }
        let [actual, indexed] = gate.0.state().actual_and_indexed();
        prop_assert!(actual.is_subset(&indexed), "{actual:?}, {indexed:?}");
    }
    // Lets the background tasks of `tidy` finish.
    tokio::time::sleep(Duration::from_millis(1)).await;
    let [actual, indexed] = gate.0.state().actual_and_indexed();
    prop_assert_eq!(actual, indexed);
    tokio::time::sleep(PATIENCE).await;
    forget_each(&gate, 0..6);
    identity.failures.store(0, Ordering::Relaxed);
    tokio::time::sleep(PROBE_MAX * 10).await;
    prop_assert_eq!(gate.len(), 0);
    Ok(())
}

proptest! {
    #[test]
    fn each_resource_is_indexed_at_its_gates_until_it_is_deleted(
        takes in 0_u64..3,
        events in proptest::collection::vec(event(), 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        runtime.block_on(live(takes, events))?;
    }
}
