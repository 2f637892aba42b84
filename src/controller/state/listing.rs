//! Tracks the list of a watch. When the list is complete, each known object that the list did not show is
//! gone.

use std::{collections::HashSet, hash::Hash, vec};

/// The state of the list of one watch; see the module.
pub struct Listing<K> {
    /// Whether a list has completed at least once.
    pub complete: bool,
    /// The keys that the current list has shown so far; `None` if no list is under way.
    showed: Option<HashSet<K>>,
}

/// Iterates over the keys that were known when the list completed. Yields `Some(key)` if the object is
/// gone, and `None` if the list showed the object.
///
/// To compare 50,000 keys takes 30 ms. So the caller yields to other tasks during the iteration, and needs
/// an item for each key, not only for the keys of gone objects.
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
    /// Begins a list. A list that was under way is discarded.
    pub fn begin(&mut self) {
        self.showed = Some(HashSet::new());
    }

    /// Notes that the object exists, if a list is under way.
    pub fn show(&mut self, key: &K) {
        if let Some(showed) = &mut self.showed {
            showed.insert(key.clone());
        }
    }

    /// Completes the list. `known` are the keys that the index has now.
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
        // Remove each key now, so that the keys are not all dropped together at the end.
        Some(if self.showed.remove(&key) {
            None
        } else {
            Some(key)
        })
    }
}
