//! The outcome of a set answers the request for the set. Nothing answers the request earlier.

use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::events::wait_for_one_event;
use super::kstatus::{Kstatus, kstatus, violations};
use super::world::{POOL, SOON, World};
use crate::support::{Fault, condition};

const FIRST: &str = "First-Passw0rd";
const SECOND: &str = "Second-Passw0rd";
const ELSEWHERE: &str = "Set-Elsewhere-1";

fn is_answered(resource: &DynamicObject, request: &str) -> bool {
    resource.data["status"]["lastHandledReconcileAt"] == request
}

async fn temporary(world: &World<'_>, name: &str) {
    world.cognito.add_user(POOL, name);
    world.apply_secret(name, "password", FIRST).await;
    let temporary = |resource: &mut Value| resource["spec"]["permanent"] = json!(false);
    world.apply_resource(name, temporary).await;
    world.wait_set(name, FIRST).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_does_not_confirm_a_password_that_somebody_else_changed() {
    let world = World::new("asked-history").await;
    world.cognito.set_history(5);
    let operator = world.operator().await;
    let names = ["permanent", "temporary", "history-off"];
    for name in names {
        if name == "temporary" {
            temporary(&world, name).await;
        } else {
            world.in_sync(name, FIRST).await;
        }
        world.cognito.change_password(POOL, name, ELSEWHERE);
        world.request(name, "now").await;
    }
    for name in names {
        let told = world.wait(name, "Unknown", "NotConfirmed").await;
        assert!(is_answered(&told, "now"), "{told:#?}");
        assert_eq!(violations(&told), [""; 0], "{name}");
        assert_eq!(kstatus(&told), Kstatus::Failed, "{name}");
        let message = condition(&told, "Ready").map(|ready| ready["message"].to_string());
        assert!(message.unwrap_or_default().contains("new value"), "{name}");
        wait_for_one_event(&world, name, "NotConfirmed").await;
    }

    // Neither a restart nor a change of metadata makes the resource Ready again.
    assert!(operator.terminate(SOON).await.success());
    let mark = world.mark();
    let _operator = world.operator().await;
    for name in names {
        let label = json!({ "metadata": { "labels": { "touched": "yes" } } });
        world.patch_secret(name, label).await;
    }
    world.fence().await;
    assert_eq!(world.status_writes(mark).len(), 0);
    for name in names {
        world.wait(name, "Unknown", "NotConfirmed").await;
        world.assert_calls(name, &[FIRST, FIRST]).await;
    }

    // A new value settles the resource. A pool that has no history any more does so too.
    for name in ["permanent", "temporary"] {
        world.apply_secret(name, "password", SECOND).await;
        world.wait_set(name, SECOND).await;
        world.assert_calls(name, &[FIRST, FIRST, SECOND]).await;
    }
    world.request("history-off", "again").await;
    let again = world
        .wait_for("history-off", "answered", |it| is_answered(it, "again"))
        .await;
    assert_eq!(kstatus(&again), Kstatus::Failed, "{again:#?}");
    world.cognito.set_history(0);
    world.request("history-off", "once more").await;
    let set = world.wait_set("history-off", FIRST).await;
    assert!(is_answered(&set, "once more"), "{set:#?}");
}

/// The handshake of docs/operations.md: whoever changes the Secret, then asks, and waits for the answer and for
/// Ready, has the new password in force.
#[tokio::test(flavor = "multi_thread")]
async fn after_the_answer_to_a_later_request_ready_is_about_the_new_value() {
    let world = World::new("handshake").await;
    let _operator = world.operator().await;
    world.in_sync("ci-bot", FIRST).await;
    for round in 0..8 {
        let value = format!("Rotated-Passw0rd-{round}");
        let request = format!("pipeline-{round}");
        world.apply_secret("ci-bot", "password", &value).await;
        world.request("ci-bot", &request).await;
        world
            .wait_for("ci-bot", "answered", |it| is_answered(it, &request))
            .await;
        world.wait("ci-bot", "True", "PasswordSet").await;
        let password = world.cognito.password_of(POOL, "ci-bot");
        assert_eq!(password.as_deref(), Some(&*value));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_answered_by_its_outcome_and_not_before() {
    let world = World::new("asked-throttled").await;
    let _operator = world.operator().await;
    world.in_sync("permanent", FIRST).await;
    temporary(&world, "temporary").await;
    world.fence().await;
    let mark = world.mark();
    for name in ["permanent", "temporary"] {
        let twice = [Fault::throttled(), Fault::throttled()];
        world.cognito.next_for((POOL, name), twice);
        world.request(name, "now").await;
    }
    for name in ["permanent", "temporary"] {
        let answered = world
            .wait_for(name, "answered", |it| is_answered(it, "now"))
            .await;
        assert_eq!(kstatus(&answered), Kstatus::Current, "{answered:#?}");
        world.assert_calls(name, &[FIRST; 4]).await;
    }
    for write in world.status_writes(mark) {
        let Some(status) = write.pointer("/responseObject/status") else {
            continue;
        };
        let answered = status["lastHandledReconcileAt"] == "now";
        let set = status["conditions"][0]["reason"] == "PasswordSet";
        assert_eq!(answered, set, "{status:#}");
        assert!(!answered || status["attempt"].is_null(), "{status:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_request_keeps_its_retry_time_through_a_restart() {
    let world = World::new("asked-denied").await;
    let operator = world.operator().await;
    let names = ["permanent", "temporary"];
    world.in_sync("permanent", FIRST).await;
    temporary(&world, "temporary").await;
    for name in names {
        world
            .cognito
            .always_for((POOL, name), Fault::access_denied());
        world.request(name, "now").await;
    }
    let mut before = Vec::new();
    for name in names {
        let denied = world.wait(name, "False", "AccessDenied").await;
        assert!(!is_answered(&denied, "now"), "nothing was set: {denied:#?}");
        before.push(denied.data["status"].clone());
    }
    assert!(operator.terminate(SOON).await.success());
    let mark = world.mark();
    let _operator = world.operator().await;
    world.fence().await;
    assert_eq!(world.status_writes(mark).len(), 0);
    for (name, before) in names.iter().zip(&before) {
        world.assert_calls(name, &[FIRST, FIRST]).await;
        assert_eq!(world.status(name).await, *before);
    }
    // A second request doesn't wait, and the first request needs no answer any more.
    world.cognito.heal();
    for name in names {
        world.request(name, "again").await;
        world
            .wait_for(name, "answered", |it| is_answered(it, "again"))
            .await;
        world.wait_set(name, FIRST).await;
        world.assert_calls(name, &[FIRST; 3]).await;
    }
}
