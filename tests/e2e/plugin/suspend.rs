//! `suspend` and `resume`, and what `kubectl get` shows.

use kube::ResourceExt;
use serde_json::json;

use super::{EDIT, VIEW, tenant, wide_plugin as plugin};
use crate::support::condition;
use crate::world::World;

const FIRST: &str = "First-Passw0rd";
const BECAUSE: &str = "cognito-password-operator.io/suspended-because";

#[tokio::test]
async fn a_suspension_says_why_and_a_resume_takes_both_away() {
    let world = World::new("suspend").await;
    let _operator = world.operator().await;
    world.in_sync("bot", FIRST).await;
    let (namespace, editor) = (&*world.namespace, tenant(&world, "editor", EDIT));
    let args = [
        "suspend",
        "bot",
        "gone",
        "-n",
        namespace,
        "--reason",
        "INC-4711, alice",
    ];
    let (status, stdout, stderr) = plugin(&editor, &args).await;
    assert_eq!(status, 1, "one name doesn't exist");
    assert_eq!(
        stdout,
        format!("{namespace}/bot: suspended: INC-4711, alice\n")
    );
    assert_eq!(stderr, format!("{namespace}/gone: not found\n"));
    let suspended = world
        .wait_for("bot", "suspended", |it| {
            condition(it, "Suspended").is_some_and(|it| it["status"] == "True")
        })
        .await;
    assert_eq!(suspended.annotations()[BECAUSE], "INC-4711, alice");
    let wide = world
        .plane
        .kubectl(&["get", "cup", "bot", "-n", namespace, "-o", "wide"]);
    assert!(
        wide.contains("SUSPENDED BECAUSE") && wide.contains("INC-4711, alice"),
        "{wide}"
    );
    let narrow = world.plane.kubectl(&["get", "cup", "bot", "-n", namespace]);
    assert!(!narrow.contains("INC-4711"), "{narrow}");

    // Once more, without a reason: nothing changes.
    let (status, stdout, _) = plugin(&editor, &["suspend", "bot", "-n", namespace]).await;
    assert_eq!(
        (status, &*stdout),
        (
            0,
            &*format!("{namespace}/bot: unchanged: suspended already\n")
        )
    );
    let still = world.resource("bot").await;
    assert_eq!(still.resource_version(), suspended.resource_version());

    // A request on a suspended resource would be silent, so the command refuses.
    let (status, _, stderr) = plugin(&editor, &["set", "bot", "-n", namespace]).await;
    assert_eq!(status, 1, "{stderr}");
    let said = "bot: not asked: Suspended: INC-4711, alice; a request waits until";
    assert!(stderr.contains(said), "{stderr}");

    let (status, stdout, stderr) = plugin(&editor, &["resume", "--all", "-n", namespace]).await;
    assert_eq!((status, &*stderr), (0, ""));
    assert_eq!(stdout, format!("{namespace}/bot: resumed\n"));
    let resumed = world
        .wait_for("bot", "resumed", |it| condition(it, "Suspended").is_none())
        .await;
    assert_eq!(resumed.data["spec"]["suspend"], false);
    assert!(!resumed.annotations().contains_key(BECAUSE));
    let (status, stdout, _) = plugin(&editor, &["resume", "bot", "-n", namespace]).await;
    assert_eq!(
        (status, &*stdout),
        (0, &*format!("{namespace}/bot: unchanged: not suspended\n"))
    );
}

#[tokio::test]
async fn who_applies_the_resource_is_warned_of() {
    let world = World::new("suspend-gitops").await;
    for (name, label) in [
        ("argo", "argocd.argoproj.io/instance"),
        ("flux", "kustomize.toolkit.fluxcd.io/name"),
        ("mine", "team"),
    ] {
        world
            .apply_resource(name, |it| it["metadata"]["labels"] = json!({ label: "a" }))
            .await;
    }
    let namespace = &*world.namespace;
    let kubeconfig = world.plane.kubeconfig_path();
    let (status, stdout, stderr) =
        plugin(&kubeconfig, &["suspend", "--all", "-n", namespace]).await;
    assert_eq!(status, 0, "{stderr}");
    assert_eq!(stdout.lines().count(), 3, "{stdout}");
    let warned = |name: &str, tool: &str| {
        stderr.contains(&format!("warning: {namespace}/{name} is applied by {tool}"))
    };
    assert!(
        warned("argo", "Argo CD: ") && warned("flux", "Flux "),
        "{stderr}"
    );
    assert!(!warned("mine", ""), "{stderr}");
    // Flux takes back what managers with names like kubectl's wrote.
    let fields = world
        .resource("mine")
        .await
        .metadata
        .managed_fields
        .unwrap_or_default();
    let managers: Vec<_> = fields
        .iter()
        .filter_map(|it| it.manager.as_deref())
        .collect();
    assert!(managers.contains(&"cognito-password-cli"), "{managers:?}");

    let args = ["resume", "--all", "-n", namespace, "-o", "json"];
    let (status, stdout, _) = plugin(&kubeconfig, &args).await;
    assert_eq!(status, 0);
    let document: serde_json::Value = serde_json::from_str(&stdout).expect("JSON");
    assert_eq!(document["kind"], "Resume");
    let first = document["resources"]
        .as_array()
        .and_then(|it| it.first())
        .expect("a resource");
    assert_eq!(
        (&first["name"], &first["state"], &first["owner"]),
        (&json!("argo"), &json!("Resumed"), &json!("ArgoCd"))
    );
}

#[tokio::test]
async fn a_missing_right_is_one_line_and_a_wrong_reason_is_refused() {
    let world = World::new("suspend-rights").await;
    world.apply_resource("bot", |_| ()).await;
    let (namespace, viewer) = (&*world.namespace, tenant(&world, "viewer", VIEW));
    let group = "cognitouserpasswords.cognito-password-operator.io";
    let (status, stdout, stderr) = plugin(&viewer, &["suspend", "bot", "-n", namespace]).await;
    assert_eq!((status, &*stdout), (3, ""));
    let wanted =
        format!("{namespace}/bot: not allowed: you may not patch {group}/bot -n {namespace}\n");
    assert_eq!(stderr, wanted);
    let (status, _, stderr) = plugin(&viewer, &["resume", "--all", "-n", namespace]).await;
    assert_eq!(
        (status, &*stderr),
        (
            3,
            &*format!("error: you may not patch {group} -n {namespace}\n")
        )
    );
    for reason in ["", "two\nlines", "\u{202e}reversed"] {
        let args = ["suspend", "bot", "-n", namespace, "--reason", reason];
        let (status, _, stderr) = plugin(&viewer, &args).await;
        assert_eq!(status, 2, "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}
