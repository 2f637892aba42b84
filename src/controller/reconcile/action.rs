//! How a stage or a reconcile ends.

use crate::{cluster::CallError, controller::state::key::Key};
use std::time::Duration;
use tracing::warn;

/// How a stage or a reconcile ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Action {
    /// There is no more work until an event comes, or until this time has passed.
    Wake(Option<Duration>),
    /// The resource waits for a permit. The rate limiter queues the resource once the permit is there.
    /// After this time, if any, the status must report the wait.
    Queued(Option<Duration>),
    /// Too little of the lease is left for a status write. Nothing was written, and the next reconcile
    /// begins anew.
    ShortOfLease,
    /// The resource has changed, or another step is done: begin again with the current resource.
    Restart,
    /// The API server failed: retry after a backoff.
    ApiFailed,
}

/// How long to wait if too little of the lease is left. Meanwhile the lease is renewed, or the process
/// ends.
pub(crate) const SHORT_OF_LEASE: Duration = Duration::from_secs(1);

pub(crate) fn write_failed(key: &Key, error: &CallError) -> Action {
    warn!(object = %key, %error, "the status could not be written");
    Action::ApiFailed
}

pub(crate) fn read_failed(key: &Key, error: &CallError) -> Action {
    warn!(object = %key, %error, "the Secret could not be read");
    Action::ApiFailed
}
