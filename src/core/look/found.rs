//! What looks found of one user, as this process remembers it. A restart forgets all of this.

use super::user::User;
use crate::api::Reason;
use jiff::Timestamp;

/// One look at one user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Look {
    /// What the look found.
    pub found: Found,
    /// When the look began, by the operator's clock.
    pub begun: Timestamp,
    /// How the operator looked.
    pub kind: LookKind,
}

/// What a look found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Found {
    /// `ListUsers` listed the user.
    User(User),
    /// No spelling of the name found a user. Only a lookup proves that.
    NotFound,
}

/// How the operator looked.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LookKind {
    /// A page of the pool listed the user among others.
    Sweep,
    /// `ListUsers` with a filter for this user.
    Lookup,
}

/// Why the operator could not look.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LookFailure {
    /// The reason, e.g. `AccessDenied`.
    pub reason: Reason,
    /// The words of AWS or of the SDK.
    pub words: String,
}

/// The looks at one user that still matter.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Looks {
    /// The first and the latest of the looks that found the same, without another finding in between.
    run: Option<(Look, Look)>,
    /// Why the operator can't look now; None after a look that succeeded.
    failure: Option<LookFailure>,
    /// `TemporaryPasswordValidityDays` of the pool, if the operator could read the pool's policy.
    pub validity_days: Option<u32>,
}

impl Looks {
    /// Adds a look that succeeded.
    pub fn add(&mut self, look: Look) {
        self.failure = None;
        self.run = Some(match self.run.take() {
            Some((first, latest)) if agrees(&latest.found, &look.found) => (first, look),
            Some(_) | None => (look.clone(), look),
        });
    }

    /// Adds a look that failed. The looks before stay.
    pub fn fail(&mut self, failure: LookFailure) {
        self.failure = Some(failure);
    }

    /// The latest look that succeeded.
    #[must_use]
    pub fn latest(&self) -> Option<&Look> {
        self.run.as_ref().map(|(_, latest)| latest)
    }

    /// The first of the looks that found the same as the latest one.
    #[must_use]
    pub fn first(&self) -> Option<&Look> {
        self.run.as_ref().map(|(first, _)| first)
    }

    /// Why the operator can't look now.
    #[must_use]
    pub const fn failure(&self) -> Option<&LookFailure> {
        self.failure.as_ref()
    }
}

/// Whether two looks found the same user in the same state. The modified date doesn't count: a sign-in may
/// move that date.
fn agrees(one: &Found, other: &Found) -> bool {
    match (one, other) {
        (Found::NotFound, Found::NotFound) => true,
        (Found::User(one), Found::User(other)) => {
            let of = |user: &User| (user.state, user.enabled, user.created);
            of(one) == of(other)
        }
        (Found::User(_) | Found::NotFound, _) => false,
    }
}
