//! The scenes: each injects a fault into an installation of its own until the alert that is meant fires, ends the
//! fault, and waits until the alert resolves. Quiet scenes do what happens on any day, and no alert may fire.

mod api_server;
mod cognito;
mod installation;
mod quiet;
mod resources;
mod users;

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;

use crate::installation::{ECHO, Installation};
use crate::support::Prometheus;
pub(crate) use resources::loosen;

/// A scene, to be played on an installation of its own.
pub(crate) struct Scene {
    pub(crate) name: &'static str,
    /// The alerts that must fire. No other may. Without `CognitoPasswordOperator`.
    pub(crate) fires: &'static [&'static str],
    play: Play,
}

/// What a scene is played with.
pub(crate) struct Stage {
    name: &'static str,
    prometheus: Arc<Prometheus>,
}

type Play = fn(Stage) -> Pin<Box<dyn Future<Output = Installation>>>;

macro_rules! scene {
    ($name:literal, $play:path, $fires:expr) => {
        Scene {
            name: $name,
            fires: &$fires,
            play: |stage| Box::pin($play(stage)),
        }
    };
}

pub(crate) const SCENES: &[Scene] = &[
    // The longest first.
    scene!("drift", users::drift, ["Drift"]),
    scene!("correcting", users::correcting, ["Correcting"]),
    scene!("looks-denied", users::looks_denied, ["AccessDenied"]),
    scene!("rate-limited", cognito::rate_limited, ["RateLimited"]),
    scene!(
        "needless-rights",
        installation::needless_rights,
        ["UnneededSecretAccess"]
    ),
    scene!("restarting", installation::restarting, ["Restarting"]),
    scene!(
        "suspended-long",
        resources::suspended_long,
        ["SuspendedLong"]
    ),
    scene!(
        "grant-not-in-force",
        resources::grant_not_in_force,
        ["GrantNotInForce"]
    ),
    scene!("undecodable", resources::undecodable, ["Undecodable"]),
    scene!("events-lost", api_server::events_lost, ["EventsLost"]),
    scene!("slow-to-set", cognito::slow_to_set, ["SlowToSet"]),
    scene!("no-leader", api_server::no_leader, ["NoLeader"]),
    scene!(
        "passwords-not-set",
        resources::passwords_not_set,
        ["PasswordsNotSet"]
    ),
    scene!("replica-down", installation::replica_down, ["ReplicaDown"]),
    scene!("two-leaders", installation::two_leaders, ["TwoLeaders"]),
    scene!("no-identity", cognito::no_identity, ["NoIdentity"]),
    scene!("access-denied", cognito::access_denied, ["AccessDenied"]),
    scene!("unreachable", cognito::unreachable, ["Unreachable"]),
    scene!("blind", api_server::blind, ["Blind"]),
    scene!("cannot-write", api_server::cannot_write, ["CannotWrite"]),
    scene!("throttled", cognito::throttled, ["Throttled"]),
    scene!("replies-lost", cognito::replies_lost, ["RepliesLost"]),
    // A resource with an unknown outcome is tried again, and each try loses its reply: both alerts, as in a cluster.
    scene!(
        "outcome-unknown",
        cognito::outcome_unknown,
        ["OutcomeUnknown", "RepliesLost"]
    ),
    scene!("stalls", installation::stalls, ["Stalls"]),
    scene!("rollout", quiet::rollout, []),
    scene!("failover", quiet::failover, []),
];

/// Alerts that no scene can provoke, with the reason. rules.test.yaml makes each of them fire, by invented series.
pub(crate) const NOT_PROVOKED: &[(&str, &str)] = &[
    ("Panics", "no input is known at which the operator panics"),
    (
        "NotLooking",
        "looks are at least five minutes apart, and four times that is too long for a scene",
    ),
    ("VersionSkew", "the tests have one version of the operator"),
];

/// Fires before the first scrape: see `main`.
pub(crate) const WITHOUT_TARGETS: &str = "Absent";

impl Scene {
    /// Plays the scene, and judges which alerts fired.
    pub(crate) async fn play(&self, prometheus: Arc<Prometheus>) {
        let name = self.name;
        let mut installation = (self.play)(Stage { name, prometheus }).await;
        self.judge(&installation).await;
        installation.is_silent().await;
        self.judge(&installation).await;
        if self.fires.is_empty() {
            installation.say("no alert fired");
        }
        installation.end().await;
    }

    async fn judge(&self, installation: &Installation) {
        let mut fired = installation.fired().await;
        let meant: BTreeSet<String> = self.fires.iter().map(|&name| name.to_owned()).collect();
        if !meant.contains(ECHO) && fired.contains(ECHO) && installation.has_stalled().await {
            fired.remove(ECHO);
        }
        let name = self.name;
        assert_eq!(
            fired, meant,
            "{name}: the alerts that fired, and those that are meant"
        );
    }
}

impl Stage {
    /// Two replicas with an election.
    async fn pair(&self) -> Installation {
        Installation::new(self.name, &self.prometheus).await
    }
}

/// Names of users, resources and Secrets.
fn bots(count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("bot-{number}")).collect()
}
