//! What a status says of a sign-out that a set owes: see [`super::obligation`].

use crate::api::{CognitoUserPasswordSpec, Reason, SignOutOwed, Status};

/// The obligation on record, if the spec still asks for sign-outs.
pub(crate) fn owed<'a>(
    status: &'a Status,
    spec: &CognitoUserPasswordSpec,
) -> Option<&'a SignOutOwed> {
    let owed = status.sign_out_owed.as_ref();
    owed.filter(|_| spec.revoke_sessions && spec.permanent)
}

/// Whether the Ready condition speaks of the sign-out.
pub(crate) fn is_said(status: &Status) -> bool {
    let Some(reason) = status.ready_reason() else {
        return false;
    };
    let Some(owed) = &status.sign_out_owed else {
        return false;
    };
    if reason == Reason::RevokingSessions {
        return true;
    }
    // A failed set has its own failures, or an attempt.
    let is_of_sign_out = owed.failures.is_some() && status.failures.is_none();
    is_of_sign_out && status.attempt.is_none() && is_of_a_call(reason)
}

/// Whether a failed call to Cognito leads to this reason.
const fn is_of_a_call(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::InternalError
            | Reason::InvalidParameter
            | Reason::NotAuthorized
            | Reason::OperationNotEnabled
            | Reason::ResourceNotFound
            | Reason::TooManyRequests
            | Reason::AccessDenied
            | Reason::InvalidCredentials
            | Reason::Unreachable
            | Reason::UnhandledError
            | Reason::OutcomeUnknown
    )
}
