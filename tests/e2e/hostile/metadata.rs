//! Metadata that the client library can't decode, and metadata of the maximum size.

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use serde_json::{Value, json};

use super::assert_unharmed;
use crate::world::{POOL, SOON, World};

/// A time that the API server accepts in an object. The time library here can't represent this time, because
/// the library keeps room for every offset before the year 10000.
const NO_TIME: &str = "9999-12-31T23:59:59Z";

/// Replaces the object by the same object with a managed field of that time.
fn replace_with_no_time(world: &World<'_>, kind: &str, name: &str) {
    let get = ["get", kind, name, "-n", &world.namespace, "-o", "json"];
    let object = world.plane.kubectl(&get);
    let mut object: Value = serde_json::from_str(&object).expect("kubectl writes JSON");
    object["metadata"]["managedFields"] = json!([{
        "manager": "m",
        "operation": "Update",
        "apiVersion": object["apiVersion"],
        "time": NO_TIME,
        "fieldsType": "FieldsV1",
        "fieldsV1": { "f:metadata": {} },
    }]);
    let replaced = world
        .plane
        .try_kubectl(&["replace", "-f", "-"], &object.to_string());
    replaced.unwrap_or_else(|error| panic!("{kind} {name}: {error}"));
    let shown = world
        .plane
        .kubectl(&[&get[..], &["--show-managed-fields"]].concat());
    assert!(shown.contains(NO_TIME), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_objects_metadata_that_cannot_be_read_stops_nobody() {
    let world = World::new("no-time").await;
    world.apply_secret("other", "password", "other-1-Pw").await;
    world.cognito.add_user(POOL, "other");
    world.apply_resource("other", |_| ()).await;
    for kind in ["secret", "cognitouserpassword"] {
        replace_with_no_time(&world, kind, "other");
    }
    // One such object exists at the start, and another change comes later.
    let operator = world.operator().await;
    world.in_sync("bot", "bot-1-Pw").await;
    // The test's own client can't decode the object either.
    let set = world
        .cognito
        .wait_for_password((POOL, "other"), "other-1-Pw", SOON);
    set.await;
    world.leaks.note(b"other-2-Pw");
    let change = json!({ "stringData": { "password": "other-2-Pw" } }).to_string();
    let patch = [
        "patch",
        "secret",
        "other",
        "-n",
        &world.namespace,
        "-p",
        &change,
    ];
    world.plane.kubectl(&patch);
    for kind in ["secret", "cognitouserpassword"] {
        replace_with_no_time(&world, kind, "other");
    }
    let set = world
        .cognito
        .wait_for_password((POOL, "other"), "other-2-Pw", SOON);
    set.await;
    world.in_sync("bot", "bot-2-Pw").await;
    assert_eq!(operator.get("/readyz").await.0, 200);
    // The clients of later tests couldn't decode the objects.
    for kind in ["cognitouserpassword", "secret"] {
        let delete = ["delete", kind, "other", "-n", &world.namespace];
        world.plane.kubectl(&delete);
    }
}

/// One team's Secrets, each with as many annotations as the API server takes.
#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_large_secrets_fit_into_the_deployments_memory_limit() {
    let world = World::new("large").await;
    let annotation = "x".repeat(250_000);
    let made = (0..400).map(|number| {
        let secret = json!({
            "metadata": { "name": format!("large-{number}"), "annotations": { "a": annotation } },
        });
        let secret: Secret = serde_json::from_value(secret).expect("a Secret");
        let secrets = world.secrets();
        async move { secrets.create(&PostParams::default(), &secret).await }
    });
    let mut made = stream::iter(made).buffer_unordered(8);
    while let Some(made) = made.next().await {
        made.expect("it is made");
    }
    let operator = world.operator().await;
    world.in_sync("bot", "bot-1-Pw").await;
    assert_unharmed(&operator).await;
    operator.terminate(SOON).await;
    world
        .plane
        .kubectl(&["delete", "namespace", &world.namespace, "--wait=false"]);
}
