use super::{door::TOLD_AT_ONCE, *};
use crate::core::{
    password::Password,
    region::Regions,
    reply::Reply,
    target::{PoolId, Target},
};
use std::{collections::HashSet, sync::atomic::AtomicU32};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Fails so many times, then has credentials.
struct Identity {
    failures: AtomicU32,
    asked: AtomicU32,
    /// How long each answer takes.
    takes: Duration,
}

impl Cognito for Identity {
    fn regions(&self) -> Regions {
        Regions::OfAws
    }

    async fn authenticate(&self, _: &Authority) -> Result<Account, CredentialsFailure> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(self.takes).await;
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

fn door(failures: u32) -> (Arc<Identity>, Credentials<Identity>, Woken) {
    slow_door(failures, Duration::ZERO)
}

fn slow_door(failures: u32, takes: Duration) -> (Arc<Identity>, Credentials<Identity>, Woken) {
    let identity = Arc::new(Identity {
        failures: AtomicU32::new(failures),
        asked: AtomicU32::new(0),
        takes,
    });
    let (told, woken) = unbounded_channel();
    let wake = move |key: &Key, why| {
        // The test may have ended.
        let _ = told.send((key.clone(), why));
    };
    let credentials = Credentials::new(identity.clone(), Places::new(32), wake, |_| ());
    (identity, credentials, woken)
}

fn authority() -> Authority {
    Authority::own(PoolId::parse("eu-west-1_a").expect("valid").region())
}

fn key(n: u32) -> Key {
    Key::new("team-a", &format!("bot-{n}"))
}

async fn next(woken: &mut Woken, wanted: Wake) -> Key {
    loop {
        let (key, why) = woken.recv().await.expect("a resource");
        if why == wanted {
            return key;
        }
    }
}

fn refusal() -> Standing {
    Standing::Refused(CredentialsFailure("expired".to_owned()))
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
        // Whoever is told here says so.
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
    assert!(credentials.0.doors().is_empty());
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
        let scout = next(&mut woken, Wake::Healed).await;
        for n in 0..100 {
            let passes = credentials.ensure(&key(n), &authority(), false).await;
            assert_eq!(passes.is_ok(), key(n) == scout, "{n}");
        }
        credentials.answered(&scout, &authority(), &refusal());
    }
    let scout = next(&mut woken, Wake::Healed).await;
    assert!(
        credentials
            .ensure(&scout, &authority(), false)
            .await
            .is_ok()
    );
    credentials.answered(&scout, &authority(), &Standing::Accepted);
    let mut seen = HashSet::from([scout]);
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
    let answered = |n, standing: &Standing| credentials.answered(&key(n), &authority(), standing);
    let passes = async || {
        credentials
            .ensure(&key(9), &authority(), false)
            .await
            .is_ok()
    };
    answered(1, &refusal());
    answered(2, &refusal());
    answered(3, &Standing::Accepted);
    // These two have something of their own, however often.
    for _ in 0..10 {
        answered(1, &refusal());
        answered(2, &refusal());
    }
    assert!(passes().await);
    answered(1, &Standing::Accepted);
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
        key if *key == self::key(9) => Standing::Accepted,
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
    let mut scouts = HashSet::new();
    loop {
        let scout = next(&mut woken, Wake::Healed).await;
        credentials.answered(&scout, &authority(), &standing(&scout));
        assert!(scouts.insert(scout.clone()), "{scout} before all others");
        if scout == key(9) {
            break;
        }
        // It comes again.
        assert!(
            credentials
                .ensure(&scout, &authority(), false)
                .await
                .is_err()
        );
    }
    // What is refused to them is known to be their own.
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
    // The probe waits for them.
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
    let mut scouts = HashSet::new();
    for _ in 0..3 {
        scouts.insert(next(&mut woken, Wake::Healed).await);
    }
    assert_eq!(scouts.len(), 3);
    // Nobody is left who wants to pass: the door is no use any more.
    while !credentials.0.doors().is_empty() {
        tokio::time::sleep(PROBE_MAX).await;
    }
}
