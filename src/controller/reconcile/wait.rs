//! What a reconcile waits for before the operator reads the Secret.

use crate::{
    cognito::Cognito,
    controller::{context::Context, reconcile::gather::Snapshot, state::key::Key},
    core::{
        access::grant::Admission,
        protocol::observation::{Observation, SecretState},
    },
};
use std::time::Duration;

/// Whether another reconcile waits for the credentials of the same authority. Until they are there, or
/// aren't, nothing is read: the queue is asked for this resource then.
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

/// Where it is to wait for a turn before it is read, and for how long at most: not where that is long. What has
/// failed may be less urgent than it looks, and is read first: only the value tells.
pub(crate) fn line_up<C: Cognito>(
    context: &Context<C>,
    key: &Key,
    observed: &Observation<'_>,
) -> Option<Duration> {
    let Admission::Granted(authority) = &observed.admission else {
        return None;
    };
    if !matches!(observed.secret, SecretState::Seen(_)) || observed.status.failures.is_some() {
        return None;
    }
    let account = context.credential_gate.account(authority)?;
    let payer = (account, authority.region.clone());
    context.permits.line_up(key, &payer).err()?.quiet
}

/// While there are no credentials and the status says so, there is nothing to read and nothing to
/// write: when there are some, it is looked at.
pub(crate) fn is_turned_away<C: Cognito>(
    context: &Context<C>,
    key: &Key,
    facts: &Snapshot,
    observed: &Observation<'_>,
) -> bool {
    let Admission::Granted(authority) = &observed.admission else {
        return false;
    };
    context.memory.expect_healing(key, facts.uid());
    context.credential_gate.turn_away(key, authority)
}
