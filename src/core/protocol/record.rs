//! Changes of the record in a status: synced, retired, and open attempts.

use super::observation::Observation;
use crate::{
    api::{Attempt, AttemptOutcome, RETIRED_MAX, Status, Synced},
    core::credential::fingerprint::retire,
};

/// Moves `synced` to the retired fingerprints if `which` accepts `synced`. Returns the former `synced` if
/// moved.
pub(crate) fn retire_synced(
    status: &mut Status,
    which: impl FnOnce(&Synced) -> bool,
) -> Option<Synced> {
    let synced = status.synced.take_if(|synced| which(synced))?;
    retire_into(&mut status.retired, Some(&synced.fingerprint));
    Some(synced)
}

/// Turns a former `synced` into an open attempt with an unknown outcome.
pub(crate) fn in_doubt(synced: Synced, id: String, generation: i64) -> Attempt {
    Attempt {
        id,
        fingerprint: synced.fingerprint,
        generation,
        secret_uid: synced.secret_uid,
        secret_resource_version: synced.secret_resource_version,
        started_at: synced.at,
        outcome: AttemptOutcome::Unknown,
        request: None,
    }
}

/// Adds a superseded fingerprint to the retired ones, and drops the oldest beyond [`RETIRED_MAX`].
pub(crate) fn retire_into(retired: &mut Vec<String>, fingerprint: Option<&str>) {
    let Some(short) = fingerprint.map(retire) else {
        return;
    };
    retired.retain(|other| *other != short);
    retired.push(short);
    let surplus = retired.len().saturating_sub(RETIRED_MAX);
    retired.drain(..surplus);
}

/// The new `lastHandledReconcileAt` once the outcome of the current request is known.
pub(crate) fn handled_request(observed: &Observation<'_>) -> Option<String> {
    observed
        .requested_at
        .map(str::to_owned)
        .or_else(|| observed.status.last_handled_reconcile_at.clone())
}
