//! Builds a status from the previous status and a verdict.

use super::{
    backoff,
    conditions::{self, conditions},
    verdict::Verdict,
};
use crate::api::Status;
use jiff::Timestamp;

/// The status after a verdict of the class Settled: without attempt, failures and unusable version.
pub(crate) fn settled_status(
    before: &Status,
    verdict: &Verdict,
    generation: i64,
    now: Timestamp,
) -> Status {
    Status {
        observed_generation: Some(generation),
        last_handled_reconcile_at: before.last_handled_reconcile_at.clone(),
        synced: before.synced.clone(),
        attempt: None,
        quarantined_until: before.quarantined_until.clone(),
        retired: before.retired.clone(),
        unusable: None,
        failures: None,
        sign_out_owed: before.sign_out_owed.clone(),
        corrections: before.corrections.clone(),
        found_as: before.found_as.clone(),
        conditions: conditions(before, verdict, generation, now),
    }
}

/// The status after a verdict of any other class. `called` says that a call to Cognito was just made.
pub(crate) fn failed_status(
    before: &Status,
    verdict: &Verdict,
    called: bool,
    generation: i64,
    uid: &str,
    now: Timestamp,
) -> Status {
    Status {
        failures: backoff::next(before, verdict, called, generation, uid, now),
        unusable: None,
        ..with_verdict(before, verdict, generation, now)
    }
}

/// The status with new conditions from a verdict. The rest of the record stays; `observedGeneration` moves
/// only if the resource is stalled.
pub(crate) fn with_verdict(
    before: &Status,
    verdict: &Verdict,
    generation: i64,
    now: Timestamp,
) -> Status {
    let moves = conditions::is_stalled(before, verdict, now);
    Status {
        observed_generation: if moves {
            Some(generation)
        } else {
            before.observed_generation
        },
        conditions: conditions(before, verdict, generation, now),
        ..before.clone()
    }
}
