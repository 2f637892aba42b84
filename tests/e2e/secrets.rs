//! The life of a Secret: late creation, deletion, recreation, a new name, replacement, and shared use.

use futures::future::join_all;
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use serde_json::json;

use crate::world::{POOL, World};

#[tokio::test]
async fn a_secret_that_comes_after_its_resource_is_set_when_it_comes() {
    let world = World::new("late").await;
    let _operator = world.operator().await;
    world.cognito.add_user(POOL, "bot");
    world.apply_resource("bot", |_| ()).await;
    let waiting = world.wait("bot", "False", "SecretNotFound").await;
    let message = waiting.data["status"]["conditions"][0]["message"]
        .as_str()
        .unwrap_or_default();
    assert_eq!(
        message,
        "The Secret bot does not exist in this namespace: create the Secret, or correct \
         spec.passwordSecretRef.name."
    );
    world.assert_calls("bot", &[]).await;

    world
        .apply_secret("bot", "password", "First-Passw0rd")
        .await;
    world.wait_set("bot", "First-Passw0rd").await;
    world.assert_calls("bot", &["First-Passw0rd"]).await;
}

#[tokio::test]
async fn a_secret_applied_by_a_gitops_tool_after_its_resource_is_set() {
    let world = World::new("gitops").await;
    let _operator = world.operator().await;
    world.cognito.add_user(POOL, "bot");
    world.apply_resource("bot", |_| ()).await;
    world.wait("bot", "False", "SecretNotFound").await;

    let server_side = ["apply", "--server-side", "-n", &world.namespace, "-f", "-"];
    let client_side = ["apply", "-n", &world.namespace, "-f", "-"];
    let secret = |password: &str| {
        let metadata = json!({ "name": "bot" });
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": metadata,
            "stringData": { "password": password },
        });
        secret.to_string()
    };
    world
        .plane
        .kubectl_stdin(&server_side, &secret("Server-Side"));
    world.wait_set("bot", "Server-Side").await;
    world
        .plane
        .kubectl_stdin(&client_side, &secret("Client-Side"));
    world.wait_set("bot", "Client-Side").await;
}

#[tokio::test]
async fn a_deleted_secret_is_reported_and_set_again_only_if_recreated_with_another_value() {
    let world = World::new("deleted").await;
    let _operator = world.operator().await;
    let set = world.in_sync("bot", "First-Passw0rd").await;

    world.delete_secret("bot").await;
    let missed = world.wait("bot", "False", "SecretNotFound").await;
    assert_eq!(
        missed.data["status"]["synced"], set.data["status"]["synced"],
        "what is set stays known"
    );
    world
        .apply_secret("bot", "password", "First-Passw0rd")
        .await;
    world.wait("bot", "True", "PasswordSet").await;
    // The user has this password already.
    world.assert_calls("bot", &["First-Passw0rd"]).await;

    world.delete_secret("bot").await;
    world.wait("bot", "False", "SecretNotFound").await;
    world
        .apply_secret("bot", "password", "Second-Passw0rd")
        .await;
    world.wait_set("bot", "Second-Passw0rd").await;
    world
        .assert_calls("bot", &["First-Passw0rd", "Second-Passw0rd"])
        .await;
}

#[tokio::test]
async fn a_missing_secret_key_is_reported_and_its_value_is_set_when_added() {
    let world = World::new("key").await;
    let _operator = world.operator().await;
    world.cognito.add_user(POOL, "bot");
    world.apply_secret("bot", "pass", "First-Passw0rd").await;
    world.apply_resource("bot", |_| ()).await;
    let waiting = world.wait("bot", "False", "SecretKeyNotFound").await;
    let message = waiting.data["status"]["conditions"][0]["message"]
        .as_str()
        .unwrap_or_default();
    assert_eq!(
        message,
        "The Secret bot does not have the key password: add the key, or correct \
         spec.passwordSecretRef.key."
    );
    world.assert_calls("bot", &[]).await;

    let added = json!({ "stringData": { "password": "Second-Passw0rd" } });
    world.patch_secret("bot", added).await;
    world.wait_set("bot", "Second-Passw0rd").await;
    world.assert_calls("bot", &["Second-Passw0rd"]).await;
}

#[tokio::test]
async fn a_renamed_key_is_followed_and_the_same_value_is_not_set_again() {
    let world = World::new("renamed").await;
    let _operator = world.operator().await;
    world.in_sync("bot", "First-Passw0rd").await;

    // First the Secret's key is renamed, later the resource names the new key.
    world.apply_secret("bot", "token", "First-Passw0rd").await;
    world.wait("bot", "False", "SecretKeyNotFound").await;
    let key = |key: &str| json!({ "spec": { "passwordSecretRef": { "key": key } } });
    world.patch_resource("bot", key("token")).await;
    world.wait("bot", "True", "PasswordSet").await;
    // The user has this password already.
    world.assert_calls("bot", &["First-Passw0rd"]).await;

    // Another key of the Secret, with another value.
    let added = json!({ "stringData": { "next": "Second-Passw0rd" } });
    world.patch_secret("bot", added).await;
    world.patch_resource("bot", key("next")).await;
    world.wait_set("bot", "Second-Passw0rd").await;
    world
        .assert_calls("bot", &["First-Passw0rd", "Second-Passw0rd"])
        .await;
}

#[tokio::test]
async fn an_immutable_secret_that_is_replaced_is_followed() {
    let world = World::new("immutable").await;
    let _operator = world.operator().await;
    world.cognito.add_user(POOL, "bot");
    let create = async |password: &str| {
        let secret: Secret = serde_json::from_value(json!({
            "metadata": { "name": "bot" },
            "immutable": true,
            "stringData": { "password": password },
        }))
        .expect("a Secret");
        world
            .secrets()
            .create(&PostParams::default(), &secret)
            .await
            .expect("it is not there yet");
    };
    create("First-Passw0rd").await;
    world.apply_resource("bot", |_| ()).await;
    world.wait_set("bot", "First-Passw0rd").await;

    world.delete_secret("bot").await;
    create("Second-Passw0rd").await;
    world.wait_set("bot", "Second-Passw0rd").await;
    world
        .assert_calls("bot", &["First-Passw0rd", "Second-Passw0rd"])
        .await;
}

#[tokio::test]
async fn a_resource_that_names_another_secret_is_set_to_that_ones_value_and_follows_it_alone() {
    let world = World::new("moved").await;
    let _operator = world.operator().await;
    world.in_sync("bot", "First-Passw0rd").await;
    world
        .apply_secret("other", "password", "Second-Passw0rd")
        .await;
    let other = json!({ "spec": { "passwordSecretRef": { "name": "other" } } });
    world.patch_resource("bot", other).await;
    world.wait_set("bot", "Second-Passw0rd").await;

    // The old Secret has no effect any more. The operator follows the new Secret.
    world
        .apply_secret("bot", "password", "Of-The-Old-Secret")
        .await;
    world
        .apply_secret("other", "password", "Third-Passw0rd")
        .await;
    world.wait_set("bot", "Third-Passw0rd").await;
    world
        .assert_calls(
            "bot",
            &["First-Passw0rd", "Second-Passw0rd", "Third-Passw0rd"],
        )
        .await;
}

#[tokio::test]
async fn two_resources_on_one_secret_both_follow_it() {
    let world = World::new("shared").await;
    let _operator = world.operator().await;
    world
        .apply_secret("ours", "password", "First-Passw0rd")
        .await;
    for name in ["one", "two"] {
        world.cognito.add_user(POOL, name);
        let of_ours = |resource: &mut serde_json::Value| {
            resource["spec"]["passwordSecretRef"]["name"] = json!("ours");
        };
        world.apply_resource(name, of_ours).await;
    }
    for password in ["First-Passw0rd", "Second-Passw0rd"] {
        world.apply_secret("ours", "password", password).await;
        for name in ["one", "two"] {
            world.wait_set(name, password).await;
        }
    }

    // One resource is deleted, the other continues.
    world.delete_resource("one").await;
    world
        .apply_secret("ours", "password", "Third-Passw0rd")
        .await;
    world.wait_set("two", "Third-Passw0rd").await;
    world.fence().await;
    let one = world.cognito.password_of(POOL, "one");
    assert_eq!(one.as_deref(), Some("Second-Passw0rd"));
}

#[tokio::test]
async fn a_resource_recreated_for_another_user_sets_only_that_users_password() {
    let world = World::new("anew").await;
    let _operator = world.operator().await;
    world.in_sync("bot", "First-Passw0rd").await;
    world.cognito.add_user(POOL, "other");

    world.delete_resource("bot").await;
    let for_other = |resource: &mut serde_json::Value| {
        resource["spec"]["username"] = json!("other");
    };
    world.apply_resource("bot", for_other).await;
    world.wait_set("bot", "First-Passw0rd").await;
    world
        .apply_secret("bot", "password", "Second-Passw0rd")
        .await;
    world.wait_set("bot", "Second-Passw0rd").await;

    // `assert_calls` checks the calls for the resource's present user.
    world
        .assert_calls("bot", &["First-Passw0rd", "Second-Passw0rd"])
        .await;
    let of_bot = world.cognito.calls_for(POOL, "bot");
    assert_eq!(of_bot.len(), 1, "{of_bot:#?}");
}

#[tokio::test]
async fn changes_of_secret_and_resource_at_the_same_moment_are_both_followed() {
    const PASSWORD: &str = "First-Passw0rd";
    let world = World::new("at-once").await;
    let _operator = world.operator().await;
    // Many resources and rounds, because the fault needs two tasks that run at the same time.
    join_all((0..6).map(async |number| {
        let name = format!("bot-{number}");
        world.in_sync(&name, PASSWORD).await;
        for round in 0..12 {
            // The change of the Secret starts a reconcile that finds nothing to do.
            let permanent = round % 2 == 1;
            let label = json!({ "metadata": { "labels": { "round": round.to_string() } } });
            let change = json!({ "spec": { "permanent": permanent } });
            tokio::join!(
                world.patch_secret(&name, label),
                world.patch_resource(&name, change),
            );
            world.wait_set(&name, PASSWORD).await;
            let set = world.cognito.is_permanent(POOL, &name);
            assert_eq!(set, Some(permanent), "{name} in round {round}");
        }
    }))
    .await;
}
