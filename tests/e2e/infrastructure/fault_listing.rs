//! `ListUsers` of the fault server, called by the real SDK.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_cognitoidentityprovider::error::ProvideErrorMetadata;
use aws_sdk_cognitoidentityprovider::operation::list_users::ListUsersOutput;
use aws_sdk_cognitoidentityprovider::types::UserStatusType;
use jiff::SignedDuration;

use super::sdk::{POOL, SOON, USER, server, single_attempt_sdk};
use crate::support::{
    FaultServer, Listing, Operation, Origin, OtherCall, Outcome, Subject, UserStatus, eventually,
};

/// Users without the one of [`server`].
const USERS: usize = 24;

/// A server with 25 users.
fn crowd() -> FaultServer {
    let server = server();
    for number in 0..USERS {
        server.add_user(POOL, &format!("user-{number:02}"));
    }
    server
}

async fn list(
    server: &FaultServer,
    filter: Option<&str>,
    (limit, token): (i32, Option<&str>),
) -> Result<ListUsersOutput, String> {
    let request = single_attempt_sdk(server).list_users();
    let reply = request
        .user_pool_id(POOL)
        .attributes_to_get("sub")
        .limit(limit)
        .set_filter(filter.map(str::to_owned))
        .set_pagination_token(token.map(str::to_owned))
        .send()
        .await;
    reply.map_err(|error| error.code().unwrap_or("no code").to_owned())
}

fn names(page: &ListUsersOutput) -> Vec<&str> {
    let users = page.users().iter();
    users.filter_map(|user| user.username()).collect()
}

/// The usernames of every page.
async fn sweep(server: &FaultServer, limit: i32) -> Vec<Vec<String>> {
    let (mut pages, mut token) = (Vec::new(), None);
    loop {
        let page = list(server, None, (limit, token.as_deref())).await;
        let page = page.expect("a page");
        pages.push(names(&page).into_iter().map(str::to_owned).collect());
        token = page.pagination_token().map(str::to_owned);
        assert!(pages.len() < 100, "the pages never end: {pages:?}");
        if token.is_none() {
            return pages;
        }
    }
}

fn sizes(pages: &[Vec<String>]) -> Vec<usize> {
    pages.iter().map(Vec::len).collect()
}

fn distinct(pages: &[Vec<String>]) -> usize {
    pages.iter().flatten().collect::<BTreeSet<_>>().len()
}

/// The usernames that a lookup finds.
async fn find(server: &FaultServer, filter: &str) -> Result<Vec<String>, String> {
    let page = list(server, Some(filter), (60, None)).await?;
    Ok(names(&page).into_iter().map(str::to_owned).collect())
}

#[tokio::test]
async fn a_row_has_the_sub_the_dates_and_the_state() {
    let server = server();
    server.set_elsewhere((POOL, USER), "some-password", true);
    let created = server.date() - SignedDuration::from_hours(24);
    server.set_created((POOL, USER), created);
    server.set_status((POOL, USER), UserStatus::Other("PAUSED".to_owned()));
    server.disable_user(POOL, USER);
    let state = server.user_state(POOL, USER).expect("the user exists");

    let page = list(&server, None, (60, None)).await.expect("a page");
    let [user] = page.users() else {
        panic!("one user: {page:?}");
    };
    assert_eq!(user.username(), Some(USER));
    let [sub] = user.attributes() else {
        panic!("one attribute: {user:?}");
    };
    assert_eq!((sub.name(), sub.value()), ("sub", Some(&*state.sub)));
    assert_eq!(user.user_status(), Some(&UserStatusType::from("PAUSED")));
    assert!(!user.enabled());
    for (told, date) in [
        (user.user_create_date(), state.created),
        (user.user_last_modified_date(), state.modified),
    ] {
        let told = told.expect("a date").to_millis().expect("a time");
        // The number is binary, so the SDK rounds it.
        assert!((told - date.as_millisecond()).abs() <= 1, "{told} {date}");
    }
    assert_eq!(page.pagination_token(), None);
}

#[tokio::test]
async fn pages_have_all_users_once() {
    let server = crowd();
    for (limit, wanted) in [(60, vec![25]), (25, vec![25]), (10, vec![10, 10, 5])] {
        let pages = sweep(&server, limit).await;
        assert_eq!(sizes(&pages), wanted);
        assert_eq!(distinct(&pages), 25);
    }
    for limit in [61, 1_000] {
        let refused = list(&server, None, (limit, None)).await;
        assert_eq!(refused.expect_err("too many"), "InvalidParameterException");
    }
    for token in ["zz", "00", "5b5d"] {
        let refused = list(&server, None, (60, Some(token))).await;
        assert_eq!(refused.expect_err("no token"), "InvalidParameterException");
    }
}

#[tokio::test]
async fn pages_are_short_empty_or_shifted_as_scripted() {
    let server = crowd();
    let script = |listing: Listing| server.set_listing(POOL, listing);
    script(Listing {
        page_size: 20,
        ..Listing::default()
    });
    assert_eq!(sizes(&sweep(&server, 60).await), [20, 5], "short pages");

    script(Listing {
        page_size: 20,
        empty_pages: 2,
        ..Listing::default()
    });
    let pages = sweep(&server, 60).await;
    assert_eq!(sizes(&pages), [0, 0, 20, 0, 0, 5], "empty pages");
    assert_eq!(distinct(&pages), 25);
    let lookup = list(&server, Some("username = \"ci-bot\""), (1, None)).await;
    let lookup = lookup.expect("a page");
    assert_eq!(names(&lookup), [""; 0]);
    assert!(lookup.pagination_token().is_some(), "a lookup, too");

    script(Listing {
        shift: 1,
        ..Listing::default()
    });
    let pages = sweep(&server, 10).await;
    assert_eq!(sizes(&pages), [10, 10, 3], "a user is on no page, twice");
    assert_eq!(distinct(&pages), 23);

    script(Listing {
        shift: -1,
        ..Listing::default()
    });
    let pages = sweep(&server, 10).await;
    assert_eq!(sizes(&pages), [10, 10, 7], "a user is on two pages, twice");
    assert_eq!(distinct(&pages), 25);
    // However small the pages are, they end.
    assert_eq!(distinct(&sweep(&server, 1).await), 25);
}

#[tokio::test]
async fn filters_find_one_user_by_username_or_sub() {
    let server = server();
    for odd in [r#"quo"ted"#, r"back\slash", r#"\""#, "in = side"] {
        server.add_user(POOL, odd);
        let escaped = odd.replace('\\', r"\\").replace('"', r#"\""#);
        let found = find(&server, &format!("username = \"{escaped}\"")).await;
        assert_eq!(found, Ok(vec![odd.to_owned()]), "{escaped}");
    }
    let sub = server.user_state(POOL, USER).expect("the user exists").sub;
    let found = find(&server, &format!("sub=\"{sub}\"")).await;
    assert_eq!(found, Ok(vec![USER.to_owned()]));

    server.set_case_insensitive(POOL, true);
    server.add_alias((POOL, USER), "ci@example.com");
    for nobody in [
        "username = \"CI-Bot\"".to_owned(),
        "username = \"ci@example.com\"".to_owned(),
        "username = \"ci\"".to_owned(),
        format!("username = \"{sub}\""),
        "sub = \"ci-bot\"".to_owned(),
    ] {
        assert_eq!(find(&server, &nobody).await, Ok(vec![]), "{nobody}");
    }
    for invalid in [
        "username = ci-bot",
        "username = \"ci-bot",
        "username = \"ci\"bot\"",
        "username = \"ci\\bot\"",
        "username ^= \"ci\"",
        "email = \"ci@example.com\"",
        "ci-bot",
    ] {
        let refused = Err("InvalidParameterException".to_owned());
        assert_eq!(find(&server, invalid).await, refused, "{invalid}");
    }
}

#[tokio::test]
async fn other_attributes_than_sub_and_other_pools_are_refused() {
    let server = server();
    let sdk = single_attempt_sdk(&server);
    let request = || sdk.list_users().user_pool_id(POOL);
    for request in [
        request(),
        request().attributes_to_get("email"),
        request()
            .attributes_to_get("sub")
            .attributes_to_get("email"),
    ] {
        let refused = request.send().await.expect_err("more than sub");
        assert_eq!(refused.code(), Some("InvalidParameterException"));
    }
    let elsewhere = sdk.list_users().user_pool_id("eu-west-1_Unknown");
    let refused = elsewhere.attributes_to_get("sub").send().await;
    let refused = refused.expect_err("no pool");
    assert_eq!(refused.code(), Some("ResourceNotFoundException"));
}

#[tokio::test]
async fn listing_lags_behind_events_but_not_behind_fixtures() {
    let server = server();
    let lag = |lag: Duration| {
        let listing = Listing {
            lag,
            ..Listing::default()
        };
        server.set_listing(POOL, listing);
    };
    server.add_user(POOL, "deleted");
    lag(Duration::from_hours(1));
    let first = server.user_state(POOL, USER).expect("the user exists").sub;
    server.add_user(POOL, "old");
    server.delete_user(POOL, "deleted");
    server.recreate_user(POOL, "new", Origin::Administrator);
    server.recreate_user(POOL, USER, Origin::SignUp);
    let second = server.user_state(POOL, USER).expect("the user exists").sub;

    let earlier = [
        (None, "ci-bot deleted old"),
        (Some("username = \"new\"".to_owned()), ""),
        (Some("username = \"deleted\"".to_owned()), "deleted"),
        (Some(format!("sub = \"{first}\"")), USER),
        (Some(format!("sub = \"{second}\"")), ""),
    ];
    let later = [
        (None, "ci-bot new old"),
        (Some("username = \"new\"".to_owned()), "new"),
        (Some("username = \"deleted\"".to_owned()), ""),
        (Some(format!("sub = \"{first}\"")), ""),
        (Some(format!("sub = \"{second}\"")), USER),
    ];
    for (filter, wanted) in earlier {
        let page = list(&server, filter.as_deref(), (60, None)).await;
        assert_eq!(
            names(&page.expect("a page")).join(" "),
            wanted,
            "{filter:?}"
        );
    }
    lag(Duration::from_millis(50));
    for (filter, wanted) in later {
        eventually(SOON, async || {
            let page = list(&server, filter.as_deref(), (60, None)).await?;
            let found = names(&page).join(" ");
            (found == wanted).then_some(()).ok_or(found)
        })
        .await;
    }
}

#[tokio::test]
async fn every_call_is_in_the_record_and_can_be_waited_for() {
    let server = server();
    server.set_listing(
        POOL,
        Listing {
            empty_pages: 1,
            ..Listing::default()
        },
    );
    sweep(&server, 60).await;
    for filter in ["username = \"a\\\"b\"", "sub = \"c\""] {
        find(&server, filter).await.expect("a page");
    }
    let list_users = Operation::ListUsers;
    server.wait_for_calls_of(list_users, 4, SOON).await;
    let all_answered = |calls: &[OtherCall]| {
        let answered = calls.iter().filter(|call| call.ended.is_some());
        answered.count() == 4
    };
    server
        .wait_until_of(list_users, "four answers", SOON, all_answered)
        .await;
    let calls = server.list_calls();
    let subjects: Vec<_> = calls.iter().map(|call| call.subject.clone()).collect();
    assert_eq!(
        subjects,
        [
            Subject::Page { is_first: true },
            Subject::Page { is_first: false },
            Subject::Username("a\"b".to_owned()),
            Subject::Sub("c".to_owned()),
        ]
    );
    for call in &calls {
        assert_eq!((&*call.pool, &call.outcome), (POOL, &Outcome::Applied));
        assert_eq!((&*call.access_key, &*call.region), ("test", "us-east-1"));
        assert!(call.user_agent.contains("aws-sdk-rust"), "{call:?}");
    }
    assert_eq!(server.call_count(), 0, "not a set");
    assert_eq!(server.count_of(list_users), 4);
}

#[tokio::test]
async fn ten_thousand_users_are_on_167_pages() {
    let server = FaultServer::start();
    for number in 0..10_000 {
        server.add_user(POOL, &format!("user-{number:05}"));
    }
    let pages = sweep_largest(&server).await;
    assert_eq!(pages, 167);
    let found = find(&server, "username = \"user-09999\"").await;
    assert_eq!(found, Ok(vec!["user-09999".to_owned()]));
}

/// The number of pages of a pool; every user must be on a page.
async fn sweep_largest(server: &FaultServer) -> usize {
    let (mut count, mut users, mut token) = (0, 0, None);
    loop {
        let page = list(server, None, (60, token.as_deref())).await;
        let page = page.expect("a page");
        count += 1;
        users += page.users().len();
        token = page.pagination_token().map(str::to_owned);
        if token.is_none() {
            assert_eq!(users, 10_000);
            return count;
        }
    }
}
