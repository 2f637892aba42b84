//! The examples in `gitops/flux`, applied as they are, from an empty cluster to a set password and back.

use serde_json::Value;

use super::controller::Flux;
use crate::cluster::{Cluster, POOL};
use crate::support::tools::checkout;

const FIRST: &str = "First-Passw0rd";

fn exists(cluster: &Cluster, args: &[&str]) -> bool {
    let get = ["get", "--ignore-not-found", "-o", "name"];
    let found = cluster.plane.try_kubectl(&[&get[..], args].concat(), "");
    // A kind that isn't there yet is an error.
    found.is_ok_and(|names| !names.is_empty())
}

#[tokio::test]
async fn the_examples_install_operator_grants_and_resources_in_order() {
    let cluster = Cluster::start().await;
    cluster.plane.start_pods().await;
    cluster.cognito.add_user(POOL, "ci-bot");
    let flux = Flux::start(&cluster);
    cluster.plane.kubectl(&["apply", "-f", "gitops/flux/"]);
    let operators = "cognito-password-operator";
    flux.publish(operators, "1", checkout(), &["crds", "deploy"]);
    let fleet = checkout().join("gitops/flux/fleet");
    flux.publish("fleet", "1", &fleet, &["platform", "team-a"]);

    // The CRDs come first. The operator's Kustomization is ready when the pods are.
    flux.ready("cognito-password-operator-crds", "1").await;
    let installed = flux.ready(operators, "1").await;
    let inventory = installed.data["status"]["inventory"].to_string();
    assert!(
        !inventory.contains("CustomResourceDefinition"),
        "{inventory}"
    );
    let pods = cluster.plane.kubectl(&[
        "get",
        "deployment",
        operators,
        "-n",
        operators,
        "-o",
        "jsonpath={.status.readyReplicas} {.spec.template.spec.containers[0].image}",
    ]);
    let image = "registry.example.com/platform/cognito-password-operator:0.1.0";
    assert_eq!(pods, format!("2 {image}"));

    // Pods run no program here. Until the operator runs, no grant is accepted, and the team has nothing yet.
    flux.waits("cognito-grants").await;
    assert!(exists(&cluster, &["cupg", "team-a"]));
    let blocked = |object: &kube::api::DynamicObject| {
        let conditions = object.data["status"]["conditions"].as_array();
        conditions.is_some_and(|all| all.iter().any(|it| it["reason"] == "DependencyNotReady"))
    };
    flux.kustomization("team-a", "blocked by its dependency", blocked)
        .await;
    assert!(!exists(&cluster, &["cup", "-n", "team-a"]));

    // The operator, with the rights that Flux has applied.
    let _operator = cluster.operator("").await;
    flux.ready("cognito-grants", "1").await;
    flux.waits("team-a").await;
    assert_eq!(cluster.cognito.call_count(), 0);
    // What a store of secrets does.
    cluster.apply_secret("team-a", "ci-bot-credentials", FIRST);
    flux.ready("team-a", "1").await;
    let password = cluster.cognito.password_of(POOL, "ci-bot");
    assert_eq!(password.as_deref(), Some(FIRST));

    // An uninstall by Flux leaves the CRDs, and with them the resources and the operator's record.
    let delete = [
        "delete",
        "kustomization",
        "-n",
        "flux-system",
        "--timeout=5m",
    ];
    let removed = [operators, "cognito-password-operator-crds"];
    cluster.plane.kubectl(&[&delete[..], &removed].concat());
    assert!(!exists(
        &cluster,
        &["deployment", operators, "-n", operators]
    ));
    let kept = cluster
        .plane
        .kubectl(&["get", "cup", "ci-bot", "-n", "team-a", "-o", "json"]);
    let kept: Value = serde_json::from_str(&kept).expect("kubectl prints JSON");
    let ready = &kept["status"]["conditions"][0];
    assert_eq!(ready["reason"], "PasswordSet", "{kept:#}");
}
