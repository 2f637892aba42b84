//! Permits of the rate limiters. A reconcile that is about to call Cognito asks for a permit.
//!
//! If no permit is free, the reconcile ends and frees its slot. Once the permit is given, the key goes to the
//! front of the [`Queue`]. A new reconcile then reads and decides again.
//!
//! The account and Region of a call are mostly known before the Secret is read. The reconcile then waits for
//! the permit first ([`Permits::wait_for_permit`]). If the wait is short, the operator neither reads nor writes
//! before the permit is given. So a storm of changes costs one read and two writes for each set.

mod state;

pub use state::Payer;

use super::queue::Queue;
use crate::{
    controller::{isolate::isolated, state::key::Key},
    core::schedule::rate_limit::{PermitEnd, RateLimiter, RateLimits, Urgency, room},
    ops::metrics::Metrics,
};
use state::State;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::Notify;
use tracing::{error, warn};

/// If there are tokens for all waiting keys within this time, a key does not wait for tokens but only for the
/// calls of earlier keys.
const SOON: Duration = Duration::from_secs(1);

/// After this time of waiting, the status reports that the set is queued.
const REPORT_AFTER_MAX: Duration = Duration::from_secs(30);

/// The time between two removals of the rate limiters that are at rest.
const IDLE_REMOVAL_INTERVAL: Duration = Duration::from_secs(1);

/// The time after which the keys of a rate limiter that panicked are queued again, to enter a new rate
/// limiter.
const AFTER_PANIC: Duration = Duration::from_secs(1);

/// Hands out the permits of all accounts and Regions. Cheap to clone.
#[derive(Clone)]
pub struct Permits(Arc<Shared>);

struct Shared {
    limits: RateLimits,
    queue: Queue,
    /// Time zero of the clock of all rate limiters.
    origin: Instant,
    state: Mutex<State>,
    /// Wakes [`Permits::give`] after a key began to wait or a permit ended.
    changed: Notify,
}

/// The key has no permit yet and waits for one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PermitWait {
    /// For how long the status may stay as it is: the key waits only until earlier calls end. None: the key
    /// waits for tokens, or has waited for `REPORT_AFTER_MAX`, so an untrue status is corrected now.
    pub report_after: Option<Duration>,
}

/// The right to make one call. If the permit is dropped before [`Permit::calling`], the token goes back.
pub struct Permit {
    permits: Permits,
    key: Key,
    payer: Payer,
    /// When the call began; none before [`Permit::calling`].
    called_at: Option<Duration>,
    end: PermitEnd,
}

impl Permits {
    /// Creates the permits with the same limits for every rate limiter. A key that is given a permit goes
    /// into `queue`.
    #[must_use]
    pub fn new(limits: RateLimits, queue: Queue) -> Self {
        Self(Arc::new(Shared {
            limits,
            queue,
            origin: Instant::now(),
            state: Mutex::default(),
            changed: Notify::new(),
        }))
    }

    /// Takes the permit of this key, if the permit has been given.
    ///
    /// # Errors
    /// [`PermitWait`]: the key now waits for a permit.
    pub fn claim(&self, key: &Key, payer: &Payer, urgency: Urgency) -> Result<Permit, PermitWait> {
        let mut state = self.lock();
        self.enter_queue(&mut state, key, payer, urgency)?;
        // From here on only the `Permit` ends the permit. A deleted resource does not undo a call that is
        // under way.
        state.places.remove(key);
        Ok(Permit {
            permits: self.clone(),
            key: key.clone(),
            payer: payer.clone(),
            called_at: None,
            end: PermitEnd::Unsent,
        })
    }

    /// Waits for a permit before the Secret is read, in the class [`Urgency::Requested`]. A permit that has
    /// been given is kept for [`claim`](Self::claim).
    ///
    /// # Errors
    /// [`PermitWait`]: the key now waits for a permit.
    pub fn wait_for_permit(&self, key: &Key, payer: &Payer) -> Result<(), PermitWait> {
        self.enter_queue(&mut self.lock(), key, payer, Urgency::Requested)
    }

    /// Lets the key wait in the rate limiter of `payer`, then gives the permits that are due there.
    fn enter_queue(
        &self,
        state: &mut State,
        key: &Key,
        payer: &Payer,
        urgency: Urgency,
    ) -> Result<(), PermitWait> {
        let now = self.now();
        let since = state.enter(key, payer, now);
        let rate_limiter = state.rate_limiters.entry(payer.clone());
        let rate_limiter = rate_limiter.or_insert_with(|| RateLimiter::new(self.0.limits, now));
        rate_limiter.wait(key.namespace(), key, urgency);
        state.join_rotation(payer);
        for next in state.give(payer, now) {
            if next != *key {
                self.0.queue.push_first(next);
            }
        }
        self.0.changed.notify_one();
        match state.rate_limiters.get_mut(payer) {
            Some(rate_limiter) if rate_limiter.has_permit(key) => Ok(()),
            Some(rate_limiter) => Err(PermitWait {
                report_after: report_after(rate_limiter, since, now),
            }),
            None => Err(PermitWait { report_after: None }),
        }
    }

    /// Whether this key has an unclaimed permit.
    #[must_use]
    pub fn has_permit(&self, key: &Key) -> bool {
        let state = self.lock();
        let place = state.places.get(key);
        let rate_limiter = place.and_then(|place| state.rate_limiters.get(&place.payer));
        rate_limiter.is_some_and(|rate_limiter| rate_limiter.has_permit(key))
    }

    /// Removes a key that needs no permit any more. The token of an unclaimed permit goes back.
    pub fn leave(&self, key: &Key) {
        if self.lock().leave(key) {
            self.0.changed.notify_one();
        }
    }

    /// Whether this key waits or has an unclaimed permit.
    #[must_use]
    pub fn contains(&self, key: &Key) -> bool {
        self.lock().places.contains_key(key)
    }

    /// Gives permits when they are due. Never returns.
    pub async fn give(&self, metrics: &Metrics) {
        loop {
            let next = self.give_due(metrics);
            let due = async {
                match next {
                    Some(next) => tokio::time::sleep(next).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => {}
                () = self.0.changed.notified() => {}
            }
        }
    }

    /// The number of waiting keys in all rate limiters.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.lock()
            .rate_limiters
            .values()
            .map(RateLimiter::waiting)
            .sum()
    }

    /// The number of keys that wait or have an unclaimed permit, and the number of rate limiters that are not
    /// at rest.
    #[must_use]
    pub fn entries(&self) -> [(&'static str, usize); 2] {
        let now = self.now();
        let mut state = self.lock();
        state.remove_idle(now);
        [
            ("budget", state.places.len()),
            ("budgets", state.rate_limiters.len()),
        ]
    }

    /// The lowest current rate of all rate limiters, in calls per second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        let now = self.now();
        let mut state = self.lock();
        let rates = state
            .rate_limiters
            .values_mut()
            .map(|rate_limiter| rate_limiter.rate(now));
        rates.fold(self.0.limits.rps, f64::min)
    }

    /// Gives the permits that are due. Returns the time until the next permit is due, if that time is known.
    fn give_due(&self, metrics: &Metrics) -> Option<Duration> {
        let now = self.now();
        let mut state = self.lock();
        let waiting: Vec<_> = state.rotation.values().cloned().collect();
        for payer in &waiting {
            if room(state.permits, true) == 0 {
                break;
            }
            let region = &payer.1;
            let given = isolated(metrics, region, "giving permits", || state.give(payer, now));
            match given {
                Some(given) => given
                    .into_iter()
                    .for_each(|key| self.0.queue.push_first(key)),
                None => self.renew(&mut state, payer),
            }
        }
        if now >= state.idle_removed_at + IDLE_REMOVAL_INTERVAL {
            isolated(
                metrics,
                &"rate_limiters",
                "dropping idle rate limiters",
                || {
                    state.remove_idle(now);
                },
            );
        }
        let mut next = None;
        for payer in &waiting {
            let region = &payer.1;
            let due = isolated(metrics, region, "finding the next permit", || {
                state.next_permit_in(payer, now)
            });
            match due {
                Some(due) => next = next.into_iter().chain(due).min(),
                None => self.renew(&mut state, payer),
            }
        }
        next
    }

    /// Replaces a rate limiter after a panic, because the panic may have left the rate limiter half-changed.
    /// The keys enter a new rate limiter after [`AFTER_PANIC`].
    fn renew(&self, state: &mut State, payer: &Payer) {
        for key in state.remove_rate_limiter(payer) {
            self.0.queue.push_after(key, AFTER_PANIC);
        }
    }

    fn now(&self) -> Duration {
        self.0.origin.elapsed()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Poisoning is ignored: after a panic in giving or ending a permit, `renew` replaces the rate
        // limiter.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Computes [`PermitWait::report_after`] for a key that has waited since `since`.
fn report_after(
    rate_limiter: &mut RateLimiter<Key>,
    since: Duration,
    now: Duration,
) -> Option<Duration> {
    let left = (since + REPORT_AFTER_MAX).checked_sub(now)?;
    (!left.is_zero() && rate_limiter.until_all(now) <= SOON).then_some(left)
}

impl Permit {
    /// Marks that the call begins now, so the token is spent.
    pub fn calling(&mut self) {
        self.called_at = Some(self.permits.now());
    }

    /// Marks that the service answered the call.
    pub fn answered(&mut self) {
        self.end = PermitEnd::Answered;
    }

    /// Marks that no reply came, or that no connection to the service could be made.
    pub fn no_reply(&mut self) {
        self.end = PermitEnd::NoReply;
    }

    /// Lowers the rate after Cognito throttled this call.
    pub fn throttled(&self) {
        let Some(called_at) = self.called_at else {
            return;
        };
        let now = self.permits.now();
        let mut state = self.permits.lock();
        let Some(rate_limiter) = state.rate_limiters.get_mut(&self.payer) else {
            return;
        };
        let before = rate_limiter.rate(now);
        rate_limiter.throttled(called_at, now);
        let rate = rate_limiter.rate(now);
        drop(state);
        if rate < before {
            let region = &self.payer.1;
            warn!(%region, rps = (rate * 100.0).round() / 100.0, "Cognito throttles: the rate of calls is lowered");
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let now = self.permits.now();
        // A panic here while a reconcile unwinds would abort the process.
        let ended = catch_unwind(AssertUnwindSafe(|| {
            let mut state = self.permits.lock();
            if self.called_at.is_some() {
                state.used(&self.payer, &self.key, self.end, now);
            } else {
                state.release(&self.payer, &self.key);
            }
        }));
        if ended.is_err() {
            error!(object = %self.key, "returning a permit to the rate limiter panicked; the rate limiter starts afresh");
            self.permits.renew(&mut self.permits.lock(), &self.payer);
        }
        self.permits.0.changed.notify_one();
    }
}

#[cfg(test)]
mod tests;
