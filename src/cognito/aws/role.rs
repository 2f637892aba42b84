//! Credentials of a role that a grant names, assumed with the operator's own.

use super::{
    endpoint::EndpointError,
    identity::{Identity, LIMIT, Source},
    words::{causes, find, steady, tidy},
};
use crate::core::{
    arn::RoleArn, authority::Role, iam::SESSION_NAME, reply::CredentialsFailure, target::Region,
};
use aws_config::{SdkConfig, sts::AssumeRoleProvider};
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, error::CredentialsError},
};
use aws_sdk_sts::{
    config,
    error::{ProvideErrorMetadata, SdkError},
    operation::assume_role::AssumeRoleError,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use std::{pin::pin, sync::Arc, time::Duration};
use tokio::{sync::Semaphore, time::timeout};
use tracing::debug;

/// How many roles are being assumed at a time: with hundreds of them a start is no stampede.
const AT_A_TIME: usize = 8;
/// How long one counts among them: STS takes a tenth of it, and what hangs is not to stop the others.
const TURN: Duration = Duration::from_secs(1);

/// What STS says of the credentials that it was asked with.
const BLAMES_OWN: [&str; 9] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];

/// Where roles take turns in being assumed.
#[derive(Clone)]
pub(super) struct Turns(Arc<Semaphore>);

impl Turns {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(AT_A_TIME)))
    }

    async fn take<T>(&self, call: impl Future<Output = T>) -> T {
        let turn = self.0.acquire().await;
        let mut call = pin!(call);
        if let Ok(done) = timeout(TURN, &mut call).await {
            return done;
        }
        drop(turn);
        call.await
    }
}

/// What assuming a role takes.
#[derive(Clone)]
pub(super) struct Assume {
    pub(super) role: Arc<Role>,
    /// The operator's own identity.
    pub(super) own: Identity,
    /// Endpoint, FIPS, dual-stack, retry and timeout settings, the HTTP client, and the Region in
    /// which STS is asked, if the environment or the profile names one.
    pub(super) config: SdkConfig,
    pub(super) turns: Turns,
}

impl Assume {
    pub(super) fn source(self) -> Source {
        Box::new(move |region| {
            let assume = self.clone();
            Box::pin(async move { assume.credentials(region).await })
        })
    }

    async fn credentials(&self, region: Region) -> Result<Credentials, CredentialsFailure> {
        let arn = &self.role.arn;
        if let Err(CredentialsFailure(why)) = self.own.ensure(&region).await {
            let why = format!("{why} (they are needed to assume {})", shown(arn));
            return Err(CredentialsFailure(why));
        }
        let version = self.own.version();
        let provider = self.provider(&region).await;
        let call = timeout(LIMIT, provider.provide_credentials());
        match self.turns.take(call).await {
            Ok(Ok(credentials)) => {
                debug!(role = %arn, "assumed a role");
                Ok(credentials)
            }
            Ok(Err(error)) => {
                if code(&error).is_some_and(|code| BLAMES_OWN.contains(&code)) {
                    self.own.forget(version);
                }
                Err(failure(arn, &words(&error)))
            }
            Err(_) => Err(failure(arn, &format!("STS didn't answer within {LIMIT:?}"))),
        }
    }

    async fn provider(&self, region: &Region) -> AssumeRoleProvider {
        let here = || config::Region::new(region.as_str().to_owned());
        let region = self.config.region().cloned().unwrap_or_else(here);
        let mut builder = AssumeRoleProvider::builder(self.role.arn.as_str())
            .configure(&self.config)
            .region(region)
            .session_name(SESSION_NAME);
        if let Some(external_id) = &self.role.external_id {
            builder = builder.external_id(external_id.as_str());
        }
        builder.build_from_provider(self.own.provider()).await
    }
}

type Refusal = SdkError<AssumeRoleError, HttpResponse>;

fn code(error: &CredentialsError) -> Option<&str> {
    find::<Refusal>(error)?.as_service_error()?.code()
}

/// STS's own code and message where it spoke; else what stood in between.
fn words(error: &CredentialsError) -> String {
    if let Some(error) = find::<EndpointError>(error) {
        return error.to_string();
    }
    let refusal = find::<Refusal>(error).and_then(SdkError::as_service_error);
    match refusal.map(|refusal| (refusal.code(), refusal.message())) {
        Some((Some(code), Some(message))) => format!("{code}: {}", steady(message)),
        Some((Some(code), None)) => code.to_owned(),
        Some((None, _)) | None => causes(error),
    }
}

fn failure(arn: &RoleArn, words: &str) -> CredentialsFailure {
    let words = tidy(words, 512);
    CredentialsFailure(format!("the role {} can't be assumed: {words}", shown(arn)))
}

/// All of it, unless its path is of an unusual length.
fn shown(arn: &RoleArn) -> String {
    tidy(arn.as_str(), 400)
}
