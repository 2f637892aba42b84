//! Two resources for one user: the oldest one manages the user. A resource that takes the user over from
//! another resource, older or younger, no longer believes its own record.

use super::{
    decision::Report,
    observation::{Observation, OlderResource},
    record::{in_doubt, retire_into, retire_synced},
};
use crate::{
    api::{Attempt, Reason, Status},
    core::{
        clock::is_yet_to_come,
        condition::{conditions::conditions, verdict::Verdict},
        credential::fingerprint::retire,
    },
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use std::time::Duration;

/// The verdict on a duplicate. The duplicate keeps its record. If the operator did not see the older resource
/// for a time, for example because its watch was broken, this record later shows that another resource has
/// set the user meanwhile.
pub(crate) fn verdict(older: &OlderResource) -> Verdict {
    let (meaning, cure) = match older {
        OlderResource::SameNamespace(name) => (
            format!(
                "the older resource {name} manages this user of this pool already, so the operator didn't call Cognito"
            ),
            Reason::DuplicateUser.entry().cure,
        ),
        OlderResource::OtherNamespace => (
            "an older resource in another namespace manages this user of this pool already, so the operator didn't call Cognito".to_owned(),
            "delete this resource, or have the other one deleted; or, if the pool is case-sensitive and the usernames differ in case, name the user by the sub, in a new resource",
        ),
    };
    Verdict::with(Reason::DuplicateUser, &meaning, None, cure)
}

/// The report of a take-over, if another resource managed the user since this resource did; None otherwise.
pub(crate) fn take_over(
    observed: &Observation<'_>,
    now: Timestamp,
    fresh_id: &str,
) -> Option<Report> {
    let before = observed.status;
    let mut status = superseded(observed, now, fresh_id);
    if status == *before && !was_duplicate(before) {
        return None;
    }
    let verdict = Verdict::new(Reason::Progressing);
    status.failures = None;
    status.conditions = conditions(before, &verdict, observed.generation, now);
    Some(Report::new(status, verdict, Some(Duration::ZERO)))
}

fn was_duplicate(status: &Status) -> bool {
    status.ready_reason() == Some(Reason::DuplicateUser)
}

/// The status after another resource managed the user; unchanged if no other resource has managed the user
/// since this one last did.
///
/// - A value that was set before the other resource's call goes from `synced` to `retired`. A refused attempt
///   from before that call is dropped.
/// - The value of an open attempt goes to `retired`, so that a refusal by the password history proves
///   nothing. The attempt itself stays, because its call may still land.
/// - A temporary value that was set becomes an open attempt, because the user may have chosen another
///   password.
pub(crate) fn superseded(observed: &Observation<'_>, now: Timestamp, fresh_id: &str) -> Status {
    let before = observed.status;
    let was_duplicate = was_duplicate(before) || observed.older.is_some();
    // If a rival's time lies in the future, a clock was wrong. Such a time is ignored: it would count as
    // later than every own set.
    let rival_at = observed.rival_at.filter(|at| *at <= now);
    // An own time in the future comes from a wrong clock too, and counts as earlier than the rival's time.
    let is_past = |at: &MicroTime| {
        was_duplicate || rival_at.is_some_and(|rival| at.0 < rival || is_yet_to_come(at.0, now))
    };
    let mut status = before.clone();
    let synced = retire_synced(&mut status, |synced| is_past(&synced.at));
    match &status.attempt {
        Some(attempt) if attempt.is_open() && is_past(&attempt.started_at) => {
            let known = status.retired.contains(&retire(&attempt.fingerprint));
            let doubtful = (!known).then_some(attempt.fingerprint.as_str());
            retire_into(&mut status.retired, doubtful);
        }
        Some(attempt) if is_past(&attempt.started_at) => status.attempt = None,
        Some(_) | None => {}
    }
    let open = status.attempt.as_ref().is_some_and(Attempt::is_open);
    if let Some(synced) = synced.filter(|_| !open && !observed.spec.permanent) {
        let id = fresh_id.to_owned();
        status.attempt = Some(in_doubt(synced, id, observed.generation));
    }
    status
}
