//! Whether a value may be sent again without a request.

use super::observation::{Comparison, Observation, SecretVersion};
use crate::{
    api::{Attempt, AttemptOutcome},
    core::credential::fingerprint::Match,
};

/// What a value is, as to whether it may be sent again by itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ResendPolicy {
    /// It may, as often as need be.
    Permanent,
    /// Once.
    Temporary,
    /// It may have been applied, as far as the record tells: only on request.
    Spent,
}

/// The kind of the value at hand. A user who doesn't exist has chosen nothing, so an attempt that
/// found none doesn't count.
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
            let untold = !observed.is_attempted(attempt, version, value);
            untold && value.attempt == key_gone && value.synced == key_gone
        }
        Some(_) | None => match value.synced {
            Some(Match::Same | Match::KeyGone) => true,
            Some(Match::Different) => false,
            // It was in doubt when another value replaced it, and that one was refused; or it was
            // set, and another resource managed the user meanwhile.
            None => value.attempt != Some(Match::Same) && value.retired,
        },
    };
    if spent {
        ResendPolicy::Spent
    } else {
        ResendPolicy::Temporary
    }
}

/// Whether a call that was made for this attempt may have been applied.
pub(crate) fn is_doubtful(attempt: &Attempt) -> bool {
    match attempt.outcome {
        AttemptOutcome::Pending | AttemptOutcome::Unknown | AttemptOutcome::InHistory => true,
        AttemptOutcome::UserNotFound | AttemptOutcome::Refused => false,
    }
}
