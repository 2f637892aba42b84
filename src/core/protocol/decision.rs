//! The decision types.

use crate::{
    api::Status,
    core::{
        access::authority::Authority, condition::verdict::Verdict, protocol::plan::Plan,
        schedule::rate_limit::Urgency,
    },
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use std::time::Duration;

/// What the operator does now about one resource.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Decision {
    /// Nothing until the resource changes, because the resource is suspended or being deleted.
    Leave,
    /// Nothing: the status still holds.
    Stay {
        /// Time until the next reconcile without an event; None if only an event leads to one.
        wake: Option<Duration>,
    },
    /// Look at the user, and decide again after the look.
    Look {
        /// Time until the look.
        after: Duration,
        /// Time until the next reconcile without an event; None if only an event leads to one.
        wake: Option<Duration>,
    },
    /// Read the Secret and decide again.
    Read,
    /// Write this status.
    Report(Box<Report>),
    /// Write the attempt ahead, call Cognito, and conclude.
    Set(Box<Plan>),
    /// End the user's sessions, and conclude.
    SignOut(Box<Duty>),
}

/// A sign-out that is about to be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Duty {
    /// The identity that makes the call, and the Region.
    pub authority: Authority,
    /// The time of the set that owes the sign-out, by which the record of the obligation is recognized.
    pub since: MicroTime,
    /// The generation of the resource.
    pub generation: i64,
    /// The priority of the call: for a new set, or for a later try.
    pub urgency: Urgency,
}

/// A status to write if it differs from the current status.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// The whole new status.
    pub status: Status,
    /// The verdict that the conditions of `status` express.
    pub verdict: Verdict,
    /// Time until the next reconcile without an event; None if only an event leads to one.
    pub wake: Option<Duration>,
    /// Whether the newest key signed a fingerprint again because its key is lost. The operator then publishes
    /// a warning.
    pub signed_again: bool,
}

impl Report {
    /// A report without a fingerprint that was signed again.
    pub(crate) const fn new(status: Status, verdict: Verdict, wake: Option<Duration>) -> Self {
        Self {
            status,
            verdict,
            wake,
            signed_again: false,
        }
    }
}
