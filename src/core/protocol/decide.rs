//! The decision: what the operator does now about one resource. The correctness of the operator rests on this
//! module and on [`super::conclude`]. Both are free of I/O, and take the clock and the random id as
//! arguments.
//!
//! The operator decides first on what the watches show: in triage, mostly with the result `Stay`, and again
//! when a reconcile begins. Only if the value is needed does it decide once more, on a read of the Secret.

mod reports;
mod stalled;
mod value;

pub use reports::{report_missing_credentials, report_pending_call, report_while_queued};
pub use stalled::decide_at_closed_gate;

use super::{
    duplicate,
    looked::{guard, or_look},
    obligation::or_sign_out,
    observation::{Observation, SecretState},
};
use crate::{
    api::{Reason, Status},
    core::{
        access::{authority::Authority, grant::Admission},
        condition::{
            conditions::suspended as suspended_conditions, ready::ready_verdict, verdict::Verdict,
        },
        names::target::Target,
        protocol::decision::{Decision, Report},
    },
};
use jiff::Timestamp;
pub(super) use reports::report;
use reports::{report_unusable, unanswered};
use stalled::while_waiting;
use std::time::Duration;
use value::{decide_unread, decide_value};

/// The recheck interval while the grants are not known.
const UNTIL_GRANTS_ARE_KNOWN: Duration = Duration::from_secs(5);

/// Maps an observation to one decision. `fresh_id` is a random id for an attempt.
#[must_use]
pub fn decide(observed: &Observation<'_>, now: Timestamp, fresh_id: &str) -> Decision {
    let decision = decide_observed(observed, now, fresh_id);
    match unless_unchanged(observed.status, decision) {
        Decision::Stay { wake } => while_waiting(observed, wake, now),
        other => other,
    }
}

/// `Stay` instead of a report that would change nothing.
fn unless_unchanged(before: &Status, decision: Decision) -> Decision {
    match decision {
        Decision::Report(report) if needs_no_write(before, &report.status) => {
            Decision::Stay { wake: report.wake }
        }
        other => other,
    }
}

/// Whether a report would change nothing in the status that is worth a write.
///
/// Two differences are not worth a write. The first is a retry time that an earlier version of the operator
/// wrote although an event ends the wait. The second is the version of an unusable Secret, which
/// [`crate::core::protocol::version`] records at its own pace.
fn needs_no_write(before: &Status, after: &Status) -> bool {
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

fn decide_observed(observed: &Observation<'_>, now: Timestamp, fresh_id: &str) -> Decision {
    if observed.deleting {
        return Decision::Leave;
    }
    if observed.spec.suspend {
        return report_suspended(observed, now, fresh_id);
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
        Admission::NotGranted => {
            return report_not_admitted(observed, Reason::NotGranted, now, fresh_id);
        }
        Admission::Ambiguous => {
            return report_not_admitted(observed, Reason::AmbiguousGrant, now, fresh_id);
        }
        Admission::UnknownRegion => {
            return report_not_admitted(observed, Reason::UnknownRegion, now, fresh_id);
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
    let decision = decide_on_secret(observed, authority, now, fresh_id);
    let decision = unless_unchanged(observed.status, decision);
    let decision = or_sign_out(observed, authority, decision, now);
    or_look(observed, decision, now)
}

fn decide_on_secret(
    observed: &Observation<'_>,
    authority: &Authority,
    now: Timestamp,
    fresh_id: &str,
) -> Decision {
    let reference = &observed.spec.password_secret_ref;
    match &observed.secret {
        SecretState::Seen(version) => match decide_unread(observed, version, now) {
            Decision::Read => guard(observed, now).unwrap_or(Decision::Read),
            other => other,
        },
        // The status already says `SecretNotFound`, and a watch event reports a new Secret. So no recheck is
        // needed.
        SecretState::NotSeen => {
            let is_reported = observed.status.ready_reason() == Some(Reason::SecretNotFound);
            if is_reported && observed.ready_is_current() && !observed.has_new_request() {
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
        SecretState::Value(version, value) => {
            match decide_value(observed, authority, version, value, now, fresh_id) {
                Decision::Set(plan) => guard(observed, now).unwrap_or(Decision::Set(plan)),
                other => other,
            }
        }
    }
}

/// Reports a suspension once for each generation, so that no client waits for this generation any longer.
///
/// The record stays, with one exception: if another resource manages the user meanwhile, the record is
/// corrected now. The other resource may be gone when the suspension ends, and the correction would then be
/// missed.
fn report_suspended(observed: &Observation<'_>, now: Timestamp, fresh_id: &str) -> Decision {
    let before = observed.status;
    let status = Status {
        observed_generation: Some(observed.generation),
        conditions: suspended_conditions(before, observed.generation, now),
        ..duplicate::superseded(observed, now, fresh_id)
    };
    if status == *before {
        return Decision::Leave;
    }
    // The verdict on the password stays as before, so the report changes nothing there.
    let verdict = ready_verdict(before).unwrap_or_else(|| Verdict::new(Reason::Progressing));
    Decision::Report(Box::new(Report::new(status, verdict, None)))
}

/// Reports that the grants don't admit the resource. The operator then neither reads the Secret nor calls
/// Cognito.
///
/// The record stays until the resource is admitted again, and so does an open attempt. Only if another
/// resource managed the user meanwhile is the record corrected now.
fn report_not_admitted(
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
