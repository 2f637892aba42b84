//! The short form of a time.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Seconds since [`EPOCH`], and the nanoseconds of that second.
#[derive(Serialize, Deserialize)]
pub(super) struct CompactTime(i64, i32);

/// 2026 in seconds since 1970: until 2030, the seconds of the operator's times take four bytes and not five.
const EPOCH: i64 = 1_767_225_600;

impl CompactTime {
    pub(super) fn of(at: Timestamp) -> Self {
        Self(at.as_second() - EPOCH, at.subsec_nanosecond())
    }

    pub(super) fn timestamp(&self) -> Timestamp {
        Timestamp::new(self.0 + EPOCH, self.1).unwrap_or_default()
    }
}
