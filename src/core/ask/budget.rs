//! The rate at which the operator calls Cognito, as far as the caller can see the operator's settings.

use crate::core::{
    checkup::{installed::Installed, installed::Settings, seen::Seen},
    schedule::rate_limit::{Category, RateLimits},
};
use serde::Serialize;

/// The operator's limits for sets, for each account and Region.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Budget {
    /// Calls a second, in the long run.
    pub rps: f64,
    /// Calls at once, after a rest.
    pub burst: u32,
    /// Why the default limits are taken; None for the operator's own settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assumed_because: Option<String>,
}

impl Budget {
    /// The limits of the operator that watches these namespaces. The slowest operator counts, if several do.
    #[must_use]
    pub fn of(installed: &Seen<Vec<Installed>>, namespaces: &[&str]) -> Self {
        let watches = |settings: &Settings| {
            let watched = &settings.watch_namespaces;
            let any = |name: &&str| watched.iter().any(|it| it == name);
            watched.is_empty() || namespaces.iter().any(any)
        };
        let found = installed.known().into_iter().flatten();
        let slowest = found
            .map(|it| &it.settings)
            .filter(|it| watches(it))
            .min_by(|one, two| one.cognito_rps.total_cmp(&two.cognito_rps));
        let assumed_because = match slowest {
            Some(_) => None,
            None => Some(installed.why_not().unwrap_or_else(|| {
                "no Deployment of an operator for these namespaces was found".to_owned()
            })),
        };
        let default = Settings::default();
        let settings = slowest.unwrap_or(&default);
        Self {
            rps: settings.cognito_rps,
            burst: settings.cognito_burst,
            assumed_because,
        }
    }

    /// The seconds after which so many sets and sign-outs have left, in one account and Region.
    #[must_use]
    pub fn seconds(&self, sets: usize, sign_outs: usize) -> u64 {
        let limits = RateLimits {
            rps: self.rps,
            burst: self.burst,
        };
        let sign_out_limits = limits.of_category(Category::UserUpdate);
        seconds(limits, sets).max(seconds(sign_out_limits, sign_outs))
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a cluster has fewer than 2^32 resources, and the rate is at least 0.01 a second"
)]
fn seconds(limits: RateLimits, calls: usize) -> u64 {
    let later = calls.saturating_sub(limits.burst as usize);
    (later as f64 / limits.rps.max(0.01)).ceil() as u64
}

/// A time in words that people say, such as `17 min`.
#[must_use]
pub fn about(seconds: u64) -> String {
    match seconds {
        0..=1 => "1 s".to_owned(),
        2..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h", seconds.div_ceil(3600)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::checkup::right::Right;
    use rstest::rstest;

    fn installed(rps: f64, watched: &[&str]) -> Installed {
        Installed {
            namespace: "home".to_owned(),
            name: "operator".to_owned(),
            image: String::new(),
            version: None,
            selector: "app.kubernetes.io/name=cognito-password-operator".to_owned(),
            service_account: "operator".to_owned(),
            desired: 2,
            ready: 2,
            settings: Settings {
                cognito_rps: rps,
                watch_namespaces: watched.iter().map(|&it| it.to_owned()).collect(),
                ..Settings::default()
            },
            ..Installed::default()
        }
    }

    #[rstest]
    #[case(vec![installed(5.0, &[])], 5.0, true)]
    #[case(vec![installed(5.0, &[]), installed(2.0, &["team-a"])], 2.0, true)]
    #[case(vec![installed(5.0, &[]), installed(2.0, &["team-b"])], 5.0, true)]
    #[case(vec![installed(2.0, &["team-b"])], 10.0, false)]
    #[case(vec![], 10.0, false)]
    fn the_operator_of_the_namespace_says_the_rate(
        #[case] found: Vec<Installed>,
        #[case] rps: f64,
        #[case] is_known: bool,
    ) {
        let budget = Budget::of(&Seen::Known(found), &["team-a"]);
        assert!((budget.rps - rps).abs() < f64::EPSILON);
        assert_eq!(budget.assumed_because.is_none(), is_known);
    }

    #[test]
    fn a_missing_right_is_said_with_the_default_rate() {
        let right = Right {
            verb: "list",
            group: "apps",
            resource: "deployments",
            subresource: "",
            namespace: None,
            name: None,
        };
        let budget = Budget::of(&Seen::Denied(right), &["team-a"]);
        let why = "you may not list deployments.apps -A";
        assert_eq!(budget.assumed_because.as_deref(), Some(why));
        assert_eq!(budget.burst, 10);
    }

    #[rstest]
    #[case(0, 0, "1 s")]
    #[case(10, 0, "1 s")]
    #[case(11, 0, "1 s")]
    #[case(100, 0, "9 s")]
    #[case(10_000, 0, "17 min")]
    // Sign-outs have half of the rate.
    #[case(100, 100, "19 s")]
    #[case(100_000, 0, "3 h")]
    fn calls_beyond_the_burst_leave_at_the_rate(
        #[case] sets: usize,
        #[case] sign_outs: usize,
        #[case] words: &str,
    ) {
        let budget = Budget::of(&Seen::Known(vec![installed(10.0, &[])]), &[]);
        assert_eq!(about(budget.seconds(sets, sign_outs)), words);
    }
}
