//! One sign-out, which a set owes: one call of `AdminUserGlobalSignOut`, and then the record of the outcome.
//!
//! The status says that the sign-out is owed before the call begins, and until its answer is recorded. If the
//! process ends in between, the next process makes the call again.

use super::{
    action::{Action, SHORT_OF_LEASE, write_failed},
    gather::{Snapshot, refresh},
    write_status::report_sign_out,
};
use crate::{
    api::CognitoUserPassword,
    cluster::{CALL_TIMEOUT, CallError, status},
    cognito::Cognito,
    controller::{
        calls,
        context::Context,
        schedule::{
            credential_gate::GateRefusal,
            permits::{Payer, Permit},
        },
        state::key::Key,
    },
    core::{
        credential::failure::CredentialsFailure,
        names::target::Target,
        protocol::{
            decision::Duty,
            obligation::conclude_sign_out,
            reply::{NotSent, Reply},
            sign_out::{SignOutOutcome, classify_sign_out},
        },
        schedule::rate_limit::Category,
    },
    ops::metrics,
};
use jiff::Timestamp;
use std::{sync::Arc, time::Instant};
use tracing::info;

/// How many writes of one outcome may conflict.
const CONFLICTS_MAX: u32 = 5;

/// Makes the call, and records the outcome. Without credentials or a permit the reconcile ends, and the resource
/// is queued again once there are some.
pub(crate) async fn sign_out<C: Cognito>(
    context: &Context<C>,
    key: &Key,
    snapshot: &Snapshot,
    duty: &Duty,
) -> Action {
    let Some(target) = snapshot.target() else {
        return Action::Wake(None);
    };
    let authority = &duty.authority;
    context.memory.expect_recovery(key, snapshot.uid());
    let ensured = context.credential_gate.ensure(key, authority, true).await;
    let account = match ensured {
        Ok(account) => account,
        Err(GateRefusal {
            report_now: false, ..
        }) => return Action::Wake(None),
        Err(GateRefusal { failure, .. }) => {
            // Without this note, a restart or a recovery would end the wait again and again.
            snapshot.note_action(context, key);
            let outcome = without_credentials(&failure);
            return record(context, key, snapshot, duty, &outcome).await;
        }
    };
    let payer = Payer {
        account,
        region: authority.region.clone(),
        category: Category::UserUpdate,
    };
    let Ok(permit) = context.permits.claim(key, &payer, duty.urgency) else {
        return Action::Queued(None);
    };
    if context.is_stopping() {
        return Action::Wake(None);
    }
    if !context.leads_for_a_call() {
        return Action::Wake(Some(SHORT_OF_LEASE));
    }
    if snapshot.older_resource(context).is_some() || !snapshot.is_granted(context, authority) {
        return Action::Restart;
    }
    let called = call(context, key, duty, target, permit);
    let outcome = context.slots.without(called).await;
    snapshot.note_action(context, key);
    record(context, key, snapshot, duty, &outcome).await
}

fn without_credentials(failure: &CredentialsFailure) -> SignOutOutcome {
    classify_sign_out(&Reply::NotSent {
        cause: NotSent::Credentials,
        detail: failure.0.clone(),
    })
}

/// Makes the one call. Reports the reply to the permit and the credential gate.
async fn call<C: Cognito>(
    context: &Context<C>,
    key: &Key,
    duty: &Duty,
    target: &Target,
    mut permit: Permit<Key>,
) -> SignOutOutcome {
    permit.calling();
    let started = Instant::now();
    let authority = &duty.authority;
    let cognito = &context.cognito;
    let reply = cognito.admin_user_global_sign_out(authority, target).await;
    let code = calls::ended(
        context,
        permit,
        metrics::SIGN_OUT,
        &reply,
        started.elapsed(),
    );
    let outcome = classify_sign_out(&reply);
    let evidence = &outcome.evidence;
    context.credential_gate.answered(key, authority, evidence);
    info!(
        object = %key,
        pool = %target.pool,
        user = %target.username,
        authority = %authority,
        code,
        request_id = outcome.request_id,
        took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        "called AdminUserGlobalSignOut"
    );
    outcome
}

/// Records the outcome. If the write fails, the record still owes the sign-out, and the call is made again.
async fn record<C: Cognito>(
    context: &Context<C>,
    key: &Key,
    snapshot: &Snapshot,
    duty: &Duty,
    outcome: &SignOutOutcome,
) -> Action {
    let mut resource: Arc<CognitoUserPassword> = snapshot.resource.clone();
    for _ in 0..CONFLICTS_MAX {
        if !context.leadership.has_left(CALL_TIMEOUT) {
            return Action::ShortOfLease;
        }
        let current = resource.status.clone().unwrap_or_default();
        let now = Timestamp::now();
        let Some(report) = conclude_sign_out(&current, duty, outcome, snapshot.uid(), now) else {
            return Action::Restart;
        };
        match status::write(&context.client, &resource, &report.status).await {
            Ok(written) => {
                context.remember(key, Arc::new(written));
                report_sign_out(context, &resource, outcome, &report);
                return Action::Wake(report.wake);
            }
            Err(CallError::NotFound) => return Action::Wake(None),
            Err(CallError::Conflict) => {}
            Err(error) => return write_failed(key, &error),
        }
        resource = match refresh(context, key).await {
            Ok(Some(now)) if now.metadata.uid.as_deref() == Some(snapshot.uid()) => now,
            Ok(_) => return Action::Restart,
            Err(done) => return done,
        };
    }
    Action::Restart
}
