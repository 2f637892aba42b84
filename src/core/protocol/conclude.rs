//! The conclusion from the outcome of a call: the new record, the conditions, and the time of the next
//! reconcile.

use super::{
    looked::{corrections_after_refusal, not_corrected},
    obligation::owing_status,
    outcome::{Effect, Outcome},
    plan::{Plan, RecordedValue},
    record::{in_doubt, retire_into, retire_synced},
    resend::ResendPolicy,
    retry::wake,
    temporary::without_reply,
};
use crate::{
    api::{
        AttemptOutcome, Class, Condition, ConditionStatus, ConditionType, Reason, SignOutOwed, Status,
        Synced,
    },
    core::{
        clock,
        condition::{
            conditions,
            status::{failed_status, settled_status},
            verdict::Verdict,
        },
    },
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use std::time::Duration;

/// When a correction is tried again that Cognito throttled, or that was not sent.
const CORRECT_AGAIN: Duration = Duration::from_secs(60);

/// What to write after a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Conclusion {
    /// The attempt is still on record: write this status.
    Record(Box<OutcomeReport>),
    /// Another process replaced the attempt, so the result is discarded. If this call set the password while
    /// the record names a different value, nobody knows which of the two is the password. Then the status
    /// here says so; otherwise None.
    Superseded(Option<Box<Status>>),
}

/// A status to write after a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OutcomeReport {
    /// The whole new status.
    pub status: Status,
    /// The verdict on the set. The conditions of `status` express the verdict, unless a sign-out is owed.
    pub verdict: Verdict,
    /// Time until the next reconcile without an event; None if only an event leads to one.
    pub wake: Option<Duration>,
    /// Whether this call set the password.
    pub applied: bool,
}

/// The outcome of a plan, after rule H has interpreted a refusal by the password history.
enum Meaning {
    Applied(Verdict),
    /// The history contains the value, and nothing tells whether the value is the current password.
    NotConfirmed,
    /// Cognito refused this call. The attempt is closed unless an earlier call may have applied the value.
    Refused(Verdict),
    Nothing(Verdict),
    Unknown(Verdict),
}

/// Concludes from the outcome of the call that `plan` describes. `current` is the status to replace, read
/// again after a conflict.
#[must_use]
pub fn conclude(
    current: &Status,
    plan: &Plan,
    outcome: &Outcome,
    uid: &str,
    now: Timestamp,
) -> Conclusion {
    let meaning = meaning(plan, outcome);
    let ours = current
        .attempt
        .as_ref()
        .is_some_and(|a| a.id == plan.attempt.id);
    if !ours {
        return Conclusion::Superseded(superseded(current, plan, &meaning, now).map(Box::new));
    }
    let generation = plan.attempt.generation;
    let request = &plan.attempt.request;
    let fail = |status: &Status, verdict: &Verdict| {
        let mut status = failed_status(status, verdict, true, generation, uid, now);
        if let Some(failures) = &mut status.failures {
            failures.request.clone_from(request);
        }
        status
    };
    let (mut status, verdict, applied) = match meaning {
        Meaning::Applied(verdict) => {
            let mut status = if plan.revoke_sessions {
                let owing = Verdict::new(Reason::RevokingSessions);
                owing_status(current, &owing, generation, now)
            } else {
                settled_status(current, &verdict, generation, now)
            };
            let since = MicroTime(clock::micros(now));
            status.sign_out_owed = plan.revoke_sessions.then_some(SignOutOwed {
                since,
                failures: None,
            });
            retire_synced(&mut status, |s| s.fingerprint != plan.attempt.fingerprint);
            status.synced = Some(Synced {
                fingerprint: plan.attempt.fingerprint.clone(),
                secret_uid: plan.attempt.secret_uid.clone(),
                secret_resource_version: plan.attempt.secret_resource_version.clone(),
                at: MicroTime(clock::micros(now)),
                answered_at: (outcome.answered_at.filter(|_| plan.keeps_date))
                    .map(|at| MicroTime(clock::micros(at))),
            });
            let differs = |c: &Condition| {
                c.type_ == ConditionType::Verified.as_str() && c.status == ConditionStatus::False
            };
            status.conditions.retain(|c| !differs(c));
            (status, verdict, true)
        }
        Meaning::NotConfirmed => {
            let verdict = Verdict::new(Reason::NotConfirmed);
            let mut status = fail(current, &verdict);
            // Neither `synced` nor the attempt is evidence any more. Only a call that succeeds makes the
            // resource Ready.
            retire_synced(&mut status, |_| true);
            retire_into(&mut status.retired, Some(&plan.attempt.fingerprint));
            set_outcome(&mut status, AttemptOutcome::InHistory);
            (status, verdict, false)
        }
        // A retry would set a user whom somebody may have changed again meanwhile. So no attempt stays, the status
        // says again what the look found, and the next correction needs two looks again.
        Meaning::Refused(refusal)
            if plan.corrects.is_some() && refusal.class != Class::Stalled =>
        {
            let verdict = plan.corrects.map_or_else(
                || refusal.clone(),
                |found| not_corrected(found, &refusal),
            );
            let as_before = Status {
                synced: plan.before.synced.clone(),
                attempt: plan.before.attempt.clone(),
                retired: plan.before.retired.clone(),
                corrections: corrections_after_refusal(&plan.before, now),
                ..current.clone()
            };
            (fail(&as_before, &verdict), verdict, false)
        }
        Meaning::Refused(verdict) => {
            let mut status = fail(current, &verdict);
            // After a take-over, the refusal says nothing about the earlier call. The value may be the user's
            // password, so the attempt stays open.
            let outcome = match taken_over(plan) {
                // A spent value was sent only because of a request. An earlier call may have applied it, so
                // this refusal does not close the attempt either.
                None if plan.kind == ResendPolicy::Spent && !plan.equals_synced() => {
                    AttemptOutcome::Unknown
                }
                None => AttemptOutcome::Refused,
                Some(answered @ (AttemptOutcome::UserNotFound | AttemptOutcome::InHistory)) => {
                    answered
                }
                Some(
                    AttemptOutcome::Pending | AttemptOutcome::Unknown | AttemptOutcome::Refused,
                ) => AttemptOutcome::Unknown,
            };
            set_outcome(&mut status, outcome);
            // The refused call did not serve the plan's request. If an attempt was taken over, its earlier
            // call may have served the earlier request, so the attempt gets that request back.
            if let Some(attempt) = &mut status.attempt {
                let before = plan.before.attempt.as_ref().filter(|_| plan.inherited);
                attempt.request = before.and_then(|attempt| attempt.request.clone());
            }
            (status, verdict, false)
        }
        Meaning::Nothing(verdict) => {
            let as_before = Status {
                synced: plan.before.synced.clone(),
                attempt: plan.before.attempt.clone(),
                retired: plan.before.retired.clone(),
                ..current.clone()
            };
            if plan.corrects.is_some() {
                // The correction was not made, so the status says again what the look found.
                let status = Status {
                    corrections: plan.before.corrections.clone(),
                    observed_generation: plan.before.observed_generation,
                    conditions: plan.before.conditions.clone(),
                    ..as_before
                };
                (status, verdict, false)
            } else {
                (fail(&as_before, &verdict), verdict, false)
            }
        }
        Meaning::Unknown(verdict) => {
            let known = taken_over(plan).is_none_or(|it| it == AttemptOutcome::UserNotFound);
            let no_user = known && verdict.reason == Reason::UserNotFound;
            let verdict = if plan.kind == ResendPolicy::Permanent
                || no_user
                || verdict.class == Class::Stalled
            {
                verdict
            } else {
                without_reply(outcome.words.as_deref())
            };
            let mut status = fail(current, &verdict);
            let outcome = if no_user {
                AttemptOutcome::UserNotFound
            } else {
                AttemptOutcome::Unknown
            };
            set_outcome(&mut status, outcome);
            (status, verdict, false)
        }
    };
    answer(&mut status, plan, &verdict);
    status.quarantined_until.take_if(|until| until.0 <= now);
    let wake = if plan.corrects.is_some() && outcome.effect == Effect::Nothing {
        Some(CORRECT_AGAIN)
    } else if status.sign_out_owed.is_some() && plan.revoke_sessions {
        Some(Duration::ZERO)
    } else {
        wake(&status, uid, now)
    };
    Conclusion::Record(Box::new(OutcomeReport {
        status,
        verdict,
        wake,
        applied,
    }))
}

/// The status to write if a planned call was not made: without the changes of the write-ahead. Later changes
/// by other writers stay. None if the attempt is not on record (any more).
#[must_use]
pub fn withdraw(current: &Status, plan: &Plan) -> Option<Status> {
    fn back<T: Clone + PartialEq>(current: &T, ahead: &T, before: &T) -> T {
        if current == ahead { before } else { current }.clone()
    }
    let on_record = current.attempt.as_ref()?;
    if on_record.id != plan.attempt.id {
        return None;
    }
    let Plan { ahead, before, .. } = plan;
    Some(Status {
        observed_generation: current.observed_generation,
        last_handled_reconcile_at: current.last_handled_reconcile_at.clone(),
        synced: back(&current.synced, &ahead.synced, &before.synced),
        attempt: before.attempt.clone(),
        quarantined_until: back(
            &current.quarantined_until,
            &ahead.quarantined_until,
            &before.quarantined_until,
        ),
        retired: back(&current.retired, &ahead.retired, &before.retired),
        unusable: back(&current.unusable, &ahead.unusable, &before.unusable),
        failures: back(&current.failures, &ahead.failures, &before.failures),
        sign_out_owed: current.sign_out_owed.clone(),
        corrections: back(&current.corrections, &ahead.corrections, &before.corrections),
        found_as: current.found_as.clone(),
        conditions: conditions::withdrawn(current, ahead, before),
    })
}

fn meaning(plan: &Plan, outcome: &Outcome) -> Meaning {
    let verdict = outcome.verdict.clone();
    match outcome.effect {
        Effect::Applied => Meaning::Applied(verdict),
        Effect::Nothing => Meaning::Nothing(verdict),
        Effect::Unknown => Meaning::Unknown(verdict),
        Effect::InHistory => in_history(plan, verdict),
        Effect::Refused => Meaning::Refused(verdict),
    }
}

/// Rule H: interprets a refusal by the password history. The history contains the current password too.
fn in_history(plan: &Plan, verdict: Verdict) -> Meaning {
    // The history contains the sent value in any case: the value is the one in `synced` (sent because of a
    // request), or one that the history refused before. So the refusal does not show whether another program
    // has changed the password since.
    if plan.equals_synced() || taken_over(plan) == Some(AttemptOutcome::InHistory) {
        return Meaning::NotConfirmed;
    }
    if plan.inherited && plan.known_before {
        let what = "the reply to the set was lost, and Cognito's password history can't show whether Cognito applied the value, because the user had this password earlier";
        let cure = "put a new value into the Secret";
        let verdict = Verdict::with(Reason::OutcomeUnknown, what, None, cure);
        return Meaning::Unknown(verdict.of_class(Class::Stalled));
    }
    if plan.is_asked_since() {
        return Meaning::NotConfirmed;
    }
    if plan.inherited {
        return Meaning::Applied(Verdict::new(Reason::AppliedAfterLostReply));
    }
    // The record names no other value as the current password, so this value may be the current one.
    if plan.kind != ResendPolicy::Temporary
        && plan.known_before
        && plan.believed == RecordedValue::NotComparable
    {
        return Meaning::NotConfirmed;
    }
    Meaning::Refused(verdict)
}

/// The status to write if another process replaced the attempt. None if this call was not applied, or if the
/// record holds the same value as synced or as an open attempt.
///
/// If the record already has the value of this call, there is no doubt: the write succeeded and only its
/// reply was lost, or the other process took over this attempt.
fn superseded(current: &Status, plan: &Plan, meaning: &Meaning, now: Timestamp) -> Option<Status> {
    match meaning {
        Meaning::Applied(_) => {}
        Meaning::NotConfirmed | Meaning::Refused(_) | Meaning::Nothing(_) | Meaning::Unknown(_) => {
            return None;
        }
    }
    // If another key signed the value since, the fingerprints differ. The Secret's version under the same
    // generation then identifies the value.
    let ours = &plan.attempt;
    let same = |fingerprint: &str, uid: &str, version: &str, generation: Option<i64>| {
        fingerprint == ours.fingerprint
            || generation == Some(ours.generation)
                && uid == ours.secret_uid
                && version == ours.secret_resource_version
    };
    let open = current.attempt.as_ref().filter(|attempt| attempt.is_open());
    let harmless = match open {
        Some(a) => same(
            &a.fingerprint,
            &a.secret_uid,
            &a.secret_resource_version,
            Some(a.generation),
        ),
        None => current.synced.as_ref().is_some_and(|s| {
            same(
                &s.fingerprint,
                &s.secret_uid,
                &s.secret_resource_version,
                current.observed_generation,
            )
        }),
    };
    if harmless {
        return None;
    }
    let mut status = current.clone();
    let doubtful = retire_synced(&mut status, |_| true);
    retire_into(&mut status.retired, Some(&ours.fingerprint));
    // The former `synced` may or may not be the password, so it becomes an open attempt, unless the record
    // has an open attempt already or a refused attempt at this call's value, which becomes open. If the doubt
    // were dropped, a temporary password could be sent twice without a request.
    match (&mut status.attempt, doubtful) {
        (Some(attempt), _) if attempt.is_open() => {}
        (Some(refused), _) if refused.fingerprint == ours.fingerprint => {
            refused.outcome = AttemptOutcome::Unknown;
        }
        (attempt, Some(synced)) => {
            let id = format!("{}-superseded", ours.id);
            let generation = current.observed_generation.unwrap_or_default();
            *attempt = Some(in_doubt(synced, id, generation));
        }
        (Some(_) | None, None) => {}
    }
    status.conditions = conditions::conditions(
        current,
        &Verdict::new(Reason::Progressing),
        plan.attempt.generation,
        now,
    );
    Some(status)
}

/// Answers the request if the outcome is final: the password is set, or a person must act. A request whose
/// set is retried automatically stays open.
fn answer(status: &mut Status, plan: &Plan, verdict: &Verdict) {
    let request = &plan.attempt.request;
    let answered = &mut status.last_handled_reconcile_at;
    match verdict.class {
        _ if request.is_none() => {}
        Class::Settled | Class::Stalled => {
            answered.clone_from(request);
            if let Some(attempt) = &mut status.attempt {
                attempt.request = None;
            }
        }
        // Another process believed that nobody works on this attempt, and marked the request as answered. The
        // outcome is not final, so the request is open again.
        Class::Waiting | Class::Transient | Class::Unknown if answered == request => {
            answered.clone_from(&plan.before.last_handled_reconcile_at);
        }
        Class::Waiting | Class::Transient | Class::Unknown => {}
    }
}

/// The recorded outcome of the attempt that was taken over; None if the plan takes over no attempt.
fn taken_over(plan: &Plan) -> Option<AttemptOutcome> {
    let before = plan.before.attempt.as_ref().filter(|_| plan.inherited);
    before.map(|attempt| attempt.outcome)
}

fn set_outcome(status: &mut Status, outcome: AttemptOutcome) {
    if let Some(attempt) = &mut status.attempt {
        attempt.outcome = outcome;
    }
}
