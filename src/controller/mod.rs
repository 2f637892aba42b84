//! The controller connects kube-runtime's watches to the pure core. A watch event changes the index.
//! Triage decides on the resources that the event concerns, and queues the resources that need work.
//! Once this process leads, reconciles take resources from the queue, at most one reconcile for a
//! resource at a time.
//!
//! Each module of this list imports only modules above it:
//! - `state`: what the watches showed, and what this process remembers
//! - `schedule`: queue, slots, permits, user locks, credential gate
//! - `context`: the state and the services that all reconciles share
//! - `reconcile`: the stages, from the decision to the record of the outcome
//! - `report`: the status of grants, and the verified versions of Secrets
//! - `watch`: applies watch events to the state, and queues keys

mod context;
mod isolate;
#[cfg(test)]
mod panic_tests;
mod reconcile;
mod report;
mod schedule;
mod state;
mod watch;

pub use context::{Context, Rules};
pub use state::key::Key;
pub use watch::register_checks;

use crate::{
    api::{REASONS, Reason},
    cluster::watch::Scope,
    cognito::Cognito,
    ops::{
        health::Readiness,
        metrics::{MemorySample, RateLimiterSample},
    },
};
use futures::FutureExt;
use reconcile::triage;
use schedule::slots::Slot;
use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    runtime::Handle,
    sync::oneshot,
    task::{JoinError, JoinSet},
    time::timeout,
};
use tracing::{debug, error};

/// How long a shutdown waits for the queued Events to be written.
const EVENTS_MAX: Duration = Duration::from_millis(500);

/// The reason under which the metric counts resources without a Ready reason in the status.
const NO_REASON: &str = "Unknown";

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
    measure(&context);
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

fn measure<C: Cognito>(context: &Arc<Context<C>>) {
    let queue = context.queue.clone();
    let length = move || count(queue.len());
    context.metrics.measure_queue_with(length);
    let permits = context.permits.clone();
    context
        .metrics
        .measure_rate_limiters_with(move || RateLimiterSample {
            waiting: count(permits.waiting()),
            rps: permits.rate(),
        });
    let index = context.index.clone();
    let by_reason = move || by_reason(context::lock(&index).reasons());
    context.metrics.count_resources_with(by_reason);
    context.metrics.measure_memory_with(memory_sample(context));
}

/// Counts the resources by the reason of the Ready condition, in one pass over the resources.
fn by_reason(reasons: impl Iterator<Item = Option<Reason>>) -> Vec<(&'static str, u64)> {
    let mut counts = [0; REASONS.len()];
    let mut without_reason = 0;
    for reason in reasons {
        match reason {
            Some(reason) => counts[reason as usize] += 1,
            None => without_reason += 1,
        }
    }
    let words = REASONS.iter().map(|entry| entry.word);
    words
        .zip(counts)
        .chain([(NO_REASON, without_reason)])
        .collect()
}

/// Counts the entries that this process keeps in memory. Captures the parts, not the context: the
/// context owns the metrics, and an `Arc` cycle would leak both.
fn memory_sample<C: Cognito>(
    context: &Context<C>,
) -> impl Fn() -> MemorySample + Send + Sync + use<C> {
    let (index, memory) = (context.index.clone(), context.memory.clone());
    let (queue, permits) = (context.queue.clone(), context.permits.clone());
    let (user_locks, credential_gate) =
        (context.user_locks.clone(), context.credential_gate.clone());
    let version_queue = context.version_queue.clone();
    let runtime = Handle::current().metrics();
    move || {
        let mut entries: Vec<_> = context::lock(&index).entries().collect();
        entries.extend(permits.entries());
        entries.extend([
            ("queue", queue.entries()),
            ("in_flight", user_locks.len(Instant::now())),
            ("memory", memory.len()),
            ("credentials", credential_gate.len()),
            ("verified", version_queue.len()),
        ]);
        MemorySample {
            tasks: count(runtime.num_alive_tasks()),
            entries: entries
                .into_iter()
                .map(|(of, entries)| (of, count(entries)))
                .collect(),
        }
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_counted() {
        let reasons = [
            Some(Reason::PasswordSet),
            None,
            Some(Reason::NotGranted),
            Some(Reason::PasswordSet),
        ];
        let counts = by_reason(reasons.into_iter());
        assert_eq!(counts.len(), REASONS.len() + 1);
        for (word, count) in counts {
            let expected = match word {
                "PasswordSet" => 2,
                "NotGranted" | NO_REASON => 1,
                _ => 0,
            };
            assert_eq!(count, expected, "{word}");
        }
    }
}
