//! Grants: the platform team decides which namespace may manage which user. Without a grant the operator
//! reads no Secret and calls nothing.

use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use rstest::rstest;
use serde_json::{Value, json};

use super::events::wait_for_one_event;
use super::kstatus::{Kstatus, kstatus, violations};
use super::world::{POOL, SOON, World};
use crate::support::{ApiFault, Call, Fault, Kind, Operator, condition, eventually, grants};

pub(crate) const FIRST: &str = "First-Passw0rd";
pub(crate) const SECOND: &str = "Second-Passw0rd";
pub(crate) const THIRD: &str = "Third-Passw0rd";

mod roles;

/// Makes a Secret and a resource of one name, for this user.
async fn claim(world: &World<'_>, name: &str, username: &str, password: &str) {
    world.apply_secret(name, "password", password).await;
    let of_user = |resource: &mut Value| resource["spec"]["username"] = json!(username);
    world.apply_resource(name, of_user).await;
}

fn message(object: &DynamicObject) -> &str {
    condition(object, "Ready")
        .and_then(|ready| ready["message"].as_str())
        .unwrap_or_default()
}

/// The passwords that were sent for a user, in order.
fn sent(world: &World<'_>, username: &str) -> Vec<String> {
    let calls = world.cognito.calls_for(POOL, username);
    calls.into_iter().map(|call| call.password).collect()
}

/// An operator that watches all namespaces, with grants.
async fn started(world: &World<'_>) -> Operator {
    let operator = world.cluster_wide().start().await;
    operator.wait_ready(SOON).await;
    operator
}

/// Waits until a world's grant has this status and reason of Ready, and admits this number of resources.
pub(crate) async fn wait_for_grant(world: &World<'_>, wanted: (&str, &str, i64)) -> DynamicObject {
    eventually(SOON, async || {
        let object = grants(&world.client).get(&world.namespace).await;
        let object = object.map_err(|error| error.to_string())?;
        let ready = condition(&object, "Ready");
        let is = |name, value: &str| ready.is_some_and(|ready| ready[name] == value);
        let counted = object.data["status"]["resources"] == wanted.2;
        if is("status", wanted.0) && is("reason", wanted.1) && counted {
            return Ok(object);
        }
        Err(format!("not {wanted:?}: {:#}", object.data["status"]))
    })
    .await
}

/// Changes the labels of the world's namespace.
async fn label(world: &World<'_>, labels: Value) {
    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    let change = Patch::Merge(json!({ "metadata": { "labels": labels } }));
    namespaces
        .patch(&world.namespace, &PatchParams::default(), &change)
        .await
        .unwrap_or_else(|error| panic!("could not label {}: {error}", world.namespace));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_is_neither_read_nor_set_until_a_grant_admits_it() {
    let (world, _turn) = World::alone("ungranted").await;
    let other = world.neighbour("granted").await;
    world.revoke().await;
    let mark = world.mark();
    let _operator = started(&world).await;
    world.cognito.add_user(POOL, "bot");
    claim(&world, "bot", "bot", FIRST).await;
    let refused = world.wait("bot", "False", "NotGranted").await;
    assert_eq!(violations(&refused), [""; 0]);
    assert_eq!(kstatus(&refused), Kstatus::InProgress);
    let said = message(&refused);
    for words in ["CognitoUserPoolGrant", "platform team", "this namespace"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!said.contains(&other.namespace), "{said}");
    wait_for_one_event(&world, "bot", "NotGranted").await;

    // A change of the Secret causes no read and no call, and a request causes none either.
    world.apply_secret("bot", "password", SECOND).await;
    world.request("bot", "now").await;
    other.fence().await;
    assert_eq!(sent(&world, "bot"), [""; 0]);
    let traffic = world.traffic(mark);
    assert!(!traffic.contains("get secrets bot"), "{traffic:#?}");
    let answered = world.status("bot").await["lastHandledReconcileAt"].clone();
    assert_eq!(answered, json!(null), "still to be done");

    world.grant(|_| ()).await;
    world.wait_set("bot", SECOND).await;
    assert_eq!(world.status("bot").await["lastHandledReconcileAt"], "now");
    let grant = wait_for_grant(&world, ("True", "Accepted", 1)).await;
    assert_eq!(kstatus(&grant), Kstatus::Current);

    // The grant is narrowed, and then deleted.
    let narrowed = |grant: &mut Value| grant["spec"]["usernames"] = json!(["Bot", "bot?", "b"]);
    world.grant(narrowed).await;
    world.wait("bot", "False", "NotGranted").await;
    wait_for_grant(&world, ("True", "Accepted", 0)).await;
    world.apply_secret("bot", "password", THIRD).await;
    world.revoke().await;
    other.fence().await;
    assert_eq!(sent(&world, "bot"), [SECOND]);
    let status = world.status("bot").await;
    assert!(status["synced"].is_object(), "on record: {status:#}");

    // The grant is back. A value that is still set is not set again.
    world.apply_secret("bot", "password", SECOND).await;
    world.grant(|_| ()).await;
    world.wait_set("bot", SECOND).await;
    world.apply_secret("bot", "password", THIRD).await;
    world.wait_set("bot", THIRD).await;
    assert_eq!(sent(&world, "bot"), [SECOND, THIRD]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grants_count_of_admitted_resources_waits_for_the_first_list() {
    let (world, _turn) = World::alone("counted").await;
    let first = started(&world).await;
    world.in_sync("bot", FIRST).await;
    let told = wait_for_grant(&world, ("True", "Accepted", 1)).await;
    assert!(first.terminate(SOON).await.success());
    let (proxy, kubeconfig) = world.proxy();
    // The list of resources comes by a watch, and long after the grants.
    for _ in 0..4 {
        proxy.next(Kind::Watch, ApiFault::Delay(Duration::from_secs(3)));
    }
    let builder = world.cluster_wide().kubeconfig(&kubeconfig);
    let second = builder.start().await;
    second.wait_ready(SOON).await;
    let object = grants(&world.client).get(&world.namespace).await;
    let version = object.expect("the grant is there").resource_version();
    assert_eq!(version, told.resource_version(), "it was written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_admits_a_namespace_as_long_as_its_labels_match() {
    let (world, _turn) = World::alone("labels").await;
    let selecting = |grant: &mut Value| {
        grant["spec"]["namespaces"] = json!({
            "selector": {
                "matchLabels": { "team": "a" },
                "matchExpressions": [{ "key": "frozen", "operator": "DoesNotExist" }],
            },
        });
    };
    world.revoke().await;
    world.grant(selecting).await;
    let _operator = started(&world).await;
    world.cognito.add_user(POOL, "bot");
    claim(&world, "bot", "bot", FIRST).await;
    world.wait("bot", "False", "NotGranted").await;
    label(&world, json!({ "team": "b" })).await;
    label(&world, json!({ "team": "a" })).await;
    world.wait_set("bot", FIRST).await;
    label(&world, json!({ "frozen": "yes" })).await;
    world.wait("bot", "False", "NotGranted").await;
    world.apply_secret("bot", "password", SECOND).await;
    label(&world, json!({ "frozen": null })).await;
    world.wait_set("bot", SECOND).await;
    assert_eq!(sent(&world, "bot"), [FIRST, SECOND]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_star_and_question_mark_is_special_in_a_grant() {
    let (world, _turn) = World::alone("globs").await;
    let globs = json!(["ci-?", "[a-z]*", "＊", "Alice", "a.c", "x*y*z", "{one,two}"]);
    world
        .grant(|grant| grant["spec"]["usernames"] = globs)
        .await;
    let granted = [
        "ci-1", "ci-é", "[a-z]bc", "＊", "Alice", "a.c", "xyz", "x1y2z",
    ];
    let refused = [
        "ci-", "ci-12", "сi-1", "abc", "anybody", "alice", "aXc", "xz", "xyza", "one", "＊＊",
        "ci-٠١",
    ];
    let all = || granted.iter().chain(&refused).enumerate();
    for (number, username) in all() {
        world.cognito.add_user(POOL, username);
        claim(&world, &format!("bot-{number}"), username, FIRST).await;
    }
    let _operator = started(&world).await;
    for (number, username) in all() {
        let (status, reason) = if granted.contains(username) {
            ("True", "PasswordSet")
        } else {
            ("False", "NotGranted")
        };
        world.wait(&format!("bot-{number}"), status, reason).await;
    }
    for username in granted {
        assert_eq!(sent(&world, username), [FIRST], "{username:?}");
    }
    assert_eq!(world.cognito.call_count(), granted.len());
    wait_for_grant(&world, ("True", "Accepted", 8)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_without_a_grant_blocks_no_other_resource_of_its_user() {
    let (world, _turn) = World::alone("squatter").await;
    let owner = world.neighbour("owner").await;
    world.revoke().await;
    world.cognito.add_user(POOL, "bot");
    let _operator = started(&world).await;
    // An older resource that no grant admits.
    claim(&world, "bot", "bot", FIRST).await;
    world.wait("bot", "False", "NotGranted").await;
    claim(&owner, "bot", "bot", SECOND).await;
    owner.wait_set("bot", SECOND).await;
    let refused = world.wait("bot", "False", "NotGranted").await;
    let said = message(&refused);
    assert!(!said.contains("older"), "{said}");

    // The user goes to another namespace, and then back to the first.
    owner.revoke().await;
    owner.wait("bot", "False", "NotGranted").await;
    world.grant(|_| ()).await;
    world.wait_set("bot", FIRST).await;
    world.revoke().await;
    world.wait("bot", "False", "NotGranted").await;
    // The resource that set the user last is deleted.
    world.delete_resource("bot").await;
    owner.grant(|_| ()).await;
    // The record of this resource names its own value as set. That was true until the other resource's set.
    owner.wait_set("bot", SECOND).await;
    assert_eq!(sent(&world, "bot"), [SECOND, FIRST, SECOND]);
}

#[tokio::test(flavor = "multi_thread")]
async fn grants_that_disagree_admit_no_resource_until_they_agree() {
    let (world, _turn) = World::alone("ambiguous").await;
    let second = world.neighbour("second").await;
    let names = [&*world.namespace, &*second.namespace];
    let in_region = |region: &'static str| {
        let names = json!({ "names": names });
        move |grant: &mut Value| {
            grant["spec"]["namespaces"] = names;
            grant["spec"]["region"] = json!(region);
        }
    };
    // The second grant names the default Region, so both grants mean the same.
    second.grant(in_region("eu-west-1")).await;
    let _operator = started(&world).await;
    world.in_sync("bot", FIRST).await;

    second.grant(in_region("us-east-1")).await;
    let ambiguous = world.wait("bot", "False", "AmbiguousGrant").await;
    assert_eq!(violations(&ambiguous), [""; 0]);
    assert_eq!(kstatus(&ambiguous), Kstatus::Failed);
    wait_for_one_event(&world, "bot", "AmbiguousGrant").await;
    world.apply_secret("bot", "password", SECOND).await;
    second.fence().await;
    assert_eq!(sent(&world, "bot"), [FIRST]);

    world.revoke().await;
    world.wait_set("bot", SECOND).await;
    let calls = world.cognito.calls_for(POOL, "bot");
    let regions: Vec<_> = calls.iter().map(|call| &*call.region).collect();
    assert_eq!(regions, ["eu-west-1", "us-east-1"], "as the grant has it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_a_grant_names_needs_a_grant_even_if_all_pools_are_allowed() {
    const OTHER_POOL: &str = "eu-west-1_Other1234";
    let (world, _turn) = World::alone("allowed").await;
    world.revoke().await;
    // Every resource is admitted, and earlier tests left resources of other users.
    let builder = world.cluster_wide().arg("--ungranted=allow");
    let operator = builder.start().await;
    operator.wait_ready(SOON).await;
    world.in_sync("allowed-bot", FIRST).await;
    let elsewhere = world.neighbour("elsewhere").await;
    world.wait("allowed-bot", "False", "NotGranted").await;
    world.apply_secret("allowed-bot", "password", SECOND).await;
    // A resource of a pool that no grant names.
    world.cognito.add_user(OTHER_POOL, "other");
    world.apply_secret("other", "password", FIRST).await;
    let of_pool = |resource: &mut Value| resource["spec"]["userPoolId"] = json!(OTHER_POOL);
    world.apply_resource("other", of_pool).await;
    world.wait("other", "True", "PasswordSet").await;
    elsewhere.fence().await;
    assert_eq!(sent(&world, "allowed-bot"), [FIRST]);
    elsewhere.revoke().await;
    world.wait_set("allowed-bot", SECOND).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queued_set_is_dropped_once_its_grant_is_deleted() {
    let (world, _turn) = World::alone("queued").await;
    // The rate allows one call now, and the next one in a minute and a half.
    let builder = world.cluster_wide().arg("--cognito-rps=0.01");
    let operator = builder.arg("--cognito-burst=1").start().await;
    operator.wait_ready(SOON).await;
    world.in_sync("first", FIRST).await;
    world.cognito.add_user(POOL, "bot");
    claim(&world, "bot", "bot", FIRST).await;
    let waiting = async |wanted: f64| {
        let name = "cognito_password_operator_budget_waiting";
        eventually(SOON, async || {
            let count = operator.metric(name, &[]).await;
            let as_wanted = (count - wanted).abs() < 0.5;
            as_wanted.then_some(()).ok_or(format!("{count} wait"))
        })
        .await;
    };
    waiting(1.0).await;
    world.revoke().await;
    world.wait("bot", "False", "NotGranted").await;
    waiting(0.0).await;
    assert_eq!(world.cognito.call_count(), 1);
}

#[rstest]
#[case::whose_call_is_under_way(Fault::HangBefore)]
#[case::whose_reply_was_lost(Fault::DropAfter)]
#[tokio::test(flavor = "multi_thread")]
async fn an_open_attempt_is_not_continued_once_its_grant_is_deleted(#[case] fault: Fault) {
    let (world, _turn) = World::alone("open").await;
    let other = world.neighbour("granted").await;
    let _operator = started(&world).await;
    world.in_sync("bot", FIRST).await;
    world.cognito.always_for((POOL, "bot"), fault);
    world.apply_secret("bot", "password", SECOND).await;
    let twice = |calls: &[Call]| calls.len() >= 2;
    world.cognito.wait_until("second call", SOON, twice).await;
    world.revoke().await;
    let refused = world.wait("bot", "False", "NotGranted").await;
    let made = sent(&world, "bot");
    world.cognito.heal();
    other.fence().await;
    assert_eq!(sent(&world, "bot"), made, "no further call");
    let attempt = &refused.data["status"]["attempt"];
    assert_eq!(attempt["outcome"], "Unknown", "still to be cleared up");

    world.grant(|_| ()).await;
    world.wait_set("bot", SECOND).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_may_not_list_grants_admits_no_resource() {
    let (world, _turn) = World::alone("unseen").await;
    let operator = started(&world).await;
    world.in_sync("bot", FIRST).await;
    let role = "clusterrole/cognito-password-operator";
    let rules = world.plane.kubectl(&["get", role, "-o", "json"]);
    let rules: Value = serde_json::from_str(&rules).expect("JSON");
    let may = |rules: &Value| {
        let patch = json!({ "rules": rules }).to_string();
        let patch = ["patch", role, "--type=merge", "-p", &patch];
        world.plane.kubectl(&patch);
    };
    let mut fewer = rules["rules"].clone();
    let all = fewer.as_array_mut().expect("rules");
    all.retain(|rule| rule["resources"] != json!(["cognitouserpoolgrants"]));
    may(&fewer);
    drop(operator);
    let operator = world.cluster_wide().start().await;
    world.apply_secret("bot", "password", SECOND).await;
    world.cognito.add_user(POOL, "late");
    claim(&world, "late", "late", FIRST).await;
    let serves = |logs: &str| logs.contains(r#""message":"started""#);
    eventually(SOON, async || {
        let logs = operator.logs();
        serves(&logs).then_some(()).ok_or(logs)
    })
    .await;
    // No event shows that the watch of grants has not started. After four refusals every other watch has
    // listed.
    eventually(SOON, async || {
        let name = "cognito_password_operator_watch_errors_total";
        match operator.metric(name, &[("watch", "grants")]).await {
            count if count >= 4.0 => Ok(()),
            count => Err(format!("{count} refusals")),
        }
    })
    .await;
    let (status, said) = operator.get("/readyz").await;
    let unseen = "watch of CognitoUserPoolGrants in all namespaces";
    assert!(status == 503 && said.contains(unseen), "{status} {said}");
    assert_eq!(world.cognito.call_count(), 1);
    may(&rules["rules"]);
    world.wait_set("bot", SECOND).await;
    world.wait_set("late", FIRST).await;
}
