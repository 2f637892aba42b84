//! moto: the Cognito in which users really sign in.
//!
//! The fault server has the features that moto lacks: password history, lost replies, throttling.

mod iam;

use std::sync::LazyLock;
use std::time::Duration;

use aws_sdk_cognitoidentityprovider::Client;
use aws_sdk_cognitoidentityprovider::config::retry::RetryConfig;
use aws_sdk_cognitoidentityprovider::config::{
    BehaviorVersion, Config, Credentials, Region, StalledStreamProtectionConfig,
};
use aws_sdk_cognitoidentityprovider::error::ProvideErrorMetadata;
use aws_sdk_cognitoidentityprovider::types::{
    AuthFlowType, ExplicitAuthFlowsType, MessageActionType, PasswordPolicyType, UserPoolPolicyType,
};

use cognito_password_operator::cognito::aws::http_client;

pub(crate) use iam::AccessKey;

use super::http;
use super::ports::free_port;
use super::process::{Process, Spec};
use super::scratch::scratch;
use super::tools::{self, Tool};
use super::wait::eventually;

#[derive(Debug)]
pub(crate) struct Moto {
    process: Process,
    port: u16,
}

/// The result of a sign-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SignIn {
    /// Tokens were issued.
    Ok,
    /// The password is right, but Cognito demands another step: `NEW_PASSWORD_REQUIRED`.
    Challenge(String),
    /// The error's code; `NotAuthorizedException` for a wrong password.
    Refused(String),
}

impl Moto {
    /// Starts moto, which answers once [`ready`](Self::ready) has returned.
    pub(crate) fn spawn() -> Self {
        let port = free_port();
        let folder = scratch("moto");
        let recording = folder.join("recording");
        let log = folder.join("moto.log");
        let process = Spec::new("moto", &tools::path(Tool::MotoServer), log)
            .env("MOTO_RECORDER_FILEPATH", recording.to_string_lossy())
            .args(["-H", "127.0.0.1", "-p"])
            .arg(port.to_string())
            .spawn();
        Self { process, port }
    }

    /// Starts a moto for one test.
    pub(crate) async fn start() -> Self {
        let moto = Self::spawn();
        moto.ready().await;
        moto
    }

    /// The moto that most tests share. Each test has pools of its own.
    pub(crate) async fn shared() -> &'static Self {
        static SHARED: LazyLock<Moto> = LazyLock::new(Moto::spawn);
        SHARED.ready().await;
        &SHARED
    }

    pub(crate) async fn ready(&self) {
        eventually(Duration::from_mins(5), async || {
            if let Some(exit) = self.process.exit() {
                panic!("moto ended: {exit:?}\n{}", self.process.log_tail());
            }
            http::get(self.port, "/moto-api/data.json").await.map(drop)
        })
        .await;
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn logs(&self) -> String {
        self.process.logs()
    }

    /// A client with test credentials; moto accepts any.
    pub(crate) fn sdk(&self) -> Client {
        sdk(&self.url())
    }

    /// Creates a pool whose only rule is this minimum length of passwords, and a client application for
    /// sign-ins. Returns the two ids.
    pub(crate) async fn create_pool(&self, name: &str, minimum_length: i32) -> (String, String) {
        let policy = PasswordPolicyType::builder()
            .minimum_length(minimum_length)
            .require_lowercase(false)
            .require_uppercase(false)
            .require_numbers(false)
            .require_symbols(false)
            .build();
        let policies = UserPoolPolicyType::builder()
            .password_policy(policy)
            .build();
        let sdk = self.sdk();
        let created = sdk.create_user_pool().pool_name(name).policies(policies);
        let created = created.send().await.expect("moto creates pools");
        let pool = created
            .user_pool()
            .and_then(|pool| pool.id())
            .expect("a pool has an id")
            .to_owned();
        let application = sdk
            .create_user_pool_client()
            .user_pool_id(&pool)
            .client_name("tests")
            .explicit_auth_flows(ExplicitAuthFlowsType::AllowUserPasswordAuth)
            .send()
            .await
            .expect("moto creates clients");
        let application = application
            .user_pool_client()
            .and_then(|client| client.client_id())
            .expect("a client has an id")
            .to_owned();
        (pool, application)
    }

    pub(crate) async fn create_user(&self, pool: &str, username: &str) {
        let request = self.sdk().admin_create_user();
        request
            .user_pool_id(pool)
            .username(username)
            .message_action(MessageActionType::Suppress)
            .send()
            .await
            .unwrap_or_else(|error| panic!("moto did not create {username}: {error:?}"));
    }

    pub(crate) async fn delete_user(&self, pool: &str, username: &str) {
        let request = self.sdk().admin_delete_user();
        request
            .user_pool_id(pool)
            .username(username)
            .send()
            .await
            .unwrap_or_else(|error| panic!("moto did not delete {username}: {error:?}"));
    }

    /// `CONFIRMED` after a permanent password, `FORCE_CHANGE_PASSWORD` after a temporary one.
    pub(crate) async fn user_status(&self, pool: &str, username: &str) -> String {
        let request = self.sdk().admin_get_user();
        let user = request.user_pool_id(pool).username(username).send().await;
        user.ok()
            .and_then(|user| user.user_status().map(|status| status.as_str().to_owned()))
            .unwrap_or_else(|| panic!("moto knows no status of {username}"))
    }

    /// Signs in as the user would. `application` is the client id from `create_pool`. Cognito finds the pool
    /// by the client id; the pool is a parameter only so that calls read alike.
    pub(crate) async fn sign_in(
        &self,
        _pool: &str,
        application: &str,
        username: &str,
        password: &str,
    ) -> SignIn {
        let reply = self
            .sdk()
            .initiate_auth()
            .auth_flow(AuthFlowType::UserPasswordAuth)
            .client_id(application)
            .auth_parameters("USERNAME", username)
            .auth_parameters("PASSWORD", password)
            .send()
            .await;
        match reply {
            Ok(reply) if reply.authentication_result().is_some() => SignIn::Ok,
            Ok(reply) => SignIn::Challenge(
                reply
                    .challenge_name()
                    .map_or_else(|| "none".to_owned(), |name| name.as_str().to_owned()),
            ),
            Err(error) => match error.code() {
                Some(code) => SignIn::Refused(code.to_owned()),
                None => panic!("moto did not answer a sign-in: {error:?}"),
            },
        }
    }

    /// Signs in, and returns the refresh token of the session.
    pub(crate) async fn refresh_token(
        &self,
        application: &str,
        username: &str,
        password: &str,
    ) -> String {
        let request = self
            .sdk()
            .initiate_auth()
            .auth_flow(AuthFlowType::UserPasswordAuth)
            .client_id(application)
            .auth_parameters("USERNAME", username)
            .auth_parameters("PASSWORD", password);
        let reply = request.send().await.expect("moto answers sign-ins");
        let tokens = reply.authentication_result().expect("signed in");
        tokens.refresh_token().expect("a token").to_owned()
    }

    /// Whether the session of this refresh token goes on.
    pub(crate) async fn refreshes(&self, application: &str, refresh_token: &str) -> bool {
        let request = self
            .sdk()
            .initiate_auth()
            .auth_flow(AuthFlowType::RefreshTokenAuth)
            .client_id(application)
            .auth_parameters("REFRESH_TOKEN", refresh_token);
        match request.send().await {
            Ok(reply) => reply.authentication_result().is_some(),
            Err(error) => {
                let code = error.code();
                assert_eq!(code, Some("NotAuthorizedException"), "{error:?}");
                false
            }
        }
    }
}

/// A client for each of the test Cognitos, with the SDK's defaults but without retries, so that a test sees
/// the effect of one call.
pub(crate) fn sdk(url: &str) -> Client {
    Client::from_conf(
        sdk_config(url)
            .retry_config(RetryConfig::disabled())
            .build(),
    )
}

/// The configuration of [`sdk`], with the SDK's default retries.
pub(crate) fn sdk_config(url: &str) -> aws_sdk_cognitoidentityprovider::config::Builder {
    Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(http_client().expect("no bundle is set"))
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "tests"))
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .endpoint_url(url)
}
