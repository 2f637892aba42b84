//! Verified versions of Secrets. A read found that a Secret with a newer version still holds the value on
//! record, or still no usable value.
//!
//! External Secrets moves metadata all day, so a verified version is not written at once. But the version
//! must get on record: until then, each restart reads the Secret again. If the fingerprint key is lost, only
//! the version proves that the value is the same.

use super::{decide::decide, decision::Decision, observation::Observation};
use crate::{
    api::{Attempt, AttemptOutcome, Class, Reason, Status},
    core::condition::ready::ready_class,
};
use jiff::Timestamp;

/// The status with the version at which this process last read the value on record. None if that version is
/// on record already, or if the decision is anything but `Stay`.
///
/// The version comes from [`Observation::tried`], so the version was read together with the value. The
/// version must also be the one that the watch shows, because a newer version is not verified.
#[must_use]
pub fn verified(observed: &Observation<'_>, now: Timestamp) -> Option<Status> {
    let status = with_version(observed).filter(|status| status != observed.status)?;
    // An empty id is enough: only `Stay` matters here, and `Stay` has no attempt.
    let stays = matches!(decide(observed, now, ""), Decision::Stay { .. });
    stays.then_some(status)
}

fn with_version(observed: &Observation<'_>) -> Option<Status> {
    let version = observed.secret.version()?;
    let found = observed.tried_at(version)?.fingerprint.as_ref();
    let mut status = observed.status.clone();
    let on_record = if observed.says_unusable() {
        let unusable = status.unusable.as_mut().filter(|_| found.is_none())?;
        [
            &mut unusable.secret_uid,
            &mut unusable.secret_resource_version,
        ]
    } else if observed.is_set() {
        let synced = (status.synced.as_mut()).filter(|it| Some(&it.fingerprint) == found)?;
        [&mut synced.secret_uid, &mut synced.secret_resource_version]
    } else {
        let is_this = |attempt: &&mut Attempt| {
            Some(&attempt.fingerprint) == found && attempt.generation == observed.generation
        };
        let attempt = (status.attempt.as_mut())
            .filter(is_this)
            .filter(|attempt| is_left_alone(observed, attempt.outcome))?;
        [
            &mut attempt.secret_uid,
            &mut attempt.secret_resource_version,
        ]
    };
    let [uid, resource_version] = on_record;
    uid.clone_from(&version.uid);
    resource_version.clone_from(&version.resource_version);
    Some(status)
}

/// Whether the status speaks of the attempt, and the attempt stays as it is for long. During a call, the
/// conditions can still say that the resource waits, as before the call. Conditions of the class Stalled
/// never stay during a call.
fn is_left_alone(observed: &Observation<'_>, outcome: AttemptOutcome) -> bool {
    let is_about_attempt = observed.status.ready_reason().is_some_and(|reason| {
        !reason.ends_with_an_event() && !reason.is_about_grants() && reason != Reason::DuplicateUser
    });
    let for_long = match ready_class(observed.status) {
        Some(Class::Stalled) => true,
        Some(Class::Waiting) => outcome != AttemptOutcome::Pending,
        Some(Class::Settled | Class::Transient | Class::Unknown) | None => false,
    };
    observed.ready_is_current() && is_about_attempt && for_long
}
