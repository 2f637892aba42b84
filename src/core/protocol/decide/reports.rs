//! The reports of a decision: a verdict, and the status that says the verdict.

use crate::{
    api::{Reason, Status, Unusable},
    core::{
        condition::{conditions::conditions, status::failed_status, verdict::Verdict},
        protocol::{
            decision::{Decision, Report},
            observation::{Observation, SecretVersion},
            record::handled_request,
            retry::wake,
        },
    },
};
use jiff::Timestamp;
use std::time::Duration;

/// The report while the operator has no credentials. No call was made, so a request stays unanswered.
#[must_use]
pub fn report_missing_credentials(observed: &Observation<'_>, why: &str, now: Timestamp) -> Report {
    let verdict = Verdict::quoting(Reason::InvalidCredentials, why);
    let mut report = unanswered(observed, verdict, now);
    // If the status already reports missing credentials, the retry time stays, also in a new process, because
    // no call was made. The probe of the credential gate reports when the credentials work.
    if let Some(failures) =
        (observed.status.failures.as_ref()).filter(|_| observed.lacks_credentials())
    {
        report.status.failures = Some(failures.clone());
        report.wake = wake(&report.status, observed.uid, now);
    }
    report
}

/// The report while a set waits for a permit. None if the current status is still true. A status is untrue if
/// it says `Ready=True`, asks a person to act, or waits for a grant.
#[must_use]
pub fn report_while_queued(observed: &Observation<'_>, now: Timestamp) -> Option<Report> {
    observed.is_untrue_while_setting().then(|| {
        progressing(
            observed,
            "the set is queued, because the operator's rate limit for calls to Cognito is used up",
            None,
            now,
        )
    })
}

/// The report while a new value waits because a lost call with a different value may still land.
#[must_use]
pub fn report_pending_call(observed: &Observation<'_>, wake: Duration, now: Timestamp) -> Report {
    progressing(
        observed,
        "the new value waits, at most 30 s, until Cognito can no longer apply an earlier call whose reply was lost",
        Some(wake),
        now,
    )
}

/// The report that the value in the status is being replaced. The record stays as before.
fn progressing(
    observed: &Observation<'_>,
    meaning: &str,
    wake: Option<Duration>,
    now: Timestamp,
) -> Report {
    let verdict = Verdict::with(Reason::Progressing, meaning, None, "");
    let mut status = Status {
        conditions: conditions(observed.status, &verdict, observed.generation, now),
        ..observed.status.clone()
    };
    // A wait for a grant is over. After this report the Ready condition no longer says that the failures
    // belong to that wait, so the failures are dropped now.
    status.failures.take_if(|_| observed.waited_for_grant());
    status.unusable = None;
    Report::new(status, verdict, wake)
}

/// Reports a verdict before any call. The request stays unanswered, because the set is still to be done.
pub(super) fn unanswered(observed: &Observation<'_>, verdict: Verdict, now: Timestamp) -> Report {
    let mut report = reported(observed, verdict, now);
    report
        .status
        .last_handled_reconcile_at
        .clone_from(&observed.status.last_handled_reconcile_at);
    report
}

pub(in crate::core::protocol) fn report(
    observed: &Observation<'_>,
    verdict: Verdict,
    now: Timestamp,
) -> Decision {
    Decision::Report(Box::new(reported(observed, verdict, now)))
}

/// Reports that this version of the Secret holds no usable value.
pub(super) fn report_unusable(
    observed: &Observation<'_>,
    version: &SecretVersion,
    verdict: Verdict,
    now: Timestamp,
) -> Decision {
    let mut report = reported(observed, verdict, now);
    report.status.unusable = Some(Unusable {
        secret_uid: version.uid.clone(),
        secret_resource_version: version.resource_version.clone(),
    });
    Decision::Report(Box::new(report))
}

/// Reports a verdict that needed no call. A request counts as answered.
fn reported(observed: &Observation<'_>, verdict: Verdict, now: Timestamp) -> Report {
    let mut status = failed_status(
        observed.status,
        &verdict,
        false,
        observed.generation,
        observed.uid,
        now,
    );
    status.last_handled_reconcile_at = handled_request(observed);
    let wake = wake(&status, observed.uid, now);
    Report::new(status, verdict, wake)
}
