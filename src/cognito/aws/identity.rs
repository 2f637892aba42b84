//! Who the operator is to AWS: credentials resolved before a call, never within one.

use super::words::{causes, tidy};
use crate::core::{
    reply::CredentialsFailure,
    target::{Account, Region},
};
use aws_config::{
    BehaviorVersion, environment::EnvironmentVariableRegionProvider,
    meta::region::RegionProviderChain, profile::ProfileFileRegionProvider,
};
use aws_credential_types::{
    Credentials,
    provider::{
        self, ProvideCredentials, SharedCredentialsProvider, error::CredentialsError, future,
    },
};
use aws_sdk_cognitoidentityprovider::config;
use futures::future::BoxFuture;
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

/// Renewed this long before they expire: much more than a call takes.
const MARGIN: Duration = Duration::from_mins(1);
/// How long one resolution may take, with all its own retries.
const LIMIT: Duration = Duration::from_secs(10);

const NONE_FOUND: &str = "no credentials found: not in the environment, a profile, a web \
    identity token, EKS Pod Identity or the instance metadata service";

/// Makes a provider for one resolution. The Region is where STS is asked when nothing else says.
pub(super) type Source =
    Box<dyn Fn(Region) -> BoxFuture<'static, Option<SharedCredentialsProvider>> + Send + Sync>;

/// The credentials of this process, shared by the clients of all Regions.
#[derive(Clone)]
pub(super) struct Identity(Arc<Shared>);

struct Shared {
    source: Source,
    limit: Duration,
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
    /// The SDK's default chain: environment, profile, web identity token, EKS Pod Identity or ECS,
    /// instance metadata.
    pub(super) fn from_default_chain() -> Self {
        Self::new(Box::new(|region| Box::pin(default_chain(region))), LIMIT)
    }

    pub(super) fn new(source: Source, limit: Duration) -> Self {
        Self(Arc::new(Shared {
            source,
            limit,
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
        let found = self.resolve(region).await;
        let answer = found.as_ref().map(|_| ()).map_err(Clone::clone);
        self.known().settle(found);
        answer
    }

    /// Every resolution has a chain of its own. A chain parses the profile files once and keeps
    /// what it found, also that there was nothing (aws-config 1.13.0, `ProviderConfig::try_profile`),
    /// so a kept one would not see credentials that appear later.
    async fn resolve(&self, region: &Region) -> Result<Credentials, CredentialsFailure> {
        let resolution = async {
            match (self.0.source)(region.clone()).await {
                Some(provider) => provider.provide_credentials().await,
                None => Err(CredentialsError::not_loaded_no_source()),
            }
        };
        match tokio::time::timeout(self.0.limit, resolution).await {
            Ok(Ok(credentials)) => Ok(credentials),
            Ok(Err(CredentialsError::CredentialsNotLoaded(_))) => {
                Err(CredentialsFailure(NONE_FOUND.to_owned()))
            }
            Ok(Err(error)) => Err(CredentialsFailure(tidy(&causes(&error), 512))),
            Err(_) => Err(CredentialsFailure(format!(
                "no credentials within {:?}: a web identity, Pod Identity or metadata service doesn't answer",
                self.0.limit
            ))),
        }
    }

    /// The account of the credentials, where they tell it: those of roles do.
    pub(super) fn account(&self) -> Account {
        let known = self.known();
        let id = known.credentials.as_ref().and_then(Credentials::account_id);
        id.map_or(Account::OfSource, |id| Account::Id(id.as_str().to_owned()))
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

/// By way of the loader, which gives the chain FIPS, dual-stack, retry and timeout settings. The
/// Region is that of the environment or profile, else the pool's: with neither, STS has no
/// endpoint, and the SDK's own default would first wait for the instance metadata service.
async fn default_chain(region: Region) -> Option<SharedCredentialsProvider> {
    let region = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
        .or_else(ProfileFileRegionProvider::new())
        .or_else(config::Region::new(region.as_str().to_owned()));
    let loaded = aws_config::defaults(BehaviorVersion::latest())
        .region(region)
        .load()
        .await;
    loaded.credentials_provider()
}
