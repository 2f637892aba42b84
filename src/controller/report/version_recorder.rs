//! Records which version of a Secret was verified last, lazily and at a bounded pace: see
//! [`crate::core::protocol::version`], which decides what there is to record.
//!
//! External Secrets moves a Secret's metadata all day. Several moves within [`DELAY`] are one write; and
//! after each write the recorder pauses four times as long as the write took, so that a slow API server
//! gets few. Only keys are kept.

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

/// So many times as long as a write took, the recorder pauses after it.
const PAUSE: u32 = 4;

/// Records, as long as this process leads; for ever.
pub(crate) async fn record<C: Cognito>(context: &Context<C>) {
    context.leadership.won().await;
    let mut pace = Pace::new();
    loop {
        let key = context.version_queue.next().await;
        let began = Instant::now();
        let step = "recording a verified version";
        let recording = record_one(context, &key);
        // After a panic nothing is recorded until a read verifies the version again.
        let wrote = isolated_async(&context.metrics, &key, step, recording).await;
        if wrote.unwrap_or(false) {
            sleep(began.elapsed() * PAUSE).await;
        } else {
            pace.step().await;
        }
    }
}

/// Answers with whether the API server was asked to write.
async fn record_one<C: Cognito>(context: &Context<C>, key: &Key) -> bool {
    if context.is_stopping() {
        return false;
    }
    // Not beside a reconcile, which may find the same without a read, and then adds nothing.
    let is_busy = context.queue.is_taken(key) || context.permits.holds(key);
    if is_busy || context.memory.has_pending_outcome(key) {
        context.version_queue.add(key);
        return false;
    }
    let Some(stored) = context.index().resource(key) else {
        return false;
    };
    let resource = context.memory.freshest(key, stored);
    let facts = Snapshot::new(context, key, resource.clone());
    let observed = facts.observed(context, facts.hint(context));
    let Some(status) = verified(&observed, Timestamp::now()) else {
        return false;
    };
    if !context.leadership.has_left(CALL_TIMEOUT) {
        context.version_queue.add(key);
        return false;
    }
    match status::write(&context.client, &resource, &status).await {
        Ok(written) => {
            context.wrote(key, Arc::new(written));
            if !context.index().has_resource(key) {
                context.memory.forget(key);
            }
        }
        Err(CallError::NotFound) => {}
        // The resource has moved on, perhaps by a label only, which leads to no read. Once the watch shows
        // it, what is still verified is recorded.
        Err(CallError::Conflict) => context.version_queue.add(key),
        Err(error) => {
            debug!(object = %key, %error, "the version of the Secret could not be recorded");
            context.version_queue.add(key);
        }
    }
    true
}
