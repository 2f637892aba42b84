//! How a status is made from the one before and a verdict.

use super::{
    backoff,
    conditions::{self, conditions},
    verdict::Verdict,
};
use crate::api::Status;
use jiff::Timestamp;

/// A status that says that all is well.
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
        conditions: conditions(before, verdict, generation, now),
    }
}

/// A status with a verdict that isn't "all is well" in it.
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

/// A status that says a verdict, with everything else on record as it was.
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
