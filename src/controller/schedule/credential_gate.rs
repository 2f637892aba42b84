//! The door at which a broken identity stops everybody at once. While there are no credentials, or
//! AWS refuses those that there are, one probe looks whether that is still so, not each resource;
//! afterwards all that were turned away are looked at. Without credentials of the operator's own there is
//! one door for all Regions.
//!
//! Whether there are credentials, the credential chain tells. Whether AWS takes them only a call
//! can: one resource after the other is let through as a scout.

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

/// How long a resource waits for credentials before its status may say that there are none; the probe
/// has more time.
const PATIENCE: Duration = Duration::from_secs(2);

/// See the module.
pub struct CredentialGate<C>(Arc<Shared<C>>);

/// One reconcile that waits for credentials. However it ends, the others are woken.
struct Resolving<'a, C: Cognito> {
    shared: &'a Arc<Shared<C>>,
    gate: Gate,
}

impl<C: Cognito> Drop for Resolving<'_, C> {
    fn drop(&mut self) {
        let waiting = self.shared.state().resolved(&self.gate);
        self.shared
            .release(&self.gate, waiting, Wake::Tell, Vec::new());
    }
}

impl<C> Clone for CredentialGate<C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<C: Cognito> CredentialGate<C> {
    /// `wake` is called for each resource that was turned away when it is to be looked at again;
    /// `tell` when there is something new to say of an authority: see [`examine`](Self::examine).
    pub fn new(
        cognito: Arc<C>,
        places: Slots,
        wake: impl Fn(&Key, Wake) + Send + Sync + 'static,
        tell: impl Fn(&Authority) + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Shared {
            cognito,
            state: Mutex::default(),
            accounts: Mutex::default(),
            places,
            wake: Box::new(wake),
            tell: Box::new(tell),
        }))
    }

    /// Makes sure that there are credentials. `must_tell`: the resource's status would be untrue if
    /// it didn't say at once why nothing is set. Of all resources that need the credentials of one
    /// authority, one waits for them, and gives its place to other reconciles meanwhile.
    ///
    /// # Errors
    /// [`GateRefusal`]: the resource is remembered, and looked at when there are some.
    pub async fn ensure(
        &self,
        resource: &Key,
        authority: &Authority,
        must_tell: bool,
    ) -> Result<Account, GateRefusal> {
        let turned_away = self.0.state().turn_away(resource, authority, |door| {
            door.turn_away(resource, must_tell)
        });
        if let Some(turned_away) = turned_away {
            return Err(turned_away);
        }
        if self.awaits_resolution(resource, authority) {
            return Err(GateRefusal {
                failure: CredentialsFailure("they are being resolved".to_owned()),
                tell: false,
            });
        }
        let mut authenticated = pin!(self.0.cognito.authenticate(authority));
        // Mostly they are at hand.
        if let Some(found) = authenticated.as_mut().now_or_never() {
            return self.ensured(resource, authority, Some(found), must_tell);
        }
        let shared = &self.0;
        let gate = Gate::of_credentials(authority);
        shared.state().resolve(gate.clone());
        let _resolving = Resolving { shared, gate };
        let found = timeout(PATIENCE, authenticated);
        let found = shared.places.without(found).await.ok();
        // Before the others are woken.
        self.ensured(resource, authority, found, must_tell)
    }

    /// What a look for credentials comes to; none if there was no answer in time.
    fn ensured(
        &self,
        resource: &Key,
        authority: &Authority,
        found: Option<Result<Account, CredentialsFailure>>,
        must_tell: bool,
    ) -> Result<Account, GateRefusal> {
        let failure = match found {
            Some(Ok(account)) => {
                self.0.accounts().set(authority, &account);
                return Ok(account);
            }
            Some(Err(failure)) => failure,
            None => CredentialsFailure(format!(
                "no credentials within {PATIENCE:?}: a web identity, Pod Identity, STS or metadata service doesn't answer"
            )),
        };
        Err(self.close(resource, authority, failure, false, must_tell))
    }

    /// Whether another resource waits for credentials of this authority: then this one is remembered,
    /// and looked at when they are there, or aren't.
    #[must_use]
    pub fn awaits_resolution(&self, resource: &Key, authority: &Authority) -> bool {
        self.0.state().awaits_resolution(resource, authority)
    }

    /// Whose account it is, as far as that is known and nobody is turned away.
    #[must_use]
    pub fn account(&self, authority: &Authority) -> Option<Account> {
        if self.0.state().failure(authority).is_some() {
            return None;
        }
        self.0.accounts().get(authority).cloned()
    }

    /// Whether an authority has credentials that work, as far as can be told without a call.
    ///
    /// # Errors
    /// [`CredentialsFailure`]: it has none.
    pub async fn examine(&self, authority: &Authority) -> Result<(), CredentialsFailure> {
        let known = self.0.state().failure(authority).cloned();
        match known {
            Some(failure) => Err(failure),
            None => self.0.cognito.authenticate(authority).await.map(|_| ()),
        }
    }

    /// Nobody calls by other authorities than these any more.
    pub fn retain(&self, needed: impl Fn(&Authority) -> bool) {
        let left = self.0.state().retain(&needed);
        self.0.tidy(left);
        let mut accounts = self.0.accounts();
        accounts.of_roles.retain(|authority, _| needed(authority));
    }

    /// Whether nobody passes: then the resource is remembered, and looked at when that changes.
    #[must_use]
    pub fn turn_away(&self, resource: &Key, authority: &Authority) -> bool {
        let mut state = self.0.state();
        let turned_away = state.turn_away(resource, authority, |door| {
            door.turned_away.insert(resource.clone());
        });
        turned_away.is_some()
    }

    /// How many entries there are: closed doors, and resources at them or refused.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.state().len()
    }

    /// The resource is gone: nobody tells it anything, nor sends it to see.
    pub fn forget(&self, resource: &Key) {
        self.0.state().forget(resource);
    }

    /// What a call told of the credentials.
    pub fn answered(&self, resource: &Key, authority: &Authority, standing: &CredentialsEvidence) {
        match standing {
            CredentialsEvidence::Accepted => {
                let opens = self.0.state().accepted(resource, authority);
                if let Some(gate) = opens {
                    self.0.open(&gate);
                }
            }
            CredentialsEvidence::Refused(failure) => {
                let for_good = self.0.state().refused(resource, authority);
                if for_good {
                    self.close(resource, authority, failure.clone(), true, true);
                }
            }
            CredentialsEvidence::Untold => {}
        }
    }

    fn close(
        &self,
        resource: &Key,
        authority: &Authority,
        failure: CredentialsFailure,
        refused: bool,
        must_tell: bool,
    ) -> GateRefusal {
        let closed = self
            .0
            .state()
            .close(resource, authority, failure, refused, must_tell);
        if let Some(number) = closed.number {
            let (gate, error) = (&closed.gate, &closed.turned_away.failure);
            warn!(authority = %gate, %error, "no AWS credentials that work: nothing can be set until there are some");
            tokio::spawn(probe::probe(self.0.clone(), gate.clone(), number));
        }
        if closed.news {
            self.0.tell_of(&closed.gate);
        }
        closed.turned_away
    }
}
