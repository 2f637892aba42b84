//! The settings from the command line for [`run`](super), and the errors of a start.

use crate::{controller::Rules, ops::logging};
use std::net::SocketAddr;

/// The settings of `run`.
#[derive(Debug)]
pub struct Settings {
    /// The namespaces to watch; empty for all namespaces.
    pub watch_namespaces: Vec<String>,
    /// The namespace of the Secret with the fingerprint keys.
    pub operator_namespace: String,
    /// The name of the Lease of the election, in `operator_namespace`.
    pub lease_name: String,
    /// Which users' passwords the operator sets, from which Secrets, and at which rate.
    pub rules: Rules,
    /// Whether this process takes part in an election, because other replicas may run.
    pub leader_elect: bool,
    /// The pod's name, if the process runs in a pod.
    pub pod_name: Option<String>,
    /// The pod's uid, if the process runs in a pod.
    pub pod_uid: Option<String>,
    /// The address of `/livez`, `/readyz` and `/metrics`.
    pub listen: SocketAddr,
    /// The format of log lines.
    pub log_format: logging::Format,
    /// Which events are logged.
    pub log: logging::Filter,
}

/// Why the operator did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting is wrong. Waiting would not help.
    #[error("{0}")]
    Settings(String),
    /// The machine refused something, such as a socket or a random number.
    #[error("{0}")]
    Failed(String),
}
