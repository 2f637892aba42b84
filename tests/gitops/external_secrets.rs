//! The External Secrets Operator writes the Secret: each new value is one call of Cognito, and everything else
//! that it writes is none.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::{Arc, Mutex};

use futures::StreamExt;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DynamicObject};
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::{Value, json};

use crate::cluster::{Cluster, Kind, POOL, SOON};
use crate::support::{
    Process, Spec, condition, eventually, scratch,
    tools::{self, Tool},
    wait_reason,
};

const EXTERNAL_SECRET: Kind = Kind {
    group: "external-secrets.io",
    version: "v1",
    name: "ExternalSecret",
};

const SECRET: Kind = Kind {
    group: "",
    version: "v1",
    name: "Secret",
};

/// The name that both examples give to the `ExternalSecret` and to its Secret.
const NAME: &str = "ci-bot-credentials";

/// Starts the External Secrets Operator as an administrator.
fn external_secrets(cluster: &Cluster) -> Process {
    cluster.install_crds(Tool::ExternalSecretsCrds);
    let home = scratch("external-secrets");
    let program = tools::path(Tool::ExternalSecrets);
    Spec::new("external-secrets", &program, home.join("log"))
        .clean_env()
        .env(
            "KUBECONFIG",
            cluster.plane.kubeconfig_path().display().to_string(),
        )
        .env("HOME", home.display().to_string())
        .arg("--metrics-addr=0")
        .spawn()
}

/// Asks for a refresh, as the documentation of External Secrets says, and waits for it.
async fn refresh(cluster: &Cluster, controller: &Process, number: usize) {
    let before = refreshed(&external_secret(cluster, controller, "there", |_| true).await);
    let annotation = format!("force-sync={number}");
    let annotate = ["annotate", "externalsecret", NAME, "-n", "team-a"];
    cluster
        .plane
        .kubectl(&[&annotate[..], &["--overwrite", &annotation]].concat());
    external_secret(cluster, controller, "refreshed", |object| {
        refreshed(object) != before && is_synced(object)
    })
    .await;
}

/// What moves with each refresh: the time, whole seconds, and the version that was synced.
fn refreshed(object: &DynamicObject) -> (Value, Value) {
    let status = &object.data["status"];
    (
        status["refreshTime"].clone(),
        status["syncedResourceVersion"].clone(),
    )
}

fn is_synced(object: &DynamicObject) -> bool {
    condition(object, "Ready").is_some_and(|ready| ready["reason"] == "SecretSynced")
}

async fn external_secret(
    cluster: &Cluster,
    controller: &Process,
    what: &str,
    wanted: impl Fn(&DynamicObject) -> bool,
) -> DynamicObject {
    let object = (&EXTERNAL_SECRET, "team-a", NAME);
    cluster
        .await_object(object, Some(controller), what, wanted)
        .await
}

/// Waits until the user has the Secret's password, and returns it.
async fn follows(cluster: &Cluster) -> String {
    eventually(SOON, async || {
        let wanted = cluster.secret("team-a", NAME, "password").await;
        // External Secrets may draw again in between.
        match cluster.cognito.password_of(POOL, "ci-bot") {
            Some(password) if password == wanted => Ok(password),
            _ => Err("the user has another password than the Secret".to_owned()),
        }
    })
    .await
}

/// The passwords of the Secret, one for each version that the API server shows.
fn record(cluster: &Cluster) -> Arc<Mutex<Vec<String>>> {
    let secrets: Api<Secret> = Api::namespaced(cluster.client.clone(), "team-a");
    let only = watcher::Config::default().fields(&format!("metadata.name={NAME}"));
    let versions = Arc::<Mutex<Vec<String>>>::default();
    let recorded = Arc::clone(&versions);
    tokio::spawn(async move {
        let mut changes = pin!(watcher(secrets, only).applied_objects());
        while let Some(change) = changes.next().await {
            let secret = change.expect("the watch goes on");
            let data = secret.data.unwrap_or_default();
            let password = data.get("password").map(|value| value.0.clone());
            let password = String::from_utf8(password.unwrap_or_default());
            let password = password.expect("the passwords of the tests are text");
            recorded.lock().expect("nobody panicked").push(password);
        }
    });
    versions
}

#[tokio::test]
async fn each_generated_password_is_set_once() {
    let cluster = Cluster::start().await;
    let controller = external_secrets(&cluster);
    let _operator = cluster.operator("deploy/").await;
    cluster.add_team();
    cluster.cognito.add_user(POOL, "ci-bot");
    let versions = record(&cluster);
    cluster
        .plane
        .kubectl(&["apply", "-f", "deploy/examples/generated-password.yaml"]);
    let set = ("True", "PasswordSet");
    wait_reason(&cluster.client, ("team-a", "ci-bot"), set, SOON).await;
    let mut settled = HashSet::from([follows(&cluster).await]);

    // Five rotations, and a change of metadata before each.
    for number in 1..=5 {
        let label = format!("rotation={number}");
        let args = ["label", "secret", NAME, "-n", "team-a", "--overwrite"];
        cluster.plane.kubectl(&[&args[..], &[&label]].concat());
        refresh(&cluster, &controller, number).await;
        settled.insert(follows(&cluster).await);
    }
    assert_eq!(settled.len(), 6, "each refresh draws another password");

    // By the interval, as in the example, but of a second and not of 30 days.
    let faster = json!({ "spec": { "refreshInterval": "1s" } }).to_string();
    let patch = [
        "patch",
        "externalsecret",
        NAME,
        "-n",
        "team-a",
        "--type=merge",
    ];
    cluster
        .plane
        .kubectl(&[&patch[..], &["-p", &faster]].concat());
    let before = cluster.cognito.call_count();
    cluster.cognito.wait_for_calls(before + 5, SOON).await;

    let calls = cluster.cognito.calls();
    let passwords: HashSet<&str> = calls.iter().map(|call| &*call.password).collect();
    let versions = versions.lock().expect("nobody panicked").clone();
    let drawn: HashSet<&str> = versions.iter().map(String::as_str).collect();
    assert_eq!(passwords.len(), calls.len(), "a password was sent twice");
    assert!(
        passwords.is_subset(&drawn),
        "a password is not the Secret's"
    );
    assert!(
        settled
            .iter()
            .all(|password| passwords.contains(&**password))
    );
    let (versions, drawn) = (versions.len(), drawn.len());
    assert!(
        versions >= drawn + 5,
        "{versions} versions of the Secret, {drawn} passwords"
    );
}

#[tokio::test]
async fn what_external_secrets_rewrites_besides_the_value_is_no_call() {
    let cluster = Cluster::start().await;
    let controller = external_secrets(&cluster);
    let _operator = cluster.operator("deploy/").await;
    cluster.add_team();
    cluster.cognito.add_user(POOL, "ci-bot");
    // The platform team's store of the example. The provider `fake` has its entries in the object itself.
    let store = |password: &str| {
        json!({
            "apiVersion": "external-secrets.io/v1",
            "kind": "ClusterSecretStore",
            "metadata": { "name": "aws-secrets-manager" },
            "spec": { "provider": { "fake": { "data": [{
                "key": "team-a/ci-bot",
                "value": json!({ "password": password, "other": "not read" }).to_string(),
            }] } } },
        })
    };
    cluster.apply(&store("First-Passw0rd"));
    cluster
        .plane
        .kubectl(&["apply", "-f", "deploy/examples/external-secrets.yaml"]);
    let set = ("True", "PasswordSet");
    wait_reason(&cluster.client, ("team-a", "ci-bot"), set, SOON).await;
    assert_eq!(follows(&cluster).await, "First-Passw0rd");

    // External Secrets writes the Secret five times. Only its metadata changes.
    for number in 1..=5 {
        let annotation = number.to_string();
        let change = json!({ "spec": { "target": { "template": { "metadata": {
            "annotations": { "example.com/rewritten": &annotation },
        } } } } });
        let patch = [
            "patch",
            "externalsecret",
            NAME,
            "-n",
            "team-a",
            "--type=merge",
        ];
        cluster
            .plane
            .kubectl(&[&patch[..], &["-p", &change.to_string()]].concat());
        let rewritten = |object: &DynamicObject| {
            let annotations = object.metadata.annotations.as_ref();
            annotations.and_then(|all| all.get("example.com/rewritten")) == Some(&annotation)
        };
        let secret = (&SECRET, "team-a", NAME);
        cluster
            .await_object(secret, Some(&controller), "rewritten", rewritten)
            .await;
        refresh(&cluster, &controller, number).await;
    }

    // Another value in the store, seen at the next refresh of the example's interval, is one call.
    cluster.apply(&store("Second-Passw0rd"));
    let user = (POOL, "ci-bot");
    cluster
        .cognito
        .wait_for_password(user, "Second-Passw0rd", SOON)
        .await;
    assert_eq!(cluster.cognito.call_count(), 2);
}
