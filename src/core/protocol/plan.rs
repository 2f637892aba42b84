//! The plan of a set, as the write-ahead records the set before the call.

use super::{
    correction::corrections_after,
    observation::{Comparison, Observation, SecretVersion},
    quarantine::quarantined_until,
    record::{retire_into, retire_synced},
    resend::{ResendPolicy, kind},
    retry::urgency,
};
use crate::{
    api::{
        Attempt, AttemptOutcome, Class, CognitoUserPasswordSpec, Condition, ConditionStatus,
        ConditionType, Drift, Reason, Status,
    },
    core::{
        access::authority::Authority,
        clock,
        condition::{
            backoff,
            conditions::conditions,
            ready::{ready_class, says_stalled},
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
    /// The identity that makes the call, and the Region.
    pub authority: Authority,
    /// The attempt that must be on record before the call.
    pub attempt: Attempt,
    /// The whole status with the attempt in `status.attempt`.
    pub ahead: Status,
    /// The whole status before the write-ahead, which the status returns to if the call did nothing.
    pub before: Status,
    /// Whether the plan takes over an open attempt, so that an earlier call may have applied this same value.
    pub inherited: bool,
    /// See [`Comparison::known_before`]. Also true if another resource has set this user's password, to any
    /// value.
    pub known_before: bool,
    /// How the value in `synced` compares to the value of this plan.
    pub believed: RecordedValue,
    /// The priority of the call: for a new value or request, or for a retry.
    pub urgency: Urgency,
    /// Whether the operator may send the value again without a request.
    pub kind: ResendPolicy,
    /// What the record of the set contains beyond the value.
    pub record: SetRecord,
    /// What a look found, if the set corrects that.
    pub corrects: Option<Reason>,
}

/// What the record of a set contains beyond the value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SetRecord {
    /// Whether the set owes a sign-out.
    pub owes_sign_out: bool,
    /// Whether the record keeps the time of the reply by AWS's clock, with which looks compare.
    pub keeps_date: bool,
}

/// How the value in `synced` compares to the value of a plan.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RecordedValue {
    /// `synced` holds the plan's value.
    ThisValue,
    /// `synced` holds a different value.
    AnotherValue,
    /// `synced` is empty, or its fingerprint can't be compared any more.
    NotComparable,
}

impl Plan {
    /// Whether the plan's value is the value in `synced`.
    #[must_use]
    pub fn equals_synced(&self) -> bool {
        self.believed == RecordedValue::ThisValue
    }

    /// This plan with the sign-out that the spec asks for by now. The spec may have changed since the plan, while the
    /// call was under way.
    #[must_use]
    pub fn by_the_spec(&self, spec: &CognitoUserPasswordSpec) -> Self {
        let asks = spec.revoke_sessions && spec.permanent;
        let record = SetRecord {
            owes_sign_out: self.record.owes_sign_out || asks,
            ..self.record
        };
        Self {
            record,
            ..self.clone()
        }
    }

    /// This plan as a correction of what a look found. Nobody just asked for the set. A user whom an
    /// administrator created anew has chosen no password, so a temporary value may be sent again.
    pub(crate) fn correcting(mut self, found: Reason, now: Timestamp) -> Self {
        self.corrects = Some(found);
        self.urgency = Urgency::Retry;
        if self.kind == ResendPolicy::Spent {
            self.kind = ResendPolicy::Temporary;
        }
        self.ahead.corrections = corrections_after(&self.before, true, now);
        self
    }

    /// Whether a new request came after the calls of the attempt that this plan takes over. The person who
    /// made the request has a reason to doubt the result of those calls.
    #[must_use]
    pub fn is_asked_since(&self) -> bool {
        self.inherited && is_asked_since(&self.before, &self.attempt)
    }
}

/// Whether an attempt serves a request that the previous attempt did not serve.
fn is_asked_since(before: &Status, attempt: &Attempt) -> bool {
    let acted_on = before.attempt.as_ref().and_then(|it| it.request.as_ref());
    attempt.request.is_some() && attempt.request.as_ref() != acted_on
}

/// Plans the set of a value, with the status for the write-ahead.
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
        // The value of the open attempt or the value in `synced` may be the user's password now.
        retire_synced(&mut ahead, |_| true);
        retire_into(&mut ahead.retired, Some(&doubtful.fingerprint));
    }
    if inherited {
        ahead.quarantined_until = quarantined_until(before);
    }
    if inherited && is_asked_since(before, &attempt) {
        // A new request doubts the earlier calls. The value must count as known before, so that a later
        // take-over doesn't read proof from the password history.
        retire_into(&mut ahead.retired, Some(&attempt.fingerprint));
    }
    // A wait that was cut short is over, also for a process that takes over this attempt later.
    if backoff::left(before, observed.uid, now).is_some() {
        ahead.failures = None;
    }
    ahead.unusable = None;
    ahead.corrections = corrections_after(before, false, now);
    if observed.drift != Drift::Ignore {
        ahead.found_as = observed.found_as().or(ahead.found_as);
    }
    ahead.attempt = Some(attempt.clone());
    ahead.conditions = while_in_flight(before, observed.generation, now);
    Plan {
        authority,
        attempt,
        inherited,
        kind: kind(observed, version, value),
        record: SetRecord {
            owes_sign_out: observed.spec.revoke_sessions && observed.spec.permanent,
            keeps_date: observed.drift != Drift::Ignore,
        },
        corrects: None,
        known_before: value.known_before || observed.rival_at.is_some(),
        urgency: urgency(observed, value),
        // `ahead.synced` is empty here if a different value may have been sent since.
        believed: match &ahead.synced {
            Some(synced) if observed.is_synced(synced, version, value) => RecordedValue::ThisValue,
            Some(_) if value.synced == Some(Match::Different) => RecordedValue::AnotherValue,
            Some(_) | None => RecordedValue::NotComparable,
        },
        before: before.clone(),
        ahead,
    }
}

/// The conditions while a call is in flight: `Ready` is never `True`.
///
/// Conditions of a failure that the operator retries stay until the outcome is known, so that retries don't
/// flap. Conditions about grants don't stay, because a grant admits the resource now.
fn while_in_flight(before: &Status, generation: i64, now: Timestamp) -> Vec<Condition> {
    let class = ready_class(before);
    let forbidden = before.ready_reason().is_some_and(Reason::is_about_grants);
    let not_true = before
        .condition(ConditionType::Ready)
        .is_some_and(|ready| ready.status != ConditionStatus::True);
    // The suspension is over, so conditions that only the suspension caused go.
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
