//! Whether this process leads, as those ask who act.

use rustix::time::{ClockId, clock_gettime};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::watch;

/// Whether this process leads. Cheap to ask and to clone.
#[derive(Clone, Debug)]
pub struct Leadership(Option<Arc<State>>);

/// The end that says it.
#[derive(Debug)]
pub struct LeadershipHandle(Arc<State>);

#[derive(Debug)]
struct State {
    /// Until when, in nanoseconds of the clock; 0 when it isn't held.
    until: AtomicU64,
    won: watch::Sender<bool>,
}

impl Leadership {
    /// Without an election: there is nobody else.
    #[must_use]
    pub fn always() -> Self {
        Self(None)
    }

    /// By an election, and not yet. Whoever has the other end says when.
    #[must_use]
    pub fn elected() -> (LeadershipHandle, Self) {
        let state = Arc::new(State {
            until: AtomicU64::new(0),
            won: watch::Sender::new(false),
        });
        (LeadershipHandle(state.clone()), Self(Some(state)))
    }

    /// Whether there is an election at all.
    #[must_use]
    pub fn is_elected(&self) -> bool {
        self.0.is_some()
    }

    /// Whether the lease is held, and has more than this left. It is the clock that answers: one that
    /// was frozen past its lease, or starved, hears a no before anybody has told it.
    #[must_use]
    pub fn has_left(&self, at_least: Duration) -> bool {
        self.0.as_ref().is_none_or(|state| {
            let until = Duration::from_nanos(state.until.load(Ordering::Acquire));
            until > clock().saturating_add(at_least)
        })
    }

    /// Returns once it leads, or has led.
    pub async fn won(&self) {
        if let Some(state) = &self.0 {
            // No error is possible while there is a sender, which is here.
            let _ = state.won.subscribe().wait_for(|won| *won).await;
        }
    }
}

impl LeadershipHandle {
    /// It is held until then, by [`clock`]; or it isn't.
    pub(crate) fn until(&self, until: Option<Duration>) {
        let nanos = until.map_or(0, |until| u64::try_from(until.as_nanos()).unwrap_or(0));
        self.0.until.store(nanos, Ordering::Release);
        if until.is_some() {
            self.0
                .won
                .send_if_modified(|won| !std::mem::replace(won, true));
        }
    }
}

/// Time since the machine's start. Monotonic; and unlike [`std::time::Instant`] it goes on while the
/// machine is suspended, as everybody else's does.
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
    fn who_is_alone_leads_always() {
        let leadership = Leadership::always();
        assert!(leadership.has_left(Duration::MAX));
        assert!(leadership.won().now_or_never().is_some());
    }

    #[test]
    fn the_lease_is_held_for_as_long_as_the_clock_says() {
        let (held, leadership) = Leadership::elected();
        assert!(!leadership.has_left(Duration::ZERO));
        assert!(leadership.won().now_or_never().is_none());

        held.until(Some(clock() + HOUR));
        assert!(leadership.has_left(HOUR / 2) && !leadership.has_left(HOUR));
        assert!(leadership.won().now_or_never().is_some());

        held.until(Some(clock()));
        assert!(!leadership.has_left(Duration::ZERO), "nobody had to say so");
        held.until(Some(clock() + HOUR));
        held.until(None);
        assert!(!leadership.has_left(Duration::ZERO));
    }
}
