//! Tells the other modules whether this process leads.

use rustix::time::{ClockId, clock_gettime};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::watch;

/// Whether this process leads. Cheap to query and to clone.
#[derive(Clone, Debug)]
pub struct Leadership(Option<Arc<State>>);

/// The writing end of a [`Leadership`].
#[derive(Debug)]
pub struct LeadershipHandle(Arc<State>);

#[derive(Debug)]
struct State {
    /// When the lease ends, in nanoseconds of [`clock`]; 0 without the lease.
    until: AtomicU64,
    /// `leaseTransitions` of the Lease, as this process last read or wrote the Lease.
    transitions: AtomicU64,
    /// The number of requests for the Lease that failed.
    failures: AtomicU64,
    won: watch::Sender<bool>,
}

impl Leadership {
    /// Leadership without an election: no other process exists.
    #[must_use]
    pub fn always() -> Self {
        Self(None)
    }

    /// Leadership by an election that isn't won yet. The election reports the lease through the handle.
    #[must_use]
    pub fn elected() -> (LeadershipHandle, Self) {
        let state = Arc::new(State {
            until: AtomicU64::new(0),
            transitions: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            won: watch::Sender::new(false),
        });
        (LeadershipHandle(state.clone()), Self(Some(state)))
    }

    /// Whether leadership depends on an election.
    #[must_use]
    pub fn is_elected(&self) -> bool {
        self.0.is_some()
    }

    /// Whether this process holds the lease for longer than `at_least` from now. Always true without an
    /// election. The answer comes from the clock, so a process that was frozen or starved past its lease gets
    /// `false` before any other code notices.
    #[must_use]
    pub fn has_left(&self, at_least: Duration) -> bool {
        self.0.as_ref().is_none_or(|state| {
            let until = Duration::from_nanos(state.until.load(Ordering::Acquire));
            until > clock().saturating_add(at_least)
        })
    }

    /// How often the Lease has changed its holder: `leaseTransitions`, as this process last saw the Lease. 0
    /// without an election.
    #[must_use]
    pub fn transitions(&self) -> u64 {
        let state = self.0.as_ref();
        state.map_or(0, |state| state.transitions.load(Ordering::Relaxed))
    }

    /// How many reads and writes of the Lease have failed. A conflict with another candidate is no failure.
    #[must_use]
    pub fn failures(&self) -> u64 {
        let state = self.0.as_ref();
        state.map_or(0, |state| state.failures.load(Ordering::Relaxed))
    }

    /// Returns once this process leads or has led.
    pub async fn won(&self) {
        if let Some(state) = &self.0 {
            // `wait_for` fails only without a sender, and `state` owns the sender.
            let _ = state.won.subscribe().wait_for(|won| *won).await;
        }
    }
}

impl LeadershipHandle {
    /// Records `leaseTransitions` of the Lease.
    pub(crate) fn set_transitions(&self, transitions: i32) {
        let transitions = u64::try_from(transitions).unwrap_or_default();
        self.0.transitions.store(transitions, Ordering::Relaxed);
    }

    /// Counts a read or a write of the Lease that failed.
    pub(crate) fn count_failure(&self) {
        self.0.failures.fetch_add(1, Ordering::Relaxed);
    }

    /// Sets the end of the lease on [`clock`]; `None` if this process doesn't hold the lease.
    pub(crate) fn set_lease_end(&self, until: Option<Duration>) {
        let nanos = until.map_or(0, |until| u64::try_from(until.as_nanos()).unwrap_or(0));
        self.0.until.store(nanos, Ordering::Release);
        if until.is_some() {
            self.0
                .won
                .send_if_modified(|won| !std::mem::replace(won, true));
        }
    }
}

/// Time since the machine's start, monotonic. On Linux this clock goes on while the machine is suspended, as
/// the clocks of the candidates do. [`std::time::Instant`] would stop.
pub(crate) fn clock() -> Duration {
    #[cfg(target_os = "linux")]
    let clock = ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    let clock = ClockId::Monotonic;
    Duration::try_from(clock_gettime(clock)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn a_process_without_election_always_leads() {
        let leadership = Leadership::always();
        assert!(leadership.has_left(Duration::MAX));
        assert!(leadership.won().now_or_never().is_some());
    }

    #[test]
    fn the_lease_ends_by_the_clock() {
        let (handle, leadership) = Leadership::elected();
        assert!(!leadership.has_left(Duration::ZERO));
        assert!(leadership.won().now_or_never().is_none());

        handle.set_lease_end(Some(clock() + HOUR));
        assert!(leadership.has_left(HOUR / 2) && !leadership.has_left(HOUR));
        assert!(leadership.won().now_or_never().is_some());

        handle.set_lease_end(Some(clock()));
        assert!(!leadership.has_left(Duration::ZERO), "nobody had to say so");
        handle.set_lease_end(Some(clock() + HOUR));
        handle.set_lease_end(None);
        assert!(!leadership.has_left(Duration::ZERO));
    }
}
