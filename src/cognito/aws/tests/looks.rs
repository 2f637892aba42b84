//! What the looks ask for and what the looks read. No look asks for an attribute but the sub.

use super::{
    operations::{
        Operation::{self, DescribePool, ListUsers, SignOut},
        assert_no_reply, success,
    },
    server::{Server, ok},
    *,
};
use crate::{
    core::look::user::{User, UserPage, UserQuery, UserState},
    ops::logging,
};
use jiff::Timestamp;
use rstest::rstest;
use serde_json::{Value, json};
use std::io::Write;
use tracing::Subscriber;

/// One look at one page, by a new client.
async fn page_at(server: &Server) -> Reply<UserPage> {
    let cognito = cognito(sdk_config(&server.url()));
    let authority = authority(&target());
    let authenticated = cognito.authenticate(&authority).await;
    authenticated.expect("the test's credentials");
    let first = UserQuery::Page { token: None };
    cognito.list_users(&authority, &target().pool, &first).await
}

#[tokio::test]
async fn a_page_has_the_users_and_the_next_token() {
    let created: Timestamp = "2026-01-02T03:04:05Z".parse().expect("a time");
    let modified: Timestamp = "2026-02-03T04:05:06.5Z".parse().expect("a time");
    let sub = "6f1c2d3e-0000-4000-8000-000000000000";
    let body = json!({
        "Users": [
            {
                "Username": "ci-bot",
                "Attributes": [
                    { "Name": "email", "Value": "somebody@example.com" },
                    { "Name": "sub", "Value": sub },
                ],
                "UserCreateDate": 1_767_323_045,
                "UserLastModifiedDate": 1_770_091_506.5,
                "Enabled": true,
                "UserStatus": "CONFIRMED",
                "MFAOptions": [],
                "Later": [1, { "x": null }],
            },
            { "Username": "jürgen", "Enabled": false, "UserStatus": "A_STATUS_OF_TOMORROW" },
            { "Username": "", "Enabled": true, "Attributes": [{ "Name": "sub" }] },
        ],
        "PaginationToken": "next",
    });
    let server = Server::start([ok(&body.to_string())]).await;
    let unknown = |username: &str, enabled| User {
        username: username.to_owned(),
        sub: None,
        state: UserState::Other,
        enabled,
        created: None,
        modified: None,
    };
    let expected = UserPage {
        users: vec![
            User {
                username: "ci-bot".to_owned(),
                sub: Some(sub.to_owned()),
                state: UserState::Confirmed,
                enabled: true,
                created: Some(created),
                modified: Some(modified),
            },
            unknown("jürgen", false),
            unknown("", true),
        ],
        next_token: Some("next".to_owned()),
    };
    assert_eq!(page_at(&server).await, success(expected));
    server.assert_requests(1).await;
}

#[rstest]
#[case("UNCONFIRMED", UserState::Unconfirmed)]
#[case("CONFIRMED", UserState::Confirmed)]
#[case("EXTERNAL_PROVIDER", UserState::ExternalProvider)]
#[case("RESET_REQUIRED", UserState::ResetRequired)]
#[case("FORCE_CHANGE_PASSWORD", UserState::ForceChangePassword)]
#[case("ARCHIVED", UserState::Other)]
#[tokio::test]
async fn a_user_has_the_status_of_the_api(#[case] status: &str, #[case] state: UserState) {
    let user = json!({ "Username": "ci-bot", "Enabled": true, "UserStatus": status });
    let server = Server::start([ok(&json!({ "Users": [user] }).to_string())]).await;
    match page_at(&server).await {
        Reply::Success { output, .. } => assert_eq!(output.users[0].state, state),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_time_that_cannot_be_written_is_left_out() {
    let user = json!({ "Username": "ci-bot", "Enabled": true, "UserCreateDate": 9e15 });
    let server = Server::start([ok(&json!({ "Users": [user] }).to_string())]).await;
    match page_at(&server).await {
        Reply::Success { output, .. } => assert_eq!(output.users[0].created, None),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_empty_token_is_the_end() {
    let server = Server::start([ok("{\"Users\":[],\"PaginationToken\":\"\"}")]).await;
    let end = UserPage {
        users: Vec::new(),
        next_token: None,
    };
    assert_eq!(page_at(&server).await, success(end));
}

#[rstest]
#[case(json!({ "TemporaryPasswordValidityDays": 7 }), Some(7))]
#[case(json!({ "TemporaryPasswordValidityDays": 365, "MinimumLength": 8 }), Some(365))]
#[case(json!({ "TemporaryPasswordValidityDays": 0 }), None)]
#[case(json!({ "TemporaryPasswordValidityDays": -1 }), None)]
#[case(json!({ "MinimumLength": 8 }), None)]
#[case(Value::Null, None)]
#[tokio::test]
async fn a_pool_has_the_validity_of_its_policy(#[case] policy: Value, #[case] days: Option<u32>) {
    let pool = json!({ "Id": "eu-west-1_AbCdEf123", "Policies": { "PasswordPolicy": policy } });
    let server = Server::start([ok(&json!({ "UserPool": pool }).to_string())]).await;
    let reply = DescribePool.make_at(&server).await;
    assert_eq!(reply, success(format!("{days:?}")));
    server.assert_requests(1).await;
}

#[rstest]
#[case::empty(ListUsers, "")]
#[case::nothing(ListUsers, "{}")]
#[case::array(ListUsers, "[]")]
#[case::array_as_object(ListUsers, "[[]]")]
#[case::no_users(ListUsers, "{\"Users\":null}")]
#[case::no_list(ListUsers, "{\"Users\":{}}")]
#[case::empty_user(ListUsers, "{\"Users\":[{}]}")]
#[case::nameless(ListUsers, "{\"Users\":[{\"Enabled\":true}]}")]
#[case::perhaps_disabled(ListUsers, "{\"Users\":[{\"Username\":\"a\"}]}")]
#[case::no_date(
    ListUsers,
    "{\"Users\":[{\"Username\":\"a\",\"Enabled\":true,\"UserCreateDate\":{}}]}"
)]
#[case::half(ListUsers, "{\"Users\":[")]
#[case::portal(ListUsers, "<html>Please log in</html>")]
#[case::array(SignOut, "[]")]
#[case::blank(SignOut, "  ")]
#[case::half(SignOut, "{\"a\":")]
#[case::portal(SignOut, "<html>Please log in</html>")]
#[case::empty(DescribePool, "")]
#[case::nothing(DescribePool, "{}")]
#[case::array(DescribePool, "[]")]
#[case::no_pool(DescribePool, "{\"UserPool\":null}")]
#[case::portal(DescribePool, "<html>Please log in</html>")]
#[tokio::test]
async fn a_200_with_another_body_is_no_reply(#[case] operation: Operation, #[case] body: &str) {
    let server = Server::start([ok(body), ok(operation.body())]).await;
    assert_no_reply(&operation.make_at(&server).await);
    server.assert_requests(1).await;
}

#[rstest]
#[case::users("{\"Users\":")]
#[case::unknown("{\"Users\":[{\"Later\":")]
#[case::attributes("{\"Users\":[{\"Attributes\":")]
#[tokio::test]
async fn a_deeply_nested_page_does_not_overflow_the_stack(#[case] start: &str) {
    let body = [start, &"[".repeat(300_000)].concat();
    let server = Server::start([ok(&body)]).await;
    assert_no_reply(&page_at(&server).await);
}

#[tokio::test]
async fn a_request_asks_for_nothing_but_what_is_needed() {
    let pool = "us-gov-west-1_Xy";
    let target = Target::parse(pool, r#"jürgen"\"#).expect("a fit target");
    let authority = authority(&target);
    let page = |token: Option<&str>| UserQuery::Page {
        token: token.map(str::to_owned),
    };
    let queries = [
        page(None),
        page(Some("next")),
        UserQuery::Username(target.username.to_string()),
        UserQuery::Sub("6f1c2d3e".to_owned()),
    ];
    let acts = queries.iter().map(|_| ok(ListUsers.body()));
    let acts = acts.chain([ok(SignOut.body()), ok(DescribePool.body())]);
    let server = Server::start(acts).await;
    let cognito = cognito(sdk_config(&server.url()));
    let authenticated = cognito.authenticate(&authority).await;
    authenticated.expect("the test's credentials");
    for query in &queries {
        let reply = cognito.list_users(&authority, &target.pool, query).await;
        assert!(matches!(reply, Reply::Success { .. }), "{reply:?}");
    }
    cognito
        .admin_user_global_sign_out(&authority, &target)
        .await;
    cognito
        .temporary_password_validity_days(&authority, &target.pool)
        .await;

    let look = |filter: Value, token: Value| {
        let mut body = json!({ "UserPoolId": pool, "AttributesToGet": ["sub"], "Limit": 60 });
        for (field, value) in [("Filter", filter), ("PaginationToken", token)] {
            if !value.is_null() {
                body[field] = value;
            }
        }
        ("ListUsers", body)
    };
    let expected = [
        look(Value::Null, Value::Null),
        look(Value::Null, json!("next")),
        look(json!(r#"username = "jürgen\"\\""#), Value::Null),
        look(json!(r#"sub = "6f1c2d3e""#), Value::Null),
        (
            "AdminUserGlobalSignOut",
            json!({ "UserPoolId": pool, "Username": r#"jürgen"\"# }),
        ),
        ("DescribeUserPool", json!({ "UserPoolId": pool })),
    ];
    server.assert_requests(expected.len()).await;
    let requests = server.traffic().requests;
    for (request, (operation, expected)) in requests.iter().zip(expected) {
        let (head, body) = request.split_once("\r\n\r\n").expect("a body");
        let has = |what: &str| assert!(head.contains(what), "{what}: {head}");
        has(&format!(
            "x-amz-target: AWSCognitoIdentityProviderService.{operation}\r\n"
        ));
        has("app/cognito-password-operator");
        has("/us-gov-west-1/cognito-idp/aws4_request");
        let body: Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(body, expected);
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().expect("no test panics in here")
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.lock()).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.lock().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// One look with this subscriber. The runtime of the test has one thread, so the subscriber gets every event.
async fn look_logged_by(subscriber: impl Subscriber + Send + Sync + 'static) {
    let guard = tracing::subscriber::set_default(subscriber);
    tracing::info!("a line of our own");
    let body = json!({ "Users": [{
        "Username": "person-4711",
        "Enabled": true,
        "Attributes": [{ "Name": "email", "Value": "somebody@example.com" }],
    }] });
    let server = Server::start([ok(&body.to_string())]).await;
    let reply = page_at(&server).await;
    assert!(matches!(reply, Reply::Success { .. }), "{reply:?}");
    drop(guard);
}

#[tokio::test]
async fn the_log_has_no_user_of_a_page() {
    let log = Log::default();
    let writer = log.clone();
    let filter = logging::parse_filter("trace").expect("a filter");
    let format = logging::Format::Json;
    look_logged_by(logging::subscriber(format, filter, false, move || {
        writer.clone()
    }))
    .await;
    let text = log.text();
    assert!(text.contains("a line of our own"), "{text}");
    for private in ["person-4711", "somebody@example.com", "AttributesToGet"] {
        assert!(!text.contains(private), "{text}");
    }

    // Without the caps of the log, the SDK does log the call.
    let log = Log::default();
    let writer = log.clone();
    let uncapped = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone());
    look_logged_by(uncapped.finish()).await;
    let text = log.text();
    assert!(text.contains("ListUsers"), "{text}");
}
