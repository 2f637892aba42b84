//! A call or write that hangs takes no slot and no permit from other resources. A pause is not made up for by
//! a burst afterwards.

use std::time::Duration;

use futures::future::join_all;
use kube::api::{DynamicObject, ListParams};
use rstest::rstest;
use serde_json::{Value, json};

use super::world::{Hung, POOL, SOON, World, while_call_hangs};
use crate::support::{
    AssumeRole, Call, Fault, HoldRule, Kind, Moment, Operator, OperatorBuilder, Outcome, condition,
    most_calls_in_a_second, resources,
};

/// The operator's default limits.
const RPS: usize = 10;
const BURST: usize = 10;

const FIRST: &str = "First-Passw0rd";

/// A role whose STS answers.
const OTHER_ROLE: &str = "arn:aws:iam::444455556666:role/other";

#[tokio::test(flavor = "multi_thread")]
async fn the_rate_limit_holds_in_the_second_after_a_pause() {
    let world = World::new("pause").await;
    let (proxy, kubeconfig) = world.proxy();
    let names: Vec<_> = (0..60).map(|n| format!("bot-{n}")).collect();
    join_all(names.iter().map(|name| async {
        world.cognito.add_user(POOL, name);
        world.apply_secret(name, "password", "Passw0rd-1").await;
        world.apply_resource(name, |_| ()).await;
    }))
    .await;
    let mut holds: Vec<_> = (0..BURST)
        .map(|_| proxy.hold(Kind::Attempt, Moment::Before))
        .collect();
    let builder = world.builder().kubeconfig(&kubeconfig);
    let _operator = builder.start().await;
    // The permits of a whole burst are given out, and every holder waits for the API server.
    let held = join_all(holds.iter_mut().map(HoldRule::caught)).await;
    // The bucket fills up only as time passes. No condition shows the number of tokens.
    tokio::time::sleep(Duration::from_secs(2)).await;
    for held in held {
        held.let_go();
    }
    for name in &names {
        world.wait_set(name, "Passw0rd-1").await;
    }
    let most = most_calls_in_a_second(&world.cognito.calls());
    assert!(most <= RPS + BURST, "{most} calls in one second");
}

/// Regions with a Cognito that hangs, and the number of users in each: together more than there are slots.
const REGIONS: [&str; 4] = ["eu-west-1", "eu-west-2", "eu-west-3", "eu-north-1"];
const USERS: usize = 16;

/// The number of calls that hang before the next Region's Secret changes: more than there are slots.
const HANGING: usize = 33;

#[tokio::test(flavor = "multi_thread")]
async fn hanging_regions_leave_slots_and_permits_to_another_region() {
    let world = World::new("hanging").await;
    let cognito = &world.cognito;
    let next = ("us-east-1_Works".to_owned(), "next".to_owned());
    let pools = REGIONS.map(|region| format!("{region}_Hangs"));
    let hanging: Vec<_> = pools.iter().flat_map(|pool| users(pool)).collect();
    // All hanging resources share one Secret, so they all change at the same time.
    for secret in ["hanging", "next"] {
        world.apply_secret(secret, "password", FIRST).await;
    }
    for (pool, name) in hanging.iter().chain([&next]) {
        cognito.add_user(pool, name);
        let secret = if pool == &next.0 { "next" } else { "hanging" };
        let of_pool = |it: &mut Value| {
            it["spec"]["userPoolId"] = json!(pool);
            it["spec"]["passwordSecretRef"]["name"] = json!(secret);
        };
        world.apply_resource(name, of_pool).await;
    }
    let all_set = async |value: &str| {
        for (pool, name) in hanging.iter().chain([&next]) {
            settled(&world, (pool, name), value).await;
        }
    };
    let _operator = started(world.builder()).await;
    all_set(FIRST).await;
    while_call_hangs(async |number| {
        let value = &*format!("Passw0rd-of-{number}");
        for (pool, name) in &hanging {
            cognito.always_for((pool, name), Fault::HangBefore);
        }
        let before = cognito.call_count();
        world.apply_secret("hanging", "password", value).await;
        // Once the operator has given up the first calls, fewer calls hang at a time.
        let hang = |calls: &[Call]| {
            let calls = &calls[before..];
            let in_flight = |call: &&Call| matches!(call.outcome, Outcome::InFlight { .. });
            let hanging = calls.iter().filter(in_flight).count();
            hanging >= HANGING || calls.iter().any(|call| call.abandoned)
        };
        cognito.wait_until("calls that hang", SOON, hang).await;
        world.apply_secret("next", "password", value).await;
        let user = (&*next.0, &*next.1);
        cognito.wait_for_password(user, value, SOON).await;

        let calls = cognito.calls().split_off(before);
        cognito.heal();
        cognito.release();
        all_set(value).await;
        let of_next = calls.iter().find(|call| call.pool == next.0);
        let arrived = of_next.expect("its password was set").arrived;
        let hung_then = |call: &&Call| {
            pools.contains(&call.pool)
                && call.arrived < arrived
                && call.ended.is_none_or(|ended| ended > arrived)
        };
        match calls.iter().filter(hung_then).count() {
            HANGING.. => Hung::LongEnough,
            _ => Hung::TooShort,
        }
    })
    .await;
}

/// The users of a pool.
fn users(pool: &str) -> impl Iterator<Item = (String, String)> {
    let name = |n| format!("{}-{n}", pool.to_lowercase().replace('_', "-"));
    (0..USERS).map(move |n| (pool.to_owned(), name(n)))
}

/// Waits until this is the user's password and the status says so.
async fn settled(world: &World<'_>, (pool, name): (&str, &str), password: &str) {
    let what = format!("set to {password:?}");
    world
        .wait_for(name, &what, |resource| {
            world.says_set(pool, resource, password)
        })
        .await;
}

/// Starts an operator whose calls need not wait for permits.
async fn started(builder: OperatorBuilder<'_>) -> Operator {
    let limits = ["--cognito-rps=1000", "--cognito-burst=1000"];
    let builder = limits.into_iter().fold(builder, OperatorBuilder::arg);
    let operator = builder.start().await;
    operator.wait_ready(SOON).await;
    operator
}

/// Each case has more resources than there are slots.
#[rstest]
#[case::one_role(1, 33)]
#[case::ten_roles(10, 4)]
#[tokio::test(flavor = "multi_thread")]
async fn roles_whose_sts_hangs_delay_no_other_resource(#[case] roles: usize, #[case] each: usize) {
    let (own, _turn) = World::alone("own").await;
    let other = own.neighbour("other").await;
    let mut hanging = Vec::new();
    for _ in 0..roles {
        hanging.push(own.neighbour("hanging").await);
    }
    let cognito = &own.cognito;
    // The operator does not use a session again that ends so soon, so each set asks STS for a new session.
    cognito.allow_role_for(OTHER_ROLE, None, Duration::from_secs(30));
    other.grant(by_role(OTHER_ROLE)).await;
    let _operator = started(own.cluster_wide()).await;
    own.in_sync("own", FIRST).await;
    other.in_sync("other", FIRST).await;
    for world in &hanging {
        world.apply_secret("shared", "password", FIRST).await;
        for name in names(world, each) {
            cognito.add_user(POOL, &name);
            let of_all = |it: &mut Value| it["spec"]["passwordSecretRef"]["name"] = json!("shared");
            world.apply_resource(&name, of_all).await;
        }
    }
    all_set(&hanging, each, FIRST).await;

    // The operator waits 2 s for STS. Then the statuses report the failure, and other resources get the
    // slots.
    while_call_hangs(async |number| {
        let value = &*format!("Passw0rd-of-{number}");
        let role = |world: &World<'_>| {
            format!(
                "arn:aws:iam::111122223333:role/{}-{number}",
                world.namespace
            )
        };
        // Roles for which the operator has no session.
        for world in &hanging {
            cognito.hang_role(&role(world));
            world.grant(by_role(&role(world))).await;
        }
        let asked = |all: &[AssumeRole]| {
            let is_asked = |role: String| all.iter().any(|asked| asked.arn == role);
            hanging.iter().map(role).all(is_asked)
        };
        cognito
            .wait_until_assumed("requests that hang", SOON, asked)
            .await;
        // The watch reports the changes of the hanging resources first.
        let change = |world| World::apply_secret(world, "shared", "password", value);
        join_all(hanging.iter().map(change)).await;
        tokio::join!(
            own.apply_secret("own", "password", value),
            other.apply_secret("other", "password", value),
        );
        tokio::join!(
            cognito.wait_for_password((POOL, "own"), value, SOON),
            cognito.wait_for_password((POOL, "other"), value, SOON),
        );
        let given_up = given_up(&hanging).await;
        let waited_for = cognito
            .calls()
            .iter()
            .filter(|call| call.password == value)
            .count();

        for world in &hanging {
            cognito.allow_role(&role(world), None);
        }
        all_set(&hanging, each, value).await;
        own.wait_set("own", value).await;
        other.wait_set("other", value).await;
        assert_eq!(waited_for, 2, "nobody else had credentials");
        if given_up == 0 {
            Hung::LongEnough
        } else {
            Hung::TooShort
        }
    })
    .await;
}

fn by_role(arn: &str) -> impl FnOnce(&mut Value) {
    move |grant| grant["spec"]["roleArn"] = json!(arn)
}

fn names(world: &World<'_>, count: usize) -> Vec<String> {
    let name = |n| format!("{}-{n}", world.namespace);
    (0..count).map(name).collect()
}

async fn all_set(worlds: &[World<'_>], each: usize, password: &str) {
    for world in worlds {
        for name in names(world, each) {
            world.wait_set(&name, password).await;
        }
    }
}

/// How many resources report missing credentials.
async fn given_up(worlds: &[World<'_>]) -> usize {
    let mut count = 0;
    for world in worlds {
        let all = resources(&world.client, &world.namespace);
        let all = all.list(&ListParams::default()).await.expect("resources");
        let says_so = |it: &&DynamicObject| {
            condition(it, "Ready").is_some_and(|ready| ready["reason"] == "InvalidCredentials")
        };
        count += all.items.iter().filter(says_so).count();
    }
    count
}
