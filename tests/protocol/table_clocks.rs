//! Times on record that a wrong clock wrote, or that a wrong clock reads now: each stored time, in both
//! directions.

use super::scene::{Scene, applied, lost, refused};
use cognito_password_operator::{
    api::{ConditionStatus, ConditionType, Reason},
    core::protocol::{decision::Decision, reply::Reply},
};
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use rstest::rstest;
use std::time::Duration;

const REST: Decision = Decision::Stay { wake: None };

/// By how many seconds the clock changes; negative means back.
const SHIFTS: [i64; 6] = [-40_000_000, -3_000, -45, 45, 3_000, 40_000_000];

#[rstest]
#[case(refused("TooManyRequestsException"))]
#[case(lost())]
#[case(refused("AccessDeniedException"))]
fn no_clock_change_prolongs_the_wait_for_a_retry(#[case] reply: Reply) {
    for shift in SHIFTS {
        let mut scene = Scene::new();
        scene.set(&reply);
        let longest = scene.status().failures.expect("a next try").retry_at.0;
        let longest = Duration::try_from(longest.duration_since(scene.now)).expect("later");
        scene.later(shift);
        let wake = match scene.read() {
            Decision::Set(_) => Duration::ZERO,
            Decision::Stay { wake } => wake.expect("it goes on by itself"),
            Decision::Report(report) => report.wake.expect("it goes on by itself"),
            other => panic!("{other:?}"),
        };
        assert!(wake <= longest, "{shift}: {wake:?} instead of {longest:?}");
    }
}

#[test]
fn a_clock_that_is_set_back_after_a_lost_call_does_not_end_the_quarantine() {
    for shift in SHIFTS {
        let mut scene = Scene::new();
        scene.set(&lost());
        scene.put(1);
        scene.later(shift);
        // A clock that was set ahead hides that the call was just made. No process can notice that.
        if shift > 0 {
            assert!(!scene.plan().inherited, "{shift}");
            continue;
        }
        let report = scene.report();
        assert_eq!(report.wake, Some(Duration::from_secs(30)), "{shift}");
        assert_eq!(report.verdict.reason, Reason::OutcomeUnknown);
        scene.restart();
        scene.later(29);
        assert_eq!(scene.wake(), Some(Duration::from_secs(1)), "{shift}");
        scene.later(1);
        assert!(!scene.plan().inherited, "{shift}");
    }
}

#[test]
fn a_clock_that_is_set_back_after_a_take_over_does_not_end_the_quarantine() {
    for shift in [-40_000_000, -3_000, -75] {
        let mut scene = Scene::new();
        scene.set(&lost());
        scene.later(6);
        scene.set(&applied());
        assert_eq!(scene.look(), REST);
        scene.later(shift);
        assert_eq!(scene.look(), REST, "nothing is written for it");
        scene.put(1);
        assert_eq!(
            scene.report().wake,
            Some(Duration::from_secs(30)),
            "{shift}"
        );
        scene.restart();
        scene.later(30);
        assert_eq!(scene.plan().attempt.generation, 1);
    }
}

#[test]
fn no_clock_change_prolongs_the_5_minutes_before_stalled() {
    for shift in SHIFTS {
        let mut scene = Scene::new();
        scene.cluster.secret = None;
        scene.report();
        scene.later(shift);
        let stalled = (ConditionStatus::False, Reason::SecretNotFound, false, true);
        if shift >= 300 {
            scene.say();
            assert_eq!(scene.said(), stalled);
            continue;
        }
        let mut writes = 0;
        while scene.said() != stalled {
            match scene.look() {
                Decision::Stay { wake } => {
                    let wake = wake.expect("it isn't stalled yet");
                    assert!(wake <= Duration::from_secs(330), "{shift}: {wake:?}");
                    scene.now += SignedDuration::try_from(wake).expect("short");
                }
                Decision::Report(report) => {
                    scene.write(&report.status);
                    writes += 1;
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(writes <= 2, "{shift}: {writes}");
        assert_eq!(scene.look(), REST);
        let status = scene.status();
        let stalled = status.condition(ConditionType::Stalled).expect("stalled");
        assert!(stalled.last_transition_time <= Time(scene.now));
    }
}

#[test]
fn a_synced_time_in_the_future_does_not_prove_that_a_rival_set_first() {
    for at in [-10, 10] {
        let mut scene = Scene::settled();
        // The clock was ahead when the value was set, and is right now.
        scene.later(-3_000);
        assert_eq!(scene.look(), REST, "without a rival nothing follows");
        scene.later(20);
        scene.rival_at = Some(scene.now + SignedDuration::from_secs(at));
        match scene.look() {
            Decision::Report(report) if at < 0 => scene.write(&report.status),
            // A rival's time in the future proves nothing.
            REST if at > 0 => continue,
            other => panic!("{at}: {other:?}"),
        }
        assert_eq!(scene.status().synced, None);
        scene.set(&applied());
        assert_eq!(scene.look(), REST, "once");
    }
}
