use super::{
    super::observed::tests::{condition, resource},
    *,
};
use crate::api::{REQUESTED_AT, SUSPENDED_BECAUSE};
use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

/// A resource of generation 3 with these conditions.
fn with(conditions: &[Value]) -> ObservedResource {
    resource(|it| it["status"]["conditions"] = json!(conditions))
}

/// The same with a request, the answer in the status, and the request that failed.
fn asked(
    conditions: &[Value],
    request: &str,
    handled: Option<&str>,
    failed: Option<&str>,
) -> ObservedResource {
    resource(|it| {
        it["metadata"]["annotations"][REQUESTED_AT] = json!(request);
        it["status"] = json!({ "conditions": conditions, "lastHandledReconcileAt": handled });
        if let Some(failed) = failed {
            it["status"]["failures"] = json!({ "count": 1, "request": failed });
        }
    })
}

fn suspended(conditions: &[Value]) -> ObservedResource {
    resource(|it| {
        it["spec"]["suspend"] = json!(true);
        it["metadata"]["annotations"][SUSPENDED_BECAUSE] = json!("INC-1");
        it["status"]["conditions"] = json!(conditions);
    })
}

fn ready() -> Value {
    condition("Ready", "True", "PasswordSet", 3)
}

fn not_ready(reason: &str) -> Value {
    condition("Ready", "False", reason, 3)
}

fn stalled(generation: i64) -> Value {
    condition("Stalled", "True", "InvalidPassword", generation)
}

/// The kind of a judgement, and its reason.
fn short(judgement: &Judgement) -> (&'static str, &str) {
    let kind = match judgement {
        Judgement::Met(_) => "met",
        Judgement::Failed(_) => "failed",
        Judgement::Waiting(_) => "waiting",
    };
    (kind, &judgement.words().reason)
}

const READY: Goal = Goal {
    condition: ConditionType::Ready,
    fail_fast: false,
};

#[rstest]
#[case::no_status(with(&[]), ("waiting", "NotObserved"), ("waiting", "NotObserved"))]
#[case::set(with(&[ready()]), ("met", "PasswordSet"), ("met", "PasswordSet"))]
#[case::of_an_older_generation(
    with(&[condition("Ready", "True", "PasswordSet", 2)]),
    ("waiting", "NotObserved"),
    ("waiting", "NotObserved")
)]
#[case::retried(
    with(&[not_ready("TooManyRequests"), condition("Reconciling", "True", "TooManyRequests", 3)]),
    ("waiting", "TooManyRequests"),
    ("waiting", "TooManyRequests")
)]
#[case::refused(
    with(&[not_ready("InvalidPassword"), stalled(3)]),
    ("waiting", "InvalidPassword"),
    ("failed", "InvalidPassword")
)]
#[case::refused_in_an_older_generation(
    with(&[condition("Ready", "False", "InvalidPassword", 2), stalled(2)]),
    ("waiting", "NotObserved"),
    ("waiting", "NotObserved")
)]
#[case::asked(asked(&[ready()], "a", None, None), ("waiting", "RequestOpen"), ("waiting", "RequestOpen"))]
#[case::asked_again(asked(&[ready()], "b", Some("a"), None), ("waiting", "RequestOpen"), ("waiting", "RequestOpen"))]
#[case::answered(asked(&[ready()], "a", Some("a"), None), ("met", "PasswordSet"), ("met", "PasswordSet"))]
#[case::stalled_before_the_request(
    asked(&[not_ready("InvalidPassword"), stalled(3)], "a", None, None),
    ("waiting", "InvalidPassword"),
    ("waiting", "InvalidPassword")
)]
#[case::stalled_after_the_request(
    asked(&[not_ready("InvalidPassword"), stalled(3)], "a", Some("a"), None),
    ("waiting", "InvalidPassword"),
    ("failed", "InvalidPassword")
)]
#[case::stalled_while_the_request_is_retried(
    asked(&[not_ready("UserNotFound"), stalled(3)], "a", None, Some("a")),
    ("waiting", "UserNotFound"),
    ("failed", "UserNotFound")
)]
#[case::suspended_after_a_set(
    suspended(&[condition("Ready", "True", "PasswordSet", 2), condition("Suspended", "True", "Suspended", 3)]),
    ("waiting", "Suspended"),
    ("failed", "Suspended")
)]
#[case::never_reconciled_and_suspended(
    suspended(&[condition("Suspended", "True", "Suspended", 3)]),
    ("waiting", "Suspended"),
    ("failed", "Suspended")
)]
#[case::the_suspension_is_not_observed_yet(
    suspended(&[condition("Ready", "True", "PasswordSet", 2)]),
    ("waiting", "NotObserved"),
    ("waiting", "NotObserved")
)]
fn ready_is_met_by_the_present_generation_and_the_present_request(
    #[case] resource: ObservedResource,
    #[case] patient: (&str, &str),
    #[case] fast: (&str, &str),
) {
    assert_eq!(short(&READY.judge(Some(&resource))), patient);
    let goal = Goal {
        fail_fast: true,
        ..READY
    };
    assert_eq!(short(&goal.judge(Some(&resource))), fast);
}

#[test]
fn a_resource_that_does_not_exist_may_come() {
    let goal = Goal {
        fail_fast: true,
        ..READY
    };
    assert_eq!(short(&goal.judge(None)), ("waiting", "NotFound"));
}

#[rstest]
#[case(ConditionType::Suspended, suspended(&[condition("Suspended", "True", "Suspended", 3)]), ("met", "Suspended"))]
#[case(ConditionType::Suspended, with(&[ready()]), ("waiting", "NoCondition"))]
#[case(ConditionType::Verified, with(&[ready()]), ("waiting", "NoCondition"))]
#[case(
    ConditionType::Verified,
    with(&[ready(), condition("Verified", "True", "UserFound", 3)]),
    ("met", "UserFound")
)]
// The look was before the set that was asked for.
#[case(
    ConditionType::Verified,
    asked(&[ready(), condition("Verified", "True", "UserFound", 3)], "a", None, None),
    ("waiting", "RequestOpen")
)]
#[case(ConditionType::Stalled, with(&[not_ready("InvalidPassword"), stalled(3)]), ("met", "InvalidPassword"))]
#[case(ConditionType::Stalled, asked(&[not_ready("InvalidPassword"), stalled(3)], "a", None, None), ("met", "InvalidPassword"))]
fn other_conditions_can_be_waited_for(
    #[case] awaited: ConditionType,
    #[case] resource: ObservedResource,
    #[case] wanted: (&str, &str),
) {
    let goal = Goal {
        condition: awaited,
        fail_fast: true,
    };
    assert_eq!(short(&goal.judge(Some(&resource))), wanted);
}

#[test]
fn words_of_others_become_legible() {
    let mut said = not_ready("InvalidPassword");
    said["message"] = json!("no\u{1b}[31m\n\u{202e}way");
    let judgement = READY.judge(Some(&with(&[said])));
    assert_eq!(judgement.words().message, "no [31m  way");
}

#[rstest]
#[case::not_yet(asked(&[ready()], "a", Some("old"), None), ("waiting", "RequestOpen"))]
#[case::set(asked(&[ready()], "a", Some("a"), None), ("met", "PasswordSet"))]
#[case::refused(
    asked(&[not_ready("InvalidPassword"), stalled(3)], "a", Some("a"), None),
    ("failed", "InvalidPassword")
)]
#[case::without_a_call(asked(&[not_ready("SecretNotFound")], "a", Some("a"), None), ("failed", "SecretNotFound"))]
#[case::the_sign_out_is_owed(
    asked(&[condition("Ready", "Unknown", "RevokingSessions", 3)], "a", Some("a"), None),
    ("waiting", "RevokingSessions")
)]
#[case::retried(asked(&[not_ready("UserNotFound")], "a", Some("old"), Some("a")), ("waiting", "UserNotFound"))]
#[case::asked_again_by_others(asked(&[ready()], "b", Some("b"), None), ("met", "PasswordSet"))]
#[case::others_wait(asked(&[ready()], "b", Some("old"), None), ("waiting", "RequestOpen"))]
#[case::taken_away(with(&[ready()]), ("failed", "Withdrawn"))]
#[case::suspended_meanwhile(suspended(&[condition("Suspended", "True", "Suspended", 3)]), ("failed", "Suspended"))]
fn an_answer_is_judged_by_the_conditions_written_with_it(
    #[case] resource: ObservedResource,
    #[case] wanted: (&str, &str),
) {
    assert_eq!(short(&judge_answer("a", Some(&resource))), wanted);
}

#[test]
fn a_resource_that_was_deleted_gives_no_answer() {
    assert_eq!(short(&judge_answer("a", None)), ("failed", "NotFound"));
}

fn any_condition() -> impl Strategy<Value = Value> {
    let types = prop::sample::select(vec!["Ready", "Stalled", "Suspended", "Verified", "Other"]);
    let statuses = prop::sample::select(vec!["True", "False", "Unknown"]);
    let reasons = prop::sample::select(vec!["PasswordSet", "InvalidPassword", "Future"]);
    (types, statuses, reasons, 1_i64..5).prop_map(|(type_, status, reason, generation)| {
        condition(type_, status, reason, generation)
    })
}

proptest! {
    /// The promise of `wait`: 0 means a Ready of this generation, after the request.
    #[test]
    fn ready_is_never_met_without_the_condition_and_the_answer(
        conditions in prop::collection::vec(any_condition(), 0..5),
        request in prop::option::of("[ab]"),
        handled in prop::option::of("[ab]"),
        fail_fast in any::<bool>(),
    ) {
        let resource = resource(|it| {
            it["status"] = json!({ "conditions": conditions, "lastHandledReconcileAt": handled });
            if let Some(request) = &request {
                it["metadata"]["annotations"][REQUESTED_AT] = json!(request);
            }
        });
        let goal = Goal { condition: ConditionType::Ready, fail_fast };
        let is_met = matches!(goal.judge(Some(&resource)), Judgement::Met(_));
        let says_so = conditions.iter().any(|it| {
            it["type"] == "Ready" && it["status"] == "True" && it["observedGeneration"] == 3
        });
        let is_answered = request.is_none() || request == handled;
        prop_assert!(!is_met || (says_so && is_answered));
        // Without --fail-fast, a wait never fails.
        let failed = matches!(goal.judge(Some(&resource)), Judgement::Failed(_));
        prop_assert!(fail_fast || !failed);
    }
}
