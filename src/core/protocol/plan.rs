//! The set of a value, as it is written ahead of its call.

use super::{
    observation::{Comparison, Observation, SecretVersion},
    record::{retire_into, retire_synced},
    resend::{ResendPolicy, kind},
    wait::{quarantined_until, urgency},
};
use crate::{
    api::{
        Attempt, AttemptOutcome, Class, Condition, ConditionStatus, ConditionType, Reason, Status,
    },
    core::{
        access::authority::Authority,
        clock,
        condition::{
            backoff,
            conditions::conditions,
            ready::{said, says_stalled},
            verdict::Verdict,
        },
        credential::fingerprint::Match,
        schedule::rate_limit::Urgency,
    },
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

/// A set that is about to be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// By whose authority it is made, and where.
    pub authority: Authority,
    /// The attempt that must be on record before the call.
    pub attempt: Attempt,
    /// The whole status with the attempt in it.
    pub ahead: Status,
    /// The whole status before, to go back to when the call turns out to have done nothing.
    pub before: Status,
    /// Whether an earlier call may have applied this same value already.
    pub inherited: bool,
    /// See [`Comparison::known_before`]; also whether another resource has set this user, whatever value.
    pub known_before: bool,
    /// What the record says is set.
    pub believed: RecordedValue,
    /// Whether somebody just asked for it.
    pub urgency: Urgency,
    /// Whether it may be sent again by itself.
    pub kind: ResendPolicy,
}

/// What the record says is set, beside the value of a plan.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RecordedValue {
    /// This same value.
    ThisValue,
    /// Another one.
    AnotherValue,
    /// Nothing, or what can't be compared any more.
    Untold,
}

impl Plan {
    /// Whether the value is what the record says is set.
    #[must_use]
    pub fn equals_synced(&self) -> bool {
        self.believed == RecordedValue::ThisValue
    }

    /// Whether somebody asked for this set after the calls of the attempt that it takes over: they have a
    /// reason to doubt what came of those calls.
    #[must_use]
    pub fn is_asked_since(&self) -> bool {
        self.inherited && is_asked_since(&self.before, &self.attempt)
    }
}

/// Whether an attempt acts on a request that the one before it didn't.
fn is_asked_since(before: &Status, attempt: &Attempt) -> bool {
    let acted_on = before.attempt.as_ref().and_then(|it| it.request.as_ref());
    attempt.request.is_some() && attempt.request.as_ref() != acted_on
}

/// The set of a value, written ahead.
pub(crate) fn plan(
    observed: &Observation<'_>,
    authority: Authority,
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
        request: observed.new_request().map(str::to_owned),
    };
    let mut ahead = before.clone();
    let doubtful = before
        .attempt
        .as_ref()
        .filter(|a| a.is_open() && !inherited);
    if let Some(doubtful) = doubtful {
        // Either value may be the user's now.
        retire_synced(&mut ahead, |_| true);
        retire_into(&mut ahead.retired, Some(&doubtful.fingerprint));
    }
    if inherited {
        ahead.quarantined_until = quarantined_until(before);
    }
    if inherited && is_asked_since(before, &attempt) {
        // Nor does the history prove anything to whoever takes this attempt over in its turn.
        retire_into(&mut ahead.retired, Some(&attempt.fingerprint));
    }
    // A wait that was cut short is over, also for whoever takes the attempt over.
    if backoff::left(before, observed.uid, now).is_some() {
        ahead.failures = None;
    }
    ahead.unusable = None;
    ahead.attempt = Some(attempt.clone());
    ahead.conditions = while_in_flight(before, observed.generation, now);
    Plan {
        authority,
        attempt,
        inherited,
        kind: kind(observed, version, value),
        known_before: value.known_before || observed.rival_at.is_some(),
        urgency: urgency(observed, value),
        // Only while nothing else may have been sent since.
        believed: match &ahead.synced {
            Some(synced) if observed.is_synced(synced, version, value) => RecordedValue::ThisValue,
            Some(_) if value.synced == Some(Match::Different) => RecordedValue::AnotherValue,
            Some(_) | None => RecordedValue::Untold,
        },
        before: before.clone(),
        ahead,
    }
}

/// The conditions while a call is in flight: never Ready=True. One that says already that it isn't
/// so, and that the operator goes on by itself, stays until the outcome is known, so that retries
/// don't flap; but not that it may not be done.
fn while_in_flight(before: &Status, generation: i64, now: Timestamp) -> Vec<Condition> {
    let class = said(before);
    let forbidden = before.ready_reason().is_some_and(Reason::is_about_grants);
    let not_true = before
        .condition(ConditionType::Ready)
        .is_some_and(|ready| ready.status != ConditionStatus::True);
    // It goes on: what was said only because it was suspended is over.
    let suspended = |c: &&Condition| c.type_ == ConditionType::Suspended.as_str();
    let was_suspended = before.conditions.iter().any(|c| suspended(&c));
    let holds = not_true && !forbidden && (!was_suspended || says_stalled(before));
    match class {
        Some(Class::Waiting | Class::Transient | Class::Unknown) if holds => {
            let rest = before.conditions.iter().filter(|c| !suspended(c));
            rest.cloned().collect()
        }
        Some(_) | None => conditions(before, &Verdict::new(Reason::Progressing), generation, now),
    }
}
