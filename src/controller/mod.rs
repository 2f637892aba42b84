//! The controller: kube-runtime's watches and applier around the pure core. What happened goes
//! through the index into the queue; the applier, once this process leads, runs at most one reconcile
//! a resource at a time.

mod claims;
mod context;
mod credentials;
mod follow;
mod gather;
mod grants;
mod grants_told;
mod in_flight;
mod index;
mod key;
mod listing;
mod memory;
mod queue;
mod reconcile;
mod record;
mod set;
mod turns;

pub use context::{Context, Rules};
pub use follow::expect;
pub use key::Key;

use crate::{
    api::{CognitoUserPassword, REASONS, Status},
    cluster::watch::Scope,
    cognito::Cognito,
    ops::{health::Readiness, metrics::BudgetNow},
};
use futures::{FutureExt, StreamExt};
use kube::runtime::{
    applier,
    controller::{Action, Config, Error},
    reflector::store::Writer,
    watcher::Event,
};
use std::{convert::Infallible, future::Future, sync::Arc};
use tracing::debug;

/// Reconciles that run at the same time. Each may wait 5 s for Cognito and for the API server.
const CONCURRENCY: u16 = 32;

/// What is counted where a resource wasn't judged yet.
const NOT_JUDGED: &str = "Unknown";

/// Follows the watches, and reconciles from `leading` on. Runs until `shutdown`, then finishes the
/// reconciles that have begun.
///
/// # Panics
/// When following the watches panicked: nothing would ever be seen again.
pub async fn run<C: Cognito>(
    context: Arc<Context<C>>,
    mut writer: Writer<CognitoUserPassword>,
    scopes: Vec<Scope>,
    readiness: Readiness,
    leading: impl Future<Output = ()> + Send + 'static,
    shutdown: impl Future<Output = ()> + Send + 'static,
) {
    // The store is told single events only (each scope's lists are followed by the index), so it
    // is complete from the beginning.
    writer.apply_watcher_event(&Event::Init);
    writer.apply_watcher_event(&Event::InitDone);
    measure(&context);
    let mut follow = tokio::spawn(follow::follow(context.clone(), writer, scopes, readiness));
    let stopping = context.clone();
    let shutdown = async move {
        shutdown.await;
        stopping.stop();
    };
    // Until then keys wait in the queue, and whatever happens joins them.
    let keys = context.queue.keys();
    let requests = Box::pin(leading)
        .map(|()| keys)
        .flatten_stream()
        .map(|key| Ok::<_, Infallible>(key.object_ref()))
        .take_until(Box::pin(shutdown));
    let reconcile = |resource, context| Box::pin(reconcile::reconcile(resource, context));
    let failed = |_: Arc<_>, error: &Infallible, _: Arc<_>| -> Action { match *error {} };
    let config = Config::default().concurrency(CONCURRENCY);
    let store = context.store.clone();
    let reconciles =
        applier(reconcile, failed, context.clone(), store, requests, config).for_each(|done| {
            match done {
                Ok((resource, action)) => debug!(object = %resource, ?action, "reconciled"),
                // Deleted before its turn; and perhaps made anew since.
                Err(Error::ObjectNotFound(resource)) => {
                    let key = Key::from(resource.as_ref());
                    context.queue.taken_up(&key);
                    context.turns.leave(&key);
                    context.credentials.forget(&key);
                    if context.store.get(&key.object_ref()).is_some() {
                        context.queue.push(key);
                    }
                }
                Err(error) => debug!(%error, "applier"),
            }
            std::future::ready(())
        });
    tokio::select! {
        () = reconciles => follow.abort(),
        () = context.turns.give() => {}
        () = grants_told::tell(&context) => {}
        _ = &mut follow => panic!("following the watches ended"),
    }
}

fn measure<C: Cognito>(context: &Arc<Context<C>>) {
    let store = context.store.clone();
    let queue = context.queue.clone();
    let length = move || u64::try_from(queue.len()).unwrap_or(u64::MAX);
    context.metrics.measure_queue_with(length);
    let turns = context.turns.clone();
    context.metrics.measure_budget_with(move || BudgetNow {
        waiting: u64::try_from(turns.waiting()).unwrap_or(u64::MAX),
        rps: turns.rate(),
    });
    context.metrics.count_resources_with(move || {
        let reasons: Vec<_> = store
            .state()
            .iter()
            .map(|resource| resource.status.as_ref().and_then(Status::ready_reason))
            .collect();
        let count = |wanted| {
            let found = reasons.iter().filter(|reason| **reason == wanted).count();
            u64::try_from(found).unwrap_or(u64::MAX)
        };
        REASONS
            .iter()
            .map(|entry| (entry.word, count(Some(entry.reason))))
            .chain([(NOT_JUDGED, count(None))])
            .collect()
    });
}
