//! The users of the fault server: states, dates, sessions and events by others. Called by the real SDK.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use super::sdk::{POOL, USER, kind, server, set, single_attempt_sdk};
use crate::support::http;
use crate::support::{FaultServer, Origin, Session, UserState, UserStatus};

const HOUR: SignedDuration = SignedDuration::from_hours(1);

fn state(server: &FaultServer) -> UserState {
    server.user_state(POOL, USER).expect("the user exists")
}

/// Sets the password by a call; returns the SDK's kind of reply.
async fn set_as(server: &FaultServer, username: &str, permanent: bool) -> String {
    let call = single_attempt_sdk(server)
        .admin_set_user_password()
        .user_pool_id(POOL)
        .username(username)
        .password("some-password")
        .permanent(permanent);
    kind(&call.send().await).to_owned()
}

#[tokio::test]
async fn a_set_moves_the_status_as_cognito_does() {
    let server = server();
    let before = [
        UserStatus::ForceChangePassword,
        UserStatus::Unconfirmed,
        UserStatus::ExternalProvider,
        UserStatus::ResetRequired,
        UserStatus::Confirmed,
        UserStatus::Other("ARCHIVED".to_owned()),
    ];
    assert_eq!(state(&server).status, before[0], "an administrator's user");
    for status in before {
        for (permanent, after) in [
            (true, UserStatus::Confirmed),
            (false, UserStatus::ForceChangePassword),
        ] {
            server.set_status((POOL, USER), status.clone());
            assert_eq!(state(&server).status, status);
            assert_eq!(set_as(&server, USER, permanent).await, "Ok");
            assert_eq!(state(&server).status, after, "{status:?} {permanent}");
        }
    }
}

#[tokio::test]
async fn a_set_moves_the_modified_date_unless_a_test_says_otherwise() {
    let server = server();
    let long_ago = server.date() - HOUR;
    for keep in [false, true] {
        server.keep_modified_on_set(keep);
        server.set_created((POOL, USER), long_ago);
        server.set_modified((POOL, USER), long_ago);
        let before = server.date();
        assert_eq!(set_as(&server, USER, true).await, "Ok");
        let state = state(&server);
        assert_eq!(state.created, long_ago);
        assert_eq!(state.modified == long_ago, keep);
        assert_eq!(state.modified >= before, !keep);
    }
}

#[tokio::test]
async fn events_by_others_change_the_user_and_the_modified_date() {
    type Event = fn(&FaultServer);
    // After the event: the status, whether the user is enabled, and whether the user has a password.
    let cases: [(&str, Event, UserStatus, bool, bool); 7] = [
        (
            "reset",
            |server| server.reset_user(POOL, USER),
            UserStatus::ResetRequired,
            true,
            false,
        ),
        (
            "disabled",
            |server| server.disable_user(POOL, USER),
            UserStatus::Confirmed,
            false,
            true,
        ),
        (
            "disabled and enabled",
            |server| {
                server.disable_user(POOL, USER);
                server.enable_user(POOL, USER);
            },
            UserStatus::Confirmed,
            true,
            true,
        ),
        (
            "federated",
            |server| server.make_federated(POOL, USER),
            UserStatus::ExternalProvider,
            true,
            false,
        ),
        (
            "attributes written",
            |server| server.write_attributes(POOL, USER),
            UserStatus::Confirmed,
            true,
            true,
        ),
        (
            "set elsewhere",
            |server| server.set_elsewhere((POOL, USER), "elsewhere", true),
            UserStatus::Confirmed,
            true,
            true,
        ),
        (
            "temporary set elsewhere",
            |server| server.set_elsewhere((POOL, USER), "elsewhere", false),
            UserStatus::ForceChangePassword,
            true,
            true,
        ),
    ];
    for (what, event, status, enabled, has_password) in cases {
        let server = server();
        assert_eq!(set_as(&server, USER, true).await, "Ok");
        let before = state(&server);
        server.set_modified((POOL, USER), before.modified - HOUR);

        event(&server);
        let after = state(&server);
        assert_eq!(after.status, status, "{what}");
        assert_eq!(after.enabled, enabled, "{what}");
        assert_eq!(
            server.password_of(POOL, USER).is_some(),
            has_password,
            "{what}"
        );
        assert_eq!(
            (&after.sub, after.created),
            (&before.sub, before.created),
            "{what}: the same user"
        );
        assert!(after.modified >= before.modified, "{what}");
        assert_eq!(server.call_count(), 1, "{what}: not a call");
        assert_eq!(set_as(&server, USER, true).await, "Ok", "{what}");
    }
}

#[tokio::test]
async fn a_user_made_anew_is_another_user() {
    let server = server();
    server.set_history(5);
    assert_eq!(set_as(&server, USER, true).await, "Ok");
    let first = state(&server);
    server.delete_user(POOL, USER);
    assert_eq!(server.user_state(POOL, USER), None);
    assert_eq!(set_as(&server, USER, true).await, "UserNotFoundException");

    let mut subs = vec![first.sub];
    for (origin, status) in [
        (Origin::Administrator, UserStatus::ForceChangePassword),
        (Origin::SignUp, UserStatus::Unconfirmed),
        (Origin::ConfirmedSignUp, UserStatus::Confirmed),
    ] {
        let before = server.date();
        server.recreate_user(POOL, USER, origin);
        let again = state(&server);
        assert_eq!(again.status, status);
        assert!(again.enabled);
        assert!(again.created >= before && again.modified == again.created);
        assert_eq!(again.sub.len(), 36, "a UUID: {}", again.sub);
        assert!(!subs.contains(&again.sub), "the sub is new");
        let earlier = subs.last().expect("the first").clone();
        assert_eq!(
            set_as(&server, &earlier, true).await,
            "UserNotFoundException",
            "the sub of an earlier user"
        );
        subs.push(again.sub);
        assert_eq!(server.password_of(POOL, USER), None);
        // The history is empty, too.
        assert_eq!(set_as(&server, USER, true).await, "Ok");
    }
}

#[tokio::test]
async fn a_case_insensitive_pool_finds_the_user_in_any_case() {
    let server = server();
    assert_eq!(
        set_as(&server, "CI-Bot", true).await,
        "UserNotFoundException"
    );
    server.set_case_insensitive(POOL, true);
    assert_eq!(set_as(&server, "CI-Bot", true).await, "Ok");
    assert!(server.password_of(POOL, USER).is_some());
    let called: Vec<_> = server
        .calls()
        .into_iter()
        .map(|call| call.username)
        .collect();
    assert_eq!(called, ["CI-Bot", "CI-Bot"], "as it was asked");
}

#[tokio::test]
async fn a_set_finds_the_user_by_sub_and_by_alias() {
    let server = server();
    server.add_alias((POOL, USER), "ci@example.com");
    let sub = state(&server).sub;
    for name in [&*sub, "ci@example.com"] {
        assert_eq!(set_as(&server, name, true).await, "Ok", "{name}");
    }
    assert_eq!(server.password_log(POOL, USER).len(), 2);
}

#[tokio::test]
async fn a_disabled_user_is_refused_if_a_test_says_so() {
    let server = server();
    server.disable_user(POOL, USER);
    assert_eq!(set_as(&server, USER, true).await, "Ok");
    server.refuse_disabled(true);
    assert_eq!(set_as(&server, USER, true).await, "NotAuthorizedException");
    server.enable_user(POOL, USER);
    assert_eq!(set_as(&server, USER, true).await, "Ok");
}

#[tokio::test]
async fn sessions_begin_with_the_password_and_end_with_the_user() {
    let server = server();
    assert!(!server.begin_session(POOL, USER), "no password yet");
    assert_eq!(set_as(&server, USER, false).await, "Ok");
    assert!(!server.begin_session(POOL, USER), "a temporary password");

    let sdk = single_attempt_sdk(&server);
    set(&sdk, USER, "first-password").await.expect("a set");
    let before = Instant::now();
    assert!(server.begin_session(POOL, USER));
    set(&sdk, USER, "second-password").await.expect("a set");
    assert!(server.begin_session(POOL, USER));
    assert!(server.can_sign_in((POOL, USER), "second-password"));
    assert!(!server.can_sign_in((POOL, USER), "first-password"));
    let sessions = server.live_sessions(POOL, USER);
    let began_with: Vec<_> = sessions.iter().map(|session| &*session.password).collect();
    assert_eq!(began_with, ["first-password", "second-password"]);
    let in_order = |pair: &[Session]| pair[0].began <= pair[1].began;
    assert!(sessions[0].began >= before && sessions.windows(2).all(in_order));

    server.reset_user(POOL, USER);
    assert!(!server.can_sign_in((POOL, USER), "second-password"));
    assert_eq!(
        server.live_sessions(POOL, USER).len(),
        2,
        "a reset ends none"
    );
    server.disable_user(POOL, USER);
    assert_eq!(server.live_sessions(POOL, USER), []);
    assert!(!server.begin_session(POOL, USER), "a disabled user");

    server.enable_user(POOL, USER);
    set(&sdk, USER, "third-password").await.expect("a set");
    assert!(server.begin_session(POOL, USER));
    server.recreate_user(POOL, USER, Origin::Administrator);
    assert_eq!(server.live_sessions(POOL, USER), []);
}

/// The `Date` of the reply to any request.
fn replied_date(server: &FaultServer) -> Option<Timestamp> {
    let url = server.url();
    let (_, port) = url.rsplit_once(':').expect("a port");
    let reply = http::get_blocking(port.parse().expect("a number"), "/");
    let reply = String::from_utf8(reply.expect("a reply")).expect("a text");
    let (head, _) = reply.split_once("\r\n\r\n").expect("a head");
    let date = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("date").then_some(value)
    })?;
    let date = jiff::fmt::rfc2822::parse(date).expect("a date");
    Some(date.timestamp())
}

#[test]
fn replies_and_users_have_awss_clock() {
    let server = server();
    let seconds = |a: Timestamp, b: Timestamp| a.duration_since(b).as_secs();
    let date = replied_date(&server).expect("a Date");
    assert!(seconds(Timestamp::now(), date).abs() < 60, "{date}");

    server.set_clock_offset(-2 * HOUR);
    let date = replied_date(&server).expect("a Date");
    assert!(
        (seconds(Timestamp::now(), date) - 7_200).abs() < 60,
        "{date}"
    );
    server.recreate_user(POOL, USER, Origin::Administrator);
    let created = state(&server).created;
    assert!(seconds(created, date).abs() < 60, "{created}");
    let behind = Duration::try_from(Timestamp::now().duration_since(server.date()));
    assert!(behind.expect("behind") > Duration::from_mins(119));

    server.omit_date(true);
    assert_eq!(replied_date(&server), None);
}
