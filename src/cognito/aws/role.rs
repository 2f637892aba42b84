//! Assumes the roles that grants name, with the operator's own credentials.

use super::{
    endpoint::EndpointError,
    error_text::{causes, find, one_line, without_session_names},
    identity::{Identity, RESOLUTION_TIMEOUT, Source},
};
use crate::core::{
    access::{authority::Role, iam::SESSION_NAME},
    credential::failure::CredentialsFailure,
    names::{arn::RoleArn, target::Region},
    protocol::outcome::is_about_credentials,
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
use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{sync::Semaphore, time::timeout};
use tracing::debug;

/// How many roles begin to be assumed at a time, so that a start with hundreds of roles doesn't flood STS.
const PLACES: usize = 16;
/// Maximum time for which a role keeps its place: as long as a nearby STS takes. A slower call goes on
/// without a place. So a hundred roles whose STS hangs delay other roles by less than a second.
const PLACE: Duration = Duration::from_millis(100);

/// Places for roles whose STS hung at the last call. Such roles wait only for each other, and delay no other
/// role.
const HANGING_PLACES: usize = 8;
/// Maximum time for which such a role keeps its place.
const HANGING_PLACE: Duration = Duration::from_secs(1);
/// STS hangs if STS has not answered after this long.
const HANG_TIMEOUT: Duration = Duration::from_secs(1);

/// The queues of roles to be assumed: one for roles whose STS answers, one for roles whose STS hangs.
#[derive(Clone)]
pub(super) struct StsQueues {
    responsive: StsQueue,
    hanging: StsQueue,
}

#[derive(Clone)]
struct StsQueue {
    places: Arc<Semaphore>,
    kept_for: Duration,
}

impl StsQueues {
    pub(super) fn new() -> Self {
        Self {
            responsive: StsQueue::new(PLACES, PLACE),
            hanging: StsQueue::new(HANGING_PLACES, HANGING_PLACE),
        }
    }

    /// Makes a call in the queue that `hangs` selects. Then `hangs` records whether this call hung.
    async fn run<T>(&self, hangs: &AtomicBool, call: impl Future<Output = T>) -> T {
        let queue = if hangs.load(Ordering::Relaxed) {
            &self.hanging
        } else {
            &self.responsive
        };
        queue
            .run(async {
                let mut call = pin!(call);
                let answer = timeout(HANG_TIMEOUT, &mut call).await;
                // Recorded before the call ends, because the caller may give up earlier.
                hangs.store(answer.is_err(), Ordering::Relaxed);
                match answer {
                    Ok(done) => done,
                    Err(_) => call.await,
                }
            })
            .await
    }
}

impl StsQueue {
    fn new(places: usize, kept_for: Duration) -> Self {
        Self {
            places: Arc::new(Semaphore::new(places)),
            kept_for,
        }
    }

    async fn run<T>(&self, call: impl Future<Output = T>) -> T {
        let place = self.places.acquire().await;
        let mut call = pin!(call);
        if let Ok(done) = timeout(self.kept_for, &mut call).await {
            return done;
        }
        drop(place);
        call.await
    }
}

/// How to obtain the credentials of a role.
#[derive(Clone)]
pub(super) struct RoleCredentials {
    pub(super) role: Arc<Role>,
    /// The operator's own identity.
    pub(super) own: Identity,
    /// Endpoint, FIPS, dual-stack, retry and timeout settings, the HTTP client, and the Region of STS, if the
    /// environment or the profile names a Region.
    pub(super) config: Arc<SdkConfig>,
    pub(super) queues: StsQueues,
    /// Whether STS hung at the last call for this role.
    pub(super) hangs: Arc<AtomicBool>,
}

impl RoleCredentials {
    pub(super) fn source(self) -> Source {
        Box::new(move |region| {
            let role = self.clone();
            Box::pin(async move { role.credentials(region).await })
        })
    }

    async fn credentials(&self, region: Region) -> Result<Credentials, CredentialsFailure> {
        let arn = &self.role.arn;
        if let Err(CredentialsFailure(why)) = self.own.ensure(&region).await {
            let why = format!(
                "{why} (the operator needs credentials of its own to assume {})",
                arn_text(arn)
            );
            return Err(CredentialsFailure(why));
        }
        let version = self.own.version();
        let provider = self.provider(&region).await;
        let call = self.queues.run(&self.hangs, provider.provide_credentials());
        match timeout(RESOLUTION_TIMEOUT, call).await {
            Ok(Ok(credentials)) => {
                debug!(role = %arn, "assumed a role");
                Ok(credentials)
            }
            Ok(Err(error)) => {
                if code(&error).is_some_and(is_about_credentials) {
                    self.own.invalidate(version);
                }
                Err(failure(arn, &message_of(&error)))
            }
            Err(_) => Err(failure(
                arn,
                &format!("STS didn't answer within {RESOLUTION_TIMEOUT:?}"),
            )),
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

type AssumeRoleSdkError = SdkError<AssumeRoleError, HttpResponse>;

fn code(error: &CredentialsError) -> Option<&str> {
    find::<AssumeRoleSdkError>(error)?
        .as_service_error()?
        .code()
}

/// STS's own code and message if STS answered, else the causes of the failure.
fn message_of(error: &CredentialsError) -> String {
    if let Some(error) = find::<EndpointError>(error) {
        return error.to_string();
    }
    let refusal = find::<AssumeRoleSdkError>(error).and_then(SdkError::as_service_error);
    match refusal.map(|refusal| (refusal.code(), refusal.message())) {
        Some((Some(code), Some(message))) => format!("{code}: {}", without_session_names(message)),
        Some((Some(code), None)) => code.to_owned(),
        Some((None, _)) | None => causes(error),
    }
}

fn failure(arn: &RoleArn, error_text: &str) -> CredentialsFailure {
    let error_text = one_line(error_text, 512);
    CredentialsFailure(format!(
        "the role {} can't be assumed: {error_text}",
        arn_text(arn)
    ))
}

/// The whole ARN, unless its path is unusually long.
fn arn_text(arn: &RoleArn) -> String {
    one_line(arn.as_str(), 400)
}
