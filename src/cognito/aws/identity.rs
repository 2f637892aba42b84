//! Resolves credentials before a call and never within a call. Each identity is the operator's own or a
//! role's.

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

/// Credentials are renewed this long before their expiry: much longer than a call takes.
const MARGIN: Duration = Duration::from_mins(1);

/// The time limit of one resolution, with all retries of the source.
pub(super) const LIMIT: Duration = Duration::from_secs(10);

/// A source of credentials. Each call is one resolution, which ends by itself. The argument is the Region of
/// STS unless a setting names a Region.
pub(super) type Source = Box<
    dyn Fn(Region) -> BoxFuture<'static, Result<Credentials, CredentialsFailure>> + Send + Sync,
>;

/// The credentials of one identity, shared by all its callers.
#[derive(Clone)]
pub(super) struct Identity(Arc<Shared>);

struct Shared {
    source: Source,
    /// Locked by the caller that resolves. The other callers wait for the result.
    flight: tokio::sync::Mutex<()>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    credentials: Option<Credentials>,
    /// The number of resolutions so far, failures included.
    version: u64,
    /// The failure of the last resolution, if the resolution failed.
    failure: Option<CredentialsFailure>,
    /// AWS refused these credentials. The credentials stay for the calls that are already under way.
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

    /// Makes sure that there are credentials, valid for at least [`MARGIN`]. Of many concurrent callers one
    /// resolves. A failure is the answer to every caller that has waited.
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

    /// The id of the account, if the credentials name their account. Credentials of roles do.
    pub(super) fn account(&self) -> Option<String> {
        let known = self.known();
        let id = known.credentials.as_ref().and_then(Credentials::account_id);
        id.map(|id| id.as_str().to_owned())
    }

    /// The version of the credentials for the next call, as the argument of [`forget`](Self::forget).
    pub(super) fn version(&self) -> u64 {
        self.known().version
    }

    /// Marks the credentials of this version as refused by AWS, so that the next [`ensure`](Self::ensure)
    /// resolves again. Of many calls that are refused together only the first counts.
    pub(super) fn forget(&self, version: u64) {
        let mut known = self.known();
        if known.version == version {
            known.refused = true;
        }
    }

    /// The provider for the SDK's clients. Returns the credentials of the last [`ensure`](Self::ensure)
    /// without any I/O.
    pub(super) fn provider(&self) -> SharedCredentialsProvider {
        SharedCredentialsProvider::new(Resolved(self.clone()))
    }

    /// Every update is complete, so a poisoned lock is no reason to panic here.
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
