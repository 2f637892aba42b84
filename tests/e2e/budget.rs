//! The operator's share of Cognito's quota: fair by namespace, and below a lower quota. A set takes a permit
//! only if the set is still wanted when the permit comes.

use std::time::{Duration, Instant};

use futures::future::join_all;
use kube::api::{DynamicObject, ListParams};
use serde_json::json;

use super::world::{POOL, SOON, World, assert_within};
use crate::support::{Fault, Operator, OperatorBuilder, condition, eventually, resources};

/// A rate of permits so low that much can happen before the next permit, even on a busy machine.
const RARE: &str = "0.04";
const TOKEN: Duration = Duration::from_secs(25);

/// Users, Secrets and resources with these names, in no particular order.
async fn apply_all(world: &World<'_>, names: &[String], value: &str) {
    join_all(names.iter().map(|name| async {
        world.cognito.add_user(POOL, name);
        world.apply_secret(name, "password", value).await;
        world.apply_resource(name, |_| ()).await;
    }))
    .await;
}

fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{prefix}-{n}")).collect()
}

async fn operator(world: &World<'_>, namespaces: &[&str], rps: &str, burst: &str) -> Operator {
    let builder = world.cluster_wide().namespaces(namespaces);
    let limits = ["--cognito-rps", rps, "--cognito-burst", burst];
    let builder = limits.into_iter().fold(builder, OperatorBuilder::arg);
    let operator = builder.start().await;
    operator.wait_ready(SOON).await;
    operator
}

/// Waits until this number of sets is queued for a permit.
async fn wait_waiting(operator: &Operator, wanted: f64) {
    let name = "cognito_password_operator_budget_waiting";
    eventually(SOON, async || match operator.metric(name, &[]).await {
        waiting if waiting >= wanted => Ok(()),
        waiting => Err(format!("{waiting} wait")),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_change_does_not_wait_for_another_namespaces_queue() {
    let world = World::new("busy").await;
    let other = world.neighbour("quiet").await;
    let namespaces = [&*world.namespace, &*other.namespace];
    // A rate so low that the queue outlasts all delays of a busy machine.
    let slow = operator(&world, &namespaces, "1", "10").await;
    other.in_sync("single", "Passw0rd-1").await;
    apply_all(&world, &names("busy", 100), "Passw0rd-1").await;
    wait_waiting(&slow, 30.0).await;
    // The burst is used up.
    world.cognito.wait_for_calls(12, SOON).await;

    let before = world.cognito.call_count();
    let rotated = Instant::now();
    other.apply_secret("single", "password", "Passw0rd-2").await;
    let user = (POOL, "single");
    world
        .cognito
        .wait_for_password(user, "Passw0rd-2", SOON)
        .await;
    let took = rotated.elapsed();
    let ahead = world.cognito.call_count() - before;
    assert!(ahead <= 10, "{ahead} calls went before, in {took:?}");
    let waiting = names("busy", 100).len() - (world.cognito.call_count() - 2);
    assert!(waiting > 20, "nobody had to wait any more: {waiting}");
    drop(slow);
    let _fast = operator(&world, &namespaces, "1000", "1000").await;
    for name in names("busy", 100) {
        world.wait_set(&name, "Passw0rd-1").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_changes_in_the_queue_is_set_once_to_the_last_one() {
    let world = World::new("turns").await;
    world.in_sync_with_operator(&["first", "second"]).await;
    let operator = operator(&world, &[&world.namespace], RARE, "1").await;
    world.apply_secret("first", "password", "Passw0rd-2").await;
    world.wait_set("first", "Passw0rd-2").await;

    world.apply_secret("second", "password", "Passw0rd-2").await;
    let waiting = world.wait("second", "Unknown", "Progressing").await;
    let message = condition(&waiting, "Ready").map(|ready| ready["message"].to_string());
    assert!(
        message
            .as_ref()
            .is_some_and(|m| m.contains("The set is queued")),
        "{message:?}"
    );
    for n in 3..=12 {
        let value = format!("Passw0rd-{n}");
        world.apply_secret("second", "password", &value).await;
    }
    world.wait_set("second", "Passw0rd-12").await;
    world
        .assert_calls("second", &["Passw0rd-1", "Passw0rd-12"])
        .await;
    drop(operator);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queued_set_that_is_no_longer_wanted_is_dropped() {
    let world = World::new("unwanted").await;
    let all = ["first", "suspended", "deleted", "moved", "back", "last"];
    world.in_sync_with_operator(&all).await;
    let operator = operator(&world, &[&world.namespace], RARE, "1").await;
    world.apply_secret("first", "password", "Passw0rd-2").await;
    world.wait_set("first", "Passw0rd-2").await;

    // The sets queue in this order.
    let began = Instant::now();
    for name in &all[1..] {
        world.apply_secret(name, "password", "Passw0rd-2").await;
        world.wait(name, "Unknown", "Progressing").await;
    }
    let usual = began.elapsed() / 5;
    world.apply_secret("other", "password", "Passw0rd-1").await;
    let suspend = json!({ "spec": { "suspend": true } });
    world.patch_resource("suspended", suspend).await;
    world.delete_resource("deleted").await;
    let moved = json!({ "spec": { "passwordSecretRef": { "name": "other" } } });
    world.patch_resource("moved", moved).await;
    world.apply_secret("back", "password", "Passw0rd-1").await;

    // The unwanted sets take no token, so the last set waits for one token, not for five.
    let started = Instant::now();
    world.wait_set("last", "Passw0rd-2").await;
    assert_within(3 * TOKEN, started.elapsed(), usual);
    // The value in the Secret is already set: the status says so again, without a call.
    world.wait_set("back", "Passw0rd-1").await;
    for name in ["suspended", "moved", "back"] {
        world.assert_calls(name, &["Passw0rd-1"]).await;
    }
    let deleted = world.cognito.calls_for(POOL, "deleted");
    assert_eq!(deleted.len(), 1, "{deleted:?}");
    drop(operator);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_resources_are_set_under_a_lower_quota_of_cognito_with_little_throttling() {
    let world = World::new("limit").await;
    world.cognito.set_calls_per_second(Some(4));
    // On a busy machine the operator may be too slow to exceed the quota, so one call is throttled in any
    // case.
    world.cognito.next([Fault::throttled()]);
    let names = names("bot", 40);
    apply_all(&world, &names, "Passw0rd-1").await;
    let operator = operator(&world, &[&world.namespace], "10", "10").await;
    for name in &names {
        world.wait_set(name, "Passw0rd-1").await;
    }
    let calls = world.cognito.call_count();
    let throttled = calls - names.len();
    // The burst at the start, and a few calls until the operator has found a lower rate.
    assert!((1..=25).contains(&throttled), "{throttled} of {calls}");
    let logs = operator.logs();
    assert!(logs.contains("the rate of calls is lowered"), "{logs}");
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_credentials_cost_few_calls_and_writes_and_all_resources_recover() {
    let world = World::new("refused").await;
    let expired = "The security token included in the request is expired";
    let fault = Fault::error("ExpiredTokenException", expired);
    world.cognito.always(fault);
    let names = names("bot", 300);
    apply_all(&world, &names, "Passw0rd-1").await;
    let since = world.mark();
    let operator = operator(&world, &[&world.namespace], "1000", "1000").await;
    let told = || async {
        let all = resources(&world.client, &world.namespace);
        let all = all.list(&ListParams::default()).await.expect("resources");
        let tells = |resource: &&DynamicObject| {
            resource.data["status"]["conditions"][0]["reason"] == "InvalidCredentials"
        };
        all.items.iter().filter(tells).count()
    };
    eventually(SOON, async || match told().await {
        told if told >= 25 => Ok(()),
        told => Err(format!("{told} of them say it")),
    })
    .await;
    // The time that three probes take.
    let calls = world.cognito.call_count();
    world.cognito.wait_for_calls(calls + 2, SOON).await;
    let calls = world.cognito.call_count();
    let writes = world.status_writes(since).len();
    assert!(calls <= 40, "{calls} calls");
    assert!(writes <= 200, "{writes} statuses written");

    world.cognito.heal();
    for name in &names {
        world.wait_set(name, "Passw0rd-1").await;
    }
    let calls = world.cognito.call_count() - calls;
    assert!(
        (300..=310).contains(&calls),
        "{calls} calls after it healed"
    );
    drop(operator);
}

impl World<'_> {
    /// Resources in sync. The operator that set them has ended.
    async fn in_sync_with_operator(&self, names: &[&str]) {
        let operator = self.operator().await;
        for name in names {
            self.in_sync(name, "Passw0rd-1").await;
        }
        drop(operator);
    }
}
