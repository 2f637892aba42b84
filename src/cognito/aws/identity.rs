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
const EXPIRY_MARGIN: Duration = Duration::from_mins(1);

/// The time limit of one resolution, with all retries of the source.
pub(super) const RESOLUTION_TIMEOUT: Duration = Duration::from_secs(10);

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
    cache: Mutex<CachedCredentials>,
}

#[derive(Default)]
struct CachedCredentials {
    credentials: Option<Credentials>,
    /// The number of resolutions so far, failures included.
    version: u64,
    /// The failure of the last resolution, if the resolution failed.
    failure: Option<CredentialsFailure>,
    /// AWS refused these credentials. The credentials stay for the calls that are already under way.
    refused: bool,
}

impl CachedCredentials {
    fn has_valid(&self, now: SystemTime) -> bool {
        !self.refused
            && self.credentials.as_ref().is_some_and(|credentials| {
                credentials
                    .expiry()
                    .is_none_or(|expiry| expiry > now + EXPIRY_MARGIN)
            })
    }

    fn store(&mut self, found: Result<Credentials, CredentialsFailure>) {
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
            cache: Mutex::default(),
        }))
    }

    /// Makes sure that there are credentials, valid for at least [`EXPIRY_MARGIN`]. Of many concurrent callers one
    /// resolves. A failure is the answer to every caller that has waited.
    pub(super) async fn ensure(&self, region: &Region) -> Result<(), CredentialsFailure> {
        let before = {
            let cache = self.cache();
            if cache.has_valid(SystemTime::now()) {
                return Ok(());
            }
            cache.version
        };
        let _flight = self.0.flight.lock().await;
        {
            let cache = self.cache();
            if cache.version != before {
                if let Some(failure) = &cache.failure {
                    return Err(failure.clone());
                }
                if !cache.refused {
                    return Ok(());
                }
            }
        }
        let found = (self.0.source)(region.clone()).await;
        let answer = found.as_ref().map(|_| ()).map_err(Clone::clone);
        self.cache().store(found);
        answer
    }

    /// The id of the account, if the credentials name their account. Credentials of roles do.
    pub(super) fn account(&self) -> Option<String> {
        let cache = self.cache();
        let id = cache.credentials.as_ref().and_then(Credentials::account_id);
        id.map(|id| id.as_str().to_owned())
    }

    /// The version of the credentials for the next call, as the argument of [`invalidate`](Self::invalidate).
    pub(super) fn version(&self) -> u64 {
        self.cache().version
    }

    /// Marks the credentials of this version as refused by AWS, so that the next [`ensure`](Self::ensure)
    /// resolves again. Of many calls that are refused together only the first counts.
    pub(super) fn invalidate(&self, version: u64) {
        let mut cache = self.cache();
        if cache.version == version {
            cache.refused = true;
        }
    }

    /// The provider for the SDK's clients. Returns the credentials of the last [`ensure`](Self::ensure)
    /// without any I/O.
    pub(super) fn provider(&self) -> SharedCredentialsProvider {
        SharedCredentialsProvider::new(CachedProvider(self.clone()))
    }

    /// Every update is complete, so a poisoned lock is no reason to panic here.
    fn cache(&self) -> MutexGuard<'_, CachedCredentials> {
        self.0.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct CachedProvider(Identity);

impl fmt::Debug for CachedProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CachedProvider(..)")
    }
}

impl ProvideCredentials for CachedProvider {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let credentials = self.0.cache().credentials.clone();
        let result: provider::Result =
            credentials.ok_or_else(|| CredentialsError::not_loaded("no credentials were resolved"));
        future::ProvideCredentials::ready(result)
    }
}
