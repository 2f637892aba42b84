//! The decision on what the watches show, before a resource gets into the queue: of ten thousand resources in
//! sync, none is reconciled.

use crate::{
    api::{Class, Reason},
    cognito::Cognito,
    controller::{
        context::Context, reconcile::gather::Snapshot, schedule::pace::Pace, state::key::Key,
    },
    core::{
        condition::backoff,
        protocol::{decide::decide, decision::Decision},
    },
};
use jiff::Timestamp;
use std::time::Duration;

/// Asks for a look at each of these, but not where a glance tells that there is nothing to do: of ten
/// thousand in sync, none is looked at.
pub(crate) async fn ask<C: Cognito>(context: &Context<C>, keys: impl IntoIterator<Item = Key>) {
    let mut pace = Pace::new();
    for key in keys {
        ask_for(context, key);
        pace.step().await;
    }
}

pub(crate) fn ask_for<C: Cognito>(context: &Context<C>, key: Key) {
    let glance = || {
        if context.index().may_look_at(&key) {
            glance(context, &key)
        } else {
            Triage::NothingToDo
        }
    };
    match context.isolated(&key, "the first decision on a resource", glance) {
        Some(Triage::Look) if context.permits.has_permit(&key) => context.queue.push_first(key),
        Some(Triage::Look) => context.queue.push(key),
        Some(Triage::LookAfter(wait)) => context.queue.push_after(key, wait),
        Some(Triage::NothingToDo) => {}
        None => {
            let wait = after_panic(context, &key);
            context.queue.push_after(key, wait);
        }
    }
}

/// What a glance at a resource tells.
pub(crate) enum Triage {
    NothingToDo,
    Look,
    LookAfter(Duration),
}

/// Decides on what the watches show, as a look begins.
pub(crate) fn glance<C: Cognito>(context: &Context<C>, key: &Key) -> Triage {
    let begun = context.queue.is_taken(key) || context.permits.holds(key);
    if begun || context.memory.has_pending_outcome(key) {
        return Triage::Look;
    }
    let Some(stored) = context.index().resource(key) else {
        return Triage::NothingToDo;
    };
    let resource = context.memory.freshest(key, stored);
    let facts = Snapshot::new(context, key, resource);
    let observed = facts.observed(context, facts.hint(context));
    // What would need an id is for the look.
    match decide(&observed, Timestamp::now(), "") {
        Decision::Leave => Triage::NothingToDo,
        Decision::Stay { wake: None } => {
            if observed.is_at_rest() {
                context.memory.rest(key);
            }
            Triage::NothingToDo
        }
        Decision::Stay { wake: Some(wake) } => Triage::LookAfter(wake),
        Decision::Read | Decision::Report(_) | Decision::Set(_) => Triage::Look,
    }
}

pub(crate) fn retry(failures: u32, uid: &str) -> Duration {
    backoff::delay(Reason::Unreachable, Class::Transient, failures, uid)
}

/// When to reconcile a resource again after a panic: after 3 s at the earliest, and later with each panic.
pub(crate) fn after_panic<C: Cognito>(context: &Context<C>, key: &Key) -> Duration {
    let failures = context.memory.api_failed(key);
    if !context.index().has_resource(key) {
        context.memory.forget(key);
    }
    retry(failures.saturating_add(3), &key.to_string())
}
