//! The result of each reply: record, conditions and wake, from one fixture and a fixed clock.

use super::scene::{Scene, applied, error, lost, not_sent, refused};
use cognito_password_operator::{
    api::{
        AttemptOutcome::{self, InHistory, Refused, Unknown, UserNotFound},
        Class, Condition, ConditionStatus, ConditionType, RETIRED_MAX, Reason,
    },
    core::protocol::{
        conclude::{Conclusion, conclude, withdraw},
        decision::Decision,
        outcome::classify,
        reply::Reply,
    },
};
use rstest::rstest;

const HISTORY: &str = "PasswordHistoryPolicyViolationException";

/// The status of Ready, and whether Reconciling and Stalled are present.
type ConditionFlags = (ConditionStatus, bool, bool);
const SETTLED: ConditionFlags = (ConditionStatus::True, false, false);
const STALLED: ConditionFlags = (ConditionStatus::False, false, true);
const WORKING: ConditionFlags = (ConditionStatus::False, true, false);
const UNKNOWN: ConditionFlags = (ConditionStatus::Unknown, true, false);

#[rstest]
#[case(applied(), Reason::PasswordSet, SETTLED, None, None)]
#[case(
    refused("InvalidParameterException"),
    Reason::InvalidParameter,
    STALLED,
    Some(Refused),
    None
)]
#[case(
    refused("InvalidPasswordException"),
    Reason::InvalidPassword,
    STALLED,
    Some(Refused),
    None
)]
#[case(
    refused(HISTORY),
    Reason::PasswordHistoryPolicyViolation,
    STALLED,
    Some(Refused),
    None
)]
#[case(refused("NotAuthorizedException"), Reason::NotAuthorized, WORKING, Some(Refused), Some(300..=330))]
#[case(refused("OperationNotEnabledException"), Reason::OperationNotEnabled, WORKING, Some(Refused), Some(300..=330))]
#[case(refused("ResourceNotFoundException"), Reason::ResourceNotFound, WORKING, Some(Refused), Some(300..=330))]
#[case(refused("AccessDeniedException"), Reason::AccessDenied, WORKING, Some(Refused), Some(300..=330))]
#[case(refused("ExpiredTokenException"), Reason::InvalidCredentials, WORKING, Some(Refused), Some(1..=2))]
#[case(refused("UserNotFoundException"), Reason::UserNotFound, WORKING, Some(UserNotFound), Some(300..=330))]
#[case(refused("TooManyRequestsException"), Reason::TooManyRequests, WORKING, None, Some(1..=2))]
#[case(not_sent(), Reason::Unreachable, WORKING, None, Some(1..=2))]
#[case(refused("TeapotException"), Reason::UnhandledError, WORKING, Some(Unknown), Some(1..=2))]
#[case(error(500, Some("InternalErrorException")), Reason::InternalError, UNKNOWN, Some(Unknown), Some(1..=2))]
#[case(error(503, Some("InvalidPasswordException")), Reason::UnhandledError, UNKNOWN, Some(Unknown), Some(1..=2))]
#[case(error(503, Some(HISTORY)), Reason::UnhandledError, UNKNOWN, Some(Unknown), Some(1..=2))]
#[case(error(400, None), Reason::UnhandledError, UNKNOWN, Some(Unknown), Some(1..=2))]
#[case(error(502, None), Reason::UnhandledError, UNKNOWN, Some(Unknown), Some(1..=2))]
#[case(lost(), Reason::OutcomeUnknown, UNKNOWN, Some(Unknown), Some(1..=2))]
fn each_reply_decides_the_record_the_conditions_and_the_wake(
    #[case] reply: Reply,
    #[case] reason: Reason,
    #[case] said: ConditionFlags,
    #[case] attempt: Option<AttemptOutcome>,
    #[case] wake: Option<std::ops::RangeInclusive<u64>>,
) {
    let mut scene = Scene::new();
    let recorded = scene.set(&reply);
    let (ready, word, reconciling, stalled) = scene.said();
    assert_eq!((word, (ready, reconciling, stalled)), (reason, said));
    assert_eq!(scene.attempt(), attempt);
    assert_eq!(recorded.applied, reason == Reason::PasswordSet);
    assert_eq!(recorded.wake.is_some(), wake.is_some());
    if let (Some(wake), Some(wanted)) = (recorded.wake, wake) {
        assert!(wanted.contains(&wake.as_secs()), "{wake:?}");
    }
    let settled_or_stalled = said == SETTLED || said == STALLED;
    let observed = if settled_or_stalled { 1 } else { -1 };
    assert_eq!(scene.status().observed_generation, Some(observed));
}

#[test]
fn a_call_that_did_nothing_leaves_the_record_as_it_was() {
    for reply in [not_sent(), refused("TooManyRequestsException")] {
        let mut scene = Scene::settled();
        scene.put(1);
        scene.set(&lost());
        scene.later(40);
        scene.put(2);
        scene.cluster.request();
        let before = scene.status();
        scene.set(&reply);
        let after = scene.status();
        assert_eq!(after.synced, before.synced);
        assert_eq!(after.attempt, before.attempt);
        assert_eq!(after.retired, before.retired);
        assert_eq!(
            after.last_handled_reconcile_at,
            before.last_handled_reconcile_at
        );
    }
}

#[test]
fn rule_h_an_inherited_attempt_that_the_history_refuses_was_applied() {
    let mut scene = Scene::new();
    scene.set(&lost());
    scene.later(10);
    scene.set(&refused(HISTORY));
    assert_eq!(scene.said().1, Reason::AppliedAfterLostReply);
    let status = scene.status();
    assert!(status.synced.is_some() && status.attempt.is_none());
}

#[test]
fn rule_h_an_inherited_attempt_at_a_value_that_was_known_before_stays_open() {
    let mut scene = Scene::settled();
    scene.put(1);
    scene.set(&applied());
    scene.put(0);
    scene.set(&lost());
    scene.later(10);
    scene.set(&refused(HISTORY));
    let (ready, _, _, _) = scene.said();
    assert_ne!(ready, ConditionStatus::True);
    assert_eq!(scene.attempt(), Some(Unknown));
    let message = &scene.status().conditions[0].message;
    assert!(message.contains("new value"), "{message}");
}

#[test]
fn rule_h_a_fresh_attempt_that_the_history_refuses_is_refused() {
    let mut scene = Scene::settled();
    scene.put(1);
    scene.set(&refused(HISTORY));
    assert_eq!(scene.said().1, Reason::PasswordHistoryPolicyViolation);
    assert_eq!(scene.attempt(), Some(Refused));
}

#[test]
fn rule_h_the_history_confirms_nothing_on_a_request_for_the_synced_value() {
    for (permanent, lost_first) in [(true, false), (true, true), (false, false)] {
        let mut scene = Scene::new();
        scene.cluster.change(|spec| spec.permanent = permanent);
        scene.set(&applied());
        scene.cluster.request();
        if lost_first {
            scene.set(&lost());
            scene.later(10);
        }
        let wake = scene.set(&refused(HISTORY)).wake;
        let after = scene.status();
        let stalled = (ConditionStatus::Unknown, Reason::NotConfirmed, false, true);
        assert_eq!((scene.said(), wake), (stalled, None));
        assert_eq!(after.failures, None);
        assert_eq!((scene.attempt(), after.synced), (Some(InHistory), None));
        assert_eq!(after.retired.len(), 1);
        let generation = scene.cluster.resource.generation;
        assert_eq!(after.observed_generation, Some(generation));
        let requested = scene.cluster.resource.requested_at.clone();
        assert_eq!(after.last_handled_reconcile_at, requested);
        let message = &after.conditions[0].message;
        assert!(message.contains("new value"), "{message}");
    }
}

/// A resource with `NotConfirmed` for value 0.
fn not_confirmed(permanent: bool) -> Scene {
    let mut scene = Scene::new();
    scene.cluster.change(|spec| spec.permanent = permanent);
    scene.set(&applied());
    scene.cluster.request();
    scene.set(&refused(HISTORY));
    scene
}

#[rstest]
#[case::nothing(|_: &mut Scene| ())]
#[case::restart(Scene::restart)]
#[case::moved(|s: &mut Scene| s.cluster.touch())]
#[case::moved_and_restart(|s: &mut Scene| { s.cluster.touch(); s.restart(); })]
#[case::a_day(|s: &mut Scene| s.later(100_000))]
#[case::withdrawn(|s: &mut Scene| s.cluster.resource.requested_at = None)]
fn a_resource_not_confirmed_makes_no_call_by_itself(#[case] change: fn(&mut Scene)) {
    for permanent in [true, false] {
        let mut scene = not_confirmed(permanent);
        let before = scene.status();
        change(&mut scene);
        if scene.look() == Decision::Read {
            assert_eq!(scene.read(), Decision::Stay { wake: None });
        }
        assert_eq!(scene.status(), before);
    }
}

#[rstest]
#[case::request(|s: &mut Scene| s.cluster.request(), true)]
#[case::generation(|s: &mut Scene| s.cluster.resource.generation += 1, false)]
fn a_request_or_a_new_generation_sends_a_value_not_confirmed_again(
    #[case] change: fn(&mut Scene),
    #[case] of_a_temporary_one: bool,
) {
    for permanent in [true, false] {
        for (reply, reason) in [
            (refused(HISTORY), Reason::NotConfirmed),
            (applied(), Reason::PasswordSet),
        ] {
            let mut scene = not_confirmed(permanent);
            change(&mut scene);
            if !permanent && !of_a_temporary_one {
                // The user may have chosen a new password, and there was no request.
                assert_eq!(scene.report().verdict.reason, Reason::NotConfirmed);
                continue;
            }
            scene.set(&reply);
            assert_eq!(scene.said().1, reason);
            assert_eq!(scene.look(), Decision::Stay { wake: None });
        }
    }
}

#[test]
fn no_later_reply_lets_the_history_confirm_a_value_not_confirmed() {
    for (reply, after) in [
        (refused("TooManyRequestsException"), InHistory),
        (refused("AccessDeniedException"), InHistory),
        (refused("InvalidPasswordException"), InHistory),
        (lost(), Unknown),
    ] {
        let mut scene = not_confirmed(true);
        scene.cluster.request();
        scene.set(&reply);
        assert_eq!(scene.attempt(), Some(after));
        assert_eq!(scene.status().synced, None);
        scene.later(4_000);
        scene.cluster.request();
        scene.set(&refused(HISTORY));
        assert_ne!(scene.said().0, ConditionStatus::True);
        assert_eq!(scene.status().synced, None);
    }
}

#[test]
fn a_new_value_after_not_confirmed_is_set_at_once() {
    for permanent in [true, false] {
        let mut scene = not_confirmed(permanent);
        scene.put(1);
        assert!(!scene.plan().inherited);
        scene.set(&applied());
        assert_eq!(scene.said().1, Reason::PasswordSet);
        // The value that was not confirmed is now an earlier value like any other.
        scene.put(0);
        scene.set(&refused(HISTORY));
        assert_eq!(scene.said().1, Reason::PasswordHistoryPolicyViolation);
    }
}

#[test]
fn a_refused_value_in_between_does_not_settle_a_value_not_confirmed() {
    for permanent in [true, false] {
        let mut scene = not_confirmed(permanent);
        scene.put(1);
        scene.set(&refused("InvalidPasswordException"));
        scene.put(0);
        let decision = scene.read();
        let settles =
            matches!(&decision, Decision::Report(it) if it.verdict.class == Class::Settled);
        assert!(!settles, "{decision:?}");
    }
}

#[test]
fn rule_h_a_value_that_was_replaced_while_in_doubt_is_never_inferred() {
    let mut scene = Scene::new();
    scene.set(&lost());
    scene.put(1);
    scene.later(30);
    scene.set(&lost());
    scene.put(0);
    scene.later(30);
    scene.set(&lost());
    scene.later(10);
    scene.set(&refused(HISTORY));
    assert_ne!(scene.said().0, ConditionStatus::True);
}

#[test]
fn a_refusal_after_a_lost_reply_does_not_prove_that_the_lost_call_failed() {
    let mut scene = Scene::new();
    scene.set(&lost());
    scene.later(10);
    scene.set(&refused("InvalidPasswordException"));
    assert_eq!(scene.attempt(), Some(Unknown));
    assert_eq!(scene.said().1, Reason::InvalidPassword);
    assert_eq!(scene.wake(), None, "and yet it isn't sent again");
}

#[test]
fn an_attempt_that_replaces_one_in_doubt_retires_the_synced_value_too() {
    let mut scene = Scene::settled();
    scene.put(1);
    scene.set(&lost());
    scene.later(30);
    scene.put(2);
    let plan = scene.plan();
    assert_eq!(plan.ahead.synced, None);
    assert_eq!(plan.ahead.retired.len(), 2);
    assert!(!plan.inherited && !plan.equals_synced());
}

#[test]
fn a_conclusion_without_its_attempt_is_discarded() {
    for (reply, doubted) in [
        (applied(), true),
        (lost(), false),
        (refused("InvalidPasswordException"), false),
        (not_sent(), false),
    ] {
        let mut scene = Scene::settled();
        scene.put(1);
        let plan = scene.plan();
        // The plan was not written ahead, so the status has another record, with another value.
        let conclusion = conclude(
            &scene.status(),
            &plan,
            &classify(&reply),
            &scene.cluster.resource.uid,
            scene.now,
        );
        let Conclusion::Superseded(status) = conclusion else {
            panic!("recorded: {conclusion:?}");
        };
        assert_eq!(status.is_some(), doubted);
        if let Some(status) = status {
            assert_eq!(status.synced, None);
            scene.write(&status);
            assert_ne!(scene.said().0, ConditionStatus::True);
        }
    }
}

#[test]
fn a_conclusion_whose_value_is_synced_already_writes_nothing() {
    let mut scene = Scene::new();
    let plan = scene.plan();
    scene.set(&applied());
    let conclusion = conclude(
        &scene.status(),
        &plan,
        &classify(&applied()),
        &scene.cluster.resource.uid,
        scene.now,
    );
    assert_eq!(conclusion, Conclusion::Superseded(None));
}

#[test]
fn retired_keeps_the_last_24_by_8_bytes_each() {
    let mut scene = Scene::settled();
    for value in 10..50 {
        scene.put(value);
        scene.set(&applied());
        scene.later(1);
    }
    let retired = scene.status().retired;
    assert_eq!(retired.len(), RETIRED_MAX);
    let digits = |entry: &String| entry.split_once('.').map(|(_, digits)| digits.len());
    assert!(
        retired.iter().all(|entry| digits(entry) == Some(16)),
        "{retired:?}"
    );
    let value_of = |scene: &mut Scene, value| {
        scene.put(value);
        scene.plan().known_before
    };
    assert!(value_of(&mut scene, 48), "the newest is kept");
    assert!(!value_of(&mut scene, 11), "the oldest is forgotten");
}

#[test]
fn a_value_is_retired_only_when_another_one_is_set() {
    let mut scene = Scene::settled();
    scene.put(1);
    scene.set(&refused("InvalidPasswordException"));
    assert!(scene.status().retired.is_empty());
    scene.put(2);
    scene.set(&applied());
    assert_eq!(scene.status().retired.len(), 1);
}

#[test]
fn withdrawing_an_attempt_keeps_what_others_wrote_into_the_status() {
    for refused_first in [false, true] {
        let mut scene = Scene::settled();
        if refused_first {
            scene.put(1);
            scene.set(&refused("InvalidPasswordException"));
        }
        scene.put(2);
        let plan = scene.plan();
        let before = scene.status();
        scene.write(&plan.ahead);
        let theirs = Condition {
            type_: "Theirs".to_owned(),
            ..before.conditions[0].clone()
        };
        // Another program adds its condition, and another process reports the suspension.
        scene.with_status(|status| status.conditions.push(theirs.clone()));
        scene.cluster.change(|spec| spec.suspend = true);
        scene.report();
        let after = withdraw(&scene.status(), &plan).expect("it is on record");
        let generation = scene.cluster.resource.generation;
        assert_eq!(after.observed_generation, Some(generation));
        assert!(after.conditions.contains(&theirs), "{after:?}");
        assert!(after.condition(ConditionType::Suspended).is_some());
        assert_eq!(
            after.condition(ConditionType::Ready),
            before.condition(ConditionType::Ready)
        );
        assert_eq!(
            (after.synced, after.attempt),
            (before.synced, before.attempt)
        );
    }
}

#[test]
fn withdrawing_an_attempt_restores_the_status_before_it() {
    for reply in [applied(), lost(), refused("AccessDeniedException")] {
        let mut scene = Scene::new();
        scene.set(&reply);
        scene.later(40);
        scene.put(1);
        scene.cluster.request();
        let plan = scene.plan();
        assert_eq!(withdraw(&plan.ahead, &plan), Some(scene.status()));
        assert_eq!(withdraw(&scene.status(), &plan), None);
    }
}
