//! One reconcile: gather, decide, set, write the status. [`crate::core`] decides what to do. This module
//! fixes the order of reads, writes and calls.
//!
//! 1. Gather what the watches showed, and decide. Most reconciles end here.
//! 2. Read the Secret, and decide again. The reconcile ends before the read if the resource has to wait
//!    for a permit and the wait is short. A new reconcile begins once the permit is there.
//! 3. For a set: resolve the credentials, and claim a permit. Without a permit the reconcile ends. Read
//!    the Secret and decide again if the read is older than 1 s. Then
//!    [`set`].
//! 4. For a sign-out that a set owes: resolve the credentials, claim a permit, then [`sign_out`].
//!
//! After a conflict the reconcile begins again with the current resource.
//!
//! Imports `context`, `schedule` and `state`.

pub(crate) mod action;
pub(crate) mod gather;
pub(crate) mod set;
mod sign_out;
pub(crate) mod triage;
mod value;
mod wait;
pub(crate) mod write_status;

use self::{
    action::{Action, SHORT_OF_LEASE},
    gather::{Snapshot, refresh},
    sign_out::sign_out,
    triage::{api_backoff, panic_backoff},
    value::read_and_set,
    wait::{awaits_credentials, is_stopped_by_credential_gate, wait_for_permit},
};
use super::{context::Context, state::key::Key};
use crate::{
    api::CognitoUserPassword,
    cognito::Cognito,
    core::protocol::{
        decide::{decide, decide_at_closed_gate},
        decision::Decision,
    },
};
use futures::FutureExt;
use jiff::Timestamp;
use kube::ResourceExt;
use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};
use tracing::error;

/// How many passes a reconcile makes if each pass ends in a conflict. Then other resources get the
/// slot.
const CONFLICTS_MAX: u32 = 5;

/// Reconciles a resource that was taken from the queue. Returns after which time to reconcile the
/// resource again if no event comes before. Catches a panic, so that other resources are still
/// reconciled.
pub(crate) async fn reconcile<C: Cognito>(context: &Context<C>, key: &Key) -> Option<Duration> {
    // Not by `isolated_async`, which counts the panic without a duration, and logs no retry.
    let began = Instant::now();
    let reconciled = AssertUnwindSafe(reconcile_once(context, key))
        .catch_unwind()
        .await;
    reconciled.unwrap_or_else(|_| {
        error!(object = %key, "the reconcile panicked; trying again later");
        context.metrics.reconcile("panic", began.elapsed());
        context.isolated(key, "returning a permit", || context.permits.leave(key));
        Some(panic_backoff(context, key))
    })
}

async fn reconcile_once<C: Cognito>(context: &Context<C>, key: &Key) -> Option<Duration> {
    let stored = context.index().resource(key);
    let Some(resource) = stored.filter(|_| !context.is_stopping()) else {
        context.permits.leave(key);
        return None;
    };
    if !context.leads_for_a_call() {
        context.permits.leave(key);
        return Some(SHORT_OF_LEASE);
    }
    let uid = resource.uid().unwrap_or_default();
    let started = Instant::now();
    let done = retry_conflicts(context, key, resource).await;
    if !matches!(done, Action::Queued(_)) {
        context.permits.leave(key);
    }
    let (result, wake) = match done {
        Action::Wake(wake) => {
            context.memory.api_works(key);
            ("ok", wake)
        }
        Action::Queued(quiet) => {
            context.memory.api_works(key);
            ("queued", quiet)
        }
        Action::ShortOfLease => ("ok", Some(SHORT_OF_LEASE)),
        Action::Restart => ("conflict", Some(Duration::from_millis(200))),
        Action::ApiFailed => {
            let failures = context.memory.api_failed(key);
            ("api_error", Some(api_backoff(failures, &uid)))
        }
    };
    context.metrics.reconcile(result, started.elapsed());
    if !context.index().has_resource(key) {
        context.memory.forget(key);
    }
    wake
}

/// Repeats the pass after a conflict, with the current resource.
async fn retry_conflicts<C: Cognito>(
    context: &Context<C>,
    key: &Key,
    stored: CognitoUserPassword,
) -> Action {
    let mut resource = context.memory.freshest(key, stored);
    for _ in 0..CONFLICTS_MAX {
        match pass(context, key, resource).await {
            Action::Restart => {}
            done @ (Action::Wake(_)
            | Action::Queued(_)
            | Action::ShortOfLease
            | Action::ApiFailed) => {
                return done;
            }
        }
        resource = match refresh(context, key).await {
            Ok(Some(resource)) => resource,
            Ok(None) => return Action::Wake(None),
            Err(done) => return done,
        };
    }
    Action::Restart
}

/// Runs the stages once.
async fn pass<C: Cognito>(
    context: &Context<C>,
    key: &Key,
    resource: Arc<CognitoUserPassword>,
) -> Action {
    let snapshot = Snapshot::new(context, key, resource);
    if let Some(pending_outcome) = snapshot.pending_outcome() {
        let resource = match &pending_outcome.outcome {
            Some(_) => snapshot.resource,
            // The attempt is withdrawn, because no call was made. Only a read tells whether the attempt
            // is on record: the watch may not show the write yet.
            None => match refresh(context, key).await {
                Ok(Some(now)) => now,
                Ok(None) => return Action::Wake(None),
                Err(done) => return done,
            },
        };
        return match write_status::write_outcome(context, key, &resource, &pending_outcome).await {
            // The event that queued this resource is not handled yet.
            Action::Wake(_) => Action::Restart,
            done @ (Action::Queued(_)
            | Action::ShortOfLease
            | Action::Restart
            | Action::ApiFailed) => done,
        };
    }
    let Some(id) = new_attempt_id() else {
        error!("the system's random source failed");
        return Action::ApiFailed;
    };
    let now = Timestamp::now();
    let observed = snapshot.observe(context, snapshot.watched_secret(context));
    match decide(&observed, now, &id) {
        Decision::Leave => Action::Wake(None),
        Decision::Stay { wake } => Action::Wake(wake),
        Decision::Look { after, wake } => {
            context.looks.ask(key, after);
            Action::Wake(wake)
        }
        Decision::Report(report) => {
            write_status::write_report(context, key, &snapshot.resource, &report).await
        }
        Decision::SignOut(duty) => sign_out(context, key, &snapshot, &duty).await,
        // Without the value there is no plan, so `Set` is handled like `Read`.
        Decision::Set(_) | Decision::Read
            if observed.lacks_credentials()
                && is_stopped_by_credential_gate(context, key, &snapshot, &observed) =>
        {
            match decide_at_closed_gate(&observed, now) {
                Decision::Report(report) => {
                    write_status::write_report(context, key, &snapshot.resource, &report).await
                }
                Decision::Stay { wake } => Action::Wake(wake),
                Decision::Leave
                | Decision::Look { .. }
                | Decision::Read
                | Decision::Set(_)
                | Decision::SignOut(_) => Action::Wake(None),
            }
        }
        Decision::Set(_) | Decision::Read if awaits_credentials(context, key, &observed) => {
            Action::Wake(None)
        }
        Decision::Set(_) | Decision::Read => match wait_for_permit(context, key, &observed) {
            Some(quiet) => Action::Queued(Some(quiet)),
            None => read_and_set(context, key, &snapshot, &id).await,
        },
    }
}

/// 64 random bits, as hex.
fn new_attempt_id() -> Option<String> {
    getrandom::u64().ok().map(|id| format!("{id:016x}"))
}
