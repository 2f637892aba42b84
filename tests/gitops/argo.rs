//! Argo CD: its own Lua VM runs the health checks and actions of gitops/argocd, and its own diff compares.

mod actions;
mod diff;
mod matrix;
mod testdata;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::kstatus::{Kstatus, kstatus_of};
use crate::support::tools::{self, Tool};

const KINDS: [&str; 2] = ["CognitoUserPassword", "CognitoUserPoolGrant"];

/// The `ConfigMap` that users apply.
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
    let lines: Vec<String> = objects.iter().map(Value::to_string).collect();
    let lines = lines.join("\n");
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

/// Reads a file below the folder of a kind's scripts.
fn read(folder: &Path, path: &str) -> Value {
    let path = folder.join(path);
    let text = std::fs::read_to_string(&path);
    let text = text.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The tests of a kind's health, and their objects.
fn health_tests(kind: &str) -> (Vec<Value>, Vec<Value>) {
    let folder = folder_of(kind);
    let tests = read(&folder, "health_test.yaml");
    let tests = tests["tests"].as_array().expect("a list").clone();
    assert!(!tests.is_empty(), "{kind} has no tests");
    let object = |test: &Value| read(&folder, test["inputPath"].as_str().expect("a path"));
    let objects = tests.iter().map(object).collect();
    (tests, objects)
}

/// Argo CD reads the `ConfigMap`, and gives the scripts no library.
#[test]
fn the_config_map_gives_each_status_of_the_testdata_its_health() {
    for kind in KINDS {
        let (tests, objects) = health_tests(kind);
        let found = argocd_lua(&["health", ARGOCD_CM], &objects, None);
        for (test, found) in tests.iter().zip(found) {
            assert_eq!(found, test["healthStatus"], "{}", test["inputPath"]);
        }
    }
}

/// Argo CD says of each resource what Flux and Helm say, except of a suspended resource. Also of statuses that the
/// operator doesn't write.
#[test]
fn the_scripts_follow_kstatus() {
    for kind in KINDS {
        let (_, mut objects) = health_tests(kind);
        objects.retain(|object| object["spec"]["suspend"] != true);
        for mut object in objects.clone() {
            object["status"]["observedGeneration"] = json!(-1);
            objects.push(object.clone());
            object["status"]["observedGeneration"] = object["metadata"]["generation"].clone();
            objects.push(object.clone());
            let Some(conditions) = object["status"]["conditions"].as_array().cloned() else {
                continue;
            };
            for status in ["True", "False", "Unknown"] {
                for added in ["Ready", "Reconciling", "Stalled"] {
                    let mut conditions = conditions.clone();
                    let mut condition = conditions[0].clone();
                    conditions.retain(|it| it["type"] != added);
                    condition["type"] = json!(added);
                    condition["status"] = json!(status);
                    conditions.push(condition);
                    let mut object = object.clone();
                    object["status"]["conditions"] = json!(conditions);
                    // kstatus doesn't know that a condition may be about an earlier generation.
                    let generation = &object["metadata"]["generation"];
                    if conditions[0]["observedGeneration"] == *generation {
                        objects.push(object);
                    }
                }
            }
        }
        // Of Reconciling and Stalled at once, kstatus takes the one that comes first in the list.
        objects.retain(|object| {
            let conditions = object["status"]["conditions"].as_array();
            let abnormal = conditions.into_iter().flatten().filter(|it| {
                (it["type"] == "Reconciling" || it["type"] == "Stalled") && it["status"] == "True"
            });
            abnormal.count() < 2
        });
        objects.retain(|object| {
            let generation = &object["metadata"]["generation"];
            let conditions = object["status"]["conditions"].as_array();
            let is_current = |it: &Value| it["observedGeneration"] == *generation;
            object["status"]["observedGeneration"] != *generation
                || conditions.is_some_and(|all| all.iter().all(is_current))
        });
        let argo = argocd_lua(&["health", ARGOCD_CM], &objects, None);
        for ((object, argo), kstatus) in objects.iter().zip(argo).zip(kstatus_of(&objects)) {
            let wanted = match kstatus {
                Kstatus::Current => "Healthy",
                Kstatus::Failed => "Degraded",
                Kstatus::InProgress | Kstatus::Terminating => "Progressing",
                Kstatus::NotFound | Kstatus::Unknown => panic!("{kstatus:?}: {object:#}"),
            };
            assert_eq!(argo["status"], wanted, "{object:#}");
        }
    }
}
