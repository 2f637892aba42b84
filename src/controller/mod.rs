//! The controller connects kube-runtime's watches to the pure core. A watch event changes the index.
//! Triage decides on the resources that the event concerns, and queues the resources that need work.
//! Once this process leads, reconciles take resources from the queue, at most one reconcile for a
//! resource at a time.
//!
//! Each module of this list imports only modules above it:
//! - `state`: what the watches showed, and what this process remembers
//! - `schedule`: queue, slots, permits, user locks, credential gate
//! - `context`: the state and the services that all reconciles share
//! - `calls`: what every call of Cognito leaves behind
//! - `reconcile`: the stages, from the decision to the record of the outcome
//! - `look`: looks at the users, and their results
//! - `report`: the status of grants, and the verified versions of Secrets
//! - `watch`: applies watch events to the state, and queues keys
//! - `measure`: the sources of the gauges

mod calls;
mod context;
mod isolate;
mod look;
mod measure;
#[cfg(test)]
mod panic_tests;
mod reconcile;
mod report;
mod schedule;
mod state;
#[cfg(test)]
mod user_tests;
mod watch;

pub use context::{Context, Rules};
pub use state::key::Key;
pub use watch::register_checks;

use crate::{cluster::watch::Scope, cognito::Cognito, ops::health::Readiness};
use futures::FutureExt;
use reconcile::triage;
use schedule::slots::Slot;
use std::{future::Future, pin::pin, sync::Arc, time::Duration};
use tokio::{
    sync::oneshot,
    task::{JoinError, JoinSet},
    time::timeout,
};
use tracing::{debug, error};

/// How long a shutdown waits for the queued Events to be written.
const EVENTS_MAX: Duration = Duration::from_millis(500);

/// Applies watch events to the state, and reconciles resources once `leading` completes. At `shutdown`
/// no new reconcile begins, and the function waits for the reconciles under way.
///
/// # Panics
/// If following the watches ends or panics: the operator would notice no change any more.
pub async fn run<C: Cognito>(
    context: Arc<Context<C>>,
    scopes: Vec<Scope>,
    readiness: Readiness,
    leading: impl Future<Output = ()> + Send + 'static,
    shutdown: impl Future<Output = ()> + Send + 'static,
) {
    measure::measure(&context);
    let stalls = context.metrics.stalls();
    let following = watch::follow(context.clone(), scopes, readiness);
    let mut follow = tokio::spawn(stalls.instrument(following));
    let (stop_events, stopped) = oneshot::channel::<()>();
    let mut events = tokio::spawn(stalls.instrument(publish_events(context.clone(), stopped)));
    tokio::select! {
        () = reconciles(&context, leading, shutdown) => follow.abort(),
        () = context.permits.give(&context.metrics) => {}
        () = report::grant_status::report(&context) => {}
        () = report::version_recorder::record(&context) => {}
        () = look::look(&context) => {}
        _ = &mut follow => panic!("following the watches ended"),
    }
    drop(stop_events);
    if timeout(EVENTS_MAX, &mut events).await.is_err() {
        events.abort();
    }
}

/// Writes the queued Events once this process leads, so that replicas do not write the same Event.
/// After the sender of `ended` is dropped, writes the Events that are left, and ends.
async fn publish_events<C: Cognito>(context: Arc<Context<C>>, mut ended: oneshot::Receiver<()>) {
    tokio::select! {
        () = context.leadership.won() => {}
        _ = &mut ended => return,
    }
    context.events.report(ended.map(drop)).await;
}

/// Reconciles the queued resources as slots become free, from `leading` until `shutdown`. Then waits
/// for the reconciles under way.
async fn reconciles<C: Cognito>(
    context: &Arc<Context<C>>,
    leading: impl Future<Output = ()>,
    shutdown: impl Future<Output = ()>,
) {
    let mut shutdown = pin!(shutdown);
    let mut running = JoinSet::new();
    let stalls = context.metrics.stalls();
    tokio::select! {
        () = &mut shutdown => return context.stop(),
        // Until this process leads, keys wait in the queue, and watch events add more keys.
        () = leading => {}
    }
    // `leading` loads the fingerprint keys anew. A resource that was in sync by the older keys may need
    // work by the newer keys.
    let known = context.index().resources();
    triage::triage_all(context, known).await;
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            (slot, key) = next(context) => {
                running.spawn(stalls.instrument(reconcile_and_requeue(context.clone(), key, slot)));
            }
            Some(ended) = running.join_next() => log_failure(ended),
        }
    }
    context.stop();
    while let Some(ended) = running.join_next().await {
        log_failure(ended);
    }
}

/// Logs a reconcile task that failed. [`reconcile_and_requeue`] catches the panics of a reconcile. A resource stays
/// taken in the queue until a restart if [`reconcile_and_requeue`] itself panics. Other resources are still
/// reconciled.
fn log_failure(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        error!(
            panicked = error.is_panic(),
            "the task of a reconcile failed"
        );
    }
}

/// Takes the slot before the key, so that the queue chooses the key only when a reconcile can begin.
async fn next<C: Cognito>(context: &Context<C>) -> (Slot, Key) {
    let slot = context.slots.take().await;
    (slot, context.queue.take().await)
}

/// Reconciles one resource. If a watch event queued the resource again meanwhile, triage decides on the
/// resource.
async fn reconcile_and_requeue<C: Cognito>(context: Arc<Context<C>>, key: Key, slot: Slot) {
    let wake = reconcile::reconcile(&context, &key).await;
    drop(slot);
    debug!(object = %key, ?wake, "reconciled");
    if context.queue.done(&key, wake) {
        triage::triage_all(&context, [key]).await;
    }
}
