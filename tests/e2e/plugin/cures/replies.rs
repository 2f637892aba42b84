//! What Cognito refuses, and a person mends.

use cognito_password_operator::api::Reason;
use serde_json::json;

use super::scene::{NEW, OLD, Scene, admit, claim};
use crate::support::Fault;
use crate::world::POOL;

/// Remembers the last three passwords of each user.
pub(super) const WITH_HISTORY: &str = "eu-west-1_History";

/// Wants long passwords, and refuses one value as no parameter.
const STRICT: &str = "eu-west-1_Strict";

/// Does not exist at first.
const LATE: &str = "eu-west-1_Late";

const REFUSED: &str = "Refused-And-Long-Passw0rd";

/// Every password of these stories beside `OLD` and `NEW`.
pub(super) const PASSWORDS: [&str; 1] = [REFUSED];

/// The pools of these stories.
pub(super) fn prepare(scene: &Scene) {
    let cognito = &scene.world.cognito;
    cognito.set_history_of(WITH_HISTORY, 3);
    cognito.set_minimum_length_of(STRICT, 20);
    cognito.refuse_value(STRICT, REFUSED);
    cognito.refuse_disabled(true);
    for pool in [WITH_HISTORY, STRICT, LATE] {
        admit(&scene.world, pool, |_| ());
    }
}

/// The first command shows the policy, the next one puts a value that fits.
pub(super) async fn too_short(scene: &Scene) {
    scene.user("short", STRICT, |_| ()).await;
    let short = scene.case("short", Reason::InvalidPassword);
    let words = "Password did not conform with policy: Password not long enough";
    let short = short.explained(&[words]).await;
    let policy = short.apply(&["describe-user-pool"]).await;
    assert!(policy.contains("\"MinimumLength\": 20"), "{policy}");
    short.apply(&["kubectl patch secret short"]).await;
    short.cured().await;
}

pub(super) async fn parameter(scene: &Scene) {
    let world = &scene.world;
    world.cognito.add_user(STRICT, "parameter");
    world.apply_secret("parameter", "password", REFUSED).await;
    world
        .apply_resource("parameter", |it| it["spec"]["userPoolId"] = json!(STRICT))
        .await;
    let case = scene.case("parameter", Reason::InvalidParameter);
    let words = "InvalidParameterException: The pool's configuration does not take";
    let case = case.explained(&[words]).await;
    case.apply(&["kubectl patch secret parameter"]).await;
    case.cured().await;
}

/// An earlier value comes back.
pub(super) async fn in_history(scene: &Scene) {
    let world = &scene.world;
    let settled = Reason::PasswordSet;
    scene.user("reused", WITH_HISTORY, |_| ()).await;
    scene.case("reused", settled).wait().await;
    world
        .cognito
        .change_password(WITH_HISTORY, "reused", "Chosen-Passw0rd");
    world
        .apply_secret("reused", "password", "Chosen-Passw0rd")
        .await;
    let case = scene.case("reused", Reason::PasswordHistoryPolicyViolation);
    let words = "PasswordHistoryPolicyViolationException: Password has previously been used";
    let case = case.explained(&[words]).await;
    case.apply(&["kubectl patch secret reused"]).await;
    case.cured().await;
}

/// The value of the last set is asked for again.
pub(super) async fn not_confirmed(scene: &Scene) {
    scene.user("doubtful", WITH_HISTORY, |_| ()).await;
    scene.case("doubtful", Reason::PasswordSet).wait().await;
    scene.world.request("doubtful", "again").await;
    let case = scene.case("doubtful", Reason::NotConfirmed);
    let words = "can't tell whether the value is the user's password now";
    let case = case.explained(&[words]).await;
    case.apply(&["kubectl patch secret doubtful"]).await;
    case.cured().await;
}

pub(super) async fn user_is_disabled(scene: &Scene) {
    scene.world.cognito.add_user(POOL, "disabled");
    scene.world.cognito.disable_user(POOL, "disabled");
    scene.claim("disabled", POOL, |_| ()).await;
    let case = scene.case("disabled", Reason::NotAuthorized);
    let case = case
        .explained(&["NotAuthorizedException: User is disabled"])
        .await;
    case.apply(&["admin-enable-user", "requestedAt="]).await;
    case.cured().await;
}

/// A person corrects the pool's configuration: of that, no command can be printed.
pub(super) async fn not_in_this_region(scene: &Scene) {
    let user = (POOL, "elsewhere");
    let words = "This operation is available in the primary Region only.";
    let fault = Fault::error("OperationNotEnabledException", words);
    scene.world.cognito.always_for(user, fault);
    scene.user(user.1, user.0, |_| ()).await;
    let case = scene.case(user.1, Reason::OperationNotEnabled);
    let case = case
        .explained(&["available in the primary Region only"])
        .await;
    let pool = case.apply(&["describe-user-pool"]).await;
    assert!(pool.contains(POOL), "{pool}");
    scene.script().heal_for(user);
    case.apply(&["requestedAt="]).await;
    case.cured().await;
}

/// A grant lets the namespace manage the user in another pool: the cure names that pool.
pub(super) async fn wrong_pool(scene: &Scene) {
    const WRONG: &str = "eu-west-1_Wrong";
    let world = scene.world.neighbour("cures-pool").await;
    admit(&world, WRONG, |_| ());
    world.cognito.add_user(POOL, "misnamed");
    claim(&world, "misnamed", WRONG, |_| ()).await;
    let case = scene.case_in(&world, "misnamed", Reason::ResourceNotFound);
    let words = "User pool eu-west-1_Wrong does not exist";
    let case = case.explained(&[words]).await;
    case.apply(&[&format!("userPoolId: {POOL}|")]).await;
    case.cured().await;
    let set = world.cognito.password_of(POOL, "misnamed");
    assert_eq!(set.as_deref(), Some(OLD));
}

/// A person gives the operator an identity of the pool's account: of that, no command can be printed.
pub(super) async fn no_pool(scene: &Scene) {
    scene.claim("no-pool", LATE, |_| ()).await;
    let case = scene.case("no-pool", Reason::ResourceNotFound);
    let words = "ResourceNotFoundException: User pool eu-west-1_Late does not exist";
    let case = case.explained(&[words]).await;
    case.fails("describe-user-pool", "ResourceNotFoundException")
        .await;
    scene.world.cognito.add_user(LATE, "no-pool");
    case.apply(&["describe-user-pool", "requestedAt="]).await;
    case.cured().await;
}

/// The cure creates the user.
pub(super) async fn no_user(scene: &Scene) {
    scene.world.cognito.add_pool(POOL);
    scene.claim("nobody", POOL, |_| ()).await;
    let case = scene.case("nobody", Reason::UserNotFound);
    let case = case
        .explained(&["UserNotFoundException: User does not exist"])
        .await;
    case.fails("admin-get-user", "UserNotFoundException").await;
    case.apply(&["admin-create-user", "requestedAt="]).await;
    case.cured().await;
    let set = scene.world.cognito.password_of(POOL, "nobody");
    assert_eq!(set.as_deref(), Some(OLD));
}

/// A temporary password whose reply was lost: the operator doesn't send the value again by itself.
pub(super) async fn lost_and_temporary(scene: &Scene) {
    let user = (POOL, "lost-temporary");
    scene.world.cognito.next_for(user, [Fault::DropAfter]);
    scene
        .user(user.1, user.0, |it| it["spec"]["permanent"] = json!(false))
        .await;
    let case = scene.case(user.1, Reason::OutcomeUnknown);
    let words = "may have chosen a password of their own";
    let case = case.explained(&[words]).await;
    case.apply(&["requestedAt="]).await;
    case.cured().await;
    let set = scene.world.cognito.password_log(POOL, user.1);
    assert_eq!(set.len(), 2, "{set:?}");
    assert_ne!(OLD, NEW);
}
