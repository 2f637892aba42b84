//! What is to be done now. Everything that makes this operator correct is here and in
//! [`super::conclude`]: no I/O, and the clock and the random id are arguments.
//!
//! A decision is made twice: first on what the watches show, which mostly ends in `Stay`; then, if
//! the value is needed, on what a read of the Secret found.

use super::{
    backoff, clock,
    conditions::{self, conditions},
    fingerprint::{Match, retire},
    observed::{Comparison, Observed, SecretFact, SecretVersion},
    target::Target,
    verdict::Verdict,
};
use crate::api::{
    Attempt, AttemptOutcome, Class, Condition, ConditionStatus, ConditionType, RETIRED_MAX, Reason,
    Status, Synced,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use std::time::Duration;

/// For how long after a call without a known outcome no other value is sent: the lost call may
/// still land.
pub const QUARANTINE: SignedDuration = SignedDuration::from_secs(30);

/// What to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Decision {
    /// Nothing, until the resource changes: suspended, or on its way out.
    Leave,
    /// Nothing: what the status says still holds. Look again after `wake`, if it is given.
    Stay {
        /// How long what holds may hold without an event.
        wake: Option<Duration>,
    },
    /// Read the Secret and decide again.
    Read,
    /// Say this.
    Report(Box<Report>),
    /// Write the attempt down, call Cognito, and conclude.
    Set(Box<Plan>),
}

/// A status to write, unless it is there already.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// The whole new status.
    pub status: Status,
    /// What it says.
    pub verdict: Verdict,
    /// Look again after this, if it is given.
    pub wake: Option<Duration>,
    /// Whether the fingerprint was signed again because its key is gone: worth a warning.
    pub signed_again: bool,
}

/// A set that is about to be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// The attempt that must be on record before the call.
    pub attempt: Attempt,
    /// The whole status with the attempt in it.
    pub ahead: Status,
    /// The whole status before, to go back to when the call turns out to have done nothing.
    pub before: Status,
    /// Whether an earlier call may have applied this same value already.
    pub inherited: bool,
    /// See [`Comparison::known_before`].
    pub known_before: bool,
    /// Whether the value is what `synced` says is set.
    pub equals_synced: bool,
}

/// Decides.
#[must_use]
pub fn decide(observed: &Observed<'_>, now: Timestamp, fresh_id: &str) -> Decision {
    if observed.deleting || observed.spec.suspend {
        return Decision::Leave;
    }
    if let Err(why) = Target::parse(&observed.spec.user_pool_id, &observed.spec.username) {
        let meaning = "The resource can't be acted on, and Cognito was not called";
        let cure = "delete it and make one with a correct spec";
        let words = why.to_string();
        let verdict = Verdict::with(Reason::InvalidParameter, meaning, Some(&words), cure);
        return report(observed, verdict, now);
    }
    let reference = &observed.spec.password_secret_ref;
    match &observed.secret {
        SecretFact::Seen(version) => decide_unread(observed, version, now),
        SecretFact::NotSeen => {
            let said = observed.status.ready_reason() == Some(Reason::SecretNotFound);
            match wait_left(observed, None, now) {
                Some(wake) if said && !observed.has_new_request() => {
                    Decision::Stay { wake: Some(wake) }
                }
                Some(_) | None => Decision::Read,
            }
        }
        SecretFact::NotFound => {
            let meaning = format!(
                "the Secret {} does not exist in this namespace",
                reference.name
            );
            let cure = Reason::SecretNotFound.entry().cure;
            let verdict = Verdict::with(Reason::SecretNotFound, &meaning, None, cure);
            report(observed, verdict, now)
        }
        SecretFact::KeyNotFound(_) => {
            let meaning = format!(
                "the Secret {} does not have the key {}",
                reference.name, reference.key
            );
            let cure = Reason::SecretKeyNotFound.entry().cure;
            let verdict = Verdict::with(Reason::SecretKeyNotFound, &meaning, None, cure);
            report(observed, verdict, now)
        }
        SecretFact::Invalid(_, why) => {
            let meaning = format!(
                "the value of key {} of the Secret {} can't be a password, and Cognito was not called",
                reference.key, reference.name
            );
            let verdict =
                Verdict::with(Reason::InvalidSecretValue, &meaning, None, &why.to_string());
            report(observed, verdict, now)
        }
        SecretFact::Value(version, value) => decide_read(observed, version, value, now, fresh_id),
    }
}

/// What to say when there are no credentials: nothing was attempted, a request stays unanswered.
#[must_use]
pub fn without_credentials(observed: &Observed<'_>, why: &str, now: Timestamp) -> Report {
    let verdict = Verdict::quoting(Reason::InvalidCredentials, why);
    let mut report = reported(observed, verdict, now);
    report
        .status
        .last_handled_reconcile_at
        .clone_from(&observed.status.last_handled_reconcile_at);
    report
}

/// Whether the value need not even be read.
fn decide_unread(observed: &Observed<'_>, version: &SecretVersion, now: Timestamp) -> Decision {
    let status = observed.status;
    let tried_this = observed.tried.is_some_and(|tried| {
        tried.generation == observed.generation
            && tried.requested_at.as_deref() == observed.requested_at
            && tried.secret.as_ref() == Some(version)
    });
    if is_settled(observed) && !observed.has_new_request() {
        let synced_this = status.synced.as_ref().is_some_and(|s| is_of(s, version));
        return if observed.synced_key_is_newest && (synced_this || tried_this) {
            Decision::Stay { wake: None }
        } else {
            Decision::Read
        };
    }
    let attempted_this = !observed.has_new_request()
        && (status.attempt.as_ref()).is_some_and(|a| is_attempt_at(observed, a, version));
    // An open attempt at another value waits for its quarantine, not for its backoff.
    let tried_value = observed.tried.and_then(|tried| tried.fingerprint.as_ref());
    let same_value = (status.attempt.as_ref()).is_none_or(|a| tried_value == Some(&a.fingerprint));
    let judged = is_judged(observed) && ((tried_this && same_value) || attempted_this);
    match status.ready_reason().map(Reason::class) {
        Some(Class::Stalled) if judged => Decision::Stay { wake: None },
        Some(Class::Waiting | Class::Transient | Class::Unknown) if judged => {
            match wait_left(observed, None, now) {
                Some(wake) => Decision::Stay { wake: Some(wake) },
                None => Decision::Read,
            }
        }
        Some(_) | None => Decision::Read,
    }
}

/// What to do with a value that was read.
fn decide_read(
    observed: &Observed<'_>,
    version: &SecretVersion,
    value: &Comparison,
    now: Timestamp,
    fresh_id: &str,
) -> Decision {
    let status = observed.status;
    let plan = |inherited| {
        let plan = plan(observed, version, value, inherited, now, fresh_id);
        Decision::Set(Box::new(plan))
    };
    if let Some(attempt) = &status.attempt {
        let same = is_attempted(observed, attempt, version, value);
        if same && let Some(stay) = hold(observed, attempt, value, now) {
            return stay;
        }
        match (attempt.is_open(), same) {
            (true, true) => return plan(true),
            (true, false) => {
                return match quarantine_left(attempt, now) {
                    Some(wake) => Decision::Stay { wake: Some(wake) },
                    None => plan(false),
                };
            }
            (false, true) => return plan(false),
            // A refused value that isn't wanted any more.
            (false, false) => {}
        }
    }
    match &status.synced {
        // Signed again, if another key than the newest one signed it: so old keys can go.
        Some(synced)
            if is_synced(observed, synced, version, value) && !observed.has_new_request() =>
        {
            let signed = Synced {
                fingerprint: value.fingerprint.clone(),
                ..synced.clone()
            };
            let key_gone = value.synced == Some(Match::KeyGone);
            settle(observed, signed, version, key_gone, now)
        }
        Some(_) | None => match wait_left(observed, Some(value), now) {
            Some(wake) => Decision::Stay { wake: Some(wake) },
            None => plan(false),
        },
    }
}

/// Whether an attempt at this same value is to be left alone for now.
fn hold(
    observed: &Observed<'_>,
    attempt: &Attempt,
    value: &Comparison,
    now: Timestamp,
) -> Option<Decision> {
    let asked_anew = observed.has_new_request() || attempt.generation != observed.generation;
    match observed.status.ready_reason().map(Reason::class) {
        // I5: a person must act. A verdict on what the Secret held in between says nothing of this
        // value.
        Some(Class::Stalled)
            if !asked_anew
                && is_judged(observed)
                && observed.status.ready_reason() != Some(Reason::InvalidSecretValue) =>
        {
            Some(Decision::Stay { wake: None })
        }
        Some(Class::Waiting | Class::Transient | Class::Unknown) => {
            let wake = wait_left(observed, Some(value), now)?;
            Some(Decision::Stay { wake: Some(wake) })
        }
        Some(Class::Stalled | Class::Settled) | None => None,
    }
}

/// The value is set: say so, and forget attempt and failures.
fn settle(
    observed: &Observed<'_>,
    synced: Synced,
    version: &SecretVersion,
    signed_again: bool,
    now: Timestamp,
) -> Decision {
    let before = observed.status;
    let verdict = match before.ready_reason() {
        Some(Reason::AppliedAfterLostReply) => Verdict::new(Reason::AppliedAfterLostReply),
        Some(_) | None => Verdict::new(Reason::PasswordSet),
    };
    let mut status = settled(before, &verdict, observed.generation, now);
    status.synced = Some(synced.clone());
    status.last_handled_reconcile_at = handled(observed);
    if status == *before {
        // At most the Secret's metadata or other keys moved: not worth a write.
        return Decision::Stay { wake: None };
    }
    status.synced = Some(Synced {
        secret_uid: version.uid.clone(),
        secret_resource_version: version.resource_version.clone(),
        ..synced
    });
    Decision::Report(Box::new(Report {
        status,
        verdict,
        wake: None,
        signed_again,
    }))
}

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
        retired: before.retired.clone(),
        failures: None,
        conditions: conditions(before, verdict, generation, now),
    }
}

fn report(observed: &Observed<'_>, verdict: Verdict, now: Timestamp) -> Decision {
    Decision::Report(Box::new(reported(observed, verdict, now)))
}

/// Says a verdict that needed no call.
fn reported(observed: &Observed<'_>, verdict: Verdict, now: Timestamp) -> Report {
    let mut status = failed(
        observed.status,
        &verdict,
        false,
        observed.generation,
        observed.uid,
        now,
    );
    status.last_handled_reconcile_at = handled(observed);
    let wake = status.failures.as_ref().and_then(|f| backoff::left(f, now));
    Report {
        status,
        verdict,
        wake,
        signed_again: false,
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
    let moves = conditions::is_stalled(before, verdict, now);
    Status {
        observed_generation: if moves {
            Some(generation)
        } else {
            before.observed_generation
        },
        failures: backoff::next(before, verdict, called, generation, uid, now),
        conditions: conditions(before, verdict, generation, now),
        ..before.clone()
    }
}

/// The set of a value, written ahead.
fn plan(
    observed: &Observed<'_>,
    version: &SecretVersion,
    value: &Comparison,
    inherited: bool,
    now: Timestamp,
    fresh_id: &str,
) -> Plan {
    let before = observed.status;
    let attempt = Attempt {
        id: fresh_id.to_owned(),
        fingerprint: value.fingerprint.clone(),
        generation: observed.generation,
        secret_uid: version.uid.clone(),
        secret_resource_version: version.resource_version.clone(),
        started_at: MicroTime(clock::micros(now)),
        outcome: AttemptOutcome::Pending,
    };
    let mut ahead = before.clone();
    let doubtful = before
        .attempt
        .as_ref()
        .filter(|a| a.is_open() && !inherited);
    if let Some(doubtful) = doubtful {
        // Either value may be the user's now.
        let synced = ahead.synced.take();
        retire_into(
            &mut ahead.retired,
            synced.as_ref().map(|s| s.fingerprint.as_str()),
        );
        retire_into(&mut ahead.retired, Some(&doubtful.fingerprint));
    }
    // A wait that was cut short is over, also for whoever takes the attempt over.
    ahead
        .failures
        .take_if(|failures| backoff::left(failures, now).is_some());
    ahead.attempt = Some(attempt.clone());
    ahead.last_handled_reconcile_at = handled(observed);
    ahead.conditions = while_in_flight(before, observed.generation, now);
    Plan {
        attempt,
        inherited,
        known_before: value.known_before,
        // Only while nothing else may have been sent since.
        equals_synced: (ahead.synced.as_ref())
            .is_some_and(|synced| is_synced(observed, synced, version, value)),
        before: before.clone(),
        ahead,
    }
}

/// The conditions while a call is in flight: never Ready=True. One that says already that it isn't
/// so, and that the operator goes on by itself, stays until the outcome is known, so that retries
/// don't flap.
fn while_in_flight(before: &Status, generation: i64, now: Timestamp) -> Vec<Condition> {
    let class = before.ready_reason().map(Reason::class);
    let not_true = before
        .condition(ConditionType::Ready)
        .is_some_and(|ready| ready.status != ConditionStatus::True);
    match class {
        Some(Class::Waiting | Class::Transient | Class::Unknown) if not_true => {
            before.conditions.clone()
        }
        Some(_) | None => conditions(before, &Verdict::new(Reason::Progressing), generation, now),
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

/// What `lastHandledReconcileAt` becomes once a request was acted on.
fn handled(observed: &Observed<'_>) -> Option<String> {
    observed
        .requested_at
        .map(str::to_owned)
        .or_else(|| observed.status.last_handled_reconcile_at.clone())
}

/// Whether the status says that all is well with this generation.
fn is_settled(observed: &Observed<'_>) -> bool {
    let status = observed.status;
    let ready = status.condition(ConditionType::Ready);
    ready.is_some_and(|ready| ready.status == ConditionStatus::True)
        && is_judged(observed)
        && status.observed_generation == Some(observed.generation)
        && status.attempt.is_none()
        && status.synced.is_some()
}

/// Whether the value at hand is what `synced` says is set. Where the key is gone, a Secret that
/// hasn't moved since still tells it.
fn is_synced(
    observed: &Observed<'_>,
    synced: &Synced,
    version: &SecretVersion,
    value: &Comparison,
) -> bool {
    match value.synced {
        Some(Match::Same) => true,
        Some(Match::KeyGone) => is_of(synced, version) && is_settled(observed),
        Some(Match::Different) | None => false,
    }
}

/// Whether the value at hand is the attempt's; the same holds where the key is gone.
fn is_attempted(
    observed: &Observed<'_>,
    attempt: &Attempt,
    version: &SecretVersion,
    value: &Comparison,
) -> bool {
    match value.attempt {
        Some(Match::Same) => true,
        Some(Match::KeyGone) => is_attempt_at(observed, attempt, version),
        Some(Match::Different) | None => false,
    }
}

/// Whether an attempt was made for this generation at this version of the Secret.
fn is_attempt_at(observed: &Observed<'_>, attempt: &Attempt, version: &SecretVersion) -> bool {
    attempt.generation == observed.generation
        && attempt.secret_uid == version.uid
        && attempt.secret_resource_version == version.resource_version
}

/// Whether the Ready condition is about this generation.
fn is_judged(observed: &Observed<'_>) -> bool {
    let ready = observed.status.condition(ConditionType::Ready);
    ready.is_some_and(|ready| ready.observed_generation == Some(observed.generation))
}

/// How much is left of the wait that the last failure began. Only a changed generation, value or
/// request cuts it short; a moved resourceVersion alone does not. `value` is the one at hand, if it
/// was read.
fn wait_left(
    observed: &Observed<'_>,
    value: Option<&Comparison>,
    now: Timestamp,
) -> Option<Duration> {
    let status = observed.status;
    let failures = status.failures.as_ref()?;
    if observed.healed || !is_judged(observed) {
        return None;
    }
    let waits_for_a_value = matches!(
        status.ready_reason(),
        Some(Reason::SecretNotFound | Reason::SecretKeyNotFound)
    );
    if waits_for_a_value && value.is_some() {
        return None;
    }
    let cut_short = if let Some(tried) = observed.tried {
        let tried_value = tried.fingerprint.as_deref();
        tried.requested_at.as_deref() != observed.requested_at
            || value.is_some_and(|value| tried_value != Some(value.fingerprint.as_str()))
    } else {
        // After a restart only the attempt tells what was tried last; a request that was acted on
        // is on record with it.
        let another = |value: &Comparison| value.attempt != Some(Match::Same);
        status.attempt.is_some() && (observed.has_new_request() || value.is_some_and(another))
    };
    if cut_short {
        return None;
    }
    backoff::left(failures, now)
}

/// How much is left of an open attempt's quarantine. A start further in the future than one
/// quarantine was written by a clock that was wrong, and says nothing.
fn quarantine_left(attempt: &Attempt, now: Timestamp) -> Option<Duration> {
    let age = now.duration_since(attempt.started_at.0);
    let left = Duration::try_from(QUARANTINE.checked_sub(age)?).ok()?;
    (!left.is_zero() && age >= -QUARANTINE).then_some(left)
}

fn is_of(synced: &Synced, version: &SecretVersion) -> bool {
    synced.secret_uid == version.uid && synced.secret_resource_version == version.resource_version
}
