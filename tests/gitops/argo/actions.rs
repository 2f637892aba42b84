//! Each action does in a real API server what its name says.

use serde_json::{Value, json};

use super::{ARGOCD_CM, argocd_lua};
use crate::support::condition;
use crate::world::{POOL, SOON, World};

const FIRST: &str = "First-Passw0rd";
const SECOND: &str = "Second-Passw0rd";

/// Runs an action as Argo CD's server does: reads the resource, and sends the merge patch.
async fn act(world: &World<'_>, action: &str, parameters: &[&str]) {
    let object = json(world).await;
    let args = [&["run", ARGOCD_CM, action][..], parameters].concat();
    let patch = argocd_lua(&args, &[object], None).remove(0);
    assert_eq!(patch["status"], json!(null), "an action changes no status");
    world.patch_resource("bot", patch).await;
}

async fn json(world: &World<'_>) -> Value {
    let mut object = world.resource("bot").await;
    object.metadata.managed_fields = None;
    serde_json::to_value(object).expect("an object is JSON")
}

async fn health(world: &World<'_>) -> Value {
    argocd_lua(&["health", ARGOCD_CM], &[json(world).await], None).remove(0)
}

/// The actions that a user may click.
async fn enabled(world: &World<'_>) -> Vec<String> {
    let list = argocd_lua(&["actions", ARGOCD_CM], &[json(world).await], None).remove(0);
    let list = list.as_array().expect("a list");
    let enabled = list.iter().filter(|action| action["disabled"] != true);
    let names = enabled.filter_map(|action| action["name"].as_str());
    names.map(ToOwned::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_actions_set_suspend_and_resume() {
    let world = World::new("argo-actions").await;
    let _operator = world.operator().await;
    world.in_sync("bot", FIRST).await;
    assert_eq!(enabled(&world).await, ["set", "suspend"]);

    act(&world, "set", &[]).await;
    let twice = |calls: &[_]| calls.len() == 2;
    world.cognito.wait_until("second call", SOON, twice).await;
    world
        .wait_for("bot", "answered", |it| {
            it.data["status"]["lastHandledReconcileAt"].is_string()
        })
        .await;
    assert_eq!(health(&world).await["status"], "Healthy");

    act(&world, "suspend", &["reason=INC-42"]).await;
    world
        .wait_for("bot", "suspended", |it| {
            condition(it, "Suspended").is_some_and(|it| it["status"] == "True")
        })
        .await;
    let told = health(&world).await;
    assert_eq!(told["status"], "Suspended");
    let message = told["message"].as_str().unwrap_or_default();
    assert!(message.contains("INC-42"), "{message}");
    assert_eq!(enabled(&world).await, ["resume"]);
    world.apply_secret("bot", "password", SECOND).await;
    world.fence().await;
    assert_eq!(
        world.cognito.password_of(POOL, "bot").as_deref(),
        Some(FIRST)
    );

    act(&world, "resume", &[]).await;
    world.wait_set("bot", SECOND).await;
    assert_eq!(health(&world).await["status"], "Healthy");
    let annotations = world.resource("bot").await.metadata.annotations;
    let reason = "cognito-password-operator.io/suspended-because";
    assert!(!annotations.unwrap_or_default().contains_key(reason));
}
