//! Amazon Cognito behind the AWS SDK.
//!
//! The SDK has good defaults for most programs and wrong ones for this: its retries turn a lost
//! reply under a password-history policy into a refusal, a missing credential looks like a dropped
//! connection, and any 2xx counts as success. So one call is one request, credentials are resolved
//! beforehand, and what happened is read from facts: whether the request was transmitted, what
//! came back.

mod endpoint;
mod identity;
mod translate;
mod words;

#[cfg(test)]
mod tests;

pub use endpoint::{EndpointError, endpoint_is_allowed};

use super::Cognito;
use crate::core::{
    authority::Authority,
    outcome::blames_credentials,
    password::Password,
    reply::{CredentialsFailure, Reply},
    target::{Account, Region, Target},
};
use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::Credentials;
use aws_sdk_cognitoidentityprovider::{
    Client,
    config::{self, AppName, IdentityCache, StalledStreamProtectionConfig},
};
use aws_smithy_types::{retry::RetryConfig, timeout::TimeoutConfig};
use endpoint::{EndpointGuard, StopBeforeSending};
use identity::Identity;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
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

/// The [`Cognito`] that talks to AWS: one SDK client per Region, made when it is first needed and
/// kept with its connections, and one set of credentials for all of them.
pub struct AwsCognito {
    identity: Identity,
    timeouts: Timeouts,
    /// Endpoint, FIPS and dual-stack settings, from the environment and the profile. Read once.
    config: OnceCell<SdkConfig>,
    clients: Mutex<HashMap<Region, Client>>,
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
        Self::assemble(
            Identity::from_default_chain(),
            OnceCell::new(),
            Timeouts::DEFAULT,
        )
    }

    fn assemble(identity: Identity, config: OnceCell<SdkConfig>, timeouts: Timeouts) -> Self {
        Self {
            identity,
            timeouts,
            config,
            clients: Mutex::default(),
        }
    }

    /// Would a password leave this machine in the clear? Asks the SDK's own endpoint rules, with
    /// all that configures them, by building a request and stopping before it is sent. Does no
    /// network I/O. Meant for start-up; the same check stands in front of every call.
    ///
    /// # Errors
    /// [`EndpointError`], one line that names the endpoint and what to set.
    pub async fn check_endpoint(&self) -> Result<(), EndpointError> {
        let region = config::Region::from_static("us-east-1");
        let nobody = Credentials::new("none", "none", None, None, "endpoint check");
        let stop = StopBeforeSending::default();
        let outcome = Client::from_conf(self.client_config(region).await)
            .admin_set_user_password()
            .user_pool_id("us-east-1_none")
            .username("none")
            .password("none")
            .customize()
            .config_override(config::Config::builder().credentials_provider(nobody))
            .interceptor(stop.clone())
            .send()
            .await;
        match outcome {
            Err(error) if !stop.reached() => Err(EndpointError::from_chain(&error)),
            _ => Ok(()),
        }
    }

    async fn client(&self, region: &Region) -> Client {
        if let Some(client) = self.clients().get(region) {
            return client.clone();
        }
        let name = config::Region::new(region.as_str().to_owned());
        let client = Client::from_conf(self.client_config(name).await);
        self.clients()
            .entry(region.clone())
            .or_insert(client)
            .clone()
    }

    /// A client is whole at any time, so a panic elsewhere is no reason to panic here.
    fn clients(&self) -> std::sync::MutexGuard<'_, HashMap<Region, Client>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn client_config(&self, region: config::Region) -> config::Config {
        let sdk = self.config.get_or_init(load).await;
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(self.timeouts.connect)
            .operation_attempt_timeout(self.timeouts.call)
            .operation_timeout(self.timeouts.call)
            .build();
        let mut config = config::Builder::from(sdk)
            .region(region)
            .credentials_provider(self.identity.provider())
            // The identity is the cache: a second one could do credential I/O within the call.
            .identity_cache(IdentityCache::no_cache())
            // Here alone: on the loader it would reach STS and the metadata service too.
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            // The whole call is bounded more tightly than this would watch it.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .interceptor(EndpointGuard);
        config.set_app_name(AppName::new(APP_NAME).ok());
        config.build()
    }
}

impl Cognito for AwsCognito {
    async fn authenticate(&self, authority: &Authority) -> Result<Account, CredentialsFailure> {
        self.identity.ensure(&authority.region).await?;
        Ok(self.identity.account())
    }

    async fn admin_set_user_password(
        &self,
        authority: &Authority,
        target: &Target,
        password: &Password,
        permanent: bool,
    ) -> Reply {
        let client = self.client(&authority.region).await;
        let identity = self.identity.version();
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
            self.identity.forget(identity);
        }
        reply
    }
}

/// Without Region and credentials: every client brings its own Region, and looking for a default
/// one would ask the instance metadata service.
async fn load() -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .region(None::<config::Region>)
        .no_credentials()
        .load()
        .await
}
