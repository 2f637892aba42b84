//! One set: the attempt written ahead, fenced by resourceVersion; one call; the outcome recorded.

use super::{
    action::{Action, SHORT_OF_LEASE, write_failed},
    gather::{SecretRead, Snapshot},
    record::{self, concluded},
};
use crate::{
    api::{CognitoUserPassword, Reason},
    cluster::{CallError, status},
    cognito::Cognito,
    controller::{
        context::Context,
        schedule::{
            permits::Permit,
            user_locks::{CallIdentity, LockError, UserLock},
        },
        state::{key::Key, memory::PendingOutcome},
    },
    core::{
        credential::password::Password,
        names::target::Target,
        protocol::{
            decide::report_pending_call,
            outcome::{Outcome, classify},
            plan::Plan,
            reply::{NotSent, Reply},
        },
    },
    ops::metrics,
};
use jiff::Timestamp;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tracing::{debug, error, info};

/// How long to wait while another resource's call for the same user is in flight.
const BUSY: Duration = Duration::from_millis(250);

/// Writes ahead, calls, records.
pub(crate) async fn set<C: Cognito>(
    context: &Context<C>,
    key: &Key,
    facts: &Snapshot,
    gathered: SecretRead,
    plan: &Plan,
    permit: Permit,
) -> Action {
    let SecretRead { fact, password, .. } = gathered;
    let (Some(target), Some(password)) = (facts.target(), password) else {
        return Action::Wake(None);
    };
    if context.is_stopping() {
        return Action::Wake(None);
    }
    if !context.leads_for_a_call() {
        return Action::Wake(Some(SHORT_OF_LEASE));
    }
    let sent = CallIdentity {
        uid: facts.uid().to_owned(),
        fingerprint: plan.attempt.fingerprint.clone(),
    };
    let user_lock = match context.user_locks.enter(target, sent, Instant::now()) {
        Ok(user_lock) => user_lock,
        Err(LockError::Busy) => return Action::Wake(Some(BUSY)),
        Err(LockError::Landing(left)) => {
            let observed = facts.observed(context, fact);
            let report = report_pending_call(&observed, left, Timestamp::now());
            return record::report(context, key, &facts.resource, &report).await;
        }
    };
    // An older one that came since has its turn after this one, or had it: then its value stands.
    if facts.older(context).is_some() || !facts.is_granted(context, &plan.authority) {
        return Action::Again;
    }
    let ahead = match write_ahead(context, key, facts, plan).await {
        Ok(ahead) => ahead,
        Err(done) => return done,
    };
    let permanent = facts.resource.spec.permanent;
    let called = call(
        context,
        key,
        plan,
        (target, permanent),
        password,
        (permit, user_lock),
    );
    let outcome = context.slots.without(called).await;
    let pending_outcome = came_to(plan, Some(outcome));
    context
        .memory
        .pending_outcome(key, facts.uid(), pending_outcome.clone());
    let done = record::record(context, key, &ahead, &pending_outcome).await;
    concluded(context, key, facts, &fact, done)
}

/// Puts the attempt on record. Without it, or where no call may follow any more, the reconcile is
/// done.
async fn write_ahead<C: Cognito>(
    context: &Context<C>,
    key: &Key,
    facts: &Snapshot,
    plan: &Plan,
) -> Result<Arc<CognitoUserPassword>, Action> {
    let ahead = match status::write(&context.client, &facts.resource, &plan.ahead).await {
        Ok(ahead) => Arc::new(ahead),
        Err(CallError::NotFound) => return Err(Action::Wake(None)),
        Err(CallError::Conflict) => return Err(Action::Again),
        // It may have been written all the same. That no call followed is known here only: an
        // attempt that somebody takes over would count as perhaps applied.
        Err(error) => {
            context
                .memory
                .pending_outcome(key, facts.uid(), came_to(plan, None));
            return Err(write_failed(key, &error));
        }
    };
    context.wrote(key, ahead.clone());
    facts.acted(context, key);
    if ahead.status.as_ref().and_then(|s| s.attempt.as_ref()) != Some(&plan.attempt) {
        error!(object = %key, "the API server did not keep the attempt: is the CRD of this version installed?");
        return Err(Action::ApiFailed);
    }
    let granted = facts.is_granted(context, &plan.authority);
    if !granted || context.is_stopping() || !context.leads_for_a_call() {
        let withdrawn = came_to(plan, None);
        context
            .memory
            .pending_outcome(key, facts.uid(), withdrawn.clone());
        return Err(record::record(context, key, &ahead, &withdrawn).await);
    }
    Ok(ahead)
}

fn came_to(plan: &Plan, outcome: Option<Outcome>) -> Arc<PendingOutcome> {
    let plan = plan.clone();
    Arc::new(PendingOutcome { plan, outcome })
}

/// Makes the one call.
async fn call<C: Cognito>(
    context: &Context<C>,
    key: &Key,
    plan: &Plan,
    (target, permanent): (&Target, bool),
    password: Password,
    (mut permit, mut user_lock): (Permit, UserLock),
) -> Outcome {
    debug!(object = %key, attempt = plan.attempt.id, inherited = plan.inherited, "calling AdminSetUserPassword");
    permit.calling();
    let authority = &plan.authority;
    let started = Instant::now();
    user_lock.begin(started);
    let reply = context
        .cognito
        .admin_set_user_password(authority, target, &password, permanent)
        .await;
    match reply {
        Reply::NoReply { .. } => permit.no_reply(),
        Reply::Applied { .. } | Reply::ServiceError(_) => {
            permit.answered();
            user_lock.answered();
        }
        // Nobody knows whether anybody is there: few turns until one answers.
        Reply::NotSent {
            cause: NotSent::Connect,
            ..
        } => {
            permit.no_reply();
            user_lock.answered();
        }
        Reply::NotSent { .. } => user_lock.answered(),
    }
    drop(user_lock);
    // Zeroized as soon as it has served.
    drop(password);
    context
        .metrics
        .cognito_call("AdminSetUserPassword", code(&reply), started.elapsed());
    let outcome = classify(&reply);
    if outcome.verdict.reason == Reason::TooManyRequests {
        permit.throttled();
    }
    drop(permit);
    let standing = &outcome.standing;
    context.credential_gate.answered(key, authority, standing);
    info!(
        object = %key,
        pool = %target.pool,
        user = %target.username,
        authority = %authority,
        code = code(&reply),
        request_id = outcome.request_id,
        inherited = plan.inherited,
        took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        "called AdminSetUserPassword"
    );
    outcome
}

/// The code of a reply, as metrics and log name it.
fn code(reply: &Reply) -> &str {
    match reply {
        Reply::Applied { .. } => metrics::OK,
        Reply::ServiceError(error) => error.code.as_deref().unwrap_or(metrics::OTHER),
        Reply::NotSent { .. } => metrics::NOT_SENT,
        Reply::NoReply { .. } => metrics::NO_REPLY,
    }
}
