//! Argo CD's own diff finds nothing `OutOfSync` after a sync.

use std::fs;

use serde_json::{Value, json};

use super::argocd_lua;
use crate::support::tools;
use crate::world::World;

/// What the API server has for a desired object.
fn live(world: &World<'_>, desired: &Value) -> Value {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let kind = text(&desired["kind"]);
    let group = text(&desired["apiVersion"]);
    // `kind.version.group`, because kinds of several groups have the same name.
    let kind = match group.split_once('/') {
        Some((group, version)) => format!("{kind}.{version}.{group}"),
        None => kind,
    };
    let name = text(&desired["metadata"]["name"]);
    let namespace = text(&desired["metadata"]["namespace"]);
    let mut args = vec!["get", &kind, &name, "-o", "json", "--show-managed-fields"];
    if !namespace.is_empty() {
        args.extend(["-n", &namespace]);
    }
    let text = world.plane.kubectl(&args);
    serde_json::from_str(&text).expect("kubectl prints JSON")
}

/// Puts Argo CD's own mark on an object: which Application the object belongs to.
fn track(object: &mut Value) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let api = text(&object["apiVersion"]);
    let group = api.split_once('/').map_or("", |(group, _)| group);
    let metadata = &object["metadata"];
    let (namespace, name) = (text(&metadata["namespace"]), text(&metadata["name"]));
    let id = format!(
        "team-a:{group}/{}:{namespace}/{name}",
        text(&object["kind"])
    );
    object["metadata"]["annotations"]["argocd.argoproj.io/tracking-id"] = json!(id);
}

/// The objects of which Argo CD says `OutOfSync`, with the difference.
fn out_of_sync(world: &World<'_>, desired: &[Value]) -> Vec<String> {
    let pairs = desired.iter().map(|desired| {
        let live = live(world, desired);
        json!({ "desired": desired, "live": live })
    });
    let pairs: Vec<_> = pairs.collect();
    let kubeconfig = world.plane.kubeconfig_path();
    let found = argocd_lua(&["diff"], &pairs, Some(&kubeconfig));
    let mut out_of_sync = Vec::new();
    for (pair, found) in pairs.iter().zip(found) {
        for mode in ["client", "server"] {
            let difference = found.get(mode).expect("argocd-lua compares in both modes");
            if !difference.is_null() {
                let kind = &pair["desired"]["kind"];
                let name = &pair["desired"]["metadata"]["name"];
                out_of_sync.push(format!("{mode}: {kind} {name}: {difference:#}"));
            }
        }
    }
    out_of_sync
}

#[tokio::test(flavor = "multi_thread")]
async fn argo_cd_finds_no_difference_after_a_sync() {
    let (world, _turn) = World::alone("argo-diff").await;
    let namespace = world.namespace.clone();
    let mut desired = Vec::new();
    for example in ["ci-bot", "grant"] {
        let path = format!("deploy/examples/{example}.yaml");
        let text = fs::read_to_string(tools::checkout().join(&path)).expect("an example");
        desired.extend(serde_saphyr::from_multiple::<Value>(&text).expect("YAML"));
    }
    desired.retain(|object| object["kind"] != "Secret");
    // As short as a resource can be: the API server fills in all defaults.
    desired.push(json!({
        "apiVersion": "cognito-password-operator.io/v1alpha1",
        "kind": "CognitoUserPassword",
        "metadata": { "name": "short", "namespace": "team-a" },
        "spec": {
            "userPoolId": "eu-west-1_AbCdEf123",
            "username": "short",
            "passwordSecretRef": { "name": "short" },
        },
    }));
    for object in &mut desired {
        if object["metadata"]["namespace"].is_string() {
            object["metadata"]["namespace"] = json!(namespace);
        }
        track(object);
    }
    for server_side in [false, true] {
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": desired });
        let mut args = vec!["apply", "-f", "-"];
        if server_side {
            args.extend([
                "--server-side",
                "--force-conflicts",
                "--field-manager=argocd-controller",
            ]);
        }
        world.plane.kubectl_stdin(&args, &list.to_string());
        let operator = world.cluster_wide().start().await;
        operator.wait_ready(crate::world::SOON).await;
        for name in ["ci-bot", "short"] {
            world
                .wait_for(name, "judged", |it| {
                    it.data["status"]["conditions"].is_array()
                })
                .await;
        }
        let found = out_of_sync(&world, &desired);
        assert!(found.is_empty(), "{}", found.join("\n"));

        // Git carries no `spec.suspend`, so self-heal leaves a suspension alone.
        world
            .patch_resource("short", json!({ "spec": { "suspend": true } }))
            .await;
        let found = out_of_sync(&world, &desired[desired.len() - 1..]);
        assert!(found.is_empty(), "{}", found.join("\n"));
        // But a changed field is a difference, in both modes.
        let mut changed = desired[desired.len() - 1].clone();
        changed["spec"]["permanent"] = json!(false);
        let found = out_of_sync(&world, &[changed]);
        assert_eq!(found.len(), 2, "{found:#?}");
        drop(operator);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn argo_cd_finds_no_difference_in_the_operators_own_manifests() {
    let (world, _turn) = World::alone("argo-deploy").await;
    let text = world.plane.kubectl(&["kustomize", "deploy/"]);
    let mut desired = serde_saphyr::from_multiple::<Value>(&text).expect("YAML");
    desired.iter_mut().for_each(track);
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": desired });
    world
        .plane
        .kubectl_stdin(&["apply", "-f", "-"], &list.to_string());
    let found = out_of_sync(&world, &desired);
    assert!(found.is_empty(), "{}", found.join("\n"));
}
