//! Amazon Cognito through the AWS SDK.
//!
//! The SDK's defaults suit most programs and are wrong here. If a reply is lost, the SDK sends again. With a
//! password history, Cognito refuses the second request although the first one was applied. A missing
//! credential looks like a dropped connection. Any 2xx counts as success.
//!
//! So one call is one request, and credentials are resolved beforehand. Facts decide the outcome: whether the
//! request was transmitted, and what came back. The calls are in `calls`.

mod account;
mod calls;
mod connect;
mod endpoint;
mod error_text;
mod http;
mod identity;
mod output;
mod own;
mod role;
mod translate;
mod trust;

#[cfg(test)]
mod tests;

pub use endpoint::{EndpointError, Service, endpoint_is_allowed};
pub use trust::BundleError;

use crate::core::{
    access::authority::{Authority, Role},
    names::{region::Regions, target::Account},
};
use account::OwnAccount;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::Credentials;
use aws_sdk_cognitoidentityprovider::{
    Client,
    config::{self, AppName, IdentityCache, StalledStreamProtectionConfig},
};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_types::{retry::RetryConfig, timeout::TimeoutConfig};
use endpoint::{DryRun, EndpointGuard};
use identity::Identity;
use role::{RoleCredentials, StsQueues, StsState};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// The operator's name in the user agent, which `CloudTrail` records.
const APP_NAME: &str = "cognito-password-operator";

/// The time limits of a call.
#[derive(Clone, Copy, Debug)]
struct Timeouts {
    /// DNS, TCP and TLS together.
    connect: Duration,
    /// The whole call, including the reply's body.
    call: Duration,
}

impl Timeouts {
    const DEFAULT: Self = Self {
        connect: Duration::from_secs(2),
        call: Duration::from_secs(5),
    };
}

/// Why AWS can't be called with the settings of the environment.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The trusted certificates can't be used.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// An endpoint can't be used.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
}

/// The [`Cognito`](super::Cognito) that calls AWS.
///
/// One SDK client serves all authorities, and each call brings its Region and credentials. So a Region, which
/// tenants choose, takes no memory, and credentials are kept only for the roles that grants name. Measured:
/// an SDK client takes 24 kB.
pub struct AwsCognito {
    client: Client,
    /// Endpoint, FIPS and dual-stack settings, from the environment and the profile. Read once.
    config: Arc<SdkConfig>,
    regions: Regions,
    own: Identity,
    account: OwnAccount,
    queues: StsQueues,
    roles: Mutex<HashMap<Authority, RoleIdentity>>,
}

/// The credentials of one role, and the state of the calls to STS for the role.
struct RoleIdentity {
    identity: Identity,
    sts: Arc<StsState>,
}

impl AwsCognito {
    /// Uses everything that the SDK reads from the environment and the profiles. Credentials are resolved
    /// when a call first needs credentials. Does no network I/O.
    ///
    /// Refuses endpoints to which a password, or the credentials of a role, would cross the network in the
    /// clear. The check asks the SDK's own endpoint rules, with the full configuration: the check builds
    /// requests and stops before the SDK sends them. The same checks run before every call.
    ///
    /// # Errors
    /// [`SettingsError`], one line that says what to set.
    pub async fn load() -> Result<Self, SettingsError> {
        let mut cognito = Self::unchecked().await?;
        cognito.regions = cognito.check_endpoints().await?;
        Ok(cognito)
    }

    async fn unchecked() -> Result<Self, BundleError> {
        let http = http_client()?;
        let own = Identity::new(own::default_chain(http.clone()));
        let config = load(http).await;
        Ok(Self::assemble(own, config, Timeouts::DEFAULT))
    }

    /// Without endpoint checks: any Region is accepted.
    fn assemble(own: Identity, config: SdkConfig, timeouts: Timeouts) -> Self {
        // Every call to Cognito and STS has its own time limit. The SDK's check of the throughput has another
        // clock than these limits, and could end a call before the limit, in words that name no service.
        let config = config
            .into_builder()
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .build();
        Self {
            client: Client::from_conf(client_config(&config, timeouts)),
            config: Arc::new(config),
            regions: Regions::Any,
            own,
            account: OwnAccount::default(),
            queues: StsQueues::new(),
            roles: Mutex::default(),
        }
    }

    /// Returns the Regions in which Cognito can be called.
    async fn check_endpoints(&self) -> Result<Regions, EndpointError> {
        let regions = self.check_cognito().await?;
        self.check_sts().await?;
        Ok(regions)
    }

    async fn check_cognito(&self) -> Result<Regions, EndpointError> {
        let dry_run = DryRun::default();
        let as_nobody = config::Config::builder()
            .region(NOWHERE)
            .credentials_provider(nobody());
        let outcome = self
            .client
            .admin_set_user_password()
            .user_pool_id("us-nowhere-1_none")
            .username("none")
            .password("none")
            .customize()
            .config_override(as_nobody)
            .interceptor(dry_run.clone())
            .send()
            .await;
        match (outcome, dry_run.host()) {
            (Err(error), None) => Err(EndpointError::from_chain(Service::Cognito, &error)),
            // If the host does not contain the invented Region, a setting names the endpoint, and every
            // Region leads there.
            (_, Some(host)) if !host.contains(NOWHERE.as_ref()) => Ok(Regions::Any),
            (_, Some(_) | None) => Ok(Regions::OfAws),
        }
    }

    async fn check_sts(&self) -> Result<(), EndpointError> {
        let dry_run = DryRun::default();
        let config = sts_config(&self.config, NOWHERE)
            .credentials_provider(nobody())
            .interceptor(EndpointGuard(Service::Sts))
            .interceptor(dry_run.clone());
        let client = aws_sdk_sts::Client::from_conf(config.build());
        match client.get_caller_identity().send().await {
            Err(error) if dry_run.host().is_none() => {
                Err(EndpointError::from_chain(Service::Sts, &error))
            }
            _ => Ok(()),
        }
    }

    /// The identity of an authority. The identity of a role is created at the first request.
    fn identity(&self, authority: &Authority) -> Identity {
        let Some(role) = &authority.role else {
            return self.own.clone();
        };
        let mut roles = self.roles();
        let role = roles
            .entry(authority.clone())
            .or_insert_with(|| self.role_identity(role));
        role.identity.clone()
    }

    fn role_identity(&self, role: &Arc<Role>) -> RoleIdentity {
        let sts = Arc::<StsState>::default();
        let credentials = RoleCredentials {
            role: role.clone(),
            own: self.own.clone(),
            config: self.config.clone(),
            queues: self.queues.clone(),
            state: sts.clone(),
        };
        RoleIdentity {
            identity: Identity::new(credentials.source()),
            sts,
        }
    }

    /// The map is consistent at any time, so a poisoned lock is no reason to panic here.
    fn roles(&self) -> MutexGuard<'_, HashMap<Authority, RoleIdentity>> {
        self.roles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The account of the operator's own identity.
    fn own_account(&self, region: config::Region) -> Account {
        self.account.of(&self.own, || {
            let config = sts_config(&self.config, region).credentials_provider(self.own.provider());
            aws_sdk_sts::Client::from_conf(config.build())
        })
    }
}

/// The HTTP client for AWS, with the operator's trusted certificates, proxies and limits. The SDK is built
/// without an HTTP client of its own, so every SDK client needs this one.
///
/// # Errors
/// [`BundleError`] if `AWS_CA_BUNDLE` names a file that can't be used.
pub fn http_client() -> Result<SharedHttpClient, BundleError> {
    Ok(http::client(trust::from_env()?, http::IDLE_MAX))
}

/// Not a Region of AWS, but valid in the SDK's endpoint rules. The rules are the same for every Region.
const NOWHERE: config::Region = config::Region::from_static("us-nowhere-1");

fn nobody() -> Credentials {
    Credentials::new("none", "none", None, None, "endpoint check")
}

fn region(authority: &Authority) -> config::Region {
    config::Region::new(authority.region.as_str().to_owned())
}

/// Without Region and credentials, because each call brings both.
fn client_config(config: &SdkConfig, timeouts: Timeouts) -> config::Config {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(timeouts.connect)
        .operation_attempt_timeout(timeouts.call)
        .operation_timeout(timeouts.call)
        .build();
    config::Builder::from(config)
        .region(None)
        // `Identity` is the cache. A second cache could do credential I/O within the call.
        .identity_cache(IdentityCache::no_cache())
        // Only here: on the loader, this setting would also disable the retries of STS and the metadata
        // service.
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts)
        .interceptor(EndpointGuard(Service::Cognito))
        .build()
}

/// Without credentials. The Region is the one of the environment or profile, else `region`.
fn sts_config(config: &SdkConfig, region: config::Region) -> aws_sdk_sts::config::Builder {
    aws_sdk_sts::config::Builder::from(config)
        .region(config.region().cloned().unwrap_or(region))
        .identity_cache(IdentityCache::no_cache())
}

/// Without credentials. Only STS uses the Region of the environment or profile, because each call of Cognito
/// brings its Region. A search for a default Region would ask the instance metadata service.
async fn load(http: SharedHttpClient) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .region(own::configured_region())
        .http_client(http)
        .no_credentials();
    if let Ok(name) = AppName::new(APP_NAME) {
        loader = loader.app_name(name);
    }
    loader.load().await
}
