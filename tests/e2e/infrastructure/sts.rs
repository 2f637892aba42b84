//! The STS of the fault server, called by the real SDK.

use std::time::{Duration, SystemTime};

use aws_sdk_sts::Client;
use aws_sdk_sts::config::retry::RetryConfig;
use aws_sdk_sts::config::{BehaviorVersion, Config, Credentials, Region};
use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sts::operation::assume_role::{AssumeRoleError, AssumeRoleOutput};
use cognito_password_operator::cognito::aws::http_client;

use super::sdk::{POOL, SOON, USER};
use crate::support::{FaultServer, OWN_ACCOUNT, moto, session_key};

const ROLE: &str = "arn:aws:iam::111122223333:role/teams/a/cognito-passwords";

fn sts(server: &FaultServer) -> Client {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(http_client().expect("no bundle is set"))
        .region(Region::new("eu-west-1"))
        .credentials_provider(Credentials::new("own", "test", None, None, "tests"))
        .retry_config(RetryConfig::disabled())
        .endpoint_url(server.url());
    Client::from_conf(config.build())
}

async fn assume(
    server: &FaultServer,
    external_id: Option<&str>,
) -> Result<AssumeRoleOutput, SdkError<AssumeRoleError>> {
    let request = sts(server).assume_role().role_arn(ROLE);
    request
        .role_session_name("tests")
        .set_external_id(external_id.map(str::to_owned))
        .send()
        .await
}

#[tokio::test]
async fn the_fault_server_checks_the_external_id_of_assume_role() {
    let server = FaultServer::start();
    server.allow_role_for(ROLE, Some("team-a"), Duration::from_mins(15));
    let assumed = assume(&server, Some("team-a")).await.expect("a session");
    let user = assumed.assumed_role_user().expect("a user");
    assert_eq!(
        user.arn(),
        "arn:aws:sts::111122223333:assumed-role/cognito-passwords/tests"
    );
    let session = assumed.credentials().expect("credentials");
    assert_eq!(session.access_key_id(), session_key(ROLE));
    let expiration = SystemTime::try_from(*session.expiration()).expect("a time");
    let left = expiration.duration_since(SystemTime::now());
    let left = left.expect("not over").as_secs();
    assert!((840..=900).contains(&left), "{left} s");

    for other in [None, Some("team-b")] {
        let refused = assume(&server, other).await.expect_err("another id");
        assert_eq!(refused.code(), Some("AccessDenied"));
    }
    let asked = server.assumed_role(ROLE);
    let asked: Vec<_> = asked
        .iter()
        .map(|call| (call.external_id.as_deref(), call.refused.as_deref()))
        .collect();
    let denied = Some("AccessDenied");
    assert_eq!(
        asked,
        [
            (Some("team-a"), None),
            (None, denied),
            (Some("team-b"), denied)
        ]
    );
    let first = &server.assumed()[0];
    assert_eq!(
        (&*first.session_name, &*first.access_key, &*first.region),
        ("tests", "own", "eu-west-1")
    );
}

#[tokio::test]
async fn a_recorded_call_shows_the_access_key_of_its_role() {
    let server = FaultServer::start();
    server.add_user(POOL, USER);
    server.allow_role(ROLE, None);
    let assumed = assume(&server, None).await.expect("a session");
    let session = assumed.credentials().expect("credentials");
    let (key, secret) = (session.access_key_id(), session.secret_access_key());
    let token = Some(session.session_token().to_owned());
    let config = moto::sdk_config(&server.url())
        .credentials_provider(Credentials::new(key, secret, token, None, "tests"));
    aws_sdk_cognitoidentityprovider::Client::from_conf(config.build())
        .admin_set_user_password()
        .user_pool_id(POOL)
        .username(USER)
        .password("some-password")
        .send()
        .await
        .expect("it is set");
    assert_eq!(server.calls()[0].access_key, session_key(ROLE));
}

#[tokio::test]
async fn the_fault_servers_sts_refuses_with_the_given_code_and_message() {
    let server = FaultServer::start();
    let unknown = assume(&server, None).await.expect_err("nobody allowed it");
    assert_eq!(unknown.code(), Some("AccessDenied"));

    let words = "STS is not activated in this region for account: <1> & \"others\"";
    server.refuse_role(ROLE, "RegionDisabledException", words);
    let refused = assume(&server, None).await.expect_err("refused");
    assert_eq!(refused.message(), Some(words));
    assert!(refused.into_service_error().is_region_disabled_exception());

    server.allow_role(ROLE, None);
    server.refuse_own_identity(Some(("ExpiredToken", "The security token is expired")));
    let refused = assume(&server, None).await.expect_err("refused");
    assert_eq!(refused.code(), Some("ExpiredToken"));
    let identity = sts(&server).get_caller_identity().send().await;
    assert!(identity.is_err(), "{identity:?}");
    server.refuse_own_identity(None);
    let identity = sts(&server).get_caller_identity().send().await;
    assert_eq!(identity.expect("mine").account(), Some(OWN_ACCOUNT));
    assert_eq!(server.caller_identities(), 2);
}

#[tokio::test]
async fn a_hanging_assume_role_is_answered_once_the_role_is_allowed() {
    let server = FaultServer::start();
    server.hang_role(ROLE);
    let allow = async {
        server.wait_for_assumed(1, SOON).await;
        server.allow_role(ROLE, None);
    };
    let (assumed, ()) = tokio::join!(assume(&server, None), allow);
    assumed.expect("a session");
}
