//! One set. The attempt is written ahead, in a patch that names the resourceVersion. Then the operator
//! makes one call, and records the outcome.

use super::{
    action::{Action, SHORT_OF_LEASE, write_failed},
    gather::{SecretRead, Snapshot},
    write_status::{self, remember_basis},
};
use crate::{
    api::CognitoUserPassword,
    cluster::{CallError, status},
    cognito::Cognito,
    controller::{
        calls,
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
            reply::Reply,
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

/// How long to wait while another call for the same user is in flight.
const USER_LOCK_RETRY: Duration = Duration::from_millis(250);

/// Takes the user lock, writes the attempt ahead, makes the call, and records the outcome.
pub(crate) async fn set<C: Cognito>(
    context: &Context<C>,
    key: &Key,
    snapshot: &Snapshot,
    secret_read: SecretRead,
    plan: &Plan,
    permit: Permit<Key>,
) -> Action {
    let SecretRead { fact, password, .. } = secret_read;
    let (Some(target), Some(password)) = (snapshot.target(), password) else {
        return Action::Wake(None);
    };
    if context.is_stopping() {
        return Action::Wake(None);
    }
    if !context.leads_for_a_call() {
        return Action::Wake(Some(SHORT_OF_LEASE));
    }
    let sent = CallIdentity {
        uid: snapshot.uid().to_owned(),
        fingerprint: plan.attempt.fingerprint.clone(),
    };
    let user_lock = match context.user_locks.enter(target, sent, Instant::now()) {
        Ok(user_lock) => user_lock,
        Err(LockError::Busy) => return Action::Wake(Some(USER_LOCK_RETRY)),
        Err(LockError::Landing(left)) if plan.corrects.is_some() => {
            return Action::Wake(Some(left));
        }
        Err(LockError::Landing(left)) => {
            let observed = snapshot.observe(context, fact);
            let report = report_pending_call(&observed, left, Timestamp::now());
            return write_status::write_report(context, key, &snapshot.resource, &report).await;
        }
    };
    // Since the decision, an older resource may have come, and may even have set the user. The older
    // resource's value must stand.
    if snapshot.older_resource(context).is_some() || !snapshot.is_granted(context, &plan.authority)
    {
        return Action::Restart;
    }
    // Since the decision, other corrections in this pool may have begun.
    if plan.corrects.is_some() && !context.looks.begin_correction(&target.pool) {
        return Action::Restart;
    }
    let ahead = match write_ahead(context, key, snapshot, plan).await {
        Ok(ahead) => ahead,
        Err(done) => {
            if plan.corrects.is_some() {
                context.looks.cancel_correction(&target.pool);
            }
            return done;
        }
    };
    let permanent = snapshot.resource.spec.permanent;
    let called = call(
        context,
        key,
        plan,
        (target, permanent),
        password,
        (permit, user_lock),
    );
    let outcome = context.slots.without(called).await;
    let pending_outcome = pending_outcome(plan, Some(outcome));
    context
        .memory
        .pending_outcome(key, snapshot.uid(), pending_outcome.clone());
    let done = write_status::write_outcome(context, key, &ahead, &pending_outcome).await;
    remember_basis(context, key, snapshot, &fact, done)
}

/// Writes the attempt into the status, and returns the resource that the API server stored. Returns how
/// the reconcile ends if the write fails, or if no call may follow any more. An attempt that no call
/// may follow is withdrawn.
async fn write_ahead<C: Cognito>(
    context: &Context<C>,
    key: &Key,
    snapshot: &Snapshot,
    plan: &Plan,
) -> Result<Arc<CognitoUserPassword>, Action> {
    let ahead = match status::write(&context.client, &snapshot.resource, &plan.ahead).await {
        Ok(ahead) => Arc::new(ahead),
        Err(CallError::NotFound) => return Err(Action::Wake(None)),
        Err(CallError::Conflict) => return Err(Action::Restart),
        // The API server may have stored the attempt all the same. Only this process knows that no call
        // followed. Another process that took over the attempt would count the value as perhaps
        // applied.
        Err(error) => {
            context
                .memory
                .pending_outcome(key, snapshot.uid(), pending_outcome(plan, None));
            return Err(write_failed(key, &error));
        }
    };
    context.remember(key, ahead.clone());
    snapshot.note_action(context, key);
    if ahead.status.as_ref().and_then(|s| s.attempt.as_ref()) != Some(&plan.attempt) {
        error!(object = %key, "the API server did not keep the attempt: is the CRD of this version installed?");
        return Err(Action::ApiFailed);
    }
    let granted = snapshot.is_granted(context, &plan.authority);
    if !granted || context.is_stopping() || !context.leads_for_a_call() {
        let withdrawn = pending_outcome(plan, None);
        context
            .memory
            .pending_outcome(key, snapshot.uid(), withdrawn.clone());
        return Err(write_status::write_outcome(context, key, &ahead, &withdrawn).await);
    }
    Ok(ahead)
}

fn pending_outcome(plan: &Plan, outcome: Option<Outcome>) -> Arc<PendingOutcome> {
    let plan = plan.clone();
    Arc::new(PendingOutcome { plan, outcome })
}

/// Makes the one call. Reports the reply to the permit, the user lock and the credential gate.
async fn call<C: Cognito>(
    context: &Context<C>,
    key: &Key,
    plan: &Plan,
    (target, permanent): (&Target, bool),
    password: Password,
    (mut permit, mut user_lock): (Permit<Key>, UserLock),
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
        Reply::NoReply { .. } => {}
        Reply::Success { .. } | Reply::ServiceError(_) | Reply::NotSent { .. } => {
            user_lock.answered();
        }
    }
    drop(user_lock);
    // The drop zeroizes the password, which is not needed any more.
    drop(password);
    let code = calls::ended(context, permit, metrics::SET, &reply, started.elapsed());
    let outcome = classify(&reply);
    let evidence = &outcome.evidence;
    context.credential_gate.answered(key, authority, evidence);
    info!(
        object = %key,
        pool = %target.pool,
        user = %target.username,
        authority = %authority,
        code,
        request_id = outcome.request_id,
        inherited = plan.inherited,
        took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        "called AdminSetUserPassword"
    );
    outcome
}
