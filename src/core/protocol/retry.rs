//! When the next call for a resource is due, and how urgent the call is.

use super::observation::{Comparison, Observation};
use crate::{
    api::{Class, ConditionType, Reason, Status},
    core::{
        clock::is_yet_to_come,
        condition::{
            backoff::{self, STALLED_AFTER},
            ready::ready_class,
        },
        credential::fingerprint::Match,
        schedule::rate_limit::Urgency,
    },
};
use jiff::Timestamp;
use std::time::Duration;

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
    if observed.recovered || !observed.ready_is_current() || observed.waited_for_grant() {
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
