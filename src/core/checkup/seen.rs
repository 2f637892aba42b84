//! What a caller could see: a fact, or why the fact is missing.

use super::right::Right;

/// A fact, or why the fact is missing. A caller who lacks a right still gets all other facts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Seen<T> {
    /// The fact.
    Known(T),
    /// The caller may not see the fact: this right is missing.
    Denied(Right),
    /// The fact could not be read, for this reason, in one line.
    Failed(String),
}

impl<T> Seen<T> {
    /// The fact, if the caller could see the fact.
    #[must_use]
    pub const fn known(&self) -> Option<&T> {
        match self {
            Self::Known(fact) => Some(fact),
            Self::Denied(_) | Self::Failed(_) => None,
        }
    }

    /// Why the fact is missing, as the end of a sentence; None for a known fact.
    #[must_use]
    pub fn why_not(&self) -> Option<String> {
        match self {
            Self::Known(_) => None,
            Self::Denied(right) => Some(format!("you may not {right}")),
            Self::Failed(why) => Some(why.clone()),
        }
    }

    /// The same with the fact borrowed.
    #[must_use]
    pub fn as_ref(&self) -> Seen<&T> {
        match self {
            Self::Known(fact) => Seen::Known(fact),
            Self::Denied(right) => Seen::Denied(right.clone()),
            Self::Failed(why) => Seen::Failed(why.clone()),
        }
    }

    /// The same with another fact.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Seen<U> {
        match self {
            Self::Known(fact) => Seen::Known(change(fact)),
            Self::Denied(right) => Seen::Denied(right),
            Self::Failed(why) => Seen::Failed(why),
        }
    }
}
