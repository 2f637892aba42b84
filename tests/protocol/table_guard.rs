//! The guard of sets that may give a password to a stranger: a first set, a retry after `UserNotFound`, and a set
//! after a look found a stranger.

use super::scene::{Scene, applied, refused};
use super::table_looks::{REST, add, agree, look, look_at, recreated, settled, user, verified};
use cognito_password_operator::{
    api::{ConditionStatus::*, Drift, FederatedUser, Reason},
    core::{
        look::{
            found::{Found, LookFailure, LookKind, Looks},
            user::{User, UserState, UserState::*},
        },
        protocol::decision::Decision,
    },
};
use rstest::rstest;
use std::time::Duration;

pub fn new(drift: Drift) -> Scene {
    let mut scene = Scene::new();
    scene.cluster.change(|spec| spec.drift = Some(drift));
    scene
}

#[test]
fn a_first_set_waits_for_one_lookup() {
    let mut scene = new(Drift::Report);
    // The wake covers a look that got lost.
    let look_now = Decision::Look {
        after: Duration::ZERO,
        wake: Some(Duration::from_mins(1)),
    };
    assert_eq!(scene.look(), look_now);
    look_at(&mut scene, ForceChangePassword);
    assert_eq!(scene.look(), Decision::Read);
    assert!(scene.set(&applied()).applied);
}

#[test]
fn without_drift_a_first_set_waits_for_nothing() {
    let mut scene = new(Drift::Ignore);
    assert_eq!(scene.look(), Decision::Read);
    scene.set(&applied());
    assert_eq!(scene.status().synced.expect("set").answered_at, None);
}

#[test]
fn a_lookup_that_finds_nobody_or_fails_does_not_hold_the_set_back() {
    let mut scene = new(Drift::Report);
    add(&mut scene, Found::NotFound, LookKind::Lookup);
    assert_eq!(scene.look(), Decision::Read);
    let mut scene = new(Drift::Report);
    scene.looks.fail(LookFailure {
        reason: Reason::AccessDenied,
        words: "no".to_owned(),
        at: scene.now,
    });
    assert_eq!(scene.look(), Decision::Read);
    scene.set(&applied());
    scene.later(61);
    scene.say();
    assert_eq!(scene.said(), (True, Reason::PasswordSet, false, false));
    assert_eq!(verified(&scene), Some((Unknown, "AccessDenied".to_owned())));
}

#[rstest]
#[case::unconfirmed(Unconfirmed, Reason::UserUnconfirmed, true)]
#[case::federated(ExternalProvider, Reason::FederatedUser, false)]
fn the_guard_refuses_a_first_set(
    #[case] state: UserState,
    #[case] reason: Reason,
    #[case] request_overrides: bool,
) {
    let mut scene = new(Drift::Report);
    look_at(&mut scene, state);
    scene.say();
    assert_eq!(scene.said(), (False, reason, false, true));
    // Sticky: no value, restart or later look sets this user.
    scene.put(1);
    assert_eq!(scene.look(), REST);
    scene.looks = Looks::default();
    scene.restart();
    assert_eq!(scene.look(), REST);
    scene.later(3_600);
    look_at(&mut scene, Confirmed);
    assert_eq!(scene.look(), REST);
    scene.cluster.request();
    scene.looks = Looks::default();
    assert!(matches!(scene.look(), Decision::Look { .. }));
    look_at(&mut scene, state);
    if request_overrides {
        assert_eq!(scene.look(), Decision::Read);
        assert!(scene.set(&applied()).applied);
    } else {
        scene.say();
        assert_eq!(scene.said().1, reason);
        scene
            .cluster
            .change(|spec| spec.federated_user = FederatedUser::Allow);
        assert_eq!(scene.look(), Decision::Read);
        assert!(scene.set(&applied()).applied);
    }
}

#[test]
fn the_retry_after_user_not_found_sets_no_stranger() {
    let mut scene = new(Drift::Report);
    add(&mut scene, Found::NotFound, LookKind::Lookup);
    scene.set(&refused("UserNotFoundException"));
    scene.until_due();
    assert!(matches!(scene.look(), Decision::Look { .. }), "a new look");
    let stranger = User {
        created: Some(scene.now),
        ..user(&scene, Confirmed)
    };
    look(&mut scene, stranger);
    scene.say();
    assert_eq!(scene.said(), (False, Reason::UserRecreated, false, true));
    scene.cluster.request();
    assert_eq!(scene.look(), Decision::Read);
    assert!(scene.set(&applied()).applied);
}

#[test]
fn the_retry_after_user_not_found_sets_whom_an_administrator_created() {
    let mut scene = new(Drift::Report);
    add(&mut scene, Found::NotFound, LookKind::Lookup);
    scene.set(&refused("UserNotFoundException"));
    scene.until_due();
    let created = User {
        created: Some(scene.now),
        ..user(&scene, ForceChangePassword)
    };
    look(&mut scene, created);
    assert_eq!(scene.look(), Decision::Read);
    assert!(scene.set(&applied()).applied);
}

/// Value 1 was refused by IAM, and then a stranger registered the name.
#[rstest]
#[case::retry(false)]
#[case::another_value(true)]
fn a_set_after_a_stranger_came_is_held_back(#[case] another: bool) {
    let mut scene = settled(Drift::Report);
    if another {
        scene.later(600);
    } else {
        scene.put(1);
        scene.set(&refused("AccessDeniedException"));
        scene.until_due();
        scene.later(1);
    }
    let stranger = Found::User(recreated(&scene, Confirmed));
    agree(&mut scene, &stranger);
    if another {
        scene.put(1);
    }
    // The looks are known, and the status does not say so yet.
    assert!(
        !matches!(scene.read(), Decision::Set(_)),
        "{:?}",
        scene.read()
    );
    scene.later(1_000);
    assert!(
        !matches!(scene.read(), Decision::Set(_)),
        "{:?}",
        scene.read()
    );
    scene.cluster.request();
    add(&mut scene, stranger, LookKind::Lookup);
    scene.set(&applied());
    assert_eq!(scene.said().1, Reason::PasswordSet);
}

#[test]
fn a_disabled_user_who_signed_up_is_not_set_by_another_value() {
    let mut scene = settled(Drift::Report);
    let user = User {
        enabled: false,
        ..user(&scene, Unconfirmed)
    };
    let found = Found::User(user);
    agree(&mut scene, &found);
    scene.put(1);
    assert!(
        !matches!(scene.read(), Decision::Set(_)),
        "{:?}",
        scene.read()
    );
    scene.say();
    assert_eq!(scene.said().1, Reason::UserUnconfirmed);
}

#[test]
fn a_retry_needs_a_look_from_after_the_wait_for_the_retry() {
    let mut scene = new(Drift::Report);
    add(&mut scene, Found::NotFound, LookKind::Lookup);
    scene.set(&refused("UserNotFoundException"));
    // A look soon after the call finds nobody. Then a stranger signs up.
    scene.later(30);
    add(&mut scene, Found::NotFound, LookKind::Lookup);
    scene.until_due();
    scene.later(1);
    assert!(matches!(scene.look(), Decision::Look { .. }));
    add(&mut scene, Found::NotFound, LookKind::Lookup);
    // The rate limiter may keep the retry waiting.
    scene.later(600);
    assert_eq!(scene.look(), Decision::Read);
}

#[test]
fn the_look_before_a_first_set_is_remembered() {
    let mut scene = new(Drift::Report);
    look_at(&mut scene, ForceChangePassword);
    scene.set(&applied());
    assert_eq!(scene.status().found_as.as_deref(), Some("ci-bot"));
    scene.later(61);
    agree(&mut scene, &Found::NotFound);
    scene.say();
    assert_eq!(scene.said().1, Reason::UserGone);
}

#[test]
fn a_stranger_is_not_forgotten_while_the_status_speaks_of_something_else() {
    let mut scene = settled(Drift::Report);
    let stranger = Found::User(recreated(&scene, Confirmed));
    agree(&mut scene, &stranger);
    scene.say();
    scene.cluster.granted = false;
    scene.say();
    assert_eq!(scene.said().1, Reason::NotGranted);
    scene.cluster.granted = true;
    scene.looks = Looks::default();
    scene.restart();
    scene.put(1);
    assert!(matches!(scene.look(), Decision::Look { .. }));
    add(&mut scene, stranger, LookKind::Lookup);
    assert!(!matches!(scene.read(), Decision::Set(_)));
}

#[test]
fn a_look_that_failed_once_does_not_open_the_guard_for_ever() {
    let mut scene = new(Drift::Report);
    add(&mut scene, Found::NotFound, LookKind::Lookup);
    scene.set(&refused("UserNotFoundException"));
    scene.until_due();
    scene.looks.fail(failed(&scene));
    assert_eq!(scene.look(), Decision::Read, "a guard and no lock");
    scene.set(&refused("UserNotFoundException"));
    scene.until_due();
    assert!(
        matches!(scene.look(), Decision::Look { .. }),
        "the next retry"
    );
}

#[test]
fn a_look_that_failed_excuses_no_set_of_a_known_stranger() {
    let mut scene = new(Drift::Report);
    look_at(&mut scene, Unconfirmed);
    scene.say();
    scene.looks = Looks::default();
    scene.looks.fail(failed(&scene));
    scene.cluster.change(|spec| spec.revoke_sessions = true);
    assert!(
        matches!(scene.look(), Decision::Look { .. }),
        "{:?}",
        scene.look()
    );
    scene.cluster.request();
    assert_eq!(scene.look(), Decision::Read, "a person has spoken");
}

fn failed(scene: &Scene) -> LookFailure {
    LookFailure {
        reason: Reason::TooManyRequests,
        words: "no".to_owned(),
        at: scene.now,
    }
}
