//! `doctor`: suspended resources, many resources, an operator that does not run, and callers with few rights. The
//! stories of each reason are in `cures`.

use std::path::{Path, PathBuf};

use cognito_password_operator::api::CognitoUserPassword;
use futures::StreamExt;
use kube::api::{Api, DeleteParams, ListParams};
use serde_json::{Value, json};

use super::{bash, plugin};
use crate::support::{ControlPlane, Operator, eventually, operator};
use crate::world::{POOL, SOON, World};

const LEASE: &str = "cognito-password-operator";

/// One run of `doctor`.
struct Run {
    status: i32,
    said: String,
}

impl Run {
    async fn new(kubeconfig: &Path, args: &[&str]) -> Self {
        let args = [&["doctor"], args].concat();
        let (status, said, errors) = plugin(kubeconfig, &args).await;
        assert_eq!(errors, "", "{said}");
        Self { status, said }
    }

    fn assert(&self, status: i32, words: &[&str]) {
        assert_eq!(self.status, status, "{}", self.said);
        let said = self.said.split_whitespace().collect::<Vec<_>>().join(" ");
        for words in words {
            assert!(said.contains(words), "no {words:?}:\n{}", self.said);
        }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.said).unwrap_or_else(|error| panic!("{error}: {}", self.said))
    }
}

/// What all outputs said, for the search for passwords.
struct Scene<'a> {
    world: World<'a>,
    admin: PathBuf,
    outputs: std::cell::RefCell<String>,
}

impl Scene<'_> {
    async fn doctor(&self, args: &[&str]) -> Run {
        let run = Run::new(&self.admin, args).await;
        self.outputs.borrow_mut().push_str(&run.said);
        run
    }

    /// Doctor's report on one resource, as text and as JSON.
    async fn report(&self, name: &str, words: &[&str]) -> Value {
        let name = format!("{}/{name}", self.world.namespace);
        self.doctor(&[&name]).await.assert(1, words);
        let run = self.doctor(&[&name, "-o", "json"]).await;
        run.assert(1, &[]);
        let document = run.json();
        assert_eq!(document["kind"], "Doctor", "{document:#}");
        assert_eq!(document["exitStatus"], 1, "{document:#}");
        document["resources"][0].clone()
    }

    /// Runs a command that doctor printed, with this password in the variable.
    async fn cure(&self, command: &Value, password: &str) {
        let command = command.as_str().expect("a command");
        let output = bash(&self.admin, command)
            .env("PASSWORD", password)
            .output();
        let output = output.await.expect("bash starts");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}: {errors}");
        self.world.leaks.note(password.as_bytes());
    }
}

/// The Deployment says that this many pods are ready. No controller of Deployments runs here.
pub(super) fn ready_pods(plane: &ControlPlane, ready: u32) {
    let status = json!({ "status": { "replicas": 2, "readyReplicas": ready } });
    plane.kubectl(&[
        "patch",
        "deployment",
        "cognito-password-operator",
        "-n",
        operator::NAMESPACE,
        "--subresource=status",
        "--type=merge",
        "-p",
        &status.to_string(),
    ]);
}

pub(super) fn delete_lease(plane: &ControlPlane) {
    plane.kubectl(&[
        "delete",
        "lease",
        LEASE,
        "-n",
        operator::NAMESPACE,
        "--ignore-not-found",
    ]);
}

async fn scene(world: World<'static>) -> (Scene<'static>, Operator) {
    delete_lease(world.plane);
    ready_pods(world.plane, 2);
    let operator = world.cluster_wide().leader_elect().start().await;
    operator.wait_ready(SOON).await;
    let scene = Scene {
        admin: world.plane.kubeconfig_path(),
        world,
        outputs: std::cell::RefCell::default(),
    };
    (scene, operator)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspension_is_named_and_ended_and_many_resources_are_summed_up() {
    let (world, _turn) = World::alone("doctor").await;
    let (scene, operator) = scene(world).await;
    let world = &scene.world;
    let passwords = ["Well-Passw0rd", "Paused-Passw0rd"];
    let [well, paused] = passwords;

    world.in_sync("well", well).await;
    let name = format!("{}/well", world.namespace);
    let run = scene.doctor(&[&name, "--url", &operator.url()]).await;
    run.assert(
        0,
        &[
            "Ready=True PasswordSet",
            "generation 1 is observed; not suspended",
            &format!("lets {} manage well in eu-west-1", world.namespace),
            "no other resource names this user",
            "with a value that Cognito's API takes",
            "stays set",
            "2/2 ready",
            "budget 10 of 10 sets/s, 0 waiting, 0 in the queue",
            "leads for",
        ],
    );
    let too_wide = run.said.lines().find(|it| it.chars().count() > 80);
    assert_eq!(too_wide, None, "{}", run.said);

    names_a_suspension(&scene, paused).await;

    // No grant.
    let foreign = world.neighbour("doctor-foreign").await;
    foreign
        .grant(|it| it["spec"]["usernames"] = json!(["deploy-*"]))
        .await;
    foreign.apply_resource("granted", |_| ()).await;
    foreign.wait("granted", "False", "NotGranted").await;

    // Many at once, while one is not granted.
    sums_up(&scene, &foreign.namespace).await;

    // A name that isn't there.
    let run = scene.doctor(&["wel", "-n", &world.namespace]).await;
    run.assert(1, &["has no CognitoUserPassword of this name", &name]);

    let outputs = scene.outputs.borrow();
    for password in passwords {
        assert!(!outputs.contains(password), "{password} is in the output");
        let encoded = encode(password);
        assert!(!outputs.contains(&encoded), "{password} is in the output");
    }
}

/// Suspended with a reason, before the password was ever set.
async fn names_a_suspension(scene: &Scene<'_>, paused: &str) {
    let world = &scene.world;
    world.cognito.add_user(POOL, "paused");
    world.apply_secret("paused", "password", paused).await;
    let because = "cognito-password-operator.io/suspended-because";
    world
        .apply_resource("paused", |it| {
            it["spec"]["suspend"] = json!(true);
            it["metadata"]["annotations"] = json!({ because: "INC-4711, alice" });
        })
        .await;
    world
        .wait_for("paused", "suspended", |it| {
            it.data["status"]["conditions"]
                .to_string()
                .contains("Suspended")
        })
        .await;
    let report = scene
        .report("paused", &["because: \"INC-4711, alice\""])
        .await;
    assert_eq!(report["suspended"], true);
    scene
        .cure(&report["chain"][0]["cure"]["commands"][0], "")
        .await;
    world.wait_set("paused", paused).await;
}

/// As a Secret has a value.
pub(super) fn encode(password: &str) -> String {
    let value = k8s_openapi::ByteString(password.as_bytes().to_vec());
    let text = serde_json::to_string(&value).expect("text");
    text.trim_matches(['"', '=']).to_owned()
}

async fn sums_up(scene: &Scene<'_>, foreign: &str) {
    let run = scene.doctor(&["-A"]).await;
    run.assert(
        1,
        &[
            "resources in all namespaces:",
            &format!("NotGranted 1: {foreign}/granted"),
            "cure: ask your platform team for a CognitoUserPoolGrant",
            "more: kubectl cognito-password explain notgranted",
            &format!("next: kubectl cognito-password doctor {foreign}/granted"),
        ],
    );
    let run = scene.doctor(&["--pool", POOL, "-o", "json"]).await;
    run.assert(1, &[]);
    let document = run.json();
    assert_eq!(
        document["apiVersion"],
        "cli.cognito-password-operator.io/v1alpha1"
    );
    assert_eq!(document["kind"], "DoctorSummary");
    assert_eq!(document["states"][0]["state"], "NotGranted", "{document:#}");
    assert_eq!(document["states"][0]["count"], 1, "{document:#}");
    assert_eq!(document["resources"][0]["name"], "granted", "{document:#}");
    let total = document["total"].as_u64().expect("a number");
    let ready = document["ready"].as_u64().expect("a number");
    assert!(total > ready && ready >= 2, "{document:#}");
    let run = scene.doctor(&["-n", foreign, "-l", "nothing=here"]).await;
    run.assert(0, &[&format!("0 resources in {foreign}")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_does_not_run_is_named_and_a_tenant_gets_question_marks() {
    let (world, _turn) = World::alone("doctor-down").await;
    let plane = world.plane;
    delete_lease(plane);
    ready_pods(plane, 0);
    world.apply_secret("bot", "password", "Down-Passw0rd").await;
    world.apply_resource("bot", |_| ()).await;
    let admin = plane.kubeconfig_path();
    let name = format!("{}/bot", world.namespace);

    let run = Run::new(&admin, &[&name]).await;
    run.assert(
        1,
        &[
            "no operator has acted on this resource",
            "cognito-password-operator/cognito-password-operator has 0 of 2 pods ready",
            "kubectl logs -n cognito-password-operator --prefix",
        ],
    );
    ready_pods(plane, 2);
    let run = Run::new(&admin, &[&name]).await;
    run.assert(1, &["runs, but no pod leads: there is no Lease"]);
    assert!(!run.said.contains("Down-Passw0rd"), "{}", run.said);

    // A tenant who may only see the resources: one line for each right that is missing.
    let account = format!("--serviceaccount={}:viewer", world.namespace);
    plane.kubectl(&["create", "serviceaccount", "viewer", "-n", &world.namespace]);
    plane.kubectl(&[
        "create",
        "rolebinding",
        "viewer",
        "--clusterrole=cognito-password-operator-view",
        &account,
        "-n",
        &world.namespace,
    ]);
    let token = plane.token_for(&world.namespace, "viewer");
    let viewer = plane.kubeconfig_for_token("doctor-viewer", &token);
    let run = Run::new(&viewer, &[&name]).await;
    run.assert(
        1,
        &[
            "? grant you may not list cognitouserpoolgrants.cognito-password-operator.io -A",
            "? duplicate no other resource in",
            &format!("you may not get secrets/bot -n {}", world.namespace),
            "? operator you may not list deployments.apps",
        ],
    );
    let run = Run::new(&viewer, &["-n", &world.namespace, "-o", "yaml"]).await;
    run.assert(1, &["kind: DoctorSummary", "NotObserved"]);
    let (status, _, errors) = plugin(&viewer, &["doctor", "-A"]).await;
    assert_eq!(status, 3, "{errors}");
    assert!(
        errors.contains("you may not list cognitouserpasswords.cognito-password-operator.io -A"),
        "{errors}"
    );

    // Nothing at all: the resource itself can't be read.
    plane.kubectl(&["create", "serviceaccount", "nobody", "-n", &world.namespace]);
    let token = plane.token_for(&world.namespace, "nobody");
    let nobody = plane.kubeconfig_for_token("doctor-nobody", &token);
    let run = Run::new(&nobody, &[&name]).await;
    run.assert(
        3,
        &["you may not get cognitouserpasswords.cognito-password-operator.io/bot"],
    );

    // More resources than a page of a list has.
    lists_page_by_page(&world, &viewer).await;
    names_old_crds(plane, &admin, &name).await;
    ready_pods(plane, 0);
}

async fn lists_page_by_page(world: &World<'_>, viewer: &Path) {
    let many = (0..620).map(|number| async move {
        world
            .apply_resource(&format!("many-{number}"), |_| ())
            .await;
    });
    let all = futures::stream::iter(many).buffer_unordered(16);
    all.collect::<Vec<()>>().await;
    let run = Run::new(viewer, &["-n", &world.namespace, "-o", "json"]).await;
    let document = run.json();
    assert_eq!(document["total"], 621, "{}", document["states"]);
    assert_eq!(document["resources"].as_array().map(Vec::len), Some(621));
    let run = Run::new(viewer, &["-n", &world.namespace]).await;
    run.assert(
        1,
        &["621 resources in", "× NotObserved 621:", "and 618 more"],
    );
    // Other tests sum up all resources of this control plane.
    let resources: Api<CognitoUserPassword> =
        Api::namespaced(world.client.clone(), &world.namespace);
    let many = ListParams::default().fields("metadata.name!=bot");
    let deleted = resources
        .delete_collection(&DeleteParams::default(), &many)
        .await;
    deleted.expect("the resources are deleted");
}

/// CRDs of an older version.
async fn names_old_crds(plane: &ControlPlane, admin: &Path, name: &str) {
    let path = "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties/signOutOwed";
    let removal = json!([{ "op": "remove", "path": path }]).to_string();
    let kind = "cognitouserpasswords.cognito-password-operator.io";
    plane.kubectl(&["patch", "crd", kind, "--type=json", "-p", &removal]);
    eventually(SOON, async || {
        let run = Run::new(admin, &[name]).await;
        let is_named = run.said.contains("status.signOutOwed");
        is_named.then_some(()).ok_or(run.said)
    })
    .await;
    plane.kubectl(&["replace", "-k", "crds/"]);
    eventually(SOON, async || {
        let run = Run::new(admin, &[name]).await;
        let is_named = run.said.contains("status.signOutOwed");
        (!is_named).then_some(()).ok_or(run.said)
    })
    .await;
}
