//! A resource in a namespace that the operator doesn't watch.

use serde_json::{Value, json};

use super::super::installation::{Installation, NAME, commands, finding};
use super::FIRST;
use crate::support::ControlPlane;
use crate::world::{POOL, SOON};

/// What kubectl applied last, which stays JSON.
const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";
const APPLIED: &str = r#"{"args":["run","--watch-namespaces=default"],"env":[{"name":"CPO_WATCH_NAMESPACES","value":"x"}]}"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_is_not_watched_is_named_and_added() {
    let plane = ControlPlane::start();
    let it = Installation::on(&plane, "broken-watched").await;
    it.scale(1);
    // An argument, and after that a variable.
    let argument = json!([
        {
            "op": "add",
            "path": "/spec/template/spec/containers/0/args/-",
            "value": "--watch-namespaces=default",
        },
        // As after `kubectl apply` of an overlay.
        { "op": "add", "path": "/metadata/annotations", "value": { ANNOTATION: APPLIED } },
    ]);
    let variable = json!([
        {
            "op": "test",
            "path": "/spec/template/spec/containers/0/args/1",
            "value": format!("--watch-namespaces=default,{}", it.world.namespace),
        },
        { "op": "remove", "path": "/spec/template/spec/containers/0/args/1" },
        {
            "op": "add",
            "path": "/spec/template/spec/containers/0/env/-",
            "value": { "name": "CPO_WATCH_NAMESPACES", "value": "default" },
        },
    ]);
    it.world.cognito.add_user(POOL, "bot");
    it.world.apply_secret("bot", "password", FIRST).await;
    it.world.apply_resource("bot", |_| ()).await;
    plane.kubectl(&["delete", "clusterrolebinding", NAME]);
    let named = format!("{}/bot", it.world.namespace);
    for patch in [argument, variable] {
        let patch = patch.to_string();
        let deployment = ["patch", "deployment", NAME, "-n", NAME, "--type=json", "-p"];
        plane.kubectl(&[&deployment[..], &[&patch]].concat());
        let words = format!("watches only default, and not {}", it.world.namespace);
        it.said(&["doctor", &named], 1, &[&words, "cure: "]).await;
        let report = it.report("bot").await;
        let link = finding(&report["chain"], "operator", "Failed");
        for command in commands(&link["cure"]) {
            it.cure(&command).await;
        }
        let again = it.doctor("bot").await;
        assert!(!again.has("watches only"), "{}", again.on_one_line());
    }
    let get = ["get", "deployment", NAME, "-n", NAME, "-o", "json"];
    let deployment: Value = serde_json::from_str(&plane.kubectl(&get)).expect("JSON");
    let applied = deployment["metadata"]["annotations"][ANNOTATION].as_str();
    let applied: Value = serde_json::from_str(applied.expect("kubectl keeps it")).expect("JSON");
    assert_eq!(applied["kind"], "Deployment", "{applied:#}");
    // The rights in the namespace are there too.
    let kubeconfig = plane.kubeconfig_for_token("watched", &plane.token_for(NAME, NAME));
    let watched = format!("default,{}", it.world.namespace);
    plane.kubectl(&[
        "create",
        "rolebinding",
        "default",
        "-n",
        "default",
        "--clusterrole",
        NAME,
        "--serviceaccount",
        &format!("{NAME}:{NAME}"),
    ]);
    let builder = it
        .world
        .cluster_wide()
        .leader_elect()
        .kubeconfig(&kubeconfig);
    let operator = builder
        .arg(format!("--watch-namespaces={watched}"))
        .start()
        .await;
    operator.wait_ready(SOON).await;
    it.world.wait_set("bot", FIRST).await;
    it.assert_silent(&[FIRST]);
}
