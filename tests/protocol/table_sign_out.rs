//! `revokeSessions`: set, record with what is owed, sign out, then Ready.

use super::scene::{Scene, applied, error, lost, not_sent, refused};
use cognito_password_operator::{
    api::{Class, ConditionStatus::*, Reason},
    core::protocol::{decision::Decision, reply::Reply},
};
use rstest::rstest;
use std::time::Duration;

/// A resource with `revokeSessions`, with value 0 set and the sign-out owed.
fn owing() -> Scene {
    let mut scene = Scene::new();
    scene.cluster.change(|spec| spec.revoke_sessions = true);
    scene.set(&applied());
    scene
}

fn is_owed(scene: &Scene) -> bool {
    scene.status().sign_out_owed.is_some()
}

#[test]
fn the_record_of_a_set_owes_a_sign_out_and_is_not_ready() {
    let mut scene = Scene::new();
    scene.cluster.change(|spec| spec.revoke_sessions = true);
    let recorded = scene.set(&applied());
    assert!(recorded.applied);
    assert_eq!(recorded.verdict.reason, Reason::PasswordSet);
    assert_eq!(recorded.wake, Some(Duration::ZERO));
    let status = scene.status();
    assert!(status.synced.is_some() && status.attempt.is_none());
    assert!(is_owed(&scene));
    assert_eq!(
        scene.said(),
        (Unknown, Reason::RevokingSessions, true, false)
    );
    assert_ne!(
        status.observed_generation,
        Some(scene.cluster.resource.generation)
    );
}

#[test]
fn without_the_field_nothing_is_owed() {
    let mut scene = Scene::new();
    scene.set(&applied());
    assert!(!is_owed(&scene));
    assert_eq!(scene.said(), (True, Reason::PasswordSet, false, false));
}

#[test]
fn a_sign_out_that_succeeds_makes_the_resource_ready_and_nothing_follows() {
    let mut scene = owing();
    let duty = scene.duty();
    let report = scene
        .sign_out(&duty, &applied())
        .expect("the same obligation");
    assert!(report.done);
    assert_eq!(scene.said(), (True, Reason::PasswordSet, false, false));
    assert!(!is_owed(&scene));
    assert_eq!(scene.look(), Decision::Stay { wake: None });
    let status = scene.status();
    assert_eq!(
        status.observed_generation,
        Some(scene.cluster.resource.generation)
    );
}

#[test]
fn a_sign_out_of_a_user_who_is_gone_is_done() {
    let mut scene = owing();
    let duty = scene.duty();
    let report = scene.sign_out(&duty, &refused("UserNotFoundException"));
    assert!(report.expect("the same obligation").done);
    assert!(!is_owed(&scene));
}

#[rstest]
#[case::throttled(
    refused("TooManyRequestsException"),
    Reason::TooManyRequests,
    Class::Transient
)]
#[case::lost(lost(), Reason::OutcomeUnknown, Class::Unknown)]
#[case::not_sent(not_sent(), Reason::Unreachable, Class::Transient)]
#[case::broken(
    error(500, Some("InternalErrorException")),
    Reason::InternalError,
    Class::Unknown
)]
#[case::denied(refused("AccessDeniedException"), Reason::AccessDenied, Class::Waiting)]
#[case::not_authorized(
    refused("NotAuthorizedException"),
    Reason::NotAuthorized,
    Class::Waiting
)]
#[case::not_enabled(
    refused("OperationNotEnabledException"),
    Reason::OperationNotEnabled,
    Class::Waiting
)]
fn a_sign_out_that_fails_is_made_again_and_the_status_says_why(
    #[case] reply: Reply,
    #[case] reason: Reason,
    #[case] class: Class,
) {
    let mut scene = owing();
    let duty = scene.duty();
    let report = scene.sign_out(&duty, &reply).expect("the same obligation");
    assert!(!report.done && is_owed(&scene));
    let (ready, said, reconciling, stalled) = scene.said();
    assert_eq!((said, reconciling, stalled), (reason, true, false));
    assert_eq!(ready == Unknown, class == Class::Unknown);
    // The wait survives a restart, and leads to the same sign-out.
    scene.restart();
    let Decision::Stay { wake: Some(wake) } = scene.look() else {
        panic!("{:?}", scene.look());
    };
    assert!(wake <= Duration::from_hours(1) && wake >= Duration::from_millis(900));
    let before = scene.status();
    scene.later(i64::try_from(wake.as_secs()).expect("a time") + 1);
    if class == Class::Waiting {
        // After 5 minutes the status says that a person must act.
        scene.say();
        assert_eq!(scene.said(), (False, reason, false, true));
        scene.later(60);
    } else {
        assert_eq!(scene.status(), before);
    }
    let again = scene.duty();
    assert_eq!(again.since, duty.since);
    assert!(scene.sign_out(&again, &applied()).expect("the same").done);
    assert_eq!(scene.said(), (True, Reason::PasswordSet, false, false));
}

#[test]
fn a_restart_after_the_record_signs_out() {
    let mut scene = owing();
    scene.restart();
    let duty = scene.duty();
    assert!(scene.sign_out(&duty, &applied()).expect("the same").done);
}

#[test]
fn a_new_value_goes_first_and_owes_anew() {
    let mut scene = owing();
    let duty = scene.duty();
    scene.put(1);
    assert_eq!(scene.look(), Decision::Read);
    scene.later(1);
    scene.set(&applied());
    // The sign-out of the former set comes to nothing: the record owes another one.
    assert_eq!(scene.sign_out(&duty, &applied()), None);
    assert!(is_owed(&scene));
    let newer = scene.duty();
    assert_ne!(newer.since, duty.since);
    assert!(scene.sign_out(&newer, &applied()).expect("the same").done);
}

#[test]
fn a_refused_new_value_does_not_keep_the_sessions_alive() {
    let mut scene = owing();
    scene.put(4);
    scene.set(&refused("InvalidPasswordException"));
    assert_eq!(scene.said(), (False, Reason::InvalidPassword, false, true));
    let duty = scene.duty();
    let before = scene.said();
    assert!(scene.sign_out(&duty, &applied()).expect("the same").done);
    assert_eq!(scene.said(), before, "the status speaks of the value");
    assert_eq!(scene.look(), Decision::Stay { wake: None });
}

#[test]
fn a_missing_secret_does_not_keep_the_sessions_alive() {
    let mut scene = owing();
    scene.cluster.secret = None;
    let report = scene.report();
    assert_eq!(report.verdict.reason, Reason::SecretNotFound);
    assert!(report.wake.is_some_and(|wake| wake.is_zero()));
    let duty = scene.duty();
    assert!(scene.sign_out(&duty, &applied()).expect("the same").done);
    assert_eq!(scene.said().1, Reason::SecretNotFound);
}

#[test]
fn a_field_that_is_taken_away_drops_what_is_owed() {
    let mut scene = owing();
    scene.cluster.change(|spec| spec.revoke_sessions = false);
    assert_eq!(scene.look(), Decision::Read);
    scene.report();
    assert!(!is_owed(&scene));
    assert_eq!(scene.said(), (True, Reason::PasswordSet, false, false));
}

#[test]
fn what_is_owed_stays_while_the_resource_is_suspended_or_not_granted() {
    let mut scene = owing();
    scene.cluster.change(|spec| spec.suspend = true);
    scene.say();
    assert_eq!(scene.look(), Decision::Leave);
    assert!(is_owed(&scene));
    scene.cluster.change(|spec| spec.suspend = false);
    scene.cluster.granted = false;
    scene.say();
    assert!(matches!(scene.look(), Decision::Stay { .. }));
    assert!(is_owed(&scene));
    scene.cluster.granted = true;
    // The value is compared again, and then the sign-out is made.
    scene.report();
    let duty = scene.duty();
    assert!(scene.sign_out(&duty, &applied()).expect("the same").done);
    assert_eq!(scene.said(), (True, Reason::PasswordSet, false, false));
}

#[test]
fn a_request_owes_anew_and_is_answered_by_the_set() {
    let mut scene = owing();
    let duty = scene.duty();
    scene.sign_out(&duty, &applied());
    scene.cluster.request();
    scene.later(1);
    scene.set(&applied());
    let status = scene.status();
    assert_eq!(
        status.last_handled_reconcile_at,
        scene.cluster.resource.requested_at
    );
    assert!(is_owed(&scene));
    assert_eq!(scene.said().0, Unknown);
}
