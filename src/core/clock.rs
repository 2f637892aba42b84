//! Times as a status has them. In the core, the clock itself is always an argument.

use jiff::{RoundMode, SignedDuration, Timestamp, TimestampRound, Unit};

/// The difference that is tolerated between the clocks of two replicas. If a recorded time is further in
/// the future, the clock that wrote the time was wrong, or the clock that is read now is wrong.
pub const TOLERATED: SignedDuration = SignedDuration::from_secs(30);

/// Whether a recorded time is more than [`TOLERATED`] in the future, and so can't be believed.
#[must_use]
pub fn is_yet_to_come(time: Timestamp, now: Timestamp) -> bool {
    time.duration_since(now) > TOLERATED
}

/// The time cut to microseconds. `MicroTime` is written with microseconds, so a time that is read back
/// equals the time that was written.
#[must_use]
pub fn micros(time: Timestamp) -> Timestamp {
    cut(time, Unit::Microsecond)
}

/// The time cut to seconds, as `Time` is written.
#[must_use]
pub fn seconds(time: Timestamp) -> Timestamp {
    cut(time, Unit::Second)
}

fn cut(time: Timestamp, unit: Unit) -> Timestamp {
    time.round(TimestampRound::new().smallest(unit).mode(RoundMode::Floor))
        .unwrap_or(time)
}
