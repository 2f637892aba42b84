//! Who waits for a permit, and where a key goes once the permit is given.

use crate::controller::{schedule::queue::Queue, state::key::Key};
use std::{fmt::Display, hash::Hash, time::Duration};

/// A key that can wait for a permit, for one call at a time. So one task at a time handles a key. Logs show
/// the key, so the key contains no secret.
pub trait Waiter: Clone + Eq + Hash + Display + Send + 'static {
    /// The namespace among whose keys this key waits: namespaces rotate.
    fn namespace(&self) -> &str;
}

impl Waiter for Key {
    fn namespace(&self) -> &str {
        Self::namespace(self)
    }
}

/// Where the permits send a key that waited. Both methods are called while the permits are locked. So neither
/// method may call the permits, wait, or panic.
pub trait Turns<K>: Send + Sync + 'static {
    /// Handles the key before all others, because the key was given a permit that others wait for.
    fn first(&self, key: K);

    /// Handles the key after `wait`. The key has no permit and no longer waits for one.
    fn after(&self, key: K, wait: Duration);
}

impl Turns<Key> for Queue {
    fn first(&self, key: Key) {
        self.push_first(key);
    }

    fn after(&self, key: Key, wait: Duration) {
        self.push_after(key, wait);
    }
}
