//! How a status is made from the one before and a verdict.

use super::{
    backoff,
    conditions::{self, conditions},
    fingerprint::retire,
    observed::Observed,
    verdict::Verdict,
};
use crate::api::{
    Attempt, AttemptOutcome, Class, ConditionType, RETIRED_MAX, Reason, Status, Synced,
};
use jiff::Timestamp;

/// A status that says that all is well.
pub(super) fn settled(
    before: &Status,
    verdict: &Verdict,
    generation: i64,
    now: Timestamp,
) -> Status {
    Status {
        observed_generation: Some(generation),
        last_handled_reconcile_at: before.last_handled_reconcile_at.clone(),
        synced: before.synced.clone(),
        attempt: None,
        quarantined_until: before.quarantined_until.clone(),
        retired: before.retired.clone(),
        unusable: None,
        failures: None,
        conditions: conditions(before, verdict, generation, now),
    }
}

/// A status with a verdict that isn't "all is well" in it.
pub(super) fn failed(
    before: &Status,
    verdict: &Verdict,
    called: bool,
    generation: i64,
    uid: &str,
    now: Timestamp,
) -> Status {
    Status {
        failures: backoff::next(before, verdict, called, generation, uid, now),
        unusable: None,
        ..said_again(before, verdict, generation, now)
    }
}

/// A status that says a verdict, with everything else on record as it was.
pub(super) fn said_again(
    before: &Status,
    verdict: &Verdict,
    generation: i64,
    now: Timestamp,
) -> Status {
    let moves = conditions::is_stalled(before, verdict, now);
    Status {
        observed_generation: if moves {
            Some(generation)
        } else {
            before.observed_generation
        },
        conditions: conditions(before, verdict, generation, now),
        ..before.clone()
    }
}

/// The class of what a status says: that of its reason, unless the reason is one that is mostly
/// tried again by itself, and this time a person must act.
pub(super) fn said(status: &Status) -> Option<Class> {
    let stalled = conditions::says_stalled(status);
    match status.ready_reason().map(Reason::class)? {
        Class::Transient | Class::Unknown if stalled => Some(Class::Stalled),
        class => Some(class),
    }
}

/// What a status says.
pub(super) fn said_verdict(status: &Status) -> Option<Verdict> {
    let ready = status.condition(ConditionType::Ready)?;
    Some(Verdict {
        reason: ready.known_reason()?,
        class: said(status)?,
        message: ready.message.clone(),
    })
}

/// What is believed to be set is so no longer, if it is one of these: it goes to the retired ones.
/// Answers with it.
pub(super) fn retire_synced(
    status: &mut Status,
    which: impl FnOnce(&Synced) -> bool,
) -> Option<Synced> {
    let synced = status.synced.take_if(|synced| which(synced))?;
    retire_into(&mut status.retired, Some(&synced.fingerprint));
    Some(synced)
}

/// What was believed to be set, as an attempt of which nobody knows any more what came of it.
pub(super) fn in_doubt(synced: Synced, id: String, generation: i64) -> Attempt {
    Attempt {
        id,
        fingerprint: synced.fingerprint,
        generation,
        secret_uid: synced.secret_uid,
        secret_resource_version: synced.secret_resource_version,
        started_at: synced.at,
        outcome: AttemptOutcome::Unknown,
        request: None,
    }
}

/// Adds a superseded fingerprint to the retired ones; the oldest goes when there are too many.
pub(super) fn retire_into(retired: &mut Vec<String>, fingerprint: Option<&str>) {
    let Some(short) = fingerprint.map(retire) else {
        return;
    };
    retired.retain(|other| *other != short);
    retired.push(short);
    let surplus = retired.len().saturating_sub(RETIRED_MAX);
    retired.drain(..surplus);
}

/// What `lastHandledReconcileAt` becomes once the outcome of the request at hand is known.
pub(super) fn handled(observed: &Observed<'_>) -> Option<String> {
    observed
        .requested_at
        .map(str::to_owned)
        .or_else(|| observed.status.last_handled_reconcile_at.clone())
}
