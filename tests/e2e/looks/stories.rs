//! The stories of many users, side by side: what others do to a user, what the operator says, and whether it sets.
//!
//! Each chapter is the life of one operator, whose passes begin at once:
//!
//! 1. All passwords are set.
//! 2. A look finds all users as the sets left them.
//! 3. Others change the users, and two looks say so.
//! 4. Some of that ends, and persons act.
//! 5. Nothing is forgotten, and nothing is written.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::{
    FIRST, LIST, MARGIN, SECOND, User, add_user, all, apply, backdate, merge_status, message, sent,
    start, user, wait_passes, wait_ready, wait_verified,
};
use crate::events::occurrences;
use crate::support::{Fault, Listing, Operation, Operator, Origin, UserStatus, condition};
use crate::world::{POOL, World};

const FINE: User = user("fine", POOL, "Report");
const RESET: User = user("reset", POOL, "Report");
const RESET_CORRECT: User = user("reset-correct", POOL, "Correct");
const TEMPORARY_ELSEWHERE: User = user("temporary-elsewhere", POOL, "Correct");
const DISABLED: User = user("disabled", POOL, "Correct");
const MADE_ANEW: User = user("made-anew", POOL, "Report");
const MADE_ANEW_CORRECT: User = user("made-anew-correct", POOL, "Correct");
const SIGNED_UP: User = user("signed-up", POOL, "Correct");
const CONFIRMED: User = user("confirmed", POOL, "Correct");
const UNCONFIRMED: User = user("unconfirmed", POOL, "Correct");
const FEDERATED: User = user("federated", POOL, "Correct");
const ALLOWED: User = user("allowed", POOL, "Correct");
const DELETED: User = user("deleted", POOL, "Correct");
/// Another owner sets this user's password each minute.
const SECOND_OWNER: User = user("second-owner", POOL, "Correct");
const ATTRIBUTES: User = user("attributes", POOL, "Correct");
const CONTESTED: User = user("contested", POOL, "Correct");
const TOO_SOON: User = user("too-soon", POOL, "Correct");
const SUSPENDED: User = user("suspended", POOL, "Correct");
/// In a case-insensitive pool, whose user is `ci-bot`.
const CASE: User = user("case", "eu-west-1_Insensitive", "Report");
/// Named by an alias, which `ListUsers` does not find.
const ALIAS: User = user("alias", POOL, "Correct");
const SUB: User = user("sub", POOL, "Report");
/// `ListUsers` shows the users of half a minute ago.
const LAGGING: User = user("lagging", "eu-west-1_Lagging", "Correct");
const DENIED: User = user("denied", "eu-west-1_Denied", "Report");
const THROTTLED: User = user("throttled", "eu-north-1_Throttled", "Report");
const EXPIRED: User = user("expired", "eu-west-1_ThreeDays", "Report");
const EXPIRED_BY_DEFAULT: User = user("expired-by-default", "eu-west-1_Unread", "Correct");
const NOT_EXPIRED: User = user("not-expired", "eu-west-1_SevenDays", "Report");
const CHOSE: User = user("chose", "eu-west-1_SevenDays", "Correct");
const TEMPORARY_ANEW: User = user("temporary-anew", "eu-west-1_SevenDays", "Correct");
/// Among strangers, in a pool whose pages are short, empty, or shift while they are read.
const AMONG: [User; 8] = [
    user("short-0", "eu-west-1_Short", "Report"),
    user("short-9", "eu-west-1_Short", "Report"),
    user("empty-0", "eu-west-1_Empty", "Report"),
    user("empty-9", "eu-west-1_Empty", "Report"),
    user("late-0", "eu-west-1_Late", "Report"),
    user("late-9", "eu-west-1_Late", "Report"),
    user("early-0", "eu-west-1_Early", "Report"),
    user("early-9", "eu-west-1_Early", "Report"),
];

const PERMANENT: [User; 24] = [
    FINE,
    RESET,
    RESET_CORRECT,
    TEMPORARY_ELSEWHERE,
    DISABLED,
    MADE_ANEW,
    MADE_ANEW_CORRECT,
    SIGNED_UP,
    CONFIRMED,
    UNCONFIRMED,
    FEDERATED,
    ALLOWED,
    DELETED,
    SECOND_OWNER,
    ATTRIBUTES,
    CONTESTED,
    TOO_SOON,
    SUSPENDED,
    CASE,
    ALIAS,
    SUB,
    LAGGING,
    DENIED,
    THROTTLED,
];

/// With the age of the set.
const TEMPORARY: [(User, i64); 5] = [
    (EXPIRED, 4),
    (EXPIRED_BY_DEFAULT, 8),
    (NOT_EXPIRED, 4),
    (CHOSE, 1),
    (TEMPORARY_ANEW, 1),
];

/// The lag of the lagging pool.
const LAG: Duration = Duration::from_secs(30);

fn everybody() -> Vec<User> {
    let temporary = TEMPORARY.map(|(user, _)| user);
    [&PERMANENT[..], &temporary, &AMONG].concat()
}

fn pools() -> Vec<&'static str> {
    let mut pools: Vec<_> = everybody().iter().map(|user| user.pool).collect();
    pools.sort_unstable();
    pools.dedup();
    pools
}

/// The name in Cognito.
fn username(world: &World<'_>, user: &User) -> String {
    match user.name {
        "case" => "CI-Bot".to_owned(),
        "alias" => "alias@example.com".to_owned(),
        "sub" => {
            let state = world.cognito.user_state(user.pool, user.name);
            state.expect("the user").sub
        }
        name => name.to_owned(),
    }
}

/// Users, strangers and pools.
fn populate(world: &World<'_>) {
    let cognito = &world.cognito;
    for user in everybody() {
        match user.name {
            "case" => add_user(world, (user.pool, "ci-bot")),
            _ => add_user(world, user.key()),
        }
    }
    cognito.set_case_insensitive(CASE.pool, true);
    cognito.add_alias(ALIAS.key(), "alias@example.com");
    for user in AMONG.iter().step_by(2) {
        for number in 0..20 {
            add_user(world, (user.pool, &format!("person-{number}")));
        }
    }
    let listing = |page_size, empty_pages, shift| Listing {
        page_size,
        empty_pages,
        shift,
        lag: Duration::ZERO,
    };
    cognito.set_listing("eu-west-1_Short", listing(3, 0, 0));
    cognito.set_listing("eu-west-1_Empty", listing(60, 2, 0));
    cognito.set_listing("eu-west-1_Late", listing(5, 0, 4));
    cognito.set_listing("eu-west-1_Early", listing(5, 0, -3));
    let lagging = Listing {
        lag: LAG,
        ..Listing::default()
    };
    cognito.set_listing(LAGGING.pool, lagging);
    cognito.set_temporary_validity_days(EXPIRED.pool, Some(3));
    let describe = Operation::DescribeUserPool;
    let denied = Fault::denied(describe);
    cognito
        .of(describe)
        .always_in(EXPIRED_BY_DEFAULT.pool, denied);
}

/// Chapter 1.
async fn set_all(world: &World<'_>) {
    populate(world);
    for user in everybody() {
        let username = username(world, &user);
        apply(world, &user, |resource| {
            resource["spec"]["username"] = json!(username);
            let is_temporary = TEMPORARY.iter().any(|(it, _)| it.name == user.name);
            resource["spec"]["permanent"] = json!(!is_temporary);
            if user.name == ALLOWED.name {
                resource["spec"]["federatedUser"] = json!("Allow");
            }
        })
        .await;
    }
    let _operator = start(world, &[]).await;
    for user in everybody() {
        wait_ready(world, user.name, "True", "PasswordSet").await;
    }
}

/// Moves the sets into the past.
async fn age(world: &World<'_>) {
    for user in everybody() {
        let days = TEMPORARY.iter().find(|(it, _)| it.name == user.name);
        let ago = days.map_or(SignedDuration::from_hours(1), |(_, days)| {
            SignedDuration::from_hours(24 * days + 2)
        });
        let stored = if user.name == CASE.name {
            "ci-bot"
        } else {
            user.name
        };
        backdate(world, user.name, (user.pool, stored), ago).await;
    }
    let ago = |hours| (Timestamp::now() - SignedDuration::from_hours(hours)).to_string();
    let four = json!({ "corrections": { "count": 4, "at": ago(24) } });
    merge_status(world, CONTESTED.name, four).await;
    let one = json!({ "corrections": { "count": 1, "at": ago(0) } });
    merge_status(world, TOO_SOON.name, one).await;
}

/// Chapter 2.
async fn see_all(world: &World<'_>) {
    let cognito = &world.cognito;
    cognito.of(LIST).always_in(DENIED.pool, Fault::denied(LIST));
    let suspend = json!({ "spec": { "suspend": true } });
    world.patch_resource(SUSPENDED.name, suspend).await;
    let operator = start(world, &[]).await;
    for user in everybody() {
        match user.name {
            "alias" => {
                let said = wait_verified(world, "alias", "Unknown", "NotSeen").await;
                assert!(said.contains("may be an alias"), "{said}");
            }
            "denied" => {
                let said = wait_verified(world, "denied", "Unknown", "AccessDenied").await;
                assert!(said.contains("allow cognito-idp:ListUsers"), "{said}");
                assert!(said.contains("rests on the operator's record"), "{said}");
            }
            "suspended" | "expired" | "expired-by-default" => {}
            name => drop(wait_verified(world, name, "True", "UserSeen").await),
        }
    }
    for user in [ALIAS, DENIED] {
        wait_ready(world, user.name, "True", "PasswordSet").await;
    }
    wait_passes(&operator, &pools()).await;
    assert_eq!(world.status(CASE.name).await["foundAs"], "ci-bot");
    assert_eq!(world.status(SUB.name).await["foundAs"], "sub");
    world.cognito.of(LIST).heal();
}

/// Others act between chapters 2 and 3.
fn others_act(world: &World<'_>) {
    let cognito = &world.cognito;
    for user in [
        RESET,
        RESET_CORRECT,
        CONTESTED,
        TOO_SOON,
        SUSPENDED,
        LAGGING,
    ] {
        cognito.reset_user(user.pool, user.name);
    }
    cognito.reset_user(CASE.pool, "ci-bot");
    cognito.reset_user(ALIAS.pool, ALIAS.name);
    cognito.set_elsewhere(TEMPORARY_ELSEWHERE.key(), "Temp0rary-Elsewhere", false);
    cognito.disable_user(POOL, DISABLED.name);
    for (user, origin) in [
        (MADE_ANEW, Origin::Administrator),
        (MADE_ANEW_CORRECT, Origin::Administrator),
        (TEMPORARY_ANEW, Origin::Administrator),
        (SIGNED_UP, Origin::SignUp),
        (CONFIRMED, Origin::ConfirmedSignUp),
    ] {
        cognito.recreate_user(user.pool, user.name, origin);
    }
    cognito.set_status(UNCONFIRMED.key(), UserStatus::Unconfirmed);
    for user in [FEDERATED, ALLOWED] {
        cognito.make_federated(POOL, user.name);
    }
    cognito.delete_user(POOL, DELETED.name);
    cognito.write_attributes(POOL, ATTRIBUTES.name);
    cognito.change_password(CHOSE.pool, CHOSE.name, "Chosen-By-The-Us3r");
    second_owner_acts(world);
    cognito
        .of(LIST)
        .always_in(THROTTLED.pool, Fault::throttled());
}

fn second_owner_acts(world: &World<'_>) {
    world
        .cognito
        .set_elsewhere(SECOND_OWNER.key(), "Of-The-Second-0wner", true);
}

/// What chapter 3 says, and whether `Correct` will set by itself.
const SAID: [(User, &str, &str); 12] = [
    (RESET, "False", "PasswordReset"),
    (CASE, "False", "PasswordReset"),
    (DISABLED, "False", "UserDisabled"),
    (MADE_ANEW, "False", "UserRecreated"),
    (SIGNED_UP, "False", "UserRecreated"),
    (CONFIRMED, "False", "UserRecreated"),
    (UNCONFIRMED, "False", "UserUnconfirmed"),
    (FEDERATED, "False", "FederatedUser"),
    (DELETED, "False", "UserGone"),
    (CONTESTED, "False", "Contested"),
    (TOO_SOON, "False", "PasswordReset"),
    (EXPIRED, "False", "TemporaryPasswordExpired"),
];

const CORRECTED: [User; 4] = [
    RESET_CORRECT,
    TEMPORARY_ELSEWHERE,
    MADE_ANEW_CORRECT,
    TEMPORARY_ANEW,
];

/// Whose resource stays Ready whatever happened, without a second set.
const UNTOUCHED: [User; 7] = [
    FINE,
    ALLOWED,
    SECOND_OWNER,
    ATTRIBUTES,
    ALIAS,
    THROTTLED,
    CHOSE,
];

/// Chapter 3.
async fn say_all(world: &World<'_>) {
    let operator = start(world, &[]).await;
    let began = Instant::now();
    for (user, status, reason) in SAID {
        let said = wait_ready(world, user.name, status, reason).await;
        wait_verified(world, user.name, "False", reason).await;
        assert_eq!(sent(world, user.key_of(world)).len(), 1, "{}", user.name);
        let synced = &said.data["status"]["synced"];
        assert!(synced.is_object(), "{}: it is what was set", user.name);
    }
    assert!(began.elapsed() >= MARGIN, "one look proves nothing");
    let said = wait_ready(
        world,
        EXPIRED_BY_DEFAULT.name,
        "False",
        "TemporaryPasswordExpired",
    )
    .await;
    let said = message(&said, "Ready");
    assert!(
        said.contains("if the pool's policy is Cognito's default"),
        "{said}"
    );
    let said = message(&world.resource(EXPIRED.name).await, "Ready");
    assert!(!said.contains("default"), "{said}");
    let said = message(&world.resource(TOO_SOON.name).await, "Ready");
    assert!(said.contains("at growing intervals"), "{said}");
    for user in CORRECTED {
        wait_ready(world, user.name, "True", "PasswordSet").await;
        world
            .wait_for(user.name, "corrected", |bot| {
                bot.data["status"]["corrections"]["count"] == 1
            })
            .await;
        assert_eq!(sent(world, user.key()), [FIRST, FIRST], "{}", user.name);
    }
    second_owner_acts(world);
    let denied = wait_verified(world, DENIED.name, "True", "UserSeen").await;
    assert!(denied.contains("found the user"), "{denied}");
    wait_passes(&operator, &[THROTTLED.pool]).await;
    for user in UNTOUCHED {
        let resource = wait_ready(world, user.name, "True", "PasswordSet").await;
        assert_eq!(sent(world, user.key_of(world)), [FIRST], "{}", user.name);
        if user.name != ALIAS.name {
            assert_eq!(verified(&resource), Some("True"), "{}", user.name);
        }
    }
    assert_eq!(sent(world, SUSPENDED.key()), [FIRST]);
    assert!(condition(&world.resource(SUSPENDED.name).await, "Suspended").is_some());
    world.fence_events().await;
    for user in CORRECTED {
        let events = world.events(user.name, "Corrected").await;
        assert_eq!(occurrences(&events), 1, "{}: {events:#?}", user.name);
    }
    // A hint about another password that somebody may have set, once for each time.
    for user in [ATTRIBUTES, SECOND_OWNER, CHOSE] {
        let events = world.events(user.name, "UserModified").await;
        assert_eq!(occurrences(&events), 1, "{}: {events:#?}", user.name);
    }
    for user in AMONG
        .iter()
        .chain(&[FINE, RESET, DISABLED, LAGGING, NOT_EXPIRED])
    {
        let events = world.events(user.name, "UserModified").await;
        assert_eq!(events, [], "{}", user.name);
    }
    drop(operator);
}

fn verified(resource: &DynamicObject) -> Option<&str> {
    condition(resource, "Verified")?["status"].as_str()
}

/// Persons act between chapters 3 and 4, and in chapter 4.
async fn persons_act(world: &World<'_>) -> Operator {
    let cognito = &world.cognito;
    cognito.of(LIST).heal();
    cognito.enable_user(POOL, DISABLED.name);
    // Whoever was reset has chosen a password, which is not the Secret's.
    cognito.change_password(POOL, RESET.name, "Chosen-By-The-Us3r");
    cognito.recreate_user(POOL, DELETED.name, Origin::ConfirmedSignUp);
    second_owner_acts(world);
    let operator = start(world, &[]).await;

    wait_ready(world, DISABLED.name, "True", "PasswordSet").await;
    wait_verified(world, DISABLED.name, "True", "UserSeen").await;
    // A new value in the Secret is no consent where the user may be a stranger.
    for user in [SIGNED_UP, CONFIRMED, UNCONFIRMED, FEDERATED] {
        world.apply_secret(user.name, "password", SECOND).await;
    }
    // Where the user is the same, it ends the stall.
    for user in [RESET, CASE, CONTESTED] {
        world.apply_secret(user.name, "password", SECOND).await;
        wait_ready(world, user.name, "True", "PasswordSet").await;
        assert_eq!(
            sent(world, user.key_of(world)),
            [FIRST, SECOND],
            "{}",
            user.name
        );
    }
    for user in [MADE_ANEW, TOO_SOON, EXPIRED] {
        world.request(user.name, "one").await;
        wait_ready(world, user.name, "True", "PasswordSet").await;
        assert_eq!(sent(world, user.key()), [FIRST, FIRST], "{}", user.name);
    }
    // Two looks again.
    wait_ready(world, DELETED.name, "False", "UserRecreated").await;
    assert_eq!(sent(world, DELETED.key()), [FIRST], "a stranger's account");
    world
        .wait_for(LAGGING.name, "corrected", |bot| {
            bot.data["status"]["corrections"]["count"] == 1
        })
        .await;
    wait_ready(world, LAGGING.name, "True", "PasswordSet").await;
    world.fence().await;
    for (user, reason) in [
        (SIGNED_UP, "UserRecreated"),
        (CONFIRMED, "UserRecreated"),
        (UNCONFIRMED, "UserUnconfirmed"),
        (FEDERATED, "FederatedUser"),
    ] {
        wait_ready(world, user.name, "False", reason).await;
        assert_eq!(sent(world, user.key()), [FIRST], "{}", user.name);
    }
    // A person's word.
    for user in [SIGNED_UP, UNCONFIRMED] {
        world.request(user.name, "one").await;
        wait_ready(world, user.name, "True", "PasswordSet").await;
        assert_eq!(sent(world, user.key()), [FIRST, SECOND], "{}", user.name);
    }
    operator
}

impl User {
    /// The name in calls of Cognito.
    fn key_of(&self, world: &World<'_>) -> (&'static str, String) {
        (self.pool, username(world, self))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_do_to_users_is_said_after_two_looks_and_corrected_only_where_that_is_safe() {
    let world = World::new("looks").await;
    set_all(&world).await;
    age(&world).await;
    see_all(&world).await;
    others_act(&world);
    say_all(&world).await;
    let operator = persons_act(&world).await;
    drop(operator);

    // Chapter 5. A look finds the users who were set in chapters 3 and 4, if that is long enough ago.
    second_owner_acts(&world);
    let at_rest: Vec<_> = (everybody().into_iter())
        .filter(|user| sent(&world, user.key_of(&world)).len() == 1)
        .collect();
    assert!(at_rest.len() > AMONG.len() + UNTOUCHED.len());
    let statuses =
        async || -> Vec<Value> { all(at_rest.iter().map(|user| world.status(user.name))).await };
    let before = statuses().await;
    let mark = world.mark();
    let calls = world.cognito.call_count();
    let operator = start(&world, &[]).await;
    let mut pools: Vec<_> = at_rest.iter().map(|user| user.pool).collect();
    pools.sort_unstable();
    pools.dedup();
    wait_passes(&operator, &pools).await;
    world.fence().await;
    let mut writes = world.status_writes(mark);
    writes.retain(|write| {
        let is = |user: &User| write.pointer("/objectRef/name") == Some(&json!(user.name));
        at_rest.iter().any(is)
    });
    assert!(writes.is_empty(), "{writes:#?}");
    assert_eq!(statuses().await, before);
    assert_eq!(world.cognito.call_count(), calls + 2, "the fence's two");
    assert_eq!(sent(&world, SECOND_OWNER.key()), [FIRST]);
    assert_eq!(world.cognito.max_in_flight_per_user(), 1);
}
