//! What the command line tells [`run`](super), and why a start fails.

use crate::{controller::Rules, ops::logging};
use std::net::SocketAddr;

/// What `run` was told.
#[derive(Debug)]
pub struct Settings {
    /// The namespaces to watch; none for all.
    pub watch_namespaces: Vec<String>,
    /// Where the Secret with the fingerprint keys is.
    pub operator_namespace: String,
    /// The name of the Lease by which one of several operators leads, in the same namespace.
    pub lease_name: String,
    /// Whose passwords are set, from which Secrets, and how fast.
    pub rules: Rules,
    /// Whether others may run beside it.
    pub leader_elect: bool,
    /// The pod's name, if it is one.
    pub pod_name: Option<String>,
    /// The pod's uid, if it is one.
    pub pod_uid: Option<String>,
    /// Where `/livez`, `/readyz` and `/metrics` are served.
    pub listen: SocketAddr,
    /// How log lines are written.
    pub log_format: logging::Format,
    /// What is logged.
    pub log: logging::Filter,
}

/// Why it didn't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting is wrong: nothing that waiting would mend.
    #[error("{0}")]
    Settings(String),
    /// The machine didn't allow it.
    #[error("{0}")]
    Failed(String),
}
