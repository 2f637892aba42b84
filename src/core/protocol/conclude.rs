//! What follows from the outcome of a call: what is recorded, said, and when it is looked at again.

use super::{
    outcome::{Effect, Outcome},
    plan::{Plan, RecordedValue},
    record::{in_doubt, retire_into, retire_synced},
    resend::ResendPolicy,
    temporary::without_reply,
    wait::wake,
};
use crate::{
    api::{AttemptOutcome, Class, Reason, Status, Synced},
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

/// What to record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Conclusion {
    /// The attempt is still on record: write this.
    Record(Box<OutcomeReport>),
    /// Somebody else went on in the meantime: the result is discarded. If it had been applied, what
    /// is believed to be set is in doubt, and this status says so.
    Superseded(Option<Box<Status>>),
}

/// A status to write after a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OutcomeReport {
    /// The whole new status.
    pub status: Status,
    /// What it says.
    pub verdict: Verdict,
    /// Look again after this, if it is given.
    pub wake: Option<Duration>,
    /// Whether the password was set by this call.
    pub applied: bool,
}

/// What a plan's outcome means, with the history's refusals seen in the light of what was sent
/// before (rule H).
enum Meaning {
    Applied(Verdict),
    /// The history has the value, and whether it is the user's password now can't be told.
    NotConfirmed,
    /// This call was refused. The attempt is closed if no earlier call may have applied it.
    Refused(Verdict),
    Nothing(Verdict),
    Unknown(Verdict),
}

/// Concludes. `current` is the status that is to be replaced, read again after a conflict.
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
            let mut status = settled_status(current, &verdict, generation, now);
            retire_synced(&mut status, |s| s.fingerprint != plan.attempt.fingerprint);
            status.synced = Some(Synced {
                fingerprint: plan.attempt.fingerprint.clone(),
                secret_uid: plan.attempt.secret_uid.clone(),
                secret_resource_version: plan.attempt.secret_resource_version.clone(),
                at: MicroTime(clock::micros(now)),
            });
            (status, verdict, true)
        }
        Meaning::NotConfirmed => {
            let verdict = Verdict::new(Reason::NotConfirmed);
            let mut status = fail(current, &verdict);
            // Nothing on record is evidence any more: only a call that succeeds makes it Ready again.
            retire_synced(&mut status, |_| true);
            retire_into(&mut status.retired, Some(&plan.attempt.fingerprint));
            set_outcome(&mut status, AttemptOutcome::InHistory);
            (status, verdict, false)
        }
        Meaning::Refused(verdict) => {
            let mut status = fail(current, &verdict);
            // After an inherited attempt the refusal says nothing of the earlier call: the value
            // may be the user's all the same, so the attempt stays open.
            let outcome = match taken_over(plan) {
                // Nor does one that somebody asked for, of a value that was in doubt before.
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
            // This call has done nothing for its request; an earlier one may have for its own.
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
            (fail(&as_before, &verdict), verdict, false)
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
    let wake = wake(&status, uid, now);
    Conclusion::Record(Box::new(OutcomeReport {
        status,
        verdict,
        wake,
        applied,
    }))
}

/// The status to write when a planned call was never made: without what was written ahead of it. What
/// somebody else has written since stays. None when the attempt isn't on record (any more).
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

/// Rule H. The history counts the current password too.
fn in_history(plan: &Plan, verdict: Verdict) -> Meaning {
    // Somebody asked for a set of what the record says is set, or what the history refused before: the
    // history says the same whether the record is right or somebody else has set the user since.
    if plan.equals_synced() || taken_over(plan) == Some(AttemptOutcome::InHistory) {
        return Meaning::NotConfirmed;
    }
    if plan.inherited && plan.known_before {
        let what = "the reply to the set was lost, and Cognito's password history can't tell whether it was applied, because the user had this password earlier";
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
    // The user's password may be this one: no other is believed to be.
    if plan.kind != ResendPolicy::Temporary
        && plan.known_before
        && plan.believed == RecordedValue::Untold
    {
        return Meaning::NotConfirmed;
    }
    Meaning::Refused(verdict)
}

/// The status when the attempt is gone from it: nothing to say, unless the value was applied over
/// something else that is believed, or about, to be set. (Where that is this same value, either the
/// write that recorded it was made and only its reply was lost, or somebody took the attempt over.)
fn superseded(current: &Status, plan: &Plan, meaning: &Meaning, now: Timestamp) -> Option<Status> {
    match meaning {
        Meaning::Applied(_) => {}
        Meaning::NotConfirmed | Meaning::Refused(_) | Meaning::Nothing(_) | Meaning::Unknown(_) => {
            return None;
        }
    }
    // Signed by another key since, it is told by the Secret's version under the same generation.
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
    // What was set or refused is in doubt now, and no more than that: a temporary password isn't set
    // again by itself.
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

/// A request is answered once its outcome is known: the value is set, or a person must act. What is tried
/// again by itself isn't answered yet.
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
        // Somebody else took this call for one that nobody would conclude.
        Class::Waiting | Class::Transient | Class::Unknown if answered == request => {
            answered.clone_from(&plan.before.last_handled_reconcile_at);
        }
        Class::Waiting | Class::Transient | Class::Unknown => {}
    }
}

/// What was known of the attempt that was taken over, if one was.
fn taken_over(plan: &Plan) -> Option<AttemptOutcome> {
    let before = plan.before.attempt.as_ref().filter(|_| plan.inherited);
    before.map(|attempt| attempt.outcome)
}

fn set_outcome(status: &mut Status, outcome: AttemptOutcome) {
    if let Some(attempt) = &mut status.attempt {
        attempt.outcome = outcome;
    }
}
