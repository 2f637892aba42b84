//! `check`: what the command finds in a good installation, and in broken ones.

use std::path::Path;
use std::process::{Command, Output};

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::json;

use crate::namespaced_install::installed;
use crate::support::{ControlPlane, eventually, operator};
use crate::world::{POOL, SOON, World};

/// The exit status and the output of `check` as the operator's service account.
fn check(kubeconfig: &Path, args: &[&str]) -> (Option<i32>, String) {
    let output: Output = Command::new(env!("CARGO_BIN_EXE_cognito-password-operator"))
        .args(["check", "--operator-namespace", operator::NAMESPACE])
        .args(args)
        .env_clear()
        .env("KUBECONFIG", kubeconfig)
        .output()
        .expect("the operator's binary starts");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(errors, "");
    let said = String::from_utf8(output.stdout).expect("text");
    (output.status.code(), said)
}

fn kubeconfig(plane: &ControlPlane) -> std::path::PathBuf {
    let token = plane.token_for(operator::NAMESPACE, operator::SERVICE_ACCOUNT);
    plane.kubeconfig_for_token("check", &token)
}

/// The mark of the first finding about a subject, and the text on one line, with the cure.
fn line(said: &str, subject: &str) -> String {
    let mut lines = said.lines();
    let found = lines.find(|line| line.split_whitespace().nth(1) == Some(subject));
    let found = found.unwrap_or_else(|| panic!("no {subject}:\n{said}"));
    let (mark, text) = (&found[..found.find(' ').unwrap_or_default()], found);
    let text = text.split_whitespace().skip(2);
    // A text goes on behind blanks.
    let rest = lines.take_while(|line| line.starts_with(' '));
    let words = text.chain(rest.flat_map(str::split_whitespace));
    let words: Vec<_> = [mark].into_iter().chain(words).collect();
    words.join(" ")
}

/// The rights that a finding calls missing, as `kubectl auth can-i` takes each.
fn missing(line: &str) -> Vec<String> {
    let (_, rights) = line.split_once("may not ").expect("missing rights");
    let (rights, _) = rights.split_once(" cure:").expect("a cure");
    let kinds = rights.split("; ").filter(|kind| !kind.starts_with("and "));
    let kinds = kinds.flat_map(|kind| {
        let (verbs, rest) = kind.split_once(' ').expect("verbs and a kind");
        verbs.split(',').map(move |verb| format!("{verb} {rest}"))
    });
    kinds.collect()
}

#[tokio::test]
async fn a_good_installation_is_well_and_each_fault_is_named() {
    let (world, _turn) = World::alone("check").await;
    let plane = world.plane;
    let kubeconfig = kubeconfig(plane);
    let leases: Api<Lease> = Api::namespaced(world.client.clone(), operator::NAMESPACE);
    // An earlier test may have left one.
    let _ = leases
        .delete("cognito-password-operator", &DeleteParams::default())
        .await;

    let (status, said) = check(&kubeconfig, &[]);
    assert_eq!(status, Some(1), "{said}");
    let leader = line(&said, "leader");
    assert!(leader.starts_with("× there is no Lease"), "{said}");

    let running = world.cluster_wide().leader_elect().start().await;
    running.wait_ready(SOON).await;
    world.in_sync("bot", "First-Passw0rd").await;
    let url = running.url();
    let args = ["--url", &url, "--wait", "2m"];
    let (status, said) = check(&kubeconfig, &args);
    assert_eq!(status, Some(0), "{said}");
    for subject in [
        "kubernetes",
        "crds",
        "leader",
        "rights",
        "network",
        "identity",
    ] {
        assert!(line(&said, subject).starts_with("✓ "), "{said}");
    }
    let kubernetes = line(&said, "kubernetes");
    assert!(
        kubernetes.contains("with selectable fields and WatchList"),
        "{said}"
    );
    assert_eq!(line(&said, "rights"), "✓ has all 19 needed rights");
    assert!(
        said.lines().all(|line| line.chars().count() <= 80),
        "{said}"
    );

    // A right is taken away: the findings are as `kubectl auth can-i` takes rights.
    plane.kubectl(&["delete", "clusterrolebinding", "cognito-password-operator"]);
    let (status, said) = check(&kubeconfig, &[]);
    plane.kubectl(&["apply", "-k", "deploy/all-namespaces/"]);
    assert_eq!(status, Some(1), "{said}");
    let rights = line(&said, "rights");
    assert!(
        rights.starts_with("× lacks 14 of 19 needed rights"),
        "{said}"
    );
    let missing = missing(&rights);
    assert_eq!(missing.len(), 12, "six kinds of seven: {said}");
    for right in missing {
        let words: Vec<_> = ["auth", "can-i"]
            .into_iter()
            .chain(right.split(' '))
            .collect();
        assert_eq!(
            plane.kubectl(&words).trim(),
            "yes",
            "an administrator may {right}"
        );
    }

    // The holder is gone, and the Lease runs out.
    running.kill();
    let old = json!({ "spec": { "renewTime": "2026-01-01T00:00:00.000000Z" } });
    leases
        .patch(
            "cognito-password-operator",
            &PatchParams::default(),
            &Patch::Merge(&old),
        )
        .await
        .expect("the Lease is there");
    let (status, said) = check(&kubeconfig, &["--url", &url]);
    assert_eq!(status, Some(1), "{said}");
    assert!(
        line(&said, "leader").contains("which is longer than"),
        "{said}"
    );
    assert!(line(&said, "network").contains("doesn't answer"), "{said}");
    let (status, said) = check(&kubeconfig, &["--leader-elect=false"]);
    assert_eq!(status, Some(0), "{said}");
}

#[tokio::test]
async fn an_empty_cluster_lacks_the_crds_and_all_rights() {
    let plane = ControlPlane::start();
    plane.kubectl(&["create", "namespace", operator::NAMESPACE]);
    plane.kubectl(&[
        "create",
        "sa",
        operator::SERVICE_ACCOUNT,
        "-n",
        operator::NAMESPACE,
    ]);
    let kubeconfig = kubeconfig(&plane);
    let (status, said) = check(&kubeconfig, &[]);
    assert_eq!(status, Some(1), "{said}");
    assert!(
        line(&said, "crds").contains("lacks cognitouserpasswords"),
        "{said}"
    );
    let leader = line(&said, "leader");
    assert!(
        leader.starts_with("? the Lease can't be read: you may not get"),
        "{said}"
    );
    let rights = line(&said, "rights");
    assert!(
        rights.starts_with("× lacks 19 of 19 needed rights"),
        "{said}"
    );
    assert!(rights.contains("; and 5 more"), "{said}");
}

#[tokio::test]
async fn an_installation_for_one_namespace_needs_no_right_elsewhere() {
    let (world, _elsewhere, _turn) = installed().await;
    let kubeconfig = kubeconfig(world.plane);
    let args = ["--watch-namespaces", "team-a", "--leader-elect=false"];
    let (status, said) = check(&kubeconfig, &args);
    assert_eq!(status, Some(0), "{said}");
    let args = ["--watch-namespaces", "team-a,other", "--leader-elect=false"];
    let (status, said) = check(&kubeconfig, &args);
    assert_eq!(status, Some(1), "{said}");
    let rights = line(&said, "rights");
    assert!(
        rights.starts_with("× lacks 9 of 20 needed rights"),
        "{said}"
    );
    let missing = missing(&rights);
    assert_eq!(missing.len(), 9, "{said}");
    assert!(missing.iter().all(|it| it.ends_with("-n other")), "{said}");
    let resources = line(&said, "resources");
    assert!(
        resources.starts_with("? the resources are unknown: you may not list"),
        "{said}"
    );
}

#[test]
fn without_an_api_server_nothing_can_be_found_out() {
    let output = Command::new(env!("CARGO_BIN_EXE_cognito-password-operator"))
        .args(["check", "--operator-namespace", "home"])
        .env_clear()
        .env("HOME", "/nonexistent")
        .output()
        .expect("the operator's binary starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(
        said.starts_with("? kubernetes  no API server is configured"),
        "{said}"
    );
    assert_eq!(said.matches("no API server").count(), 1, "{said}");
}

#[tokio::test]
async fn resources_without_credentials_are_counted() {
    let world = World::new("check-identity").await;
    let running = world.builder().no_credentials().start().await;
    running.wait_ready(SOON).await;
    world.cognito.add_user(POOL, "bot");
    world
        .apply_secret("bot", "password", "First-Passw0rd")
        .await;
    world.apply_resource("bot", |_| ()).await;
    world.wait("bot", "False", "InvalidCredentials").await;
    let kubeconfig = kubeconfig(world.plane);
    let url = running.url();
    // The watch may show the status later.
    eventually(SOON, async || {
        let args = ["--url", &url, "--leader-elect=false"];
        let (status, said) = check(&kubeconfig, &args);
        if status == Some(1) && line(&said, "identity").starts_with("× 1 resource wait") {
            Ok(())
        } else {
            Err(said)
        }
    })
    .await;
}
