//! The grants, or the namespaces, that a watch showed.

use crate::controller::state::{key::Name, listing::Listing};
use std::{collections::HashMap, time::Instant};

/// The objects of one kind that the watch showed, by name.
pub(super) struct WatchedObjects<V> {
    pub(super) known: HashMap<Name, V>,
    pub(super) listing: Listing<Name>,
    /// Until this time the objects may be out of date, because their watch fails.
    pub(super) doubtful_until: Option<Instant>,
}

impl<V> Default for WatchedObjects<V> {
    fn default() -> Self {
        Self {
            known: HashMap::new(),
            listing: Listing::default(),
            doubtful_until: None,
        }
    }
}

impl<V> WatchedObjects<V> {
    pub(super) fn is_doubtful(&self, now: Instant) -> bool {
        self.doubtful_until.is_some_and(|until| now < until)
    }
}
