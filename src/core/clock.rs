//! Times as statuses hold them. The clock itself is an argument everywhere in the core.

use jiff::{RoundMode, SignedDuration, Timestamp, TimestampRound, Unit};

/// So far apart the clocks of two replicas may be. What is on record with a later time than this was written
/// by a clock that was wrong, or is read by one that is wrong now.
pub const TOLERATED: SignedDuration = SignedDuration::from_secs(30);

/// Whether a time on record can't be believed: it is yet to come.
#[must_use]
pub fn is_yet_to_come(time: Timestamp, now: Timestamp) -> bool {
    time.duration_since(now) > TOLERATED
}

/// Cut to microseconds, as `MicroTime` is written: what was read back equals what was written.
#[must_use]
pub fn micros(time: Timestamp) -> Timestamp {
    cut(time, Unit::Microsecond)
}

/// Cut to seconds, as `Time` is written.
#[must_use]
pub fn seconds(time: Timestamp) -> Timestamp {
    cut(time, Unit::Second)
}

fn cut(time: Timestamp, unit: Unit) -> Timestamp {
    time.round(TimestampRound::new().smallest(unit).mode(RoundMode::Floor))
        .unwrap_or(time)
}
