//! The settings of the operator's own `check`.

use crate::command::output::OutputArgs;
use std::time::Duration;

/// What the operator's own program checks, as the operator.
#[derive(Debug)]
pub struct Settings {
    /// The operator's own namespace.
    pub operator_namespace: String,
    /// The watched namespaces; empty for all.
    pub watch_namespaces: Vec<String>,
    /// The Lease of the election. None without an election.
    pub lease_name: Option<String>,
    /// The address of the operator's port, such as `http://cognito-password-operator:8080`.
    pub url: Option<String>,
    /// Whether to check before an installation.
    pub pre: bool,
    /// How long to try again while something fails or is unknown.
    pub wait: Duration,
    /// The format of the output.
    pub output: OutputArgs,
}
