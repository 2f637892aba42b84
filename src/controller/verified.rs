//! Records which version of a Secret was verified last, lazily and at a bounded pace: see
//! [`crate::core::verified`], which decides what there is to record.
//!
//! External Secrets moves a Secret's metadata all day. Several moves within [`DELAY`] are one write; and
//! after each write the recorder pauses four times as long as the write took, so that a slow API server
//! gets few. Only keys are kept.

use super::{context::Context, gather::Facts, isolate::isolated_async, key::Key, pace::Pace};
use crate::{
    cluster::{CALL_TIMEOUT, CallError, status},
    cognito::Cognito,
    core::verified::verified,
};
use jiff::Timestamp;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, sleep_until},
};
use tracing::debug;

/// How long moves of a Secret are gathered before the version is recorded.
const DELAY: Duration = Duration::from_secs(10);

/// So many times as long as a write took, the recorder pauses after it.
const PAUSE: u32 = 4;

/// The resources whose Secret was read and found as the record says. Cheap to clone.
#[derive(Clone, Default)]
pub struct Verified(Arc<Shared>);

#[derive(Default)]
struct Shared {
    keys: Mutex<Keys>,
    came: Notify,
}

#[derive(Default)]
struct Keys {
    /// By when the first read was that isn't on record.
    due: BTreeMap<(Instant, u64), Key>,
    places: HashMap<Key, (Instant, u64)>,
    last: u64,
}

impl Verified {
    /// A read found what is on record. Something may be to be recorded of that, after a while.
    pub fn add(&self, key: &Key) {
        let mut keys = self.lock();
        if keys.places.contains_key(key) {
            return;
        }
        keys.last += 1;
        let place = (Instant::now() + DELAY, keys.last);
        keys.places.insert(key.clone(), place);
        keys.due.insert(place, key.clone());
        drop(keys);
        self.0.came.notify_one();
    }

    /// The resource is gone.
    pub fn forget(&self, key: &Key) {
        let mut keys = self.lock();
        if let Some(place) = keys.places.remove(key) {
            keys.due.remove(&place);
        }
    }

    /// How many resources are to be looked at.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().places.len()
    }

    /// The next one, once its delay is over. Nothing is lost where the wait for it is given up.
    async fn next(&self) -> Key {
        loop {
            let came = self.0.came.notified();
            let next = {
                let mut keys = self.lock();
                match keys.due.first_entry() {
                    Some(first) if first.key().0 <= Instant::now() => {
                        let key = first.remove();
                        keys.places.remove(&key);
                        return key;
                    }
                    Some(first) => Some(first.key().0),
                    None => None,
                }
            };
            match next {
                Some(at) => tokio::select! {
                    () = came => {}
                    () = sleep_until(at) => {}
                },
                None => came.await,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Keys> {
        // Nothing here panics half-way through a change.
        self.0.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Records, as long as this process leads; for ever.
pub(super) async fn record<C: Cognito>(context: &Context<C>) {
    context.leadership.won().await;
    let mut pace = Pace::new();
    loop {
        let key = context.verified.next().await;
        let began = Instant::now();
        let step = "recording a verified version";
        let recording = record_one(context, &key);
        // After a panic nothing is recorded until a read verifies the version again.
        let wrote = isolated_async(&context.metrics, &key, step, recording).await;
        if wrote.unwrap_or(false) {
            sleep(began.elapsed() * PAUSE).await;
        } else {
            pace.step().await;
        }
    }
}

/// Answers with whether the API server was asked to write.
async fn record_one<C: Cognito>(context: &Context<C>, key: &Key) -> bool {
    if context.is_stopping() {
        return false;
    }
    // Not beside a reconcile, which may find the same without a read, and then adds nothing.
    let is_busy = context.queue.is_taken(key) || context.turns.holds(key);
    if is_busy || context.memory.has_unrecorded(key) {
        context.verified.add(key);
        return false;
    }
    let Some(stored) = context.index().resource(key) else {
        return false;
    };
    let resource = context.memory.freshest(key, stored);
    let facts = Facts::new(context, key, resource.clone());
    let observed = facts.observed(context, facts.hint(context));
    let Some(status) = verified(&observed, Timestamp::now()) else {
        return false;
    };
    if !context.leadership.has_left(CALL_TIMEOUT) {
        context.verified.add(key);
        return false;
    }
    match status::write(&context.client, &resource, &status).await {
        Ok(written) => {
            context.wrote(key, Arc::new(written));
            if !context.index().has_resource(key) {
                context.memory.forget(key);
            }
        }
        Err(CallError::NotFound) => {}
        // The resource has moved on, perhaps by a label only, which leads to no read. Once the watch shows
        // it, what is still verified is recorded.
        Err(CallError::Conflict) => context.verified.add(key),
        Err(error) => {
            debug!(object = %key, %error, "the version of the Secret could not be recorded");
            context.verified.add(key);
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::super::key::key;
    use super::*;
    use futures::FutureExt;

    #[tokio::test(start_paused = true)]
    async fn each_is_due_once_after_the_delay_and_whoever_is_gone_is_not() {
        let verified = Verified::default();
        let began = Instant::now();
        verified.add(&key("one"));
        verified.add(&key("gone"));
        sleep(DELAY / 2).await;
        verified.add(&key("two"));
        verified.add(&key("one"));
        verified.forget(&key("gone"));
        assert_eq!(verified.len(), 2);
        assert_eq!(verified.next().await, key("one"));
        assert_eq!(began.elapsed().as_secs(), DELAY.as_secs());
        assert!(verified.next().now_or_never().is_none());
        assert_eq!(verified.next().await, key("two"));
        assert_eq!(began.elapsed().as_secs(), DELAY.as_secs() * 3 / 2);
        assert_eq!(verified.len(), 0);
        verified.add(&key("one"));
        assert_eq!(verified.next().await, key("one"));
    }
}
