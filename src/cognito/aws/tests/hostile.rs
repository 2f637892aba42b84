//! Malicious replies from a server in the place of AWS.

use super::{
    roles::role,
    server::{Act, Server},
    *,
};
use crate::core::{protocol::outcome::classify, text::is_unseen};
use proptest::{
    collection::vec,
    prelude::*,
    sample::select,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};
use rstest::rstest;

fn reply(head: &str, body: &[u8]) -> Act {
    let length = body.len();
    let head = format!("HTTP/1.1 {head}content-length: {length}\r\n\r\n");
    Act::ReplyBytes([head.as_bytes(), body].concat())
}

/// Asserts that a reply is short and legible, and doesn't contain the password.
fn assert_harmless(reply: &Reply) {
    let received = format!("{reply:?}");
    assert!(!received.contains(SECRET), "{received}");
    assert!(received.chars().count() < 3_000, "{received}");
    let outcome = classify(reply);
    let words = outcome.words.iter().chain(&outcome.request_id);
    for text in words.chain([&outcome.verdict.message]) {
        assert!(!text.chars().any(is_unseen), "{text:?}");
        assert!(text.chars().count() <= 2_001, "{text}");
    }
}

#[rstest]
#[case("200 OK")]
#[case("400 Bad Request")]
#[case("503 Service Unavailable")]
#[tokio::test]
async fn an_endless_reply_is_not_read_to_the_end(#[case] status: &'static str) {
    let server = Server::start([Act::Endless(status)]).await;
    let reply = set_at(&server).await;
    assert_harmless(&reply);
    let unknown = classify(&reply).effect == crate::core::protocol::outcome::Effect::Unknown;
    assert!(unknown, "{reply:?}");
    // The client gave up long before the end of the call's time. The bound leaves room for bytes in the
    // buffers of the sockets.
    let traffic = server
        .wait_until(|traffic| traffic.closed_by_client == 1)
        .await;
    assert!(traffic.sent < 32 << 20, "{} bytes", traffic.sent);
}

#[rstest]
#[case::arrays("[", "")]
#[case::objects("{\"a\":", "")]
#[case::in_a_message("{\"__type\":\"X\",\"message\":", "")]
#[case::closed("[", "]")]
#[tokio::test]
async fn deeply_nested_json_does_not_overflow_the_stack(#[case] open: &str, #[case] close: &str) {
    let depth = 500_000 / (open.len() + close.len());
    let body = [open.repeat(depth), close.repeat(depth)].concat();
    let heads = ["200 OK\r\n", "400 Bad Request\r\n", "500 Oh\r\n"];
    let server = Server::start(heads.map(|head| reply(head, body.as_bytes()))).await;
    let cognito = cognito(sdk_config(&server.url()));
    for _ in heads {
        assert_harmless(&set(&cognito).await);
    }
    server.assert_requests(heads.len()).await;
}

#[tokio::test]
async fn a_million_characters_are_cut() {
    let words = "x\u{202e}é\u{7}".repeat(250_000);
    let body = serde_json::json!({ "__type": "X".repeat(1_000), "message": words }).to_string();
    let server = Server::start([reply("400 Bad Request\r\n", body.as_bytes())]).await;
    let reply = set_at(&server).await;
    let read = matches!(&reply, Reply::ServiceError(error) if error.code.is_some());
    assert!(read, "{reply:?}");
    assert_harmless(&reply);
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let text = || {
        prop_oneof![
            any::<String>(),
            Just(SECRET.to_owned()),
            Just("\u{202e}\r\n".to_owned())
        ]
    };
    let named = (text(), text(), text()).prop_map(|(code, key, message)| {
        serde_json::json!({ "__type": code, key: SECRET, "message": message }).to_string()
    });
    let parts = select(vec![
        "{",
        "}",
        "[",
        "]",
        "\"",
        ":",
        ",",
        "\\u202e",
        "\\ud800",
        "\\",
        "null",
        "1e999",
        SECRET,
        "__type",
        "message",
        "code",
        "\u{feff}",
        "UserNotFoundException",
    ]);
    let pieces = vec(parts, 0..30).prop_map(|parts| parts.concat());
    prop_oneof![
        named.prop_map(String::into_bytes),
        pieces.prop_map(String::into_bytes),
        vec(any::<u8>(), 0..200),
    ]
}

/// A status line and headers.
fn head() -> impl Strategy<Value = String> {
    let status = select(vec![
        "200 OK",
        "204 None",
        "302 Found",
        "400 No",
        "403 No",
        "500 Oh",
        "599 Oh",
    ]);
    let header = select(vec![
        "x-amzn-errortype: UserNotFoundException:http://x/\r\n",
        "x-amzn-errortype: \u{fc}\r\n",
        "x-amzn-errortype: ::#:\r\n",
        "x-amzn-requestid: \t\r\n",
        "x-amzn-requestid: \u{202e}4711\r\n",
        "content-type: text/html\r\n",
        "content-encoding: gzip\r\n",
        "retry-after: 99999999999999999999\r\n",
        "date: Fri, 31 Dec 9999 23:59:59 GMT\r\n",
        "location: file:///etc/passwd\r\n",
    ]);
    let long = Just(format!("x-amzn-requestid: {}\r\n", "9".repeat(5_000)));
    let headers = vec(prop_oneof![header.prop_map(str::to_owned), long], 0..4);
    (status, headers).prop_map(|(status, headers)| format!("{status}\r\n{}", headers.concat()))
}

/// All replies go to one client in sequence, so that leftovers of one reply meet the next.
#[tokio::test]
async fn no_reply_of_cognito_panics_or_leaks_the_password() {
    let mut runner = TestRunner::new(Config::default());
    let replies = vec((head(), body()), 300).new_tree(&mut runner);
    let replies = replies.expect("replies").current();
    let acts = replies.iter().map(|(head, body)| match &**head {
        // A 204 has no body.
        head if head.starts_with("204") => reply(head, b""),
        head => reply(head, body),
    });
    let server = Server::start(acts).await;
    let cognito = cognito(sdk_config(&server.url()));
    for (head, body) in &replies {
        let reply = set(&cognito).await;
        let applied = matches!(reply, Reply::Success { .. });
        assert!(!applied || head.starts_with("200"), "{head:?} {body:?}");
        assert_harmless(&reply);
    }
    server.assert_requests(replies.len()).await;
}

/// A session that ends at `until`.
fn session(until: &str) -> String {
    let session = super::roles::session("ASIA-A", 3_600);
    let (before, rest) = session.split_once("<Expiration>").expect("it has one");
    let (_, after) = rest.split_once("</Expiration>").expect("it has one");
    format!("{before}<Expiration>{until}</Expiration>{after}")
}

fn refusal(message: &str) -> String {
    format!(
        "<ErrorResponse><Error><Code>\u{202e}X</Code><Message>{message}</Message></Error></ErrorResponse>"
    )
}

#[rstest]
#[case::nested("200 OK\r\n", "<a>".repeat(150_000))]
#[case::nested_refusal("403 No\r\n", "<ErrorResponse>".to_owned() + &"<Error>".repeat(60_000))]
#[case::entities(
    "403 No\r\n",
    "<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;\">]>".to_owned() + &refusal("&b;")
)]
#[case::million("403 No\r\n", refusal(&"x\u{202e}é\u{7}".repeat(140_000)))]
#[case::year_10000("200 OK\r\n", session("10000-01-01T00:00:00Z"))]
#[case::no_time("200 OK\r\n", session("soon"))]
#[case::nothing("200 OK\r\n", String::new())]
#[case::html("200 OK\r\n", "<html><p>Log in</html>".to_owned())]
#[tokio::test]
async fn no_reply_of_sts_panics_or_makes_a_long_message(#[case] head: &str, #[case] body: String) {
    let server = Server::start([reply(head, body.as_bytes())]).await;
    let cognito = cognito(sdk_config(&server.url()));
    let failure = cognito.authenticate(&role("a", None)).await;
    let CredentialsFailure(why) = failure.expect_err("no session");
    assert!(!why.chars().any(is_unseen), "{why:?}");
    assert!((1..=1_000).contains(&why.chars().count()), "{why}");
    server.assert_requests(1).await;
}

#[tokio::test]
async fn an_endless_reply_of_sts_is_not_read_to_the_end() {
    let server = Server::start([Act::Endless("403 No")]).await;
    let cognito = cognito(sdk_config(&server.url()));
    let role = role("a", None);
    // The SDK asks again, and the second request hangs.
    let traffic = tokio::select! {
        traffic = server.wait_until(|traffic| traffic.closed_by_client == 1) => traffic,
        failure = cognito.authenticate(&role) => panic!("{failure:?}"),
    };
    assert!(traffic.sent < 32 << 20, "{} bytes", traffic.sent);
}
