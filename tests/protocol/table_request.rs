//! When a request is answered, and what delays the answer: from one fixture and a fixed clock.

use super::scene::{Scene, applied, error, lost, not_sent, refused};
use cognito_password_operator::{
    api::Reason,
    core::protocol::{decision::Decision, reply::Reply},
};
use rstest::rstest;

const HISTORY: &str = "PasswordHistoryPolicyViolationException";

/// Whether the record answers the current request.
fn is_answered(scene: &Scene) -> bool {
    scene.status().last_handled_reconcile_at == scene.cluster.resource.requested_at
}

#[rstest]
#[case::set(applied(), true, true)]
#[case::policy(refused("InvalidPasswordException"), true, true)]
#[case::parameter(refused("InvalidParameterException"), true, true)]
#[case::history(refused(HISTORY), true, true)]
#[case::throttled(refused("TooManyRequestsException"), false, false)]
#[case::never_sent(not_sent(), false, false)]
#[case::denied(refused("AccessDeniedException"), false, false)]
#[case::disabled(refused("NotAuthorizedException"), false, false)]
#[case::no_pool(refused("ResourceNotFoundException"), false, false)]
#[case::credentials(refused("ExpiredTokenException"), false, false)]
#[case::no_user(refused("UserNotFoundException"), false, false)]
// A permanent value is sent again until its outcome is known. A temporary value is not sent again without a
// request.
#[case::lost(lost(), false, true)]
#[case::failed(error(500, Some("InternalErrorException")), false, true)]
#[case::unheard_of(refused("TeapotException"), false, true)]
fn a_request_is_answered_by_an_outcome(
    #[case] reply: Reply,
    #[case] of_a_permanent_one: bool,
    #[case] of_a_temporary_one: bool,
) {
    for (permanent, wanted) in [(true, of_a_permanent_one), (false, of_a_temporary_one)] {
        for (first, second_value) in [(applied(), 0), (applied(), 1), (lost(), 0)] {
            let mut scene = Scene::new();
            scene.cluster.change(|spec| spec.permanent = permanent);
            scene.set(&first);
            scene.later(40);
            scene.put(second_value);
            scene.cluster.request();
            let plan = scene.plan();
            let ahead = &plan.ahead.last_handled_reconcile_at;
            assert_eq!(*ahead, None, "answered before the call");
            let no_proof = first == lost() && reply == refused("UserNotFoundException");
            let wake = scene.set(&reply).wake;
            let wanted = wanted || no_proof && !permanent;
            assert_eq!(is_answered(&scene), wanted, "{:?}", scene.status());
            assert_eq!(
                wake.is_some(),
                !wanted,
                "it goes on by itself, or it is answered"
            );
            let acts_on = scene.status().attempt.and_then(|it| it.request);
            assert!(acts_on.is_none() || !wanted, "{acts_on:?}");
        }
    }
}

#[rstest]
#[case(refused("TooManyRequestsException"))]
#[case(not_sent())]
#[case(refused("AccessDeniedException"))]
#[case(refused("ExpiredTokenException"))]
#[case(refused("UserNotFoundException"))]
fn a_request_whose_call_had_no_effect_keeps_its_retry_time_after_a_restart(#[case] reply: Reply) {
    for permanent in [true, false] {
        let mut scene = Scene::new();
        scene.cluster.change(|spec| spec.permanent = permanent);
        scene.set(&applied());
        scene.cluster.request();
        let wake = scene.set(&reply).wake;
        let on_record = scene.status();
        assert!(wake.is_some());
        for restart in [false, true] {
            if restart {
                scene.restart();
            }
            let decision = match scene.look() {
                Decision::Read => scene.read(),
                seen => seen,
            };
            assert_eq!(decision, Decision::Stay { wake }, "restarted: {restart}");
        }
        assert_eq!(scene.status(), on_record);
        // Another request does not wait.
        scene.cluster.request();
        assert_eq!(scene.look(), Decision::Read);
        scene.plan();
        // The old request is not forgotten either.
        scene.cluster.resource.requested_at = on_record.failures.and_then(|it| it.request);
        scene.later(4_000);
        scene.set(&applied());
        assert!(is_answered(&scene));
        assert_eq!(scene.said().1, Reason::PasswordSet);
        assert_eq!(scene.look(), Decision::Stay { wake: None });
    }
}

#[test]
fn a_request_whose_reply_was_lost_keeps_its_retry_time_after_a_restart() {
    let mut scene = Scene::settled();
    scene.cluster.request();
    let wake = scene.set(&lost()).wake;
    assert_eq!(scene.wake(), wake);
    scene.restart();
    assert_eq!(scene.wake(), wake);
    scene.later(2);
    let plan = scene.plan();
    assert!(plan.inherited && !plan.is_asked_since());
    scene.set(&applied());
    assert!(is_answered(&scene));
}

#[test]
fn a_withdrawn_request_is_neither_tried_nor_answered() {
    let mut scene = Scene::settled();
    scene.cluster.request();
    scene.set(&refused("TooManyRequestsException"));
    scene.cluster.resource.requested_at = None;
    scene.later(400);
    assert_eq!(scene.report().verdict.reason, Reason::PasswordSet);
    assert_eq!(scene.status().last_handled_reconcile_at, None);
    assert_eq!(scene.look(), Decision::Stay { wake: None });
}
