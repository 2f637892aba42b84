//! An installed operator, as its Deployment describes it.

use super::right::Installation;
use crate::{
    api::{KEY_SECRET, LEASE},
    core::names::region::Regions,
};
use std::collections::BTreeMap;

/// The variables by which the AWS SDK finds Cognito's endpoint.
pub const ENDPOINTS: [&str; 2] = [
    "AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER",
    "AWS_ENDPOINT_URL",
];

/// A Deployment of the operator.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Installed {
    /// The namespace of the Deployment, which is the operator's own namespace.
    pub namespace: String,
    /// The name of the Deployment.
    pub name: String,
    /// The image of the operator's container.
    pub image: String,
    /// The version that the label `app.kubernetes.io/version` names.
    pub version: Option<String>,
    /// The labels by which the Deployment selects its pods, as a selector: `a=b,c=d`.
    pub selector: String,
    /// The pods' `ServiceAccount`.
    pub service_account: String,
    /// How many pods the Deployment asks for.
    pub desired: i32,
    /// How many pods are ready.
    pub ready: i32,
    /// Why pods are missing, as a condition of the Deployment says: `FailedCreate: exceeded quota`.
    pub trouble: Option<String>,
    /// What `run` is given.
    pub settings: Settings,
    /// The Helm release that the Deployment belongs to, if any.
    pub release: Option<String>,
    /// The labels of the pods.
    pub pod_labels: BTreeMap<String, String>,
    /// The annotations of the pods.
    pub pod_annotations: BTreeMap<String, String>,
}

impl Installed {
    /// What the operator needs rights for.
    #[must_use]
    pub fn installation(&self) -> Installation {
        let settings = &self.settings;
        Installation {
            namespace: self.namespace.clone(),
            key_secret: KEY_SECRET,
            watched: settings.watch_namespaces.clone(),
            lease: settings.leader_elect.then(|| settings.lease_name.clone()),
        }
    }
}

/// The settings of `run` that a checkup needs. A setting that isn't given has its default.
#[derive(Clone, PartialEq, Debug)]
pub struct Settings {
    /// The watched namespaces; empty for all.
    pub watch_namespaces: Vec<String>,
    /// Whether the operator takes part in an election.
    pub leader_elect: bool,
    /// The name of the Lease.
    pub lease_name: String,
    /// Whether users of a pool that no grant names may be managed by everybody.
    pub ungranted_allow: bool,
    /// The labels that a Secret needs, in kubectl's syntax. None: all Secrets.
    pub secret_selector: Option<String>,
    /// How many sets Cognito gets each second, for each account and Region.
    pub cognito_rps: f64,
    /// How many sets Cognito gets at once after a pause.
    pub cognito_burst: u32,
    /// What a resource without `spec.drift` gets: `ignore`, `report` or `correct`.
    pub drift: String,
    /// The port of /readyz and /metrics.
    pub port: u16,
    /// Any Region if one endpoint serves every Region, mostly an emulator's: a variable names Cognito's endpoint.
    pub regions: Regions,
}

// The only number that isn't whole is a rate from the command line, which is never NaN.
impl Eq for Settings {}

impl Settings {
    /// Reads the settings from the container's arguments and variables, as `run` does: a flag wins over its
    /// variable. `env` has the variables with a plain value.
    #[must_use]
    pub fn of_container(args: &[String], env: &BTreeMap<String, String>) -> Self {
        let said = |flag: &str| {
            let variable = format!("CPO_{}", flag.replace('-', "_").to_uppercase());
            let in_env = env.get(&variable).filter(|value| !value.is_empty());
            flag_value(args, flag).or_else(|| in_env.cloned())
        };
        let watched = said("watch-namespaces").unwrap_or_default();
        let number = |flag: &str| said(flag).and_then(|it| it.parse::<f64>().ok());
        let watch_namespaces: Vec<_> = watched
            .split(',')
            .map(str::trim)
            .filter(|it| !it.is_empty())
            .map(str::to_owned)
            .collect();
        let port = said("listen").and_then(|it| it.rsplit_once(':')?.1.parse().ok());
        Self {
            leader_elect: said("leader-elect").is_none_or(|it| it != "false"),
            lease_name: said("lease-name").unwrap_or_else(|| LEASE.to_owned()),
            // With --watch-namespaces there are no grants.
            ungranted_allow: !watch_namespaces.is_empty()
                || said("ungranted").is_some_and(|it| it == "allow"),
            watch_namespaces,
            secret_selector: said("secret-selector"),
            cognito_rps: number("cognito-rps").unwrap_or(10.0),
            cognito_burst: said("cognito-burst")
                .and_then(|it| it.parse().ok())
                .unwrap_or(10),
            drift: said("drift").unwrap_or_else(|| "ignore".to_owned()),
            port: port.unwrap_or(8080),
            regions: if ENDPOINTS
                .iter()
                .any(|it| env.get(*it).is_some_and(|url| !url.is_empty()))
            {
                Regions::Any
            } else {
                Regions::OfAws
            },
        }
    }
}

/// The namespaces that two operators both watch, in words; None if they share none. An empty list means all.
#[must_use]
pub fn both_watch(a: &[String], b: &[String]) -> Option<String> {
    match (a, b) {
        ([], []) => Some("all namespaces".to_owned()),
        ([], some) | (some, []) => Some(some.join(", ")),
        _ => {
            let both: Vec<_> = a.iter().filter(|it| b.contains(it)).cloned().collect();
            (!both.is_empty()).then(|| both.join(", "))
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::of_container(&[], &BTreeMap::new())
    }
}

/// The value of `--flag=value`, of `--flag value`, or `true` for a bare `--flag`.
fn flag_value(args: &[String], flag: &str) -> Option<String> {
    let flag = format!("--{flag}");
    let mut args = args.iter().peekable();
    while let Some(arg) = args.next() {
        if *arg == flag {
            let next = args.peek().filter(|next| !next.starts_with("--"));
            return Some(next.map_or_else(|| "true".to_owned(), |next| (*next).clone()));
        }
        if let Some(value) = arg.strip_prefix(&flag).and_then(|it| it.strip_prefix('=')) {
            return Some(value.to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(args: &[&str], env: &[(&str, &str)]) -> Settings {
        let args: Vec<_> = args.iter().map(|&it| it.to_owned()).collect();
        let env = env.iter().map(|&(k, v)| (k.to_owned(), v.to_owned()));
        Settings::of_container(&args, &env.collect())
    }

    #[test]
    fn a_flag_wins_over_its_variable() {
        let env = [("CPO_LEASE_NAME", "b"), ("CPO_COGNITO_RPS", "2.5")];
        let read = settings(&["run", "--lease-name", "a", "--leader-elect=false"], &env);
        assert_eq!(read.lease_name, "a");
        assert!(!read.leader_elect);
        assert!((read.cognito_rps - 2.5).abs() < f64::EPSILON);
    }

    #[test]
    fn without_settings_there_are_the_defaults() {
        let read = settings(&["run"], &[("CPO_DRIFT", "")]);
        assert_eq!(read, Settings::default());
        assert_eq!(
            (read.leader_elect, read.ungranted_allow, read.port),
            (true, false, 8080)
        );
        assert_eq!(
            (read.lease_name.as_str(), read.drift.as_str()),
            (LEASE, "ignore")
        );
        assert_eq!(read.cognito_burst, 10);
    }

    #[test]
    fn watched_namespaces_mean_that_there_are_no_grants() {
        let read = settings(
            &["run", "--watch-namespaces=a, b", "--listen", "[::]:9090"],
            &[],
        );
        assert_eq!(read.watch_namespaces, ["a", "b"]);
        assert!(read.ungranted_allow);
        assert_eq!(read.port, 9090);
        assert!(settings(&["run", "--ungranted=allow"], &[]).ungranted_allow);
    }

    #[test]
    fn an_endpoint_serves_every_region() {
        let endpoint = ("AWS_ENDPOINT_URL", "http://moto:5000");
        assert_eq!(settings(&["run"], &[endpoint]).regions, Regions::Any);
        let empty = settings(&["run"], &[("AWS_ENDPOINT_URL", "")]);
        assert_eq!(empty.regions, Regions::OfAws);
    }

    #[test]
    fn a_bare_flag_is_true() {
        assert!(settings(&["run", "--leader-elect"], &[]).leader_elect);
        assert!(settings(&["run", "--leader-elect", "--drift=report"], &[]).leader_elect);
    }
}
