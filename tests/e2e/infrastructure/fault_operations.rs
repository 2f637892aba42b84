//! The fault server's operations beside `AdminSetUserPassword`: faults, limits and rights of each, called by
//! the real SDK.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_cognitoidentityprovider::Client;
use aws_sdk_cognitoidentityprovider::error::{ProvideErrorMetadata, SdkError};
use futures::future::join_all;

use super::sdk::{POOL, SOON, USER, kind, server, set, single_attempt_sdk};
use crate::support::{Fault, FaultServer, Operation, Outcome, Subject};

const OTHERS: [Operation; 3] = [
    Operation::ListUsers,
    Operation::AdminUserGlobalSignOut,
    Operation::DescribeUserPool,
];

/// Calls an operation; returns the SDK's kind of error in one word, or the service's code.
async fn call(client: &Client, operation: Operation) -> String {
    match operation {
        Operation::AdminSetUserPassword => kind(&set(client, USER, "some-password").await).into(),
        Operation::ListUsers => {
            let call = client.list_users().user_pool_id(POOL);
            word(&call.attributes_to_get("sub").send().await)
        }
        Operation::AdminUserGlobalSignOut => sign_out(client, USER).await,
        Operation::DescribeUserPool => {
            word(&client.describe_user_pool().user_pool_id(POOL).send().await)
        }
        other => panic!("the operator has no use for {}", other.name()),
    }
}

async fn sign_out(client: &Client, username: &str) -> String {
    let call = client.admin_user_global_sign_out().user_pool_id(POOL);
    word(&call.username(username).send().await)
}

/// As `kind`, for every operation.
fn word<T, E: ProvideErrorMetadata>(reply: &Result<T, SdkError<E>>) -> String {
    let word = match reply {
        Ok(_) => "Ok",
        Err(SdkError::TimeoutError(_)) => "Timeout",
        Err(SdkError::DispatchFailure(_)) => "Dispatch",
        Err(SdkError::ResponseError(_)) => "Response",
        Err(error) => error.code().unwrap_or("no code"),
    };
    word.to_owned()
}

/// Waits until every call of an operation has ended; returns the outcome of the last.
async fn last_outcome(server: &FaultServer, operation: Operation) -> Outcome {
    server
        .wait_until_of(operation, "all calls ended", SOON, |calls| {
            !calls.is_empty() && calls.iter().all(|call| call.ended.is_some())
        })
        .await;
    let mut calls = server.calls_of(operation);
    calls.pop().expect("a call was made").outcome
}

#[tokio::test]
async fn every_operation_has_every_fault() {
    let applied = true;
    let lost = |applied| Outcome::Lost { applied };
    let refused = |code: &str| Outcome::Refused(code.to_owned());
    let cases = [
        (Fault::None, "Ok", Outcome::Applied),
        (
            Fault::throttled(),
            "TooManyRequestsException",
            refused("TooManyRequestsException"),
        ),
        (
            Fault::internal_error(),
            "InternalErrorException",
            refused("InternalErrorException"),
        ),
        (
            Fault::internal_error_after(),
            "InternalErrorException",
            lost(applied),
        ),
        (Fault::DropBefore, "Dispatch", lost(false)),
        (Fault::DropAfter, "Dispatch", lost(applied)),
        (Fault::HangBefore, "Timeout", lost(false)),
        (Fault::HangAfter, "Timeout", lost(applied)),
        (
            Fault::Latency(Duration::from_millis(50)),
            "Ok",
            Outcome::Applied,
        ),
        (
            Fault::Garbage {
                status: 502,
                applied,
            },
            "Response",
            lost(applied),
        ),
        (Fault::Truncated { applied }, "Response", lost(applied)),
    ];
    let server = server();
    let client = single_attempt_sdk(&server);
    let meets_all = async |operation| {
        for (fault, wanted, outcome) in &cases {
            server.of(operation).next([fault.clone()]);
            let word = call(&client, operation).await;
            assert_eq!(word, *wanted, "{operation:?} {fault:?}");
            let ended = last_outcome(&server, operation).await;
            assert_eq!(ended, *outcome, "{operation:?} {fault:?}");
        }
        assert_eq!(server.count_of(operation), cases.len(), "{operation:?}");
    };
    // At the same time, because hanging calls take long.
    join_all(OTHERS.map(meets_all)).await;
}

/// Every operation but one answers as without faults.
async fn only(server: &FaultServer, client: &Client, broken: Operation, wanted: &str) {
    for operation in [Operation::AdminSetUserPassword].into_iter().chain(OTHERS) {
        let wanted = if operation == broken { wanted } else { "Ok" };
        let word = call(client, operation).await;
        assert_eq!(word, wanted, "{operation:?} while {broken:?} is broken");
    }
    if broken != Operation::AdminSetUserPassword {
        let outcome = last_outcome(server, broken).await;
        assert_eq!(outcome, Outcome::Refused(wanted.to_owned()));
    }
}

#[tokio::test]
async fn faults_and_rights_are_of_one_operation_only() {
    let server = server();
    let client = single_attempt_sdk(&server);
    for operation in [Operation::AdminSetUserPassword].into_iter().chain(OTHERS) {
        let script = server.of(operation);
        script.always(Fault::throttled());
        only(&server, &client, operation, "TooManyRequestsException").await;
        script.heal();
        script.always_in(POOL, Fault::internal_error());
        only(&server, &client, operation, "InternalErrorException").await;
        script.always_in(POOL, Fault::None);
        script.always_in("eu-west-1_Another", Fault::internal_error());

        script.deny();
        only(&server, &client, operation, "AccessDeniedException").await;
        // Rights are no fault.
        server.heal();
        only(&server, &client, operation, "AccessDeniedException").await;
        script.allow();
        assert_eq!(call(&client, operation).await, "Ok");
    }
}

#[tokio::test]
async fn a_denied_caller_reads_which_action_is_denied() {
    let server = server();
    server.of(Operation::ListUsers).deny();
    let call = single_attempt_sdk(&server).list_users();
    let denied = call.user_pool_id(POOL).attributes_to_get("sub").send();
    let denied = denied.await.expect_err("no right");
    let message = denied.message().expect("a message").to_owned();
    assert!(message.contains("cognito-idp:ListUsers"), "{message}");
}

#[tokio::test]
async fn each_operation_has_a_rate_of_its_own() {
    let server = server();
    let client = single_attempt_sdk(&server);
    server
        .of(Operation::ListUsers)
        .set_calls_per_second(Some(2));
    let burst = async |operation| {
        let words = join_all((0..5).map(|_| call(&client, operation))).await;
        let throttled = |word: &&String| *word == "TooManyRequestsException";
        words.iter().filter(throttled).count()
    };
    let throttled = burst(Operation::ListUsers).await;
    // More than two calls pass only if the five calls don't arrive within a second.
    assert!((1..=3).contains(&throttled), "{throttled} of 5");
    assert_eq!(burst(Operation::AdminUserGlobalSignOut).await, 0);
}

#[tokio::test]
async fn faults_meet_pages_and_lookups_apart() {
    let server = server();
    let client = single_attempt_sdk(&server);
    let script = server.of(Operation::ListUsers);
    let lookup = async |filter: &str| {
        let call = client.list_users().user_pool_id(POOL);
        word(&call.attributes_to_get("sub").filter(filter).send().await)
    };
    script.always_for((POOL, USER), Fault::throttled());
    assert_eq!(
        lookup("username = \"ci-bot\"").await,
        "TooManyRequestsException"
    );
    assert_eq!(lookup("username = \"another\"").await, "Ok");
    assert_eq!(call(&client, Operation::ListUsers).await, "Ok");

    script.next_for((POOL, ""), [Fault::DropBefore]);
    assert_eq!(lookup("username = \"another\"").await, "Ok");
    assert_eq!(call(&client, Operation::ListUsers).await, "Dispatch");
}

#[tokio::test]
async fn a_sign_out_ends_the_sessions_that_exist() {
    let server = server();
    let client = single_attempt_sdk(&server);
    server.change_password(POOL, USER, "some-password");
    assert!(server.begin_session(POOL, USER));
    server
        .of(Operation::AdminUserGlobalSignOut)
        .next([Fault::DropBefore, Fault::DropAfter]);
    assert_eq!(sign_out(&client, USER).await, "Dispatch");
    assert_eq!(server.live_sessions(POOL, USER).len(), 1, "not applied");
    assert_eq!(sign_out(&client, USER).await, "Dispatch");
    assert_eq!(server.live_sessions(POOL, USER), [], "applied");

    assert!(server.begin_session(POOL, USER), "signs in anew");
    assert_eq!(sign_out(&client, USER).await, "Ok");
    assert_eq!(server.live_sessions(POOL, USER), []);
    assert_eq!(sign_out(&client, "nobody").await, "UserNotFoundException");

    let calls = server.sign_outs();
    let subjects: Vec<_> = calls.iter().map(|call| call.subject.clone()).collect();
    let wanted = [USER, USER, USER, "nobody"].map(|name| Subject::SignOut(name.to_owned()));
    assert_eq!(subjects, wanted);
    let outcomes: Vec<_> = calls.into_iter().map(|call| call.outcome).collect();
    assert_eq!(
        outcomes,
        [
            Outcome::Lost { applied: false },
            Outcome::Lost { applied: true },
            Outcome::Applied,
            Outcome::Refused("UserNotFoundException".to_owned()),
        ]
    );
}

#[tokio::test]
async fn a_late_sign_out_ends_the_sessions_after_the_client_has_gone() {
    let server = server();
    server.change_password(POOL, USER, "some-password");
    assert!(server.begin_session(POOL, USER));
    let sign_outs = Operation::AdminUserGlobalSignOut;
    server.of(sign_outs).next([Fault::LandLate(Duration::ZERO)]);
    let client = single_attempt_sdk(&server);
    assert_eq!(sign_out(&client, USER).await, "Timeout");
    server
        .wait_until_of(sign_outs, "a late sign-out", SOON, |calls| {
            calls[0].outcome == Outcome::Lost { applied: true }
        })
        .await;
    assert_eq!(server.live_sessions(POOL, USER), []);
}

#[tokio::test]
async fn a_pool_says_how_long_temporary_passwords_are_valid() {
    let server = server();
    let client = single_attempt_sdk(&server);
    for days in [Some(7), Some(30), None] {
        // Seven days are the default.
        if days != Some(7) {
            server.set_temporary_validity_days(POOL, days);
        }
        let reply = client.describe_user_pool().user_pool_id(POOL).send().await;
        let reply = reply.expect("a pool");
        let pool = reply.user_pool().expect("a pool");
        assert_eq!(pool.id(), Some(POOL));
        let policy = pool
            .policies()
            .and_then(|policies| policies.password_policy());
        let told = policy.expect("a policy").temporary_password_validity_days();
        assert_eq!(told, days.unwrap_or_default().cast_signed(), "{days:?}");
    }
    let unknown = client
        .describe_user_pool()
        .user_pool_id("eu-west-1_Unknown");
    assert_eq!(word(&unknown.send().await), "ResourceNotFoundException");
    let calls = server.calls_of(Operation::DescribeUserPool);
    let pools: Vec<_> = calls.iter().map(|call| &*call.pool).collect();
    assert_eq!(pools, [POOL, POOL, POOL, "eu-west-1_Unknown"]);
    assert!(calls.iter().all(|call| call.subject == Subject::Pool));
}

#[tokio::test]
async fn ids_order_the_calls_of_all_operations() {
    let server = server();
    let client = single_attempt_sdk(&server);
    for operation in [
        Operation::ListUsers,
        Operation::AdminSetUserPassword,
        Operation::AdminUserGlobalSignOut,
        Operation::ListUsers,
    ] {
        assert_eq!(call(&client, operation).await, "Ok");
    }
    let lists: Vec<_> = server.list_calls().iter().map(|call| call.id).collect();
    assert_eq!(lists, [1, 4]);
    assert_eq!(server.calls()[0].id, 2);
    assert_eq!(server.sign_outs()[0].id, 3);
}

#[tokio::test]
async fn actions_are_recorded_whether_the_server_has_them_or_not() {
    let server = server();
    assert_eq!(server.actions(), BTreeSet::new(), "radio silence");
    let client = single_attempt_sdk(&server);
    let confirm = client.admin_confirm_sign_up().user_pool_id(POOL);
    let confirm = confirm.username(USER).send().await;
    assert_eq!(word(&confirm), "UnknownOperationException");
    assert_eq!(call(&client, Operation::ListUsers).await, "Ok");
    server.of(Operation::DescribeUserPool).deny();
    let denied = call(&client, Operation::DescribeUserPool).await;
    assert_eq!(denied, "AccessDeniedException");
    let wanted = ["AdminConfirmSignUp", "DescribeUserPool", "ListUsers"];
    let wanted = wanted.map(|name| format!("cognito-idp:{name}"));
    assert_eq!(server.actions(), BTreeSet::from(wanted));
}

#[tokio::test]
async fn a_reset_server_is_like_a_new_one() {
    let server = server();
    let client = single_attempt_sdk(&server);
    let script = server.of(Operation::ListUsers);
    script.deny();
    script.set_calls_per_second(Some(0));
    assert_eq!(
        call(&client, Operation::ListUsers).await,
        "AccessDeniedException"
    );
    server.reset();
    assert_eq!(server.count_of(Operation::ListUsers), 0);
    assert_eq!(server.user_state(POOL, USER), None);
    let word = call(&client, Operation::ListUsers).await;
    assert_eq!(word, "ResourceNotFoundException");
    server.add_pool(POOL);
    assert_eq!(call(&client, Operation::ListUsers).await, "Ok");
}
