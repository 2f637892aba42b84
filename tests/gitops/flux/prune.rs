//! What leaves Git leaves the cluster, and the user keeps the last password.

use serde_json::json;

use super::controller::{Flux, kustomization, resource, secret};
use crate::cluster::{Cluster, POOL, SOON};

const FIRST: &str = "First-Passw0rd";
const SECOND: &str = "Second-Passw0rd";

#[tokio::test]
async fn what_leaves_git_is_pruned_and_the_user_keeps_the_password() {
    let cluster = Cluster::start().await;
    let _operator = cluster.operator("deploy/").await;
    cluster.add_team();
    cluster.cognito.add_user(POOL, "ci-bot");
    cluster.cognito.add_user(POOL, "nightly");
    let flux = Flux::start(&cluster);
    flux.add_repository("fleet");
    let kept = [
        ("ci-bot.yaml", resource("ci-bot", &json!({}))),
        ("ci-bot-secret.yaml", secret("ci-bot", FIRST)),
    ];
    let pruned = [
        ("nightly.yaml", resource("nightly", &json!({}))),
        ("nightly-secret.yaml", secret("nightly", FIRST)),
    ];
    flux.publish_files("fleet", "1", &[&kept[..], &pruned].concat());
    cluster.apply(&kustomization("team-a", &json!({ "wait": true })));
    flux.ready("team-a", "1").await;
    assert_eq!(cluster.cognito.call_count(), 2);

    flux.publish_files("fleet", "2", &kept);
    flux.ready("team-a", "2").await;
    let left = cluster
        .plane
        .kubectl(&["get", "cup,secret", "-n", "team-a", "-o", "name"]);
    assert_eq!(
        left.lines().collect::<Vec<_>>(),
        [
            "cognitouserpassword.cognito-password-operator.io/ci-bot",
            "secret/ci-bot"
        ]
    );

    let password = cluster.cognito.password_of(POOL, "nightly");
    assert_eq!(password.as_deref(), Some(FIRST));

    // A suspended Kustomization stops Flux, not the operator.
    let suspended = json!({ "wait": true, "suspend": true });
    cluster.apply(&kustomization("team-a", &suspended));
    cluster.apply_secret("team-a", "ci-bot", SECOND);
    let user = (POOL, "ci-bot");
    cluster.cognito.wait_for_password(user, SECOND, SOON).await;
    assert_eq!(cluster.cognito.call_count(), 3);
}
