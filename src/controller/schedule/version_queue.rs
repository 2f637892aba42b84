//! The resources for which the version of a Secret is to be recorded, each after a delay.

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

/// How long moves of a Secret are gathered before the version is recorded.
pub(crate) const DELAY: Duration = Duration::from_secs(10);

/// The resources whose Secret was read and found as the record says. Cheap to clone.
#[derive(Clone, Default)]
pub struct VersionQueue(Arc<Shared>);

#[derive(Default)]
pub(crate) struct Shared {
    keys: Mutex<Keys>,
    came: Notify,
}

#[derive(Default)]
pub(crate) struct Keys {
    /// By when the first read was that isn't on record.
    due: BTreeMap<(Instant, u64), Key>,
    places: HashMap<Key, (Instant, u64)>,
    last: u64,
}

impl VersionQueue {
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
        // Nothing here panics half-way through a change.
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
    async fn each_is_due_once_after_the_delay_and_whoever_is_gone_is_not() {
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
