//! A password appears only in its Secret and in Cognito. No spelling of a password appears in a log at any
//! level, in Events, statuses, metrics, requests, or a core file.
//!
//! Every test with a `World` checks that: the operators log at the highest level, and at the end the world
//! searches everything that its operators left. This module has the checks that no other test makes.

mod caps;
#[cfg(target_os = "linux")]
mod memory;

mod panics;
mod parts;
mod search;

use serde_json::{Value, json};

use super::world::{POOL, World};
use crate::support::{Fault, condition};

/// A text that appears nowhere else, and that looks different in every spelling.
fn marker(of: &str) -> String {
    let random = getrandom::u64().expect("the system has randomness");
    format!("Mark\"{of}\\{random:016x}+'é/%>0")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_aws_echoes_or_that_needs_escaping_leaks_nowhere() {
    let world = World::new("leaks").await;
    world.cognito.set_history(5);
    let _operator = world.operator().await;
    let [first, second, refused, escaped, invalid, lost, unknown] = [
        "first", "second", "refused", "escaped", "invalid", "lost", "unknown",
    ]
    .map(marker);

    world.in_sync("main", &first).await;
    // The annotation in which `kubectl apply` keeps an object.
    let last_applied = json!({ "stringData": { "password": first } }).to_string();
    let annotation = "kubectl.kubernetes.io/last-applied-configuration";
    let change = json!({ "metadata": { "annotations": { annotation: last_applied } } });
    world.patch_secret("main", change).await;
    world.apply_secret("main", "password", &second).await;
    world.wait_set("main", &second).await;

    // An AWS that repeats the refused value in its error, plain or as JSON.
    let echoes = [
        ("refused", &refused, refused.clone()),
        ("escaped", &escaped, json!(escaped).to_string()),
    ];
    for (name, value, echo) in echoes {
        world.cognito.add_user(POOL, name);
        let words = format!("Value '{echo}' at 'password' failed to satisfy constraint");
        let fault = Fault::error("InvalidParameterException", &words);
        world.cognito.always_for((POOL, name), fault);
        world.apply_secret(name, "password", value).await;
        world.apply_resource(name, |_| ()).await;
        let stalled = world.wait(name, "False", "InvalidParameter").await;
        let message = condition(&stalled, "Ready").map(|ready| ready["message"].to_string());
        let message = message.unwrap_or_default();
        assert!(
            message.contains("[password]"),
            "AWS's other words stay: {message}"
        );
    }

    let newline = format!("{invalid}\n");
    world.apply_secret("invalid", "password", &newline).await;
    world.apply_resource("invalid", |_| ()).await;
    world.wait("invalid", "False", "InvalidSecretValue").await;

    let losses = [
        ("lost", &lost, Fault::DropAfter, "AppliedAfterLostReply"),
        ("unknown", &unknown, Fault::internal_error(), "PasswordSet"),
    ];
    for (name, value, fault, reason) in losses {
        world.cognito.add_user(POOL, name);
        world.cognito.next_for((POOL, name), [fault]);
        world.apply_secret(name, "password", value).await;
        world.apply_resource(name, |_| ()).await;
        world.wait(name, "True", reason).await;
    }
    world.fence().await;
}

/// Readers of a status see the fingerprint, so every value derived from a password is keyed.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_password_has_another_fingerprint_for_another_user() {
    let world = World::new("fingerprints").await;
    let _operator = world.operator().await;
    let fingerprint = |resource: &kube::api::DynamicObject| {
        let synced = resource.data.pointer("/status/synced/fingerprint");
        synced
            .and_then(Value::as_str)
            .map(str::to_owned)
            .expect("it is set")
    };
    let one = fingerprint(&world.in_sync("one", "The-same-Passw0rd").await);
    let two = fingerprint(&world.in_sync("two", "The-same-Passw0rd").await);
    assert_ne!(one, two);
}
