//! The way from what happened to a reconcile: keys only, each at most once until it is taken up.

use super::key::Key;
use futures::{Stream, StreamExt};
use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
};
use tokio::sync::mpsc;

/// The end into which keys are put.
pub struct Queue {
    keys: mpsc::UnboundedSender<Key>,
    /// Put in and not taken up yet; bounds the channel to one entry a resource.
    waiting: Mutex<HashSet<Key>>,
}

/// Makes a queue, and the stream of what is put into it.
pub fn queue() -> (Queue, impl Stream<Item = Key> + Send) {
    let (keys, taken) = mpsc::unbounded_channel();
    let stream = futures::stream::unfold(taken, |mut taken| async move {
        let key = taken.recv().await?;
        Some((key, taken))
    });
    let queue = Queue {
        keys,
        waiting: Mutex::default(),
    };
    (queue, stream.boxed())
}

impl Queue {
    /// Asks for a reconcile, unless one was asked for that hasn't begun.
    pub fn push(&self, key: Key) {
        if self.lock().insert(key.clone()) {
            // Fails once the controller has ended: then there is nothing left to do.
            let _ = self.keys.send(key);
        }
    }

    /// A reconcile begins, or will never: what happens from now on asks for another.
    pub fn taken_up(&self, key: &Key) {
        self.lock().remove(key);
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<Key>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test]
    async fn a_key_waits_once_and_can_be_asked_for_again_when_taken_up() {
        let key = Key {
            namespace: "team-a".to_owned(),
            name: "bot".to_owned(),
        };
        let (queue, mut keys) = queue();
        queue.push(key.clone());
        queue.push(key.clone());
        assert_eq!(queue.len(), 1);
        assert_eq!(keys.next().await, Some(key.clone()));
        assert!(keys.next().now_or_never().is_none(), "it was put in twice");
        queue.taken_up(&key);
        assert!(queue.is_empty());
        queue.push(key.clone());
        assert_eq!(keys.next().await, Some(key));
    }
}
