//! The operator's own credentials, and the recovery after a time without credentials.

use super::{
    super::{identity::RESOLUTION_TIMEOUT, own},
    alone::{ALONE, run_alone},
    server::{Server, error, key, ok},
    *,
};
use crate::core::{names::target::Account, protocol::reply::NotSent};
use aws_config::{
    profile::ProfileFileCredentialsProvider,
    provider_config::ProviderConfig,
    web_identity_token::{StaticConfiguration, WebIdentityTokenCredentialsProvider},
};
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};
use aws_smithy_runtime_api::{
    client::{
        http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn},
        orchestrator::{HttpRequest, HttpResponse},
    },
    http::StatusCode,
};
use aws_smithy_types::body::SdkBody;
use std::time::SystemTime;
use tokio::sync::Semaphore;

fn region() -> Region {
    target().pool.region()
}

/// An identity with the providers of `make`, and the number of calls of `make`.
fn identity<P: ProvideCredentials + 'static>(
    make: impl Fn() -> P + Send + Sync + 'static,
) -> (Identity, Arc<AtomicUsize>) {
    let times = Arc::new(AtomicUsize::new(0));
    let counter = times.clone();
    let source = move |_: Region| {
        counter.fetch_add(1, Ordering::SeqCst);
        let provider = Some(SharedCredentialsProvider::new(make()));
        Box::pin(own::resolve(
            std::future::ready(provider),
            RESOLUTION_TIMEOUT,
        )) as _
    };
    (Identity::new(Box::new(source)), times)
}

fn expiring_in(seconds: u64) -> Credentials {
    let expiry = SystemTime::now() + Duration::from_secs(seconds);
    Credentials::new("key", "secret", None, Some(expiry), "test")
}

#[tokio::test]
async fn credentials_are_kept_until_shortly_before_they_expire() {
    let (lasting, made) = identity(|| expiring_in(90));
    let (ending, made_again) = identity(|| expiring_in(30));
    for _ in 0..3 {
        lasting.ensure(&region()).await.expect("credentials");
        ending.ensure(&region()).await.expect("credentials");
    }
    assert_eq!(made.load(Ordering::SeqCst), 1);
    assert_eq!(made_again.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn without_credentials_nothing_is_sent() {
    let server = Server::start([ok("{}")]).await;
    let cognito = cognito(sdk_config(&server.url()));
    let reply = cognito
        .admin_set_user_password(&authority(&target()), &target(), &password(), true)
        .await;
    let fits = matches!(
        reply,
        Reply::NotSent {
            cause: NotSent::Credentials,
            ..
        }
    );
    assert!(fits, "{reply:?}");
    assert_eq!(server.traffic().connections, 0);
}

#[tokio::test]
async fn credentials_that_aws_refuses_are_resolved_anew() {
    for code in ["ExpiredTokenException", "UnrecognizedClientException"] {
        let refusal = error("400 Bad Request", code, "The security token is expired");
        let server = Server::start([refusal, ok("{}"), ok("{}")]).await;
        let (identity, resolutions) = numbered_identity();
        let cognito = with(identity, sdk_config(&server.url()), LONG_TIMEOUTS);
        for _ in 0..3 {
            set(&cognito).await;
        }
        assert_eq!(resolutions.load(Ordering::SeqCst), 2);
        let keys = server
            .traffic()
            .requests
            .iter()
            .map(|request| key(request))
            .collect::<Vec<_>>();
        assert_eq!(keys, ["key-1", "key-2", "key-2"]);
    }
}

#[tokio::test]
async fn other_refusals_keep_the_credentials() {
    let refusal = error("400 Bad Request", "AccessDeniedException", "No.");
    let server = Server::start([refusal, ok("{}")]).await;
    let (identity, resolutions) = numbered_identity();
    let cognito = with(identity, sdk_config(&server.url()), LONG_TIMEOUTS);
    set(&cognito).await;
    set(&cognito).await;
    assert_eq!(resolutions.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn calls_refused_together_cause_one_resolution() {
    let (identity, resolutions) = numbered_identity();
    identity.ensure(&region()).await.expect("credentials");
    let version = identity.version();
    identity.invalidate(version);
    identity.ensure(&region()).await.expect("credentials");
    identity.invalidate(version);
    identity.ensure(&region()).await.expect("credentials");
    assert_eq!(resolutions.load(Ordering::SeqCst), 2);
}

/// A call that was authenticated before another call was refused goes out with the same credentials. The call
/// must not fail for lack of credentials after its attempt was recorded.
#[tokio::test]
async fn refused_credentials_stay_for_calls_in_flight() {
    let (identity, _) = numbered_identity();
    identity.ensure(&region()).await.expect("credentials");
    identity.invalidate(identity.version());
    let credentials = identity.provider().provide_credentials().await;
    assert_eq!(credentials.expect("still there").access_key_id(), "key-1");
}

/// The reason why every resolution builds a new chain: the SDK's provider never reads a profile file again
/// after a miss.
#[tokio::test]
#[expect(deprecated, reason = "the only way to name profile files in code")]
async fn a_profile_that_appears_later_is_found() {
    use aws_config::profile::profile_file::{ProfileFileKind, ProfileFiles};
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("credentials");
    let files = ProfileFiles::builder()
        .with_file(ProfileFileKind::Credentials, &path)
        .build();
    let chain = move || {
        let config =
            ProviderConfig::without_region().with_http_client(http_client().expect("no bundle"));
        ProfileFileCredentialsProvider::builder()
            .configure(&config)
            .profile_files(files.clone())
            .profile_name("operator")
            .build()
    };
    let kept = chain();
    let (identity, _) = identity(chain);
    let write = |name: &str| {
        let profile = format!("[{name}]\naws_access_key_id = key\naws_secret_access_key = s\n");
        std::fs::write(&path, profile).expect("a file");
    };

    write("somebody-else");
    assert!(kept.provide_credentials().await.is_err());
    let failure = identity.ensure(&region()).await.expect_err("no profile");
    assert!(failure.0.starts_with("no credentials found: "), "{failure}");

    write("operator");
    identity.ensure(&region()).await.expect("it is there now");
    let blind = kept.provide_credentials().await;
    assert!(blind.is_err(), "a kept chain sees it too: why rebuild it?");
}

#[test]
fn the_default_chain_finds_a_file_that_appears_later() {
    let folder = tempfile::tempdir().expect("a folder");
    let home = folder.path().to_str().expect("a path in UTF-8");
    let credentials = format!("{home}/credentials");
    run_alone(
        module_path!(),
        "with_the_real_environment",
        &[
            ("HOME", home),
            ("AWS_SHARED_CREDENTIALS_FILE", &credentials),
            (ALONE, &credentials),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            (
                "AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER",
                "http://cognito.example",
            ),
        ],
    );
}

#[tokio::test]
#[ignore = "run by the_default_chain_heals_when_its_file_appears"]
async fn with_the_real_environment() {
    let Ok(path) = std::env::var(ALONE) else {
        return;
    };
    let cognito = AwsCognito::unchecked().await.expect("no bundle");
    let endpoint = EndpointError::Insecure(Service::Cognito, "http://cognito.example".to_owned());
    assert_eq!(cognito.check_endpoints().await, Err(endpoint));

    let failure = cognito
        .authenticate(&authority(&target()))
        .await
        .expect_err("no file");
    assert_eq!(
        failure.to_string(),
        "no credentials found: not in the environment, a profile, a web identity token, EKS Pod \
         Identity or the instance metadata service"
    );
    let profile = "[default]\naws_access_key_id = key\naws_secret_access_key = secret\n";
    std::fs::write(path, profile).expect("a file");
    let recovered = cognito.authenticate(&authority(&target())).await;
    assert_eq!(recovered, Ok(Account::OfSource));
}

/// Answers every request with this status and body.
#[derive(Clone, Debug)]
struct FixedResponse(u16, &'static str);

impl HttpConnector for FixedResponse {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        let status = StatusCode::try_from(self.0).expect("a status");
        HttpConnectorFuture::ready(Ok(HttpResponse::new(status, SdkBody::from(self.1))))
    }
}

#[tokio::test]
async fn the_failure_of_a_refused_role_has_the_code_and_message_of_sts() {
    let folder = tempfile::tempdir().expect("a folder");
    let token = folder.path().join("token");
    std::fs::write(&token, "web-identity-token-value").expect("a token");
    for (code, message) in [
        (
            "AccessDenied",
            "Not authorized to perform sts:AssumeRoleWithWebIdentity",
        ),
        (
            "InvalidIdentityToken",
            "No OpenIDConnect provider found in your account",
        ),
    ] {
        let body: &'static str = Box::leak(
            format!(
                "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code>\
                 <Message>{message}</Message></Error><RequestId>4711</RequestId></ErrorResponse>"
            )
            .into_boxed_str(),
        );
        let token = token.clone();
        let (identity, _) = identity(move || {
            let sts = SharedHttpConnector::new(FixedResponse(403, body));
            let config = ProviderConfig::without_region()
                .with_region(Some(config::Region::from_static("eu-west-1")))
                .with_http_client(http_client_fn(move |_, _| sts.clone()));
            WebIdentityTokenCredentialsProvider::builder()
                .configure(&config)
                .static_configuration(StaticConfiguration {
                    web_identity_token_file: token.clone(),
                    role_arn: "arn:aws:iam::123456789012:role/operator".to_owned(),
                    session_name: "test".to_owned(),
                })
                .build()
        });
        let failure = identity.ensure(&region()).await.expect_err("refused").0;
        assert!(
            failure.contains(code) && failure.contains(message),
            "{failure}"
        );
        assert!(
            !failure.contains("4711") && !failure.contains("token-value"),
            "{failure}"
        );
        assert!(failure.chars().count() <= 512, "{failure}");
    }
}

/// Fails as soon as the semaphore has a permit.
#[derive(Debug)]
struct BlockedProvider(Arc<Semaphore>);

impl ProvideCredentials for BlockedProvider {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let _permit = self.0.acquire().await;
            provider::Result::Err(provider::error::CredentialsError::provider_error(
                "it's down",
            ))
        })
    }
}

#[tokio::test(start_paused = true)]
async fn concurrent_callers_share_one_resolution_and_its_failure() {
    let gate = Arc::new(Semaphore::new(0));
    let provider = gate.clone();
    let (identity, made) = identity(move || BlockedProvider(provider.clone()));
    let here = region();
    let all = futures::future::join_all((0..32).map(|_| identity.ensure(&here)));
    let opened = async {
        tokio::task::yield_now().await;
        gate.add_permits(1);
    };
    let (answers, ()) = futures::future::join(all, opened).await;
    assert_eq!(made.load(Ordering::SeqCst), 1);
    for answer in answers {
        let message = answer.expect_err("it's down").0;
        assert!(message.ends_with(": it's down"), "{message}");
    }
    identity.ensure(&here).await.expect_err("still down");
    assert_eq!(made.load(Ordering::SeqCst), 2, "a later one tries again");
}

#[tokio::test(start_paused = true)]
async fn a_resolution_takes_10_seconds_at_most() {
    let (identity, _) = identity(|| BlockedProvider(Arc::new(Semaphore::new(0))));
    let begun = tokio::time::Instant::now();
    let failure = identity.ensure(&region()).await.expect_err("it hangs");
    assert_eq!(begun.elapsed().as_secs(), 10);
    assert!(
        failure.0.starts_with("no credentials within 10s"),
        "{failure}"
    );
}
