//! The decision on what looks at the user found. A look changes nothing in Cognito, and its result is a fact in
//! memory, like the version of a Secret.
//!
//! - A look leads to a set only if two looks agree: see [`crate::core::look::judge`] (invariant I8).
//! - The record alone never ends a reason about the user: only another look, another value or a request does.
//! - A first set waits for one lookup, because the name may belong to a stranger.

use super::{
    decide::report,
    decision::Decision,
    observation::Observation,
};
use crate::{
    api::{
        AttemptOutcome, ConditionStatus, ConditionType, Corrections, Drift, FederatedUser, Reason,
        Status,
    },
    core::{
        clock,
        condition::{conditions::with_verified, verdict::Verdict},
        look::{
            found::{Found, Look, LookKind},
            judge::{self, Deviation, Expectation, Judgement},
            user::{User, UserState},
        },
    },
};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// How long after the last correction the number of corrections is forgotten.
const QUIET: SignedDuration = SignedDuration::from_hours(7 * 24);

/// After this number of corrections within [`QUIET`], somebody else is at work, and the operator corrects no
/// more.
const CORRECTIONS_MAX: u32 = 4;

/// The wait before the second correction is twice this long, and each further wait twice as long again.
const FIRST_WAIT: SignedDuration = SignedDuration::from_mins(15);
const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(24);

/// How long a lookup counts for a first set.
const GUARD_FRESH: SignedDuration = SignedDuration::from_hours(1);

/// How long after a look that failed the operator looks again.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// The reason of Verified=True.
const USER_SEEN: &str = "UserSeen";
/// The reason of Verified=Unknown if no look found the user by this name.
const NOT_SEEN: &str = "NotSeen";
/// The reason of Verified=Unknown for a state that this version does not know.
const UNKNOWN_STATE: &str = "UnknownUserState";

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
    let said = observed.status.ready_reason();
    let keeps = said.is_some_and(Reason::is_about_user);
    let otherwise = if keeps { Course::Keep } else { Course::Hold };
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

/// Whether the operator may correct a deviation now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Correction {
    /// The spec doesn't ask for it, or a set could do harm.
    Never,
    /// Now.
    Now,
    /// After this time: an earlier correction didn't last.
    After(Duration),
    /// Too many corrections of this user.
    Contested,
    /// Too many corrections in this pool.
    TooManyInPool,
}

fn correction(observed: &Observation<'_>, deviation: Deviation, now: Timestamp) -> Correction {
    let is_safe = match deviation {
        Deviation::Recreated { by_administrator } => by_administrator,
        Deviation::Reset => observed.spec.permanent,
        Deviation::Disabled
        | Deviation::Gone
        | Deviation::Unconfirmed
        | Deviation::Federated
        | Deviation::Expired => false,
    };
    if observed.drift != Drift::Correct || !is_safe {
        return Correction::Never;
    }
    if let Some(Corrections { count, at }) = corrections(observed.status, now) {
        if *count >= CORRECTIONS_MAX {
            return Correction::Contested;
        }
        let wait = FIRST_WAIT.checked_mul(2_i32.pow(*count));
        let wait = wait.map_or(LONGEST_WAIT, |wait| wait.min(LONGEST_WAIT));
        let left = Duration::try_from((at.0 + wait).duration_since(now)).unwrap_or_default();
        if !left.is_zero() {
            return Correction::After(left);
        }
    }
    if observed.corrections_left {
        Correction::Now
    } else {
        Correction::TooManyInPool
    }
}

/// The corrections on record that are not forgotten yet. A time in the future comes from a wrong clock.
fn corrections(status: &Status, now: Timestamp) -> Option<&Corrections> {
    let recent = |it: &&Corrections| {
        !clock::is_yet_to_come(it.at.0, now) && now.duration_since(it.at.0) < QUIET
    };
    status.corrections.as_ref().filter(recent)
}

/// The corrections on record after a set: one more for a correction.
pub(crate) fn corrections_after(
    status: &Status,
    is_correction: bool,
    now: Timestamp,
) -> Option<Corrections> {
    let before = corrections(status, now);
    if !is_correction {
        return before.cloned();
    }
    Some(Corrections {
        count: before.map_or(0, |it| it.count).saturating_add(1),
        at: k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime(clock::micros(now)),
    })
}

/// The corrections on record after Cognito refused one. The refusal delays the next correction, and counts as the
/// first one at most: nobody contests the user.
pub(crate) fn corrections_after_refusal(status: &Status, now: Timestamp) -> Option<Corrections> {
    Some(Corrections {
        count: corrections(status, now).map_or(1, |it| it.count),
        at: k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime(clock::micros(now)),
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
    let reason = match deviation {
        Deviation::Disabled => Reason::UserDisabled,
        Deviation::Gone => Reason::UserGone,
        Deviation::Recreated { .. } => Reason::UserRecreated,
        Deviation::Unconfirmed => Reason::UserUnconfirmed,
        Deviation::Federated => Reason::FederatedUser,
        Deviation::Reset => Reason::PasswordReset,
        Deviation::Expired => Reason::TemporaryPasswordExpired,
    };
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

fn expired(observed: &Observation<'_>) -> Verdict {
    let reason = Reason::TemporaryPasswordExpired;
    match observed.looks.validity_days {
        Some(_) => Verdict::new(reason),
        None => Verdict::with(
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
    let after = match judgement(observed, now) {
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
            let found_as = found_as(observed).or_else(|| status.found_as.clone());
            let status = Status { found_as, ..status };
            let message = "A look found the user enabled, confirmed, and not changed since the set.";
            told(status, ConditionStatus::True, USER_SEEN, message)
        }
        Judgement::Agreed(deviation) => {
            let said = correction(observed, deviation, now);
            let Verdict {
                reason, message, ..
            } = verdict(observed, deviation, said);
            let found_as = found_as(observed).or_else(|| status.found_as.clone());
            let status = Status { found_as, ..status };
            told(status, ConditionStatus::False, reason.as_str(), &message)
        }
        Judgement::NeverSeen => {
            let message = "No look found a user of this name, although the password was set: the name may be an alias, or differ in case. Name the user by the username that Cognito stores, or by the sub, in a new resource.";
            told(status, ConditionStatus::Unknown, NOT_SEEN, message)
        }
        Judgement::Unclear => {
            let message = "The user is in a state that this version of the operator doesn't know.";
            told(status, ConditionStatus::Unknown, UNKNOWN_STATE, message)
        }
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

/// The name by which the latest look found the user.
fn found_as(observed: &Observation<'_>) -> Option<String> {
    match &observed.looks.latest()?.found {
        Found::User(user) => Some(user.username.clone()),
        Found::NotFound => None,
    }
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
    let attempt = status.attempt.as_ref();
    let missed = attempt.filter(|it| it.outcome == AttemptOutcome::UserNotFound);
    let is_asked = observed.has_new_request();
    let reason = status.ready_reason();
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
    let is_first = status.synced.is_none() || missed.is_some();
    if observed.drift == Drift::Ignore || !(is_first || may_be_stranger) {
        return None;
    }
    let is_refused = reason.is_some_and(Reason::is_about_user) && is_first;
    if is_refused && observed.ready_is_current() && !is_asked {
        return Some(Decision::Stay { wake: None });
    }
    let counts = |look: &&Look| {
        look.kind == LookKind::Lookup
            && now.duration_since(look.begun) < GUARD_FRESH
            && missed.is_none_or(|missed| look.begun > missed.started_at.0)
    };
    let Some(look) = observed.looks.latest().filter(counts) else {
        let after = match observed.looks.failure() {
            None => Duration::ZERO,
            Some(_) if is_asked || is_first => return None,
            Some(_) => LOOK_AGAIN,
        };
        return Some(Decision::Look { after, wake: None });
    };
    let Found::User(user) = &look.found else {
        return None;
    };
    // A forged time may be the last or the first one that there is.
    let set_at = expectation(observed).map(|expected| {
        let later = expected.set_at.checked_add(judge::MARGIN);
        later.unwrap_or(Timestamp::MAX)
    });
    let absent_at = missed.map(|missed| {
        let earlier = missed.started_at.0.checked_sub(judge::MARGIN);
        earlier.unwrap_or(Timestamp::MIN)
    });
    let refused = refusal(user, observed.spec.federated_user);
    let created_since = absent_at.or(set_at).and_then(|at| stranger(user, at));
    let reason = match missed {
        Some(_) => refused.or(created_since),
        None => created_since.or(refused),
    };
    let reason = reason
        .filter(|reason| *reason == Reason::FederatedUser || !is_asked)?;
    Some(report(observed, Verdict::new(reason), now))
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
