//! Without work, the operator makes no call of Cognito, no status write, and no read of a Secret.

use std::collections::BTreeSet;

use futures::future::join_all;
use serde_json::json;

use crate::support::condition;
use crate::world::{POOL, SOON, World};

#[tokio::test]
async fn a_change_beside_the_value_causes_no_call_and_no_status_write() {
    let world = World::new("quiet").await;
    let _operator = world.operator().await;
    world.in_sync("bot", "First-Passw0rd").await;
    world.fence_events().await;
    let before = world.resource("bot").await;

    // Changes of the Secret around its value: the operator reads the value, finds the same value, and does
    // nothing more.
    let mark = world.mark();
    for change in [
        json!({ "stringData": { "other": "x" } }),
        json!({ "stringData": { "other": "y" } }),
        json!({ "data": { "other": null } }),
        json!({ "metadata": { "labels": { "team": "a" } } }),
        json!({ "metadata": { "annotations": { "note": "x" } } }),
    ] {
        world.patch_secret("bot", change).await;
    }
    world
        .apply_secret("stranger", "password", "Not-Referenced")
        .await;
    world.fence_events().await;
    assert_eq!(
        world.traffic(mark),
        BTreeSet::from(["get secrets bot".to_owned()])
    );

    // Changes of the resource's metadata cause no read.
    let mark = world.mark();
    for change in [
        json!({ "metadata": { "labels": { "team": "a" } } }),
        json!({ "metadata": { "annotations": { "note": "x" } } }),
        json!({ "metadata": { "labels": null, "finalizers": ["example.com/hold"] } }),
        json!({ "metadata": { "finalizers": null } }),
    ] {
        world.patch_resource("bot", change).await;
    }
    world.fence_events().await;
    assert_eq!(world.traffic(mark), BTreeSet::new());

    let after = world.resource("bot").await;
    assert_eq!(before.data["status"], after.data["status"]);
    world.assert_calls("bot", &["First-Passw0rd"]).await;
}

#[tokio::test]
async fn a_restart_with_everything_in_sync_calls_reads_and_writes_nothing() {
    const RESOURCES: usize = 20;
    let world = World::new("restart").await;
    let operator = world.operator().await;
    join_all((0..RESOURCES).map(async |number| {
        let name = format!("bot-{number}");
        world.in_sync(&name, &format!("Passw0rd-{number}")).await
    }))
    .await;
    assert_eq!(world.cognito.call_count(), RESOURCES);
    assert!(operator.terminate(SOON).await.success());

    let mark = world.mark();
    let operator = world.operator().await;
    let settled = [("reason", "PasswordSet")];
    let name = "cognito_password_operator_resources";
    let settled = operator.metric(name, &settled).await.to_string();
    assert_eq!(settled, RESOURCES.to_string());
    world.fence().await;
    let wanted = [
        "get secrets cognito-password-operator-fingerprint",
        "list cognitouserpasswords",
        "list secrets",
    ];
    assert_eq!(world.traffic(mark), wanted.map(str::to_owned).into());
    for number in 0..RESOURCES {
        let (name, password) = (format!("bot-{number}"), format!("Passw0rd-{number}"));
        world.assert_calls(&name, &[&password]).await;
    }

    // The operator still works.
    world
        .apply_secret("bot-7", "password", "Changed-Passw0rd")
        .await;
    world.wait_set("bot-7", "Changed-Passw0rd").await;
}

#[tokio::test]
async fn an_idle_operator_sends_no_request() {
    let world = World::new("idle").await;
    let _operator = world.operator().await;
    for number in 0..3 {
        let name = format!("bot-{number}");
        world.in_sync(&name, "First-Passw0rd").await;
    }
    world.fence_events().await;
    let mark = world.mark();
    let elsewhere = world.neighbour("elsewhere").await;
    elsewhere
        .apply_secret("bot-0", "password", "In-Another-Namespace")
        .await;
    elsewhere.apply_resource("bot-0", |_| ()).await;
    world.fence_events().await;
    assert_eq!(world.traffic(mark), BTreeSet::new());
    world.assert_calls("bot-0", &["First-Passw0rd"]).await;
}

#[tokio::test]
async fn a_suspended_resource_stays_as_it_is_and_gets_the_last_value_when_it_is_resumed() {
    let world = World::new("suspend").await;
    let _operator = world.operator().await;
    world.in_sync("bot", "First-Passw0rd").await;
    let suspend = |suspend: bool| json!({ "spec": { "suspend": suspend } });
    world.patch_resource("bot", suspend(true)).await;
    let suspended = world
        .wait_for("bot", "said to be suspended", |bot| {
            condition(bot, "Suspended").is_some()
        })
        .await;
    let mark = world.mark();

    // The suspension is in force once the API server has acknowledged the change, whatever the operator has
    // seen by then.
    world
        .apply_secret("bot", "password", "While-Suspended")
        .await;
    world.fence().await;
    world.request("bot", "while-suspended").await;
    world
        .apply_secret("bot", "password", "Second-Passw0rd")
        .await;
    world.fence().await;
    let status = world.status("bot").await;
    assert_eq!(status, suspended.data["status"]);
    let writes = world.status_writes(mark);
    assert!(
        writes
            .iter()
            .all(|write| write["responseStatus"]["code"] == 409),
        "{writes:#?}"
    );
    world.assert_calls("bot", &["First-Passw0rd"]).await;

    world.patch_resource("bot", suspend(false)).await;
    let resumed = world.wait_set("bot", "Second-Passw0rd").await;
    assert_eq!(
        resumed.data["status"]["lastHandledReconcileAt"],
        "while-suspended"
    );
    world
        .assert_calls("bot", &["First-Passw0rd", "Second-Passw0rd"])
        .await;
}

#[tokio::test]
async fn a_resource_created_suspended_causes_no_read_and_no_call() {
    let world = World::new("born-suspended").await;
    let _operator = world.operator().await;
    world.cognito.add_user(POOL, "bot");
    world
        .apply_secret("bot", "password", "First-Passw0rd")
        .await;
    let suspended = |resource: &mut serde_json::Value| {
        resource["spec"]["suspend"] = json!(true);
    };
    let mark = world.mark();
    world.apply_resource("bot", suspended).await;
    world.fence_events().await;
    let status = world.status("bot").await;
    assert_eq!(status["observedGeneration"], 1, "{status}");
    assert_eq!(status["conditions"][0]["type"], "Suspended", "{status}");
    assert_eq!(status["conditions"][1], json!(null), "{status}");
    let said = "patch cognitouserpasswords/status bot".to_owned();
    assert_eq!(world.traffic(mark), BTreeSet::from([said]));
    assert_eq!(world.status_writes(mark).len(), 1, "once");
    world.assert_calls("bot", &[]).await;
}
