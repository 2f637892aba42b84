//! The account of the operator's own identity, where its credentials don't tell it: static keys
//! don't. It matters only beside roles: one of the same account shares its quota.

use super::identity::{Identity, LIMIT};
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

/// Between two questions of which the first came to nothing.
const PAUSE: Duration = Duration::from_mins(5);

/// What is known of it.
#[derive(Clone, Default)]
pub(super) struct OwnAccount(Arc<Mutex<Told>>);

#[derive(Default)]
struct Told {
    /// A role has been assumed.
    matters: bool,
    id: Option<String>,
    /// The credentials that were asked for last.
    version: Option<u64>,
    /// Not asked again before.
    not_before: Option<Instant>,
    asking: bool,
}

impl OwnAccount {
    /// From here on it is worth asking.
    pub(super) fn matters(&self) {
        self.told().matters = true;
    }

    /// Never waits: STS is asked beside, once for each credentials, and the answer is there for a
    /// later call.
    pub(super) fn of(&self, own: &Identity, sts: impl FnOnce() -> Client) -> Account {
        if let Some(id) = own.account() {
            return Account::Id(id);
        }
        let version = own.version();
        let mut told = self.told();
        let early = told.not_before.is_some_and(|at| Instant::now() < at);
        if told.matters && !told.asking && !early && told.version != Some(version) {
            told.asking = true;
            tokio::spawn(self.clone().ask(sts(), version));
        }
        // Of earlier credentials, maybe: they are renewed, and stay those of the same identity.
        told.id.clone().map_or(Account::OfSource, Account::Id)
    }

    async fn ask(self, sts: Client, version: u64) {
        let ask = timeout(LIMIT, sts.get_caller_identity().send());
        // Also after a panic STS is asked again.
        let answer = AssertUnwindSafe(ask).catch_unwind().await;
        let id = match &answer {
            Ok(Ok(Ok(identity))) => identity.account().map(str::to_owned),
            Ok(Ok(Err(_)) | Err(_)) | Err(_) => None,
        };
        let mut told = self.told();
        told.asking = false;
        if id.is_some() {
            told.id = id;
            told.version = Some(version);
            told.not_before = None;
        } else {
            told.not_before = Some(Instant::now() + PAUSE);
            debug!("STS didn't tell the account of the operator's own identity");
        }
    }

    /// Never left half-written, so a panic elsewhere is no reason to panic here.
    fn told(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
