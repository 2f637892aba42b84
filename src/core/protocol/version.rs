//! What a read has verified and the record doesn't say yet: that a Secret whose metadata moved still holds
//! the value that is set, or refused, or none that can be sent. That is not worth a write at once, because
//! External Secrets moves metadata all day. But as long as it isn't on record, each restart reads the Secret
//! again; and where the fingerprint key is lost, only the Secret's version tells that the value is the same.

use super::{decide::decide, decision::Decision, observation::Observation};
use crate::{
    api::{Attempt, AttemptOutcome, Class, Reason, Status},
    core::condition::ready::said,
};
use jiff::Timestamp;

/// The status, with the Secret's version in it at which this process last found what is on record; none
/// where that version is on record already, or where something else is to be done.
///
/// The version comes from [`Observation::tried`], so it was read together with the value. It must also be the
/// version that the watch shows, because a Secret that moved since isn't verified.
#[must_use]
pub fn verified(observed: &Observation<'_>, now: Timestamp) -> Option<Status> {
    let status = with_version(observed).filter(|status| status != observed.status)?;
    // What needs no id is all that is asked.
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
    } else if observed.is_settled() {
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

/// Whether the status speaks of the attempt, and nothing happens with the attempt for long. While a call is
/// made, a status says that it waits as it did before, but never that it is stalled.
fn is_left_alone(observed: &Observation<'_>, outcome: AttemptOutcome) -> bool {
    let is_about_attempt = observed.status.ready_reason().is_some_and(|reason| {
        !reason.ends_with_an_event() && !reason.is_about_grants() && reason != Reason::DuplicateUser
    });
    let for_long = match said(observed.status) {
        Some(Class::Stalled) => true,
        Some(Class::Waiting) => outcome != AttemptOutcome::Pending,
        Some(Class::Settled | Class::Transient | Class::Unknown) | None => false,
    };
    observed.is_judged() && is_about_attempt && for_long
}
