//! What is waited for before the next call: the backoff after a failure, and the quarantine after a
//! call without a known outcome.

use super::observation::{Comparison, Observation};
use crate::{
    api::{Attempt, AttemptOutcome, Class, ConditionType, Reason, Status},
    core::{
        clock::{is_yet_to_come, micros},
        condition::{
            backoff::{self, STALLED_AFTER},
            ready::said,
        },
        credential::fingerprint::Match,
        schedule::rate_limit::Urgency,
    },
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use std::time::Duration;

/// For how long after a call without a known outcome no other value is sent: the lost call may
/// still land.
pub const QUARANTINE: SignedDuration = SignedDuration::from_secs(30);

/// After how many failures in a row a value counts as merely tried again: the first minute.
const FIRST_TRIES: u32 = 8;

/// How much is left of the wait that the last failure began. Only a changed generation, value or
/// request cuts it short; a moved resourceVersion alone does not. `value` is the one at hand, if it
/// was read. Where a person must act, or nobody need, nothing waits for a time: who wrote that it does
/// forged it.
pub(crate) fn wait_left(
    observed: &Observation<'_>,
    value: Option<&Comparison>,
    now: Timestamp,
) -> Option<Duration> {
    let status = observed.status;
    match said(status)? {
        Class::Waiting | Class::Transient | Class::Unknown => {}
        Class::Settled | Class::Stalled => return None,
    }
    if observed.healed || !observed.is_judged() || observed.waited_for_grant() {
        return None;
    }
    if is_cut_short(observed, value) {
        return None;
    }
    backoff::left(status, observed.uid, now)
}

/// How long until there is something to try or to say, if no event comes before: the next try, or the end
/// of the 5 minutes after which what waits is called stalled.
pub(crate) fn wake(status: &Status, uid: &str, now: Timestamp) -> Option<Duration> {
    sooner(backoff::left(status, uid, now), until_stalled(status, now))
}

/// The shorter one of two waits, either of which may be for an event alone.
pub(crate) fn sooner(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    one.into_iter().chain(other).min()
}

/// How long until the status is to say of a wait that it is stalled; zero when it is to say so now. The 5
/// minutes count from the time of Reconciling, so that a restart neither forgets nor repeats them.
pub(crate) fn until_stalled(status: &Status, now: Timestamp) -> Option<Duration> {
    let waits = said(status) == Some(Class::Waiting);
    let reconciling = status
        .condition(ConditionType::Reconciling)
        .filter(|_| waits)?;
    let since = reconciling.last_transition_time.0;
    if is_yet_to_come(since, now) {
        // A clock was wrong: the time is corrected, and the 5 minutes begin.
        return Some(Duration::ZERO);
    }
    let left = STALLED_AFTER.checked_sub(now.duration_since(since))?;
    Some(Duration::try_from(left).unwrap_or_default())
}

/// Whether what is wanted is no longer what failed.
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
        // After a restart only the attempt tells what was tried last.
        let another = |value: &Comparison| value.attempt != Some(Match::Same);
        status.attempt.is_some() && value.is_some_and(another)
    }
}

/// Whether somebody just asked for this value: it is new, or asked for anew, or in the first tries
/// after that. What failed for longer, or waits for something else than time, is merely tried again.
pub(crate) fn urgency(observed: &Observation<'_>, value: &Comparison) -> Urgency {
    let failures = observed.status.failures.as_ref();
    let Some(failures) = failures.filter(|_| observed.is_judged()) else {
        return Urgency::Requested;
    };
    if is_cut_short(observed, Some(value)) {
        return Urgency::Requested;
    }
    let reason = observed.status.ready_reason();
    let waits = reason.map(Reason::class) == Some(Class::Waiting);
    // Without credentials or grant it was never really tried.
    let untried = reason == Some(Reason::InvalidCredentials) || observed.waited_for_grant();
    let is_first = !waits || untried;
    if is_first && failures.count <= FIRST_TRIES {
        Urgency::Requested
    } else {
        Urgency::Retry
    }
}

/// Until when the calls that were made for an open attempt may still land, once it is taken over. A
/// call that was answered has ended, whatever came of it; one without a reply may be on its way.
pub(crate) fn quarantined_until(before: &Status) -> Option<MicroTime> {
    // Each of its calls was answered, or is counted in `known` already.
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

/// The status with its quarantines brought back to now, where they begin or end at a time that can't be
/// believed; none where they can. A clock that is set back just after a lost call must not end the
/// quarantine, and one that was ahead must not draw it out: it is whole, and begins now.
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

/// How much is left until no call of what is `synced` can land any more.
pub(crate) fn landing_left(status: &Status, now: Timestamp) -> Option<Duration> {
    let left = status.quarantined_until.as_ref()?.0.duration_since(now);
    let left = Duration::try_from(left).ok()?;
    (!left.is_zero()).then_some(left)
}

/// How much is left of an open attempt's quarantine.
pub(crate) fn quarantine_left(attempt: &Attempt, now: Timestamp) -> Option<Duration> {
    // Its last call was answered; until when an earlier one may land is on record apart.
    if attempt.outcome == AttemptOutcome::InHistory {
        return None;
    }
    let age = now.duration_since(attempt.started_at.0);
    let left = Duration::try_from(QUARANTINE.checked_sub(age)?).ok()?;
    (!left.is_zero()).then_some(left)
}
