//! Where a request may go.

use super::server::{Server, ok};
use super::*;
use crate::core::reply::NotSent;

fn plain() -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .build()
}

#[tokio::test]
async fn a_plain_text_endpoint_is_refused_at_start_and_at_every_call() {
    let cognito = cognito(sdk_config("http://u:p@cognito.example:8080/x"));
    let error = cognito.check_endpoint().await.expect_err("it is refused");
    let origin = "http://cognito.example:8080";
    assert_eq!(
        error,
        EndpointError::Insecure(Service::Cognito, origin.to_owned())
    );
    let said = error.to_string();
    assert!(said.contains(origin) && !said.contains('\n'), "{said}");

    match set(&cognito).await {
        Reply::NotSent {
            cause: NotSent::Request,
            detail,
        } => assert!(detail.contains(origin), "{detail}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_check_sends_nothing_and_needs_no_credentials() {
    let server = Server::start([ok("{}")]).await;
    let cognito = cognito(sdk_config(&server.url()));
    assert_eq!(cognito.check_endpoint().await, Ok(()));
    let seen = server.seen();
    assert_eq!((seen.connections, seen.requests.len()), (0, 0), "{seen:?}");
}

#[tokio::test]
async fn aws_itself_is_fine() {
    for config in [
        plain(),
        plain().into_builder().use_fips(true).build(),
        plain().into_builder().use_dual_stack(true).build(),
        plain()
            .into_builder()
            .endpoint_url("https://vpce-1.example")
            .build(),
    ] {
        assert_eq!(cognito(config).check_endpoint().await, Ok(()));
    }
}

#[tokio::test]
async fn what_the_endpoint_rules_refuse_is_said_at_start() {
    let both = plain()
        .into_builder()
        .use_fips(true)
        .endpoint_url("https://vpce-1.example");
    let error = cognito(both.build()).check_endpoint().await;
    let said = error.expect_err("FIPS and an endpoint").to_string();
    assert!(said.contains("FIPS"), "{said}");

    let error = cognito(sdk_config("no url")).check_endpoint().await;
    let said = error.expect_err("no URL").to_string();
    assert!(said.contains("can't be used"), "{said}");
}
