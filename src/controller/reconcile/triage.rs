//! Triage: the decision on what the watches show, before a resource gets into the queue. Of 10,000
//! resources in sync, none is reconciled.

use crate::{
    api::{Class, Reason},
    cognito::Cognito,
    controller::{
        context::Context, reconcile::gather::Snapshot, schedule::pace::Pace, state::key::Key,
    },
    core::{
        condition::backoff,
        protocol::{decide::decide, decision::Decision, looked::is_refused},
    },
};
use jiff::Timestamp;
use std::time::Duration;

/// Triages each of these resources, and queues each resource that needs a reconcile.
pub(crate) async fn triage_all<C: Cognito>(
    context: &Context<C>,
    keys: impl IntoIterator<Item = Key>,
) {
    let mut pace = Pace::new();
    for key in keys {
        triage_one(context, key);
        pace.step().await;
    }
}

fn triage_one<C: Cognito>(context: &Context<C>, key: Key) {
    let triage = || {
        if context.index().may_reconcile(&key) {
            triage(context, &key)
        } else {
            Triage::NothingToDo
        }
    };
    match context.isolated(&key, "the first decision on a resource", triage) {
        Some(Triage::Queue) if context.permits.has_permit(&key) => context.queue.push_first(key),
        Some(Triage::Queue) => context.queue.push(key),
        Some(Triage::QueueAfter(wait)) => context.queue.push_after(key, wait),
        Some(Triage::NothingToDo) => {}
        None => {
            let wait = panic_backoff(context, &key);
            context.queue.push_after(key, wait);
        }
    }
}

/// What triage found for a resource.
enum Triage {
    NothingToDo,
    Queue,
    QueueAfter(Duration),
}

/// Makes the first decision of a reconcile, on what the watches show.
fn triage<C: Cognito>(context: &Context<C>, key: &Key) -> Triage {
    let begun = context.queue.is_taken(key) || context.permits.contains(key);
    if begun || context.memory.has_pending_outcome(key) {
        return Triage::Queue;
    }
    let Some(stored) = context.index().resource(key) else {
        return Triage::NothingToDo;
    };
    let resource = context.memory.freshest(key, stored);
    let snapshot = Snapshot::new(context, key, resource);
    let observed = snapshot.observe(context, snapshot.watched_secret(context));
    // Triage has no attempt id. A decision that would use the id leads to a reconcile, which decides
    // anew.
    match decide(&observed, Timestamp::now(), "") {
        Decision::Leave => Triage::NothingToDo,
        Decision::Stay { wake: None } => {
            if observed.is_at_rest() {
                context.memory.rest(key);
                context.looks.rest(key);
            } else if is_refused(&observed) {
                context.looks.rest(key);
            }
            Triage::NothingToDo
        }
        Decision::Stay { wake: Some(wake) } => Triage::QueueAfter(wake),
        Decision::Look { .. }
        | Decision::Read
        | Decision::Report(_)
        | Decision::Set(_)
        | Decision::SignOut(_) => Triage::Queue,
    }
}

pub(crate) fn api_backoff(failures: u32, uid: &str) -> Duration {
    backoff::delay(Reason::Unreachable, Class::Transient, failures, uid)
}

/// How long to wait before the next reconcile after a panic: at least 3 s, and longer with each panic.
pub(crate) fn panic_backoff<C: Cognito>(context: &Context<C>, key: &Key) -> Duration {
    let failures = context.memory.api_failed(key);
    if !context.index().has_resource(key) {
        context.memory.forget(key);
    }
    api_backoff(failures.saturating_add(3), &key.to_string())
}
