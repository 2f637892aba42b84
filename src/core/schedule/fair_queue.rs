//! A queue that is fair by namespace: the namespaces rotate, and each key of a namespace is served in
//! the order of its ticket.
//!
//! A queue may have several classes of keys. A namespace has one place in the rotation for all
//! classes: a namespace that was just served in one class waits for the others in every class.
//! All operations take O(log n) in the number of keys and namespaces.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// See the module. `CLASSES` is how many classes of keys there are.
#[derive(Clone, Debug)]
pub struct FairQueue<K, const CLASSES: usize = 1> {
    namespaces: HashMap<Arc<str>, NamespaceKeys<K, CLASSES>>,
    /// For each class, the namespaces that have keys in the class, by their place in the rotation.
    rotations: [BTreeMap<u64, Arc<str>>; CLASSES],
    lengths: [usize; CLASSES],
    last_place: u64,
}

/// The keys of one namespace that wait.
#[derive(Clone, Debug)]
struct NamespaceKeys<K, const CLASSES: usize> {
    /// The namespace's place in the rotation. The lowest place is served first.
    place: u64,
    /// For each class, the keys by their ticket.
    keys: [BTreeMap<u64, K>; CLASSES],
}

impl<K, const CLASSES: usize> Default for FairQueue<K, CLASSES> {
    fn default() -> Self {
        Self {
            namespaces: HashMap::new(),
            rotations: std::array::from_fn(|_| BTreeMap::new()),
            lengths: [0; CLASSES],
            last_place: 0,
        }
    }
}

impl<K, const CLASSES: usize> FairQueue<K, CLASSES> {
    /// Adds a key. Within a namespace and class a lower ticket is served first.
    ///
    /// # Panics
    /// If `class` is not below `CLASSES`.
    pub fn push(&mut self, class: usize, namespace: &str, ticket: u64, key: K) {
        let name = match self.namespaces.get_key_value(namespace) {
            Some((name, _)) => name.clone(),
            None => namespace.into(),
        };
        let next_place = self.last_place + 1;
        let waiting = self
            .namespaces
            .entry(name.clone())
            .or_insert_with(|| NamespaceKeys {
                place: next_place,
                keys: std::array::from_fn(|_| BTreeMap::new()),
            });
        self.last_place = self.last_place.max(waiting.place);
        self.rotations[class].insert(waiting.place, name);
        if waiting.keys[class].insert(ticket, key).is_none() {
            self.lengths[class] += 1;
        }
    }

    /// Removes the key with this ticket, if the key is in the queue.
    ///
    /// # Panics
    /// If `class` is not below `CLASSES`.
    pub fn remove(&mut self, class: usize, namespace: &str, ticket: u64) {
        let Some(waiting) = self.namespaces.get_mut(namespace) else {
            return;
        };
        if waiting.keys[class].remove(&ticket).is_none() {
            return;
        }
        self.lengths[class] -= 1;
        if waiting.keys[class].is_empty() {
            self.rotations[class].remove(&waiting.place);
        }
        if waiting.keys.iter().all(BTreeMap::is_empty) {
            self.namespaces.remove(namespace);
        }
    }

    /// Removes and returns the next key of a class. The key's namespace moves to the end of the
    /// rotation, in all classes.
    ///
    /// # Panics
    /// If `class` is not below `CLASSES`.
    pub fn pop(&mut self, class: usize) -> Option<K> {
        let (_, namespace) = self.rotations[class].pop_first()?;
        let waiting = self.namespaces.get_mut(&namespace)?;
        let (_, key) = waiting.keys[class].pop_first()?;
        self.lengths[class] -= 1;
        self.last_place += 1;
        let before = std::mem::replace(&mut waiting.place, self.last_place);
        for (rotation, keys) in self.rotations.iter_mut().zip(&waiting.keys) {
            rotation.remove(&before);
            if !keys.is_empty() {
                rotation.insert(waiting.place, namespace.clone());
            }
        }
        if waiting.keys.iter().all(BTreeMap::is_empty) {
            self.namespaces.remove(&namespace);
        }
        Some(key)
    }

    /// The number of keys in a class.
    ///
    /// # Panics
    /// If `class` is not below `CLASSES`.
    #[must_use]
    pub const fn len(&self, class: usize) -> usize {
        self.lengths[class]
    }

    /// Whether no class has a key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lengths.iter().all(|length| *length == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_namespace_that_was_served_in_one_class_waits_in_the_other() {
        let mut queue: FairQueue<&str, 2> = FairQueue::default();
        queue.push(0, "a", 1, "a-urgent");
        queue.push(1, "a", 2, "a-retry");
        queue.push(1, "b", 3, "b-retry");
        assert_eq!(queue.pop(0), Some("a-urgent"));
        assert_eq!(queue.pop(1), Some("b-retry"));
        assert_eq!(queue.pop(1), Some("a-retry"));
        assert!(queue.is_empty() && queue.namespaces.is_empty());
    }

    proptest! {
        /// Each key is served once, in its namespace's order, and no namespace is served twice
        /// before each other namespace that waits in the class.
        #[test]
        fn the_queue_is_fair_and_loses_no_key(
            puts in proptest::collection::vec((0_usize..2, 0_u8..4), 0..40),
            taken in proptest::collection::vec(0_usize..40, 0..10),
            class in 0_usize..2,
        ) {
            let mut queue: FairQueue<(u8, u64), 2> = FairQueue::default();
            let mut waiting: Vec<(usize, u8, u64)> = Vec::new();
            for (ticket, (class, namespace)) in (0..).zip(puts) {
                queue.push(class, &namespace.to_string(), ticket, (namespace, ticket));
                waiting.push((class, namespace, ticket));
            }
            for place in taken {
                if place < waiting.len() {
                    let (class, namespace, ticket) = waiting.remove(place);
                    queue.remove(class, &namespace.to_string(), ticket);
                    queue.remove(class, &namespace.to_string(), ticket);
                }
            }
            for class in [class, 1 - class] {
                let mut served: Vec<u8> = Vec::new();
                while let Some((namespace, ticket)) = queue.pop(class) {
                    if served.contains(&namespace) {
                        let others = waiting.iter().filter(|(of, other, _)| *of == class && !served.contains(other));
                        prop_assert_eq!(others.count(), 0, "{} comes again", namespace);
                        served.clear();
                    }
                    served.push(namespace);
                    let first = waiting.iter().position(|(of, other, _)| (*of, *other) == (class, namespace));
                    let first = waiting.remove(first.expect("the key waits"));
                    prop_assert_eq!(first, (class, namespace, ticket));
                    let left = waiting.iter().filter(|(of, ..)| *of == class).count();
                    prop_assert_eq!(queue.len(class), left);
                }
            }
            prop_assert!(waiting.is_empty() && queue.is_empty());
            prop_assert!(queue.namespaces.is_empty());
            prop_assert!(queue.rotations.iter().all(BTreeMap::is_empty));
        }
    }
}
