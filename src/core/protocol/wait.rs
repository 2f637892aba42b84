//! Waits before the next call: the backoff after a failure, and the quarantine after a call without a known
//! outcome.

use super::observation::{Comparison, Observation};
use crate::{
    api::{Attempt, AttemptOutcome, Class, ConditionType, Reason, Status},
    core::{
        clock::{is_yet_to_come, micros},
        condition::{
            backoff::{self, STALLED_AFTER},
            ready::ready_class,
        },
        credential::fingerprint::Match,
        schedule::rate_limit::Urgency,
    },
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use std::time::Duration;

/// How long no different value is sent after a call without a known outcome: the lost call may still land.
pub const QUARANTINE: SignedDuration = SignedDuration::from_secs(30);

/// The number of failures in a row, about one minute of retries, up to which a call has the urgency of a new
/// request.
const FIRST_TRIES: u32 = 8;

/// How much is left of the backoff after the last failure. Only a changed generation, value or request cuts
/// the backoff short; a changed resourceVersion alone doesn't. `value` is the value that was read, if any.
///
/// Stalled and settled resources have no retry time. A retry time in such a status was forged and is ignored.
pub(crate) fn backoff_left(
    observed: &Observation<'_>,
    value: Option<&Comparison>,
    now: Timestamp,
) -> Option<Duration> {
    let status = observed.status;
    match ready_class(status)? {
        Class::Waiting | Class::Transient | Class::Unknown => {}
        Class::Settled | Class::Stalled => return None,
    }
    if observed.healed || !observed.ready_is_current() || observed.waited_for_grant() {
        return None;
    }
    if is_cut_short(observed, value) {
        return None;
    }
    backoff::left(status, observed.uid, now)
}

/// Time until the next reconcile without an event. The backoff ends then, or the 5 minutes after which a wait
/// is called stalled.
pub(crate) fn wake(status: &Status, uid: &str, now: Timestamp) -> Option<Duration> {
    shorter(backoff::left(status, uid, now), until_stalled(status, now))
}

/// The shorter of two waits. None stands for a wait that only an event ends.
pub(crate) fn shorter(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    one.into_iter().chain(other).min()
}

/// Time until the status must call a wait stalled; zero if that is due now. The 5 minutes count from the
/// transition time of the Reconciling condition, so that a restart neither forgets nor repeats the 5 minutes.
pub(crate) fn until_stalled(status: &Status, now: Timestamp) -> Option<Duration> {
    let waits = ready_class(status) == Some(Class::Waiting);
    let reconciling = status
        .condition(ConditionType::Reconciling)
        .filter(|_| waits)?;
    let since = reconciling.last_transition_time.0;
    if is_yet_to_come(since, now) {
        // A wrong clock wrote this time. The write that is due now corrects the time, and the 5 minutes
        // begin.
        return Some(Duration::ZERO);
    }
    let left = STALLED_AFTER.checked_sub(now.duration_since(since))?;
    Some(Duration::try_from(left).unwrap_or_default())
}

/// Whether value or request differ from the value and request that failed.
fn is_cut_short(observed: &Observation<'_>, value: Option<&Comparison>) -> bool {
    let status = observed.status;
    let waits_for_a_value = matches!(
        status.ready_reason(),
        Some(Reason::SecretNotFound | Reason::SecretKeyNotFound)
    );
    if waits_for_a_value && value.is_some() {
        return true;
    }
    if observed.has_untried_request() {
        return true;
    }
    if let Some(tried) = observed.tried {
        let tried_value = tried.fingerprint.as_deref();
        value.is_some_and(|value| tried_value != Some(value.fingerprint.as_str()))
    } else {
        // After a restart only the attempt on record tells which value was tried last.
        let another = |value: &Comparison| value.attempt != Some(Match::Same);
        status.attempt.is_some() && value.is_some_and(another)
    }
}

/// The urgency of a call. A new value, a new request and the first retries of either are urgent. Not urgent
/// are later retries, and rechecks of a resource in the class `Waiting` for whose value a call was already
/// made.
pub(crate) fn urgency(observed: &Observation<'_>, value: &Comparison) -> Urgency {
    let failures = observed.status.failures.as_ref();
    let Some(failures) = failures.filter(|_| observed.ready_is_current()) else {
        return Urgency::Requested;
    };
    if is_cut_short(observed, Some(value)) {
        return Urgency::Requested;
    }
    let reason = observed.status.ready_reason();
    let waits = reason.map(Reason::class) == Some(Class::Waiting);
    // Without credentials or without a grant, no call was made for this value yet.
    let untried = reason == Some(Reason::InvalidCredentials) || observed.waited_for_grant();
    let is_first = !waits || untried;
    if is_first && failures.count <= FIRST_TRIES {
        Urgency::Requested
    } else {
        Urgency::Retry
    }
}

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
