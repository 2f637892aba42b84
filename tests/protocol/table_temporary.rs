//! The decisions on a temporary password that may have been applied: from one fixture and a fixed clock.

use super::scene::{Scene, applied, error, lost, not_sent, refused};
use cognito_password_operator::{
    api::{AttemptOutcome, ConditionStatus, Reason},
    core::protocol::{decision::Decision, observation::OlderResource, reply::Reply},
};
use rstest::rstest;

const REST: Decision = Decision::Stay { wake: None };

/// A resource with `permanent: false`, and this reply to the first set.
fn after(reply: &Reply) -> Scene {
    let mut scene = Scene::new();
    scene.cluster.change(|spec| spec.permanent = false);
    scene.set(reply);
    scene
}

fn is_left_alone(scene: &mut Scene) {
    let stalled = (ConditionStatus::False, Reason::OutcomeUnknown, false, true);
    assert_eq!(scene.said(), stalled);
    assert_eq!(scene.status().failures, None, "no recheck");
    let generation = scene.cluster.resource.generation;
    assert_eq!(scene.status().observed_generation, Some(generation));
    assert!(scene.status().attempt.is_some_and(|a| a.is_open()));
    let message = scene.status().conditions[0].message.clone();
    for part in ["chosen a password of their own", "requestedAt", "new value"] {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(scene.look(), REST);
    scene.restart();
    assert_eq!(scene.look(), REST, "after a restart");
    scene.later(100_000);
    assert_eq!(scene.read(), REST, "after a day");
    scene.cluster.touch();
    assert_eq!(scene.look(), Decision::Read);
    assert_eq!(scene.read(), REST, "after the metadata moved");
}

#[rstest]
#[case(lost(), "connection closed")]
#[case(error(500, Some("InternalErrorException")), "InternalErrorException")]
#[case(error(502, None), "HTTP 502")]
#[case(refused("TeapotException"), "TeapotException")]
fn a_temporary_password_is_not_sent_again_after_a_call_without_a_usable_reply(
    #[case] reply: Reply,
    #[case] words: &str,
) {
    let mut scene = after(&reply);
    let message = scene.status().conditions[0].message.clone();
    assert!(message.contains(words), "{message}");
    is_left_alone(&mut scene);
    // Another generation repeats the same message.
    scene.cluster.change(|spec| spec.suspend = true);
    scene.cluster.change(|spec| spec.suspend = false);
    assert_eq!(scene.report().wake, None);
    assert_eq!(scene.status().conditions[0].message, message);
    is_left_alone(&mut scene);
}

#[test]
fn a_temporary_password_is_not_sent_again_after_its_process_ended() {
    let mut scene = Scene::new();
    scene.cluster.change(|spec| spec.permanent = false);
    let plan = scene.plan();
    scene.write(&plan.ahead);
    scene.restart();
    let report = scene.report();
    assert!(report.verdict.message.contains("stopped before"));
    assert_eq!(report.wake, None);
    is_left_alone(&mut scene);
}

#[test]
fn a_request_interrupted_by_a_restart_is_answered_and_not_sent_again() {
    for first in [lost(), applied()] {
        let mut scene = after(&first);
        scene.cluster.request();
        let plan = scene.plan();
        scene.write(&plan.ahead);
        let requested = scene.cluster.resource.requested_at.clone();
        assert_ne!(scene.status().last_handled_reconcile_at, requested);
        scene.restart();
        scene.report();
        assert_eq!(scene.status().last_handled_reconcile_at, requested);
        is_left_alone(&mut scene);
        // The next request is carried out.
        scene.cluster.request();
        scene.later(30);
        scene.set(&applied());
        assert_eq!(scene.said().1, Reason::PasswordSet);
    }
}

#[test]
fn a_request_interrupted_by_a_restart_is_answered_after_a_lost_key_too() {
    let mut scene = after(&applied());
    scene.cluster.request();
    let plan = scene.plan();
    scene.write(&plan.ahead);
    scene.cluster.keys = vec![("key-2".to_owned(), 2)];
    scene.cluster.touch();
    scene.restart();
    scene.report();
    let requested = scene.cluster.resource.requested_at.clone();
    assert_eq!(scene.status().last_handled_reconcile_at, requested);
    is_left_alone(&mut scene);
}

#[test]
fn the_attempts_outcome_and_not_the_condition_proves_that_the_user_was_missing() {
    let mut scene = after(&refused("UserNotFoundException"));
    assert_eq!(scene.attempt(), Some(AttemptOutcome::UserNotFound));
    scene.later(400);
    scene.set(&refused("TooManyRequestsException"));
    assert_eq!(scene.attempt(), Some(AttemptOutcome::UserNotFound));
    scene.later(400);
    let plan = scene.plan();
    scene.write(&plan.ahead);
    // The value may have been sent: the condition still says what it said before.
    assert_eq!(scene.said().1, Reason::TooManyRequests);
    scene.restart();
    scene.report();
    is_left_alone(&mut scene);
}

#[test]
fn a_missing_user_after_a_lost_call_does_not_prove_that_the_call_failed() {
    let mut scene = after(&lost());
    scene.cluster.request();
    scene.set(&refused("UserNotFoundException"));
    assert_eq!(scene.attempt(), Some(AttemptOutcome::Unknown));
    is_left_alone(&mut scene);
}

#[rstest]
#[case(not_sent())]
#[case(refused("TooManyRequestsException"))]
#[case(refused("AccessDeniedException"))]
fn a_request_is_answered_by_a_call_that_may_have_done_something(#[case] reply: Reply) {
    for first in [lost(), applied()] {
        let mut scene = after(&first);
        scene.cluster.request();
        let wake = scene.set(&reply).wake;
        assert!(wake.is_some());
        let requested = scene.cluster.resource.requested_at.clone();
        assert_ne!(scene.status().last_handled_reconcile_at, requested);
        assert_eq!(scene.wake(), wake);
        scene.restart();
        assert_eq!(scene.wake(), wake, "after a restart");
        scene.later(400);
        scene.set(&applied());
        assert_eq!(scene.status().last_handled_reconcile_at, requested);
        assert_eq!(scene.look(), REST);
    }
}

#[test]
fn a_temporary_value_whose_key_is_lost_is_signed_by_the_new_key_and_not_sent() {
    for first in [lost(), applied()] {
        let mut scene = after(&first);
        scene.cluster.keys = vec![("key-2".to_owned(), 2)];
        scene.cluster.touch();
        let report = scene.report();
        assert!(report.verdict.message.contains("key is gone"));
        is_left_alone(&mut scene);
        scene.put(1);
        scene.later(30);
        scene.set(&applied());
        assert_eq!(scene.said().1, Reason::PasswordSet);
    }
}

#[test]
fn a_request_after_a_lost_key_waits_for_the_quarantine_of_a_lost_call() {
    let mut scene = after(&lost());
    scene.cluster.keys = vec![("key-2".to_owned(), 2)];
    scene.cluster.touch();
    scene.report();
    scene.cluster.request();
    assert_eq!(scene.wake().map(|wake| wake.as_secs()), Some(30));
    assert_eq!(scene.look(), Decision::Read, "the wake leads on");
    scene.later(30);
    assert!(scene.plan().inherited);
}

#[test]
fn a_history_refusal_that_proves_nothing_stalls_until_a_request() {
    let mut scene = Scene::settled();
    scene.put(1);
    scene.set(&applied());
    scene.put(0);
    scene.set(&lost());
    scene.later(10);
    let wake = scene
        .set(&refused("PasswordHistoryPolicyViolationException"))
        .wake;
    assert_eq!(wake, None);
    let stalled = (ConditionStatus::False, Reason::OutcomeUnknown, false, true);
    assert_eq!(scene.said(), stalled);
    scene.restart();
    assert_eq!(scene.look(), REST);
    scene.cluster.request();
    assert!(scene.plan().inherited, "one more call");
}

#[test]
fn a_former_duplicate_waits_for_a_request_before_it_sends_a_temporary_value_again() {
    for first in [lost(), applied()] {
        let mut scene = after(&first);
        scene.older = Some(OlderResource::OtherNamespace);
        scene.report();
        assert_eq!(scene.said().1, Reason::DuplicateUser);
        scene.older = None;
        assert_eq!(scene.report().verdict.reason, Reason::Progressing);
        scene.report();
        is_left_alone(&mut scene);
        scene.put(1);
        scene.later(30);
        scene.set(&applied());
        assert_eq!(scene.said().1, Reason::PasswordSet);
    }
}

#[test]
fn a_history_refusal_of_a_value_in_doubt_is_reported_as_not_confirmed() {
    let mut scene = after(&lost());
    scene.later(30);
    scene.put(1);
    scene.set(&refused("InvalidPasswordException"));
    scene.put(0);
    scene.cluster.request();
    scene.set(&refused("PasswordHistoryPolicyViolationException"));
    let stalled = (ConditionStatus::Unknown, Reason::NotConfirmed, false, true);
    assert_eq!(scene.said(), stalled);
    assert_eq!(scene.attempt(), Some(AttemptOutcome::InHistory));
}

#[rstest]
#[case("InvalidPasswordException")]
#[case("AccessDeniedException")]
fn a_refusal_on_request_is_no_proof_that_no_earlier_call_was_applied(#[case] code: &str) {
    let mut scene = after(&lost());
    scene.later(30);
    scene.put(1);
    scene.set(&refused("InvalidPasswordException"));
    scene.put(0);
    scene.cluster.request();
    scene.set(&refused(code));
    assert_eq!(scene.attempt(), Some(AttemptOutcome::Unknown));
    // The request is withdrawn, and another field of the resource changes.
    scene.cluster.resource.requested_at = None;
    scene.cluster.change(|spec| spec.suspend = true);
    scene.cluster.change(|spec| spec.suspend = false);
    scene.later(4_000);
    scene.report();
    is_left_alone(&mut scene);
}
