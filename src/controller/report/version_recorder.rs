//! Records which version of a Secret was verified last, with a delay and at a bounded pace.
//! [`crate::core::protocol::version`] decides what there is to record.
//!
//! External Secrets changes a Secret's metadata all day. Changes within
//! [`DELAY`](crate::controller::schedule::version_queue::DELAY) are one write. After each write the
//! recorder pauses four times as long as the write took, so that a slow API server gets fewer writes.
//! Only keys are kept in memory.

use crate::{
    cluster::{CALL_TIMEOUT, CallError, status},
    cognito::Cognito,
    controller::{
        context::Context, isolate::isolated_async, reconcile::gather::Snapshot,
        schedule::pace::Pace, state::key::Key,
    },
    core::protocol::version::verified,
};
use jiff::Timestamp;
use std::sync::Arc;
use tokio::time::{Instant, sleep};
use tracing::debug;

/// The pause after a write, as a multiple of the time that the write took.
const PAUSE: u32 = 4;

/// Records verified versions once this process leads, for ever.
pub(crate) async fn record<C: Cognito>(context: &Context<C>) {
    context.leadership.won().await;
    let mut pace = Pace::new();
    loop {
        let key = context.version_queue.next().await;
        let began = Instant::now();
        let step = "recording a verified version";
        let recording = record_one(context, &key);
        // After a panic, no version of this resource is recorded until another read verifies a version.
        let wrote = isolated_async(&context.metrics, &key, step, recording).await;
        if wrote.unwrap_or(false) {
            sleep(began.elapsed() * PAUSE).await;
        } else {
            pace.step().await;
        }
    }
}

/// Records the version of one resource. Returns whether a write was sent to the API server.
async fn record_one<C: Cognito>(context: &Context<C>, key: &Key) -> bool {
    if context.is_stopping() {
        return false;
    }
    // The recorder does not write while a reconcile may write. The key goes back into the queue,
    // because a reconcile that ends without a read does not add the key.
    let is_busy = context.queue.is_taken(key) || context.permits.contains(key);
    if is_busy || context.memory.has_pending_outcome(key) {
        context.version_queue.add(key);
        return false;
    }
    let Some(stored) = context.index().resource(key) else {
        return false;
    };
    let resource = context.memory.freshest(key, stored);
    let snapshot = Snapshot::new(context, key, resource.clone());
    let observed = snapshot.observe(context, snapshot.watched_secret(context));
    let Some(status) = verified(&observed, Timestamp::now()) else {
        return false;
    };
    if !context.leadership.has_left(CALL_TIMEOUT) {
        context.version_queue.add(key);
        return false;
    }
    match status::write(&context.client, &resource, &status).await {
        Ok(written) => {
            context.remember(key, Arc::new(written));
            if !context.index().has_resource(key) {
                context.memory.forget(key);
            }
        }
        Err(CallError::NotFound) => {}
        // The resource has changed, perhaps only in a label, which leads to no read. So the key is
        // queued again. Once the watch shows the change, the recorder checks whether the version is
        // still verified.
        Err(CallError::Conflict) => context.version_queue.add(key),
        Err(error) => {
            debug!(object = %key, %error, "the version of the Secret could not be recorded");
            context.version_queue.add(key);
        }
    }
    true
}
