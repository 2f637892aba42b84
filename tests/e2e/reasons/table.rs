//! The answers of Cognito, each with the operator's reaction.

use kube::api::DynamicObject;
use serde_json::Value;

use super::super::kstatus::violations;
use super::super::world::POOL;
use crate::support::{Failure, Fault, condition};

pub(super) struct Case {
    /// The name of the resource, its Secret and its user.
    pub(super) name: &'static str,
    pub(super) fault: fn() -> Fault,
    pub(super) reason: &'static str,
    pub(super) class: Class,
    /// AWS's words, which the message quotes.
    words: &'static str,
    /// The end of the message, which says what would fix the problem.
    cure: &'static str,
}

/// The consequences of a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Stalled,
    Waiting,
    /// Like `Waiting`, but with a first retry after a second or two.
    Prompt,
    Transient,
    Unknown,
}

pub(super) const CASES: &[Case] = &[
    // The nine exceptions of AdminSetUserPassword.
    Case {
        name: "internal-error",
        fault: Fault::internal_error,
        reason: "InternalError",
        class: Class::Unknown,
        words: "InternalErrorException: Something went wrong",
        cure: "the operator sends the same value again by itself",
    },
    Case {
        name: "invalid-parameter",
        fault: || {
            let words = "1 validation error detected: Value at 'password' failed to satisfy \
                         constraint";
            Fault::error("InvalidParameterException", words)
        },
        reason: "InvalidParameter",
        class: Class::Stalled,
        words: "InvalidParameterException: 1 validation error detected: Value at 'password' \
                failed to satisfy constraint",
        cure: "the spec or the value in the Secret",
    },
    Case {
        name: "invalid-password",
        fault: || {
            let words = "Password did not conform with policy: Password not long enough";
            Fault::error("InvalidPasswordException", words)
        },
        reason: "InvalidPassword",
        class: Class::Stalled,
        words: "InvalidPasswordException: Password did not conform with policy: Password not \
                long enough",
        cure: "put a value that fits the policy into the Secret",
    },
    Case {
        name: "in-history",
        fault: || {
            let words = "Password has previously been used";
            Fault::error("PasswordHistoryPolicyViolationException", words)
        },
        reason: "PasswordHistoryPolicyViolation",
        class: Class::Stalled,
        words: "PasswordHistoryPolicyViolationException: Password has previously been used",
        cure: "put a new value into the Secret",
    },
    Case {
        name: "not-authorized",
        fault: || Fault::error("NotAuthorizedException", "User is disabled."),
        reason: "NotAuthorized",
        class: Class::Waiting,
        words: "NotAuthorizedException: User is disabled",
        cure: "enable the user",
    },
    Case {
        name: "not-enabled",
        fault: || Fault::error("OperationNotEnabledException", "Not in this Region."),
        reason: "OperationNotEnabled",
        class: Class::Waiting,
        words: "OperationNotEnabledException: Not in this Region",
        cure: "primary Region",
    },
    Case {
        name: "pool-not-found",
        fault: || Fault::error("ResourceNotFoundException", "User pool does not exist."),
        reason: "ResourceNotFound",
        class: Class::Waiting,
        words: "ResourceNotFoundException: User pool does not exist",
        cure: "create the pool",
    },
    Case {
        name: "throttled",
        fault: Fault::throttled,
        reason: "TooManyRequests",
        class: Class::Transient,
        words: "TooManyRequestsException: Rate exceeded",
        cure: "the operator tries again by itself",
    },
    Case {
        name: "user-not-found",
        fault: || Fault::error("UserNotFoundException", "User does not exist."),
        reason: "UserNotFound",
        class: Class::Waiting,
        words: "UserNotFoundException: User does not exist",
        cure: "create the user",
    },
    // The SDK's other throttling codes.
    Case {
        name: "throttling",
        fault: || Fault::error("ThrottlingException", "Rate exceeded"),
        reason: "TooManyRequests",
        class: Class::Transient,
        words: "ThrottlingException: Rate exceeded",
        cure: "the operator tries again by itself",
    },
    Case {
        name: "request-limit",
        fault: || Fault::error("RequestLimitExceeded", "Request limit exceeded."),
        reason: "TooManyRequests",
        class: Class::Transient,
        words: "RequestLimitExceeded: Request limit exceeded",
        cure: "the operator tries again by itself",
    },
    // Errors that every AWS API may return.
    Case {
        name: "access-denied",
        fault: Fault::access_denied,
        reason: "AccessDenied",
        class: Class::Waiting,
        words: "AccessDeniedException: User: arn:aws:iam::123456789012:user/test is not \
                authorized to perform: cognito-idp:AdminSetUserPassword on resource: *",
        cure: "IAM policy",
    },
    Case {
        name: "expired-token",
        fault: || Fault::error("ExpiredTokenException", "The token is expired"),
        reason: "InvalidCredentials",
        class: Class::Prompt,
        words: "ExpiredTokenException: The token is expired",
        cure: "EKS Pod Identity or IRSA",
    },
    Case {
        name: "unrecognized-client",
        fault: || Fault::error("UnrecognizedClientException", "The token is invalid."),
        reason: "InvalidCredentials",
        class: Class::Prompt,
        words: "UnrecognizedClientException: The token is invalid",
        cure: "EKS Pod Identity or IRSA",
    },
    Case {
        name: "invalid-signature",
        fault: || Fault::error("InvalidSignatureException", "Signature not yet current"),
        reason: "InvalidCredentials",
        class: Class::Prompt,
        words: "InvalidSignatureException: Signature not yet current",
        cure: "the clock of the operator's node",
    },
    // Codes that the operator doesn't know.
    Case {
        name: "unknown-client-error",
        fault: || Fault::error("TeapotException", "I can't brew coffee."),
        reason: "UnhandledError",
        class: Class::Transient,
        words: "TeapotException: I can't brew coffee",
        cure: "the operator tries again by itself",
    },
    Case {
        name: "unknown-server-error",
        fault: || Fault::Error(Failure::new(500, "MeltdownException", "It is hot here.")),
        reason: "UnhandledError",
        class: Class::Unknown,
        words: "MeltdownException: It is hot here",
        cure: "the operator tries again by itself",
    },
    // A fault of the server proves nothing, whatever its code.
    Case {
        name: "known-code-of-a-503",
        fault: || Fault::Error(Failure::new(503, "InvalidPasswordException", "Try later.")),
        reason: "UnhandledError",
        class: Class::Unknown,
        words: "InvalidPasswordException: Try later",
        cure: "the operator tries again by itself",
    },
    Case {
        name: "client-error-without-code",
        fault: || {
            Fault::Error(Failure {
                status: 400,
                code: None,
                message: "Your proxy says no".to_owned(),
            })
        },
        reason: "UnhandledError",
        class: Class::Unknown,
        words: "HTTP 400 without an error code: Your proxy says no",
        cure: "the operator tries again by itself",
    },
    Case {
        name: "html-502",
        fault: || Fault::Garbage {
            status: 502,
            applied: false,
        },
        reason: "UnhandledError",
        class: Class::Unknown,
        words: "HTTP 502 without an error code",
        cure: "the operator tries again by itself",
    },
];

impl Case {
    /// The status of Ready.
    pub(super) fn ready(&self) -> &'static str {
        match self.class {
            Class::Stalled | Class::Waiting | Class::Prompt | Class::Transient => "False",
            Class::Unknown => "Unknown",
        }
    }

    /// The case's pool. A case that blames the credentials has a Region of its own, because three such
    /// answers in a row close the credential gate for the whole Region.
    pub(super) fn pool(&self) -> &'static str {
        match self.name {
            "expired-token" => "eu-central-1_AbCdEf123",
            "unrecognized-client" => "eu-north-1_AbCdEf123",
            "invalid-signature" => "eu-south-1_AbCdEf123",
            _ => POOL,
        }
    }

    pub(super) fn tries_again(&self) -> bool {
        match self.class {
            Class::Stalled | Class::Waiting => false,
            Class::Prompt | Class::Transient | Class::Unknown => true,
        }
    }

    /// Everything in the resource that contradicts this case.
    pub(super) fn contradictions(&self, resource: &DynamicObject) -> Vec<String> {
        let mut found = violations(resource);
        let mut expect = |holds: bool, what: String| {
            if !holds {
                found.push(what);
            }
        };
        let stalled = self.class == Class::Stalled;
        for (kind, wanted) in [("Stalled", stalled), ("Reconciling", !stalled)] {
            let there = condition(resource, kind).is_some();
            expect(there == wanted, format!("{kind} is there: {there}"));
        }
        let observed = &resource.data["status"]["observedGeneration"];
        let wanted = if stalled { 1 } else { -1 };
        expect(
            *observed == wanted,
            format!("observedGeneration {observed}"),
        );

        let message = condition(resource, "Ready")
            .and_then(|ready| ready["message"].as_str())
            .unwrap_or_default();
        let quoted = format!(" ({}): ", self.words);
        let cure = message.split_once(&quoted).map(|(_, cure)| cure);
        expect(
            cure.is_some(),
            format!("AWS's own words {quoted:?} are not in {message:?}"),
        );
        expect(
            cure.is_some_and(|cure| cure.contains(self.cure) && cure.ends_with('.')),
            format!("it doesn't end with what would fix it: {message:?}"),
        );
        expect(
            !message.contains("00000000-0000-4000"),
            format!("a request id is in {message:?}"),
        );
        let ids = resource.data.pointer("/status/conditions");
        expect(
            !ids.is_some_and(|conditions: &Value| {
                conditions.to_string().contains("00000000-0000-4000")
            }),
            "a request id is in the conditions".to_owned(),
        );
        found
    }
}
