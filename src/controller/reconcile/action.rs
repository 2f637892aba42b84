//! How a stage or a reconcile ends.

use crate::{cluster::CallError, controller::state::key::Key};
use std::time::Duration;
use tracing::warn;

/// How a reconcile ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Action {
    /// Nothing more to do until an event, or until this time has passed.
    Wake(Option<Duration>),
    /// It waits for its turn in the budget, which puts it into the queue; after this time there is
    /// something to say of that.
    Queued(Option<Duration>),
    /// Too little is left of the lease to say it: nothing was written, and it is all to be done again.
    ShortOfLease,
    /// The resource has moved on: begin again with what is there now.
    Again,
    /// The API server failed: try again after a backoff.
    ApiFailed,
}

/// How long to wait while too little is left of the lease. It is renewed, or the process ends.
pub(crate) const SHORT_OF_LEASE: Duration = Duration::from_secs(1);

pub(crate) fn write_failed(key: &Key, error: &CallError) -> Action {
    warn!(object = %key, %error, "the status could not be written");
    Action::ApiFailed
}

pub(crate) fn read_failed(key: &Key, error: &CallError) -> Action {
    warn!(object = %key, %error, "the Secret could not be read");
    Action::ApiFailed
}
