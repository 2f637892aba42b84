//! Tables of decisions: one fixture, one change and a fixed clock.

use super::{
    cognito::WEAK,
    scene::{Scene, applied, refused},
};
use cognito_password_operator::{
    api::{AttemptOutcome, ConditionStatus, Failures, Reason},
    core::protocol::decision::Decision,
};
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use rstest::rstest;
use std::time::Duration;

const REST: Decision = Decision::Stay { wake: None };

#[test]
fn a_new_resource_is_read_and_set() {
    let mut scene = Scene::new();
    assert_eq!(scene.look(), Decision::Read);
    let plan = scene.plan();
    assert_eq!(plan.attempt.outcome, AttemptOutcome::Pending);
    assert_eq!(plan.attempt.started_at, MicroTime(scene.now));
    assert_eq!(plan.ahead.attempt.as_ref(), Some(&plan.attempt));
    assert!(!plan.inherited && !plan.known_before && !plan.equals_synced());
}

#[test]
fn a_resource_in_sync_needs_no_secret_read() {
    let mut scene = Scene::settled();
    assert_eq!(scene.look(), REST);
    scene.restart();
    assert_eq!(scene.look(), REST, "not after a restart either");
    assert_eq!(scene.read(), REST);
}

#[test]
fn a_secret_whose_metadata_moved_is_read_once_and_nothing_is_written() {
    let mut scene = Scene::settled();
    scene.cluster.touch();
    assert_eq!(scene.look(), Decision::Read);
    assert_eq!(scene.read(), REST);
    assert_eq!(scene.look(), REST);
}

#[test]
fn a_changed_value_is_set_and_ready_is_not_true_meanwhile() {
    let mut scene = Scene::settled();
    scene.put(1);
    assert_eq!(scene.look(), Decision::Read);
    let plan = scene.plan();
    scene.write(&plan.ahead);
    let progressing = (ConditionStatus::Unknown, Reason::Progressing, true, false);
    assert_eq!(scene.said(), progressing);
}

#[rstest]
#[case::permanent(|s: &mut Scene| s.cluster.change(|spec| spec.permanent = false))]
#[case::request(|s: &mut Scene| s.cluster.request())]
fn a_request_or_a_new_generation_leads_to_a_set(#[case] change: fn(&mut Scene)) {
    let mut scene = Scene::settled();
    change(&mut scene);
    assert_eq!(scene.look(), Decision::Read);
    scene.set(&applied());
    assert_eq!(scene.said().0, ConditionStatus::True);
    assert_eq!(scene.look(), REST);
}

#[test]
fn a_request_on_a_resource_in_sync_is_answered_by_a_set() {
    let mut scene = Scene::settled();
    scene.cluster.request();
    let plan = scene.plan();
    assert!(plan.equals_synced());
    let requested = scene.cluster.resource.requested_at.clone();
    assert_eq!(plan.attempt.request, requested);
    assert_eq!(plan.ahead.last_handled_reconcile_at, None);
    scene.set(&applied());
    assert_eq!(scene.status().last_handled_reconcile_at, requested);
}

#[test]
fn a_new_generation_with_the_same_value_is_reported_without_a_call() {
    let mut scene = Scene::settled();
    scene.cluster.change(|spec| spec.suspend = true);
    scene.report();
    assert_eq!(scene.look(), Decision::Leave);
    assert_eq!(scene.read(), Decision::Leave);
    scene.cluster.change(|spec| spec.suspend = false);
    assert_eq!(scene.look(), Decision::Read);
    let report = scene.report();
    assert_eq!(report.status.observed_generation, Some(3));
    assert_eq!(scene.look(), REST);
}

#[rstest]
#[case::gone(|s: &mut Scene| s.cluster.secret = None, Reason::SecretNotFound)]
#[case::no_key(|s: &mut Scene| s.cluster.put("password", None), Reason::SecretKeyNotFound)]
fn a_resource_without_a_value_is_reported_stalled_after_5_minutes(
    #[case] change: fn(&mut Scene),
    #[case] reason: Reason,
) {
    let mut scene = Scene::settled();
    change(&mut scene);
    assert_eq!(scene.look(), Decision::Read);
    let minutes = Some(Duration::from_mins(5));
    assert_eq!(scene.report().wake, minutes);
    assert_eq!(scene.said(), (ConditionStatus::False, reason, true, false));
    assert_eq!(scene.status().failures, None, "an event ends it");
    assert_eq!(scene.look(), Decision::Stay { wake: minutes });
    scene.later(200);
    scene.restart();
    let left = Some(Duration::from_secs(100));
    assert_eq!(scene.look(), Decision::Stay { wake: left }, "a restart");
    assert_eq!(scene.wake(), left, "nothing new is written");
    scene.later(100);
    assert_eq!(scene.say().wake, None);
    let stalled = (ConditionStatus::False, reason, false, true);
    assert_eq!(scene.said(), stalled);
    assert_eq!(scene.status().observed_generation, Some(1));
    for days in [0, 1, 100] {
        scene.later(days * 86_400);
        assert_eq!(scene.look(), REST);
        scene.restart();
        assert_eq!(scene.look(), REST, "after a restart");
    }
    scene.put(0);
    scene.restart();
    assert_eq!(scene.look(), Decision::Read);
    assert!(
        !matches!(scene.read(), Decision::Stay { .. }),
        "it is there: nothing to wait for"
    );
}

#[rstest]
#[case::gone(|s: &mut Scene| s.cluster.secret = None)]
#[case::no_key(|s: &mut Scene| s.cluster.put("password", None))]
#[case::not_granted(|s: &mut Scene| s.cluster.granted = false)]
fn a_retry_time_that_another_version_wrote_is_ignored(#[case] change: fn(&mut Scene)) {
    let mut scene = Scene::settled();
    change(&mut scene);
    match scene.look() {
        Decision::Report(_) => scene.say(),
        _ => scene.report(),
    };
    let retry_at = MicroTime(scene.now + SignedDuration::from_secs(310));
    scene.with_status(|status| {
        status.failures = Some(Failures {
            count: 1,
            retry_at,
            request: None,
        });
    });
    let minutes = Some(Duration::from_mins(5));
    assert_eq!(scene.look(), Decision::Stay { wake: minutes });
    scene.later(300);
    assert_eq!(scene.say().wake, None);
    assert_eq!(scene.status().failures, None);
    scene.later(86_400);
    assert_eq!(scene.look(), REST);
}

#[test]
fn a_secret_without_the_selectors_labels_is_not_read_and_reported_missing() {
    let mut scene = Scene::settled();
    let before = scene.status();
    let minutes = Some(Duration::from_mins(5));
    let said = |stalled: bool| {
        let reason = Reason::SecretNotFound;
        (ConditionStatus::False, reason, !stalled, stalled)
    };
    for (waited, stalled, wake) in [(0, false, minutes), (300, true, None)] {
        scene.later(waited);
        match scene.unselected() {
            Decision::Report(report) => {
                scene.write(&report.status);
                assert_eq!(report.wake, wake);
            }
            other => panic!("wanted a report, got {other:?}"),
        }
        assert_eq!(scene.said(), said(stalled));
        assert_eq!(scene.status().synced, before.synced);
        assert_eq!(scene.unselected(), Decision::Stay { wake });
    }
}

#[test]
fn an_invalid_value_stalls_without_a_call() {
    let mut scene = Scene::settled();
    scene.cluster.put("password", Some(b"PLAINTEXT\n".to_vec()));
    assert_eq!(scene.report().wake, None);
    let stalled = (
        ConditionStatus::False,
        Reason::InvalidSecretValue,
        false,
        true,
    );
    assert_eq!(scene.said(), stalled);
    assert_eq!(scene.look(), REST);
    scene.restart();
    assert_eq!(scene.look(), REST, "after a restart");
    scene.put(0);
    assert_eq!(scene.report().verdict.reason, Reason::PasswordSet);
    assert_eq!(scene.status().unusable, None);
}

#[rstest]
#[case("InvalidPasswordException")]
#[case("InvalidParameterException")]
#[case("PasswordHistoryPolicyViolationException")]
fn a_refused_value_is_left_alone_until_something_changes(#[case] code: &str) {
    let refused_scene = || {
        let mut scene = Scene::new();
        scene.set(&refused(code));
        scene
    };
    let mut scene = refused_scene();
    assert_eq!(scene.look(), REST);
    scene.restart();
    assert_eq!(scene.look(), REST, "after a restart");
    scene.cluster.touch();
    assert_eq!(scene.look(), Decision::Read);
    assert_eq!(scene.read(), REST, "after the metadata moved");
    scene.later(100_000);
    assert_eq!(scene.read(), REST, "after a day");
    let changes: [fn(&mut Scene); 3] = [
        |s| s.put(1),
        |s| s.cluster.request(),
        |s| s.cluster.change(|spec| spec.permanent = false),
    ];
    for change in changes {
        let mut scene = refused_scene();
        change(&mut scene);
        scene.plan();
    }
}

#[test]
fn a_refusal_is_forgotten_when_the_synced_value_comes_back() {
    let mut scene = Scene::settled();
    scene.put(WEAK);
    scene.set(&refused("InvalidPasswordException"));
    scene.put(0);
    assert_eq!(scene.report().verdict.reason, Reason::PasswordSet);
    assert_eq!(scene.attempt(), None);
}

#[test]
fn a_lost_key_signs_the_synced_value_again_if_the_secret_is_unchanged() {
    let lost_key = || {
        let mut scene = Scene::settled();
        scene.cluster.keys = vec![("key-2".to_owned(), 2)];
        scene
    };
    let mut scene = lost_key();
    assert_eq!(scene.look(), Decision::Read);
    let before = scene.status().synced.expect("synced");
    assert!(scene.report().signed_again);
    let after = scene.status().synced.expect("synced");
    assert_ne!(after.fingerprint, before.fingerprint);
    assert_eq!(after.at, before.at);
    assert_eq!(scene.look(), REST);
    let mut scene = lost_key();
    scene.cluster.touch();
    assert!(
        !scene.plan().equals_synced(),
        "a Secret that moved too is set again"
    );
}
