//! `report` contains what helps and no Secret, and says what the caller could not read.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use serde_json::json;

use super::{VIEW, plugin, tenant};
use crate::support::{operator, scratch, search};
use crate::world::{SOON, World};

const PASSWORD: &str = "First-Passw0rd-of-report";
const KEY: &str = "Very-Secret-Access-Key-1234";

/// The files of an archive, without the folder.
fn unpacked(archive: &Path) -> BTreeMap<String, String> {
    let file = File::open(archive).expect("an archive");
    let mut archive = tar::Archive::new(GzDecoder::new(file));
    let entries = archive.entries().expect("entries");
    let files = entries.map(|entry| {
        let mut entry = entry.expect("an entry");
        let path = entry.path().expect("a path").display().to_string();
        let mut text = String::new();
        entry.read_to_string(&mut text).expect("text");
        let path = path.strip_prefix("cognito-password-operator-report/");
        (path.expect("in the folder").to_owned(), text)
    });
    files.collect()
}

async fn report(kubeconfig: &Path, file: &Path, more: &[&str]) -> (i32, String) {
    let file = file.to_str().expect("text");
    let (status, said, errors) =
        plugin(kubeconfig, &[&["report", "-o", file][..], more].concat()).await;
    (status, said + &errors)
}

/// A pod as the Deployment makes pods. Nothing runs the pod.
fn pod() -> String {
    let container = json!({
        "name": "operator",
        "image": "image",
        "args": ["run"],
        "env": [{ "name": "AWS_SECRET_ACCESS_KEY", "value": KEY }],
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": { "drop": ["ALL"] },
        },
    });
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "operator-of-report",
            "namespace": operator::NAMESPACE,
            "labels": { "app.kubernetes.io/name": "cognito-password-operator" },
        },
        "spec": {
            "serviceAccountName": operator::SERVICE_ACCOUNT,
            "automountServiceAccountToken": false,
            "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
            "containers": [container],
        },
    });
    pod.to_string()
}

#[tokio::test]
async fn a_report_has_everything_but_secrets() {
    let (world, _turn) = World::alone("plugin-report").await;
    let plane = world.plane;
    let running = world.cluster_wide().leader_elect().start().await;
    running.wait_ready(SOON).await;
    world.in_sync("bot", PASSWORD).await;
    plane.kubectl_stdin(&["apply", "-f", "-"], &pod());
    let admin = plane.kubeconfig_path();
    let archive = scratch("report").join("report.tar.gz");
    let (url, namespace) = (running.url(), &*world.namespace);
    let args = ["--url", &url, "-n", namespace];

    let (status, said) = report(&admin, &archive, &args).await;
    assert_eq!(status, 0, "{said}");
    let mode = fs::metadata(&archive)
        .expect("written")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let (status, said) = report(&admin, &archive, &args).await;
    assert_eq!(status, 2, "{said}");
    assert!(said.contains("--force"), "{said}");
    let (status, said) = report(&admin, &archive, &[&args[..], &["--force"]].concat()).await;
    assert_eq!(status, 0, "{said}");

    let files = unpacked(&archive);
    let home = format!("operator/{}", operator::NAMESPACE);
    let wanted = [
        ("README.md", "Look at the files before you send them"),
        ("versions.yaml", "ungrantedAllow: false"),
        ("caller.yaml", "username"),
        ("rights.yaml", "resourceRules"),
        (
            "crds/cognitouserpasswords.cognito-password-operator.io.yaml",
            "v1alpha1",
        ),
        (
            "crds/cognitouserpoolgrants.cognito-password-operator.io.yaml",
            "v1alpha1",
        ),
        ("grants.yaml", namespace),
        ("resources.yaml", "PasswordSet"),
        ("events.yaml", "kind: List"),
        ("readyz.txt", "ok"),
        ("metrics.txt", "cognito_password_operator_"),
        (&format!("{home}/deployments.yaml"), "AWS_ROLE_SESSION_NAME"),
        (&format!("{home}/pods.yaml"), "(not in the report)"),
        (&format!("{home}/leases.yaml"), "holderIdentity"),
    ];
    for (file, words) in wanted {
        let text = files
            .get(file)
            .unwrap_or_else(|| panic!("no {file}: {:?}", files.keys()));
        assert!(text.contains(words), "{words} is not in {file}:\n{text}");
    }
    // Nothing runs the pod, so there is no log, and the index says so.
    let index = &files["index.md"];
    let empty = "| the log of operator-of-report, operator | missing | the log is empty |";
    assert!(index.contains(empty), "{index}");
    assert!(!index.contains("previous log"), "{index}");
    // Without an address of the operator, the API server's proxy is asked, which reaches no pod here.
    let proxied = scratch("report").join("proxied.tar.gz");
    let (status, said) = report(&admin, &proxied, &["-n", namespace]).await;
    assert_eq!(status, 0, "{said}");
    let index = &unpacked(&proxied)["index.md"];
    for page in ["readyz", "metrics"] {
        let missing = format!("| /{page} of operator-of-report | missing |");
        assert!(index.contains(&missing), "{index}");
    }
    for (file, text) in &files {
        for word in ["managedFields", "kind: Secret\n"] {
            assert!(!text.contains(word), "{word} is in {file}");
        }
    }
    let values = BTreeSet::from([PASSWORD, KEY].map(|it| it.as_bytes().to_vec()));
    let all: Vec<u8> = files.values().flat_map(|text| text.bytes()).collect();
    let leaks = search(&[("report", all)], &values);
    assert!(leaks.is_empty(), "{leaks:?}");
    plane.kubectl(&[
        "delete",
        "pod",
        "operator-of-report",
        "--force",
        "-n",
        operator::NAMESPACE,
    ]);
}

#[tokio::test]
async fn what_the_caller_may_not_read_is_a_line_of_the_index() {
    let world = World::new("plugin-gaps").await;
    world.apply_resource("bot", |_| ()).await;
    let cases: [(&str, &[&str], bool); 2] = [("viewer", VIEW, true), ("nobody", &[], false)];
    for (name, roles, has_resources) in cases {
        let caller = tenant(&world, name, roles);
        let archive: PathBuf = scratch("report").join(format!("{name}.tar.gz"));
        let (status, said) = report(&caller, &archive, &["-n", &world.namespace]).await;
        assert_eq!(status, 0, "{said}");
        let files = unpacked(&archive);
        let index = &files["index.md"];
        for missing in [
            "you may not list cognitouserpoolgrants.cognito-password-operator.io -A",
            "you may not list pods -n cognito-password-operator",
        ] {
            assert!(index.contains(missing), "{missing}: {index}");
        }
        let resources = files.get("resources.yaml");
        assert_eq!(resources.is_some(), has_resources, "{index}");
        assert!(
            resources.is_none_or(|text| text.contains("name: bot")),
            "{resources:?}"
        );
    }
}
