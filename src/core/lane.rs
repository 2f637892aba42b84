//! A queue that is fair by namespace: namespaces take turns, and within one the first comes first.

use std::collections::{BTreeMap, HashMap, VecDeque};

/// See the module.
#[derive(Clone, Debug)]
pub struct Lane<K> {
    waiting: HashMap<String, BTreeMap<u64, K>>,
    /// The namespaces in which somebody waits, the next one first.
    turns: VecDeque<String>,
    len: usize,
}

impl<K> Default for Lane<K> {
    fn default() -> Self {
        Self {
            waiting: HashMap::new(),
            turns: VecDeque::new(),
            len: 0,
        }
    }
}

impl<K> Lane<K> {
    /// Waits from now on. A later ticket is a greater one.
    pub fn put(&mut self, namespace: &str, ticket: u64, key: K) {
        if let Some(of_namespace) = self.waiting.get_mut(namespace) {
            of_namespace.insert(ticket, key);
        } else {
            let of_namespace = BTreeMap::from([(ticket, key)]);
            self.waiting.insert(namespace.to_owned(), of_namespace);
            self.turns.push_back(namespace.to_owned());
        }
        self.len += 1;
    }

    /// Waits no longer.
    pub fn take(&mut self, namespace: &str, ticket: u64) {
        let Some(of_namespace) = self.waiting.get_mut(namespace) else {
            return;
        };
        if of_namespace.remove(&ticket).is_some() {
            self.len -= 1;
        }
        if of_namespace.is_empty() {
            self.waiting.remove(namespace);
            self.turns.retain(|other| other != namespace);
        }
    }

    /// The first of the namespace whose turn it is; it waits no longer.
    pub fn pop(&mut self) -> Option<K> {
        let namespace = self.turns.pop_front()?;
        let of_namespace = self.waiting.get_mut(&namespace)?;
        let (_, key) = of_namespace.pop_first()?;
        self.len -= 1;
        if of_namespace.is_empty() {
            self.waiting.remove(&namespace);
        } else {
            self.turns.push_back(namespace);
        }
        Some(key)
    }

    /// How many wait.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nobody waits.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whoever waits is given once, in their namespace's order, and no namespace twice before each
        /// other one that waits.
        #[test]
        fn it_is_fair_and_loses_nobody(
            puts in proptest::collection::vec(0_u8..4, 0..40),
            taken in proptest::collection::vec(0_usize..40, 0..10),
        ) {
            let mut lane = Lane::default();
            let mut waiting: Vec<(u8, u64)> = Vec::new();
            for (ticket, namespace) in (0..).zip(puts) {
                lane.put(&namespace.to_string(), ticket, (namespace, ticket));
                waiting.push((namespace, ticket));
            }
            for place in taken {
                if place < waiting.len() {
                    let (namespace, ticket) = waiting.remove(place);
                    lane.take(&namespace.to_string(), ticket);
                    lane.take(&namespace.to_string(), ticket);
                }
            }
            let mut since: Vec<u8> = Vec::new();
            while let Some((namespace, ticket)) = lane.pop() {
                if since.contains(&namespace) {
                    let others = waiting.iter().filter(|(other, _)| !since.contains(other));
                    prop_assert_eq!(others.count(), 0, "{} comes again", namespace);
                    since.clear();
                }
                since.push(namespace);
                let first = waiting.iter().position(|(other, _)| *other == namespace);
                let first = waiting.remove(first.expect("it waits"));
                prop_assert_eq!(first, (namespace, ticket));
                prop_assert_eq!(lane.len(), waiting.len());
            }
            prop_assert!(waiting.is_empty() && lane.is_empty());
            prop_assert!(lane.turns.is_empty() && lane.waiting.is_empty());
        }
    }
}
