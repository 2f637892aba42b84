//! What follows from the outcome of a call: what is recorded, said, and when it is looked at again.

use super::{
    clock,
    outcome::{Effect, Outcome},
    plan::Plan,
    status::{failed, in_doubt, retire_into, retire_synced, settled},
    temporary::{Kind, without_reply},
    verdict::Verdict,
    wait::wake,
};
use crate::api::{AttemptOutcome, Class, Reason, Status, Synced};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use std::time::Duration;

/// What to record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Conclusion {
    /// The attempt is still on record: write this.
    Record(Box<Recorded>),
    /// Somebody else went on in the meantime: the result is discarded. If it had been applied, what
    /// is believed to be set is in doubt, and this status says so.
    Superseded(Option<Box<Status>>),
}

/// A status to write after a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recorded {
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
    /// It was the user's password before this call.
    AlreadyCurrent,
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
    let fail =
        |status: &Status, verdict: &Verdict| failed(status, verdict, true, generation, uid, now);
    let (mut status, verdict, applied) = match meaning {
        Meaning::Applied(verdict) => {
            let mut status = settled(current, &verdict, generation, now);
            retire_synced(&mut status, |s| s.fingerprint != plan.attempt.fingerprint);
            status.synced = Some(Synced {
                fingerprint: plan.attempt.fingerprint.clone(),
                secret_uid: plan.attempt.secret_uid.clone(),
                secret_resource_version: plan.attempt.secret_resource_version.clone(),
                at: MicroTime(clock::micros(now)),
            });
            (status, verdict, true)
        }
        Meaning::AlreadyCurrent => {
            let verdict = Verdict::new(Reason::PasswordSet);
            (settled(current, &verdict, generation, now), verdict, false)
        }
        Meaning::Refused(verdict) => {
            let mut status = fail(current, &verdict);
            // After an inherited attempt the refusal says nothing of the earlier call: the value
            // may be the user's all the same, so the attempt stays open.
            let outcome = match taken_over(plan) {
                // Nor does one that somebody asked for, of a value that was in doubt before.
                None if plan.kind == Kind::Spent && !plan.equals_synced => AttemptOutcome::Unknown,
                None => AttemptOutcome::Refused,
                Some(AttemptOutcome::UserNotFound) => AttemptOutcome::UserNotFound,
                Some(_) => AttemptOutcome::Unknown,
            };
            set_outcome(&mut status, outcome);
            // Nothing but the request asks for another try.
            if plan.kind == Kind::Spent && verdict.class != Class::Stalled {
                let before = &plan.before.last_handled_reconcile_at;
                status.last_handled_reconcile_at.clone_from(before);
            }
            (status, verdict, false)
        }
        Meaning::Nothing(verdict) => {
            let as_before = Status {
                last_handled_reconcile_at: plan.before.last_handled_reconcile_at.clone(),
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
            let verdict =
                if plan.kind == Kind::Permanent || no_user || verdict.class == Class::Stalled {
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
    status.quarantined_until.take_if(|until| until.0 <= now);
    let wake = wake(&status, uid, now);
    Conclusion::Record(Box::new(Recorded {
        status,
        verdict,
        wake,
        applied,
    }))
}

/// The status to write when a planned call was never made: as before the attempt. None when the
/// attempt isn't on record (any more).
#[must_use]
pub fn withdraw(current: &Status, plan: &Plan) -> Option<Status> {
    let on_record = current.attempt.as_ref()?;
    (on_record.id == plan.attempt.id).then(|| plan.before.clone())
}

fn meaning(plan: &Plan, outcome: &Outcome) -> Meaning {
    let verdict = outcome.verdict.clone();
    match outcome.effect {
        Effect::Applied => Meaning::Applied(verdict),
        Effect::Nothing => Meaning::Nothing(verdict),
        Effect::Unknown => Meaning::Unknown(verdict),
        // The history counts the current password too.
        Effect::InHistory if plan.equals_synced => Meaning::AlreadyCurrent,
        Effect::InHistory if plan.inherited && !plan.known_before => {
            Meaning::Applied(Verdict::new(Reason::AppliedAfterLostReply))
        }
        Effect::InHistory if plan.inherited => undecided(
            "the reply to the set was lost, and Cognito's password history can't tell whether it was applied, because the user had this password earlier",
        ),
        // The user's password may be this one: nothing else is believed to be.
        Effect::InHistory
            if plan.kind == Kind::Permanent && plan.known_before && plan.ahead.synced.is_none() =>
        {
            undecided(
                "Cognito's password history has this value, and whether it is the user's password now or was earlier can't be told",
            )
        }
        Effect::InHistory | Effect::Refused => Meaning::Refused(verdict),
    }
}

/// The history proves nothing, and no further call would: a person must act.
fn undecided(what: &str) -> Meaning {
    let cure = "put a new value into the Secret";
    let verdict = Verdict::with(Reason::OutcomeUnknown, what, None, cure);
    Meaning::Unknown(verdict.of_class(Class::Stalled))
}

/// The status when the attempt is gone from it: nothing to say, unless the value was applied over
/// something else that is believed, or about, to be set. (Where that is this same value, either the
/// write that recorded it was made and only its reply was lost, or somebody took the attempt over.)
fn superseded(current: &Status, plan: &Plan, meaning: &Meaning, now: Timestamp) -> Option<Status> {
    match meaning {
        Meaning::Applied(_) => {}
        Meaning::AlreadyCurrent
        | Meaning::Refused(_)
        | Meaning::Nothing(_)
        | Meaning::Unknown(_) => return None,
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
    status.conditions = super::conditions::conditions(
        current,
        &Verdict::new(Reason::Progressing),
        plan.attempt.generation,
        now,
    );
    Some(status)
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
