//! The queue of resources whose verified Secret version is to be recorded, each after a delay.

use crate::controller::state::key::Key;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

/// How long several changes of a Secret are collected before the version is recorded.
pub(crate) const DELAY: Duration = Duration::from_secs(10);

/// The resources for which a read of the Secret found the value on record. Cheap to clone.
#[derive(Clone, Default)]
pub struct VersionQueue(Arc<Shared>);

#[derive(Default)]
pub(crate) struct Shared {
    keys: Mutex<Keys>,
    came: Notify,
}

#[derive(Default)]
pub(crate) struct Keys {
    /// The keys by due time: [`DELAY`] after the first read whose version is not recorded.
    due: BTreeMap<(Instant, u64), Key>,
    places: HashMap<Key, (Instant, u64)>,
    last: u64,
}

impl VersionQueue {
    /// Adds a resource whose Secret has the value on record. The version of the Secret may need recording
    /// after the delay.
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

    /// Removes the key of a deleted resource.
    pub fn forget(&self, key: &Key) {
        let mut keys = self.lock();
        if let Some(place) = keys.places.remove(key) {
            keys.due.remove(&place);
        }
    }

    /// The number of keys in the queue.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().places.len()
    }

    /// Waits for the next key whose delay is over, and removes the key. No key is lost if the wait is
    /// cancelled.
    pub async fn next(&self) -> Key {
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
        // No method of `Keys` panics half-way through a change.
        self.0.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::state::key::key;
    use futures::FutureExt;
    use tokio::time::sleep;

    #[tokio::test(start_paused = true)]
    async fn each_key_is_due_once_after_the_delay_and_a_forgotten_key_never() {
        let verified = VersionQueue::default();
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
