//! The operator's own AWS identity, as found by the SDK's credential chain.

use super::{
    error_text::{causes, one_line},
    identity::{RESOLUTION_TIMEOUT, Source},
};
use crate::core::{credential::failure::CredentialsFailure, names::target::Region};
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
use futures::future::BoxFuture;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

const NO_CREDENTIALS: &str = "no credentials found: not in the environment, a profile, a web \
    identity token, EKS Pod Identity or the instance metadata service";

/// The SDK's default chain: environment, profile, web identity token, EKS Pod Identity or ECS,
/// instance metadata.
///
/// Every resolution builds a new chain. A chain parses the profile files once and keeps the result, even an
/// empty result (aws-config 1.13.0, `ProviderConfig::try_profile`). So a kept chain would never find
/// credentials that appear later.
pub(super) fn default_chain(http: SharedHttpClient) -> Source {
    prefer_last_region(move |region| {
        Box::pin(resolve(chain(region, http.clone()), RESOLUTION_TIMEOUT))
    })
}

type Resolution = Result<Credentials, CredentialsFailure>;

/// Asks in the Region of the last success until a resolution fails there. The Region of the caller may be
/// mistyped.
fn prefer_last_region(
    source: impl Fn(Region) -> BoxFuture<'static, Resolution> + Send + Sync + 'static,
) -> Source {
    let last_region = Arc::new(Mutex::new(None));
    let set = |last_region: &Mutex<Option<Region>>, region| {
        let mut last_region = last_region.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *last_region, region)
    };
    Box::new(move |region| {
        let last_region = last_region.clone();
        let region = set(&last_region, None).unwrap_or(region);
        let found = source(region.clone());
        Box::pin(async move {
            let found = found.await;
            if found.is_ok() {
                set(&last_region, Some(region));
            }
            found
        })
    })
}

/// Resolves credentials by a chain, within a time limit.
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
            Err(CredentialsFailure(NO_CREDENTIALS.to_owned()))
        }
        Ok(Err(error)) => Err(CredentialsFailure(one_line(&causes(&error), 512))),
        Err(_) => Err(CredentialsFailure(format!(
            "no credentials within {limit:?}: a web identity, Pod Identity or metadata service doesn't answer"
        ))),
    }
}

/// Built by the SDK's loader, which gives the chain FIPS, dual-stack, retry and timeout settings.
async fn chain(region: Region, http: SharedHttpClient) -> Option<SharedCredentialsProvider> {
    // Without any Region, STS has no endpoint. The SDK's own default would first wait for the instance
    // metadata service.
    let region = configured_region().or_else(config::Region::new(region.as_str().to_owned()));
    let loaded = aws_config::defaults(BehaviorVersion::latest())
        .region(region)
        .http_client(http)
        .load()
        .await;
    loaded.credentials_provider()
}

/// The Region of the environment or profile, if any. As a rule this is the cluster's Region: STS answers
/// there through the cluster's own network, and the operator's identity is at home there.
pub(super) fn configured_region() -> RegionProviderChain {
    RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
        .or_else(ProfileFileRegionProvider::new())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::names::target::PoolId;

    #[tokio::test]
    async fn credentials_are_resolved_in_the_last_region_that_worked_until_it_fails() {
        let region = |name: &str| {
            let pool = PoolId::parse(&format!("{name}_a"));
            pool.expect("valid").region()
        };
        let asked = Arc::new(Mutex::new(Vec::new()));
        let source = prefer_last_region({
            let asked = asked.clone();
            move |region| {
                let mut asked = asked.lock().expect("no panic");
                asked.push(region.to_string());
                // eu-nowhere-1 has no STS, and eu-west-1 loses its STS after the second answer.
                let found = match (region.as_str(), asked.len()) {
                    ("eu-west-1", ..=3) => {
                        Ok(Credentials::new("key", "secret", None, None, "test"))
                    }
                    (_, _) => Err(CredentialsFailure("no STS".to_owned())),
                };
                Box::pin(std::future::ready(found))
            }
        });
        for (asker, finds) in [
            ("eu-nowhere-1", false),
            ("eu-west-1", true),
            ("eu-nowhere-1", true),
            ("eu-nowhere-1", false),
            ("eu-nowhere-1", false),
        ] {
            assert_eq!(source(region(asker)).await.is_ok(), finds);
        }
        let wanted = "eu-nowhere-1 eu-west-1 eu-west-1 eu-west-1 eu-nowhere-1";
        assert_eq!(asked.lock().expect("no panic").join(" "), wanted);
    }
}
