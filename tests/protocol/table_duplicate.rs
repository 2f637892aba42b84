//! The decisions while an older resource manages the same user, and after the older resource is gone.

use super::scene::{Scene, applied, lost, refused};
use cognito_password_operator::{
    api::{AttemptOutcome, CognitoUserPasswordSpec, ConditionStatus, Reason, Status},
    core::{
        credential::fingerprint::retire,
        protocol::{
            decision::{Decision, Report},
            observation::OlderResource,
        },
    },
};
use jiff::SignedDuration;
use rstest::rstest;
use std::time::Duration;

const REST: Decision = Decision::Stay { wake: None };

const DUPLICATE: (ConditionStatus, Reason, bool, bool) =
    (ConditionStatus::False, Reason::DuplicateUser, false, true);

/// The report on the watch's hint, without a read of the Secret.
fn said(scene: &mut Scene) -> Box<Report> {
    match scene.look() {
        Decision::Report(report) => {
            scene.write(&report.status);
            report
        }
        other => panic!("wanted a report, got {other:?}"),
    }
}

fn become_duplicate(scene: &mut Scene) -> Status {
    scene.older = Some(OlderResource::OtherNamespace);
    let report = said(scene);
    assert_eq!(report.wake, None);
    assert_eq!(scene.said(), DUPLICATE);
    scene.status()
}

/// Removes the older resource, and takes the first step after that.
fn take_over(scene: &mut Scene) -> Status {
    scene.older = None;
    let report = said(scene);
    assert_eq!(report.wake, Some(Duration::ZERO));
    let progressing = (ConditionStatus::Unknown, Reason::Progressing, true, false);
    assert_eq!(scene.said(), progressing);
    assert_eq!(scene.look(), Decision::Read);
    scene.status()
}

#[rstest]
#[case::new(Scene::new())]
#[case::settled(Scene::settled())]
#[case::refused({ let mut s = Scene::new(); s.set(&refused("InvalidPasswordException")); s })]
#[case::waiting({ let mut s = Scene::new(); s.set(&refused("AccessDeniedException")); s })]
#[case::lost({ let mut s = Scene::settled(); s.put(1); s.set(&lost()); s })]
#[case::no_secret({ let mut s = Scene::new(); s.cluster.secret = None; s })]
fn a_duplicate_is_reported_once_and_its_record_stays(#[case] mut scene: Scene) {
    let before = become_duplicate(&mut scene);
    assert_eq!(before.failures, None);
    // Neither a restart nor another trigger of a set changes that.
    scene.restart();
    assert_eq!(scene.look(), Decision::Stay { wake: None });
    scene.later(3_600);
    scene.put(2);
    assert_eq!(scene.look(), Decision::Stay { wake: None });
    assert_eq!(scene.status(), before);
    scene.cluster.request();
    let answered = said(&mut scene).status;
    let requested = scene.cluster.resource.requested_at.clone();
    assert_eq!(answered.last_handled_reconcile_at, requested);
}

#[test]
fn the_older_resource_is_named_within_its_own_namespace_only() {
    let mut scene = Scene::new();
    scene.older = Some(OlderResource::SameNamespace("ci-bot".to_owned()));
    assert_eq!(
        said(&mut scene).verdict.message,
        "The older resource ci-bot manages this user of this pool already, so the operator didn't call Cognito: delete one of the two; or, if the pool is case-sensitive and the usernames differ \
         in case, name one of the users by the sub, in a new resource."
    );
    scene.older = Some(OlderResource::OtherNamespace);
    assert_eq!(
        said(&mut scene).verdict.message,
        "An older resource in another namespace manages this user of this pool already, so the operator didn't call Cognito: delete this resource, or have the other one deleted; or, if the \
         pool is case-sensitive and the usernames differ in case, name the user by the sub, in a \
         new resource."
    );
}

#[test]
fn a_resource_that_takes_over_a_user_sets_its_synced_value_again() {
    let mut scene = Scene::settled();
    let synced = scene.status().synced.expect("it is set");
    assert_eq!(
        become_duplicate(&mut scene).synced.as_ref(),
        Some(&synced),
        "it tells the older one that somebody else has set its user"
    );
    let status = take_over(&mut scene);
    assert_eq!(status.synced, None);
    assert_eq!(status.retired, [retire(&synced.fingerprint)]);
    let plan = scene.plan();
    assert!(!plan.inherited && !plan.equals_synced() && plan.known_before);
    scene.set(&applied());
    assert_eq!(scene.said().1, Reason::PasswordSet);
}

#[test]
fn a_temporary_password_that_was_set_is_set_again_on_request_only() {
    let mut scene = Scene::new();
    scene.cluster.change(|spec| spec.permanent = false);
    scene.set(&applied());
    become_duplicate(&mut scene);
    take_over(&mut scene);
    scene.report();
    assert_eq!(scene.said().1, Reason::OutcomeUnknown);
    assert_eq!(scene.wake(), None);
    scene.cluster.request();
    scene.set(&applied());
    assert_eq!(scene.said().1, Reason::PasswordSet);
}

#[test]
fn a_new_temporary_password_is_set_at_a_handover() {
    let mut scene = Scene::new();
    scene.cluster.change(|spec| spec.permanent = false);
    scene.set(&applied());
    become_duplicate(&mut scene);
    scene.put(1);
    scene.later(60);
    take_over(&mut scene);
    scene.set(&applied());
    assert_eq!(scene.said().1, Reason::PasswordSet);
}

#[test]
fn a_resource_that_takes_over_a_user_sends_a_refused_value_again() {
    let mut scene = Scene::new();
    scene.set(&refused("InvalidPasswordException"));
    become_duplicate(&mut scene);
    assert_eq!(take_over(&mut scene).attempt, None);
    scene.set(&refused("InvalidPasswordException"));
    assert_eq!(scene.said().1, Reason::InvalidPassword);
}

#[test]
fn an_open_attempt_survives_a_duplicate_and_is_inherited_afterwards() {
    let mut scene = Scene::new();
    scene.set(&lost());
    become_duplicate(&mut scene);
    assert_eq!(scene.attempt(), Some(AttemptOutcome::Unknown));
    take_over(&mut scene);
    assert_eq!(scene.attempt(), Some(AttemptOutcome::Unknown));
    let plan = scene.plan();
    assert!(plan.inherited);
    assert!(plan.known_before, "somebody else may have sent it too");
}

#[test]
fn a_different_value_waits_for_the_quarantine_after_a_duplicate_too() {
    let mut scene = Scene::new();
    scene.set(&lost());
    become_duplicate(&mut scene);
    scene.put(1);
    take_over(&mut scene);
    scene.later(10);
    assert_eq!(scene.wake().map(|wake| wake.as_secs()), Some(20));
    scene.later(20);
    assert!(!scene.plan().inherited);
}

#[test]
fn the_history_does_not_confirm_a_value_that_the_older_resource_may_have_set() {
    let mut scene = Scene::new();
    scene.set(&lost());
    become_duplicate(&mut scene);
    take_over(&mut scene);
    scene.set(&refused("PasswordHistoryPolicyViolationException"));
    assert_eq!(scene.said().1, Reason::OutcomeUnknown);
}

#[test]
fn a_resource_sets_its_user_once_more_after_a_rivals_set() {
    let mut scene = Scene::settled();
    let set_at = scene.now;
    scene.later(60);
    scene.rival_at = Some(set_at - SignedDuration::from_secs(1));
    assert_eq!(scene.look(), REST, "set before, and written over since");
    scene.rival_at = Some(set_at + SignedDuration::from_secs(1));
    let status = take_over(&mut scene);
    assert_eq!((status.synced, status.retired.len()), (None, 1));
    scene.set(&applied());
    assert_eq!(scene.look(), REST);
}

#[test]
fn a_rivals_set_in_the_future_is_ignored() {
    let mut scene = Scene::settled();
    scene.rival_at = Some(scene.now + SignedDuration::from_secs(1));
    assert_eq!(scene.look(), REST);
}

#[test]
fn a_rivals_set_after_a_lost_call_makes_the_value_known_before() {
    let mut scene = Scene::new();
    scene.set(&lost());
    scene.rival_at = Some(scene.now + SignedDuration::from_secs(1));
    scene.later(2);
    take_over(&mut scene);
    assert!(scene.plan().known_before);
}

#[test]
fn the_history_does_not_confirm_a_value_that_a_rival_may_have_set_before() {
    let mut scene = Scene::new();
    scene.rival_at = Some(scene.now - SignedDuration::from_secs(1));
    scene.set(&lost());
    scene.later(2);
    scene.set(&refused("PasswordHistoryPolicyViolationException"));
    assert_eq!(scene.said().1, Reason::OutcomeUnknown);
}

#[test]
fn a_history_refusal_after_a_duplicate_is_reported_as_not_confirmed() {
    let mut scene = Scene::settled();
    scene.older = Some(OlderResource::OtherNamespace);
    scene.report();
    scene.older = None;
    scene.report();
    scene.set(&refused("PasswordHistoryPolicyViolationException"));
    let stalled = (ConditionStatus::Unknown, Reason::NotConfirmed, false, true);
    assert_eq!(scene.said(), stalled);
    scene.put(1);
    scene.later(30);
    scene.set(&applied());
    assert_eq!(scene.said().1, Reason::PasswordSet);
}

#[test]
fn a_resource_without_a_valid_target_is_no_duplicate() {
    let mut scene = Scene::settled();
    let invalid = |spec: &mut CognitoUserPasswordSpec| spec.username = "a b".to_owned();
    scene.cluster.change(invalid);
    scene.older = Some(OlderResource::OtherNamespace);
    let before = scene.status();
    assert_eq!(said(&mut scene).verdict.reason, Reason::InvalidParameter);
    assert_eq!(before.synced, scene.status().synced);
}

#[test]
fn a_suspended_duplicate_keeps_its_ready_condition_and_drops_its_synced_value() {
    let mut scene = Scene::settled();
    scene.cluster.change(|spec| spec.suspend = true);
    scene.older = Some(OlderResource::OtherNamespace);
    let before = scene.status();
    said(&mut scene);
    assert_eq!(before.conditions[0], scene.status().conditions[0]);
    assert_eq!(scene.status().synced, None);
    assert_eq!(scene.look(), Decision::Leave);
}
