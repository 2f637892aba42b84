//! The decision: what the operator does now about one resource. The correctness of the operator rests on this
//! module and on [`super::conclude`]. Both are free of I/O, and take the clock and the random id as
//! arguments.
//!
//! The operator decides first on what the watches show: in triage, mostly with the result `Stay`, and again
//! when a reconcile begins. Only if the value is needed does it decide once more, on a read of the Secret.

use super::{
    duplicate,
    observation::{Comparison, Observation, SecretState, SecretVersion},
    plan::plan,
    record::handled_request,
    resend::{ResendPolicy, kind},
    temporary::report_instead_of_sending,
    wait::{
        backoff_left, corrected, quarantine_left, recorded_quarantine_left, shorter, until_stalled,
        wake,
    },
};
use crate::{
    api::{Attempt, Class, Reason, Status, Synced, Unusable},
    core::{
        access::{authority::Authority, grant::Admission},
        condition::{
            conditions::{conditions, suspended as suspended_conditions},
            ready::{ready_class, ready_verdict},
            status::{failed_status, settled_status, with_verdict},
            verdict::Verdict,
        },
        credential::fingerprint::Match,
        names::target::Target,
        protocol::decision::{Decision, Report},
    },
};
use jiff::Timestamp;
use std::time::Duration;

/// The recheck interval while the grants are not known.
const UNTIL_GRANTS_ARE_KNOWN: Duration = Duration::from_secs(5);

/// Maps an observation to one decision. `fresh_id` is a random id for an attempt.
#[must_use]
pub fn decide(observed: &Observation<'_>, now: Timestamp, fresh_id: &str) -> Decision {
    match decided(observed, now, fresh_id) {
        Decision::Report(report) if says_the_same(observed.status, &report.status) => {
            Decision::Stay { wake: report.wake }
        }
        Decision::Stay { wake } => while_waiting(observed, wake, now),
        other => other,
    }
}

/// Whether a report would change nothing in the status that is worth a write.
///
/// Two differences are not worth a write. The first is a retry time that an earlier version of the operator
/// wrote although an event ends the wait. The second is the version of an unusable Secret, which
/// [`crate::core::protocol::version`] records at its own pace.
fn says_the_same(before: &Status, after: &Status) -> bool {
    let mut before = before.clone();
    let reason = before.ready_reason();
    if reason.is_some_and(Reason::ends_with_an_event) {
        before.failures.clone_from(&after.failures);
    }
    if before.unusable.is_some() && after.unusable.is_some() {
        before.unusable.clone_from(&after.unusable);
    }
    before == *after
}

/// Marks a waiting resource as stalled after 5 minutes. A recheck need not be due at that moment, so the wake
/// is shortened to it. Nothing else in the status changes.
fn while_waiting(observed: &Observation<'_>, wake: Option<Duration>, now: Timestamp) -> Decision {
    let status = observed.status;
    let left = until_stalled(status, now).filter(|_| still_waits(observed));
    match left {
        Some(left) if left.is_zero() => say_stalled(observed, wake, now),
        Some(_) | None => Decision::Stay {
            wake: shorter(wake, left),
        },
    }
}

/// The decision for a resource whose status already reports missing credentials, while the credential gate is
/// closed. The only possible change is that the wait becomes stalled after 5 minutes.
#[must_use]
pub fn decide_at_closed_gate(observed: &Observation<'_>, now: Timestamp) -> Decision {
    while_waiting(observed, None, now)
}

/// Whether the wait that the status reports goes on, as far as the observation shows.
fn still_waits(observed: &Observation<'_>) -> bool {
    let Some(reason) = observed.status.ready_reason() else {
        return false;
    };
    let has_value = matches!(observed.secret, SecretState::Value(..));
    let waits_for_a_value =
        reason == Reason::SecretNotFound || reason.is_about_an_unusable_secret();
    observed.ready_is_current()
        && matches!(observed.admission, Admission::Granted(_))
        && !reason.is_about_grants()
        && !(waits_for_a_value && has_value)
}

/// Reports the same verdict again, with conditions for the present time.
fn say_stalled(observed: &Observation<'_>, wake: Option<Duration>, now: Timestamp) -> Decision {
    let before = observed.status;
    let Some(verdict) = ready_verdict(before) else {
        return Decision::Stay { wake };
    };
    let mut status = with_verdict(before, &verdict, observed.generation, now);
    // Earlier versions of the operator wrote a retry time for this reason.
    status
        .failures
        .take_if(|_| verdict.reason.ends_with_an_event());
    let wake = shorter(wake, until_stalled(&status, now));
    Decision::Report(Box::new(Report::new(status, verdict, wake)))
}

fn decided(observed: &Observation<'_>, now: Timestamp, fresh_id: &str) -> Decision {
    if observed.deleting {
        return Decision::Leave;
    }
    if observed.spec.suspend {
        return suspended(observed, now, fresh_id);
    }
    if let Err(why) = Target::parse(&observed.spec.user_pool_id, &observed.spec.username) {
        let meaning = "The operator can't act on this resource, and didn't call Cognito";
        let cure = "delete the resource and make one with a correct spec";
        let words = why.to_string();
        let verdict = Verdict::with(Reason::InvalidParameter, meaning, Some(&words), cure);
        return report(observed, verdict, now);
    }
    let authority = match &observed.admission {
        Admission::Granted(authority) => authority,
        Admission::NotGranted => return not_admitted(observed, Reason::NotGranted, now, fresh_id),
        Admission::Ambiguous => {
            return not_admitted(observed, Reason::AmbiguousGrant, now, fresh_id);
        }
        Admission::UnknownRegion => {
            return not_admitted(observed, Reason::UnknownRegion, now, fresh_id);
        }
        // A watch event that makes the grants known also requeues the resource. The recheck covers what no
        // event reports.
        Admission::Unknown => {
            return Decision::Stay {
                wake: Some(UNTIL_GRANTS_ARE_KNOWN),
            };
        }
    };
    if let Some(older) = &observed.older {
        return report(observed, duplicate::verdict(older), now);
    }
    if let Some(report) = duplicate::take_over(observed, now, fresh_id) {
        return Decision::Report(Box::new(report));
    }
    let reference = &observed.spec.password_secret_ref;
    match &observed.secret {
        SecretState::Seen(version) => decide_unread(observed, version, now),
        // The status already says `SecretNotFound`, and a watch event reports a new Secret. So no recheck is
        // needed.
        SecretState::NotSeen => {
            let said = observed.status.ready_reason() == Some(Reason::SecretNotFound);
            if said && observed.ready_is_current() && !observed.has_new_request() {
                Decision::Stay { wake: None }
            } else {
                Decision::Read
            }
        }
        SecretState::NotFound => {
            let meaning = format!(
                "the Secret {} does not exist in this namespace",
                reference.name
            );
            let cure = Reason::SecretNotFound.entry().cure;
            let verdict = Verdict::with(Reason::SecretNotFound, &meaning, None, cure);
            report(observed, verdict, now)
        }
        // A Secret without the selector's labels is never read. The watch reports the Secret if the labels
        // are added.
        SecretState::NotSelected(selector) => {
            let meaning = format!(
                "the Secret {} does not exist in this namespace with the labels that the operator's --secret-selector requires",
                reference.name
            );
            let cure = "create or label the Secret, or correct spec.passwordSecretRef.name";
            let verdict = Verdict::with(Reason::SecretNotFound, &meaning, Some(selector), cure);
            report(observed, verdict, now)
        }
        SecretState::KeyNotFound(version) => {
            let meaning = format!(
                "the Secret {} does not have the key {}",
                reference.name, reference.key
            );
            let cure = Reason::SecretKeyNotFound.entry().cure;
            let verdict = Verdict::with(Reason::SecretKeyNotFound, &meaning, None, cure);
            report_unusable(observed, version, verdict, now)
        }
        SecretState::Invalid(version, why) => {
            let meaning = format!(
                "the value of key {} of the Secret {} can't be a password, so the operator didn't call Cognito",
                reference.key, reference.name
            );
            let verdict =
                Verdict::with(Reason::InvalidSecretValue, &meaning, None, &why.to_string());
            report_unusable(observed, version, verdict, now)
        }
        SecretState::Value(version, value) => match corrected(observed.status, now) {
            None => decide_read(observed, authority, version, value, now, fresh_id),
            Some(status) => {
                let observed = Observation {
                    status: &status,
                    ..observed.clone()
                };
                match decide_read(&observed, authority, version, value, now, fresh_id) {
                    // The corrected times must be on record. Otherwise each decision would begin the whole
                    // quarantine again.
                    Decision::Stay { wake: Some(wake) } => {
                        let verdict = ready_verdict(&status)
                            .unwrap_or_else(|| Verdict::new(Reason::Progressing));
                        Decision::Report(Box::new(Report::new(status.clone(), verdict, Some(wake))))
                    }
                    other => other,
                }
            }
        },
    }
}

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

/// Reports a suspension once for each generation, so that no client waits for this generation any longer.
///
/// The record stays, with one exception: if another resource manages the user meanwhile, the record is
/// corrected now. The other resource may be gone when the suspension ends, and the correction would then be
/// missed.
fn suspended(observed: &Observation<'_>, now: Timestamp, fresh_id: &str) -> Decision {
    let before = observed.status;
    let status = Status {
        observed_generation: Some(observed.generation),
        conditions: suspended_conditions(before, observed.generation, now),
        ..duplicate::superseded(observed, now, fresh_id)
    };
    if status == *before {
        return Decision::Leave;
    }
    // The verdict on the password stays as before, so the report is no news.
    let said = ready_verdict(before).unwrap_or_else(|| Verdict::new(Reason::Progressing));
    Decision::Report(Box::new(Report::new(status, said, None)))
}

/// Reports that the grants don't admit the resource. The operator then neither reads the Secret nor calls
/// Cognito.
///
/// The record stays until the resource is admitted again, and so does an open attempt. Only if another
/// resource managed the user meanwhile is the record corrected now.
fn not_admitted(
    observed: &Observation<'_>,
    why: Reason,
    now: Timestamp,
    fresh_id: &str,
) -> Decision {
    let observed = Observation {
        status: &duplicate::superseded(observed, now, fresh_id),
        ..observed.clone()
    };
    Decision::Report(Box::new(unanswered(&observed, Verdict::new(why), now)))
}

/// Reports a verdict before any call. The request stays unanswered, because the set is still to be done.
fn unanswered(observed: &Observation<'_>, verdict: Verdict, now: Timestamp) -> Report {
    let mut report = reported(observed, verdict, now);
    report
        .status
        .last_handled_reconcile_at
        .clone_from(&observed.status.last_handled_reconcile_at);
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

/// Decides on a Secret of which only the version is known: either the status still holds, or the Secret must
/// be read.
fn decide_unread(observed: &Observation<'_>, version: &SecretVersion, now: Timestamp) -> Decision {
    let status = observed.status;
    let tried_this = observed.tried_at(version).is_some();
    let tried_value = observed.tried.and_then(|tried| tried.fingerprint.as_ref());
    if observed.is_settled() && !observed.has_new_request() {
        // It is not enough that this process has read this version: it may have found a different value and
        // compared it to an old status. So the value that it read must be the value in `synced`.
        let found = |s: &Synced| tried_this && tried_value == Some(&s.fingerprint);
        let is_this = |s: &Synced| version.is_of(s) || found(s);
        return if observed.newest_signed.synced && status.synced.as_ref().is_some_and(is_this) {
            Decision::Stay { wake: None }
        } else {
            Decision::Read
        };
    }
    if observed.says_unusable() && !observed.has_new_request() {
        let on_record = (status.unusable.as_ref())
            .is_some_and(|it| version.is(&it.secret_uid, &it.secret_resource_version));
        let found_none = tried_this && tried_value.is_none();
        return if on_record || found_none {
            Decision::Stay { wake: None }
        } else {
            Decision::Read
        };
    }
    let attempted_this = !observed.has_untried_request()
        && (status.attempt.as_ref()).is_some_and(|a| observed.is_attempt_at(a, version));
    // An open attempt at a different value waits for its quarantine, not for its backoff.
    let same_value = (status.attempt.as_ref()).is_none_or(|a| tried_value == Some(&a.fingerprint));
    // The status may say that the Secret holds no usable value although this process read one at this
    // version: another process wrote the status. Then the Secret is read again.
    let of_no_value = matches!(
        status.ready_reason(),
        Some(Reason::SecretNotFound | Reason::SecretKeyNotFound | Reason::InvalidSecretValue)
    );
    let same_look = tried_this && same_value && !(of_no_value && tried_value.is_some());
    let judged = observed.ready_is_current()
        && !observed.waited_for_grant()
        && (same_look || (attempted_this && !of_no_value));
    match ready_class(status) {
        // A request without an answer asks for a set, so a stalled resource with such a request is read.
        Some(Class::Stalled)
            if judged && observed.newest_signed.attempt && !observed.has_new_request() =>
        {
            Decision::Stay { wake: None }
        }
        Some(Class::Waiting | Class::Transient | Class::Unknown) if judged => {
            match backoff_left(observed, None, now) {
                Some(wake) => Decision::Stay { wake: Some(wake) },
                None => Decision::Read,
            }
        }
        Some(_) | None => Decision::Read,
    }
}

/// Decides on a value that was read.
fn decide_read(
    observed: &Observation<'_>,
    authority: &Authority,
    version: &SecretVersion,
    value: &Comparison,
    now: Timestamp,
    fresh_id: &str,
) -> Decision {
    let status = observed.status;
    let plan = |inherited| {
        let authority = authority.clone();
        let plan = plan(
            observed, authority, version, value, inherited, now, fresh_id,
        );
        Decision::Set(Box::new(plan))
    };
    // A value that may have been sent for this request is not sent again for the same request.
    let asked = observed.has_new_request() && !observed.is_acted_on();
    let spent = !asked && kind(observed, version, value) == ResendPolicy::Spent;
    if spent
        && let Some(spared) = report_instead_of_sending(observed, version, value, now, fresh_id)
    {
        return spared;
    }
    if let Some(attempt) = &status.attempt {
        let same = observed.is_attempted(attempt, version, value);
        if same && let Some(stay) = hold(observed, attempt, value, now) {
            return stay;
        }
        match (attempt.is_open(), same) {
            (true, true) => {
                // A temporary value is sent again only after the recorded quarantine, and a spent one only on
                // request. The lost call may have sent a different value: if a fingerprint key is lost,
                // nobody can compare.
                let landing =
                    recorded_quarantine_left(status, now).filter(|_| !observed.spec.permanent);
                return match landing {
                    Some(wake) => Decision::Stay { wake: Some(wake) },
                    None => plan(true),
                };
            }
            (true, false) => {
                return match quarantine_left(attempt, now)
                    .max(recorded_quarantine_left(status, now))
                {
                    Some(wake) => Decision::Stay { wake: Some(wake) },
                    None => plan(false),
                };
            }
            (false, true) if !spent => return plan(false),
            // The attempt on record was refused. The Secret holds another value by now, or this value may
            // have been applied before (spent). `synced` decides below.
            (false, _) => {}
        }
    }
    match &status.synced {
        // If an older key signed `synced`, the newest key signs the value again, so that older keys can be
        // deleted.
        Some(synced)
            if observed.is_synced(synced, version, value) && !observed.has_new_request() =>
        {
            let signed = Synced {
                fingerprint: value.fingerprint.clone(),
                ..synced.clone()
            };
            let key_gone = value.synced == Some(Match::KeyGone);
            settle(observed, signed, version, key_gone, now)
        }
        Some(_) | None => match backoff_left(observed, Some(value), now) {
            Some(wake) => Decision::Stay { wake: Some(wake) },
            None => match recorded_quarantine_left(status, now) {
                Some(wake) if value.synced != Some(Match::Same) => {
                    Decision::Report(Box::new(report_pending_call(observed, wake, now)))
                }
                Some(_) | None => plan(false),
            },
        },
    }
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

/// The decision that leaves an attempt at this value alone for now; None if the value may be sent.
fn hold(
    observed: &Observation<'_>,
    attempt: &Attempt,
    value: &Comparison,
    now: Timestamp,
) -> Option<Decision> {
    let asked_anew = observed.has_new_request() || attempt.generation != observed.generation;
    match ready_class(observed.status) {
        // A person must act, so this value is not sent again. `InvalidSecretValue` is the exception: that
        // verdict is about another value that the Secret held in between.
        Some(Class::Stalled)
            if !asked_anew
                && observed.ready_is_current()
                && !observed.waited_for_grant()
                && observed.status.ready_reason() != Some(Reason::InvalidSecretValue) =>
        {
            Some(re_sign_attempt(observed, attempt, value))
        }
        Some(Class::Waiting | Class::Transient | Class::Unknown) => {
            let wake = backoff_left(observed, Some(value), now)?;
            Some(Decision::Stay { wake: Some(wake) })
        }
        Some(Class::Stalled | Class::Settled) | None => None,
    }
}

/// Signs a stalled attempt with the newest key, so that older keys can be deleted. `Stay` if the newest key
/// signed the attempt already.
fn re_sign_attempt(observed: &Observation<'_>, attempt: &Attempt, value: &Comparison) -> Decision {
    let told = ready_verdict(observed.status);
    match told.filter(|_| attempt.fingerprint != value.fingerprint) {
        None => Decision::Stay { wake: None },
        Some(verdict) => {
            let mut status = observed.status.clone();
            status.attempt = Some(Attempt {
                fingerprint: value.fingerprint.clone(),
                ..attempt.clone()
            });
            Decision::Report(Box::new(Report::new(status, verdict, None)))
        }
    }
}

/// Reports that the value is set. The attempt and the failures are dropped.
fn settle(
    observed: &Observation<'_>,
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
    let mut status = settled_status(before, &verdict, observed.generation, now);
    status.synced = Some(synced.clone());
    status.last_handled_reconcile_at = handled_request(observed);
    if status == *before {
        // At most the Secret's metadata or other keys changed, and that is not worth a write.
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

fn report(observed: &Observation<'_>, verdict: Verdict, now: Timestamp) -> Decision {
    Decision::Report(Box::new(reported(observed, verdict, now)))
}

/// Reports that this version of the Secret holds no usable value.
fn report_unusable(
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
