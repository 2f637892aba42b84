//! Turns a verdict into conditions, after kstatus. Flux, Argo CD, `kubectl wait` and Helm read these
//! conditions.

use super::{
    backoff::STALLED_AFTER,
    verdict::{Verdict, sentence},
};
use crate::{
    api::{CONDITIONS_MAX, Class, Condition, ConditionStatus, ConditionType, Status},
    core::{
        clock,
        condition::ready::{SUSPENDED, says_stalled},
    },
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// The values of Ready, Reconciling and Stalled. If `reconciling` or `stalled` is false, that condition is
/// absent.
struct ConditionStatuses {
    ready: ConditionStatus,
    reconciling: bool,
    stalled: bool,
}

/// The conditions that follow from a verdict on this generation. The conditions of other writers stay, up to
/// [`CONDITIONS_MAX`] in all.
#[must_use]
pub fn conditions(
    before: &Status,
    verdict: &Verdict,
    generation: i64,
    now: Timestamp,
) -> Vec<Condition> {
    let stalled_by_now = is_stalled(before, verdict, now);
    let said = match verdict.class {
        Class::Settled => ConditionStatuses {
            ready: ConditionStatus::True,
            reconciling: false,
            stalled: false,
        },
        Class::Stalled => ConditionStatuses {
            ready: if verdict.reason.is_password_unknown() {
                ConditionStatus::Unknown
            } else {
                ConditionStatus::False
            },
            reconciling: false,
            stalled: true,
        },
        Class::Waiting => ConditionStatuses {
            ready: ConditionStatus::False,
            reconciling: !stalled_by_now,
            stalled: stalled_by_now,
        },
        Class::Transient => ConditionStatuses {
            ready: ConditionStatus::False,
            reconciling: true,
            stalled: false,
        },
        Class::Unknown => ConditionStatuses {
            ready: ConditionStatus::Unknown,
            reconciling: true,
            stalled: false,
        },
    };
    let ours = ConditionType::ALL.iter().filter_map(|type_| {
        let status = match type_ {
            ConditionType::Ready => Some(said.ready),
            ConditionType::Reconciling => said.reconciling.then_some(ConditionStatus::True),
            ConditionType::Stalled => said.stalled.then_some(ConditionStatus::True),
            ConditionType::Suspended | ConditionType::Verified => None,
        }?;
        Some(condition(before, *type_, status, verdict, generation, now))
    });
    // What the last look found stays until another look.
    let verified = before.condition(ConditionType::Verified).cloned();
    beside_others(ours.chain(verified), before)
}

/// The conditions of a suspended resource. Ready stays as before. Verified goes, because the operator does
/// not look at the user of a suspended resource.
///
/// Reconciling goes, because a client that waits for the end of Reconciling would wait as long as the
/// suspension lasts. If Ready isn't True, Stalled is True: only a person can end the suspension.
#[must_use]
pub fn suspended(before: &Status, generation: i64, now: Timestamp) -> Vec<Condition> {
    let condition = |type_: ConditionType, message: String| {
        let since = before.condition(type_).filter(|c| c.reason == SUSPENDED);
        Condition {
            type_: type_.as_str().to_owned(),
            status: ConditionStatus::True,
            observed_generation: Some(generation),
            last_transition_time: since.map_or_else(
                || Time(clock::seconds(now)),
                |c| c.last_transition_time.clone(),
            ),
            reason: SUSPENDED.to_owned(),
            message,
        }
    };
    let ready = before.condition(ConditionType::Ready);
    let stalled = match before.condition(ConditionType::Stalled) {
        Some(stalled) if says_stalled(before) => Some(stalled.clone()),
        Some(_) | None => ready
            .filter(|ready| ready.status != ConditionStatus::True)
            .map(|ready| {
                let meaning = "the resource was suspended before the password was set";
                let message = sentence(meaning, Some(&ready.message), "");
                condition(ConditionType::Stalled, message)
            }),
    };
    let meaning = "the operator leaves this user's password alone while spec.suspend is true";
    let suspended = condition(ConditionType::Suspended, sentence(meaning, None, ""));
    let ours = ready.cloned().into_iter().chain(stalled);
    beside_others(ours.chain([suspended]), before)
}

/// The conditions after a write-ahead is withdrawn. A condition that nobody changed since the write-ahead is
/// as before; a later change stays.
pub(crate) fn withdrawn(current: &Status, ahead: &Status, before: &Status) -> Vec<Condition> {
    let ours = ConditionType::ALL.iter().filter_map(|type_| {
        let now = current.condition(*type_);
        let unchanged = now == ahead.condition(*type_);
        if unchanged {
            before.condition(*type_)
        } else {
            now
        }
        .cloned()
    });
    beside_others(ours, current)
}

/// Adds the conditions of other writers in `status` to `ours`, up to [`CONDITIONS_MAX`] in all.
pub(super) fn beside_others(
    ours: impl Iterator<Item = Condition>,
    status: &Status,
) -> Vec<Condition> {
    let is_ours = |c: &&Condition| ConditionType::ALL.iter().any(|t| t.as_str() == c.type_);
    let others = status.conditions.iter().filter(|c| !is_ours(c)).cloned();
    ours.chain(others).take(CONDITIONS_MAX).collect()
}

/// Whether a verdict makes the resource Stalled: at once for the class Stalled, and after 5 minutes of
/// waiting for the class Waiting.
#[must_use]
pub fn is_stalled(before: &Status, verdict: &Verdict, now: Timestamp) -> bool {
    match verdict.class {
        Class::Settled | Class::Transient | Class::Unknown => false,
        Class::Stalled => true,
        Class::Waiting => {
            let since = before
                .condition(ConditionType::Reconciling)
                .map(|c| c.last_transition_time.0);
            // A time in the future is not overdue; `condition` corrects the time.
            let overdue = since.is_some_and(|since| now.duration_since(since) >= STALLED_AFTER);
            waited(before) && (says_stalled(before) || overdue)
        }
    }
}

fn waited(before: &Status) -> bool {
    before
        .ready_reason()
        .is_some_and(|reason| reason.class() == Class::Waiting)
}

fn condition(
    before: &Status,
    type_: ConditionType,
    status: ConditionStatus,
    verdict: &Verdict,
    generation: i64,
    now: Timestamp,
) -> Condition {
    // The 5 minutes count from the change to the class Waiting, not from earlier retries.
    let begins_to_wait = verdict.class == Class::Waiting && !waited(before);
    let begins_anew = |since: &Time| {
        type_ == ConditionType::Reconciling
            && (begins_to_wait || clock::is_yet_to_come(since.0, now))
    };
    let since = before
        .condition(type_)
        .filter(|c| c.status == status && !begins_anew(&c.last_transition_time))
        .map_or_else(
            || Time(clock::seconds(now)),
            |c| c.last_transition_time.clone(),
        );
    Condition {
        type_: type_.as_str().to_owned(),
        status,
        observed_generation: Some(generation),
        last_transition_time: since,
        reason: verdict.reason.as_str().to_owned(),
        message: verdict.message.clone(),
    }
}
