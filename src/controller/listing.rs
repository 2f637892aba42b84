//! How far a watch's list of everything is: what it doesn't show, once it is complete, is gone.

use std::{collections::HashSet, hash::Hash};

/// See the module.
pub struct Listing<K> {
    /// Whether one was complete.
    pub complete: bool,
    /// What the one under way showed so far.
    showed: Option<HashSet<K>>,
}

impl<K> Default for Listing<K> {
    fn default() -> Self {
        Self {
            complete: false,
            showed: None,
        }
    }
}

impl<K: Clone + Eq + Hash> Listing<K> {
    /// A list begins.
    pub fn begin(&mut self) {
        self.showed = Some(HashSet::new());
    }

    /// This is there.
    pub fn show(&mut self, key: &K) {
        if let Some(showed) = &mut self.showed {
            showed.insert(key.clone());
        }
    }

    /// The list is complete. Answers with those that were known and are gone.
    pub fn finish<'a>(&mut self, known: impl Iterator<Item = &'a K>) -> Vec<K>
    where
        K: 'a,
    {
        self.complete = true;
        let showed = self.showed.take().unwrap_or_default();
        known
            .filter(|key| !showed.contains(*key))
            .cloned()
            .collect()
    }
}
