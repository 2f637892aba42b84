//! The table of reasons made concrete: what mends one resource, as commands with the resource's own names.

mod cluster;
mod cognito;
mod commands;
pub mod known;
pub mod refusal;
pub mod role;

use super::subject::Subject;
use crate::{
    api::{Attempt, Class, Reason, SUSPENDED_BECAUSE},
    core::{
        checkup::finding::Cure,
        words::{count, some_of},
    },
};
use cluster::{of_duplicate, of_grant, of_secret};
use cognito::{of_network, of_reply, of_user};
use commands::Words;
use known::Known;
use role::{Switches, of_operator, of_refusal, of_role};
use serde_json::json;

/// How many of the resources that share a Secret are named.
pub const SHARED: usize = 3;

/// The command that ends a suspension.
#[must_use]
pub fn resume(subject: &Subject<'_>) -> String {
    Words::new(subject, &Known::default()).patch(&json!({
        "metadata": { "annotations": { SUSPENDED_BECAUSE: null } },
        "spec": { "suspend": false },
    }))
}

/// What mends a resource of this reason. None if nothing is to be mended.
#[must_use]
pub fn cure(reason: Reason, subject: &Subject<'_>, known: &Known<'_>) -> Option<Cure> {
    let words = Words::new(subject, known);
    let cure = match reason {
        Reason::PasswordSet | Reason::AppliedAfterLostReply => return None,
        _ if known.is_mended => Cure::command(
            "wait: the cause is gone, and the operator acts within seconds of the change; if the status stays, see what the link of the operator says",
            words.watch(),
        ),
        Reason::SecretNotFound | Reason::SecretKeyNotFound | Reason::InvalidSecretValue => {
            of_secret(reason, &words, known)
        }
        Reason::NotGranted | Reason::AmbiguousGrant | Reason::UnknownRegion => {
            of_grant(reason, subject, &words, known)
        }
        Reason::UserDisabled
        | Reason::UserGone
        | Reason::UserRecreated
        | Reason::UserUnconfirmed
        | Reason::PasswordReset
        | Reason::FederatedUser
        | Reason::Contested
        | Reason::TemporaryPasswordExpired => of_user(reason, &words),
        Reason::AccessDenied => of_refusal(&words, known, Switches::of(&subject.resource.spec)),
        Reason::InvalidCredentials => match (known.role, known.fitting.first(), known.role_words) {
            (Some(role), Some(grant), Some(message)) => {
                of_role(grant, role, known.external_id, message)
            }
            _ => of_operator(known),
        },
        Reason::Unreachable => of_network(&words, known),
        Reason::DuplicateUser => of_duplicate(&words, known),
        _ if is_waited_for(reason, known) => wait(reason, subject, &words, known),
        Reason::Progressing
        | Reason::InternalError
        | Reason::InvalidParameter
        | Reason::InvalidPassword
        | Reason::PasswordHistoryPolicyViolation
        | Reason::NotAuthorized
        | Reason::OperationNotEnabled
        | Reason::ResourceNotFound
        | Reason::UserNotFound
        | Reason::TooManyRequests
        | Reason::UnhandledError
        | Reason::OutcomeUnknown
        | Reason::NotConfirmed
        | Reason::RevokingSessions => of_reply(reason, &words, known),
    };
    Some(with_sharing(cure, known).more(&page(reason)))
}

/// The cure, whose words say so where a command changes the password of other users too.
fn with_sharing(mut cure: Cure, known: &Known<'_>) -> Cure {
    if known.shared == 0 {
        return cure;
    }
    let words = format!(
        "; {} read this key too, and their users get the same password: {}",
        count(known.shared, "other resource"),
        some_of(known.shared_with, known.shared, ", ")
    );
    let writes = |commands: &[String]| commands.iter().any(|it| it.contains("base64"));
    if writes(&cure.commands) {
        cure.text.push_str(&words);
    }
    for other in &mut cure.alternatives {
        if writes(&other.commands) {
            other.text.push_str(&words);
        }
    }
    cure
}

/// The section of docs/reasons.md.
#[must_use]
pub fn page(reason: Reason) -> String {
    format!("reasons.md#{}", reason.as_str().to_lowercase())
}

/// Whether the operator goes on by itself, and nobody else can do anything.
fn is_waited_for(reason: Reason, known: &Known<'_>) -> bool {
    let by_itself = matches!(reason.class(), Class::Transient | Class::Unknown);
    by_itself && !known.is_stalled && reason != Reason::Unreachable
}

fn wait(reason: Reason, subject: &Subject<'_>, words: &Words, known: &Known<'_>) -> Cure {
    let status = subject.resource.status.as_ref();
    let is_open = status
        .and_then(|it| it.attempt.as_ref())
        .is_some_and(Attempt::is_open);
    let owes_sign_out = !is_open && status.is_some_and(|it| it.sign_out_owed.is_some());
    let next = known.next_try.map(|it| format!(", {it}"));
    let next = next.unwrap_or_default();
    let text = match reason {
        Reason::RevokingSessions => {
            format!("wait: the operator ends the sessions by itself{next}")
        }
        Reason::TooManyRequests => format!(
            "wait: the operator tries again by itself{next}; if the throttling lasts, lower the operator's --cognito-rps (the chart's value settings.cognitoRps), or find who else calls Cognito in this account"
        ),
        Reason::UnhandledError => format!(
            "wait: the operator tries again by itself{next}; if the error stays, follow AWS's words above"
        ),
        Reason::Progressing => {
            format!("wait: a set takes milliseconds, but for the rate limit or a quarantine{next}")
        }
        _ if owes_sign_out => {
            format!("wait: the operator makes the sign-out again by itself{next}")
        }
        _ => format!("wait: the operator sends the same value again by itself{next}"),
    };
    Cure::command(&text, words.watch())
}
