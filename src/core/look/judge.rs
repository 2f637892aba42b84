//! The judgement on what looks found: whether the user is as the last set left the user.
//!
//! AWS's clock is compared with AWS's clock: the dates of the user with the date of the reply to the set.

use super::{
    found::{Found, Look, LookKind, Looks, MARGIN, Validity},
    user::{User, UserState},
};
use crate::api::FederatedUser;
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// How old a look may be that leads to a set.
pub const FRESH: SignedDuration = SignedDuration::from_mins(2);

/// `TemporaryPasswordValidityDays` of a pool whose policy does not say, and of a policy that the operator can't
/// read.
pub const VALIDITY_DAYS: u32 = 7;

/// How long after the end of the validity the operator calls a temporary password expired.
const EXPIRY_MARGIN: SignedDuration = SignedDuration::from_hours(1);

/// The user as the last set left the user.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Expectation {
    /// Whether the password is permanent.
    pub permanent: bool,
    /// Whether a federated user is as it should be.
    pub federated: FederatedUser,
    /// When the operator last sent a password, by the operator's clock.
    pub sent_at: Timestamp,
    /// When the password was set, by AWS's clock as far as that is known.
    pub set_at: Timestamp,
    /// Whether an earlier look found the user by this name.
    pub found_before: bool,
}

/// How the user differs from what the last set left.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Deviation {
    /// The user is disabled.
    Disabled,
    /// The user is not there any more.
    Gone,
    /// The user was created after the set.
    Recreated {
        /// Whether an administrator created the user: nobody has signed in yet (`FORCE_CHANGE_PASSWORD`). The
        /// user may otherwise have signed up by themselves.
        by_administrator: bool,
    },
    /// The user is not confirmed.
    Unconfirmed,
    /// The user signs in with a federated identity provider.
    Federated,
    /// Somebody else reset the password.
    Reset,
    /// The temporary password has expired.
    Expired,
}

impl Deviation {
    /// Whether the user may belong to a stranger, or to an identity provider.
    #[must_use]
    pub const fn may_be_a_stranger(self) -> bool {
        match self {
            Self::Recreated { by_administrator } => !by_administrator,
            Self::Unconfirmed | Self::Federated => true,
            Self::Disabled | Self::Gone | Self::Reset | Self::Expired => false,
        }
    }
}

/// The judgement on the looks at one user.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Judgement {
    /// No look counts: none was made, or none began late enough after the last set.
    Unknown,
    /// The user is as the last set left the user.
    Fits,
    /// No user of this name was ever found. The name may be an alias, or differ in case.
    NeverSeen,
    /// The user is in a state that this version does not know.
    Unclear,
    /// One look found a deviation. Another look is needed after this time.
    Suspected(Deviation, Duration),
    /// Two looks agree on a deviation.
    Agreed(Deviation),
}

/// Judges the looks at one user (invariant I8): a deviation counts if two looks found it, both of them more
/// than [`MARGIN`] after the last set, at least [`MARGIN`] apart, the later one a lookup not older than
/// [`FRESH`].
#[must_use]
pub fn judge(looks: &Looks, expected: &Expectation, now: Timestamp) -> Judgement {
    let counts = |look: &&Look| look.begun.duration_since(expected.sent_at) > MARGIN;
    let Some(latest) = looks.latest().filter(counts) else {
        return Judgement::Unknown;
    };
    let deviation = match &latest.found {
        Found::NotFound if expected.found_before => Deviation::Gone,
        Found::NotFound => return Judgement::NeverSeen,
        Found::User(user) => match deviation(user, looks, expected, latest.begun) {
            Some(deviation) => deviation,
            None if user.state == UserState::Other => return Judgement::Unclear,
            None => return Judgement::Fits,
        },
    };
    // Both looks at an expired password began after the expiry.
    let counts = |look: &&Look| {
        let is_over = || is_over(looks, expected, look.begun);
        counts(look) && (deviation != Deviation::Expired || is_over())
    };
    let first = looks.first(counts).unwrap_or(latest);
    let is_second = latest.begun.duration_since(first.begun) >= MARGIN;
    let is_fresh = now.duration_since(latest.begun) <= FRESH;
    if is_second && is_fresh && latest.kind == LookKind::Lookup {
        return Judgement::Agreed(deviation);
    }
    let wait = (first.begun + MARGIN).duration_since(now);
    Judgement::Suspected(deviation, Duration::try_from(wait).unwrap_or_default())
}

/// When something about the user last changed, if that was after the last set, and the latest look found the user
/// as the set left the user. A hint: AWS doesn't say what moves that date.
#[must_use]
pub fn modified_since(looks: &Looks, expected: &Expectation, now: Timestamp) -> Option<Timestamp> {
    if judge(looks, expected, now) != Judgement::Fits {
        return None;
    }
    let Found::User(user) = &looks.latest()?.found else {
        return None;
    };
    let is_later = |date: &Timestamp| date.duration_since(expected.set_at) > MARGIN;
    user.modified.filter(is_later)
}

/// How this user differs from what the last set left; None if the user does not.
fn deviation(
    user: &User,
    looks: &Looks,
    expected: &Expectation,
    begun: Timestamp,
) -> Option<Deviation> {
    let set_at = expected.set_at;
    let is_later =
        |date: Option<Timestamp>| date.is_some_and(|date| date.duration_since(set_at) > MARGIN);
    let awaits_sign_in = user.state == UserState::ForceChangePassword;
    if is_later(user.created) {
        return Some(Deviation::Recreated {
            by_administrator: awaits_sign_in && user.enabled,
        });
    }
    if !user.enabled {
        return Some(Deviation::Disabled);
    }
    match user.state {
        UserState::Unconfirmed => Some(Deviation::Unconfirmed),
        UserState::ExternalProvider => {
            (expected.federated == FederatedUser::Refuse).then_some(Deviation::Federated)
        }
        UserState::ResetRequired => Some(Deviation::Reset),
        UserState::ForceChangePassword if expected.permanent => Some(Deviation::Reset),
        UserState::ForceChangePassword => {
            let is_over = is_over(looks, expected, begun);
            (is_over && !is_later(user.modified)).then_some(Deviation::Expired)
        }
        UserState::Confirmed | UserState::Other => None,
    }
}

/// Whether the validity of a temporary password was over when a look began.
fn is_over(looks: &Looks, expected: &Expectation, begun: Timestamp) -> bool {
    let days = match looks.validity {
        Validity::NotRead => return false,
        Validity::Unreadable => VALIDITY_DAYS,
        Validity::Days(days) => days,
    };
    let validity = SignedDuration::from_hours(24 * i64::from(days)) + EXPIRY_MARGIN;
    begun.duration_since(expected.set_at) > validity
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn after(seconds: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
    }

    #[rstest]
    #[case::by_the_set_itself(Some(30), true, None)]
    #[case::by_somebody(Some(90), true, Some(90))]
    #[case::no_date(None, true, None)]
    #[case::of_a_disabled_user(Some(90), false, None)]
    fn a_later_modified_date_is_news_only_of_a_user_who_fits(
        #[case] modified: Option<i64>,
        #[case] enabled: bool,
        #[case] news: Option<i64>,
    ) {
        let user = User {
            username: "bot".to_owned(),
            sub: None,
            state: UserState::Confirmed,
            enabled,
            created: Some(after(-1_000)),
            modified: modified.map(after),
        };
        let mut looks = Looks::default();
        looks.add(Look {
            found: Found::User(user),
            begun: after(100),
            kind: LookKind::Sweep,
        });
        let expected = Expectation {
            permanent: true,
            federated: FederatedUser::Refuse,
            sent_at: after(0),
            set_at: after(0),
            found_before: true,
        };
        let found = modified_since(&looks, &expected, after(101));
        assert_eq!(found, news.map(after));
    }
}
