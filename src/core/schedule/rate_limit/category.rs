//! The quota categories of Cognito, and the operator's share of each.

use super::RateLimits;
use std::fmt;

/// A quota category: operations of Cognito that share one quota of requests per second. Cognito counts each
/// category by account and Region, over all user pools. The names are those of the AWS documentation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Category {
    /// `AdminSetUserPassword`: 30 requests a second, shared with the end users' own password recovery.
    UserAccountRecovery,
    /// `ListUsers`: 30 requests a second.
    UserList,
    /// `AdminUserGlobalSignOut`: 25 requests a second.
    UserUpdate,
    /// `DescribeUserPool`: 15 requests a second.
    UserPoolRead,
}

impl Category {
    /// The name in the AWS documentation.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UserAccountRecovery => "UserAccountRecovery",
            Self::UserList => "UserList",
            Self::UserUpdate => "UserUpdate",
            Self::UserPoolRead => "UserPoolRead",
        }
    }

    /// The limits of the category, in tenths of the limits of the command line. With 10 calls a second, the
    /// operator takes 33, 10, 20 and 7 % of the quotas.
    const fn tenths(self) -> u32 {
        match self {
            Self::UserAccountRecovery => 10,
            Self::UserList => 3,
            Self::UserUpdate => 5,
            Self::UserPoolRead => 1,
        }
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl RateLimits {
    /// The limits of one category, where `self` are the limits of the command line. The limits of
    /// [`Category::UserAccountRecovery`] are `self`. The burst of the other categories is rounded down, but
    /// is at least 1.
    #[must_use]
    pub fn of_category(self, category: Category) -> Self {
        let tenths = category.tenths();
        let burst = u64::from(self.burst) * u64::from(tenths) / 10;
        Self {
            rps: self.rps * (f64::from(tenths) / 10.0),
            burst: u32::try_from(burst).unwrap_or(u32::MAX).max(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case::of_sets(Category::UserAccountRecovery, 10.0, 10)]
    #[case::of_lists(Category::UserList, 3.0, 3)]
    #[case::of_sign_outs(Category::UserUpdate, 5.0, 5)]
    #[case::of_pools(Category::UserPoolRead, 1.0, 1)]
    fn each_category_has_its_share_of_the_default_limits(
        #[case] category: Category,
        #[case] rps: f64,
        #[case] burst: u32,
    ) {
        let default = RateLimits {
            rps: 10.0,
            burst: 10,
        };
        assert_eq!(default.of_category(category), RateLimits { rps, burst });
    }

    #[rstest]
    #[case::of_sets(Category::UserAccountRecovery, 10.0, 10)]
    #[case::of_lists(Category::UserList, 3.0, 3)]
    #[case::of_sign_outs(Category::UserUpdate, 5.0, 5)]
    #[case::of_pools(Category::UserPoolRead, 1.0, 1)]
    fn the_highest_and_the_lowest_limits_scale(
        #[case] category: Category,
        #[case] tenths: f64,
        #[case] burst: u32,
    ) {
        let highest = RateLimits {
            rps: 10_000.0,
            burst: 10_000,
        };
        let scaled = RateLimits {
            rps: 1_000.0 * tenths,
            burst: 1_000 * burst,
        };
        assert_eq!(highest.of_category(category), scaled);
        let lowest = RateLimits {
            rps: 0.01,
            burst: 1,
        };
        let RateLimits { rps, burst } = lowest.of_category(category);
        assert!((rps - 0.001 * tenths).abs() < 1e-9, "{rps}");
        assert_eq!(burst, 1, "a rate limiter without a burst gives no permit");
    }

    proptest! {
        /// The limits of the command line are the limits of sets, to the last bit.
        #[test]
        fn sets_have_the_limits_of_the_command_line(rps in 0.01_f64..10_000.0, burst: u32) {
            let limits = RateLimits { rps, burst: burst.max(1) };
            prop_assert_eq!(limits.of_category(Category::UserAccountRecovery), limits);
        }
    }
}
