//! Lets a loop over many objects yield to the other tasks of the process's one thread: the renewal of the
//! Lease, the probes, the changes of other tenants.

use std::time::{Duration, Instant};
use tokio::task::yield_now;

/// How long a loop may run before the loop yields. A single step of a loop takes microseconds.
const STRETCH: Duration = Duration::from_millis(5);

/// Measures the time since the last yield. Each loop has its own.
pub struct Pace(Instant);

impl Pace {
    /// Creates the pace of a loop that begins now.
    #[must_use]
    pub fn new() -> Self {
        Self(Instant::now())
    }

    /// Ends one step of the loop. Yields if the loop has run for long enough.
    pub async fn step(&mut self) {
        if self.0.elapsed() >= STRETCH {
            yield_now().await;
            self.0 = Instant::now();
        }
    }
}
