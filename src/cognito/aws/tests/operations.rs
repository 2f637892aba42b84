//! The calls that set no password: two looks and a sign-out. What a call returns in each case. Every call is
//! exactly one request.

use super::{
    server::{Act, Server, error, http, key, ok},
    *,
};
use crate::core::{
    look::user::UserQuery,
    protocol::reply::{NotSent, ServiceError},
};
use jiff::Timestamp;
use rstest::rstest;
use std::fmt::Debug;
use tokio::net::TcpListener;

#[derive(Clone, Copy, Debug)]
pub(super) enum Operation {
    ListUsers,
    SignOut,
    DescribePool,
}

use Operation::{DescribePool, ListUsers, SignOut};

impl Operation {
    /// The least body that the operation may have.
    pub(super) fn body(self) -> &'static str {
        match self {
            ListUsers => "{\"Users\":[]}",
            SignOut => "{}",
            DescribePool => "{\"UserPool\":{}}",
        }
    }

    /// The output of that body.
    fn output(self) -> &'static str {
        match self {
            ListUsers => "UserPage { users: [], next_token: None }",
            SignOut => "()",
            DescribePool => "None",
        }
    }

    /// Makes the call, without authenticating first. The output becomes text.
    async fn call(self, cognito: &AwsCognito) -> Reply<String> {
        let target = target();
        let authority = authority(&target);
        match self {
            ListUsers => {
                let first = UserQuery::Page { token: None };
                as_text(cognito.list_users(&authority, &target.pool, &first).await)
            }
            SignOut => as_text(
                cognito
                    .admin_user_global_sign_out(&authority, &target)
                    .await,
            ),
            DescribePool => as_text(
                cognito
                    .temporary_password_validity_days(&authority, &target.pool)
                    .await,
            ),
        }
    }

    /// Authenticates, then makes the call.
    async fn make(self, cognito: &AwsCognito) -> Reply<String> {
        let authenticated = cognito.authenticate(&authority(&target())).await;
        authenticated.expect("the test's credentials");
        self.call(cognito).await
    }

    /// One call by a new client.
    pub(super) async fn make_at(self, server: &Server) -> Reply<String> {
        self.make(&cognito(sdk_config(&server.url()))).await
    }
}

fn as_text<T: Debug>(reply: Reply<T>) -> Reply<String> {
    match reply {
        Reply::Success {
            output,
            request_id,
            answered_at,
        } => Reply::Success {
            output: format!("{output:?}"),
            request_id,
            answered_at,
        },
        Reply::ServiceError(error) => Reply::ServiceError(error),
        Reply::NotSent { cause, detail } => Reply::NotSent { cause, detail },
        Reply::NoReply { detail } => Reply::NoReply { detail },
    }
}

pub(super) fn success<T>(output: T) -> Reply<T> {
    Reply::Success {
        output,
        request_id: Some("4711".to_owned()),
        answered_at: None,
    }
}

pub(super) fn assert_no_reply<T: Debug>(reply: &Reply<T>) {
    let fits = matches!(reply, Reply::NoReply { detail } if !detail.is_empty());
    assert!(fits, "{reply:?}");
}

fn assert_not_sent<T: Debug>(reply: &Reply<T>, expected: NotSent) {
    let fits = matches!(reply, Reply::NotSent { cause, .. } if *cause == expected);
    assert!(fits, "{reply:?}");
}

#[rstest]
#[tokio::test]
async fn a_200_with_the_operations_body_succeeds(
    #[values(ListUsers, SignOut, DescribePool)] operation: Operation,
) {
    let server = Server::start([ok(operation.body())]).await;
    let reply = operation.make_at(&server).await;
    assert_eq!(reply, success(operation.output().to_owned()));
    server.assert_requests(1).await;
}

#[tokio::test]
async fn a_sign_out_may_have_an_empty_body() {
    let server = Server::start([ok("")]).await;
    assert_eq!(SignOut.make_at(&server).await, success("()".to_owned()));
    server.assert_requests(1).await;
}

#[rstest]
#[case(
    "date: Sun, 29 Nov 2026 03:14:15 GMT\r\n",
    Some("2026-11-29T03:14:15Z")
)]
#[case(
    "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n",
    Some("1970-01-01T00:00:00Z")
)]
#[case("date: soon\r\n", None)]
#[case("date: 2026-11-29T03:14:15Z\r\n", None)]
#[case("date: Fri, 31 Dec 9999 23:59:59 GMT\r\n", None)]
#[case("", None)]
#[tokio::test]
async fn a_reply_has_the_time_of_awss_clock(#[case] date: &str, #[case] time: Option<&str>) {
    let expected = time.map(|time| time.parse::<Timestamp>().expect("a time"));
    for operation in [ListUsers, SignOut, DescribePool] {
        let reply = Act::Reply(http("200 OK", date, operation.body()));
        let server = Server::start([reply]).await;
        match operation.make_at(&server).await {
            Reply::Success { answered_at, .. } => assert_eq!(answered_at, expected),
            other => panic!("{other:?}"),
        }
    }
    let server = Server::start([Act::Reply(http("200 OK", date, "{}"))]).await;
    match set_at(&server).await {
        Reply::Success { answered_at, .. } => assert_eq!(answered_at, expected),
        other => panic!("{other:?}"),
    }
}

#[rstest]
#[tokio::test]
async fn another_success_than_200_is_no_reply(
    #[values(ListUsers, SignOut, DescribePool)] operation: Operation,
    #[values("202 Accepted", "204 No Content")] status: &str,
) {
    // A 204 has no body.
    let body = Some(operation.body()).filter(|_| !status.starts_with("204"));
    let reply = http(status, "", body.unwrap_or_default());
    let server = Server::start([Act::Reply(reply)]).await;
    assert_no_reply(&operation.make_at(&server).await);
    server.assert_requests(1).await;
}

#[rstest]
#[tokio::test]
async fn an_error_reply_keeps_its_code_and_message(
    #[values(ListUsers, SignOut, DescribePool)] operation: Operation,
) {
    for (status, code) in [
        ("400 Bad Request", "TooManyRequestsException"),
        ("400 Bad Request", "AccessDeniedException"),
        ("400 Bad Request", "UserNotFoundException"),
        ("400 Bad Request", "MadeUpException"),
        ("500 Internal Server Error", "InternalErrorException"),
    ] {
        let server = Server::start([
            error(status, code, "In AWS's\nwords."),
            ok(operation.body()),
        ])
        .await;
        let expected = Reply::ServiceError(ServiceError {
            status: status[..3].parse().expect("a status"),
            code: Some(code.to_owned()),
            message: Some("In AWS's words.".to_owned()),
            request_id: Some("4711".to_owned()),
        });
        assert_eq!(operation.make_at(&server).await, expected);
        server.assert_requests(1).await;
    }
}

#[rstest]
#[tokio::test]
async fn a_lost_reply_is_not_asked_for_again(
    #[values(ListUsers, SignOut, DescribePool)] operation: Operation,
) {
    let server = Server::start([Act::Close, ok(operation.body())]).await;
    assert_no_reply(&operation.make_at(&server).await);
    server.assert_requests(1).await;
}

#[rstest]
#[tokio::test]
async fn a_hanging_reply_is_no_reply_after_the_timeout(
    #[values(ListUsers, SignOut, DescribePool)] operation: Operation,
) {
    let server = Server::start([Act::Hang]).await;
    let config = sdk_config(&server.url());
    let cognito = with(numbered_identity().0, config, SHORT_TIMEOUTS);
    assert_no_reply(&operation.make(&cognito).await);
    server.assert_requests(1).await;
}

#[rstest]
#[tokio::test]
async fn a_refused_connection_is_not_sent(
    #[values(ListUsers, SignOut, DescribePool)] operation: Operation,
) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    drop(listener);
    let cognito = cognito(sdk_config(&format!("http://{address}")));
    assert_not_sent(&operation.make(&cognito).await, NotSent::Connect);
}

#[rstest]
#[tokio::test]
async fn without_credentials_nothing_is_sent(
    #[values(ListUsers, SignOut, DescribePool)] operation: Operation,
) {
    let server = Server::start([ok(operation.body())]).await;
    let cognito = cognito(sdk_config(&server.url()));
    assert_not_sent(&operation.call(&cognito).await, NotSent::Credentials);
    assert_eq!(server.traffic().connections, 0);
}

#[rstest]
#[tokio::test]
async fn credentials_that_aws_refuses_are_resolved_anew(
    #[values(ListUsers, SignOut, DescribePool)] operation: Operation,
) {
    let refusal = |code| error("400 Bad Request", code, "No.");
    let server = Server::start([
        refusal("AccessDeniedException"),
        refusal("ExpiredTokenException"),
        ok(operation.body()),
    ])
    .await;
    let cognito = cognito(sdk_config(&server.url()));
    for _ in 0..3 {
        operation.make(&cognito).await;
    }
    let requests = server.traffic().requests;
    let keys: Vec<_> = requests.iter().map(|request| key(request)).collect();
    assert_eq!(keys, ["key-1", "key-1", "key-2"]);
}
