//! Roles: how they are assumed, renewed, refused and dropped.

use super::{
    server::{Act, Server, error, http, key, ok},
    *,
};
use crate::core::{
    access::authority::{ExternalId, Role},
    names::arn::RoleArn,
};
use rstest::rstest;

pub(super) fn arn(name: &str) -> String {
    format!("arn:aws:iam::111122223333:role/{name}")
}

/// The authority of a role, in the Region of the pool.
pub(super) fn role(name: &str, external_id: Option<&str>) -> Authority {
    let external_id = external_id.map(|id| ExternalId::parse(id).expect("a fit id"));
    let arn = RoleArn::parse(&arn(name)).expect("a fit ARN");
    Authority {
        role: Some(Arc::new(Role { arn, external_id })),
        ..authority(&target())
    }
}

/// Temporary credentials, as STS writes them.
pub(super) fn session(key: &str, seconds: i64) -> String {
    let until = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
    format!(
        "<AssumeRoleResponse><AssumeRoleResult><AssumedRoleUser><AssumedRoleId>A:s</AssumedRoleId>\
         <Arn>arn:aws:sts::111122223333:assumed-role/r/s</Arn></AssumedRoleUser><Credentials>\
         <AccessKeyId>{key}</AccessKeyId><SecretAccessKey>secret</SecretAccessKey>\
         <SessionToken>the-token</SessionToken><Expiration>{until:.0}</Expiration></Credentials>\
         </AssumeRoleResult></AssumeRoleResponse>"
    )
}

fn assumed(key: &str) -> Act {
    ok(&session(key, 3_600))
}

/// An error as STS writes it.
fn sts_error(code: &str, message: &str) -> Act {
    let body = format!(
        "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message>\
         </Error><RequestId>4711</RequestId></ErrorResponse>"
    );
    Act::Reply(http("403 Forbidden", "", &body))
}

async fn set_as(cognito: &AwsCognito, authority: &Authority) -> Reply {
    cognito.authenticate(authority).await.expect("credentials");
    cognito
        .admin_set_user_password(authority, &target(), &password(), true)
        .await
}

/// The access key of each request, in order of arrival.
fn keys(server: &Server) -> Vec<String> {
    let requests = server.traffic().requests;
    requests.iter().map(|request| key(request)).collect()
}

#[tokio::test]
async fn a_role_is_assumed_with_its_external_id_and_calls_use_its_session() {
    let server = Server::start([assumed("ASIA-A"), ok("{}"), ok("{}")]).await;
    let cognito = cognito(sdk_config(&server.url()));
    let role = role("team/a", Some("ext=1"));
    let account = cognito.authenticate(&role).await;
    assert_eq!(account, Ok(Account::Id("111122223333".to_owned())));
    for _ in 0..2 {
        let reply = set_as(&cognito, &role).await;
        assert!(matches!(reply, Reply::Success { .. }), "{reply:?}");
    }
    let requests = server.traffic().requests;
    for what in [
        "Action=AssumeRole&",
        "RoleArn=arn%3Aaws%3Aiam%3A%3A111122223333%3Arole%2Fteam%2Fa&",
        "RoleSessionName=cognito-password-operator",
        "ExternalId=ext%3D1",
        "/eu-west-1/sts/aws4_request",
        "app/cognito-password-operator",
    ] {
        assert!(requests[0].contains(what), "{what}: {}", requests[0]);
    }
    assert!(requests[1].contains("x-amz-security-token: the-token"));
    assert_eq!(keys(&server), ["key-1", "ASIA-A", "ASIA-A"]);
}

#[tokio::test]
async fn without_an_external_id_none_is_sent() {
    let server = Server::start([assumed("ASIA-A")]).await;
    let cognito = cognito(sdk_config(&server.url()));
    let authenticated = cognito.authenticate(&role("a", None)).await;
    authenticated.expect("a session");
    assert!(!server.traffic().requests[0].contains("ExternalId"));
}

/// The same role has another session for another pool's Region, or with another external id.
#[tokio::test]
async fn each_role_external_id_and_region_has_a_session_of_its_own() {
    let acts = ["A", "B", "C", "D"].map(assumed);
    let server = Server::start(acts).await;
    let cognito = cognito(sdk_config(&server.url()));
    let elsewhere = Target::parse("us-east-1_Xy", "ci-bot").expect("a fit target");
    let elsewhere = Authority {
        region: elsewhere.pool.region(),
        ..role("a", None)
    };
    let all = [role("a", None), role("a", Some("id")), role("b", None)];
    for authority in all.iter().chain([&elsewhere]) {
        for _ in 0..2 {
            cognito.authenticate(authority).await.expect("a session");
        }
    }
    server.assert_requests(4).await;
    assert!(server.traffic().requests[3].contains("/us-east-1/sts/"));
}

#[tokio::test]
async fn a_session_is_renewed_before_it_expires_and_no_call_fails() {
    let ending = |key| ok(&session(key, 30));
    let acts = [
        ending("A-1"),
        ok("{}"),
        ending("A-2"),
        ok("{}"),
        assumed("A-3"),
    ];
    let server = Server::start(acts.into_iter().chain([ok("{}"), ok("{}")])).await;
    let cognito = cognito(sdk_config(&server.url()));
    for _ in 0..4 {
        let reply = set_as(&cognito, &role("a", None)).await;
        assert!(matches!(reply, Reply::Success { .. }), "{reply:?}");
    }
    let (own, calls): (Vec<_>, Vec<_>) = keys(&server).into_iter().partition(|key| key == "key-1");
    assert_eq!(own.len(), 3);
    assert_eq!(calls, ["A-1", "A-2", "A-3", "A-3"]);
}

#[tokio::test]
async fn a_refused_role_affects_neither_other_roles_nor_the_own_identity() {
    let acts = [sts_error("AccessDenied", "No."), assumed("B")];
    let server = Server::start(acts.into_iter().chain([ok("{}"), ok("{}")])).await;
    let (own, resolutions) = numbered_identity();
    let cognito = with(own, sdk_config(&server.url()), LONG_TIMEOUTS);
    let refused = cognito.authenticate(&role("a", None)).await;
    refused.expect_err("refused");
    set_as(&cognito, &role("b", None)).await;
    set(&cognito).await;
    assert_eq!(keys(&server), ["key-1", "key-1", "B", "key-1"]);
    assert_eq!(resolutions.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn only_the_session_that_cognito_refuses_is_assumed_again() {
    let refusal = error("400 Bad Request", "ExpiredTokenException", "It is expired");
    let acts = [assumed("A-1"), assumed("B"), refusal];
    let acts = acts.into_iter().chain([assumed("A-2")]);
    let server = Server::start(acts.chain([ok("{}"), ok("{}"), ok("{}")])).await;
    let (own, resolutions) = numbered_identity();
    let cognito = with(own, sdk_config(&server.url()), LONG_TIMEOUTS);
    let (a, b) = (role("a", None), role("b", None));
    cognito.authenticate(&a).await.expect("a session");
    cognito.authenticate(&b).await.expect("a session");
    set_as(&cognito, &a).await;
    set_as(&cognito, &a).await;
    set_as(&cognito, &b).await;
    set(&cognito).await;
    let calls = ["key-1", "key-1", "A-1", "key-1", "A-2", "B", "key-1"];
    assert_eq!(keys(&server), calls);
    assert_eq!(resolutions.load(Ordering::SeqCst), 1);
}

#[rstest]
#[case("ExpiredToken")]
#[case("InvalidClientTokenId")]
#[case("SignatureDoesNotMatch")]
#[tokio::test]
async fn own_credentials_that_sts_refuses_are_resolved_anew(#[case] code: &str) {
    let server = Server::start([sts_error(code, "No."), assumed("A")]).await;
    // STS's own retries would send the same credentials again.
    let config = sdk_config(&server.url()).into_builder();
    let config = config.retry_config(RetryConfig::disabled()).build();
    let (own, resolutions) = numbered_identity();
    let cognito = with(own, config, LONG_TIMEOUTS);
    let role = role("a", None);
    cognito.authenticate(&role).await.expect_err("refused");
    cognito.authenticate(&role).await.expect("a session");
    assert_eq!(keys(&server), ["key-1", "key-2"]);
    assert_eq!(resolutions.load(Ordering::SeqCst), 2);
}

#[rstest]
#[case("AccessDenied", "AccessDenied")]
#[case("RegionDisabledException", "RegionDisabledException")]
#[case("MalformedPolicyDocument", "MalformedPolicyDocument")]
#[tokio::test]
async fn a_refusal_names_the_role_and_the_code_and_message_of_sts(
    #[case] code: &str,
    #[case] reported: &str,
) {
    let message = "User: arn:aws:sts::9:assumed-role/op/pod-1 is not\n authorized";
    let server = Server::start([sts_error(code, message)]).await;
    let cognito = cognito(sdk_config(&server.url()));
    let failure = cognito.authenticate(&role("a", None)).await;
    let expected = format!(
        "the role {} can't be assumed: {reported}: User: arn:aws:sts::9:assumed-role/op/* is not  \
         authorized",
        arn("a")
    );
    assert_eq!(failure, Err(CredentialsFailure(expected)));
}

#[tokio::test]
async fn a_long_refusal_is_cut() {
    let message = "x".repeat(10_000);
    let server = Server::start([sts_error("AccessDenied", &message)]).await;
    let cognito = cognito(sdk_config(&server.url()));
    let role = role(&format!("{}/a", "p".repeat(500)), None);
    let failure = cognito.authenticate(&role).await.expect_err("refused").0;
    assert!(failure.contains("AccessDenied"), "{failure}");
    assert!(failure.chars().count() <= 1_000, "{failure}");
}

#[tokio::test]
async fn missing_own_credentials_are_not_reported_as_a_refusal_of_the_role() {
    let server = Server::start([]).await;
    let nobody = |_: Region| {
        let failure = CredentialsFailure("no credentials found: nowhere".to_owned());
        Box::pin(std::future::ready(Err(failure))) as _
    };
    let own = Identity::new(Box::new(nobody));
    let cognito = with(own, sdk_config(&server.url()), LONG_TIMEOUTS);
    let failure = cognito.authenticate(&role("a", None)).await;
    let expected = format!(
        "no credentials found: nowhere (the operator needs credentials of its own to assume {})",
        arn("a")
    );
    assert_eq!(failure, Err(CredentialsFailure(expected)));
    assert_eq!(server.traffic().connections, 0);
}

#[tokio::test]
async fn unneeded_sessions_are_dropped_and_assumed_again_when_needed() {
    let acts = [assumed("A-1"), assumed("B"), assumed("A-2")];
    let server = Server::start(acts).await;
    let (own, resolutions) = numbered_identity();
    let cognito = with(own, sdk_config(&server.url()), LONG_TIMEOUTS);
    let (a, b) = (role("a", None), role("b", None));
    for authority in [&a, &b, &authority(&target())] {
        cognito.authenticate(authority).await.expect("credentials");
    }
    cognito.retain(&|authority| *authority == b);
    assert_eq!(cognito.roles().keys().collect::<Vec<_>>(), [&b]);
    for authority in [&a, &b, &authority(&target())] {
        cognito.authenticate(authority).await.expect("credentials");
    }
    server
        .wait_until(|traffic| traffic.requests.len() >= 3)
        .await;
    let asked = server.traffic().requests;
    let asked = asked.iter().filter(|it| it.contains("Action=AssumeRole"));
    assert_eq!(asked.count(), 3, "b's were kept");
    assert_eq!(resolutions.load(Ordering::SeqCst), 1, "the own identity's");
}
