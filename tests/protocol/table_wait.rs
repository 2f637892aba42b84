//! The reasons to wait, and the events that end a wait: from one fixture and a fixed clock.

use super::scene::{Scene, applied, error, lost, not_sent, refused};
use cognito_password_operator::{
    api::{ConditionStatus, Reason},
    core::protocol::{decision::Decision, reply::Reply},
};
use jiff::SignedDuration;
use rstest::rstest;
use std::time::Duration;

#[test]
fn the_5_minutes_before_stalled_begin_with_the_wait() {
    let mut scene = Scene::new();
    scene.set(&lost());
    scene.later(400);
    scene.set(&refused("AccessDeniedException"));
    scene.cluster.request();
    scene.later(2);
    scene.set(&refused("AccessDeniedException"));
    let waiting = (ConditionStatus::False, Reason::AccessDenied, true, false);
    assert_eq!(scene.said(), waiting);
    scene.later(300);
    scene.cluster.request();
    scene.set(&refused("AccessDeniedException"));
    let stalled = (ConditionStatus::False, Reason::AccessDenied, false, true);
    assert_eq!(scene.said(), stalled);
}

#[test]
fn a_waiting_resource_is_reported_stalled_after_5_minutes_and_keeps_its_recheck_time() {
    for restart in [false, true] {
        let mut scene = Scene::new();
        let minutes = Some(Duration::from_mins(5));
        assert_eq!(scene.set(&refused("AccessDeniedException")).wake, minutes);
        let before = scene.status();
        scene.later(299);
        if restart {
            scene.restart();
        }
        let second = Some(Duration::from_secs(1));
        assert_eq!(scene.look(), Decision::Stay { wake: second });
        scene.later(1);
        let wake = scene.say().wake.expect("the recheck");
        let stalled = (ConditionStatus::False, Reason::AccessDenied, false, true);
        assert_eq!(scene.said(), stalled);
        let after = scene.status();
        assert_eq!(
            (after.failures, after.attempt),
            (before.failures, before.attempt)
        );
        assert_eq!(scene.look(), Decision::Stay { wake: Some(wake) });
        scene.now += SignedDuration::try_from(wake).expect("short");
        assert_eq!(scene.look(), Decision::Read);
        scene.plan();
    }
}

#[rstest]
#[case(refused("AccessDeniedException"))]
#[case(refused("TooManyRequestsException"))]
#[case(refused("TeapotException"))]
#[case(error(500, None))]
#[case(not_sent())]
#[case(lost())]
fn a_wait_survives_a_restart_and_a_moved_resource_version(#[case] reply: Reply) {
    let mut scene = Scene::new();
    let wake = scene.set(&reply).wake;
    assert!(wake.is_some());
    assert_eq!(scene.wake(), wake);
    scene.cluster.touch();
    assert_eq!(scene.wake(), wake, "a moved resourceVersion");
    scene.restart();
    assert_eq!(scene.wake(), wake, "a restart");
    scene.restart();
    scene.cluster.touch();
    assert_eq!(scene.wake(), wake, "both");
}

#[rstest]
#[case::generation(|s: &mut Scene| s.cluster.change(|spec| spec.password_secret_ref.key = "other".to_owned()))]
#[case::value(|s: &mut Scene| s.put(1))]
#[case::request(|s: &mut Scene| s.cluster.request())]
#[case::recovered(|s: &mut Scene| s.recovered = true)]
fn a_change_ends_a_wait(#[case] change: fn(&mut Scene)) {
    for restart in [false, true] {
        let mut scene = Scene::new();
        scene
            .cluster
            .put("other", Some(b"PLAINTEXT-0-aA1!".to_vec()));
        scene.set(&refused("AccessDeniedException"));
        scene.later(1);
        if restart {
            scene.restart();
        }
        change(&mut scene);
        assert_eq!(scene.look(), Decision::Read);
        scene.plan();
    }
}

#[test]
fn an_attempt_that_ended_a_wait_is_inherited_without_a_wait() {
    let mut scene = Scene::new();
    scene.set(&refused("AccessDeniedException"));
    scene.put(1);
    let plan = scene.plan();
    scene.write(&plan.ahead);
    scene.restart();
    assert!(scene.plan().inherited);
}

#[test]
fn failures_lengthen_the_backoff_and_a_success_resets_it() {
    let mut scene = Scene::new();
    let mut wakes = Vec::new();
    for _ in 0..16 {
        let wake = scene.set(&lost()).wake.expect("a retry");
        scene.now += SignedDuration::try_from(wake).expect("short");
        wakes.push(wake.as_secs());
    }
    assert!(
        wakes[0] <= 2 && wakes[15] >= 200 && wakes[15] <= 300,
        "{wakes:?}"
    );
    scene.set(&applied());
    assert_eq!(scene.status().failures, None);
}

#[test]
fn another_value_waits_for_the_quarantine_and_the_same_one_does_not() {
    let mut scene = Scene::new();
    scene.set(&lost());
    scene.later(2);
    scene.put(1);
    assert_eq!(scene.wake(), Some(Duration::from_secs(28)));
    assert_eq!(scene.look(), Decision::Read, "no backoff is longer");
    scene.later(27);
    scene.restart();
    assert_eq!(scene.wake(), Some(Duration::from_secs(1)));
    scene.put(0);
    assert!(scene.plan().inherited);
    scene.put(1);
    scene.later(1);
    assert!(!scene.plan().inherited);
}

#[test]
fn a_take_over_counts_the_quarantine_from_its_own_start() {
    let mut scene = Scene::new();
    scene.set(&lost());
    scene.later(20);
    scene.set(&lost());
    scene.later(20);
    scene.put(1);
    assert_eq!(scene.wake(), Some(Duration::from_secs(10)));
}

#[test]
fn a_take_over_that_succeeds_keeps_the_quarantine_of_the_lost_call() {
    for reply in [
        applied(),
        refused("PasswordHistoryPolicyViolationException"),
    ] {
        let mut scene = Scene::new();
        scene.set(&lost());
        scene.later(6);
        scene.set(&reply);
        assert_eq!(scene.said().0, ConditionStatus::True);
        scene.put(1);
        let wake = match scene.read() {
            Decision::Report(report) => {
                scene.write(&report.status);
                assert_ne!(scene.said().0, ConditionStatus::True);
                report.wake
            }
            other => panic!("wanted to be told, got {other:?}"),
        };
        assert_eq!(wake, Some(Duration::from_secs(24)));
        assert_eq!(scene.look(), Decision::Read, "the wake leads on");
        scene.later(24);
        scene.set(&applied());
        assert_eq!(scene.said().0, ConditionStatus::True);
    }
}

#[test]
fn a_resource_held_at_the_credential_gate_is_reported_stalled_after_5_minutes_without_a_read() {
    let mut scene = Scene::new();
    scene.set(&refused("ExpiredTokenException"));
    let before = scene.status();
    scene.later(120);
    let left = Some(Duration::from_mins(3));
    assert_eq!(scene.turned_away(), Decision::Stay { wake: left });
    scene.later(180);
    match scene.turned_away() {
        Decision::Report(report) => scene.write(&report.status),
        other => panic!("wanted a report, got {other:?}"),
    }
    let reason = Reason::InvalidCredentials;
    assert_eq!(scene.said(), (ConditionStatus::False, reason, false, true));
    assert_eq!(scene.status().failures, before.failures);
    assert_eq!(scene.turned_away(), Decision::Stay { wake: None });
}
