//! Somebody else changes users in Cognito, and the operator looks.

use std::time::Duration;

use serde_json::json;

use super::Stage;
use crate::installation::Installation;
use crate::support::{Operation, await_resource};
use crate::world::POOL;

/// For what two looks take to find: a pass more than a minute after the set, and a lookup a minute later. The rest is
/// for a busy machine.
const TWO_LOOKS: Duration = Duration::from_mins(6);

/// A user is disabled, until somebody enables the user again and asks for a set.
pub(super) async fn drift(stage: Stage) -> Installation {
    let mut it = stage.pair().await;
    add(&it, "Report").await;
    it.world.cognito.disable_user(POOL, "bot");
    until(&it, "UserDisabled").await;
    it.fires("Drift").await;
    it.world.cognito.enable_user(POOL, "bot");
    it.world.request("bot", "enabled").await;
    it.world.wait("bot", "True", "PasswordSet").await;
    it.resolves("Drift").await;
    it
}

/// A user is reset, and the operator sets the password again.
pub(super) async fn correcting(stage: Stage) -> Installation {
    let mut it = stage.pair().await;
    add(&it, "Correct").await;
    let sets = it.world.cognito.calls().len();
    it.world.cognito.reset_user(POOL, "bot");
    it.fires("Correcting").await;
    assert_eq!(it.world.cognito.calls().len(), sets + 1, "one correction");
    it.world.wait("bot", "True", "PasswordSet").await;
    it.resolves("Correcting").await;
    it
}

/// IAM takes the right to look away. The password is set all the same, and no resource says `AccessDenied` in `Ready`.
pub(super) async fn looks_denied(stage: Stage) -> Installation {
    let mut it = stage.pair().await;
    let looks = it.world.cognito.of(Operation::ListUsers);
    looks.deny();
    add(&it, "Report").await;
    // The operator looks at new users once. Later ones find the right missing as well.
    for bot in ["bot-2", "bot-3"] {
        it.add_with(bot, |spec| spec["drift"] = json!("Report"))
            .await;
        it.world.wait(bot, "True", "PasswordSet").await;
    }
    it.fires("AccessDenied").await;
    it.world.cognito.of(Operation::ListUsers).allow();
    it.resolves("AccessDenied").await;
    it
}

async fn add(it: &Installation, drift: &str) {
    let spec = |spec: &mut serde_json::Value| {
        spec["drift"] = json!(drift);
        // For the panel of the sign-outs.
        spec["revokeSessions"] = json!(true);
    };
    it.add_with("bot", spec).await;
    it.world.wait("bot", "True", "PasswordSet").await;
}

/// Waits until two looks have found this.
async fn until(it: &Installation, reason: &str) {
    let name = (&*it.world.namespace, "bot");
    await_resource(&it.world.client, name, TWO_LOOKS, reason, |resource| {
        let conditions = resource.data["status"]["conditions"].as_array();
        let is_ready = |it: &&serde_json::Value| it["type"] == "Ready";
        let ready = conditions.and_then(|conditions| conditions.iter().find(is_ready));
        ready.is_some_and(|ready| ready["reason"] == *reason)
    })
    .await;
}
