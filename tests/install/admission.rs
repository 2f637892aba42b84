//! What the chart renders of odd names and values, the API server admits, without a warning. Nothing is made.

use serde_json::{Value, json};

use crate::support::{
    ControlPlane, scratch,
    tools::{self, Tool},
};

/// A case: the release's name, its namespace, and values.
fn cases() -> Vec<(&'static str, &'static str, Value)> {
    let grant = json!({ "name": "123", "userPoolId": "eu-west-1_AbCdEf123", "usernames": ["*"], "namespaces": { "selector": { "matchLabels": { "a": "0123" } } }, "roleArn": "arn:aws-us-gov:iam::111122223333:role/path/to/passwords" });
    vec![
        // Names that YAML would read as numbers or as true, and names with dots.
        ("123", "123", json!({})),
        (
            "1e3",
            "1e3",
            json!({ "settings": { "watchNamespaces": ["123", "1e3"] } }),
        ),
        (
            "true",
            "123",
            json!({ "nameOverride": "on", "grants": [grant] }),
        ),
        ("1.example", "1e3", json!({})),
        ("a", "123", json!({ "fullnameOverride": "null" })),
        // Each object with every label and annotation that people give.
        (
            "a",
            "123",
            json!({
                "commonLabels": { "team": "a", "app.kubernetes.io/part-of": "platform", "app.kubernetes.io/version": "7" },
                "commonAnnotations": { "example.com/odd": "a: \"b\"\n# {{ .Values }}", "number": "0123" },
                "podLabels": { "team": "b" },
                "service": { "labels": { "team": "c" } },
                "podAnnotations": { "yes": "yes" },
            }),
        ),
        // What Kubernetes refuses if the defaults stay beside it, or if it is there twice.
        (
            "a",
            "123",
            json!({ "updateStrategy": { "type": "Recreate" }, "replicas": 1 }),
        ),
        (
            "a",
            "123",
            json!({ "global": { "imagePullSecrets": ["a", { "name": "b" }] }, "imagePullSecrets": [{ "name": "a" }] }),
        ),
        (
            "a",
            "123",
            json!({ "terminationGracePeriodSeconds": 1_000_000, "revisionHistoryLimit": 1_000_000, "priorityClassName": "1e3", "runtimeClassName": "0123", "schedulerName": "true", "caBundle": { "configMap": "123", "key": "1" } }),
        ),
        (
            "a",
            "123",
            json!({ "image": { "tag": "_7", "registry": "localhost:5000/mirror/" }, "proxy": { "https": "http://user:a%40b@[fd00::1]:3128/" }, "aws": { "endpoints": { "cognito": "http://moto:5000" } } }),
        ),
        // null, where people take a default away.
        (
            "a",
            "123",
            json!({ "resources": null, "podSecurityContext": null, "securityContext": null, "nodeSelector": null, "topologySpreadConstraints": null, "updateStrategy": null, "imagePullSecrets": null }),
        ),
        (
            "a",
            "123",
            json!({ "resources": { "limits": { "cpu": null } }, "nodeSelector": { "disk": null }, "securityContext": { "runAsUser": null } }),
        ),
    ]
}

#[test]
fn the_api_server_admits_what_the_chart_renders_of_odd_values() {
    let plane = ControlPlane::start();
    plane.install("crds");
    for namespace in ["123", "1e3"] {
        plane.kubectl(&["create", "namespace", namespace]);
    }
    let file = scratch("values").join("values.json");
    for helm in [Tool::Helm, Tool::Helm3] {
        for (release, namespace, values) in cases() {
            std::fs::write(&file, values.to_string()).expect("the scratch folder can be written");
            let output = std::process::Command::new(tools::path(helm))
                .args(["template", release, "charts/cognito-password-operator"])
                .args(["--namespace", namespace, "--kube-version=1.32.0"])
                .arg("--values")
                .arg(&file)
                .current_dir(tools::checkout())
                .output()
                .expect("Helm can be started");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{release} {values}: {said}");
            let text = String::from_utf8(output.stdout).expect("Helm writes UTF-8");
            // As Helm 4 applies objects.
            let apply = [
                "apply",
                "--server-side",
                "--force-conflicts",
                "--dry-run=server",
                "--warnings-as-errors",
                "-f",
                "-",
            ];
            plane
                .try_kubectl(&apply, &text)
                .unwrap_or_else(|refusal| panic!("{release} {values}: {refusal}\n{text}"));
        }
    }
}
