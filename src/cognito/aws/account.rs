//! The account of the operator's own identity, for credentials that don't name their account, such as static
//! keys. The account matters only if roles are used: a role of the same account shares the quota.

use super::identity::{Identity, RESOLUTION_TIMEOUT};
use crate::core::names::target::Account;
use aws_sdk_sts::Client;
use futures::FutureExt;
use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, timeout};
use tracing::debug;

/// The pause after a request to STS that brought no account.
const RETRY_PAUSE: Duration = Duration::from_mins(5);

/// What the process knows about the account.
#[derive(Clone, Default)]
pub(super) struct OwnAccount(Arc<Mutex<AccountState>>);

#[derive(Default)]
struct AccountState {
    /// A role has been assumed.
    roles_in_use: bool,
    id: Option<String>,
    /// The version of the credentials for which STS has answered.
    version: Option<u64>,
    /// STS is not asked before this time.
    not_before: Option<Instant>,
    is_asking: bool,
}

impl OwnAccount {
    /// Asking STS is worthwhile from now on.
    pub(super) fn roles_in_use(&self) {
        self.state().roles_in_use = true;
    }

    /// Never waits. A spawned task asks STS until STS has answered for this version of the credentials, and a
    /// later call gets the answer.
    pub(super) fn of(&self, own: &Identity, sts: impl FnOnce() -> Client) -> Account {
        if let Some(id) = own.account() {
            return Account::Id(id);
        }
        let version = own.version();
        let mut state = self.state();
        let early = state.not_before.is_some_and(|at| Instant::now() < at);
        if state.roles_in_use && !state.is_asking && !early && state.version != Some(version) {
            state.is_asking = true;
            tokio::spawn(self.clone().ask(sts(), version));
        }
        // The account may come from earlier credentials. Renewed credentials belong to the same identity.
        state.id.clone().map_or(Account::OfSource, Account::Id)
    }

    async fn ask(self, sts: Client, version: u64) {
        let ask = timeout(RESOLUTION_TIMEOUT, sts.get_caller_identity().send());
        // A panic counts as no answer, so that STS is asked again.
        let answer = AssertUnwindSafe(ask).catch_unwind().await;
        let id = match &answer {
            Ok(Ok(Ok(identity))) => identity.account().map(str::to_owned),
            Ok(Ok(Err(_)) | Err(_)) | Err(_) => None,
        };
        let mut state = self.state();
        state.is_asking = false;
        if id.is_some() {
            state.id = id;
            state.version = Some(version);
            state.not_before = None;
        } else {
            state.not_before = Some(Instant::now() + RETRY_PAUSE);
            debug!("STS didn't name the account of the operator's own identity");
        }
    }

    /// Every update is complete, so a poisoned lock is no reason to panic here.
    fn state(&self) -> MutexGuard<'_, AccountState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
