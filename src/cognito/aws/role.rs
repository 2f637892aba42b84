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
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};
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

    /// Makes a call in the queue that `role.hangs` selects. Then `role.hangs` records whether this call hung.
    async fn run<T>(&self, role: &StsState, call: impl Future<Output = T>) -> T {
        let queue = if role.hangs.load(Ordering::Relaxed) {
            &self.hanging
        } else {
            &self.responsive
        };
        queue
            .run(role, async {
                let mut call = pin!(call);
                let answer = timeout(HANG_TIMEOUT, &mut call).await;
                // Recorded before the call ends, because the caller may give up earlier.
                role.hangs.store(answer.is_err(), Ordering::Relaxed);
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

    async fn run<T>(&self, role: &StsState, call: impl Future<Output = T>) -> T {
        let record = CallRecord::queued(role);
        let place = self.places.acquire().await;
        record.asked();
        let mut call = pin!(call);
        if let Ok(done) = timeout(self.kept_for, &mut call).await {
            return done;
        }
        drop(place);
        call.await
    }
}

/// What is known of the calls to STS for one role.
#[derive(Default)]
pub(super) struct StsState {
    /// Whether STS hung at the last call.
    hangs: AtomicBool,
    call: Mutex<CallState>,
}

#[derive(Clone, Copy, Default)]
enum CallState {
    /// No call waits or is under way.
    #[default]
    Idle,
    /// The call waits for a place.
    Queued,
    /// STS is asked since this time, after the call waited for a place for so long.
    Asked { since: Instant, waited: Duration },
}

impl StsState {
    /// Why the credentials of this role are late, if that is not the fault of STS: the call waits for a place,
    /// or waited for longer than STS has had to answer.
    pub(super) fn queue_delay(&self, role: &Role) -> Option<CredentialsFailure> {
        match *self.call() {
            CallState::Idle => return None,
            CallState::Asked { since, waited } if since.elapsed() >= waited => return None,
            CallState::Queued | CallState::Asked { .. } => {}
        }
        let why = if self.hangs.load(Ordering::Relaxed) {
            format!(
                "STS didn't answer the last request for this role, and the operator asks for at most {HANGING_PLACES} such roles a second"
            )
        } else {
            format!(
                "the operator begins to ask STS for at most {PLACES} roles at a time, and other roles came first"
            )
        };
        let arn = arn_text(&role.arn);
        Some(CredentialsFailure(format!(
            "the role {arn} still waits to be assumed: {why}"
        )))
    }

    fn call(&self) -> MutexGuard<'_, CallState> {
        self.call.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that waits or is under way. Dropping this value ends the call, also if the caller gave up.
struct CallRecord<'a> {
    role: &'a StsState,
    queued_at: Instant,
}

impl<'a> CallRecord<'a> {
    fn queued(role: &'a StsState) -> Self {
        *role.call() = CallState::Queued;
        Self {
            role,
            queued_at: Instant::now(),
        }
    }

    fn asked(&self) {
        *self.role.call() = CallState::Asked {
            since: Instant::now(),
            waited: self.queued_at.elapsed(),
        };
    }
}

impl Drop for CallRecord<'_> {
    fn drop(&mut self) {
        *self.role.call() = CallState::Idle;
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
    pub(super) state: Arc<StsState>,
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
        let call = self.queues.run(&self.state, provider.provide_credentials());
        // Pinned here, so that after the time limit `queue_delay` still sees the state of the call.
        let mut call = pin!(call);
        match timeout(RESOLUTION_TIMEOUT, call.as_mut()).await {
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
            Err(_) => Err(self.state.queue_delay(&self.role).unwrap_or_else(|| {
                failure(
                    arn,
                    &format!("STS didn't answer within {RESOLUTION_TIMEOUT:?}"),
                )
            })),
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
