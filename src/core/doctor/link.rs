//! A link of the chain, as each file of [`super::chain`] makes one.

use crate::{
    api::Reason,
    core::checkup::{
        finding::{Finding, Level},
        seen::Seen,
    },
};
use jiff::SignedDuration;

/// How long the operator may take to observe a change before somebody should look.
pub const PATIENCE: SignedDuration = SignedDuration::from_secs(60);

/// A link of the chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Link {
    /// What was found.
    pub finding: Finding,
    /// The reason that the operator gives a resource if the link is broken. None if the link is whole, or if no
    /// reason speaks of it.
    pub reason: Option<Reason>,
}

impl Link {
    /// A link without a reason.
    #[must_use]
    pub const fn new(subject: &'static str, level: Level, text: String) -> Self {
        Self {
            finding: Finding::new(subject, level, text),
            reason: None,
        }
    }

    /// A broken link.
    #[must_use]
    pub const fn broken(subject: &'static str, text: String, reason: Reason) -> Self {
        Self {
            finding: Finding::new(subject, Level::Failed, text),
            reason: Some(reason),
        }
    }

    /// A link that the caller can't see, for this reason.
    #[must_use]
    pub fn unseen<T>(subject: &'static str, fact: &Seen<T>) -> Self {
        let text = fact.why_not().unwrap_or_default();
        Self::new(subject, Level::Unknown, text)
    }
}
