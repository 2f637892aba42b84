//! How a loop over many objects leaves the process's one thread to others in between: the renewal of
//! the lease, the probes, other tenants' changes.

use std::time::{Duration, Instant};
use tokio::task::yield_now;

/// How long a loop may go on before it yields. A single step of a loop takes microseconds.
const STRETCH: Duration = Duration::from_millis(5);

/// See the module. One for each loop.
pub struct Pace(Instant);

impl Pace {
    /// The loop begins.
    #[must_use]
    pub fn new() -> Self {
        Self(Instant::now())
    }

    /// A step is done. Yields if the loop has gone on for long enough.
    pub async fn step(&mut self) {
        if self.0.elapsed() >= STRETCH {
            yield_now().await;
            self.0 = Instant::now();
        }
    }
}
