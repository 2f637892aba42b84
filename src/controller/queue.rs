//! The way from what happened to a reconcile: keys only, in the order in which they came, each at
//! most once until it is taken up.

use super::key::Key;
use futures::Stream;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;

/// The end into which keys are put. Cheap to clone.
#[derive(Clone, Default)]
pub struct Queue(Arc<Shared>);

#[derive(Default)]
struct Shared {
    keys: Mutex<Keys>,
    /// There is something to hand out.
    came: Notify,
}

/// At most one entry a resource.
#[derive(Default)]
struct Keys {
    /// Who waits: with their place, or handed out and not taken up yet.
    waiting: HashMap<Key, Option<u64>>,
    /// Who is to be handed out, in this order.
    order: BTreeMap<u64, Key>,
    places: u64,
}

impl Queue {
    /// The stream of what is put into it. One is enough: each key comes out of one only.
    pub fn keys(&self) -> impl Stream<Item = Key> + Send + 'static {
        futures::stream::unfold(self.clone(), |queue| async move {
            loop {
                let came = queue.0.came.notified();
                if let Some(key) = queue.hand_out() {
                    return Some((key, queue.clone()));
                }
                came.await;
            }
        })
    }

    /// Asks for a reconcile, unless one was asked for that hasn't begun.
    pub fn push(&self, key: Key) {
        let mut keys = self.lock();
        if keys.waiting.contains_key(&key) {
            return;
        }
        keys.places += 1;
        let place = keys.places;
        keys.waiting.insert(key.clone(), Some(place));
        keys.order.insert(place, key);
        drop(keys);
        self.0.came.notify_one();
    }

    /// A reconcile begins, or will never: what happens from now on asks for another.
    pub fn taken_up(&self, key: &Key) {
        let mut keys = self.lock();
        if let Some(Some(place)) = keys.waiting.remove(key) {
            keys.order.remove(&place);
        }
    }

    /// The resource is gone. Where nobody takes keys up yet, as on a standby, they would pile up.
    pub fn forget(&self, key: &Key) {
        let mut keys = self.lock();
        if let Some(Some(place)) = keys.waiting.get(key).copied() {
            keys.order.remove(&place);
            keys.waiting.remove(key);
        }
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lock().waiting.is_empty()
    }

    fn hand_out(&self) -> Option<Key> {
        let mut keys = self.lock();
        let (_, key) = keys.order.pop_first()?;
        keys.waiting.insert(key.clone(), None);
        Some(key)
    }

    fn lock(&self) -> MutexGuard<'_, Keys> {
        // Nothing here panics half-way through a change.
        self.0.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::key::key;
    use super::*;
    use futures::{FutureExt, StreamExt};

    #[tokio::test]
    async fn a_key_waits_once_and_can_be_asked_for_again_when_taken_up() {
        let queue = Queue::default();
        let mut keys = queue.keys().boxed();
        queue.push(key("bot"));
        queue.push(key("bot"));
        assert_eq!(queue.len(), 1);
        assert_eq!(keys.next().await, Some(key("bot")));
        queue.push(key("bot"));
        assert!(keys.next().now_or_never().is_none(), "it was put in twice");
        queue.taken_up(&key("bot"));
        assert!(queue.is_empty());
        queue.push(key("bot"));
        assert_eq!(keys.next().await, Some(key("bot")));
    }

    #[tokio::test]
    async fn keys_come_out_in_the_order_in_which_they_came_also_to_whoever_waits_already() {
        let queue = Queue::default();
        let mut keys = queue.keys().boxed();
        let waits = tokio::spawn(async move { (keys.next().await, keys) });
        queue.push(key("one"));
        let (first, mut keys) = waits.await.expect("no panic");
        assert_eq!(first, Some(key("one")));
        queue.push(key("two"));
        queue.push(key("three"));
        assert_eq!(keys.next().await, Some(key("two")));
        assert_eq!(keys.next().await, Some(key("three")));
    }

    #[tokio::test]
    async fn nobody_who_is_gone_is_kept_and_who_was_handed_out_is_not_asked_for_twice() {
        let queue = Queue::default();
        let mut keys = queue.keys().boxed();
        queue.push(key("handed out"));
        assert_eq!(keys.next().await, Some(key("handed out")));
        for n in 0..1_000 {
            queue.push(key(&n.to_string()));
            queue.forget(&key(&n.to_string()));
        }
        queue.forget(&key("handed out"));
        assert_eq!(queue.len(), 1);
        queue.push(key("handed out"));
        assert!(keys.next().now_or_never().is_none());
    }
}
