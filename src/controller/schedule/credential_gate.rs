//! The credential gate stops all resources of an authority whose credentials do not work.
//!
//! The gate closes if no credentials can be resolved, or if AWS refuses the resolved credentials. While the
//! gate is closed, one probe asks for credentials, instead of each resource. When the gate opens, all stopped
//! resources are queued again. The operator's own identity has the same credentials in all Regions, so one
//! gate stands for all Regions if these credentials are missing.
//!
//! The credential chain says whether credentials exist. Only a call shows whether AWS accepts the
//! credentials. So a gate that closed after refusals lets one trial resource after the other make a call.

mod closed_gate;
mod probe;
mod shared;
mod state;
#[cfg(test)]
mod tests;

pub use closed_gate::GateRefusal;
pub use shared::Wake;

use super::slots::Slots;
use crate::{
    cognito::Cognito,
    controller::state::key::Key,
    core::{
        access::authority::Authority, credential::failure::CredentialsFailure,
        names::target::Account, protocol::outcome::CredentialsEvidence,
    },
};
use futures::FutureExt;
use shared::Shared;
use state::Gate;
use std::{
    pin::pin,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::timeout;
use tracing::warn;

/// How long a reconcile waits for credentials before the status may report that there are none. The probe
/// waits longer.
const PATIENCE: Duration = Duration::from_secs(2);

/// The credential gates of all authorities. Cheap to clone.
pub struct CredentialGate<C>(Arc<Shared<C>>);

/// A reconcile that resolves credentials. Dropping this value wakes the other waiting resources, also after a
/// panic.
struct Resolution<'a, C: Cognito> {
    shared: &'a Arc<Shared<C>>,
    gate: Gate,
}

impl<C: Cognito> Drop for Resolution<'_, C> {
    fn drop(&mut self) {
        let waiting = self.shared.state().end_resolution(&self.gate);
        self.shared
            .release(&self.gate, waiting, Wake::Report, Vec::new());
    }
}

impl<C> Clone for CredentialGate<C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<C: Cognito> CredentialGate<C> {
    /// Creates the gates, all open. `wake` queues a stopped resource again. `on_change` reports that the result of
    /// [`examine`](Self::examine) has changed for an authority. `count_failure` counts each failure of an authority's
    /// credentials.
    pub fn new(
        cognito: Arc<C>,
        slots: Slots,
        wake: impl Fn(&Key, Wake) + Send + Sync + 'static,
        on_change: impl Fn(&Authority) + Send + Sync + 'static,
        count_failure: impl Fn(&Authority) + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Shared {
            cognito,
            state: Mutex::default(),
            accounts: Mutex::default(),
            slots,
            wake: Box::new(wake),
            on_change: Box::new(on_change),
            count_failure: Box::new(count_failure),
        }))
    }

    /// Ensures that the authority has credentials. One reconcile resolves the credentials of an authority and
    /// gives its slot away meanwhile. The other resources of the authority wait for the result. Set
    /// `must_report` if the status is untrue until the status reports why nothing is set.
    ///
    /// # Errors
    /// [`GateRefusal`]: the resource is recorded, and queued again once credentials work or the status may
    /// report.
    pub async fn ensure(
        &self,
        resource: &Key,
        authority: &Authority,
        must_report: bool,
    ) -> Result<Account, GateRefusal> {
        let refusal = self.0.state().refuse(resource, authority, |closed| {
            closed.refuse(resource, must_report)
        });
        if let Some(refusal) = refusal {
            return Err(refusal);
        }
        if self.awaits_resolution(resource, authority) {
            return Err(GateRefusal {
                failure: CredentialsFailure("the operator resolves its AWS credentials".to_owned()),
                report_now: false,
            });
        }
        let mut authenticated = pin!(self.0.cognito.authenticate(authority));
        // Credentials are mostly cached, so the first poll returns the credentials.
        if let Some(found) = authenticated.as_mut().now_or_never() {
            return self.ensured(resource, authority, Some(found), must_report);
        }
        let shared = &self.0;
        let gate = Gate::of_credentials(authority);
        shared.state().begin_resolution(gate.clone());
        let _resolution = Resolution { shared, gate };
        let found = timeout(PATIENCE, authenticated);
        let found = shared.slots.without(found).await.ok();
        // The gate closes before `_resolution` wakes the other resources.
        self.ensured(resource, authority, found, must_report)
    }

    /// Records the account, or closes the gate. `found` is none if no answer came within [`PATIENCE`].
    fn ensured(
        &self,
        resource: &Key,
        authority: &Authority,
        found: Option<Result<Account, CredentialsFailure>>,
        must_report: bool,
    ) -> Result<Account, GateRefusal> {
        let failure = match found {
            Some(Ok(account)) => {
                self.0.accounts().set(authority, &account);
                return Ok(account);
            }
            Some(Err(failure)) => failure,
            None => {
                let delay = self.0.cognito.queue_delay(authority);
                delay.unwrap_or_else(|| CredentialsFailure(format!(
                    "no credentials within {PATIENCE:?}: a web identity, Pod Identity, STS or metadata service doesn't answer"
                )))
            }
        };
        (self.0.count_failure)(authority);
        Err(self.close(resource, authority, failure, false, must_report))
    }

    /// Whether another reconcile resolves the credentials of this authority. If so, this resource is
    /// recorded, and queued again once that reconcile has a result.
    #[must_use]
    pub fn awaits_resolution(&self, resource: &Key, authority: &Authority) -> bool {
        self.0.state().awaits_resolution(resource, authority)
    }

    /// The account of the authority. None if the account is not known, or if a gate of the authority is
    /// closed.
    #[must_use]
    pub fn account(&self, authority: &Authority) -> Option<Account> {
        if self.0.state().failure(authority).is_some() {
            return None;
        }
        self.0.accounts().get(authority).cloned()
    }

    /// Checks, without a call to Cognito, that the authority has credentials that work.
    ///
    /// # Errors
    /// [`CredentialsFailure`]: the authority has none.
    pub async fn examine(&self, authority: &Authority) -> Result<(), CredentialsFailure> {
        let known = self.0.state().failure(authority).cloned();
        if let Some(failure) = known {
            return Err(failure);
        }
        let found = self.0.cognito.authenticate(authority).await;
        found
            .inspect_err(|_| (self.0.count_failure)(authority))
            .map(|_| ())
    }

    /// The account of the authority, for work that belongs to no single resource. No resource is recorded, and no
    /// gate closes.
    ///
    /// # Errors
    /// [`GateRefusal`]: the authority has no credentials that work.
    pub async fn identify(&self, authority: &Authority) -> Result<Account, GateRefusal> {
        let refusal = |failure| GateRefusal {
            failure,
            report_now: false,
        };
        self.examine(authority).await.map_err(refusal)?;
        let account = self.0.cognito.authenticate(authority).await;
        let account = account.map_err(refusal)?;
        self.0.accounts().set(authority, &account);
        Ok(account)
    }

    /// Forgets the gates and accounts of all authorities that are no longer needed.
    pub fn retain(&self, needed: impl Fn(&Authority) -> bool) {
        let departures = self.0.state().retain(&needed);
        self.0.tidy(departures);
        let mut accounts = self.0.accounts();
        accounts.of_roles.retain(|authority, _| needed(authority));
    }

    /// Whether a closed gate stops this resource. If so, the resource is recorded, and queued again once the
    /// gate opens.
    #[must_use]
    pub fn refuses(&self, resource: &Key, authority: &Authority) -> bool {
        let mut state = self.0.state();
        let refusal = state.refuse(resource, authority, |closed| {
            closed.stopped.insert(resource.clone());
        });
        refusal.is_some()
    }

    /// The number of entries: closed gates, and resources in each map of the gates.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.state().len()
    }

    /// Forgets a deleted resource.
    pub fn forget(&self, resource: &Key) {
        self.0.state().forget(resource);
    }

    /// Updates the gate from the reply to a call of this resource.
    pub fn answered(&self, resource: &Key, authority: &Authority, evidence: &CredentialsEvidence) {
        match evidence {
            CredentialsEvidence::Accepted => {
                let opens = self.0.state().accepted(resource, authority);
                if let Some(gate) = opens {
                    self.0.open(&gate);
                }
            }
            CredentialsEvidence::Refused(failure) => {
                (self.0.count_failure)(authority);
                let for_good = self.0.state().refused(resource, authority);
                if for_good {
                    self.close(resource, authority, failure.clone(), true, true);
                }
            }
            CredentialsEvidence::None => {}
        }
    }

    fn close(
        &self,
        resource: &Key,
        authority: &Authority,
        failure: CredentialsFailure,
        refused: bool,
        must_report: bool,
    ) -> GateRefusal {
        let closed = self
            .0
            .state()
            .close(resource, authority, failure, refused, must_report);
        if let Some(number) = closed.number {
            let (gate, error) = (&closed.gate, &closed.refusal.failure);
            warn!(authority = %gate, %error, "no AWS credentials that work: no password can be set until the operator has some");
            tokio::spawn(probe::probe(self.0.clone(), gate.clone(), number));
        }
        if closed.has_changed {
            self.0.report_change(&closed.gate);
        }
        closed.refusal
    }
}
