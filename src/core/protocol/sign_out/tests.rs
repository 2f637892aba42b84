use super::*;
use crate::core::{credential::failure::CredentialsFailure, protocol::reply::ServiceError};
use rstest::rstest;
use std::collections::HashSet;

const WORDS: &str = "AWS's own words";

fn refused(status: u16, code: Option<&str>) -> SignOutOutcome {
    classify_sign_out(&Reply::ServiceError(ServiceError {
        status,
        code: code.map(str::to_owned),
        message: Some(WORDS.to_owned()),
        request_id: Some("11111111-2222".to_owned()),
    }))
}

fn not_sent(cause: NotSent) -> SignOutOutcome {
    let detail = WORDS.to_owned();
    classify_sign_out(&Reply::NotSent { cause, detail })
}

fn assert_is_not_done(outcome: &SignOutOutcome, reason: Reason, class: Class) {
    assert_eq!(
        (
            outcome.effect,
            outcome.verdict.reason,
            outcome.verdict.class
        ),
        (SignOutEffect::NotYet, reason, class),
        "{outcome:?}"
    );
    let message = &outcome.verdict.message;
    assert!(
        message.starts_with("The password is set, but "),
        "{message}"
    );
    assert!(message.contains("the user's sessions were "), "{message}");
    assert!(message.contains(WORDS), "{message}");
    let cure = message.rsplit_once("): ").map(|(_, cure)| cure);
    assert!(
        cure.is_some_and(|cure| cure.ends_with("the operator makes the sign-out again by itself.")),
        "{message}"
    );
    assert!(!message.contains("11111111"), "{message}");
}

#[test]
fn a_200_is_done() {
    let outcome = classify_sign_out(&Reply::Success {
        output: (),
        request_id: Some("4711".to_owned()),
        answered_at: None,
    });
    let expected = SignOutOutcome {
        effect: SignOutEffect::Done,
        verdict: Verdict::new(Reason::PasswordSet),
        evidence: CredentialsEvidence::Accepted,
        words: None,
        request_id: Some("4711".to_owned()),
    };
    assert_eq!(outcome, expected);
}

#[test]
fn a_user_who_does_not_exist_has_no_sessions() {
    let outcome = refused(400, Some("UserNotFoundException"));
    let expected = SignOutOutcome {
        effect: SignOutEffect::Done,
        verdict: Verdict::new(Reason::PasswordSet),
        evidence: CredentialsEvidence::Accepted,
        words: Some(format!("UserNotFoundException: {WORDS}")),
        request_id: Some("11111111-2222".to_owned()),
    };
    assert_eq!(outcome, expected);
}

#[rstest]
#[case("AccessDeniedException", Reason::AccessDenied, Class::Waiting)]
#[case("NotAuthorizedException", Reason::NotAuthorized, Class::Waiting)]
#[case(
    "OperationNotEnabledException",
    Reason::OperationNotEnabled,
    Class::Waiting
)]
#[case("ResourceNotFoundException", Reason::ResourceNotFound, Class::Waiting)]
#[case("InvalidParameterException", Reason::InvalidParameter, Class::Waiting)]
#[case("ExpiredTokenException", Reason::InvalidCredentials, Class::Waiting)]
#[case("TooManyRequestsException", Reason::TooManyRequests, Class::Transient)]
#[case("ThrottlingException", Reason::TooManyRequests, Class::Transient)]
#[case("InternalErrorException", Reason::InternalError, Class::Unknown)]
#[case("TeapotException", Reason::UnhandledError, Class::Transient)]
#[case::of_a_set("InvalidPasswordException", Reason::UnhandledError, Class::Transient)]
#[case::of_a_set(
    "PasswordHistoryPolicyViolationException",
    Reason::UnhandledError,
    Class::Transient
)]
fn every_other_code_leaves_the_sign_out_owed(
    #[case] code: &str,
    #[case] reason: Reason,
    #[case] class: Class,
) {
    let outcome = refused(400, Some(code));
    assert_is_not_done(&outcome, reason, class);
    assert_eq!(outcome.words, Some(format!("{code}: {WORDS}")));
    assert_eq!(outcome.request_id.as_deref(), Some("11111111-2222"));
}

#[test]
fn every_code_of_the_table_is_done_or_tried_again() {
    let codes = crate::api::aws_codes().chain(["TeapotException"]);
    for code in codes {
        for status in [400, 403, 500, 503] {
            let outcome = refused(status, Some(code));
            let has_no_user = code == "UserNotFoundException" && status < 500;
            let is_done = outcome.effect == SignOutEffect::Done;
            assert_eq!(is_done, has_no_user, "{status} {code}");
            let class = outcome.verdict.class;
            assert_eq!(class == Class::Settled, is_done, "{status} {code}");
            assert_ne!(class, Class::Stalled, "{status} {code}");
        }
    }
}

#[rstest]
#[case(500, None)]
#[case(502, None)]
#[case(400, None)]
#[case(503, Some("TeapotException"))]
#[case(500, Some("UserNotFoundException"))]
#[case(500, Some("AccessDeniedException"))]
fn a_reply_that_proves_nothing_is_unknown(#[case] status: u16, #[case] code: Option<&str>) {
    let outcome = refused(status, code);
    assert_is_not_done(&outcome, Reason::UnhandledError, Class::Unknown);
    assert_eq!(outcome.evidence, CredentialsEvidence::None);
}

#[test]
fn a_lost_reply_is_unknown() {
    let detail = WORDS.to_owned();
    let outcome = classify_sign_out(&Reply::NoReply { detail });
    assert_is_not_done(&outcome, Reason::OutcomeUnknown, Class::Unknown);
    assert_eq!(outcome.evidence, CredentialsEvidence::None);
    assert_eq!(outcome.words.as_deref(), Some(WORDS));
}

#[rstest]
#[case(NotSent::Connect, Reason::Unreachable, Class::Transient)]
#[case(NotSent::Request, Reason::Unreachable, Class::Transient)]
#[case(NotSent::Unprocessed, Reason::Unreachable, Class::Transient)]
#[case(NotSent::Credentials, Reason::InvalidCredentials, Class::Waiting)]
fn an_unsent_sign_out_is_owed(
    #[case] cause: NotSent,
    #[case] reason: Reason,
    #[case] class: Class,
) {
    let outcome = not_sent(cause);
    assert_is_not_done(&outcome, reason, class);
    let evidence = match cause {
        NotSent::Credentials => CredentialsEvidence::Refused(CredentialsFailure(WORDS.to_owned())),
        NotSent::Connect | NotSent::Request | NotSent::Unprocessed => CredentialsEvidence::None,
    };
    assert_eq!(outcome.evidence, evidence);
}

#[test]
fn a_missing_right_is_named() {
    let outcome = refused(400, Some("AccessDeniedException"));
    let message = outcome.verdict.message;
    assert!(
        message.contains("cognito-idp:AdminUserGlobalSignOut on the user pool"),
        "{message}"
    );
    assert!(!message.contains("AdminSetUserPassword"), "{message}");
}

#[test]
fn each_reason_has_one_row() {
    let mut reasons = HashSet::new();
    for entry in NOT_YET.iter().chain([&UNHANDLED]) {
        assert!(reasons.insert(entry.reason), "{:?}", entry.reason);
    }
}
