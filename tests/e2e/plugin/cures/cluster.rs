//! Causes in the cluster: Secrets, grants and duplicates.

use cognito_password_operator::api::Reason;
use serde_json::json;

use super::scene::{NEW, OLD, Scene, admit, claim};
use crate::duplicates::second_after;
use crate::world::POOL;

const ROLE: &str = "arn:aws:iam::111122223333:role/second-grant";

/// The cure names the only key that the Secret has.
pub(super) async fn wrong_key(scene: &Scene) {
    let world = &scene.world;
    world.cognito.add_user(POOL, "key");
    world.apply_secret("key", "pass", OLD).await;
    world.apply_resource("key", |_| ()).await;
    let words = "key has no key password; its keys: pass";
    let key = scene.case("key", Reason::SecretKeyNotFound);
    let key = key.explained(&[words]).await;
    key.apply(&["\"key\":\"pass\""]).await;
    world.wait_set("key", OLD).await;
    key.cured().await;
}

/// The cure takes the line break out of the value.
pub(super) async fn line_break(scene: &Scene) {
    let world = &scene.world;
    world.cognito.add_user(POOL, "line");
    let value = format!("{OLD}\n");
    world.apply_secret("line", "password", value).await;
    world.apply_resource("line", |_| ()).await;
    let line = scene.case("line", Reason::InvalidSecretValue);
    let line = line.explained(&["the value ends with a line break"]).await;
    line.apply(&["kubectl patch secret line"]).await;
    world.wait_set("line", OLD).await;
    line.cured().await;
}

/// The cure makes an immutable Secret anew, with its other keys.
pub(super) async fn immutable(scene: &Scene) {
    let world = &scene.world;
    world.cognito.add_user(POOL, "fixed");
    let value = format!("{OLD}\n");
    world.apply_secret("fixed", "password", value).await;
    let fixed = json!({ "immutable": true, "stringData": { "other": NEW } });
    world.patch_secret("fixed", fixed).await;
    world.apply_resource("fixed", |_| ()).await;
    let fixed = scene.case("fixed", Reason::InvalidSecretValue);
    let fixed = fixed.explained(&["the value ends with a line break"]).await;
    fixed.apply(&["kubectl patch --local"]).await;
    world.wait_set("fixed", OLD).await;
    // Only the length of the other key's value, because no output may have a password.
    let get = format!(
        "kubectl get secret fixed -n {} -o jsonpath='{{.data.other}}' | base64 -d | wc -c",
        world.namespace
    );
    assert_eq!(scene.run(&get).await.trim(), NEW.len().to_string());
    fixed.cured().await;
}

/// A value of two lines is no password, with and without the line break at its end.
pub(super) async fn two_lines(scene: &Scene) {
    let world = &scene.world;
    world.cognito.add_user(POOL, "lines");
    let value = format!("{OLD}\nsecond\n");
    world.apply_secret("lines", "password", value).await;
    world.apply_resource("lines", |_| ()).await;
    let lines = scene.case("lines", Reason::InvalidSecretValue);
    let lines = lines.explained(&["the value ends with a line break"]).await;
    lines.says("put a new value into the Secret");
    lines.apply(&["kubectl patch secret lines"]).await;
    world.wait_set("lines", NEW).await;
    lines.cured().await;
}

/// The cure makes a Secret.
pub(super) async fn no_secret(scene: &Scene) {
    let world = &scene.world;
    world.cognito.add_user(POOL, "absent");
    world.apply_resource("absent", |_| ()).await;
    let absent = scene.case("absent", Reason::SecretNotFound);
    let absent = absent.explained(&["has no Secret absent"]).await;
    absent
        .apply(&["kubectl create secret generic absent"])
        .await;
    world.wait_set("absent", NEW).await;
    absent.cured().await;
}

/// The cure makes a grant. The plugin's own command first shows why there is none.
pub(super) async fn no_grant(scene: &Scene) {
    let foreign = scene.world.neighbour("cures-foreign").await;
    foreign
        .grant(|it| it["spec"]["usernames"] = json!(["deploy-*"]))
        .await;
    foreign.cognito.add_user(POOL, "granted");
    claim(&foreign, "granted", POOL, |_| ()).await;
    let words = format!("none lets {} manage granted", foreign.namespace);
    let case = scene.case_in(&foreign, "granted", Reason::NotGranted);
    let words = [&*words, "usernames deploy-* don't match granted"];
    let case = case.explained(&words).await;
    case.apply(&["kubectl create -f -"]).await;
    foreign.wait_set("granted", OLD).await;
    case.cured().await;
}

/// The cure gives the other grants the role and the Region of the first one.
pub(super) async fn two_grants(scene: &Scene) {
    let world = scene.world.neighbour("cures-twice").await;
    // A session of any role would do.
    world.cognito.allow_role(ROLE, None);
    let second = admit(&world, POOL, |it| it["spec"]["roleArn"] = json!(ROLE));
    world.cognito.add_user(POOL, "twice");
    claim(&world, "twice", POOL, |_| ()).await;
    let case = scene.case_in(&world, "twice", Reason::AmbiguousGrant);
    let words = ["2 grants fit, with different roles or Regions", &*second];
    let case = case.explained(&words).await;
    let agree = format!("kubectl patch cupg {second}");
    let shown = case.apply(&["kubectl get cupg"]).await;
    assert!(shown.contains(&second), "{shown}");
    case.apply(&[&agree]).await;
    world.wait_set("twice", OLD).await;
    case.cured().await;
}

/// The cure deletes the older resource, and this one sets its own value.
pub(super) async fn duplicate(scene: &Scene) {
    let (world, other) = (&scene.world, scene.world.neighbour("cures-other").await);
    world.cognito.add_user(POOL, "twin");
    let of_twin = |it: &mut serde_json::Value| it["spec"]["username"] = json!("twin");
    claim(&other, "older", POOL, of_twin).await;
    other.wait("older", "True", "PasswordSet").await;
    second_after(&other.resource("older").await).await;
    world.apply_secret("younger", "password", NEW).await;
    world.apply_resource("younger", of_twin).await;
    let words = format!("{}/older is older", other.namespace);
    let case = scene.case("younger", Reason::DuplicateUser);
    let case = case.explained(&[&words]).await;
    case.apply(&["kubectl delete cup older"]).await;
    case.cured().await;
    let set = world.cognito.password_of(POOL, "twin");
    assert_eq!(set.as_deref(), Some(NEW));
}
