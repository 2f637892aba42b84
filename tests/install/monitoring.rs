//! The Prometheus Operator's and the Grafana Operator's own CRDs accept what the chart and the
//! components of deploy/ make for them.

use std::process::Command;

use serde_json::{Value, json};

use crate::cluster::NAME;
use crate::support::{
    ControlPlane, scratch,
    tools::{self, Tool},
};

const KINDS: [(Tool, &str); 4] = [
    (
        Tool::PrometheusOperatorCrds,
        "monitoring.coreos.com_servicemonitors.yaml",
    ),
    (
        Tool::PrometheusOperatorCrds,
        "monitoring.coreos.com_podmonitors.yaml",
    ),
    (
        Tool::PrometheusOperatorCrds,
        "monitoring.coreos.com_prometheusrules.yaml",
    ),
    (
        Tool::GrafanaOperatorCrds,
        "grafana.integreatly.org_grafanadashboards.yaml",
    ),
];

fn cluster() -> ControlPlane {
    let plane = ControlPlane::start();
    for (crds, file) in KINDS {
        let file = tools::path(crds).join(file);
        // Too long for the annotation of a client-side apply.
        plane.kubectl(&["create", "-f", &file.to_string_lossy()]);
    }
    let established = "--for=condition=Established";
    plane.kubectl(&["wait", established, "--timeout=2m", "crd", "--all"]);
    plane.kubectl(&["create", "namespace", NAME]);
    plane
}

/// Has the API server check objects as an apply would; returns the names of the objects.
fn check(plane: &ControlPlane, source: &[&str], stdin: &str) -> Result<Vec<String>, String> {
    let apply = [
        "apply",
        "--dry-run=server",
        "--validate=strict",
        "--warnings-as-errors",
        "--output=name",
    ];
    let names = plane.try_kubectl(&[&apply[..], source].concat(), stdin)?;
    Ok(names.lines().map(ToOwned::to_owned).collect())
}

/// Renders one template of the chart.
fn template(template: &str, values: &Value) -> String {
    let home = scratch("helm");
    let file = home.join("values.json");
    std::fs::write(&file, values.to_string()).expect("the scratch folder can be written");
    let output = Command::new(tools::path(Tool::Helm))
        .args(["template", NAME, "charts/cognito-password-operator"])
        .args(["--namespace", NAME, "--show-only"])
        .arg(format!("templates/{template}.yaml"))
        .arg("--values")
        .arg(file)
        .current_dir(tools::checkout())
        .env("HELM_CACHE_HOME", home.join("cache"))
        .env("HELM_CONFIG_HOME", home.join("config"))
        .env("HELM_DATA_HOME", home.join("data"))
        .env("KUBECONFIG", "/dev/null")
        .output()
        .expect("Helm can be started");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{template}: {said}");
    String::from_utf8(output.stdout).expect("Helm writes UTF-8")
}

/// Every value of a monitor.
fn monitor() -> Value {
    json!({
        "enabled": true,
        "namespace": "default",
        "labels": { "release": "prometheus" },
        "annotations": { "a": "b" },
        "interval": "30s",
        "scrapeTimeout": "10s",
        "relabelings": [{ "action": "labeldrop", "regex": "endpoint" }],
        "metricRelabelings": [{ "sourceLabels": ["__name__"], "action": "drop", "regex": "process_.*" }],
        "scrapeClassName": "mtls",
    })
}

#[tokio::test]
async fn the_operators_of_prometheus_and_grafana_accept_what_chart_and_components_make() {
    let plane = cluster();
    let rule = json!({
        "enabled": true,
        "tenants": true,
        "labels": { "release": "prometheus" },
        "runbookUrl": "https://example.com/runbooks",
        "rules": {
            "CognitoPasswordOperatorThrottled": { "for": "1h", "severity": "info", "labels": { "team": "a" } },
            "CognitoUserPasswordSuspended": { "enabled": false },
        },
        "additionalGroups": [{ "name": "more", "rules": [{ "record": "a:b", "expr": "up" }] }],
    });
    let alone = json!({ "enabled": true });
    let dashboard =
        json!({ "enabled": true, "instanceSelector": { "matchLabels": { "grafana": "main" } } });
    for (file, value, objects, wanted) in [
        ("service-monitor", "serviceMonitor", [&alone, &monitor()], 1),
        ("pod-monitor", "podMonitor", [&alone, &monitor()], 1),
        ("prometheus-rule", "prometheusRule", [&rule, &rule], 2),
        ("dashboard", "dashboard", [&dashboard, &dashboard], 2),
    ] {
        for object in objects {
            let text = template(file, &json!({ "metrics": { value: object } }));
            let names = check(&plane, &["-f", "-"], &text);
            let names = names.unwrap_or_else(|said| panic!("{said}\n{text}"));
            assert_eq!(names.len(), wanted, "{names:?}");
        }
    }

    let names = check(&plane, &["-k", "tests/install/monitoring"], "");
    let names = names.unwrap_or_else(|said| panic!("{said}"));
    assert_eq!(names.len(), 4, "{names:?}");

    // The API server knows these kinds: it refuses a misspelt field.
    let text = template(
        "service-monitor",
        &json!({ "metrics": { "serviceMonitor": alone } }),
    );
    let misspelt = text.replace("endpoints:", "endpionts:");
    let said = check(&plane, &["-f", "-"], &misspelt).expect_err("a misspelt field");
    assert!(said.contains("endpionts"), "{said}");
}
