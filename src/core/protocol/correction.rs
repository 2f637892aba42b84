//! The brakes on corrections: sets that nobody asked for, because looks found a deviation.
//!
//! - One user: each correction waits longer than the one before. After four, none of them followed by seven quiet
//!   days, the operator corrects no more.
//! - One pool: ten an hour. A security team that resets a whole pool must not be undone.
//! - A user who may be a stranger is never set.

use super::observation::Observation;
use crate::{
    api::{Corrections, Drift, Status},
    core::{clock, look::judge::Deviation},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use std::time::Duration;

/// How long after the last correction the number of corrections is forgotten.
const QUIET: SignedDuration = SignedDuration::from_hours(7 * 24);

/// After this number of corrections, each of them within [`QUIET`] of the one before, somebody else is at work. The
/// operator corrects no more until [`QUIET`] has passed.
const CORRECTIONS_MAX: u32 = 4;

/// The wait before the second correction is twice this long, and each further wait twice as long again.
const FIRST_WAIT: SignedDuration = SignedDuration::from_mins(15);
const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(24);

/// Whether the operator may correct a deviation now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Correction {
    /// The spec doesn't ask for it, or a set could do harm.
    Never,
    /// Now.
    Now,
    /// After this time: an earlier correction didn't last.
    After(Duration),
    /// Too many corrections of this user.
    Contested,
    /// Too many corrections in this pool.
    TooManyInPool,
}

/// Whether the operator may correct this deviation now.
pub(crate) fn correction(
    observed: &Observation<'_>,
    deviation: Deviation,
    now: Timestamp,
) -> Correction {
    let is_safe = match deviation {
        Deviation::Recreated { by_administrator } => by_administrator,
        Deviation::Reset => observed.spec.permanent,
        Deviation::Disabled
        | Deviation::Gone
        | Deviation::Unconfirmed
        | Deviation::Federated
        | Deviation::Expired => false,
    };
    if observed.drift != Drift::Correct || !is_safe {
        return Correction::Never;
    }
    if let Some(Corrections { count, at }) = corrections(observed.status, now) {
        if *count >= CORRECTIONS_MAX {
            return Correction::Contested;
        }
        let wait = FIRST_WAIT.checked_mul(2_i32.pow(*count));
        let wait = wait.map_or(LONGEST_WAIT, |wait| wait.min(LONGEST_WAIT));
        let left = Duration::try_from((at.0 + wait).duration_since(now)).unwrap_or_default();
        if !left.is_zero() {
            return Correction::After(left);
        }
    }
    if observed.corrections_left {
        Correction::Now
    } else {
        Correction::TooManyInPool
    }
}

/// The corrections on record that are not forgotten yet. A time in the future comes from a wrong clock.
fn corrections(status: &Status, now: Timestamp) -> Option<&Corrections> {
    let recent = |it: &&Corrections| {
        !clock::is_yet_to_come(it.at.0, now) && now.duration_since(it.at.0) < QUIET
    };
    status.corrections.as_ref().filter(recent)
}

/// The corrections on record after a set: one more for a correction.
pub(crate) fn corrections_after(
    status: &Status,
    is_correction: bool,
    now: Timestamp,
) -> Option<Corrections> {
    let before = corrections(status, now);
    if !is_correction {
        return before.cloned();
    }
    Some(Corrections {
        count: before.map_or(0, |it| it.count).saturating_add(1),
        at: MicroTime(clock::micros(now)),
    })
}

/// The corrections on record after Cognito refused one. The refusal delays the next correction, and counts as the
/// first one at most: nobody contests the user.
pub(crate) fn corrections_after_refusal(status: &Status, now: Timestamp) -> Corrections {
    Corrections {
        count: corrections(status, now).map_or(1, |it| it.count),
        at: MicroTime(clock::micros(now)),
    }
}
