//! Amazon Cognito behind the AWS SDK.
//!
//! The SDK has good defaults for most programs and wrong ones for this: its retries turn a lost
//! reply under a password-history policy into a refusal, a missing credential looks like a dropped
//! connection, and any 2xx counts as success. So one call is one request, credentials are resolved
//! beforehand, and what happened is read from facts: whether the request was transmitted, what
//! came back.

mod account;
mod endpoint;
mod http;
mod identity;
mod own;
mod role;
mod translate;
mod words;

#[cfg(test)]
mod tests;

pub use endpoint::{EndpointError, Service, endpoint_is_allowed};

use super::Cognito;
use crate::core::{
    authority::Authority,
    outcome::blames_credentials,
    password::Password,
    reply::{CredentialsFailure, Reply},
    target::{Account, Target},
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
use endpoint::{EndpointGuard, StopBeforeSending};
use identity::Identity;
use role::{Assume, Turns};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::OnceCell;
use translate::Witness;

/// What the operator calls itself in the user agent, which `CloudTrail` records.
const APP_NAME: &str = "cognito-password-operator";

/// How long a call may take.
#[derive(Clone, Copy, Debug)]
struct Timeouts {
    /// DNS, TCP and TLS together.
    connect: Duration,
    /// The whole call, the reply's body included.
    call: Duration,
}

impl Timeouts {
    const DEFAULT: Self = Self {
        connect: Duration::from_secs(2),
        call: Duration::from_secs(5),
    };
}

/// The [`Cognito`] that talks to AWS. For each authority, when it is first needed: its credentials,
/// which are the operator's own or those of the role, and an SDK client. Connections are everybody's.
pub struct AwsCognito {
    own: Identity,
    account: OwnAccount,
    turns: Turns,
    timeouts: Timeouts,
    http: SharedHttpClient,
    /// Endpoint, FIPS and dual-stack settings, from the environment and the profile. Read once.
    config: OnceCell<SdkConfig>,
    callers: Mutex<HashMap<Authority, Caller>>,
}

/// Whoever calls Cognito in one Region.
#[derive(Clone)]
struct Caller {
    identity: Identity,
    client: Client,
}

impl Default for AwsCognito {
    fn default() -> Self {
        Self::new()
    }
}

impl AwsCognito {
    /// With everything the SDK reads from the environment, profiles and metadata services. Does no
    /// I/O: configuration and credentials are read when they are first needed.
    #[must_use]
    pub fn new() -> Self {
        let http = http::client();
        let own = Identity::new(own::default_chain(http.clone()));
        Self::assemble(own, http, OnceCell::new(), Timeouts::DEFAULT)
    }

    fn assemble(
        own: Identity,
        http: SharedHttpClient,
        config: OnceCell<SdkConfig>,
        timeouts: Timeouts,
    ) -> Self {
        Self {
            own,
            account: OwnAccount::default(),
            turns: Turns::new(),
            timeouts,
            http,
            config,
            callers: Mutex::default(),
        }
    }

    /// Would a password, or the credentials of a role, leave this machine in the clear? Asks the
    /// SDK's own endpoint rules, with all that configures them, by building requests and stopping
    /// before they are sent. Does no network I/O. Meant for start-up; the same checks stand in front
    /// of every call.
    ///
    /// # Errors
    /// [`EndpointError`], one line that names the endpoint and what to set.
    pub async fn check_endpoint(&self) -> Result<(), EndpointError> {
        self.check_cognito().await?;
        self.check_sts().await
    }

    async fn check_cognito(&self) -> Result<(), EndpointError> {
        let stop = StopBeforeSending::default();
        let config = self.client_config(ANYWHERE, &self.own).await;
        let outcome = Client::from_conf(config)
            .admin_set_user_password()
            .user_pool_id("us-east-1_none")
            .username("none")
            .password("none")
            .customize()
            .config_override(config::Config::builder().credentials_provider(nobody()))
            .interceptor(stop.clone())
            .send()
            .await;
        match outcome {
            Err(error) if !stop.reached() => {
                Err(EndpointError::from_chain(Service::Cognito, &error))
            }
            _ => Ok(()),
        }
    }

    async fn check_sts(&self) -> Result<(), EndpointError> {
        let stop = StopBeforeSending::default();
        let config = sts_config(self.sdk_config().await, ANYWHERE)
            .credentials_provider(nobody())
            .interceptor(EndpointGuard(Service::Sts))
            .interceptor(stop.clone());
        let client = aws_sdk_sts::Client::from_conf(config.build());
        match client.get_caller_identity().send().await {
            Err(error) if !stop.reached() => Err(EndpointError::from_chain(Service::Sts, &error)),
            _ => Ok(()),
        }
    }

    async fn caller(&self, authority: &Authority) -> Caller {
        if let Some(caller) = self.callers().get(authority) {
            return caller.clone();
        }
        let identity = match &authority.role {
            None => self.own.clone(),
            Some(role) => {
                let assume = Assume {
                    role: role.clone(),
                    own: self.own.clone(),
                    config: self.sdk_config().await.clone(),
                    turns: self.turns.clone(),
                };
                Identity::new(assume.source())
            }
        };
        let config = self.client_config(region(authority), &identity).await;
        let client = Client::from_conf(config);
        self.callers()
            .entry(authority.clone())
            .or_insert(Caller { identity, client })
            .clone()
    }

    /// A caller is whole at any time, so a panic elsewhere is no reason to panic here.
    fn callers(&self) -> MutexGuard<'_, HashMap<Authority, Caller>> {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn sdk_config(&self) -> &SdkConfig {
        self.config.get_or_init(|| load(self.http.clone())).await
    }

    async fn client_config(&self, region: config::Region, identity: &Identity) -> config::Config {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(self.timeouts.connect)
            .operation_attempt_timeout(self.timeouts.call)
            .operation_timeout(self.timeouts.call)
            .build();
        config::Builder::from(self.sdk_config().await)
            .region(region)
            .credentials_provider(identity.provider())
            // The identity is the cache: a second one could do credential I/O within the call.
            .identity_cache(IdentityCache::no_cache())
            // Here alone: on the loader it would reach STS and the metadata service too.
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            // The whole call is bounded more tightly than this would watch it.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .interceptor(EndpointGuard(Service::Cognito))
            .build()
    }

    /// Of the operator's own identity.
    async fn own_account(&self, region: config::Region) -> Account {
        let config = self.sdk_config().await;
        self.account.of(&self.own, || {
            let config = sts_config(config, region).credentials_provider(self.own.provider());
            aws_sdk_sts::Client::from_conf(config.build())
        })
    }
}

impl Cognito for AwsCognito {
    async fn authenticate(&self, authority: &Authority) -> Result<Account, CredentialsFailure> {
        let caller = self.caller(authority).await;
        caller.identity.ensure(&authority.region).await?;
        match &authority.role {
            None => Ok(self.own_account(region(authority)).await),
            Some(role) => {
                self.account.matters();
                Ok(role.arn.account())
            }
        }
    }

    async fn admin_set_user_password(
        &self,
        authority: &Authority,
        target: &Target,
        password: &Password,
        permanent: bool,
    ) -> Reply {
        let Caller { identity, client } = self.caller(authority).await;
        let version = identity.version();
        let witness = Witness::default();
        let outcome = client
            .admin_set_user_password()
            .user_pool_id(target.pool.as_str())
            .username(target.username.as_str())
            .password(password.expose())
            .permanent(permanent)
            .customize()
            .interceptor(witness.clone())
            .send()
            .await;
        let reply = translate::reply(outcome, &witness, password);
        if blames_credentials(&reply) {
            identity.forget(version);
        }
        reply
    }

    fn retain(&self, needed: &dyn Fn(&Authority) -> bool) {
        self.callers().retain(|authority, _| needed(authority));
    }
}

/// Endpoint rules and settings are the same in any Region.
const ANYWHERE: config::Region = config::Region::from_static("us-east-1");

fn nobody() -> Credentials {
    Credentials::new("none", "none", None, None, "endpoint check")
}

fn region(authority: &Authority) -> config::Region {
    config::Region::new(authority.region.as_str().to_owned())
}

/// Without credentials. The Region is that of the environment or profile, else this one.
fn sts_config(config: &SdkConfig, region: config::Region) -> aws_sdk_sts::config::Builder {
    aws_sdk_sts::config::Builder::from(config)
        .region(config.region().cloned().unwrap_or(region))
        .identity_cache(IdentityCache::no_cache())
}

/// Without credentials, and with the Region of the environment or profile if there is one: that is
/// STS's. Cognito's clients bring their own, and looking for a default one would ask the instance
/// metadata service.
async fn load(http: SharedHttpClient) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .region(own::home())
        .http_client(http)
        .no_credentials();
    if let Ok(name) = AppName::new(APP_NAME) {
        loader = loader.app_name(name);
    }
    loader.load().await
}
