//! What looks at the users find.

use cognito_password_operator::api::Reason;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::case::{Case, Explained};
use super::scene::{OLD, Scene, admit};
use crate::looks::{add_user, backdate, merge_status};
use crate::support::{Origin, SOMEBODY_ELSE, UserStatus};
use crate::world::POOL;

/// Temporary passwords expire after three days.
const THREE_DAYS: &str = "eu-west-1_ThreeDays";

/// The users whose password somebody else resets, and who disappear, and so on.
const USERS: [(&str, Reason); 11] = [
    ("look-disabled", Reason::UserDisabled),
    ("look-gone", Reason::UserGone),
    ("look-recreated", Reason::UserRecreated),
    ("look-unconfirmed", Reason::UserUnconfirmed),
    ("look-stranger", Reason::UserUnconfirmed),
    ("look-reset", Reason::PasswordReset),
    ("look-correct", Reason::PasswordReset),
    ("look-federated", Reason::FederatedUser),
    ("look-person", Reason::FederatedUser),
    ("look-contested", Reason::Contested),
    ("look-expired", Reason::TemporaryPasswordExpired),
];

fn pool(name: &str) -> &'static str {
    match name {
        "look-expired" => THREE_DAYS,
        _ => POOL,
    }
}

fn case<'a>(scene: &'a Scene, wanted: &'a str) -> Case<'a> {
    let reason = USERS.iter().find(|(name, _)| *name == wanted);
    scene.case(wanted, reason.expect("a user").1)
}

/// The pools of these stories.
pub(super) fn prepare(scene: &Scene) {
    let cognito = &scene.world.cognito;
    cognito.set_temporary_validity_days(THREE_DAYS, Some(3));
    admit(&scene.world, THREE_DAYS, |_| ());
}

/// All passwords are set.
pub(super) async fn set_all(scene: &Scene) {
    for (name, _) in USERS {
        add_user(&scene.world, (pool(name), name));
        let change = |it: &mut Value| {
            let corrects = name == "look-contested";
            it["spec"]["drift"] = json!(if corrects { "Correct" } else { "Report" });
            it["spec"]["permanent"] = json!(name != "look-expired");
        };
        scene.claim(name, pool(name), change).await;
    }
    for (name, _) in USERS {
        scene.world.wait(name, "True", "PasswordSet").await;
    }
}

/// The sets were long ago, and others act. No operator runs meanwhile.
pub(super) async fn others_act(scene: &Scene) {
    for (name, _) in USERS {
        let hours = if name == "look-expired" { 4 * 24 } else { 1 };
        let ago = SignedDuration::from_hours(hours);
        backdate(&scene.world, name, (pool(name), name), ago).await;
    }
    let yesterday = Timestamp::now() - SignedDuration::from_hours(24);
    let four = json!({ "corrections": { "count": 4, "at": yesterday.to_string() } });
    merge_status(&scene.world, "look-contested", four).await;
    let cognito = &scene.world.cognito;
    for name in ["look-reset", "look-correct", "look-contested"] {
        cognito.reset_user(POOL, name);
    }
    cognito.disable_user(POOL, "look-disabled");
    cognito.delete_user(POOL, "look-gone");
    cognito.recreate_user(POOL, "look-recreated", Origin::Administrator);
    for name in ["look-unconfirmed", "look-stranger"] {
        cognito.set_status((POOL, name), UserStatus::Unconfirmed);
    }
    for name in ["look-federated", "look-person"] {
        cognito.make_federated(POOL, name);
    }
}

/// The operator looks again by itself, but only after its interval. A restart begins a look at once.
pub(super) async fn disabled(scene: &Scene) -> Explained<'_> {
    let case = case(scene, "look-disabled");
    let case = case.explained(&["so the user can't sign in"]).await;
    case.apply(&["admin-enable-user"]).await;
    case
}

/// Another look after a restart, as for [`disabled`].
pub(super) async fn reset_and_corrected(scene: &Scene) -> Explained<'_> {
    let case = case(scene, "look-correct");
    let case = case
        .explained(&["somebody else reset the user's password"])
        .await;
    case.apply(&["\"drift\":\"Correct\""]).await;
    case
}

/// The password is what the Secret says, again.
async fn is_set_again(scene: &Scene, name: &str, case: Explained<'_>) {
    case.cured().await;
    let set = scene.world.cognito.password_of(pool(name), name);
    assert_eq!(set.as_deref(), Some(OLD), "{name}");
}

pub(super) async fn gone(scene: &Scene) {
    let name = "look-gone";
    let case = case(scene, name);
    let case = case.explained(&["has no user of this name any more"]).await;
    case.apply(&["admin-create-user", "requestedAt="]).await;
    is_set_again(scene, name, case).await;
}

/// The right user, as far as a person can tell.
pub(super) async fn recreated(scene: &Scene) {
    let name = "look-recreated";
    let case = case(scene, name);
    let words = "the user was created after the operator set the password";
    let case = case.explained(&[words]).await;
    let shown = case.apply(&["admin-get-user"]).await;
    assert!(shown.contains("FORCE_CHANGE_PASSWORD"), "{shown}");
    case.apply(&["requestedAt="]).await;
    is_set_again(scene, name, case).await;
}

/// The right user.
pub(super) async fn unconfirmed(scene: &Scene) {
    let name = "look-unconfirmed";
    let case = case(scene, name);
    let case = case.explained(&["signed up and is not confirmed"]).await;
    let shown = case.apply(&["admin-get-user"]).await;
    assert!(shown.contains("UNCONFIRMED"), "{shown}");
    case.apply(&["requestedAt="]).await;
    is_set_again(scene, name, case).await;
}

/// A stranger, whom a person deletes.
pub(super) async fn stranger(scene: &Scene) {
    let name = "look-stranger";
    let state = || scene.world.cognito.user_state(POOL, name);
    let stranger = state().expect("the stranger").sub;
    let case = case(scene, name);
    let case = case.explained(&["may belong to a stranger"]).await;
    case.apply(&["admin-delete-user"]).await;
    assert_eq!(state(), None);
    case.apply(&["admin-create-user", "requestedAt="]).await;
    is_set_again(scene, name, case).await;
    assert_ne!(state().expect("the user").sub, stranger);
}

pub(super) async fn reset(scene: &Scene) {
    let name = "look-reset";
    let case = case(scene, name);
    let case = case
        .explained(&["somebody else reset the user's password"])
        .await;
    case.apply(&["requestedAt="]).await;
    is_set_again(scene, name, case).await;
}

/// The user becomes a native one.
pub(super) async fn federated(scene: &Scene) {
    let name = "look-federated";
    let case = case(scene, name);
    let words = "signs in with a federated identity provider";
    let case = case.explained(&[words]).await;
    let shown = case.apply(&["admin-get-user"]).await;
    assert!(shown.contains("EXTERNAL_PROVIDER"), "{shown}");
    case.apply(&["\"federatedUser\":\"Allow\"", "requestedAt="])
        .await;
    is_set_again(scene, name, case).await;
}

/// A native user has the password instead.
pub(super) async fn person(scene: &Scene) {
    let (name, native) = ("look-person", "look-native");
    scene.world.cognito.add_user(POOL, native);
    let case = case(scene, name);
    let words = "a password would make the user a native one";
    let case = case.explained(&[words]).await;
    case.apply(&["admin-get-user"]).await;
    let native_user = ("USERNAME", native);
    case.fill_in("kubectl replace --force", native_user).await;
    case.cured().await;
    let set = scene.world.cognito.password_of(POOL, native);
    assert_eq!(set.as_deref(), Some(OLD));
    let state = scene.world.cognito.user_state(POOL, name);
    let status = state.expect("the person").status;
    assert_eq!(status, UserStatus::ExternalProvider);
}

/// `CloudTrail` shows who it is.
pub(super) async fn contested(scene: &Scene) {
    let name = "look-contested";
    let case = case(scene, name);
    let case = case
        .explained(&["somebody else keeps changing this user"])
        .await;
    let shown = case.apply(&["AttributeValue=AdminResetUserPassword"]).await;
    assert!(
        shown.contains(SOMEBODY_ELSE) && shown.contains(name),
        "{shown}"
    );
    let sets = "AttributeValue=AdminSetUserPassword";
    case.apply(&[sets, "requestedAt="]).await;
    is_set_again(scene, name, case).await;
}

pub(super) async fn expired(scene: &Scene) {
    let name = "look-expired";
    let case = case(scene, name);
    let words = "the temporary password has expired, and the user never signed in";
    let case = case.explained(&[words]).await;
    case.apply(&["requestedAt="]).await;
    is_set_again(scene, name, case).await;
}
