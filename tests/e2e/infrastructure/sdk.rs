//! The AWS SDK: its errors, and its behaviour when a reply is lost. The design rests on these facts.

use std::time::Duration;

use aws_sdk_cognitoidentityprovider::Client;
use aws_sdk_cognitoidentityprovider::config::retry::RetryConfig;
use aws_sdk_cognitoidentityprovider::config::timeout::TimeoutConfig;
use aws_sdk_cognitoidentityprovider::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cognitoidentityprovider::operation::RequestId;
use aws_sdk_cognitoidentityprovider::operation::admin_set_user_password::{
    AdminSetUserPasswordError, AdminSetUserPasswordOutput,
};

use crate::support::{Fault, FaultServer, moto};

pub(super) const POOL: &str = "eu-west-1_AbCdEf123";
pub(super) const USER: &str = "ci-bot";
pub(super) const SOON: Duration = Duration::from_mins(2);

pub(super) type Reply = Result<AdminSetUserPasswordOutput, SdkError<AdminSetUserPasswordError>>;

/// A server with one user.
pub(super) fn server() -> FaultServer {
    let server = FaultServer::start();
    server.add_user(POOL, USER);
    server
}

pub(super) async fn set(client: &Client, username: &str, password: &str) -> Reply {
    let request = client.admin_set_user_password();
    request
        .user_pool_id(POOL)
        .username(username)
        .password(password)
        .permanent(true)
        .send()
        .await
}

/// The SDK with the operator's settings: one attempt, with a timeout.
pub(super) fn single_attempt_sdk(server: &FaultServer) -> Client {
    let config = moto::sdk_config(&server.url())
        .timeout_config(patience())
        .retry_config(RetryConfig::disabled());
    Client::from_conf(config.build())
}

/// The timeout of an attempt. Each hanging call takes this long, and no other call may, even on a busy
/// machine.
fn patience() -> TimeoutConfig {
    TimeoutConfig::builder()
        .operation_attempt_timeout(Duration::from_secs(5))
        .build()
}

/// The SDK's kind of error in one word, or the service's code.
pub(super) fn kind(reply: &Reply) -> &str {
    match reply {
        Ok(_) => "Ok",
        Err(SdkError::TimeoutError(_)) => "Timeout",
        Err(SdkError::DispatchFailure(_)) => "Dispatch",
        Err(SdkError::ResponseError(_)) => "Response",
        Err(error) => error.code().unwrap_or("no code"),
    }
}

/// The SDK with its default retries, and a timeout for each attempt.
fn retrying_sdk(server: &FaultServer) -> Client {
    let config = moto::sdk_config(&server.url()).timeout_config(patience());
    Client::from_conf(config.build())
}

/// Under a history policy the SDK's own retries report a SUCCESSFUL change as a policy violation. With one
/// attempt the outcome is unknown, as it should be.
#[tokio::test]
async fn the_sdks_own_retries_turn_a_lost_reply_into_a_policy_violation() {
    for fault in [
        Fault::DropAfter,
        Fault::HangAfter,
        Fault::internal_error_after(),
    ] {
        let server = server();
        server.set_history(5);

        server.next([fault.clone()]);
        let reply = set(&retrying_sdk(&server), USER, "retried-password").await;
        assert_eq!(
            kind(&reply),
            "PasswordHistoryPolicyViolationException",
            "{fault:?}: {reply:?}"
        );
        assert_eq!(
            server.password_of(POOL, USER).as_deref(),
            Some("retried-password"),
            "{fault:?}: although it was set"
        );

        server.next([fault.clone()]);
        let reply = set(&single_attempt_sdk(&server), USER, "single-password").await;
        assert!(
            ["Dispatch", "Timeout", "InternalErrorException"].contains(&kind(&reply)),
            "{fault:?}: {reply:?}"
        );
    }
}

#[tokio::test]
async fn the_codes_come_out_as_the_sdks_own_errors() {
    use AdminSetUserPasswordError as E;
    type Check = fn(&E) -> bool;
    let cases: [(&str, Check); 10] = [
        ("InternalErrorException", E::is_internal_error_exception),
        (
            "InvalidParameterException",
            E::is_invalid_parameter_exception,
        ),
        ("InvalidPasswordException", E::is_invalid_password_exception),
        ("NotAuthorizedException", E::is_not_authorized_exception),
        (
            "OperationNotEnabledException",
            E::is_operation_not_enabled_exception,
        ),
        (
            "PasswordHistoryPolicyViolationException",
            E::is_password_history_policy_violation_exception,
        ),
        (
            "ResourceNotFoundException",
            E::is_resource_not_found_exception,
        ),
        (
            "TooManyRequestsException",
            E::is_too_many_requests_exception,
        ),
        ("UserNotFoundException", E::is_user_not_found_exception),
        // The SDK has no type for this error, only the code.
        ("AccessDeniedException", |error| {
            error.code() == Some("AccessDeniedException")
        }),
    ];
    let server = server();
    let client = single_attempt_sdk(&server);
    for (code, check) in cases {
        server.next([Fault::error(code, "as told")]);
        let error = set(&client, USER, "some-password")
            .await
            .expect_err("an error was asked for");
        assert!(error.request_id().is_some(), "{code} has a request id");
        let error = error.into_service_error();
        assert!(check(&error), "{code}: {error:?}");
        assert_eq!(error.message(), Some("as told"), "{code}");
    }
}
