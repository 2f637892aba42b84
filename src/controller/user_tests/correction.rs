//! A correction that has to wait. The status says what the looks found until the correction is made.

use super::{
    super::{
        panic_tests::scene::{Scene, path},
        reconcile::reconcile,
        schedule::{permits::Payer, user_locks::CallIdentity},
        state::key::Key,
    },
    age, authority, eventually, is_ready, key, looked_at,
    pool::{Credentials, Pool, user},
    scene, status,
};
use crate::{
    api::{Drift, Reason},
    core::{
        look::{
            found::{Found, Look, LookKind, Validity},
            user::{User, UserState},
        },
        names::target::{Account, Target},
        schedule::rate_limit::{Category, Urgency},
    },
};
use jiff::{SignedDuration, Timestamp};
use rstest::rstest;
use std::time::Instant;

const BOT: &str = "bot";

/// What the correction waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Obstacle {
    Permit,
    Credentials,
    /// A lost call of another resource may still set the password.
    LostCall,
}

/// The quota of sets.
fn payer() -> Payer {
    Payer {
        account: Account::OfSource,
        region: authority().region,
        category: Category::UserAccountRecovery,
    }
}

fn other(number: usize) -> Key {
    key(&format!("other-{number}"))
}

/// Adds a lookup that found this user so many seconds ago.
fn add_look(scene: &Scene<Pool>, user: &User, seconds: i64) {
    let look = Look {
        found: Found::User(user.clone()),
        begun: Timestamp::now() - SignedDuration::from_secs(seconds),
        kind: LookKind::Lookup,
    };
    let uid = format!("uid-of-{BOT}");
    let looks = &scene.context.looks;
    looks.add(&key(BOT), &uid, look, Validity::NotRead);
}

/// The user whom looks find, if this is the reason for the correction.
fn found_for(reason: Reason) -> User {
    if reason == Reason::PasswordReset {
        return User {
            state: UserState::ResetRequired,
            ..user(BOT)
        };
    }
    User {
        state: UserState::ForceChangePassword,
        created: Some(Timestamp::now() - SignedDuration::from_mins(30)),
        ..user(BOT)
    }
}

/// A resource whose status says what two looks found, with the correction to be made.
async fn found(reason: Reason) -> Scene<Pool> {
    let mut scene = scene(Pool::default(), vec![looked_at(BOT, Drift::Correct)]).await;
    add_look(&scene, &user(BOT), 0);
    reconcile(&scene.context, &key(BOT)).await;
    assert!(is_ready(&scene, BOT));
    age(&mut scene, BOT, 1).await;
    scene.context.looks.rest(&key(BOT));
    let user = found_for(reason);
    add_look(&scene, &user, 100);
    add_look(&scene, &user, 1);
    reconcile(&scene.context, &key(BOT)).await;
    assert_eq!(status(&scene, BOT).ready_reason(), Some(reason));
    scene
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn the_status_says_what_was_found_until_the_correction_is_made(
    #[values(Reason::PasswordReset, Reason::UserRecreated)] reason: Reason,
    #[values(Obstacle::Permit, Obstacle::Credentials, Obstacle::LostCall)] obstacle: Obstacle,
) {
    let scene = found(reason).await;
    let context = &scene.context;
    let payer = payer();
    let mut permits = Vec::new();
    match obstacle {
        Obstacle::Permit => {
            // So many resources wait that the wait is long enough for a report.
            let claim = |n| context.permits.claim(&other(n), &payer, Urgency::Requested);
            permits.extend((0..60).filter_map(|n| claim(n).ok()));
            assert!(context.permits.waiting(payer.category) > 0);
        }
        Obstacle::Credentials => context.cognito.give(Credentials::Missing),
        Obstacle::LostCall => {
            let target = Target::parse("eu-west-1_a", BOT).expect("valid");
            let sent = CallIdentity {
                uid: "another".to_owned(),
                fingerprint: "another".to_owned(),
            };
            let lock = context.user_locks.enter(&target, sent, Instant::now());
            let mut lock = lock.unwrap_or_else(|_| panic!("a free user"));
            lock.begin(Instant::now());
        }
    }
    let written = scene.api.writes(&path(BOT)).len();
    let sets = context.cognito.sets();
    for _ in 0..5 {
        reconcile(context, &key(BOT)).await;
        assert_eq!(status(&scene, BOT).ready_reason(), Some(reason));
    }
    let writes = scene.api.writes(&path(BOT)).split_off(written);
    assert!(writes.is_empty(), "{writes:#?}");
    assert_eq!(context.cognito.sets(), sets);

    match obstacle {
        Obstacle::Permit => {
            permits.clear();
            (0..60).for_each(|n| context.permits.leave(&other(n)));
        }
        Obstacle::Credentials => {
            context.cognito.give(Credentials::Work);
            let gate = &context.credential_gate;
            eventually("an open gate", || gate.account(&authority()).is_some()).await;
        }
        // A lost call may come for half a minute of the real clock.
        Obstacle::LostCall => return,
    }
    reconcile(context, &key(BOT)).await;
    assert_eq!(context.cognito.sets(), sets + 1);
    assert!(is_ready(&scene, BOT));
}

#[tokio::test(start_paused = true)]
async fn a_correction_waits_behind_a_set_that_a_person_asked_for_later() {
    let scene = found(Reason::PasswordReset).await;
    let (context, payer) = (&scene.context, payer());
    let claim = |n, urgency| context.permits.claim(&other(n), &payer, urgency);
    let urgent = |n| claim(n, Urgency::Requested);
    let mut permits: Vec<_> = (0..60).map_while(|n| urgent(n).ok()).collect();
    let last = permits.len();
    context.permits.leave(&other(last));
    // One permit in four goes to a retry, and this retry takes that permit.
    assert!(claim(last + 1, Urgency::Retry).is_err());
    reconcile(context, &key(BOT)).await;
    assert!(context.permits.contains(&key(BOT)));
    assert!(urgent(last).is_err());
    permits.truncate(last - 2);
    assert!(urgent(last).is_ok());
    assert!(!context.permits.has_permit(&key(BOT)));
}
