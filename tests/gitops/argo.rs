//! Argo CD: its own Lua VM runs the health checks and actions of gitops/argocd, and its own diff compares.

mod actions;
mod diff;
mod matrix;
mod testdata;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::tools::{self, Tool};

/// The ConfigMap that users apply.
const ARGOCD_CM: &str = "gitops/argocd/argocd-cm.yaml";

/// The scripts, in the layout of Argo CD's own repository.
const CUSTOMIZATIONS: &str = "gitops/argocd/resource_customizations";

/// The folder of a kind's scripts.
fn folder_of(kind: &str) -> PathBuf {
    let group = tools::checkout()
        .join(CUSTOMIZATIONS)
        .join("cognito-password-operator.io");
    group.join(kind)
}

/// Runs `argocd-lua` with these objects, and returns what it prints for each.
fn argocd_lua(args: &[&str], objects: &[Value], kubeconfig: Option<&Path>) -> Vec<Value> {
    let lines: String = objects.iter().map(|object| format!("{object}\n")).collect();
    let mut command = Command::new(tools::path(Tool::ArgocdLua));
    command.env_remove("KUBECONFIG");
    if let Some(kubeconfig) = kubeconfig {
        command.env("KUBECONFIG", kubeconfig);
    }
    let mut child = command
        .args(args)
        .current_dir(tools::checkout())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("could not start argocd-lua: {error}"));
    let mut stdin = child.stdin.take().expect("stdin is a pipe");
    // Both pipes have a limited capacity, so one thread writes while the other reads. A program that fails early
    // does not read all of its input.
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = child.wait_with_output().expect("argocd-lua was started");
    let _ = writer.join();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "argocd-lua {args:?}: {said}");
    let printed = String::from_utf8_lossy(&output.stdout);
    let results: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(&printed)
        .into_iter()
        .collect();
    let results = results.unwrap_or_else(|error| panic!("{error}: {printed}"));
    assert_eq!(results.len(), objects.len(), "one result per object");
    results
}

/// The Lua scripts pass the tests beside them, in the layout of Argo CD's own tests.
#[test]
fn the_scripts_pass_their_tests_in_argo_cds_own_vm() {
    let output = Command::new(tools::path(Tool::ArgocdLua))
        .args(["test", CUSTOMIZATIONS])
        .current_dir(tools::checkout())
        .output()
        .expect("argocd-lua can be started");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

/// Argo CD reads the ConfigMap, and gives the scripts no library.
#[test]
fn the_config_map_gives_each_status_of_the_testdata_its_health() {
    for kind in ["CognitoUserPassword", "CognitoUserPoolGrant"] {
        let folder = folder_of(kind);
        let read = |path: &Path| -> Value {
            let text = std::fs::read_to_string(path);
            let text = text.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            serde_saphyr::from_str(&text)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        let tests = read(&folder.join("health_test.yaml"));
        let tests = tests["tests"].as_array().expect("a list");
        let objects = tests.iter().map(|test| {
            let path = test["inputPath"].as_str().expect("a path");
            read(&folder.join(path))
        });
        let objects: Vec<_> = objects.collect();
        assert!(!objects.is_empty(), "{kind} has no tests");
        let found = argocd_lua(&["health", ARGOCD_CM], &objects, None);
        for (test, found) in tests.iter().zip(found) {
            assert_eq!(found, test["healthStatus"], "{}", test["inputPath"]);
        }
    }
}
