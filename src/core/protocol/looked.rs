//! The decision on what looks at the user found. A look changes nothing in Cognito, and its result is a fact in
//! memory, like the version of a Secret.
//!
//! - A look leads to a set only if two looks agree: see [`crate::core::look::judge`] (invariant I8).
//! - The record alone never ends a reason about the user: only another look, another value or a request does.
//! - A first set waits for one lookup, because the name may belong to a stranger.

use super::{
    correction::{Correction, correction},
    decide::report,
    decision::Decision,
    observation::Observation,
};
use crate::{
    api::{
        Attempt, AttemptOutcome, Class, ConditionStatus, ConditionType, Drift, FederatedUser,
        Reason, Status,
    },
    core::{
        condition::{
            verdict::Verdict,
            verified::{NOT_SEEN, UNKNOWN_STATE, USER_SEEN, drift_reason, with_verified},
        },
        look::{
            found::{Found, Look, LookKind, MARGIN, Validity},
            judge::{self, Deviation, Expectation, Judgement},
            user::{User, UserState},
        },
    },
};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// How long a lookup counts for a first set, which may wait for the rate limiter meanwhile.
const GUARD_FRESH: SignedDuration = SignedDuration::from_mins(30);

/// How long after a look that failed the operator looks again.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_mins(1);

/// What follows from the looks for a resource whose value is the value in `synced`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Course {
    /// The record holds.
    Hold,
    /// The record holds, and a deviation that the status reports has passed.
    Healed,
    /// The status says what an earlier look found, and nothing has ended that.
    Keep,
    /// Two looks agree on a deviation, and the status is to say so.
    Say(Verdict),
    /// Two looks agree on a deviation that the status reports, and the operator is to set the value again.
    Correct(Reason),
}

/// The course for a resource whose value is the value in `synced`.
pub(crate) fn course(observed: &Observation<'_>, now: Timestamp) -> Course {
    let said = drift_reason(observed.status);
    let otherwise = match said {
        // Nobody looks any more, so nothing would ever end a wait for another look.
        Some(reason) if observed.drift == Drift::Ignore && reason.class() == Class::Waiting => {
            Course::Hold
        }
        Some(_) => Course::Keep,
        None => Course::Hold,
    };
    match judgement(observed, now) {
        Judgement::Agreed(deviation) => {
            let correction = correction(observed, deviation, now);
            let verdict = verdict(observed, deviation, correction);
            if correction == Correction::Now && said == Some(verdict.reason) {
                Course::Correct(verdict.reason)
            } else if matches!(correction, Correction::After(_)) && said == Some(verdict.reason) {
                // The message may say why the last correction was refused.
                Course::Keep
            } else {
                Course::Say(verdict)
            }
        }
        Judgement::Fits => match said {
            Some(Reason::UserDisabled | Reason::UserGone) => Course::Healed,
            Some(Reason::FederatedUser) if observed.spec.federated_user == FederatedUser::Allow => {
                Course::Healed
            }
            Some(_) | None => otherwise,
        },
        Judgement::Unknown
        | Judgement::NeverSeen
        | Judgement::Unclear
        | Judgement::Suspected(..) => otherwise,
    }
}

/// The judgement on the looks, for a resource that has set its user's password.
fn judgement(observed: &Observation<'_>, now: Timestamp) -> Judgement {
    let Some(expected) = expectation(observed) else {
        return Judgement::Unknown;
    };
    judge::judge(&observed.looks, &expected, now)
}

/// When something about the user last changed since the set, although the user is as the set left the user. See
/// [`judge::modified_since`].
#[cfg(feature = "operator")]
pub(crate) fn modified_since(observed: &Observation<'_>, now: Timestamp) -> Option<Timestamp> {
    judge::modified_since(&observed.looks, &expectation(observed)?, now)
}

fn expectation(observed: &Observation<'_>) -> Option<Expectation> {
    let status = observed.status;
    let synced = status
        .synced
        .as_ref()
        .filter(|_| observed.drift != Drift::Ignore)?;
    let attempted_at = status.attempt.as_ref().map(|attempt| attempt.started_at.0);
    Some(Expectation {
        permanent: observed.spec.permanent,
        federated: observed.spec.federated_user,
        sent_at: attempted_at.map_or(synced.at.0, |at| at.max(synced.at.0)),
        set_at: synced.answered_at.as_ref().unwrap_or(&synced.at).0,
        found_before: status.found_as.is_some(),
    })
}

/// The verdict after Cognito refused the correction of what a look found.
pub(crate) fn not_corrected(found: Reason, refusal: &Verdict) -> Verdict {
    let meaning = format!(
        "{}; Cognito did not let the operator set the password again",
        found.entry().meaning
    );
    let cure = "the operator tries again by itself, at growing intervals";
    Verdict::with(found, &meaning, Some(&refusal.message), cure)
}

fn verdict(observed: &Observation<'_>, deviation: Deviation, correction: Correction) -> Verdict {
    let asks = "run kubectl annotate cup NAME --overwrite cognito-password-operator.io/requestedAt=$(date +%s)";
    let reason = reason_of(deviation);
    let meaning = reason.entry().meaning;
    match correction {
        Correction::Contested => Verdict::new(Reason::Contested),
        Correction::Now | Correction::After(_) => Verdict::with(
            reason,
            meaning,
            None,
            "nothing to do: the operator sets the password again by itself, at growing intervals",
        ),
        Correction::TooManyInPool => {
            let meaning = format!(
                "{meaning}; many users of this pool were reset at once, which looks deliberate, so the operator doesn't set this password for now"
            );
            let cure = format!("if nobody meant that, {asks}");
            Verdict::with(reason, &meaning, None, &cure)
        }
        Correction::Never if deviation == Deviation::Expired => expired(observed),
        Correction::Never => Verdict::new(reason),
    }
}

const fn reason_of(deviation: Deviation) -> Reason {
    match deviation {
        Deviation::Disabled => Reason::UserDisabled,
        Deviation::Gone => Reason::UserGone,
        Deviation::Recreated { .. } => Reason::UserRecreated,
        Deviation::Unconfirmed => Reason::UserUnconfirmed,
        Deviation::Federated => Reason::FederatedUser,
        Deviation::Reset => Reason::PasswordReset,
        Deviation::Expired => Reason::TemporaryPasswordExpired,
    }
}

fn expired(observed: &Observation<'_>) -> Verdict {
    let reason = Reason::TemporaryPasswordExpired;
    match observed.looks.validity {
        Validity::Days(_) => Verdict::new(reason),
        Validity::NotRead | Validity::Unreadable => Verdict::with(
            reason,
            "the user did not sign in within 7 days, so the temporary password has expired if the pool's policy is Cognito's default",
            None,
            reason.entry().cure,
        ),
    }
}

/// Whether a look comes before the next write: the spec has changed, and the status says what an earlier look
/// found.
pub(crate) fn needs_a_look(observed: &Observation<'_>, course: &Course) -> bool {
    let can_look = observed.drift != Drift::Ignore && observed.looks.failure().is_none();
    let has_looked = observed.looks.latest().is_some();
    *course == Course::Keep && !observed.ready_is_current() && can_look && !has_looked
}

/// The decision to look again, in place of a decision to stay: one look found a deviation, or a correction is
/// due later.
pub(crate) fn or_look(observed: &Observation<'_>, decision: Decision, now: Timestamp) -> Decision {
    let Decision::Stay { wake } = decision else {
        return decision;
    };
    if observed.status.attempt.is_some() {
        return Decision::Stay { wake };
    }
    let said = drift_reason(observed.status);
    let after = match judgement(observed, now) {
        // The status says so already, and no correction can follow.
        Judgement::Suspected(deviation, _)
            if said == Some(reason_of(deviation))
                && !matches!(
                    correction(observed, deviation, now),
                    Correction::Now | Correction::After(_)
                ) =>
        {
            None
        }
        // Looks that fail must not come as fast as they fail.
        Judgement::Suspected(_, after) if observed.looks.failure().is_some() => {
            Some(after.max(LOOK_AGAIN))
        }
        Judgement::Suspected(_, after) => Some(after),
        Judgement::Agreed(deviation) => match correction(observed, deviation, now) {
            Correction::After(after) => Some(after),
            Correction::Never
            | Correction::Now
            | Correction::Contested
            | Correction::TooManyInPool => None,
        },
        Judgement::Unknown | Judgement::Fits | Judgement::NeverSeen | Judgement::Unclear => None,
    };
    match after {
        Some(after) => Decision::Look { after, wake },
        None => Decision::Stay { wake },
    }
}

/// The condition Verified by the looks, in a status that is about to be written.
pub(crate) fn with_look(observed: &Observation<'_>, status: Status, now: Timestamp) -> Status {
    if observed.drift == Drift::Ignore {
        return without_look(status);
    }
    let generation = observed.generation;
    let told = |status: Status, value, reason: &str, message: &str| Status {
        conditions: with_verified(&status, value, reason, message, generation, now),
        ..status
    };
    let failure = observed.looks.failure();
    let keeps = status.ready_reason().is_some_and(Reason::is_about_user);
    match judgement(observed, now) {
        // Somebody may have chosen another password since.
        Judgement::Fits if keeps => status,
        Judgement::Fits => {
            let found_as = observed.found_as().or_else(|| status.found_as.clone());
            let status = Status { found_as, ..status };
            told(status, ConditionStatus::True, USER_SEEN.0, USER_SEEN.1)
        }
        Judgement::Agreed(deviation) => {
            let said = correction(observed, deviation, now);
            let Verdict {
                reason, message, ..
            } = verdict(observed, deviation, said);
            let found_as = observed.found_as().or_else(|| status.found_as.clone());
            let status = Status { found_as, ..status };
            told(status, ConditionStatus::False, reason.as_str(), &message)
        }
        Judgement::NeverSeen => told(status, ConditionStatus::Unknown, NOT_SEEN.0, NOT_SEEN.1),
        Judgement::Unclear => told(
            status,
            ConditionStatus::Unknown,
            UNKNOWN_STATE.0,
            UNKNOWN_STATE.1,
        ),
        Judgement::Unknown | Judgement::Suspected(..) => match failure {
            Some(failure) => {
                let verdict = not_looked(failure.reason, &failure.words);
                let reason = failure.reason.as_str();
                told(status, ConditionStatus::Unknown, reason, &verdict.message)
            }
            None => status,
        },
    }
}

/// Drops what looks left in a status.
fn without_look(mut status: Status) -> Status {
    let verified = ConditionType::Verified.as_str();
    status.conditions.retain(|it| it.type_ != verified);
    status.found_as = None;
    status.corrections = None;
    status
}

/// The words of Verified=Unknown if the operator can't look.
fn not_looked(reason: Reason, words: &str) -> Verdict {
    let meaning = "the operator could not look at the user, so the condition Ready rests on the operator's record alone";
    let cure = match reason {
        Reason::AccessDenied => {
            "allow cognito-idp:ListUsers on the user pool in the IAM policy of the operator's role; the operator looks again by itself"
        }
        _ => "nothing to do at once: the operator looks again by itself",
    };
    Verdict::with(reason, meaning, Some(words), cure)
}

/// What the guard decides in place of a set that may give the password to a stranger: look, stay, or report. None
/// if the set may be made. The guard judges three kinds of sets:
///
/// - a first set: the record names no value;
/// - a retry after Cognito had no such user;
/// - a set after a look found a user who may be a stranger, whether or not the status says so yet. Another value in
///   the Secret is no consent of a person, because programs rotate values. Nor is the retry of a set that failed
///   before the stranger came.
///
/// A look that fails does not hold a first set back, because the guard is no lock: the grants are.
pub(crate) fn guard(observed: &Observation<'_>, now: Timestamp) -> Option<Decision> {
    let status = observed.status;
    let missed = missed(status);
    let is_asked = observed.has_new_request();
    let reason = drift_reason(status);
    let latest = observed.looks.latest().map(|look| &look.found);
    let is_refused_state = match latest {
        Some(Found::User(user)) => refusal(user, observed.spec.federated_user).is_some(),
        Some(Found::NotFound) | None => false,
    };
    let is_shown = match judgement(observed, now) {
        // A stranger who is disabled is a stranger all the same.
        Judgement::Agreed(deviation) | Judgement::Suspected(deviation, _) => {
            deviation.may_be_a_stranger() || is_refused_state
        }
        Judgement::Unknown | Judgement::Fits | Judgement::NeverSeen | Judgement::Unclear => false,
    };
    let may_be_stranger = is_shown || reason.is_some_and(Reason::may_be_a_stranger);
    let is_first = is_first_set(status);
    if observed.drift == Drift::Ignore || !(is_first || may_be_stranger) {
        return None;
    }
    if is_refused(observed) {
        return Some(Decision::Stay { wake: None });
    }
    // A retry needs a look from after the wait for the retry. A time in the future comes from a wrong clock.
    let due_at = status.failures.as_ref().map(|failures| failures.retry_at.0);
    let due_at = due_at.filter(|due_at| *due_at <= now && !is_asked);
    let missed_at = missed.map(|missed| missed.started_at.0.min(now));
    let is_recent = |at: Timestamp| {
        now.duration_since(at) < GUARD_FRESH
            && missed_at.is_none_or(|missed_at| at >= missed_at)
            && due_at.is_none_or(|due_at| at >= due_at)
    };
    let counts = |look: &&Look| look.kind == LookKind::Lookup && is_recent(look.begun);
    let Some(look) = observed.looks.latest().filter(counts) else {
        // A failed look excuses no set of a user who was found to be a stranger. A person's request does, but for
        // a federated user.
        let may_excuse = match reason {
            Some(Reason::FederatedUser) => false,
            Some(reason) => is_asked || !reason.may_be_a_stranger(),
            None => is_asked || is_first,
        };
        let failure = observed.looks.failure();
        if may_excuse && failure.is_some_and(|failure| is_recent(failure.at)) {
            return None;
        }
        let last = observed.looks.latest().map(|look| look.begun);
        let last = last
            .into_iter()
            .chain(failure.map(|failure| failure.at))
            .max();
        let age = last.map(|last| now.duration_since(last));
        let age = age.and_then(|age| Duration::try_from(age).ok());
        let after = age.map_or(Duration::ZERO, |age| LOOK_AGAIN.saturating_sub(age));
        // The wake covers a look that got lost.
        let wake = Some(after + LOOK_AGAIN);
        return Some(Decision::Look { after, wake });
    };
    let Found::User(user) = &look.found else {
        return None;
    };
    // A forged time may be the last or the first one that there is.
    let set_at = expectation(observed).map(|expected| {
        let later = expected.set_at.checked_add(MARGIN);
        later.unwrap_or(Timestamp::MAX)
    });
    let absent_at = missed_at.map(|missed_at| {
        let earlier = missed_at.checked_sub(MARGIN);
        earlier.unwrap_or(Timestamp::MIN)
    });
    let refused = refusal(user, observed.spec.federated_user);
    let created_since = absent_at.or(set_at).and_then(|at| stranger(user, at));
    let reason = match missed {
        Some(_) => refused.or(created_since),
        None => created_since.or(refused),
    };
    let reason = reason.filter(|reason| *reason == Reason::FederatedUser || !is_asked)?;
    Some(report(observed, Verdict::new(reason), now))
}

/// Whether the guard has refused the first set, the status says so, and nobody has asked for another decision since.
/// The lookup that led to the refusal must not count any longer: a person may mend the user, and only then change the
/// spec or ask for a set.
pub(crate) fn is_refused(observed: &Observation<'_>) -> bool {
    let said = observed.status.ready_reason();
    observed.drift != Drift::Ignore
        && is_first_set(observed.status)
        && said.is_some_and(Reason::is_about_user)
        && observed.ready_is_current()
        && !observed.has_new_request()
}

/// Whether the next set is a first one: the record names no value, or Cognito had no such user.
fn is_first_set(status: &Status) -> bool {
    status.synced.is_none() || missed(status).is_some()
}

/// The attempt for which Cognito had no such user.
fn missed(status: &Status) -> Option<&Attempt> {
    let attempt = status.attempt.as_ref();
    attempt.filter(|it| it.outcome == AttemptOutcome::UserNotFound)
}

/// Why the operator sets no first password of this user.
fn refusal(user: &User, federated: FederatedUser) -> Option<Reason> {
    match user.state {
        UserState::ExternalProvider if federated == FederatedUser::Refuse => {
            Some(Reason::FederatedUser)
        }
        UserState::Unconfirmed => Some(Reason::UserUnconfirmed),
        UserState::ExternalProvider
        | UserState::Confirmed
        | UserState::ResetRequired
        | UserState::ForceChangePassword
        | UserState::Other => None,
    }
}

/// The user of the last set did not exist any more, or did not exist yet, before `after`. Whoever was created
/// since, and not by an administrator, may be a stranger who signed up under this name.
fn stranger(user: &User, after: Timestamp) -> Option<Reason> {
    let is_new = user.created.is_some_and(|created| created > after);
    (is_new && user.state != UserState::ForceChangePassword).then_some(Reason::UserRecreated)
}
