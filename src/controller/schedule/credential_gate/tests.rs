use super::{closed_gate::TOLD_AT_ONCE, probe::MAX as PROBE_MAX, *};
use crate::core::{
    access::authority::Role,
    credential::password::Password,
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

    async fn admin_set_user_password(
        &self,
        _: &Authority,
        _: &Target,
        _: &Password,
        _: bool,
    ) -> Reply {
        unreachable!("nothing is set here")
    }

    fn retain(&self, _: &dyn Fn(&Authority) -> bool) {
        unreachable!("nothing is dropped here")
    }
}

type Woken = UnboundedReceiver<(Key, Wake)>;

fn door(failures: u32) -> (Arc<Identity>, CredentialGate<Identity>, Woken) {
    slow_door(failures, Duration::ZERO)
}

fn slow_door(failures: u32, takes: Duration) -> (Arc<Identity>, CredentialGate<Identity>, Woken) {
    door_of(Identity {
        failures: AtomicU32::new(failures),
        asked: AtomicU32::new(0),
        takes,
        only_from: None,
    })
}

fn door_of(identity: Identity) -> (Arc<Identity>, CredentialGate<Identity>, Woken) {
    let identity = Arc::new(identity);
    let (told, woken) = unbounded_channel();
    let wake = move |key: &Key, why| {
        // The send fails if the test has ended.
        let _ = told.send((key.clone(), why));
    };
    let credentials = CredentialGate::new(identity.clone(), Slots::new(32), wake, |_| ());
    (identity, credentials, woken)
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

async fn next(woken: &mut Woken, wanted: Wake) -> Key {
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

#[tokio::test(start_paused = true)]
async fn a_broken_identity_is_probed_once_and_heals_everybody() {
    let (identity, credentials, mut woken) = door(3);
    let mut told = 0;
    for n in 0..1_000 {
        let turned_away = credentials.ensure(&key(n), &authority(), false).await;
        told += usize::from(turned_away.expect_err("none").tell);
    }
    assert_eq!(identity.asked.load(Ordering::Relaxed), 1);
    assert_eq!(told, TOLD_AT_ONCE, "few statuses are written");
    let mut seen = HashSet::new();
    for _ in 0..1_000 {
        seen.insert(next(&mut woken, Wake::Healed).await);
    }
    assert_eq!(seen.len(), 1_000);
    assert_eq!(identity.asked.load(Ordering::Relaxed), 4);
    assert!(
        credentials
            .ensure(&key(0), &authority(), false)
            .await
            .is_ok()
    );
}

#[tokio::test(start_paused = true)]
async fn everybody_is_told_in_time_and_at_once_who_would_say_what_is_untrue() {
    let (_, credentials, mut woken) = door(u32::MAX);
    let mut untold = HashSet::new();
    for n in 0..200 {
        let turned_away = credentials.ensure(&key(n), &authority(), false).await;
        if !turned_away.expect_err("none").tell {
            untold.insert(key(n));
        }
    }
    let must = credentials.ensure(&key(500), &authority(), true).await;
    assert!(must.expect_err("none").tell);
    while !untold.is_empty() {
        let resource = next(&mut woken, Wake::Tell).await;
        let turned_away = credentials.ensure(&resource, &authority(), false).await;
        assert!(turned_away.expect_err("none").tell);
        assert!(untold.remove(&resource), "told twice");
    }
}

#[tokio::test(start_paused = true)]
async fn who_does_not_come_to_be_told_keeps_nobody_from_being_told() {
    let (_, credentials, mut woken) = door(u32::MAX);
    for n in 0..200 {
        // Some of these resources may report the failure at once.
        let _ = credentials.ensure(&key(n), &authority(), false).await;
    }
    let mut called = HashSet::new();
    for _ in TOLD_AT_ONCE..200 {
        called.insert(next(&mut woken, Wake::Tell).await);
    }
    assert_eq!(called.len(), 200 - TOLD_AT_ONCE);
}

#[tokio::test(start_paused = true)]
async fn nobody_looks_for_credentials_for_those_who_are_gone() {
    let (identity, credentials, _woken) = door(u32::MAX);
    for n in 0..3 {
        assert!(
            credentials
                .ensure(&key(n), &authority(), false)
                .await
                .is_err()
        );
    }
    for n in 0..3 {
        credentials.forget(&key(n));
    }
    tokio::time::sleep(PROBE_MAX * 10).await;
    assert!(credentials.0.state().closed_gate_count() == 0);
    assert_eq!(identity.asked.load(Ordering::Relaxed), 2);
    let (_, credentials, mut woken) = door(0);
    for n in 0..100 {
        credentials.answered(&key(n), &authority(), &refusal());
    }
    for n in 0..99 {
        credentials.forget(&key(n));
    }
    assert_eq!(next(&mut woken, Wake::Healed).await, key(99));
}

#[tokio::test(start_paused = true)]
async fn refused_credentials_are_tried_by_one_resource_at_a_time() {
    let (identity, credentials, mut woken) = door(0);
    for n in 0..3 {
        let ensured = credentials.ensure(&key(n), &authority(), false).await;
        assert!(ensured.is_ok(), "one refusal isn't everybody's");
    }
    for n in 0..3 {
        credentials.answered(&key(n), &authority(), &refusal());
    }
    for n in 1..100 {
        assert!(
            credentials
                .ensure(&key(n), &authority(), false)
                .await
                .is_err()
        );
    }
    for _ in 0..5 {
        let trial = next(&mut woken, Wake::Healed).await;
        for n in 0..100 {
            let passes = credentials.ensure(&key(n), &authority(), false).await;
            assert_eq!(passes.is_ok(), key(n) == trial, "{n}");
        }
        credentials.answered(&trial, &authority(), &refusal());
    }
    let trial = next(&mut woken, Wake::Healed).await;
    assert!(
        credentials
            .ensure(&trial, &authority(), false)
            .await
            .is_ok()
    );
    credentials.answered(&trial, &authority(), &CredentialsEvidence::Accepted);
    let mut seen = HashSet::from([trial]);
    while seen.len() < 100 {
        seen.insert(next(&mut woken, Wake::Healed).await);
    }
    assert!(
        credentials
            .ensure(&key(1), &authority(), false)
            .await
            .is_ok()
    );
    assert!(identity.asked.load(Ordering::Relaxed) < 20);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_between_calls_that_are_taken_is_one_calls_own() {
    let (_, credentials, _woken) = door(0);
    let answered =
        |n, standing: &CredentialsEvidence| credentials.answered(&key(n), &authority(), standing);
    let passes = async || {
        credentials
            .ensure(&key(9), &authority(), false)
            .await
            .is_ok()
    };
    answered(1, &refusal());
    answered(2, &refusal());
    answered(3, &CredentialsEvidence::Accepted);
    // The refusals of bot-1 and bot-2 prove nothing about the credentials, however often AWS refuses.
    for _ in 0..10 {
        answered(1, &refusal());
        answered(2, &refusal());
    }
    assert!(passes().await);
    answered(1, &CredentialsEvidence::Accepted);
    for _ in 0..3 {
        assert!(passes().await);
        answered(1, &refusal());
    }
    assert!(!passes().await);
}

#[tokio::test(start_paused = true)]
async fn who_is_always_refused_does_not_keep_the_door_closed() {
    let (_, credentials, mut woken) = door(0);
    let standing = |key: &Key| match key {
        key if *key == self::key(9) => CredentialsEvidence::Accepted,
        _ => refusal(),
    };
    for n in 0..3 {
        credentials.answered(&key(n), &authority(), &refusal());
    }
    for n in 0..10 {
        assert!(
            credentials
                .ensure(&key(n), &authority(), false)
                .await
                .is_err()
        );
    }
    let mut trials = HashSet::new();
    loop {
        let trial = next(&mut woken, Wake::Healed).await;
        credentials.answered(&trial, &authority(), &standing(&trial));
        assert!(trials.insert(trial.clone()), "{trial} before all others");
        if trial == key(9) {
            break;
        }
        // The refused resource waits at the gate again.
        assert!(
            credentials
                .ensure(&trial, &authority(), false)
                .await
                .is_err()
        );
    }
    // Refusals of these resources no longer count against the credentials.
    for n in 0..3 {
        credentials.answered(&key(n), &authority(), &refusal());
    }
    assert!(
        credentials
            .ensure(&key(0), &authority(), false)
            .await
            .is_ok()
    );
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_credentials_that_hang_makes_room_for_others() {
    let (_, credentials, mut woken) = slow_door(0, Duration::from_secs(9));
    let started = tokio::time::Instant::now();
    for n in 0..100 {
        assert!(
            credentials
                .ensure(&key(n), &authority(), false)
                .await
                .is_err()
        );
    }
    assert_eq!(
        started.elapsed(),
        PATIENCE,
        "the first one, and nobody else"
    );
    // The probe waits longer than `PATIENCE`.
    let mut seen = HashSet::new();
    while seen.len() < 100 {
        seen.insert(next(&mut woken, Wake::Healed).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_scout_that_never_calls_is_followed_by_another() {
    let (_, credentials, mut woken) = door(0);
    for n in 0..5 {
        credentials.answered(&key(n), &authority(), &refusal());
    }
    let mut trials = HashSet::new();
    for _ in 0..3 {
        trials.insert(next(&mut woken, Wake::Healed).await);
    }
    assert_eq!(trials.len(), 3);
    // No resource is left to try, so the gate opens.
    while credentials.0.state().closed_gate_count() != 0 {
        tokio::time::sleep(PROBE_MAX).await;
    }
}

#[tokio::test(start_paused = true)]
async fn without_credentials_of_its_own_one_probe_looks_for_all_regions() {
    let (identity, credentials, mut woken) = door(3);
    let mut told = 0;
    for n in 0..1_000 {
        let made_up = own(&format!("eu-made{n}-1"));
        let turned_away = credentials.ensure(&key(n), &made_up, false).await;
        told += usize::from(turned_away.expect_err("none").tell);
        assert!(credentials.account(&made_up).is_none());
    }
    assert_eq!(identity.asked.load(Ordering::Relaxed), 1);
    assert_eq!(told, TOLD_AT_ONCE, "few statuses are written");
    assert_eq!(credentials.0.state().closed_gate_count(), 1);
    // A role has a gate of its own.
    assert!(credentials.account(&role("a")).is_none());
    assert!(!credentials.turn_away(&key(0), &role("a")));
    let mut seen = HashSet::new();
    while seen.len() < 1_000 {
        seen.insert(next(&mut woken, Wake::Healed).await);
    }
    assert_eq!(identity.asked.load(Ordering::Relaxed), 4);
}

#[tokio::test(start_paused = true)]
async fn a_mistyped_region_in_which_nobody_can_be_asked_keeps_nobody_out() {
    let (_, credentials, mut woken) = door_of(Identity {
        failures: AtomicU32::new(0),
        asked: AtomicU32::new(0),
        takes: Duration::ZERO,
        only_from: Some(authority().region),
    });
    for n in 0..5 {
        let mistyped = own(&format!("eu-mistyped{n}-1"));
        assert!(credentials.ensure(&key(n), &mistyped, false).await.is_err());
    }
    assert!(
        credentials
            .ensure(&key(9), &authority(), false)
            .await
            .is_err()
    );
    for n in 5..9 {
        let mistyped = own(&format!("eu-mistyped{n}-1"));
        assert!(credentials.ensure(&key(n), &mistyped, false).await.is_err());
    }
    let mut seen = HashSet::new();
    while seen.len() < 10 {
        seen.insert(next(&mut woken, Wake::Healed).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_region_that_refuses_the_credentials_closes_no_other() {
    let (_, credentials, _woken) = door(0);
    for n in 0..3 {
        credentials.answered(&key(n), &own("us-east-1"), &refusal());
    }
    for (region, passes) in [("us-east-1", false), ("eu-west-1", true)] {
        let ensured = credentials.ensure(&key(7), &own(region), false).await;
        assert_eq!(ensured.is_ok(), passes, "{region}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_scout_that_finds_no_credentials_waits_with_all_others() {
    let (identity, credentials, mut woken) = door(0);
    for n in 0..3 {
        credentials.answered(&key(n), &authority(), &refusal());
    }
    for n in 0..2 {
        assert!(
            credentials
                .ensure(&key(n), &authority(), false)
                .await
                .is_err()
        );
    }
    let trial = next(&mut woken, Wake::Healed).await;
    identity.failures.store(2, Ordering::Relaxed);
    let ensured = credentials.ensure(&trial, &authority(), false).await;
    assert!(ensured.is_err(), "they are gone");
    let elsewhere = credentials.ensure(&key(9), &own("us-east-1"), false).await;
    assert!(elsewhere.is_err());
    let all: HashSet<_> = [0, 1, 2, 9].map(key).into();
    let mut healed = HashSet::new();
    while healed != all {
        // New credentials do not end the refusals. Only an accepted call does.
        let resource = next(&mut woken, Wake::Healed).await;
        let by = if resource == key(9) {
            own("us-east-1")
        } else {
            authority()
        };
        if credentials.ensure(&resource, &by, false).await.is_ok() {
            credentials.answered(&resource, &by, &CredentialsEvidence::Accepted);
            healed.insert(resource);
        }
    }
    assert_eq!(credentials.0.state().closed_gate_count(), 0);
}

#[derive(Clone, Copy, Debug)]
enum Happens {
    Ensure(u32, usize),
    Accepted(u32, usize),
    Refused(u32, usize),
    Gone(u32),
    Needed(usize),
    Fails(u32),
    Passes(u64),
}

fn happens() -> impl Strategy<Value = Happens> {
    let (key, of) = (|| 0_u32..6, || 0_usize..4);
    prop_oneof![
        4 => (key(), of()).prop_map(|(key, of)| Happens::Ensure(key, of)),
        2 => (key(), of()).prop_map(|(key, of)| Happens::Accepted(key, of)),
        4 => (key(), of()).prop_map(|(key, of)| Happens::Refused(key, of)),
        2 => key().prop_map(Happens::Gone),
        1 => of().prop_map(Happens::Needed),
        1 => (0_u32..9).prop_map(Happens::Fails),
        2 => (0_u64..20).prop_map(Happens::Passes),
    ]
}

async fn live(takes: u64, events: Vec<Happens>) -> Result<(), TestCaseError> {
    let (identity, credentials, _woken) = slow_door(3, Duration::from_secs(takes));
    let authorities = [authority(), own("us-east-1"), role("a"), role("b")];
    for event in events {
        match event {
            Happens::Ensure(n, of) => {
                let ensuring = credentials.clone();
                let authority = authorities[of].clone();
                tokio::spawn(async move {
                    // With slow credentials, this call is still waiting when the next events happen.
                    let _ = ensuring.ensure(&key(n), &authority, false).await;
                });
                tokio::task::yield_now().await;
            }
            Happens::Accepted(n, of) => {
                credentials.answered(&key(n), &authorities[of], &CredentialsEvidence::Accepted);
            }
            Happens::Refused(n, of) => credentials.answered(&key(n), &authorities[of], &refusal()),
            Happens::Gone(n) => {
                credentials.forget(&key(n));
                let [known, said] = credentials.0.state().known_and_said();
                let all = known.union(&said);
                prop_assert!(all.into_iter().all(|(known, _)| *known != key(n)));
            }
            Happens::Needed(of) => {
                let needed = &authorities[of];
                credentials.retain(|it| it.role.is_none() || it == needed);
            }
            Happens::Fails(times) => identity.failures.store(times, Ordering::Relaxed),
            Happens::Passes(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
        }
        let [known, said] = credentials.0.state().known_and_said();
        prop_assert!(known.is_subset(&said), "{known:?}, {said:?}");
    }
    // Lets the background tasks of `tidy` finish.
    tokio::time::sleep(Duration::from_millis(1)).await;
    let [known, said] = credentials.0.state().known_and_said();
    prop_assert_eq!(known, said);
    tokio::time::sleep(PATIENCE).await;
    for n in 0..6 {
        credentials.forget(&key(n));
    }
    identity.failures.store(0, Ordering::Relaxed);
    tokio::time::sleep(PROBE_MAX * 10).await;
    prop_assert_eq!(credentials.len(), 0);
    Ok(())
}

proptest! {
    #[test]
    fn where_each_resource_is_known_is_known_until_it_is_gone(
        takes in 0_u64..3,
        events in proptest::collection::vec(happens(), 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        runtime.block_on(live(takes, events))?;
    }
}
