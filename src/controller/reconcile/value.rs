//! The stage that needs the Secret's value: read, decide again, wait for credentials and for a permit.

use super::write_status;
use crate::{
    cognito::Cognito,
    controller::{
        context::Context,
        reconcile::{
            action::{Action, read_failed},
            gather::Snapshot,
            set::set,
            sign_out::sign_out,
            write_status::remember_basis,
        },
        schedule::{
            credential_gate::GateRefusal,
            permits::{Payer, PermitWait},
        },
        state::key::Key,
    },
    core::{
        protocol::{
            decide::{decide, report_missing_credentials, report_while_queued},
            decision::Decision,
            observation::{Observation, SecretState},
        },
        schedule::rate_limit::Category,
    },
};
use jiff::Timestamp;
use std::time::Duration;
use tracing::debug;

/// Reads the Secret, decides again, and sets the password if the decision says so.
pub(crate) async fn read_and_set<C: Cognito>(
    context: &Context<C>,
    key: &Key,
    snapshot: &Snapshot,
    id: &str,
) -> Action {
    let mut secret_read = match snapshot.read(context).await {
        Ok(secret_read) => secret_read,
        Err(error) => return read_failed(key, &error),
    };
    let now = Timestamp::now();
    let observed = snapshot.observe(context, secret_read.fact.clone());
    let plan = match decide(&observed, now, id) {
        Decision::Set(plan) => plan,
        other => {
            secret_read.password = None;
            return carry_out(context, key, snapshot, &secret_read.fact, other).await;
        }
    };
    // Credentials come before the write-ahead: a broken identity must not leave an open attempt behind.
    let authority = &plan.authority;
    // The status of a correction says what a look found, until the correction is made.
    let corrects = plan.corrects.is_some();
    let must_report = observed.is_untrue_while_setting() && !corrects;
    context.memory.expect_recovery(key, snapshot.uid());
    let ensured = context
        .credential_gate
        .ensure(key, authority, must_report)
        .await;
    let account = match ensured {
        Ok(account) => account,
        Err(GateRefusal { report_now, .. }) if corrects || !report_now => {
            return Action::Wake(None);
        }
        Err(GateRefusal { failure, .. }) => {
            secret_read.password = None;
            let report = report_missing_credentials(&observed, &failure.0, Timestamp::now());
            let done = write_status::write_report(context, key, &snapshot.resource, &report).await;
            return remember_basis(context, key, snapshot, &secret_read.fact, done);
        }
    };
    let payer = Payer {
        account,
        region: authority.region.clone(),
        category: Category::UserAccountRecovery,
    };
    let permit = match context.permits.claim(key, &payer, plan.urgency) {
        Ok(permit) => permit,
        Err(PermitWait {
            report_after: Some(report_after),
        }) => return Action::Queued(Some(report_after)),
        Err(PermitWait { report_after: None }) if corrects => return Action::Queued(None),
        Err(PermitWait { report_after: None }) => {
            secret_read.password = None;
            return report_queued(context, key, snapshot, &observed).await;
        }
    };
    if secret_read.read_at.elapsed() < READ_IS_FRESH {
        return set(context, key, snapshot, secret_read, &plan, permit).await;
    }
    // The wait since the read took longer than `READ_IS_FRESH`: read the Secret and decide again.
    debug!(object = %key, "the Secret was read too long ago; reading the Secret again");
    secret_read.password = None;
    if !snapshot.is_granted(context, authority) {
        return Action::Restart;
    }
    let mut secret_read = match snapshot.read(context).await {
        Ok(secret_read) => secret_read,
        Err(error) => return read_failed(key, &error),
    };
    let observed = snapshot.observe(context, secret_read.fact.clone());
    match decide(&observed, Timestamp::now(), id) {
        Decision::Set(now) if now.authority != *authority => Action::Restart,
        Decision::Set(plan) => set(context, key, snapshot, secret_read, &plan, permit).await,
        other => {
            secret_read.password = None;
            carry_out(context, key, snapshot, &secret_read.fact, other).await
        }
    }
}

/// Ends a reconcile whose set waits for a permit. Until the set, the status must not say that the old
/// value is in sync.
async fn report_queued<C: Cognito>(
    context: &Context<C>,
    key: &Key,
    snapshot: &Snapshot,
    observed: &Observation<'_>,
) -> Action {
    let Some(report) = report_while_queued(observed, Timestamp::now()) else {
        return Action::Queued(None);
    };
    match write_status::write_report(context, key, &snapshot.resource, &report).await {
        Action::Wake(_) => Action::Queued(None),
        done @ (Action::Queued(_) | Action::ShortOfLease | Action::Restart | Action::ApiFailed) => {
            done
        }
    }
}

/// Carries out a decision on the Secret that was read, other than a set.
async fn carry_out<C: Cognito>(
    context: &Context<C>,
    key: &Key,
    snapshot: &Snapshot,
    fact: &SecretState,
    decision: Decision,
) -> Action {
    let done = match decision {
        Decision::Leave => Action::Wake(None),
        Decision::Stay { wake } => Action::Wake(wake),
        Decision::Look { after, wake } => {
            context.looks.ask(key, after);
            Action::Wake(wake)
        }
        Decision::SignOut(duty) => sign_out(context, key, snapshot, &duty).await,
        Decision::Report(report) => {
            let done = write_status::write_report(context, key, &snapshot.resource, &report).await;
            if report.signed_again && matches!(done, Action::Wake(_)) {
                write_status::warn_new_signature(context, &snapshot.resource);
            }
            done
        }
        // The Secret was just read, so another read would tell no more. The next pass decides on the
        // current resource.
        Decision::Read | Decision::Set(_) => Action::Restart,
    };
    let done = remember_basis(context, key, snapshot, fact, done);
    if let Action::Wake(_) = done {
        context.version_queue.add(key);
    }
    done
}

/// A set reads the Secret again if the read is older than this.
const READ_IS_FRESH: Duration = Duration::from_secs(1);
