//! The sign-out that a set owes to a resource with `revokeSessions`.
//!
//! A sign-out carries no value, may be made twice, and does no harm if it is late. So a sign-out needs no
//! attempt and no quarantine. The write that records the set also records that the sign-out is owed, and
//! Ready is not True until Cognito has answered a sign-out that began after that write (invariant I9).
//!
//! A new value goes first: the set of the new value owes a sign-out again, and one sign-out serves both sets.

use super::{
    decision::{Decision, Duty, Report},
    observation::Observation,
    owed::{is_said, owed},
    retry::shorter,
    sign_out::{SignOutEffect, SignOutOutcome},
};
use crate::{
    api::{Class, Failures, Reason, SignOutOwed, Status},
    core::{
        access::authority::Authority,
        condition::{
            backoff,
            ready::ready_verdict,
            status::{settled_status, with_verdict},
            verdict::Verdict,
        },
        schedule::rate_limit::Urgency,
    },
};
use jiff::Timestamp;
use std::time::Duration;

/// What to write after a sign-out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SignOutReport {
    /// The whole new status.
    pub status: Status,
    /// The verdict on the sign-out, for the Event. The conditions of `status` express the same verdict, unless
    /// they speak of something else, such as a Secret that is missing.
    pub verdict: Verdict,
    /// Time until the next reconcile without an event; None if only an event leads to one.
    pub wake: Option<Duration>,
    /// Whether the user's sessions have ended.
    pub done: bool,
}

/// The verdict on a resource whose value is set, while a sign-out is owed. A failure of the sign-out that the
/// status reports already stays.
pub(crate) fn verdict(observed: &Observation<'_>) -> Verdict {
    let said = ready_verdict(observed.status);
    said.filter(|_| observed.lacks_only_the_sign_out())
        .unwrap_or_else(|| Verdict::new(Reason::RevokingSessions))
}

/// The status of a resource whose value is set, while a sign-out is owed.
pub(crate) fn owing_status(
    before: &Status,
    verdict: &Verdict,
    generation: i64,
    now: Timestamp,
) -> Status {
    Status {
        attempt: None,
        unusable: None,
        failures: None,
        ..with_verdict(before, verdict, generation, now)
    }
}

/// Adds the sign-out to a decision that leaves time for it: nothing else is to be done now. An obligation that
/// the spec no longer asks for is dropped with the next write.
pub(crate) fn or_sign_out(
    observed: &Observation<'_>,
    authority: &Authority,
    decision: Decision,
    now: Timestamp,
) -> Decision {
    let Some(owed) = owed(observed.status, observed.spec) else {
        return without_obligation(decision);
    };
    let left = left(observed, owed, now);
    match (decision, left) {
        (Decision::Stay { .. }, None) => Decision::SignOut(Box::new(Duty {
            authority: authority.clone(),
            since: owed.since.clone(),
            generation: observed.generation,
            urgency: match &owed.failures {
                Some(failures) if failures.count > FIRST_TRIES => Urgency::Retry,
                Some(_) | None => Urgency::Requested,
            },
        })),
        (Decision::Stay { wake }, Some(left)) => Decision::Stay {
            wake: shorter(wake, Some(left)),
        },
        (Decision::Report(report), left) => Decision::Report(Box::new(Report {
            wake: shorter(report.wake, Some(left.unwrap_or_default())),
            ..*report
        })),
        (other, _) => other,
    }
}

/// The number of failures in a row up to which a sign-out has the urgency of a new request.
const FIRST_TRIES: u32 = 8;

fn without_obligation(mut decision: Decision) -> Decision {
    if let Decision::Report(report) = &mut decision {
        report.status.sign_out_owed = None;
    }
    decision
}

/// How much is left of the wait after a failed sign-out; None if the sign-out is due.
fn left(observed: &Observation<'_>, owed: &SignOutOwed, now: Timestamp) -> Option<Duration> {
    let failures = owed.failures.as_ref()?;
    if observed.recovered || !observed.ready_is_current() {
        return None;
    }
    let status = observed.status;
    // The longest wait of this failure. A time further away comes from a wrong clock.
    let (reason, class) = ready_verdict(status)
        .filter(|_| is_said(status))
        .map_or((Reason::AccessDenied, Class::Waiting), |said| {
            (said.reason, said.class)
        });
    let longest = backoff::delay(reason, of_retry(class), failures.count, observed.uid);
    backoff::until(failures, longest, now)
}

/// A sign-out is tried again by itself, whatever the status says.
const fn of_retry(class: Class) -> Class {
    match class {
        Class::Waiting | Class::Stalled => Class::Waiting,
        Class::Settled | Class::Transient | Class::Unknown => Class::Transient,
    }
}

/// Concludes from the outcome of a sign-out. `current` is the status to replace, read again after a conflict.
/// None if the record owes another sign-out by now, or none.
#[must_use]
pub fn conclude_sign_out(
    current: &Status,
    duty: &Duty,
    outcome: &SignOutOutcome,
    uid: &str,
    now: Timestamp,
) -> Option<SignOutReport> {
    let owed = current.sign_out_owed.as_ref();
    let owed = owed.filter(|owed| owed.since == duty.since)?;
    let is_said = is_said(current);
    let verdict = outcome.verdict.clone();
    let generation = duty.generation;
    match outcome.effect {
        SignOutEffect::Done => {
            let without = Status {
                sign_out_owed: None,
                ..current.clone()
            };
            let status = if is_said {
                settled_status(&without, &verdict, generation, now)
            } else {
                without
            };
            Some(SignOutReport {
                status,
                verdict,
                wake: (!is_said).then_some(Duration::ZERO),
                done: true,
            })
        }
        SignOutEffect::NotYet => {
            let count = backoff::count_after(owed.failures.as_ref());
            let delay = backoff::delay(verdict.reason, of_retry(verdict.class), count, uid);
            let mut status = current.clone();
            status.sign_out_owed = Some(SignOutOwed {
                since: owed.since.clone(),
                failures: Some(Failures {
                    count,
                    retry_at: backoff::retry_at(delay, now),
                    request: None,
                }),
            });
            if is_said {
                status = with_verdict(&status, &verdict, generation, now);
            }
            Some(SignOutReport {
                wake: Some(delay),
                status,
                verdict,
                done: false,
            })
        }
    }
}
