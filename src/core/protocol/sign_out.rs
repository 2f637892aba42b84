//! The classification of the reply to a sign-out, `AdminUserGlobalSignOut`: an allow-list of two rows. The
//! sign-out is done if Cognito says so, or says that the user does not exist. Every other reply leaves the
//! sign-out owed.
//!
//! A sign-out carries no value and may be made twice, and a late one does no harm. So a lost reply needs no
//! attempt and no quarantine: the operator makes the sign-out again.

use super::{
    outcome::{CredentialsEvidence, evidence, reason_and_class},
    reply::{NotSent, Reply},
};
use crate::{
    api::{Class, Reason},
    core::condition::verdict::Verdict,
};

/// Whether the sessions of the time before the call are revoked.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SignOutEffect {
    /// Cognito has revoked the sessions, or the user does not exist and has none.
    Done,
    /// The sign-out must be made again: Cognito refused the call, or nobody knows.
    NotYet,
}

/// The outcome of one sign-out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SignOutOutcome {
    /// The effect on the user's sessions.
    pub effect: SignOutEffect,
    /// The verdict for the conditions. Never stalled: see [`classify_sign_out`].
    pub verdict: Verdict,
    /// The evidence about the credentials of the call.
    pub evidence: CredentialsEvidence,
    /// The words of AWS or of the SDK; None if Cognito revoked the sessions.
    pub words: Option<String>,
    /// AWS's request id, for the Event and the log.
    pub request_id: Option<String>,
}

/// Classifies the reply to a sign-out.
///
/// No verdict is stalled. A stalled resource waits for another spec or another value in the Secret. But the
/// sign-out has no parameter that a person could correct there: the pool and the username are those of the set
/// that Cognito has just accepted. So a refused parameter is waiting, with a retry, as a refused right is.
#[must_use]
pub fn classify_sign_out(reply: &Reply) -> SignOutOutcome {
    let evidence = evidence(reply);
    match reply {
        Reply::Success { request_id, .. } => SignOutOutcome {
            effect: SignOutEffect::Done,
            verdict: Verdict::new(Reason::PasswordSet),
            evidence,
            words: None,
            request_id: request_id.clone(),
        },
        Reply::NotSent { cause, detail } => SignOutOutcome {
            effect: SignOutEffect::NotYet,
            verdict: match cause {
                NotSent::Credentials => not_yet(Reason::InvalidCredentials, detail),
                NotSent::Connect | NotSent::Request => not_yet(Reason::Unreachable, detail),
                NotSent::Unprocessed => Verdict::with(
                    Reason::Unreachable,
                    "the password is set, but the user's sessions were not revoked, because Cognito's side closed the connection and said that the request was not processed",
                    Some(detail),
                    "nothing to do: the operator makes the sign-out again by itself",
                ),
            },
            evidence,
            words: Some(detail.clone()),
            request_id: None,
        },
        Reply::NoReply { detail } => SignOutOutcome {
            effect: SignOutEffect::NotYet,
            verdict: not_yet(Reason::OutcomeUnknown, detail),
            evidence,
            words: Some(detail.clone()),
            request_id: None,
        },
        Reply::ServiceError(error) => {
            let (reason, class) = reason_and_class(error);
            let (effect, verdict) = if error.is_client_error() && reason == Reason::UserNotFound {
                (SignOutEffect::Done, Verdict::new(Reason::PasswordSet))
            } else {
                (
                    SignOutEffect::NotYet,
                    refused(reason, class, &error.words()),
                )
            };
            SignOutOutcome {
                effect,
                verdict,
                evidence,
                words: Some(error.words()),
                request_id: error.request_id.clone(),
            }
        }
    }
}

/// A row of the table of reasons for which a sign-out is not done.
struct Entry {
    reason: Reason,
    /// What happened, as the beginning of a sentence.
    meaning: &'static str,
    /// What would fix the problem, as the end of a sentence.
    cure: &'static str,
}

const fn entry(reason: Reason, meaning: &'static str, cure: &'static str) -> Entry {
    Entry {
        reason,
        meaning,
        cure,
    }
}

/// What is said of a reply whose reason is not in [`NOT_YET`]: a code that Cognito does not document for a
/// sign-out.
const UNHANDLED: Entry = entry(
    Reason::UnhandledError,
    "the password is set, but the operator can't tell whether the user's sessions were revoked, because Cognito answered the sign-out with an error that this version doesn't know",
    "read AWS's own words; the operator makes the sign-out again by itself",
);

/// The reasons with the texts of a sign-out. The reasons' own texts in the table of reasons are about a set.
const NOT_YET: [Entry; 10] = [
    entry(
        Reason::InternalError,
        "the password is set, but the operator can't tell whether the user's sessions were revoked, because Cognito failed internally",
        "nothing to do: the operator makes the sign-out again by itself",
    ),
    entry(
        Reason::OutcomeUnknown,
        "the password is set, but the operator can't tell whether the user's sessions were revoked, because the operator sent the sign-out and got no usable reply",
        "nothing to do: the operator makes the sign-out again by itself",
    ),
    entry(
        Reason::AccessDenied,
        "the password is set, but the user's sessions were not revoked, because IAM doesn't allow the operator to sign out the users of this user pool",
        "allow cognito-idp:AdminUserGlobalSignOut on the user pool in the IAM policy of the operator's role; the operator makes the sign-out again by itself",
    ),
    entry(
        Reason::NotAuthorized,
        "the password is set, but the user's sessions were not revoked, because Cognito doesn't allow the sign-out in the present state of the user or the pool",
        "enable the user or correct the pool; the operator makes the sign-out again by itself",
    ),
    entry(
        Reason::OperationNotEnabled,
        "the password is set, but the user's sessions were not revoked, because the pool doesn't offer the sign-out here",
        "use the pool's primary Region, or correct the pool's configuration; the operator makes the sign-out again by itself",
    ),
    entry(
        Reason::ResourceNotFound,
        "the password is set, but the user's sessions were not revoked, because there is no such user pool in this account and Region",
        "give the operator an identity of the pool's account, or create the pool; the operator makes the sign-out again by itself",
    ),
    entry(
        Reason::InvalidParameter,
        "the password is set, but the user's sessions were not revoked, because Cognito refused a parameter of the sign-out",
        "read AWS's own words, and correct the pool's configuration; the operator makes the sign-out again by itself",
    ),
    entry(
        Reason::InvalidCredentials,
        "the password is set, but the user's sessions were not revoked, because the operator has no AWS credentials that work",
        "give the operator's ServiceAccount a role by EKS Pod Identity or IRSA (or set AWS_* in the operator's environment), and check the clock of the operator's node; the operator makes the sign-out again by itself",
    ),
    entry(
        Reason::TooManyRequests,
        "the password is set, but the user's sessions were not revoked, because Cognito throttles the account",
        "nothing to do: the operator makes the sign-out again by itself",
    ),
    entry(
        Reason::Unreachable,
        "the password is set, but the user's sessions were not revoked, because the operator can't reach Cognito, and sent nothing",
        "check DNS, proxy, egress rules and CA certificates; the operator makes the sign-out again by itself",
    ),
];

/// The verdict of a sign-out that is not done.
fn not_yet(reason: Reason, words: &str) -> Verdict {
    let entry = NOT_YET.iter().find(|entry| entry.reason == reason);
    let entry = entry.unwrap_or(&UNHANDLED);
    Verdict::with(entry.reason, entry.meaning, Some(words), entry.cure)
}

/// The verdict of an error reply. `class` is the class that the reply gives to the reason.
fn refused(reason: Reason, class: Class, words: &str) -> Verdict {
    let verdict = not_yet(reason, words);
    if verdict.reason != reason {
        return verdict;
    }
    match class {
        Class::Stalled => verdict.of_class(Class::Waiting),
        Class::Settled | Class::Waiting | Class::Transient | Class::Unknown => {
            verdict.of_class(class)
        }
    }
}

#[cfg(test)]
mod tests;
