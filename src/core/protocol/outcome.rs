//! The classification of a reply: an allow-list. A reply has an unknown outcome unless the call was provably
//! not sent, or the reply's code is on the list of refusals. A password that may have been applied must not
//! be called refused, nor an old password current.

use super::reply::{NotSent, Reply, ServiceError};
use crate::{
    api::{Class, Reason},
    core::{condition::verdict::Verdict, credential::failure::CredentialsFailure},
};

/// The outcome of one call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// The effect on the user's password.
    pub effect: Effect,
    /// The verdict for the conditions.
    pub verdict: Verdict,
    /// The evidence about the credentials of the call.
    pub evidence: CredentialsEvidence,
    /// The words of AWS or of the SDK; None if the password was applied.
    pub words: Option<String>,
    /// AWS's request id, for the Event and the log.
    pub request_id: Option<String>,
}

/// What a reply proves about the credentials of the call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CredentialsEvidence {
    /// AWS identified the caller.
    Accepted,
    /// AWS refused the credentials, or the operator had none.
    Refused(CredentialsFailure),
    /// The reply proves nothing about the credentials.
    None,
}

/// The effect of one call on the user's password.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Effect {
    /// The password is set.
    Applied,
    /// Cognito refused this call, so this call did nothing.
    Refused,
    /// The password history contains this value already. The meaning depends on earlier calls: see
    /// [`super::conclude`].
    InHistory,
    /// This call did nothing and proves nothing about the value: not sent, or throttled.
    Nothing,
    /// Nobody knows whether the call set the password.
    Unknown,
}

/// Classifies the reply to a set. [`super::sign_out`] classifies the reply to a sign-out.
#[must_use]
pub fn classify(reply: &Reply) -> Outcome {
    let evidence = evidence(reply);
    match reply {
        Reply::Success { request_id, .. } => Outcome {
            effect: Effect::Applied,
            verdict: Verdict::new(Reason::PasswordSet),
            evidence,
            words: None,
            request_id: request_id.clone(),
        },
        Reply::NotSent { cause, detail } => Outcome {
            effect: Effect::Nothing,
            verdict: match cause {
                NotSent::Credentials => Verdict::quoting(Reason::InvalidCredentials, detail),
                NotSent::Connect | NotSent::Request => {
                    Verdict::quoting(Reason::Unreachable, detail)
                }
                NotSent::Unprocessed => Verdict::with(
                    Reason::Unreachable,
                    "Cognito's side closed the connection and said that the request was not processed",
                    Some(detail),
                    "nothing to do: the operator tries again by itself",
                ),
            },
            evidence,
            words: Some(detail.clone()),
            request_id: None,
        },
        Reply::NoReply { detail } => Outcome {
            effect: Effect::Unknown,
            verdict: Verdict::quoting(Reason::OutcomeUnknown, detail),
            evidence,
            words: Some(detail.clone()),
            request_id: None,
        },
        Reply::ServiceError(error) => {
            let (reason, class) = reason_and_class(error);
            Outcome {
                effect: if error.is_client_error() {
                    effect(reason)
                } else {
                    Effect::Unknown
                },
                verdict: Verdict::quoting(reason, &error.words()).of_class(class),
                evidence,
                words: Some(error.words()),
                request_id: error.request_id.clone(),
            }
        }
    }
}

/// The reason of an error reply and its class, whatever the operation.
///
/// A server error proves nothing, whatever its code says, and the user can't fix the error. So a server error
/// never has a class that asks a person to act.
#[must_use]
pub fn reason_and_class(error: &ServiceError) -> (Reason, Class) {
    let reason = reason_of(error);
    let is_unproven = !error.is_client_error()
        && match reason.class() {
            Class::Stalled | Class::Waiting => true,
            Class::Settled | Class::Transient | Class::Unknown => reason == Reason::UnhandledError,
        };
    if is_unproven {
        (Reason::UnhandledError, Class::Unknown)
    } else {
        (reason, reason.class())
    }
}

fn reason_of(error: &ServiceError) -> Reason {
    let code = error.code.as_deref();
    code.and_then(Reason::of_code)
        .unwrap_or(Reason::UnhandledError)
}

/// Whether an error code of AWS refuses the credentials of the caller, not the request.
#[must_use]
pub fn is_about_credentials(code: &str) -> bool {
    Reason::of_code(code) == Some(Reason::InvalidCredentials)
}

/// What a reply proves about the credentials of the call, whatever the operation.
#[must_use]
pub fn evidence<T>(reply: &Reply<T>) -> CredentialsEvidence {
    match reply {
        Reply::NotSent {
            cause: NotSent::Credentials,
            detail,
        } => CredentialsEvidence::Refused(CredentialsFailure(detail.clone())),
        Reply::NotSent {
            cause: NotSent::Connect | NotSent::Request | NotSent::Unprocessed,
            ..
        }
        | Reply::NoReply { .. } => CredentialsEvidence::None,
        // AWS may check the rate before the credentials, so a throttled call proves nothing about the
        // credentials.
        Reply::ServiceError(error)
            if !error.is_client_error() || reason_of(error) == Reason::TooManyRequests =>
        {
            CredentialsEvidence::None
        }
        Reply::ServiceError(error) if reason_of(error) == Reason::InvalidCredentials => {
            CredentialsEvidence::Refused(CredentialsFailure(error.words()))
        }
        Reply::Success { .. } | Reply::ServiceError(_) => CredentialsEvidence::Accepted,
    }
}

/// Whether AWS refused the credentials of the call, or there were none. The call may succeed with others.
#[must_use]
pub fn blames_credentials<T>(reply: &Reply<T>) -> bool {
    matches!(evidence(reply), CredentialsEvidence::Refused(_))
}

/// The allow-list: the effect of a call whose reply is a client error with this reason.
const fn effect(reason: Reason) -> Effect {
    match reason {
        Reason::InvalidParameter
        | Reason::InvalidPassword
        | Reason::NotAuthorized
        | Reason::OperationNotEnabled
        | Reason::ResourceNotFound
        | Reason::AccessDenied
        | Reason::InvalidCredentials => Effect::Refused,
        Reason::PasswordHistoryPolicyViolation => Effect::InHistory,
        Reason::TooManyRequests => Effect::Nothing,
        // For an alias, Cognito was observed to reply `UserNotFoundException` although the password changed.
        // No code of AWS maps to the reasons from `OutcomeUnknown` on.
        Reason::UserNotFound
        | Reason::InternalError
        | Reason::UnhandledError
        | Reason::OutcomeUnknown
        | Reason::NotConfirmed
        | Reason::PasswordSet
        | Reason::AppliedAfterLostReply
        | Reason::Progressing
        | Reason::Unreachable
        | Reason::SecretNotFound
        | Reason::SecretKeyNotFound
        | Reason::InvalidSecretValue
        | Reason::NotGranted
        | Reason::AmbiguousGrant
        | Reason::UnknownRegion
        | Reason::DuplicateUser => Effect::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn refused(status: u16, code: Option<&str>) -> Outcome {
        classify(&Reply::ServiceError(ServiceError {
            status,
            code: code.map(str::to_owned),
            message: Some("AWS's own words".to_owned()),
            request_id: Some("11111111-2222".to_owned()),
        }))
    }

    #[rstest]
    #[case(
        "InvalidParameterException",
        Reason::InvalidParameter,
        Class::Stalled,
        Effect::Refused
    )]
    #[case(
        "InvalidPasswordException",
        Reason::InvalidPassword,
        Class::Stalled,
        Effect::Refused
    )]
    #[case(
        "PasswordHistoryPolicyViolationException",
        Reason::PasswordHistoryPolicyViolation,
        Class::Stalled,
        Effect::InHistory
    )]
    #[case(
        "NotAuthorizedException",
        Reason::NotAuthorized,
        Class::Waiting,
        Effect::Refused
    )]
    #[case(
        "OperationNotEnabledException",
        Reason::OperationNotEnabled,
        Class::Waiting,
        Effect::Refused
    )]
    #[case(
        "ResourceNotFoundException",
        Reason::ResourceNotFound,
        Class::Waiting,
        Effect::Refused
    )]
    #[case(
        "UserNotFoundException",
        Reason::UserNotFound,
        Class::Waiting,
        Effect::Unknown
    )]
    #[case(
        "TooManyRequestsException",
        Reason::TooManyRequests,
        Class::Transient,
        Effect::Nothing
    )]
    #[case(
        "ThrottlingException",
        Reason::TooManyRequests,
        Class::Transient,
        Effect::Nothing
    )]
    #[case(
        "InternalErrorException",
        Reason::InternalError,
        Class::Unknown,
        Effect::Unknown
    )]
    #[case(
        "AccessDeniedException",
        Reason::AccessDenied,
        Class::Waiting,
        Effect::Refused
    )]
    #[case(
        "ExpiredTokenException",
        Reason::InvalidCredentials,
        Class::Waiting,
        Effect::Refused
    )]
    #[case(
        "UnrecognizedClientException",
        Reason::InvalidCredentials,
        Class::Waiting,
        Effect::Refused
    )]
    #[case(
        "InvalidSignatureException",
        Reason::InvalidCredentials,
        Class::Waiting,
        Effect::Refused
    )]
    #[case(
        "TeapotException",
        Reason::UnhandledError,
        Class::Transient,
        Effect::Unknown
    )]
    fn each_code_has_its_reason(
        #[case] code: &str,
        #[case] reason: Reason,
        #[case] class: Class,
        #[case] effect: Effect,
    ) {
        let outcome = refused(400, Some(code));
        assert_eq!(
            (
                outcome.verdict.reason,
                outcome.verdict.class,
                outcome.effect
            ),
            (reason, class, effect)
        );
        assert!(outcome.verdict.message.contains(code));
        assert!(outcome.verdict.message.contains("AWS's own words"));
        assert!(!outcome.verdict.message.contains("11111111"));
    }

    #[rstest]
    #[case(500, None)]
    #[case(502, None)]
    #[case(400, None)]
    #[case(503, Some("TeapotException"))]
    fn an_unknown_error_code_leaves_the_outcome_unknown(
        #[case] status: u16,
        #[case] code: Option<&str>,
    ) {
        let outcome = refused(status, code);
        assert_eq!(outcome.verdict.reason, Reason::UnhandledError);
        assert_eq!(outcome.verdict.class, Class::Unknown);
        assert_eq!(outcome.effect, Effect::Unknown);
    }

    #[rstest]
    #[case("TooManyRequestsException")]
    #[case("InvalidPasswordException")]
    #[case("AccessDeniedException")]
    fn a_server_fault_proves_nothing_whatever_its_code(#[case] code: &str) {
        let outcome = refused(503, Some(code));
        assert_eq!(outcome.effect, Effect::Unknown);
        assert!(
            matches!(outcome.verdict.class, Class::Transient | Class::Unknown),
            "the operator tries again by itself"
        );
    }

    #[test]
    fn an_unsent_call_did_nothing_and_a_call_without_reply_is_unknown() {
        let not_sent = |cause| {
            let detail = "dns error".to_owned();
            classify(&Reply::NotSent { cause, detail })
        };
        for (cause, reason) in [
            (NotSent::Connect, Reason::Unreachable),
            (NotSent::Request, Reason::Unreachable),
            (NotSent::Unprocessed, Reason::Unreachable),
            (NotSent::Credentials, Reason::InvalidCredentials),
        ] {
            let outcome = not_sent(cause);
            assert_eq!(
                (outcome.verdict.reason, outcome.effect),
                (reason, Effect::Nothing)
            );
        }
        let lost = classify(&Reply::NoReply {
            detail: "connection closed".to_owned(),
        });
        assert_eq!(lost.verdict.reason, Reason::OutcomeUnknown);
        assert_eq!(lost.effect, Effect::Unknown);
    }
}
