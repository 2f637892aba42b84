//! The quarantine after a call without a known outcome: no different value is sent while the call may still
//! land.

use crate::{
    api::{Attempt, AttemptOutcome, Reason, Status},
    core::clock::{is_yet_to_come, micros},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use std::time::Duration;

/// How long no different value is sent after a call without a known outcome: the lost call may still land.
pub const QUARANTINE: SignedDuration = SignedDuration::from_secs(30);

/// For a plan that takes over an open attempt: until when an earlier call of that attempt may still reach
/// Cognito. A call that got any reply has ended; a call without a reply may still be under way.
pub(crate) fn quarantined_until(before: &Status) -> Option<MicroTime> {
    // Each call of such an attempt was answered, or `quarantinedUntil` covers it.
    let has_ended = |attempt: &&Attempt| {
        matches!(
            attempt.outcome,
            AttemptOutcome::UserNotFound | AttemptOutcome::InHistory
        )
    };
    let answered = matches!(
        before.ready_reason(),
        Some(Reason::InternalError | Reason::UnhandledError | Reason::UserNotFound)
    );
    let open = before.attempt.as_ref().filter(|attempt| attempt.is_open());
    let lost = open
        .filter(|attempt| !has_ended(attempt))
        .filter(|attempt| attempt.outcome == AttemptOutcome::Pending || !answered);
    let until = lost.and_then(|attempt| attempt.started_at.0.checked_add(QUARANTINE).ok());
    let known = before.quarantined_until.as_ref().map(|until| until.0);
    until.max(known).map(MicroTime)
}

/// The status with corrected quarantines, if one begins or ends too far in the future; None if all are
/// plausible.
///
/// If the time of a quarantine lies too far in the future, a clock was wrong. The quarantine then begins
/// again now, for the whole 30 s. A clock that is set back just after a lost call must not end the
/// quarantine. A clock that was ahead must not prolong the quarantine.
pub(crate) fn corrected(status: &Status, now: Timestamp) -> Option<Status> {
    let is_doubtful =
        |attempt: &&Attempt| attempt.is_open() && is_yet_to_come(attempt.started_at.0, now);
    let attempt = status.attempt.as_ref().filter(is_doubtful);
    let end = now.checked_add(QUARANTINE).unwrap_or(now);
    let until = status.quarantined_until.as_ref();
    let until = until.filter(|until| is_yet_to_come(until.0, end));
    if attempt.is_none() && until.is_none() {
        return None;
    }
    let mut corrected = status.clone();
    if let Some(attempt) = corrected.attempt.as_mut().filter(|_| attempt.is_some()) {
        attempt.started_at = MicroTime(micros(now));
    }
    if until.is_some() {
        corrected.quarantined_until = Some(MicroTime(micros(end)));
    }
    Some(corrected)
}

/// Time until no earlier call can land any more, by `quarantinedUntil`; None if none can land now.
pub(crate) fn recorded_quarantine_left(status: &Status, now: Timestamp) -> Option<Duration> {
    let left = status.quarantined_until.as_ref()?.0.duration_since(now);
    let left = Duration::try_from(left).ok()?;
    (!left.is_zero()).then_some(left)
}

/// How much is left of an open attempt's quarantine; None if the quarantine is over.
pub(crate) fn quarantine_left(attempt: &Attempt, now: Timestamp) -> Option<Duration> {
    // The last call of such an attempt was answered. `quarantinedUntil` covers its earlier calls.
    if attempt.outcome == AttemptOutcome::InHistory {
        return None;
    }
    let age = now.duration_since(attempt.started_at.0);
    let left = Duration::try_from(QUARANTINE.checked_sub(age)?).ok()?;
    (!left.is_zero()).then_some(left)
}
