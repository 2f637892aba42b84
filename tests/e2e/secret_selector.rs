//! `--secret-selector`: the operator neither sees nor reads a Secret without the labels, and the status says
//! so.

use std::collections::BTreeSet;

use cognito_password_operator::cluster::{secrets, selector};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DynamicObject, ListParams};
use kube::core::SelectorExt;
use serde_json::{Value, json};

use crate::{
    support::{ControlPlane, Operator, scratch, tools},
    world::{POOL, SENTINEL, SOON, World},
};

const SELECTOR: &str = "password-operator=yes,team in (a,b)";
const NOT_SEEN: &str = "The Secret bot does not exist in this namespace with the labels that the operator's --secret-selector requires (password-operator=yes,team in (a,b)): create or label the Secret, or correct spec.passwordSecretRef.name.";

fn labels(password_operator: Option<&str>) -> Value {
    let labels = json!({ "password-operator": password_operator, "team": "a" });
    json!({ "metadata": { "labels": labels } })
}

/// Starts an operator with a selector, which the sentinel's Secret matches.
async fn start(world: &World<'_>) -> Operator {
    let builder = world.builder().arg("--secret-selector").arg(SELECTOR);
    let operator = builder.start().await;
    operator.wait_ready(SOON).await;
    world
        .apply_secret(SENTINEL, "password", "fence-Passw0rd")
        .await;
    world.patch_secret(SENTINEL, labels(Some("yes"))).await;
    operator
}

#[track_caller]
fn assert_not_seen(resource: &DynamicObject) {
    let message = &resource.data["status"]["conditions"][0]["message"];
    assert_eq!(message, NOT_SEEN);
}

#[tokio::test]
async fn a_secret_is_read_once_it_has_the_labels_and_not_before() {
    let world = World::new("label-gained").await;
    let _operator = start(&world).await;
    world.cognito.add_user(POOL, "bot");
    let mark = world.mark();
    world.apply_resource("bot", |_| ()).await;
    // No Secret, a Secret without labels, and a wrong value of a label all lead to the same status.
    assert_not_seen(&world.wait("bot", "False", "SecretNotFound").await);
    world
        .apply_secret("bot", "password", "First-Passw0rd")
        .await;
    world.patch_secret("bot", labels(Some("no"))).await;
    world.request("bot", "now").await;
    let answered = |bot: &DynamicObject| bot.data["status"]["lastHandledReconcileAt"] == "now";
    let asked = world.wait_for("bot", "the request answered", answered);
    assert_not_seen(&asked.await);
    world.fence().await;
    let reads = "get secrets bot".to_owned();
    assert!(!world.traffic(mark).contains(&reads), "it was read");

    world.patch_secret("bot", labels(Some("yes"))).await;
    world.wait_set("bot", "First-Passw0rd").await;
    world
        .apply_secret("bot", "password", "Second-Passw0rd")
        .await;
    world.wait_set("bot", "Second-Passw0rd").await;
    world
        .assert_calls("bot", &["First-Passw0rd", "Second-Passw0rd"])
        .await;
}

#[tokio::test]
async fn a_secret_that_lost_the_selectors_labels_is_neither_read_nor_set() {
    let world = World::new("label-lost").await;
    let operator = start(&world).await;
    world.cognito.add_user(POOL, "bot");
    world
        .apply_secret("bot", "password", "First-Passw0rd")
        .await;
    world.patch_secret("bot", labels(Some("yes"))).await;
    world.apply_resource("bot", |_| ()).await;
    let set = world.wait_set("bot", "First-Passw0rd").await;

    let mark = world.mark();
    world.patch_secret("bot", labels(None)).await;
    let lost = world.wait("bot", "False", "SecretNotFound").await;
    assert_not_seen(&lost);
    assert_eq!(
        lost.data["status"]["synced"], set.data["status"]["synced"],
        "what is set stays known"
    );
    world
        .apply_secret("bot", "password", "Second-Passw0rd")
        .await;
    world.fence().await;
    // A new process finds the same, and writes nothing.
    let writes = world.status_writes(mark).len();
    assert!(operator.terminate(SOON).await.success());
    let _operator = start(&world).await;
    world.fence().await;
    let reads = "get secrets bot".to_owned();
    assert!(!world.traffic(mark).contains(&reads), "it was read");
    assert_eq!(world.status_writes(mark).len(), writes);
    world.assert_calls("bot", &["First-Passw0rd"]).await;

    world.patch_secret("bot", labels(Some("yes"))).await;
    world.wait_set("bot", "Second-Passw0rd").await;
}

#[tokio::test]
async fn a_label_removed_and_added_again_costs_no_call() {
    let world = World::new("label-back").await;
    let _operator = start(&world).await;
    world.cognito.add_user(POOL, "bot");
    world
        .apply_secret("bot", "password", "First-Passw0rd")
        .await;
    world.patch_secret("bot", labels(Some("yes"))).await;
    world.apply_resource("bot", |_| ()).await;
    world.wait_set("bot", "First-Passw0rd").await;
    world.patch_secret("bot", labels(None)).await;
    world.wait("bot", "False", "SecretNotFound").await;
    world.patch_secret("bot", labels(Some("yes"))).await;
    world.wait("bot", "True", "PasswordSet").await;
    world.assert_calls("bot", &["First-Passw0rd"]).await;
}

/// A Secret may lose its label between the watch event and the read.
#[tokio::test]
async fn a_read_that_finds_the_labels_gone_keeps_nothing_of_the_secret() {
    let world = World::new("label-race").await;
    world
        .apply_secret("bot", "password", "First-Passw0rd")
        .await;
    let fits = selector::parse(SELECTOR).expect("a selector");
    let read = async || {
        let (client, namespace) = (&world.client, &world.namespace);
        let read = secrets::read_value(client, namespace, "bot", "password", Some(&fits)).await;
        read.expect("an answer")
    };
    assert!(matches!(read().await, secrets::SecretLookup::NotSelected));
    world.patch_secret("bot", labels(Some("yes"))).await;
    assert!(matches!(read().await, secrets::SecretLookup::Value(..)));
}

/// The selector in the watch's request and the operator's own check of a read must select the same Secrets.
#[tokio::test]
async fn the_api_server_and_the_operator_select_the_same_secrets() {
    let world = World::new("selectors").await;
    let labelled = [
        ("none", json!({})),
        ("yes", json!({ "password-operator": "yes" })),
        ("no", json!({ "password-operator": "no", "team": "a" })),
        ("both", json!({ "password-operator": "yes", "team": "b" })),
        (
            "empty",
            json!({ "password-operator": "", "example.com/x": "1" }),
        ),
    ];
    for (name, labels) in labelled {
        world.apply_secret(name, "password", "x").await;
        let change = json!({ "metadata": { "labels": labels } });
        world.patch_secret(name, change).await;
    }
    let all = world.secrets().list(&ListParams::default()).await;
    let all = all.expect("the administrator may").items;
    let name = |secret: &Secret| secret.metadata.name.clone().unwrap_or_default();
    for text in [
        "password-operator=yes",
        "password-operator==yes,team",
        "password-operator!=yes",
        "password-operator",
        "!password-operator",
        "password-operator=",
        "password-operator in (yes,no)",
        "team notin (a), password-operator",
        "password-operator in (,yes)",
        "example.com/x=1",
    ] {
        let ours = selector::parse(text).expect("a selector");
        let fit =
            |secret: &&Secret| ours.matches(&secret.metadata.labels.clone().unwrap_or_default());
        let selected: BTreeSet<_> = all.iter().filter(fit).map(name).collect();
        for sent in [text.to_owned(), ours.to_string()] {
            let (secrets, fitting) = (world.secrets(), ListParams::default().labels(&sent));
            let listed = secrets.list(&fitting).await;
            let listed = listed.unwrap_or_else(|error| panic!("{sent}: {error}"));
            let listed: BTreeSet<_> = listed.items.iter().map(name).collect();
            assert_eq!(listed, selected, "{sent}");
        }
    }
}

/// The operator's arguments in an overlay of this installation and the component.
fn arguments_with_component(installation: &str) -> Vec<String> {
    let overlay = scratch("overlay").canonicalize().expect("it was made");
    let checkout = tools::checkout().canonicalize().expect("it is there");
    // kustomize takes no absolute path.
    let up = "../".repeat(overlay.components().count() - 1);
    let deploy = format!("{up}{}/deploy", checkout.display()).replace("//", "/");
    let kustomization = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [format!("{deploy}{installation}")],
        "components": [format!("{deploy}/labelled-secrets")],
    });
    let file = overlay.join("kustomization.yaml");
    std::fs::write(file, kustomization.to_string()).expect("a file");
    let built = ControlPlane::shared().kubectl(&["kustomize", &overlay.to_string_lossy()]);
    let objects = serde_saphyr::from_multiple::<Value>(&built).expect("YAML");
    let mut deployments = objects.iter().filter(|o| o["kind"] == "Deployment");
    let deployment = deployments.next().expect("a Deployment");
    let arguments = &deployment["spec"]["template"]["spec"]["containers"][0]["args"];
    serde_json::from_value(arguments.clone()).expect("arguments")
}

#[test]
fn the_secret_selector_component_works_with_either_installation() {
    let selector = "--secret-selector=password-operator=yes";
    assert_eq!(arguments_with_component(""), ["run", selector]);
    assert_eq!(
        arguments_with_component("/watch-namespaces"),
        ["run", "--watch-namespaces=team-a", selector]
    );
}
