//! The endpoints to which a request may go.

use super::{
    alone::{ALONE, run_alone},
    roles::role,
    server::{Server, ok},
    *,
};
use crate::core::protocol::reply::NotSent;

fn plain() -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .build()
}

#[tokio::test]
async fn a_plain_text_endpoint_is_refused_at_start_and_at_every_call() {
    let cognito = cognito(sdk_config("http://u:p@cognito.example:8080/x"));
    let error = cognito.check_endpoints().await.expect_err("it is refused");
    let origin = "http://cognito.example:8080";
    assert_eq!(
        error,
        EndpointError::Insecure(Service::Cognito, origin.to_owned())
    );
    let message = error.to_string();
    assert!(
        message.contains(origin) && !message.contains('\n'),
        "{message}"
    );

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
    assert_eq!(cognito.check_endpoints().await, Ok(Regions::Any));
    let traffic = server.traffic();
    assert_eq!(
        (traffic.connections, traffic.requests.len()),
        (0, 0),
        "{traffic:?}"
    );
}

#[tokio::test]
async fn the_endpoints_of_aws_are_allowed_in_the_regions_of_aws() {
    for config in [
        plain(),
        plain().into_builder().use_fips(true).build(),
        plain().into_builder().use_dual_stack(true).build(),
        plain()
            .into_builder()
            .region(config::Region::from_static("eu-west-1"))
            .build(),
    ] {
        assert_eq!(cognito(config).check_endpoints().await, Ok(Regions::OfAws));
    }
}

#[tokio::test]
async fn a_configured_endpoint_serves_any_region() {
    for endpoint in [
        "https://vpce-1.example",
        "https://cognito-idp.eu-west-1.amazonaws.com",
        "http://127.0.0.1:9229",
    ] {
        let config = plain().into_builder().endpoint_url(endpoint).build();
        assert_eq!(cognito(config).check_endpoints().await, Ok(Regions::Any));
    }
}

#[test]
fn the_environment_decides_whether_any_region_is_allowed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| format!("{}/{name}", folder.path().display());
    // The SDK looks for the service's name with hyphens.
    let profile = "[default]\nservices = lab\n[services lab]\n\
        cognito-identity-provider =\n  endpoint_url = https://cognito.example\n";
    std::fs::write(path("services"), profile).expect("a file");
    let general = "[default]\nendpoint_url = https://aws.example\n";
    std::fs::write(path("general"), general).expect("a file");
    let (services, general) = (path("services"), path("general"));
    for (environment, regions) in [
        (vec![], "OfAws"),
        (vec![("AWS_REGION", "eu-west-1")], "OfAws"),
        (
            vec![("AWS_ENDPOINT_URL_STS", "https://sts.example")],
            "OfAws",
        ),
        (vec![("AWS_USE_FIPS_ENDPOINT", "true")], "OfAws"),
        (vec![("AWS_ENDPOINT_URL", "https://aws.example")], "Any"),
        (
            vec![(
                "AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER",
                "https://cognito.example",
            )],
            "Any",
        ),
        (vec![("AWS_CONFIG_FILE", &*services)], "Any"),
        (vec![("AWS_CONFIG_FILE", &*general)], "Any"),
        (
            vec![
                ("AWS_ENDPOINT_URL", "https://aws.example"),
                ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true"),
            ],
            "OfAws",
        ),
    ] {
        let environment = [&environment[..], &[("HOME", "/nowhere"), (ALONE, regions)]].concat();
        run_alone(
            module_path!(),
            "with_the_regions_of_the_environment",
            &environment,
        );
    }
}

#[tokio::test]
#[ignore = "run by the_environment_says_whether_any_region_will_do"]
async fn with_the_regions_of_the_environment() {
    let Ok(wanted) = std::env::var(ALONE) else {
        return;
    };
    let cognito = AwsCognito::load().await.expect("fit settings");
    assert_eq!(format!("{:?}", cognito.regions()), wanted);
}

#[tokio::test]
async fn a_configuration_that_the_endpoint_rules_refuse_is_an_error_at_start() {
    let both = plain()
        .into_builder()
        .use_fips(true)
        .endpoint_url("https://vpce-1.example");
    let error = cognito(both.build()).check_endpoints().await;
    let message = error.expect_err("FIPS and an endpoint").to_string();
    assert!(message.contains("FIPS"), "{message}");

    let error = cognito(sdk_config("no url")).check_endpoints().await;
    let message = error.expect_err("no URL").to_string();
    assert!(message.contains("can't be used"), "{message}");
}

#[tokio::test]
async fn no_role_is_assumed_over_plain_http() {
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
    let cognito = AwsCognito::unchecked().await.expect("no bundle");
    let error = EndpointError::Insecure(Service::Sts, "http://sts.example".to_owned());
    assert_eq!(cognito.check_endpoints().await, Err(error.clone()));
    let failure = cognito.authenticate(&authority(&target())).await;
    let failure = failure.expect_err("it is refused").0;
    assert!(failure.contains(&error.to_string()), "{failure}");
}
