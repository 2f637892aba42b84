//! What looks found of one user, as this process remembers it. A restart forgets all of this.

use super::user::User;
use crate::api::Reason;
use jiff::{SignedDuration, Timestamp};

/// What happens within this time of a set is not compared, because Cognito lists users with a delay. A second
/// look is at least this much later than the first.
pub const MARGIN: SignedDuration = SignedDuration::from_secs(60);

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
    /// When the operator gave the look up, by the operator's clock.
    pub at: Timestamp,
}

/// `TemporaryPasswordValidityDays` of a pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Validity {
    /// Not read yet, so no password counts as expired.
    #[default]
    NotRead,
    /// The operator could not read the pool's policy.
    Unreadable,
    /// The number of days.
    Days(u32),
}

/// How many of the looks that agree are kept. A look from before the last set does not count, so the first two of
/// them are not enough.
const RUN_MAX: usize = 4;

/// The looks at one user that still matter.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Looks {
    /// The latest looks that found the same, without another finding in between, the earliest first. All but the
    /// last one are at least [`MARGIN`] apart.
    run: Vec<Look>,
    /// Why the operator can't look now; None after a look that succeeded.
    failure: Option<LookFailure>,
    /// The validity of temporary passwords in the pool.
    pub validity: Validity,
}

impl Looks {
    /// Adds a look that succeeded.
    pub fn add(&mut self, look: Look) {
        self.failure = None;
        if self
            .run
            .last()
            .is_some_and(|latest| !agrees(&latest.found, &look.found))
        {
            self.run.clear();
        }
        if let [.., before, latest] = self.run.as_slice()
            && latest.begun.duration_since(before.begun) < MARGIN
        {
            self.run.pop();
        }
        self.run.push(look);
        let surplus = self.run.len().saturating_sub(RUN_MAX);
        self.run.drain(..surplus);
    }

    /// Adds a look that failed. The looks before stay.
    pub fn fail(&mut self, failure: LookFailure) {
        self.failure = Some(failure);
    }

    /// The latest look that succeeded.
    #[must_use]
    pub fn latest(&self) -> Option<&Look> {
        self.run.last()
    }

    /// The first of the looks that found the same as the latest one and that count.
    #[must_use]
    pub fn first(&self, counts: impl Fn(&&Look) -> bool) -> Option<&Look> {
        self.run.iter().find(counts)
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
