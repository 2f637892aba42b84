//! Tests against servers on this machine. The servers answer by a script and count the requests.

mod alone;
mod calls;
mod connections;
mod credentials;
mod endpoints;
mod hostile;
mod http2;
mod looks;
mod operations;
mod roles;
mod server;
mod sts;
mod tls;

use super::*;
use crate::{
    cognito::Cognito,
    core::{
        credential::{failure::CredentialsFailure, password::Password},
        names::target::{Region, Target},
        protocol::reply::Reply,
    },
};
use aws_smithy_async::time::SystemTimeSource;
use server::Server;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

const SECRET: &str = "S3cret!-of-the-test";

/// For tests that wait for no timeout: long enough for a busy machine.
const LONG_TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(30),
    call: Duration::from_mins(1),
};

/// For tests that wait for a timeout.
const SHORT_TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(1),
    call: Duration::from_secs(3),
};

fn target() -> Target {
    Target::parse("eu-west-1_AbCdEf123", "ci-bot").expect("a fit target")
}

/// The operator's own authority, in the Region of the pool.
fn authority(target: &Target) -> Authority {
    Authority::own(target.pool.region())
}

fn password() -> Password {
    Password::parse(SECRET.as_bytes()).expect("a fit password")
}

/// A configuration as an environment could have: with an endpoint, and with retries for all clients.
fn sdk_config(endpoint: &str) -> aws_config::SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .retry_config(RetryConfig::standard().with_max_attempts(5))
        .app_name(AppName::new(APP_NAME).expect("a fit name"))
        .http_client(http_client().expect("no bundle"))
        .time_source(SystemTimeSource::new())
        .build()
}

/// An identity that resolves to `key-1`, `key-2` and so on, with an account; and the number of resolutions so
/// far.
fn numbered_identity() -> (Identity, Arc<AtomicUsize>) {
    let resolutions = Arc::new(AtomicUsize::new(0));
    let counter = resolutions.clone();
    let source = move |_: Region| {
        let number = counter.fetch_add(1, Ordering::SeqCst) + 1;
        let credentials = Credentials::builder()
            .access_key_id(format!("key-{number}"))
            .secret_access_key("secret")
            .account_id("999988887777")
            .provider_name("test")
            .build();
        Box::pin(std::future::ready(Ok(credentials))) as _
    };
    (Identity::new(Box::new(source)), resolutions)
}

fn cognito(config: SdkConfig) -> AwsCognito {
    with(numbered_identity().0, config, LONG_TIMEOUTS)
}

fn with(identity: Identity, config: SdkConfig, timeouts: Timeouts) -> AwsCognito {
    AwsCognito::assemble(identity, config, timeouts)
}

/// Authenticates, then sets the password.
async fn set(cognito: &AwsCognito) -> Reply {
    let target = target();
    cognito
        .authenticate(&authority(&target))
        .await
        .expect("the test's credentials");
    cognito
        .admin_set_user_password(&authority(&target), &target, &password(), true)
        .await
}

/// One call by a new client.
async fn set_at(server: &Server) -> Reply {
    set(&cognito(sdk_config(&server.url()))).await
}
