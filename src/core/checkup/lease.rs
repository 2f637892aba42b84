//! The Lease of the election, and who leads by the Lease.

use crate::core::text::legible;
use jiff::SignedDuration;

/// The longest name of a pod that is printed, in characters.
const NAME: usize = 100;

/// A Lease.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Lease {
    /// The name of the Lease.
    pub name: String,
    /// The identity of the holder; empty if the last leader released the Lease.
    pub holder: String,
    /// How long the holder has held the Lease, by the caller's clock. None without a time.
    pub held: Option<SignedDuration>,
    /// How long ago the holder renewed the Lease, by the caller's clock. Negative if the holder's clock is ahead. None
    /// without a time.
    pub age: Option<SignedDuration>,
    /// How long a renewal counts.
    pub duration: SignedDuration,
    /// Whether the holder renewed the Lease while this program looked on, which it only does if [`Lease::is_far`].
    pub is_renewed: bool,
}

/// Who leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Leader {
    /// Nobody: the last leader released the Lease.
    Released,
    /// Nobody: the Lease has no time of renewal.
    Timeless,
    /// Nobody: the holder renewed the Lease for the last time so long ago.
    Gone(SignedDuration),
    /// The holder, which renewed the Lease so long ago.
    Holder(SignedDuration),
    /// The holder, which renewed the Lease just now, although the Lease's time is so far from the caller's.
    HolderByOtherClock(SignedDuration),
}

impl Lease {
    /// Who leads. The caller's clock may differ from the holder's, so an old time alone doesn't say that nobody leads.
    #[must_use]
    pub fn leader(&self) -> Leader {
        match self.age {
            _ if self.holder.is_empty() => Leader::Released,
            None => Leader::Timeless,
            Some(age) if self.is_far() && self.is_renewed => Leader::HolderByOtherClock(age.abs()),
            Some(age) if age > self.duration => Leader::Gone(age),
            Some(age) => Leader::Holder(age),
        }
    }

    /// Whether the time in the Lease is further from the caller's time than a living leader's.
    #[must_use]
    pub fn is_far(&self) -> bool {
        let is_far = |age: SignedDuration| age.abs() > self.duration;
        !self.holder.is_empty() && self.age.is_some_and(is_far)
    }

    /// The name of the holder's pod. After the name and an underscore, the identity goes on with what tells processes
    /// apart.
    #[must_use]
    pub fn pod(&self) -> String {
        let pod = self.holder.split('_').next();
        legible(pod.unwrap_or_default(), NAME)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const fn secs(seconds: i64) -> SignedDuration {
        SignedDuration::from_secs(seconds)
    }

    #[rstest]
    #[case::released("", Some(1), false, Leader::Released)]
    #[case::timeless("a_1", None, false, Leader::Timeless)]
    #[case::fresh("a_1", Some(15), false, Leader::Holder(secs(15)))]
    #[case::old("a_1", Some(16), false, Leader::Gone(secs(16)))]
    #[case::clock_behind("a_1", Some(16), true, Leader::HolderByOtherClock(secs(16)))]
    #[case::clock_ahead("a_1", Some(-99), true, Leader::HolderByOtherClock(secs(99)))]
    #[case::taken_over_meanwhile("b_1", Some(0), true, Leader::Holder(secs(0)))]
    fn a_renewal_is_proof_of_life(
        #[case] holder: &str,
        #[case] age: Option<i64>,
        #[case] is_renewed: bool,
        #[case] leader: Leader,
    ) {
        let lease = Lease {
            holder: holder.to_owned(),
            age: age.map(secs),
            duration: secs(15),
            is_renewed,
            ..Lease::default()
        };
        assert_eq!(lease.leader(), leader);
    }
}
