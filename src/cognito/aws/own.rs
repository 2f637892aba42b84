//! Who the operator is to AWS by itself: what the SDK's credential chain finds.

use super::{
    identity::{LIMIT, Source},
    words::{causes, tidy},
};
use crate::core::{reply::CredentialsFailure, target::Region};
use aws_config::{
    BehaviorVersion, environment::EnvironmentVariableRegionProvider,
    meta::region::RegionProviderChain, profile::ProfileFileRegionProvider,
};
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, SharedCredentialsProvider, error::CredentialsError},
};
use aws_sdk_cognitoidentityprovider::config;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use std::time::Duration;

const NONE_FOUND: &str = "no credentials found: not in the environment, a profile, a web \
    identity token, EKS Pod Identity or the instance metadata service";

/// The SDK's default chain: environment, profile, web identity token, EKS Pod Identity or ECS,
/// instance metadata.
///
/// Every resolution has a chain of its own. A chain parses the profile files once and keeps what it
/// found, also that there was nothing (aws-config 1.13.0, `ProviderConfig::try_profile`), so a kept
/// one would not see credentials that appear later.
pub(super) fn default_chain(http: SharedHttpClient) -> Source {
    Box::new(move |region| Box::pin(resolve(chain(region, http.clone()), LIMIT)))
}

/// What comes of a chain in this time.
pub(super) async fn resolve(
    chain: impl Future<Output = Option<SharedCredentialsProvider>>,
    limit: Duration,
) -> Result<Credentials, CredentialsFailure> {
    let resolution = async {
        match chain.await {
            Some(provider) => provider.provide_credentials().await,
            None => Err(CredentialsError::not_loaded_no_source()),
        }
    };
    match tokio::time::timeout(limit, resolution).await {
        Ok(Ok(credentials)) => Ok(credentials),
        Ok(Err(CredentialsError::CredentialsNotLoaded(_))) => {
            Err(CredentialsFailure(NONE_FOUND.to_owned()))
        }
        Ok(Err(error)) => Err(CredentialsFailure(tidy(&causes(&error), 512))),
        Err(_) => Err(CredentialsFailure(format!(
            "no credentials within {limit:?}: a web identity, Pod Identity or metadata service doesn't answer"
        ))),
    }
}

/// By way of the loader, which gives the chain FIPS, dual-stack, retry and timeout settings.
async fn chain(region: Region, http: SharedHttpClient) -> Option<SharedCredentialsProvider> {
    // With no Region at all STS has no endpoint, and the SDK's own default would first wait for the
    // instance metadata service.
    let region = home().or_else(config::Region::new(region.as_str().to_owned()));
    let loaded = aws_config::defaults(BehaviorVersion::latest())
        .region(region)
        .http_client(http)
        .load()
        .await;
    loaded.credentials_provider()
}

/// The Region of the environment or profile, where there is one: that of the cluster, as a rule, in
/// which STS answers by way of the cluster's own network and the operator's identity is at home.
pub(super) fn home() -> RegionProviderChain {
    RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
        .or_else(ProfileFileRegionProvider::new())
}
