//! Where a request may go.

use super::alone::{ALONE, run_alone};
use super::roles::role;
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

#[tokio::test]
async fn no_role_is_assumed_in_the_clear() {
    let cognito = cognito(sdk_config("http://u:p@sts.example:8080/x"));
    let failure = cognito.authenticate(&role("a", None)).await;
    let failure = failure.expect_err("it is refused").0;
    let words = "can't be assumed: the STS endpoint http://sts.example:8080 is neither HTTPS nor";
    assert!(failure.contains(words), "{failure}");
    assert!(!failure.contains("u:p"), "{failure}");
}

#[test]
fn a_plain_text_sts_is_refused_at_start_and_to_the_credential_chain() {
    let folder = tempfile::tempdir().expect("a folder");
    let home = folder.path().to_str().expect("a path in UTF-8");
    let token = format!("{home}/token");
    std::fs::write(&token, "a-token").expect("a file");
    let environment = [
        ("HOME", home),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", &*token),
        ("AWS_ROLE_ARN", "arn:aws:iam::999988887777:role/operator"),
        ("AWS_ENDPOINT_URL_STS", "http://sts.example"),
        (ALONE, home),
    ];
    run_alone(module_path!(), "with_a_plain_text_sts", &environment);
}

#[tokio::test]
#[ignore = "run by a_plain_text_sts_is_refused_at_start_and_to_the_credential_chain"]
async fn with_a_plain_text_sts() {
    if std::env::var(ALONE).is_err() {
        return;
    }
    let cognito = AwsCognito::new();
    let error = EndpointError::Insecure(Service::Sts, "http://sts.example".to_owned());
    assert_eq!(cognito.check_endpoint().await, Err(error.clone()));
    let failure = cognito.authenticate(&authority(&target())).await;
    let failure = failure.expect_err("it is refused").0;
    assert!(failure.contains(&error.to_string()), "{failure}");
}
