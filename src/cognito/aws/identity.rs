//! Credentials resolved before a call, never within one: those of one identity, the operator's own or
//! a role's.

use crate::core::{credential::failure::CredentialsFailure, names::target::Region};
use aws_credential_types::{
    Credentials,
    provider::{
        self, ProvideCredentials, SharedCredentialsProvider, error::CredentialsError, future,
    },
};
use futures::future::BoxFuture;
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

/// Renewed this long before they expire: much more than a call takes.
const MARGIN: Duration = Duration::from_mins(1);

/// How long whoever tells credentials may take, with all its own retries.
pub(super) const LIMIT: Duration = Duration::from_secs(10);

/// Where credentials come from: one resolution, which ends by itself. The Region is where STS is asked
/// when nothing else says.
pub(super) type Source = Box<
    dyn Fn(Region) -> BoxFuture<'static, Result<Credentials, CredentialsFailure>> + Send + Sync,
>;

/// The credentials of one identity, shared by all who call with them.
#[derive(Clone)]
pub(super) struct Identity(Arc<Shared>);

struct Shared {
    source: Source,
    /// Held by the one that resolves; the others wait for what it finds.
    flight: tokio::sync::Mutex<()>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    credentials: Option<Credentials>,
    /// Resolutions so far, whatever came of them.
    version: u64,
    /// What came of the last one, if not credentials.
    failure: Option<CredentialsFailure>,
    /// AWS refused these credentials. They stay for the calls that are on their way with them.
    refused: bool,
}

impl Known {
    fn serves(&self, now: SystemTime) -> bool {
        !self.refused
            && self.credentials.as_ref().is_some_and(|credentials| {
                credentials
                    .expiry()
                    .is_none_or(|expiry| expiry > now + MARGIN)
            })
    }

    fn settle(&mut self, found: Result<Credentials, CredentialsFailure>) {
        self.version += 1;
        match found {
            Ok(credentials) => {
                self.credentials = Some(credentials);
                self.failure = None;
                self.refused = false;
            }
            Err(failure) => self.failure = Some(failure),
        }
    }
}

impl Identity {
    pub(super) fn new(source: Source) -> Self {
        Self(Arc::new(Shared {
            source,
            flight: tokio::sync::Mutex::default(),
            known: Mutex::default(),
        }))
    }

    /// Makes sure that there are credentials, good for at least [`MARGIN`]. However many ask, one
    /// resolves, and its failure is the answer to all who waited for it.
    pub(super) async fn ensure(&self, region: &Region) -> Result<(), CredentialsFailure> {
        let before = {
            let known = self.known();
            if known.serves(SystemTime::now()) {
                return Ok(());
            }
            known.version
        };
        let _flight = self.0.flight.lock().await;
        {
            let known = self.known();
            if known.version != before {
                if let Some(failure) = &known.failure {
                    return Err(failure.clone());
                }
                if !known.refused {
                    return Ok(());
                }
            }
        }
        let found = (self.0.source)(region.clone()).await;
        let answer = found.as_ref().map(|_| ()).map_err(Clone::clone);
        self.known().settle(found);
        answer
    }

    /// The id of the account that the credentials belong to, where they tell it: those of roles do.
    pub(super) fn account(&self) -> Option<String> {
        let known = self.known();
        let id = known.credentials.as_ref().and_then(Credentials::account_id);
        id.map(|id| id.as_str().to_owned())
    }

    /// Names the credentials that a call is about to be made with.
    pub(super) fn version(&self) -> u64 {
        self.known().version
    }

    /// AWS refused the credentials of this version: the next [`ensure`](Self::ensure) resolves
    /// anew. Of many calls refused together only the first counts.
    pub(super) fn forget(&self, version: u64) {
        let mut known = self.known();
        if known.version == version {
            known.refused = true;
        }
    }

    /// What the SDK's clients use: the credentials that [`ensure`](Self::ensure) left, without
    /// any I/O.
    pub(super) fn provider(&self) -> SharedCredentialsProvider {
        SharedCredentialsProvider::new(Resolved(self.clone()))
    }

    /// Never left half-written, so a panic elsewhere is no reason to panic here.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Resolved(Identity);

impl fmt::Debug for Resolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolved(..)")
    }
}

impl ProvideCredentials for Resolved {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let known = self.0.known().credentials.clone();
        let result: provider::Result =
            known.ok_or_else(|| CredentialsError::not_loaded("no credentials were resolved"));
        future::ProvideCredentials::ready(result)
    }
}
