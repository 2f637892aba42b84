//! Times as statuses hold them. The clock itself is an argument everywhere in the core.

use jiff::{RoundMode, Timestamp, TimestampRound, Unit};

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
