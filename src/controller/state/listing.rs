//! How far a watch's list of everything is: what it doesn't show, once it is complete, is gone.

use std::{collections::HashSet, hash::Hash, vec};

/// See the module.
pub struct Listing<K> {
    /// Whether one was complete.
    pub complete: bool,
    /// What the one under way showed so far.
    showed: Option<HashSet<K>>,
}

/// What was known when a list was complete, one after the other: what is gone itself, and none for what
/// is there. To compare fifty thousand with the list takes 30 ms, so whoever goes through them lets others
/// have the thread in between.
#[must_use]
pub struct Sweep<K> {
    known: vec::IntoIter<K>,
    showed: HashSet<K>,
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

    /// The list is complete.
    pub fn finish<'a>(&mut self, known: impl Iterator<Item = &'a K>) -> Sweep<K>
    where
        K: 'a,
    {
        self.complete = true;
        let known: Vec<_> = known.cloned().collect();
        Sweep {
            known: known.into_iter(),
            showed: self.showed.take().unwrap_or_default(),
        }
    }
}

impl<K: Eq + Hash> Iterator for Sweep<K> {
    type Item = Option<K>;

    fn next(&mut self) -> Option<Self::Item> {
        let key = self.known.next()?;
        // Taken out, so that not all are dropped together in the end.
        Some(if self.showed.remove(&key) {
            None
        } else {
            Some(key)
        })
    }
}
