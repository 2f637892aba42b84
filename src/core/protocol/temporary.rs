//! The rules for temporary passwords: the operator sets each distinct value once. A second set would put the
//! user back to `FORCE_CHANGE_PASSWORD`, although the user may have chosen a password since. So the operator
//! sends a value that may have been applied only after a request.

use super::{
    decision::{Decision, Report},
    observation::{Comparison, Observation, SecretVersion},
    quarantine::quarantined_until,
    record::retire_into,
};
use crate::{
    api::{Attempt, AttemptOutcome, Class, Reason, Status},
    core::{
        clock::micros,
        condition::{ready::ready_verdict, status::failed_status, verdict::Verdict},
    },
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

const NO_REPLY: &str = "the operator got no usable reply, so the operator can't tell whether Cognito applied the temporary password";
const KEY_GONE: &str = "the fingerprint key is gone and the Secret or the resource has changed since, so the operator can't tell whether this temporary password was set before";

/// The decision instead of sending a value that may be spent: stay, or report the stall. None if the record
/// says that the value is set.
pub(crate) fn report_instead_of_sending(
    observed: &Observation<'_>,
    version: &SecretVersion,
    value: &Comparison,
    now: Timestamp,
    fresh_id: &str,
) -> Option<Decision> {
    let status = observed.status;
    let at_hand = |id: &str, started_at: &MicroTime, outcome| Attempt {
        id: id.to_owned(),
        fingerprint: value.fingerprint.clone(),
        generation: observed.generation,
        secret_uid: version.uid.clone(),
        secret_resource_version: version.resource_version.clone(),
        started_at: started_at.clone(),
        outcome,
        request: None,
    };
    let open = status.attempt.as_ref().filter(|a| a.is_open());
    // The call that was made for this request may have been applied. That unknown outcome answers the
    // request.
    let mut before = status.clone();
    if let Some(request) = open.and_then(|attempt| attempt.request.clone()) {
        before.last_handled_reconcile_at = Some(request);
    }
    if let Some(attempt) = open.filter(|a| observed.is_attempted(a, version, value)) {
        let said = ready_verdict(status).filter(|said| {
            let of_value = said.reason != Reason::InvalidSecretValue;
            said.class == Class::Stalled && of_value && !said.reason.is_about_grants()
        });
        if said.is_some() && observed.ready_is_current() && attempt.fingerprint == value.fingerprint
        {
            return Some(Decision::Stay { wake: None });
        }
        let attempt = at_hand(&attempt.id, &attempt.started_at, attempt.outcome);
        let verdict = said
            .filter(|said| said.reason == Reason::OutcomeUnknown)
            .unwrap_or_else(|| match attempt.outcome {
                AttemptOutcome::InHistory => Verdict::new(Reason::NotConfirmed),
                AttemptOutcome::Pending
                | AttemptOutcome::Unknown
                | AttemptOutcome::UserNotFound
                | AttemptOutcome::Refused => doubt(happened(&attempt), None),
            });
        return Some(report(observed, &before, attempt, verdict, now));
    }
    if let Some(synced) = &status.synced
        && open.is_none()
        && observed.is_synced(synced, version, value)
    {
        return None;
    }
    // The value in the Secret becomes the open attempt, signed by the newest key. A different value can then
    // be told apart from this value.
    let attempted_at = status.attempt.as_ref().map(|a| &a.started_at);
    let synced_at = status.synced.as_ref().map(|synced| &synced.at);
    let attempt = at_hand(
        fresh_id,
        attempted_at
            .or(synced_at)
            .unwrap_or(&MicroTime(micros(now))),
        AttemptOutcome::Unknown,
    );
    before.quarantined_until = quarantined_until(status);
    retire_into(&mut before.retired, open.map(|a| a.fingerprint.as_str()));
    let verdict = doubt(
        if value.retired {
            happened(&attempt)
        } else {
            KEY_GONE
        },
        None,
    );
    Some(report(observed, &before, attempt, verdict, now))
}

/// The verdict after a call that may have applied a temporary password.
pub(crate) fn without_reply(words: Option<&str>) -> Verdict {
    doubt(NO_REPLY, words)
}

/// The first half of the message: how the attempt ended, as far as the record tells.
const fn happened(attempt: &Attempt) -> &'static str {
    match attempt.outcome {
        AttemptOutcome::Pending => {
            "the operator stopped before Cognito replied, so the operator can't tell whether Cognito applied the temporary password"
        }
        AttemptOutcome::Unknown
        | AttemptOutcome::UserNotFound
        | AttemptOutcome::InHistory
        | AttemptOutcome::Refused => {
            "the operator can't tell whether Cognito applied the temporary password"
        }
    }
}

fn doubt(happened: &str, words: Option<&str>) -> Verdict {
    let meaning = format!(
        "{happened}; the operator doesn't send the value again by itself, because the user may have chosen a password of their own since"
    );
    let cure = "if the user can't sign in, put a new value into the Secret, or have the operator send this value again: kubectl annotate cup NAME --overwrite cognito-password-operator.io/requestedAt=$(date +%s)";
    Verdict::with(Reason::OutcomeUnknown, &meaning, words, cure).of_class(Class::Stalled)
}

fn report(
    observed: &Observation<'_>,
    before: &Status,
    attempt: Attempt,
    verdict: Verdict,
    now: Timestamp,
) -> Decision {
    let before = Status {
        attempt: Some(attempt),
        ..before.clone()
    };
    let (generation, uid) = (observed.generation, observed.uid);
    let status = failed_status(&before, &verdict, false, generation, uid, now);
    Decision::Report(Box::new(Report::new(status, verdict, None)))
}
