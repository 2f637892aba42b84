//! What a reconcile waits for before the operator reads the Secret.

use crate::{
    api::Reason,
    cognito::Cognito,
    controller::{
        context::Context, reconcile::gather::Snapshot, schedule::permits::Payer, state::key::Key,
    },
    core::{
        access::grant::Admission,
        protocol::observation::{Observation, SecretState},
        schedule::rate_limit::Category,
    },
};
use std::time::Duration;

/// Whether another reconcile is resolving the credentials of the same authority. If so, the Secret is
/// not read: the credential gate queues this resource once the credentials are there, or have failed.
pub(crate) fn awaits_credentials<C: Cognito>(
    context: &Context<C>,
    key: &Key,
    observed: &Observation<'_>,
) -> bool {
    match &observed.admission {
        Admission::Granted(authority) => context.credential_gate.awaits_resolution(key, authority),
        Admission::NotGranted
        | Admission::Ambiguous
        | Admission::UnknownRegion
        | Admission::Unknown => false,
    }
}

/// Enters the rate limiter before the Secret is read. Returns after which time the status must report
/// the wait. None if the Secret is to be read now, mostly because the permit is there or the wait would
/// be long. A resource with failures or with a drift is read first, because only
/// the value tells how urgent the set is.
pub(crate) fn wait_for_permit<C: Cognito>(
    context: &Context<C>,
    key: &Key,
    observed: &Observation<'_>,
) -> Option<Duration> {
    let Admission::Granted(authority) = &observed.admission else {
        return None;
    };
    let reason = observed.status.ready_reason();
    let may_correct = reason.is_some_and(Reason::is_about_user) && !observed.has_new_request();
    if !matches!(observed.secret, SecretState::Seen(_))
        || observed.status.failures.is_some()
        || may_correct
    {
        return None;
    }
    let account = context.credential_gate.account(authority)?;
    let payer = Payer {
        account,
        region: authority.region.clone(),
        category: Category::UserAccountRecovery,
    };
    context
        .permits
        .wait_for_permit(key, &payer)
        .err()?
        .report_after
}

/// Whether a closed credential gate stops the resource. Called while the status reports the missing
/// credentials: then there is nothing to read and nothing to write. The gate queues the resource once
/// there are credentials.
pub(crate) fn is_stopped_by_credential_gate<C: Cognito>(
    context: &Context<C>,
    key: &Key,
    snapshot: &Snapshot,
    observed: &Observation<'_>,
) -> bool {
    let Admission::Granted(authority) = &observed.admission else {
        return false;
    };
    context.memory.expect_recovery(key, snapshot.uid());
    context.credential_gate.refuses(key, authority)
}
