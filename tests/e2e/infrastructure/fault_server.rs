//! The fault server, called by the real SDK.

use std::time::{Duration, Instant};

use futures::future::join_all;

use super::sdk::{POOL, SOON, USER, kind, server, set, single_attempt_sdk};
use crate::support::{Call, Fault, Outcome, most_calls_in_a_second, most_in_a_second, moto};

#[tokio::test]
async fn a_call_without_faults_sets_the_password_and_is_written_down() {
    let server = server();
    set(&single_attempt_sdk(&server), USER, "first-password")
        .await
        .expect("the call succeeds");

    assert_eq!(
        server.password_of(POOL, USER).as_deref(),
        Some("first-password")
    );
    let calls = server.calls_for(POOL, USER);
    let [call] = &calls[..] else {
        panic!("one call was made: {calls:?}");
    };
    assert_eq!(call.outcome, Outcome::Applied);
    assert_eq!(call.password, "first-password");
    assert!(call.permanent);
    assert!(call.user_agent.contains("aws-sdk-rust"), "{call:?}");
    assert_eq!((&*call.access_key, &*call.region), ("test", "us-east-1"));
}

#[tokio::test]
async fn every_fault_has_its_effect_on_the_client_and_on_the_user() {
    let applied = true;
    let hang = ("Timeout", Outcome::Lost { applied: false });
    let cases = [
        (Fault::None, ("Ok", Outcome::Applied)),
        (
            Fault::throttled(),
            (
                "TooManyRequestsException",
                Outcome::Refused("TooManyRequestsException".to_owned()),
            ),
        ),
        (
            Fault::internal_error(),
            (
                "InternalErrorException",
                Outcome::Refused("InternalErrorException".to_owned()),
            ),
        ),
        (
            Fault::internal_error_after(),
            ("InternalErrorException", Outcome::Lost { applied }),
        ),
        (
            Fault::DropBefore,
            ("Dispatch", Outcome::Lost { applied: false }),
        ),
        (Fault::DropAfter, ("Dispatch", Outcome::Lost { applied })),
        (Fault::HangBefore, hang),
        (Fault::HangAfter, ("Timeout", Outcome::Lost { applied })),
        (
            Fault::Latency(Duration::from_millis(50)),
            ("Ok", Outcome::Applied),
        ),
        // A proxy's page is neither success nor refusal, whatever its HTTP status.
        (
            Fault::Garbage {
                status: 502,
                applied,
            },
            ("Response", Outcome::Lost { applied }),
        ),
        (
            Fault::Garbage {
                status: 200,
                applied: false,
            },
            ("Response", Outcome::Lost { applied: false }),
        ),
        (
            Fault::Truncated { applied },
            ("Response", Outcome::Lost { applied }),
        ),
    ];
    let server = server();
    let client = single_attempt_sdk(&server);
    for (number, (fault, (wanted_kind, wanted_outcome))) in cases.into_iter().enumerate() {
        let password = format!("password-{number}");
        server.next([fault.clone()]);
        let reply = set(&client, USER, &password).await;
        assert_eq!(kind(&reply), wanted_kind, "{fault:?}: {reply:?}");

        // The server notices late that a client has given up a call.
        server
            .wait_until("all calls ended", SOON, |calls| {
                calls.iter().all(|call| call.ended.is_some())
            })
            .await;
        let calls = server.calls();
        let call = calls.last().expect("a call was made");
        assert_eq!(calls.len(), number + 1, "{fault:?} took one attempt");
        assert_eq!(call.outcome, wanted_outcome, "{fault:?}");
        let in_force = server.password_of(POOL, USER) == Some(password);
        assert_eq!(in_force, call.applied(), "{fault:?}");
    }
    assert_eq!(server.max_in_flight_per_user(), 1);
}

#[tokio::test]
async fn a_late_landing_sets_the_password_after_the_client_has_gone() {
    let server = server();
    server.next([Fault::LandLate(Duration::ZERO)]);
    let reply = set(&single_attempt_sdk(&server), USER, "late-password").await;
    assert_eq!(kind(&reply), "Timeout");

    server
        .wait_for_password((POOL, USER), "late-password", SOON)
        .await;
    let call = &server.calls()[0];
    assert_eq!(call.outcome, Outcome::Lost { applied: true });
    let (landed, _) = server.password_log(POOL, USER)[0];
    assert!(Some(landed) >= call.ended, "the client was still there");
}

#[tokio::test]
async fn a_hanging_call_goes_on_when_it_is_released() {
    let server = server();
    server.next([Fault::HangBefore]);
    let client = moto::sdk(&server.url());
    let call = tokio::spawn(async move { set(&client, USER, "released-password").await });
    server.wait_for_calls(1, SOON).await;
    assert_eq!(server.password_of(POOL, USER), None);

    server.release();
    let reply = call.await.expect("the call ends");
    assert_eq!(kind(&reply), "Ok");
    assert_eq!(
        server.password_of(POOL, USER).as_deref(),
        Some("released-password")
    );
}

#[tokio::test]
async fn the_history_counts_the_current_password() {
    let server = server();
    let client = single_attempt_sdk(&server);
    server.set_history(2);
    for (password, wanted) in [
        ("password-a", "Ok"),
        ("password-a", "PasswordHistoryPolicyViolationException"),
        ("password-b", "Ok"),
        ("password-a", "PasswordHistoryPolicyViolationException"),
        ("password-c", "Ok"),
        ("password-a", "Ok"),
    ] {
        let reply = set(&client, USER, password).await;
        assert_eq!(kind(&reply), wanted, "{password}: {reply:?}");
    }
    let log: Vec<_> = server.password_log(POOL, USER);
    let log: Vec<&str> = log.iter().map(|(_, password)| &**password).collect();
    assert_eq!(
        log,
        ["password-a", "password-b", "password-c", "password-a"]
    );
}

#[tokio::test]
async fn users_pools_policy_and_limit_answer_as_cognito_does() {
    let server = server();
    let client = single_attempt_sdk(&server);
    server.set_minimum_length(8);
    for (username, password, wanted) in [
        (USER, "long-enough", "Ok"),
        (USER, "short", "InvalidPasswordException"),
        (USER, "trailing-newline\n", "InvalidParameterException"),
        (USER, "inner space", "Ok"),
        ("nobody", "long-enough", "UserNotFoundException"),
    ] {
        let reply = set(&client, username, password).await;
        assert_eq!(kind(&reply), wanted, "{username} {password:?}: {reply:?}");
    }
    let reply = client
        .admin_set_user_password()
        .user_pool_id("eu-west-1_Unknown")
        .username(USER)
        .password("long-enough")
        .send()
        .await;
    assert_eq!(kind(&reply), "ResourceNotFoundException");

    server.set_calls_per_second(Some(2));
    let replies = join_all((0..5).map(|_| set(&client, USER, "long-enough"))).await;
    let throttled = |reply: &&_| kind(reply) == "TooManyRequestsException";
    let throttled = replies.iter().filter(throttled).count();
    // More than two calls pass only if the five calls don't arrive within a second.
    assert!((1..=3).contains(&throttled), "{throttled} of 5");
}

#[tokio::test]
async fn the_same_seed_gives_the_same_faults_at_about_their_rate() {
    let mut runs = Vec::new();
    for seed in [7, 7, 8] {
        let server = server();
        server.chance(seed, [(Fault::throttled(), 0.3), (Fault::DropAfter, 0.2)]);
        let client = single_attempt_sdk(&server);
        let mut kinds = Vec::new();
        for number in 0..200 {
            let reply = set(&client, USER, &format!("password-{number}")).await;
            kinds.push(kind(&reply).to_owned());
        }
        runs.push(kinds);
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
    let throttled = runs[0].iter().filter(|kind| *kind != "Ok").count();
    assert!((70..130).contains(&throttled), "{throttled} of 200");
}

#[tokio::test]
async fn two_calls_at_a_time_for_one_user_are_noticed() {
    let server = server();
    server.add_user(POOL, "another");
    server.always(Fault::HangBefore);
    let client = moto::sdk(&server.url());
    let calls = [USER, "another"].map(|username| {
        let client = client.clone();
        tokio::spawn(async move { set(&client, username, "some-password").await })
    });
    server.wait_for_calls(2, SOON).await;
    assert_eq!(server.max_in_flight_per_user(), 1, "two users");

    let third = tokio::spawn(async move { set(&client, USER, "some-password").await });
    server.wait_for_calls(3, SOON).await;
    assert_eq!(server.max_in_flight_per_user(), 2, "twice the same user");

    server.release();
    for call in calls.into_iter().chain([third]) {
        assert_eq!(kind(&call.await.expect("the call ends")), "Ok");
    }
}

/// The server does not count a client that gives up and calls again at once as two concurrent calls. The
/// record of every call agrees with the users' passwords.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_the_record_is_complete_and_agrees_with_the_users() {
    const USERS: usize = 16;
    const CALLS: usize = 150;
    let server = server();
    server.chance(
        1,
        [
            (Fault::throttled(), 0.1),
            (Fault::DropBefore, 0.1),
            (Fault::DropAfter, 0.1),
            (Fault::HangBefore, 0.005),
            (Fault::HangAfter, 0.005),
        ],
    );
    let client = single_attempt_sdk(&server);
    let users = (0..USERS).map(|number| {
        let username = format!("user-{number}");
        server.add_user(POOL, &username);
        let client = client.clone();
        async move {
            for number in 0..CALLS {
                // The call may fail. The record shows the outcome.
                let _ = set(&client, &username, &format!("password-{number}")).await;
            }
        }
    });
    let users: Vec<_> = users.map(tokio::spawn).collect();
    for user in users {
        user.await.expect("no call panics");
    }
    server
        .wait_until("all calls ended", SOON, |calls| {
            calls.iter().all(|call| call.ended.is_some())
        })
        .await;
    assert_eq!(server.call_count(), USERS * CALLS);
    // The next call of a client that gave up may begin before the server notices the end of the first.
    assert!(server.max_in_flight_per_user() <= 2);

    let applied = |calls: &[Call]| calls.iter().filter(|call| call.applied()).count();
    let passwords = || -> usize {
        let usernames = (0..USERS).map(|number| format!("user-{number}"));
        usernames
            .map(|username| server.password_log(POOL, &username).len())
            .sum()
    };
    assert_eq!(applied(&server.calls()), passwords());
}

#[test]
fn calls_in_a_second_are_counted_over_every_half_open_second() {
    let began = Instant::now();
    let most = |millis: &[u64]| {
        let at = |millis: &u64| began + Duration::from_millis(*millis);
        most_in_a_second(millis.iter().map(at))
    };
    assert_eq!(most(&[]), 0);
    assert_eq!(most(&[0, 1_000, 2_000]), 1);
    assert_eq!(most(&[0, 1, 999, 1_000, 1_000]), 4);
    assert_eq!(most(&[2_500, 900, 100, 1_800, 1_899]), 3);
}

#[tokio::test]
async fn calls_in_a_second_are_counted_per_access_key_and_region() {
    let server = server();
    let sdk = single_attempt_sdk(&server);
    for password in ["first-password", "second-password"] {
        set(&sdk, USER, password).await.expect("the call succeeds");
    }
    let mut calls = server.calls();
    // The same moment, however long the machine took between the calls.
    calls[1].arrived = calls[0].arrived;
    assert_eq!(most_calls_in_a_second(&calls), 2);
    let (mut other_key, mut other_region) = (calls.clone(), calls.clone());
    "other".clone_into(&mut other_key[1].access_key);
    "eu-north-1".clone_into(&mut other_region[1].region);
    assert_eq!(most_calls_in_a_second(&other_key), 1);
    assert_eq!(most_calls_in_a_second(&other_region), 1);
}
