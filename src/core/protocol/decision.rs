//! The decision types: what a decision comes to.

use crate::{
    api::Status,
    core::{condition::verdict::Verdict, protocol::plan::Plan},
};
use std::time::Duration;

/// What to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Decision {
    /// Nothing, until the resource changes: suspended, or on its way out.
    Leave,
    /// Nothing: what the status says still holds. Look again after `wake`, if it is given.
    Stay {
        /// How long what holds may hold without an event.
        wake: Option<Duration>,
    },
    /// Read the Secret and decide again.
    Read,
    /// Say this.
    Report(Box<Report>),
    /// Write the attempt down, call Cognito, and conclude.
    Set(Box<Plan>),
}

/// A status to write, unless it is there already.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// The whole new status.
    pub status: Status,
    /// What it says.
    pub verdict: Verdict,
    /// Look again after this, if it is given.
    pub wake: Option<Duration>,
    /// Whether the fingerprint was signed again because its key is gone: worth a warning.
    pub signed_again: bool,
}

impl Report {
    /// Without a signature that was made again.
    pub(crate) const fn new(status: Status, verdict: Verdict, wake: Option<Duration>) -> Self {
        Self {
            status,
            verdict,
            wake,
            signed_again: false,
        }
    }
}
