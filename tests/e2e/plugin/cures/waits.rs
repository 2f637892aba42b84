//! Reasons that need no cure, or that the operator ends by itself once the cause is gone.

use cognito_password_operator::api::Reason;
use serde_json::json;

use super::replies::WITH_HISTORY;
use super::scene::{Scene, admit};
use crate::support::{Fault, Operation};
use crate::world::POOL;

/// In a Region of its own: throttling lowers the operator's rate there.
const THROTTLED: &str = "eu-west-2_Throttled";

/// The pools of these stories.
pub(super) fn prepare(scene: &Scene) {
    admit(&scene.world, THROTTLED, |_| ());
}

pub(super) async fn set(scene: &Scene) {
    scene.user("set", POOL, |_| ()).await;
    scene.case("set", Reason::PasswordSet).is_settled().await;
}

pub(super) async fn applied_after_lost_reply(scene: &Scene) {
    let user = (WITH_HISTORY, "lost-reply");
    scene.world.cognito.next_for(user, [Fault::DropAfter]);
    scene.user(user.1, user.0, |_| ()).await;
    let case = scene.case(user.1, Reason::AppliedAfterLostReply);
    case.is_settled().await;
}

pub(super) async fn in_progress(scene: &Scene) {
    let words = "an attempt is in progress";
    let operation = Operation::AdminSetUserPassword;
    during_a_call(
        scene,
        "in-progress",
        operation,
        (Reason::Progressing, words),
    )
    .await;
}

pub(super) async fn sessions(scene: &Scene) {
    let words = "the user's sessions are still to be ended";
    let operation = Operation::AdminUserGlobalSignOut;
    during_a_call(
        scene,
        "sessions",
        operation,
        (Reason::RevokingSessions, words),
    )
    .await;
}

/// The status says so only while a call of this operation hangs, and the operator gives up a call after 5 s. On a busy
/// machine that may be too short for `doctor`: then another user is set.
async fn during_a_call(
    scene: &Scene,
    name: &str,
    operation: Operation,
    (reason, words): (Reason, &str),
) {
    let mut why_not = Vec::new();
    for number in 1..=20 {
        let name = format!("{name}-{number}");
        let user = (POOL, &*name);
        scene
            .world
            .cognito
            .of(operation)
            .next_for(user, [Fault::HangBefore]);
        scene
            .user(&name, POOL, |it| it["spec"]["revokeSessions"] = json!(true))
            .await;
        let case = scene.case(&name, reason);
        case.wait().await;
        let document = case.document().await;
        match case.explained_by(&document, &[words]).await {
            Ok(explained) => {
                let explained = explained.says_wait();
                scene.world.cognito.release();
                explained.cured().await;
                return;
            }
            Err(why) => why_not.push(why),
        }
    }
    panic!("{}", why_not.join("\n"));
}

/// A call for this user always fails; then it doesn't.
async fn ends_by_itself(
    scene: &Scene,
    (pool, name): (&str, &str),
    fault: Fault,
    reason: Reason,
    words: &str,
) {
    scene.world.cognito.always_for((pool, name), fault);
    scene.user(name, pool, |_| ()).await;
    let explained = scene.case(name, reason).explained(&[words]).await;
    let explained = explained.says_wait();
    scene.script().heal_for((pool, name));
    explained.cured().await;
}

pub(super) async fn internal_error(scene: &Scene) {
    let user = (POOL, "internal-error");
    let words = "InternalErrorException: Something went wrong";
    let fault = Fault::internal_error();
    ends_by_itself(scene, user, fault, Reason::InternalError, words).await;
}

pub(super) async fn throttled(scene: &Scene) {
    let user = (THROTTLED, "throttled");
    let words = "TooManyRequestsException: Rate exceeded";
    let fault = Fault::throttled();
    ends_by_itself(scene, user, fault, Reason::TooManyRequests, words).await;
}

pub(super) async fn unhandled(scene: &Scene) {
    let user = (POOL, "teapot");
    let fault = Fault::error("TeapotException", "I can't brew coffee.");
    let words = "TeapotException: I can't brew coffee";
    ends_by_itself(scene, user, fault, Reason::UnhandledError, words).await;
}

pub(super) async fn lost(scene: &Scene) {
    let user = (POOL, "lost");
    let words = "got no usable reply";
    let fault = Fault::DropBefore;
    ends_by_itself(scene, user, fault, Reason::OutcomeUnknown, words).await;
}
