//! The example `deploy/examples/pool-id-flux`: Flux takes the pool's id from a `ConfigMap`.

use serde_json::json;

use super::controller::{FLUX, Flux};
use crate::cluster::{Cluster, POOL};
use crate::support::{condition, tools::checkout};

const FIRST: &str = "First-Passw0rd";

#[tokio::test]
async fn flux_applies_the_resource_once_a_config_map_has_the_pools_id() {
    let cluster = Cluster::start().await;
    let _operator = cluster.operator("deploy/").await;
    cluster.add_team();
    cluster.cognito.add_user(POOL, "ci-bot");
    cluster.apply_secret("team-a", "ci-bot-credentials", FIRST);
    let flux = Flux::start(&cluster);
    flux.add_repository("fleet");
    let example = checkout().join("deploy/examples/pool-id-flux");
    flux.publish("fleet", "1", &example.join("fleet"), &["team-a"]);
    let manifest = example.join("flux.yaml");
    let manifest = manifest.to_str().expect("the checkout's path is text");
    cluster.plane.kubectl(&["apply", "-f", manifest]);

    // Whatever makes the pool isn't done yet.
    let blocked = flux.kustomization("team-a", "without the pool's id", |object| {
        condition(object, "Ready").is_some_and(|ready| ready["reason"] == "BuildFailed")
    });
    let blocked = blocked.await;
    let message = condition(&blocked, "Ready").map(|ready| ready["message"].to_string());
    let message = message.unwrap_or_default();
    assert!(message.contains("user-pool"), "{message}");
    let names = ["get", "cup", "-n", "team-a", "-o", "name"];
    assert_eq!(cluster.plane.kubectl(&names), "");

    // With the label, Flux needs no `retryInterval` to notice the ConfigMap.
    cluster.apply(&json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "user-pool",
            "namespace": FLUX,
            "labels": { "reconcile.fluxcd.io/watch": "Enabled" },
        },
        "data": { "user_pool_id": POOL },
    }));
    flux.ready("team-a", "1").await;
    let password = cluster.cognito.password_of(POOL, "ci-bot");
    assert_eq!(password.as_deref(), Some(FIRST));
}
