//! A set that mostly has one member, and then needs no allocation.

use std::collections::BTreeSet;

/// An ordered set; see the module.
#[derive(PartialEq, Eq, Default, Debug)]
pub enum SmallSet<T> {
    /// Empty.
    #[default]
    None,
    /// One member, stored inline.
    One(T),
    /// Two or more members.
    #[expect(
        clippy::box_collection,
        reason = "rare, and one that is small is what this is for"
    )]
    Many(Box<BTreeSet<T>>),
}

impl<T: Ord> FromIterator<T> for SmallSet<T> {
    fn from_iter<I: IntoIterator<Item = T>>(members: I) -> Self {
        let mut few = Self::None;
        for member in members {
            few.insert(member);
        }
        few
    }
}

impl<T: Ord> SmallSet<T> {
    /// Adds a member, if the set does not have the member yet.
    pub fn insert(&mut self, member: T) {
        *self = match std::mem::take(self) {
            Self::None => Self::One(member),
            Self::One(other) if other == member => Self::One(other),
            Self::One(other) => Self::Many(Box::new([other, member].into())),
            Self::Many(mut members) => {
                members.insert(member);
                Self::Many(members)
            }
        };
    }

    /// Removes a member, if the set has the member.
    pub fn remove(&mut self, member: &T) {
        *self = match std::mem::take(self) {
            Self::One(other) if other == *member => Self::None,
            Self::Many(mut members) => {
                members.remove(member);
                if members.len() == 1 {
                    members.pop_first().map_or(Self::None, Self::One)
                } else {
                    Self::Many(members)
                }
            }
            same @ (Self::None | Self::One(_)) => same,
        };
    }

    /// Whether the set has no member.
    pub const fn is_empty(&self) -> bool {
        matches!(self, Self::None)
    }

    /// The number of members.
    pub fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::One(_) => 1,
            Self::Many(members) => members.len(),
        }
    }

    /// The members in ascending order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        let (one, many) = match self {
            Self::None => (None, None),
            Self::One(member) => (Some(member), None),
            Self::Many(members) => (None, Some(members.iter())),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_small_set_behaves_like_a_set(changes in proptest::collection::vec((any::<bool>(), 0_u8..4), 0..20)) {
            let mut few = SmallSet::default();
            let mut set = BTreeSet::new();
            for (add, member) in changes {
                if add {
                    few.insert(member);
                    set.insert(member);
                } else {
                    few.remove(&member);
                    set.remove(&member);
                }
                prop_assert!(few.iter().eq(&set));
                prop_assert!(few.iter().rev().eq(set.iter().rev()));
                prop_assert_eq!(few.len(), set.len());
                prop_assert_eq!(few.is_empty(), set.is_empty());
                prop_assert_eq!(matches!(few, SmallSet::Many(_)), set.len() > 1);
            }
        }
    }
}
