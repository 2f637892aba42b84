//! One set: the attempt written ahead, fenced by resourceVersion; one call; the outcome recorded.

use super::{
    action::{Done, SHORT_OF_LEASE, write_failed},
    gather::{Facts, Gathered},
    record::{self, concluded},
};
use crate::{
    api::{CognitoUserPassword, Reason},
    cluster::{CallError, status},
    cognito::Cognito,
    controller::{
        context::Context,
        schedule::{
            in_flight::{self, NotYet, Sent},
            turns::Turn,
        },
        state::{key::Key, memory::Unrecorded},
    },
    core::{
        credential::password::Password,
        names::target::Target,
        protocol::{
            decide::await_landing,
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
    facts: &Facts,
    gathered: Gathered,
    plan: &Plan,
    turn: Turn,
) -> Done {
    let Gathered { fact, password, .. } = gathered;
    let (Some(target), Some(password)) = (facts.target(), password) else {
        return Done::Wake(None);
    };
    if context.is_stopping() {
        return Done::Wake(None);
    }
    if !context.leads_for_a_call() {
        return Done::Wake(Some(SHORT_OF_LEASE));
    }
    let sent = Sent {
        uid: facts.uid().to_owned(),
        fingerprint: plan.attempt.fingerprint.clone(),
    };
    let alone = match context.in_flight.enter(target, sent, Instant::now()) {
        Ok(alone) => alone,
        Err(NotYet::Busy) => return Done::Wake(Some(BUSY)),
        Err(NotYet::Landing(left)) => {
            let observed = facts.observed(context, fact);
            let report = await_landing(&observed, left, Timestamp::now());
            return record::report(context, key, &facts.resource, &report).await;
        }
    };
    // An older one that came since has its turn after this one, or had it: then its value stands.
    if facts.older(context).is_some() || !facts.is_granted(context, &plan.authority) {
        return Done::Again;
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
        (turn, alone),
    );
    let outcome = context.places.without(called).await;
    let unrecorded = came_to(plan, Some(outcome));
    context
        .memory
        .unrecorded(key, facts.uid(), unrecorded.clone());
    let done = record::record(context, key, &ahead, &unrecorded).await;
    concluded(context, key, facts, &fact, done)
}

/// Puts the attempt on record. Without it, or where no call may follow any more, the reconcile is
/// done.
async fn write_ahead<C: Cognito>(
    context: &Context<C>,
    key: &Key,
    facts: &Facts,
    plan: &Plan,
) -> Result<Arc<CognitoUserPassword>, Done> {
    let ahead = match status::write(&context.client, &facts.resource, &plan.ahead).await {
        Ok(ahead) => Arc::new(ahead),
        Err(CallError::NotFound) => return Err(Done::Wake(None)),
        Err(CallError::Conflict) => return Err(Done::Again),
        // It may have been written all the same. That no call followed is known here only: an
        // attempt that somebody takes over would count as perhaps applied.
        Err(error) => {
            context
                .memory
                .unrecorded(key, facts.uid(), came_to(plan, None));
            return Err(write_failed(key, &error));
        }
    };
    context.wrote(key, ahead.clone());
    facts.acted(context, key);
    if ahead.status.as_ref().and_then(|s| s.attempt.as_ref()) != Some(&plan.attempt) {
        error!(object = %key, "the API server did not keep the attempt: is the CRD of this version installed?");
        return Err(Done::ApiFailed);
    }
    let granted = facts.is_granted(context, &plan.authority);
    if !granted || context.is_stopping() || !context.leads_for_a_call() {
        let withdrawn = came_to(plan, None);
        context
            .memory
            .unrecorded(key, facts.uid(), withdrawn.clone());
        return Err(record::record(context, key, &ahead, &withdrawn).await);
    }
    Ok(ahead)
}

fn came_to(plan: &Plan, outcome: Option<Outcome>) -> Arc<Unrecorded> {
    let plan = plan.clone();
    Arc::new(Unrecorded { plan, outcome })
}

/// Makes the one call.
async fn call<C: Cognito>(
    context: &Context<C>,
    key: &Key,
    plan: &Plan,
    (target, permanent): (&Target, bool),
    password: Password,
    (mut turn, mut alone): (Turn, in_flight::Turn),
) -> Outcome {
    debug!(object = %key, attempt = plan.attempt.id, inherited = plan.inherited, "calling AdminSetUserPassword");
    turn.calling();
    let authority = &plan.authority;
    let started = Instant::now();
    alone.begin(started);
    let reply = context
        .cognito
        .admin_set_user_password(authority, target, &password, permanent)
        .await;
    match reply {
        Reply::NoReply { .. } => turn.no_reply(),
        Reply::Applied { .. } | Reply::ServiceError(_) => {
            turn.answered();
            alone.answered();
        }
        // Nobody knows whether anybody is there: few turns until one answers.
        Reply::NotSent {
            cause: NotSent::Connect,
            ..
        } => {
            turn.no_reply();
            alone.answered();
        }
        Reply::NotSent { .. } => alone.answered(),
    }
    drop(alone);
    // Zeroized as soon as it has served.
    drop(password);
    context
        .metrics
        .cognito_call("AdminSetUserPassword", code(&reply), started.elapsed());
    let outcome = classify(&reply);
    if outcome.verdict.reason == Reason::TooManyRequests {
        turn.throttled();
    }
    drop(turn);
    let standing = &outcome.standing;
    context.credentials.answered(key, authority, standing);
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
