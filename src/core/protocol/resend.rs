//! Whether the operator may send a value again without a request.

use super::observation::{Comparison, Observation, SecretVersion};
use crate::{
    api::{Attempt, AttemptOutcome},
    core::credential::fingerprint::Match,
};

/// How often the operator may send a value without a request.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ResendPolicy {
    /// As often as necessary.
    Permanent,
    /// Once.
    Temporary,
    /// Not at all: by the record, the value may have been applied already.
    Spent,
}

/// The policy for the value in the Secret. An attempt that ended in `UserNotFound` doesn't count as a set,
/// because a user who doesn't exist has chosen no password.
pub(crate) fn kind(
    observed: &Observation<'_>,
    version: &SecretVersion,
    value: &Comparison,
) -> ResendPolicy {
    if observed.spec.permanent {
        return ResendPolicy::Permanent;
    }
    let key_gone = Some(Match::KeyGone);
    let spent = match &observed.status.attempt {
        Some(attempt) if is_doubtful(attempt) => value.attempt != Some(Match::Different),
        Some(attempt) if attempt.is_open() => {
            let is_unattempted = !observed.is_attempted(attempt, version, value);
            is_unattempted && value.attempt == key_gone && value.synced == key_gone
        }
        Some(_) | None => match value.synced {
            Some(Match::Same | Match::KeyGone) => true,
            Some(Match::Different) => false,
            // A retired value may still be the user's password in two cases. The value was in doubt, and the
            // value that replaced it was refused. Or the value was set, and another resource managed the user
            // meanwhile.
            None => value.attempt != Some(Match::Same) && value.retired,
        },
    };
    if spent {
        ResendPolicy::Spent
    } else {
        ResendPolicy::Temporary
    }
}

/// Whether a call for this attempt may have been applied.
pub(crate) fn is_doubtful(attempt: &Attempt) -> bool {
    match attempt.outcome {
        AttemptOutcome::Pending | AttemptOutcome::Unknown | AttemptOutcome::InHistory => true,
        AttemptOutcome::UserNotFound | AttemptOutcome::Refused => false,
    }
}
