//! `set`: who is asked, who is spared, and what the command says.

use serde_json::{Value, json};

use super::{EDIT, PLUGIN, Running, VIEW, caller, tenant, wide_plugin as plugin};
use crate::duplicates::second_after;
use crate::support::Fault;
use crate::world::{POOL, World};

const FIRST: &str = "First-Passw0rd";

fn document(stdout: &str) -> Value {
    serde_json::from_str(stdout).unwrap_or_else(|error| panic!("{error}: {stdout}"))
}

/// The state of each resource in a document, by name.
fn state<'a>(document: &'a Value, name: &str) -> (&'a Value, &'a Value) {
    let resources = document["resources"].as_array().expect("a list");
    let found = resources.iter().find(|it| it["name"] == name);
    let found = found.unwrap_or_else(|| panic!("no {name} in {document:#}"));
    (&found["state"], &found["reason"])
}

#[tokio::test]
async fn each_asked_resource_gets_one_call_and_the_spared_ones_get_none() {
    let world = World::new("set").await;
    let _operator = world.operator().await;
    for name in ["one", "two", "temporary", "paused"] {
        world.in_sync(name, FIRST).await;
    }
    world
        .patch_resource("temporary", json!({ "spec": { "permanent": false } }))
        .await;
    world
        .wait_for("temporary", "set as temporary", |it| {
            it.data["status"]["conditions"][0]["observedGeneration"] == 2
                && it.data["status"]["conditions"][0]["status"] == "True"
        })
        .await;
    world
        .patch_resource("paused", json!({ "spec": { "suspend": true } }))
        .await;
    // A second resource for the same user, younger than the first.
    second_after(&world.resource("one").await).await;
    world.apply_secret("twin", "password", FIRST).await;
    world
        .apply_resource("twin", |it| it["spec"]["username"] = json!("one"))
        .await;
    world.wait("twin", "False", "DuplicateUser").await;
    let calls = |name: &str| world.cognito.calls_for(POOL, name).len();
    let before: Vec<_> = ["one", "two", "temporary", "paused"].map(calls).to_vec();
    let kubeconfig = tenant(&world, "editor", EDIT);

    // The plan alone changes nothing.
    let was = world.resource("one").await.metadata;
    let all = ["set", "--all", "-n", &world.namespace];
    let (status, stdout, stderr) = plugin(&kubeconfig, &[&all[..], &["--dry-run"]].concat()).await;
    assert_eq!((status, &*stderr), (0, ""), "{stdout}");
    let text = stdout.replace('\n', " ");
    assert!(text.starts_with("2 sets in eu-west-1; about 1 s, at 10 a second and 10 at once by the default settings, because you may not list deployments.apps -A"), "{stdout}");
    assert!(stdout.contains("/one: would be asked"), "{stdout}");
    assert!(
        stdout.contains("/temporary: not asked: Temporary: "),
        "{stdout}"
    );
    let now = world.resource("one").await.metadata;
    assert_eq!(now.resource_version, was.resource_version);

    let (status, stdout, stderr) =
        plugin(&kubeconfig, &[&all[..], &["--wait", "-o", "json"]].concat()).await;
    assert_eq!(status, 0, "{stdout}{stderr}");
    let document = document(&stdout);
    assert_eq!(document["kind"], "Set");
    assert_eq!(
        document["regions"],
        json!([
            { "region": "eu-west-1", "sets": 2, "signOuts": 0, "seconds": 0 },
        ])
    );
    for (name, wanted) in [
        ("one", ("Answered", "PasswordSet")),
        ("two", ("Answered", "PasswordSet")),
        ("temporary", ("Spared", "Temporary")),
        ("paused", ("Spared", "Suspended")),
        ("twin", ("Spared", "DuplicateUser")),
    ] {
        assert_eq!(
            state(&document, name),
            (&json!(wanted.0), &json!(wanted.1)),
            "{name}"
        );
    }
    let at = document["requestedAt"].as_str().expect("a time");
    let after: Vec<_> = ["one", "two", "temporary", "paused"].map(calls).to_vec();
    assert_eq!(after, [before[0] + 1, before[1] + 1, before[2], before[3]]);

    // The write names nothing but the annotation.
    let now = world.resource("one").await;
    let annotations = now.metadata.annotations.clone().unwrap_or_default();
    assert_eq!(
        annotations
            .get("cognito-password-operator.io/requestedAt")
            .map(String::as_str),
        Some(at)
    );
    assert_eq!(now.metadata.generation, was.generation);
    assert_eq!(now.metadata.labels, was.labels);

    // Told to, temporary passwords are set too.
    let named = [
        "set",
        "temporary",
        "-n",
        &world.namespace,
        "--include-temporary",
        "--wait",
    ];
    let (status, stdout, stderr) = plugin(&kubeconfig, &named).await;
    assert_eq!(status, 0, "{stdout}{stderr}");
    assert!(
        stdout.contains("/temporary: set: PasswordSet: "),
        "{stdout}"
    );
    assert_eq!(calls("temporary"), before[2] + 1);
}

#[tokio::test]
async fn an_answer_that_is_no_success_is_a_finding() {
    let world = World::new("set-refused").await;
    let _operator = world.operator().await;
    world.in_sync("good", FIRST).await;
    world.in_sync("bad", FIRST).await;
    let weak = Fault::error("InvalidPasswordException", "Password not long enough");
    world.cognito.always_for((POOL, "bad"), weak);
    let kubeconfig = world.plane.kubeconfig_path();
    let args = [
        "set",
        "good",
        "bad",
        "gone",
        "-n",
        &world.namespace,
        "--wait",
    ];
    let (status, stdout, stderr) = plugin(&kubeconfig, &args).await;
    assert_eq!(status, 1, "{stdout}{stderr}");
    assert!(stdout.contains("/good: set: PasswordSet: "), "{stdout}");
    assert!(
        stderr.contains(&format!("{}/gone: not found\n", world.namespace)),
        "{stderr}"
    );
    assert!(
        stderr.contains("/bad: failed: InvalidPassword: "),
        "{stderr}"
    );
}

#[tokio::test]
async fn a_request_that_nobody_answers_times_out_and_is_answered_later() {
    let world = World::new("set-late").await;
    let operator = world.operator().await;
    world.in_sync("bot", FIRST).await;
    operator.kill();
    let kubeconfig = world.plane.kubeconfig_path();
    let args = ["set", "bot", "-n", &world.namespace, "--wait"];
    let (status, _, stderr) = plugin(&kubeconfig, &[&args[..], &["--timeout=0"]].concat()).await;
    assert_eq!(status, 1, "{stderr}");
    assert!(
        stderr.contains("/bot: timed out: RequestOpen: "),
        "{stderr}"
    );
    let mut waits = Running::start(PLUGIN, &kubeconfig, &args);
    waits.says("waiting for the answer: RequestOpen: ").await;
    let _operator = world.operator().await;
    let (status, _, stderr) = waits.ended().await;
    assert_eq!(status, 0, "{stderr}");
}

#[tokio::test]
async fn the_rate_comes_from_the_installed_operator() {
    let world = World::new("set-budget").await;
    let deployment = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "operator", "namespace": world.namespace,
            "labels": { "app.kubernetes.io/name": "cognito-password-operator" },
        },
        "spec": {
            "replicas": 0,
            "selector": { "matchLabels": { "app": "x" } },
            "template": {
                "metadata": { "labels": { "app": "x" } },
                "spec": { "containers": [{
                    "name": "operator", "image": "x",
                    "args": ["run", "--cognito-rps=0.5", "--watch-namespaces", world.namespace],
                    "env": [{ "name": "CPO_COGNITO_BURST", "value": "1" }],
                }] },
            },
        },
    });
    world
        .plane
        .kubectl_stdin(&["create", "-f", "-"], &deployment.to_string());
    for name in ["one", "two", "three"] {
        world.apply_resource(name, |_| ()).await;
    }
    let kubeconfig = world.plane.kubeconfig_path();
    let args = ["set", "--all", "-n", &world.namespace, "--dry-run"];
    let (status, stdout, _) = super::plugin(&kubeconfig, &args).await;
    assert_eq!(status, 0);
    let text = stdout.replace('\n', " ");
    assert!(text.starts_with("3 sets in eu-west-1; about 4 s, at 0.5 a second and 1 at once by the operator's settings"), "{stdout}");
    assert!(
        stdout.lines().all(|line| line.chars().count() <= 80),
        "{stdout}"
    );
}

#[tokio::test]
async fn a_missing_right_is_one_line_that_names_the_right() {
    let world = World::new("set-rights").await;
    for name in ["one", "two"] {
        world
            .apply_resource(name, |it| it["metadata"]["labels"] = json!({ "team": "a" }))
            .await;
    }
    let group = "cognitouserpasswords.cognito-password-operator.io";
    let (namespace, viewer) = (&*world.namespace, tenant(&world, "viewer", VIEW));
    for args in [
        &["set", "--all", "-n", namespace][..],
        &["set", "-l", "team=a", "-n", namespace],
    ] {
        let (status, stdout, stderr) = plugin(&viewer, args).await;
        assert_eq!((status, &*stdout), (3, ""), "{stderr}");
        assert_eq!(
            stderr,
            format!("error: you may not patch {group} -n {namespace}\n")
        );
    }
    let (status, _, stderr) = plugin(&viewer, &["set", "one", "-n", namespace]).await;
    assert_eq!(status, 3, "{stderr}");
    let wanted =
        format!("{namespace}/one: not allowed: you may not patch {group}/one -n {namespace}\n");
    assert_eq!(stderr, wanted);
    let (status, _, stderr) = plugin(&viewer, &["set", "--all", "-A"]).await;
    assert_eq!(status, 3, "{stderr}");
    assert_eq!(stderr, format!("error: you may not list {group} -A\n"));

    // The right on one name is enough for this name.
    let rules = json!([{
        "apiGroups": ["cognito-password-operator.io"], "resources": ["cognitouserpasswords"],
        "resourceNames": ["one"], "verbs": ["get", "patch"],
    }]);
    let one = caller(&world, "one", &rules);
    let (status, stdout, stderr) = plugin(&one, &["set", "one", "-n", namespace]).await;
    assert_eq!(status, 0, "{stdout}{stderr}");
    assert!(stdout.ends_with("/one: asked\n"), "{stdout}");

    for args in [
        &["set"][..],
        &["set", "one", "--all"],
        &["set", "one", "-A"],
        &["set", "-A"],
        &["set", "one", "--timeout=5m"],
    ] {
        let (status, _, stderr) = plugin(&viewer, args).await;
        assert_eq!(status, 2, "{args:?}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{args:?}: {stderr}");
    }
}
