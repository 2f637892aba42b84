//! The urgency of a set in the rate limiter: a fresh request comes first.

use super::scene::{Scene, applied, error, lost, not_sent, refused};
use cognito_password_operator::core::{protocol::reply::Reply, schedule::rate_limit::Urgency};
use rstest::rstest;

/// A resource after this many failures in a row, each retried when due.
fn failed(reply: &Reply, times: u32) -> Scene {
    let mut scene = Scene::new();
    for _ in 0..times {
        scene.set(reply);
        scene.until_due();
    }
    scene
}

#[test]
fn a_new_value_or_request_or_an_inherited_attempt_has_requested_urgency() {
    assert_eq!(Scene::new().plan().urgency, Urgency::Requested);
    let mut rotated = Scene::settled();
    rotated.put(1);
    assert_eq!(rotated.plan().urgency, Urgency::Requested);
    let mut requested = Scene::settled();
    requested.cluster.request();
    assert_eq!(requested.plan().urgency, Urgency::Requested);
    // A crashed process left an open attempt.
    let mut inherited = Scene::new();
    let ahead = inherited.plan().ahead;
    inherited.write(&ahead);
    inherited.restart();
    assert_eq!(inherited.plan().urgency, Urgency::Requested);
}

#[rstest]
#[case(refused("TooManyRequestsException"))]
#[case(refused("TeapotException"))]
#[case(refused("ExpiredTokenException"))]
#[case(error(500, None))]
#[case(not_sent())]
#[case(lost())]
fn the_first_retries_have_requested_urgency_and_later_ones_have_not(#[case] reply: Reply) {
    for restart in [false, true] {
        for (times, wanted) in [
            (1, Urgency::Requested),
            (8, Urgency::Requested),
            (9, Urgency::Retry),
        ] {
            let mut scene = failed(&reply, times);
            if restart {
                scene.restart();
            }
            assert_eq!(scene.plan().urgency, wanted, "after {times}");
        }
    }
}

#[rstest]
#[case::value(|s: &mut Scene| s.put(1))]
#[case::generation(|s: &mut Scene| s.cluster.change(|spec| spec.permanent = false))]
#[case::request(|s: &mut Scene| s.cluster.request())]
fn a_recheck_has_retry_urgency_until_something_changes(#[case] change: fn(&mut Scene)) {
    let denied = refused("AccessDeniedException");
    let mut scene = failed(&denied, 1);
    assert_eq!(scene.plan().urgency, Urgency::Retry);
    change(&mut scene);
    assert_eq!(scene.plan().urgency, Urgency::Requested);
    scene.set(&applied());
}
