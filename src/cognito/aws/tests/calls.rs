//! What a call returns in each case. Every call is exactly one request.

use super::{
    server::{Act, Server, error, http, ok},
    *,
};
use crate::core::protocol::reply::{NotSent, ServiceError};
use rstest::rstest;
use tokio::net::TcpListener;

fn applied() -> Reply {
    Reply::Success {
        output: (),
        request_id: Some("4711".to_owned()),
        answered_at: None,
    }
}

fn refused(status: u16, code: &str, message: &str) -> Reply {
    Reply::ServiceError(ServiceError {
        status,
        code: Some(code.to_owned()),
        message: Some(message.to_owned()),
        request_id: Some("4711".to_owned()),
    })
}

fn assert_no_reply(reply: &Reply) {
    let fits = matches!(reply, Reply::NoReply { detail } if !detail.is_empty());
    assert!(fits, "{reply:?}");
}

fn assert_never_connected(reply: &Reply) {
    let cause = match reply {
        Reply::NotSent { cause, .. } => Some(*cause),
        _ => None,
    };
    assert_eq!(cause, Some(NotSent::Connect), "{reply:?}");
}

#[rstest]
#[case("")]
#[case("{}")]
#[case("{\"Later\": [1, {\"x\": null}]}")]
#[tokio::test]
async fn a_200_of_cognito_is_applied(#[case] body: &str) {
    let server = Server::start([ok(body)]).await;
    assert_eq!(set_at(&server).await, applied());
    server.assert_requests(1).await;
}

#[rstest]
#[case::portal("200 OK", "<html>Please log in</html>")]
#[case::array("200 OK", "[]")]
#[case::text("200 OK", "\"{}\"")]
#[case::trailing("200 OK", "{} {}")]
#[case::half("200 OK", "{\"a\":")]
#[case::blank("200 OK", "  ")]
#[case::accepted("202 Accepted", "{}")]
#[case::no_content("204 No Content", "")]
#[tokio::test]
async fn any_other_success_is_no_reply(#[case] status: &str, #[case] body: &str) {
    let json = "content-type: application/x-amz-json-1.1\r\n";
    let server = Server::start([Act::Reply(http(status, json, body))]).await;
    assert_no_reply(&set_at(&server).await);
    server.assert_requests(1).await;
}

#[rstest]
#[case("500 Internal Server Error", "InternalErrorException")]
#[case("400 Bad Request", "InvalidParameterException")]
#[case("400 Bad Request", "InvalidPasswordException")]
#[case("400 Bad Request", "NotAuthorizedException")]
#[case("400 Bad Request", "OperationNotEnabledException")]
#[case("400 Bad Request", "PasswordHistoryPolicyViolationException")]
#[case("400 Bad Request", "ResourceNotFoundException")]
#[case("400 Bad Request", "TooManyRequestsException")]
#[case("400 Bad Request", "UserNotFoundException")]
#[case("400 Bad Request", "AccessDeniedException")]
#[case("400 Bad Request", "ExpiredTokenException")]
#[case("400 Bad Request", "ThrottlingException")]
#[case("503 Service Unavailable", "ServiceUnavailableException")]
#[case("418 I'm a teapot", "MadeUpException")]
#[tokio::test]
async fn an_error_reply_keeps_its_code_and_message(#[case] status: &str, #[case] code: &str) {
    let server = Server::start([error(status, code, "In AWS's words.")]).await;
    let number = status[..3].parse().expect("a status");
    let reply = set_at(&server).await;
    assert_eq!(reply, refused(number, code, "In AWS's words."));
    server.assert_requests(1).await;
}

#[rstest]
#[case("", "com.amazonaws.cognito#UserNotFoundException")]
#[case("", "UserNotFoundException:http://internal.amazon.com/coral/")]
#[case("", "com.amazonaws.cognito#UserNotFoundException:http://x/")]
#[case("x-amzn-errortype: UserNotFoundException:http://x/\r\n", "Other")]
#[tokio::test]
async fn the_namespace_of_an_error_code_is_removed(#[case] header: &str, #[case] written: &str) {
    let headers = format!("{header}x-amzn-requestid: 4711\r\n");
    let body = format!("{{\"__type\":\"{written}\",\"message\":\"No.\"}}");
    let server = Server::start([Act::Reply(http("400 Bad Request", &headers, &body))]).await;
    let reply = set_at(&server).await;
    assert_eq!(reply, refused(400, "UserNotFoundException", "No."));
}

#[rstest]
#[case("502 Bad Gateway", "<html><h1>502 Bad Gateway</h1></html>", None)]
#[case("500 Internal Server Error", "", None)]
#[case("403 Forbidden", "{}", None)]
#[case(
    "400 Bad Request",
    "{\"message\":\"nothing but words\"}",
    Some("nothing but words")
)]
#[case("301 Moved Permanently", "", None)]
#[tokio::test]
async fn an_error_reply_without_a_code_has_its_status_and_message(
    #[case] status: &str,
    #[case] body: &str,
    #[case] words: Option<&str>,
) {
    let headers = "x-amzn-requestid: 4711\r\nlocation: http://127.0.0.1:1/\r\n";
    let server = Server::start([Act::Reply(http(status, headers, body))]).await;
    let expected = Reply::ServiceError(ServiceError {
        status: status[..3].parse().expect("a status"),
        code: None,
        message: words.map(str::to_owned),
        request_id: Some("4711".to_owned()),
    });
    assert_eq!(set_at(&server).await, expected);
    server.assert_requests(1).await;
}

#[rstest]
#[case::silence("")]
#[case::half_a_line("HTTP/1.1 20")]
#[case::half_a_head("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n")]
#[case::half_a_body("HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{}")]
#[case::no_http("SSH-2.0-OpenSSH_9.6\r\n\r\n")]
#[tokio::test]
async fn a_reply_that_breaks_off_is_no_reply(#[case] reply: &str) {
    let server = Server::start([Act::ReplyThenClose(reply.to_owned())]).await;
    assert_no_reply(&set_at(&server).await);
    server.assert_requests(1).await;
}

#[tokio::test]
async fn a_connection_dropped_after_the_request_is_no_reply() {
    let server = Server::start([Act::Close, ok("{}")]).await;
    assert_no_reply(&set_at(&server).await);
    server.assert_requests(1).await;
}

#[tokio::test]
async fn a_reused_connection_dropped_after_the_request_is_no_reply_and_not_sent_again() {
    let server = Server::start([ok("{}"), Act::Close, ok("{}")]).await;
    let cognito = cognito(sdk_config(&server.url()));
    assert_eq!(set(&cognito).await, applied());
    assert_no_reply(&set(&cognito).await);
    server.assert_requests(2).await;
    assert_eq!(
        server.traffic().connections,
        1,
        "it was the same connection"
    );
}

#[tokio::test]
async fn a_connection_closed_while_idle_is_replaced() {
    let reply = http("200 OK", "x-amzn-requestid: 4711\r\n", "{}");
    let server = Server::start([Act::ReplyThenClose(reply), ok("{}")]).await;
    let cognito = cognito(sdk_config(&server.url()));
    assert_eq!(set(&cognito).await, applied());
    server
        .wait_until(|traffic| traffic.closed_by_client == 1)
        .await;
    assert_eq!(set(&cognito).await, applied());
    server.assert_requests(2).await;
}

#[tokio::test]
async fn connections_are_reused() {
    let server = Server::start((0..5).map(|_| ok("{}"))).await;
    let cognito = cognito(sdk_config(&server.url()));
    for _ in 0..5 {
        assert_eq!(set(&cognito).await, applied());
    }
    assert_eq!(server.traffic().connections, 1);
}

#[tokio::test]
async fn a_hanging_reply_is_no_reply_after_the_timeout() {
    let server = Server::start([Act::Hang]).await;
    let config = sdk_config(&server.url());
    assert_no_reply(&set(&with(numbered_identity().0, config, SHORT_TIMEOUTS)).await);
    server.assert_requests(1).await;
}

#[tokio::test]
async fn a_refused_connection_is_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    drop(listener);
    let reply = set(&cognito(sdk_config(&format!("http://{address}")))).await;
    assert_never_connected(&reply);
}

/// The label has more than 63 characters, so the resolver refuses the name without a query.
#[tokio::test]
async fn a_name_that_does_not_resolve_is_not_sent() {
    let endpoint = format!("https://{}.invalid", "x".repeat(64));
    assert_never_connected(&set(&cognito(sdk_config(&endpoint))).await);
}

#[tokio::test]
async fn a_failed_tls_handshake_is_not_sent() {
    let plain = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = plain.local_addr().expect("its address");
    tokio::spawn(async move {
        use tokio::io::AsyncWriteExt;
        while let Ok((mut stream, _)) = plain.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    assert_never_connected(&set(&cognito(sdk_config(&format!("https://{address}")))).await);
}

/// The kernel accepts the connection, and no process answers the TLS handshake.
#[tokio::test]
async fn a_tls_handshake_that_hangs_is_not_sent() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = silent.local_addr().expect("its address");
    let config = sdk_config(&format!("https://{address}"));
    assert_never_connected(&set(&with(numbered_identity().0, config, SHORT_TIMEOUTS)).await);
}

#[tokio::test]
async fn a_password_in_a_reply_is_redacted() {
    let message = format!("Value '{SECRET}' at 'password'\nfailed");
    let code = format!("Weird{SECRET}");
    let server = Server::start([error("400 Bad Request", &code, &message)]).await;
    let expected = refused(
        400,
        "Weird[password]",
        "Value '[password]' at 'password' failed",
    );
    assert_eq!(set_at(&server).await, expected);
}

#[tokio::test]
async fn a_password_is_redacted_before_a_long_message_is_cut() {
    let message = format!("{}{SECRET}{}", "ü".repeat(1_020), "x".repeat(10_000));
    let server = Server::start([error("400 Bad Request", "Long", &message)]).await;
    let expected = format!("{}[pas", "ü".repeat(1_020));
    assert_eq!(set_at(&server).await, refused(400, "Long", &expected));
}

#[tokio::test]
async fn a_request_has_the_pool_the_user_the_password_and_the_region() {
    let server = Server::start([ok("{}"), ok("{}")]).await;
    let cognito = cognito(sdk_config(&server.url()));
    set(&cognito).await;
    let elsewhere = Target::parse("us-gov-west-1_Xy", "jürgen").expect("a fit target");
    cognito
        .admin_set_user_password(&authority(&elsewhere), &elsewhere, &password(), false)
        .await;
    let requests = server.traffic().requests;
    let body = |request: &str| -> serde_json::Value {
        let (_, body) = request.split_once("\r\n\r\n").expect("a body");
        serde_json::from_str(body).expect("JSON")
    };
    assert_eq!(
        body(&requests[0]),
        serde_json::json!({ "UserPoolId": "eu-west-1_AbCdEf123", "Username": "ci-bot",
            "Password": SECRET, "Permanent": true })
    );
    assert_eq!(
        body(&requests[1]),
        serde_json::json!({ "UserPoolId": "us-gov-west-1_Xy", "Username": "jürgen",
            "Password": SECRET, "Permanent": false })
    );
    for (request, region) in requests.iter().zip(["eu-west-1", "us-gov-west-1"]) {
        let (head, _) = request.split_once("\r\n\r\n").expect("a head");
        let has = |what: &str| assert!(head.contains(what), "{what}: {head}");
        has("x-amz-target: AWSCognitoIdentityProviderService.AdminSetUserPassword");
        has("app/cognito-password-operator");
        has(&format!("/{region}/cognito-idp/aws4_request"));
    }
}
