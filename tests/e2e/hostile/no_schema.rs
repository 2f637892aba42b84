//! CRDs without their schemas, as after an edit: the API server accepts any object, even one that this
//! version can't decode.

use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::assert_unharmed;
use crate::support::{ControlPlane, describe, eventually, grants, resources};
use crate::world::{POOL, SOON, World};

/// A pool that no grant names.
const FREE: &str = "eu-west-1_Free";

/// Lets the API server accept any object. A drop restores the CRDs.
struct NoSchema(&'static ControlPlane);

const CRDS: [&str; 2] = ["cognitouserpasswords", "cognitouserpoolgrants"];

impl NoSchema {
    fn new(plane: &'static ControlPlane) -> Self {
        for crd in CRDS {
            let anything =
                json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
            let schema = json!({ "openAPIV3Schema": anything });
            let mut changes = vec![json!({
                "op": "replace", "path": "/spec/versions/0/schema", "value": schema,
            })];
            if crd == CRDS[0] {
                let path = "/spec/versions/0/selectableFields";
                changes.push(json!({ "op": "remove", "path": path }));
            }
            let crd = format!("crd/{crd}.cognito-password-operator.io");
            let changes = json!(changes).to_string();
            plane.kubectl(&["patch", &crd, "--type=json", "-p", &changes]);
        }
        Self(plane)
    }
}

impl Drop for NoSchema {
    fn drop(&mut self) {
        for crd in CRDS {
            let restored = self
                .0
                .try_kubectl(&["replace", "-f", &format!("crds/{crd}.yaml")], "");
            assert!(restored.is_ok() || std::thread::panicking(), "{restored:?}");
        }
    }
}

/// Creates an object. Retries until the API server uses the changed schema.
async fn create(api: &kube::Api<DynamicObject>, object: &Value) {
    let object: DynamicObject = serde_json::from_value(object.clone()).expect("an object");
    eventually(SOON, async || {
        let created = api.create(&PostParams::default(), &object).await;
        created.map(|_| ()).map_err(|error| error.to_string())
    })
    .await;
}

fn cup(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "cognito-password-operator.io/v1alpha1",
        "kind": "CognitoUserPassword",
        "metadata": { "name": name },
        "spec": spec,
    })
}

fn spec(pool: &str, name: &str) -> Value {
    json!({ "userPoolId": pool, "username": name, "passwordSecretRef": { "name": name } })
}

/// Makes a user of the pool without grants, a Secret, and a resource for that user.
async fn ask_for(world: &World<'_>, name: &str) {
    world.cognito.add_user(FREE, name);
    world
        .apply_secret(name, "password", format!("{name}-1-Pw"))
        .await;
    let api = resources(&world.client, &world.namespace);
    create(&api, &cup(name, &spec(FREE, name))).await;
}

async fn wait_called(world: &World<'_>, pool: &str, name: &str) {
    let password = format!("{name}-1-Pw");
    let set = world
        .cognito
        .wait_for_password((pool, name), &password, SOON);
    set.await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_grant_admits_no_resource_without_another_grant() {
    let (world, _turn) = World::alone("no-schema").await;
    let _no_schema = NoSchema::new(world.plane);
    let operator = world.cluster_wide().arg("--ungranted=allow").start().await;
    operator.wait_ready(SOON).await;
    ask_for(&world, "free").await;
    wait_called(&world, FREE, "free").await;
    let all = grants(&world.client);
    let unreadable = [
        json!(null),
        json!(7),
        json!({}),
        json!({ "userPoolId": 7, "usernames": ["*"], "namespaces": { "names": ["x"] } }),
        json!({ "userPoolId": "?", "usernames": ["*"], "namespaces": { "names": ["x"] } }),
        json!({ "userPoolId": "eu-west-1_X", "usernames": "*", "namespaces": {} }),
        json!({ "userPoolId": "eu-west-1_X", "usernames": ["*"], "namespaces": "x" }),
    ];
    for (number, spec) in unreadable.iter().enumerate() {
        let name = format!("{}-{number}", world.namespace);
        let grant = json!({
            "apiVersion": "cognito-password-operator.io/v1alpha1",
            "kind": "CognitoUserPoolGrant",
            "metadata": { "name": name },
            "spec": spec,
        });
        create(&all, &grant).await;
        let late = format!("late-{number}");
        // The operator has seen the grant once the earlier resource is not admitted any more.
        world.wait("free", "False", "NotGranted").await;
        ask_for(&world, &late).await;
        world.wait(&late, "False", "NotGranted").await;
        assert_eq!(world.cognito.calls_for(FREE, &late).len(), 0, "{spec}");
        all.delete(&name, &DeleteParams::default())
            .await
            .expect("it is there");
        wait_called(&world, FREE, &late).await;
        world.wait("free", "True", "PasswordSet").await;
    }
    // A resource with a grant is served as usual.
    world.in_sync("granted", "granted-1-Pw").await;
    assert_unharmed(&operator).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_no_schema_checked_causes_no_call_and_stops_no_other_resource() {
    let (world, _turn) = World::alone("no-schema").await;
    let other = world.neighbour("other").await;
    other.apply_secret("prize", "password", "prize-1-Pw").await;
    let no_schema = NoSchema::new(world.plane);
    let operator = world.cluster_wide().start().await;
    operator.wait_ready(SOON).await;
    let api = resources(&world.client, &world.namespace);
    let elsewhere = [
        format!("../../{}/secrets/prize", other.namespace),
        format!("x/../../../{}/secrets/prize", other.namespace),
        format!("%2e%2e/%2e%2e/{}/secrets/prize", other.namespace),
        "prize?fieldSelector=a".to_owned(),
        "\u{202e}\n".repeat(5_000),
        String::new(),
    ];
    for (number, secret) in elsewhere.iter().enumerate() {
        let name = format!("elsewhere-{number}");
        let mut spec = spec(POOL, &name);
        spec["passwordSecretRef"]["name"] = json!(secret);
        create(&api, &cup(&name, &spec)).await;
        let said = world.wait(&name, "False", "SecretNotFound").await;
        let message = said.data["status"]["conditions"][0]["message"].as_str();
        super::assert_legible(message.expect("a text"), 8_192);
    }
    let mut unfit = spec(POOL, "ci\u{200b}-bot");
    create(&api, &cup("unseen", &unfit)).await;
    unfit["username"] = json!("x".repeat(1_000_000));
    create(&api, &cup("long", &unfit)).await;
    unfit["username"] = json!("x");
    unfit["userPoolId"] = json!("evil.example/_A");
    create(&api, &cup("nowhere", &unfit)).await;
    for name in ["unseen", "long", "nowhere"] {
        world.wait(name, "False", "InvalidParameter").await;
    }
    let wild = [
        json!(null),
        json!([]),
        json!({ "userPoolId": {} }),
        json!("x".repeat(1_000_000)),
    ];
    for (number, spec) in wild.iter().enumerate() {
        create(&api, &cup(&format!("wild-{number}"), spec)).await;
    }

    // A status beyond all limits, and then another value.
    world.in_sync("bounded", "bounded-1-Pw").await;
    let at = "2999-01-01T00:00:00Z";
    let conditions: Vec<_> = (0..200)
        .map(|number| {
            json!({
                "type": format!("Other{number}"), "status": "True", "reason": "x",
                "lastTransitionTime": at, "message": "x".repeat(1_000),
            })
        })
        .collect();
    let synced = json!({
        "fingerprint": format!("{}.", "k".repeat(100_000)),
        "secretUid": "x", "secretResourceVersion": "x", "at": at,
    });
    let mut attempt = synced.clone();
    attempt["id"] = json!("x".repeat(10_000));
    attempt["generation"] = json!(-7);
    attempt["startedAt"] = json!(at);
    attempt["outcome"] = json!("Unknown");
    let status = json!({
        "lastHandledReconcileAt": "x".repeat(100_000),
        "synced": synced,
        "attempt": attempt,
        "retired": vec!["0123abcd.0123456789abcdef"; 5_000],
        "failures": { "count": u32::MAX, "retryAt": at },
        "conditions": conditions,
    });
    let forge = Patch::Merge(json!({ "status": status }));
    api.patch_status("bounded", &PatchParams::default(), &forge)
        .await
        .expect("nothing refuses it");
    world
        .apply_secret("bounded", "password", "bounded-2-Pw")
        .await;
    let bounded = world.wait_set("bounded", "bounded-2-Pw").await;
    let length = |field: &str| bounded.data["status"][field].as_array().map_or(0, Vec::len);
    let state = describe(&world.client, &world.namespace, "bounded").await;
    assert!(
        length("retired") <= 24 && length("conditions") <= 16,
        "{state}"
    );

    for call in world.cognito.calls() {
        assert!(
            call.username == "bounded" && call.password.starts_with("bounded-"),
            "{call:?}"
        );
    }
    assert_unharmed(&operator).await;
    // With the schema restored, the API server can't return objects that break the schema, so the objects
    // must go first.
    world
        .plane
        .kubectl(&["delete", "cup", "--all", "-n", &world.namespace]);
    drop(no_schema);
}
