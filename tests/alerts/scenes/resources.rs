//! Resources, Secrets and grants that a person must mend.

use std::sync::LazyLock;

use jiff::{SignedDuration, Timestamp};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::Stage;
use crate::installation::Installation;
use crate::support::{ControlPlane, eventually, resources};
use crate::world::{POOL, SOON};

pub(super) async fn passwords_not_set(stage: Stage) -> Installation {
    let mut it = stage.pair().await;
    it.add("bot").await;
    it.world.wait("bot", "True", "PasswordSet").await;
    it.world.delete_secret("bot").await;
    it.world.wait("bot", "False", "SecretNotFound").await;
    it.fires("PasswordsNotSet").await;
    it.rotate("bot").await;
    it.world.wait("bot", "True", "PasswordSet").await;
    it.resolves("PasswordsNotSet").await;
    it
}

/// As after a rollback, where a later version has left a resource that this version can't read. `main` has loosened
/// the CRD for this scene.
pub(super) async fn undecodable(stage: Stage) -> Installation {
    let mut it = stage.pair().await;
    let object = json!({
        "apiVersion": "cognito-password-operator.io/v1alpha1",
        "kind": "CognitoUserPassword",
        "metadata": { "name": "later", "namespace": it.world.namespace },
        "spec": { "userPoolId": POOL, "username": "later", "passwordSecretRef": 7 },
    });
    let create = ["create", "-f", "-"];
    in_the_end(it.world.plane, &create, &object.to_string()).await;
    it.fires("Undecodable").await;
    it.world.delete_resource("later").await;
    it.resolves("Undecodable").await;
    it
}

/// A resource whose status says that the suspension began eight days ago.
pub(super) async fn suspended_long(stage: Stage) -> Installation {
    const AGO: SignedDuration = SignedDuration::from_hours(8 * 24);
    let mut it = stage.pair().await;
    it.add("bot").await;
    it.world.wait("bot", "True", "PasswordSet").await;
    let suspend = |suspend: bool| json!({ "spec": { "suspend": suspend } });
    it.world.patch_resource("bot", suspend(true)).await;
    let is_suspended =
        |condition: &Value| condition["type"] == "Suspended" && condition["status"] == "True";
    let said = (it.world)
        .wait_for("bot", "suspended", |resource| {
            let conditions = resource.data["status"]["conditions"].as_array();
            conditions.is_some_and(|conditions| conditions.iter().any(is_suspended))
        })
        .await;
    let mut conditions = said.data["status"]["conditions"].clone();
    let suspended = conditions
        .as_array_mut()
        .into_iter()
        .flatten()
        .find(|it| is_suspended(it));
    let since = (Timestamp::now() - AGO)
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string();
    suspended.expect("it was found above")["lastTransitionTime"] = since.into();
    let status = json!({ "status": { "conditions": conditions } });
    resources(&it.world.client, &it.world.namespace)
        .patch_status("bot", &PatchParams::default(), &Patch::Merge(&status))
        .await
        .expect("an administrator may write a status");
    it.fires("SuspendedLong").await;
    it.world.patch_resource("bot", suspend(false)).await;
    it.resolves("SuspendedLong").await;
    it
}

/// As after a rollback, where a later version has left a grant that this version can't read.
pub(super) async fn grant_not_in_force(stage: Stage) -> Installation {
    static PLANE: LazyLock<ControlPlane> = LazyLock::new(ControlPlane::start);
    let mut it = Installation::everywhere(stage.name, &PLANE, &stage.prometheus).await;
    loosen(&PLANE, "cognitouserpoolgrants");
    let patch = r#"{ "spec": { "usernames": "everybody" } }"#;
    let change = [
        "patch",
        "cupg",
        &it.world.namespace,
        "--type=merge",
        "-p",
        patch,
    ];
    in_the_end(&PLANE, &change, "").await;
    it.fires("GrantNotInForce").await;
    it.world.grant(|_| ()).await;
    it.resolves("GrantNotInForce").await;
    it
}

/// Lets the API server take objects that this version of the operator can't read.
pub(crate) fn loosen(plane: &ControlPlane, plural: &str) {
    plane.install("deploy/");
    let name = format!("{plural}.cognito-password-operator.io");
    let crd = plane.kubectl(&["get", "crd", &name, "-o", "json"]);
    let mut crd: Value = serde_json::from_str(&crd).expect("kubectl writes JSON");
    let version = &mut crd["spec"]["versions"][0];
    version["selectableFields"] = json!(null);
    let schema = &mut version["schema"]["openAPIV3Schema"];
    schema["x-kubernetes-validations"] = json!(null);
    schema["properties"]["spec"] = json!({
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": true,
    });
    plane.kubectl_stdin(&["replace", "-f", "-"], &crd.to_string());
}

/// Runs kubectl until the looser schema is in force.
async fn in_the_end(plane: &ControlPlane, args: &[&str], stdin: &str) {
    eventually(SOON, async || plane.try_kubectl(args, stdin).map(drop)).await;
}
