//! The queue of keys to reconcile. Each key is in the queue at most once, and one task at a time reconciles a
//! key. A key that is pushed during its reconcile is reconciled again afterwards.
//!
//! Namespaces rotate, and within a namespace the first key comes first. So one change does not wait for
//! another team's 10,000 changes. Keys that were given a permit come before all other keys, because other
//! keys wait for that permit.
//!
//! The queue is not kube-runtime's applier. The applier has no order, and takes each resource from a store of
//! whole objects.

use crate::{controller::state::key::Key, core::schedule::fair_queue::FairQueue};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

/// The queue of keys to reconcile. Cheap to clone.
#[derive(Clone, Default)]
pub struct Queue(Arc<Shared>);

#[derive(Default)]
struct Shared {
    keys: Mutex<Keys>,
    /// Wakes [`Queue::take`] after a key was pushed.
    came: Notify,
}

#[derive(Default)]
struct Keys {
    states: HashMap<Key, State>,
    /// The keys that come before all others, in this order.
    first: BTreeMap<u64, Key>,
    /// The keys that are due, fair by namespace.
    due: FairQueue<Key>,
    /// The keys that are due later, by time.
    later: BTreeMap<(Instant, u64), Key>,
    places: u64,
}

#[derive(Clone, Copy)]
enum State {
    First(u64),
    Due(u64),
    Later(Instant, u64),
    /// A task reconciles the key. `again`: the key is to be reconciled once more afterwards.
    Taken {
        again: bool,
    },
}

impl Queue {
    /// Queues a key. A key that is due already keeps its place.
    pub fn push(&self, key: Key) {
        self.lock().push(key);
        self.0.came.notify_one();
    }

    /// Queues a key before all other keys.
    pub fn push_first(&self, key: Key) {
        self.lock().push_first(key);
        self.0.came.notify_one();
    }

    /// Queues a key after `wait`, unless the key is due earlier. If the key is being reconciled, the key is
    /// reconciled again without the wait.
    pub fn push_after(&self, key: Key, wait: Duration) {
        self.lock().push_at(key, Instant::now() + wait);
        self.0.came.notify_one();
    }

    /// Waits for the next key, and hands the key to the caller. [`done`](Self::done) must follow. No key is
    /// lost if the wait is cancelled.
    pub async fn take(&self) -> Key {
        loop {
            let came = self.0.came.notified();
            let next = match self.lock().take(Instant::now()) {
                Ok(key) => return key,
                Err(next) => next,
            };
            match next {
                Some(next) => tokio::select! {
                    () = came => {}
                    () = sleep_until(next) => {}
                },
                None => came.await,
            }
        }
    }

    /// Ends the reconcile of a key. Returns whether the key was pushed meanwhile; the queue then forgets the
    /// key. Otherwise the key is queued after `wake`, if `wake` is given.
    #[must_use]
    pub fn done(&self, key: &Key, wake: Option<Duration>) -> bool {
        let mut keys = self.lock();
        let state = keys.states.remove(key);
        if matches!(state, Some(State::Taken { again: true })) {
            return true;
        }
        if let Some(wake) = wake {
            keys.push_at(key.clone(), Instant::now() + wake);
            drop(keys);
            self.0.came.notify_one();
        }
        false
    }

    /// Whether a task reconciles this key.
    #[must_use]
    pub fn is_taken(&self, key: &Key) -> bool {
        matches!(self.lock().states.get(key), Some(State::Taken { .. }))
    }

    /// Removes the key of a deleted resource.
    pub fn forget(&self, key: &Key) {
        self.lock().forget(key);
    }

    /// The number of keys that are due.
    #[must_use]
    pub fn len(&self) -> usize {
        let keys = self.lock();
        keys.first.len() + keys.due.len(0)
    }

    /// The number of all keys: due, due later, or being reconciled.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.lock().states.len()
    }

    /// Whether no key is due.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Keys> {
        // No method of `Keys` panics half-way through a change.
        self.0.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keys {
    fn push(&mut self, key: Key) {
        match self.states.get_mut(&key) {
            Some(State::First(_) | State::Due(_)) => return,
            Some(State::Taken { again }) => {
                *again = true;
                return;
            }
            Some(State::Later(..)) | None => {}
        }
        self.forget(&key);
        let place = self.place();
        self.states.insert(key.clone(), State::Due(place));
        self.due.push(0, key.clone().namespace(), place, key);
    }

    fn push_first(&mut self, key: Key) {
        match self.states.get_mut(&key) {
            Some(State::First(_)) => return,
            Some(State::Taken { again }) => {
                *again = true;
                return;
            }
            Some(State::Due(_) | State::Later(..)) | None => {}
        }
        self.forget(&key);
        let place = self.place();
        self.states.insert(key.clone(), State::First(place));
        self.first.insert(place, key);
    }

    fn push_at(&mut self, key: Key, at: Instant) {
        match self.states.get_mut(&key) {
            Some(State::First(_) | State::Due(_)) => return,
            Some(State::Later(sooner, _)) if *sooner <= at => return,
            Some(State::Taken { again }) => {
                *again = true;
                return;
            }
            Some(State::Later(..)) | None => {}
        }
        self.forget(&key);
        let place = self.place();
        self.states.insert(key.clone(), State::Later(at, place));
        self.later.insert((at, place), key);
    }

    /// Takes the next key. The error is the time at which the next key is due, if that time is known.
    fn take(&mut self, now: Instant) -> Result<Key, Option<Instant>> {
        while let Some(first) = self.later.first_entry()
            && first.key().0 <= now
        {
            let key = first.remove();
            self.states.remove(&key);
            self.push(key);
        }
        let first = self.first.pop_first().map(|(_, key)| key);
        match first.or_else(|| self.due.pop(0)) {
            Some(key) => {
                let taken = State::Taken { again: false };
                self.states.insert(key.clone(), taken);
                Ok(key)
            }
            None => Err(self.later.first_key_value().map(|((at, _), _)| *at)),
        }
    }

    fn forget(&mut self, key: &Key) {
        match self.states.get_mut(key) {
            Some(State::Taken { again }) => *again = false,
            Some(State::First(place)) => {
                self.first.remove(place);
                self.states.remove(key);
            }
            Some(State::Due(place)) => {
                self.due.remove(0, key.namespace(), *place);
                self.states.remove(key);
            }
            Some(State::Later(at, place)) => {
                self.later.remove(&(*at, *place));
                self.states.remove(key);
            }
            None => {}
        }
    }

    fn place(&mut self) -> u64 {
        self.places += 1;
        self.places
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::state::key::key;
    use futures::FutureExt;
    use proptest::prelude::*;

    fn taken_now(queue: &Queue) -> Option<Key> {
        queue.take().now_or_never()
    }

    #[tokio::test]
    async fn a_key_is_queued_once_and_taken_by_one_task_at_a_time() {
        let queue = Queue::default();
        queue.push(key("bot"));
        queue.push(key("bot"));
        assert_eq!(queue.len(), 1);
        assert_eq!(queue.take().await, key("bot"));
        assert!(queue.is_taken(&key("bot")) && queue.is_empty());
        queue.push(key("bot"));
        assert_eq!(taken_now(&queue), None, "one task has it");
        assert!(queue.done(&key("bot"), None), "what came meanwhile is lost");
        queue.push(key("bot"));
        assert_eq!(taken_now(&queue), Some(key("bot")));
        assert!(!queue.done(&key("bot"), None));
        assert_eq!(taken_now(&queue), None);
    }

    #[tokio::test]
    async fn keys_are_taken_in_the_order_of_their_push_also_by_waiting_tasks() {
        let queue = Queue::default();
        let waits = tokio::spawn({
            let queue = queue.clone();
            async move { queue.take().await }
        });
        tokio::task::yield_now().await;
        queue.push(key("one"));
        assert_eq!(waits.await.expect("no panic"), key("one"));
        queue.push(key("two"));
        queue.push(key("three"));
        assert_eq!(queue.take().await, key("two"));
        assert_eq!(queue.take().await, key("three"));
    }

    #[tokio::test]
    async fn one_change_does_not_wait_for_ten_thousand_of_another_namespace() {
        let queue = Queue::default();
        for n in 0..10_000 {
            queue.push(Key::new("busy", &n.to_string()));
        }
        queue.push(Key::new("quiet", "one"));
        queue.push_first(Key::new("busy", "7777"));
        let first = [queue.take().await, queue.take().await, queue.take().await];
        let wanted = [("busy", "7777"), ("busy", "0"), ("quiet", "one")];
        assert_eq!(
            first,
            wanted.map(|(namespace, name)| Key::new(namespace, name))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_earliest_time_of_a_key_counts_and_an_event_is_due_at_once() {
        let queue = Queue::default();
        let began = Instant::now();
        let second = Duration::from_secs(1);
        queue.push_after(key("late"), 9 * second);
        queue.push_after(key("bot"), 5 * second);
        queue.push_after(key("bot"), 2 * second);
        queue.push_after(key("bot"), 7 * second);
        assert_eq!(queue.take().await, key("bot"));
        assert_eq!(began.elapsed().as_secs(), 2);
        assert!(!queue.done(&key("bot"), Some(3 * second)));
        queue.push(key("late"));
        assert_eq!(taken_now(&queue), Some(key("late")));
        assert_eq!(queue.take().await, key("bot"));
        assert_eq!(began.elapsed().as_secs(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiting_task_notices_a_key_with_an_earlier_time() {
        let queue = Queue::default();
        let began = Instant::now();
        queue.push_after(key("late"), Duration::from_hours(1));
        let waits = tokio::spawn({
            let queue = queue.clone();
            async move { queue.take().await }
        });
        tokio::task::yield_now().await;
        queue.push_after(key("soon"), Duration::from_secs(1));
        assert_eq!(waits.await.expect("no panic"), key("soon"));
        assert_eq!(began.elapsed().as_secs(), 1);
    }

    proptest! {
        #[test]
        fn a_forgotten_key_leaves_no_entry(moves in proptest::collection::vec((0_u8..6, 0_u8..4), 0..60)) {
            let queue = Queue::default();
            for (action, name) in moves {
                let key = key(&name.to_string());
                match action {
                    0 => queue.push(key),
                    1 => queue.push_after(key, Duration::from_secs(1)),
                    2 => queue.forget(&key),
                    3 => drop(queue.lock().take(Instant::now())),
                    4 => queue.push_first(key),
                    _ if queue.is_taken(&key) => drop(queue.done(&key, None)),
                    _ => {}
                }
                let keys = queue.lock();
                let taken = keys.states.values().filter(|state| matches!(state, State::Taken { .. }));
                let due = keys.first.len() + keys.due.len(0);
                prop_assert_eq!(keys.states.len(), due + keys.later.len() + taken.count());
            }
            for name in 0..4_u8 {
                let key = key(&name.to_string());
                let _ = queue.is_taken(&key) && queue.done(&key, None);
                queue.forget(&key);
            }
            prop_assert!(queue.lock().states.is_empty());
        }
    }
}
