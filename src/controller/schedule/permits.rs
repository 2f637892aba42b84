//! Permits of the rate limiters. A reconcile that is about to call Cognito asks for a permit.
//!
//! If no permit is free, the reconcile ends and frees its slot. Once the permit is given, the key goes to the
//! front of the queue ([`Turns`]). A new reconcile then reads and decides again.
//!
//! The account and Region of a call are mostly known before the Secret is read. The reconcile then waits for
//! the permit first ([`Permits::wait_for_permit`]). If the wait is short, the operator neither reads nor writes
//! before the permit is given. So a storm of changes costs one read and two writes for each set.
//!
//! Each account, Region and quota category has a rate limiter, so no category takes the calls of another one.
//! But a bound on the permits of all rate limiters holds in each instance of [`Permits`]. So `ListUsers` needs
//! an instance of its own, with its own kind of key: if `ListUsers` hangs, sets keep their permits. Each
//! category belongs to one instance: with two, twice as many calls would leave.

mod state;
mod waiter;

pub use state::Payer;
pub use waiter::{Turns, Waiter};

use crate::{
    controller::isolate::isolated,
    core::schedule::rate_limit::{Category, PermitEnd, RateLimiter, RateLimits, Urgency, room},
    ops::metrics::Metrics,
};
use state::State;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};
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

/// Hands out the permits of all accounts, Regions and categories to keys of one kind. Cheap to clone.
#[derive(Clone)]
pub struct Permits<K>(Arc<Shared<K>>);

struct Shared<K> {
    /// Where the keys go that were given a permit.
    turns: Box<dyn Turns<K>>,
    /// Time zero of the clock of all rate limiters.
    origin: Instant,
    state: Mutex<State<K>>,
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
pub struct Permit<K: Waiter> {
    permits: Permits<K>,
    key: K,
    payer: Payer,
    /// When the call began; none before [`Permit::calling`].
    called_at: Option<Duration>,
    end: PermitEnd,
}

impl<K: Waiter> Permits<K> {
    /// Creates the permits. `limits` are those of the command line: a rate limiter has the share of its
    /// category. A key that is given a permit goes into `turns`. [`give`](Self::give) must run as well.
    #[must_use]
    pub fn new(limits: RateLimits, turns: impl Turns<K>) -> Self {
        Self(Arc::new(Shared {
            turns: Box::new(turns),
            origin: Instant::now(),
            state: Mutex::new(State::new(limits)),
            changed: Notify::new(),
        }))
    }

    /// Takes the permit of this key, if the permit has been given.
    ///
    /// # Errors
    /// [`PermitWait`]: the key now waits for a permit.
    pub fn claim(&self, key: &K, payer: &Payer, urgency: Urgency) -> Result<Permit<K>, PermitWait> {
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
    pub fn wait_for_permit(&self, key: &K, payer: &Payer) -> Result<(), PermitWait> {
        self.enter_queue(&mut self.lock(), key, payer, Urgency::Requested)
    }

    /// Lets the key wait in the rate limiter of `payer`, then gives the permits that are due there.
    fn enter_queue(
        &self,
        state: &mut State<K>,
        key: &K,
        payer: &Payer,
        urgency: Urgency,
    ) -> Result<(), PermitWait> {
        let now = self.now();
        let since = state.wait(key, payer, urgency, now);
        for next in state.give(payer, now) {
            if next != *key {
                self.0.turns.first(next);
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

    /// Whether this key has waited for longer than `patience` for a service that does not answer.
    #[must_use]
    pub fn waits_in_vain(&self, key: &K, patience: Duration) -> bool {
        let now = self.now();
        let state = self.lock();
        let place = state.places.get(key);
        place.is_some_and(|place| {
            now.saturating_sub(place.since) > patience && !state.answered.contains(&place.payer)
        })
    }

    /// Whether this key has an unclaimed permit.
    #[must_use]
    pub fn has_permit(&self, key: &K) -> bool {
        let state = self.lock();
        let place = state.places.get(key);
        let rate_limiter = place.and_then(|place| state.rate_limiters.get(&place.payer));
        rate_limiter.is_some_and(|rate_limiter| rate_limiter.has_permit(key))
    }

    /// Removes a key that needs no permit any more. The token of an unclaimed permit goes back.
    pub fn leave(&self, key: &K) {
        if self.lock().leave(key) {
            self.0.changed.notify_one();
        }
    }

    /// Whether this key waits or has an unclaimed permit.
    #[must_use]
    pub fn contains(&self, key: &K) -> bool {
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

    /// The number of keys that wait in the rate limiters of this category.
    #[must_use]
    pub fn waiting(&self, category: Category) -> usize {
        let state = self.lock();
        let rate_limiters = state.rate_limiters.iter();
        let of_category = rate_limiters.filter(|(payer, _)| payer.category == category);
        of_category
            .map(|(_, rate_limiter)| rate_limiter.waiting())
            .sum()
    }

    /// The number of keys that wait or have an unclaimed permit, and the number of rate limiters that are not
    /// at rest.
    #[must_use]
    pub fn entries(&self) -> [usize; 2] {
        let now = self.now();
        let mut state = self.lock();
        state.remove_idle(now);
        [state.places.len(), state.rate_limiters.len()]
    }

    /// The lowest current rate of all rate limiters of this category, in calls per second.
    #[must_use]
    pub fn rate(&self, category: Category) -> f64 {
        let now = self.now();
        let mut state = self.lock();
        let limits = state.limits.of_category(category);
        let rate_limiters = state.rate_limiters.iter_mut();
        let of_category = rate_limiters.filter(|(payer, _)| payer.category == category);
        let rates = of_category.map(|(_, rate_limiter)| rate_limiter.rate(now));
        rates.fold(limits.rps, f64::min)
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
            let given = isolated(metrics, payer, "giving permits", || state.give(payer, now));
            match given {
                Some(given) => given.into_iter().for_each(|key| self.0.turns.first(key)),
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
            let due = isolated(metrics, payer, "finding the next permit", || {
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
    fn renew(&self, state: &mut State<K>, payer: &Payer) {
        for key in state.remove_rate_limiter(payer) {
            self.0.turns.after(key, AFTER_PANIC);
        }
    }

    fn now(&self) -> Duration {
        self.0.origin.elapsed()
    }

    fn lock(&self) -> MutexGuard<'_, State<K>> {
        // Poisoning is ignored: after a panic in giving or ending a permit, `renew` replaces the rate
        // limiter.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Computes [`PermitWait::report_after`] for a key that has waited since `since`.
fn report_after<K: Waiter>(
    rate_limiter: &mut RateLimiter<K>,
    since: Duration,
    now: Duration,
) -> Option<Duration> {
    let left = (since + REPORT_AFTER_MAX).checked_sub(now)?;
    (!left.is_zero() && rate_limiter.until_all(now) <= SOON).then_some(left)
}

impl<K: Waiter> Permit<K> {
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
            let Payer {
                region, category, ..
            } = &self.payer;
            warn!(%region, %category, rps = (rate * 100.0).round() / 100.0, "Cognito throttles: the rate of calls is lowered");
        }
    }
}

impl<K: Waiter> Drop for Permit<K> {
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
