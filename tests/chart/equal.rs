//! The chart and deploy/ are two ways to the same objects. Only the labels and annotations of Helm differ.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use crate::render::{chart, documents, objects, run, run_in};
use crate::support::{
    scratch,
    tools::{self, Tool},
};

/// Helm's own labels.
const LABELS: [&str; 3] = [
    "app.kubernetes.io/instance",
    "app.kubernetes.io/managed-by",
    "helm.sh/chart",
];

/// Helm's own annotation of CRDs.
const KEEP: &str = "helm.sh/resource-policy";

type Objects = BTreeMap<String, Value>;

fn without_helm(mut value: Value) -> Value {
    match &mut value {
        Value::Object(map) => {
            // Not those of a selector: Helm 4 couldn't adopt an installation by kustomize.
            if let Some(Value::Object(labels)) = map.get_mut("labels") {
                labels.retain(|name, _| !LABELS.contains(&name.as_str()));
            }
            if let Some(Value::Object(annotations)) = map.get_mut("annotations") {
                annotations.remove(KEEP);
            }
            let empty = |value: &Value| value.as_object().is_some_and(serde_json::Map::is_empty);
            map.retain(|name, value| !(name == "annotations" && empty(value)));
            for value in map.values_mut() {
                *value = without_helm(value.take());
            }
        }
        Value::Array(items) => {
            for item in items {
                *item = without_helm(item.take());
            }
        }
        // `minimum: 0.0` and `minimum: 0` are one number.
        Value::Number(number) => {
            if let Some(float) = number.as_f64() {
                value = json!(float);
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
    value
}

/// The objects by name. Without the pod of `helm test`, which no installation has.
fn by_name(mut objects: Vec<Value>) -> Objects {
    objects.retain(|object| object["metadata"]["annotations"]["helm.sh/hook"] != "test");
    let count = objects.len();
    let named = objects.into_iter().map(|object| {
        let metadata = &object["metadata"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (namespace, name) = (text(&metadata["namespace"]), text(&metadata["name"]));
        let key = format!("{} {namespace}/{name}", text(&object["kind"]));
        (key, without_helm(object))
    });
    let named: Objects = named.collect();
    assert_eq!(
        named.len(),
        count,
        "an object is there twice: {:?}",
        named.keys()
    );
    named
}

/// The objects that kustomize renders, without the Namespace. `helm install --create-namespace` makes the
/// Namespace, because Helm keeps the release there.
fn kustomized(directory: &str) -> Objects {
    let text = run(Tool::Kubectl, &["kustomize", directory]);
    let mut objects = by_name(documents(&text.expect("kustomize renders deploy/")));
    objects.retain(|name, _| !name.starts_with("Namespace "));
    assert!(!objects.is_empty());
    objects
}

#[track_caller]
fn assert_same(chart: &Objects, kustomized: &Objects) {
    let names = |objects: &Objects| objects.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(chart), names(kustomized));
    for (name, object) in chart {
        assert_eq!(object, &kustomized[name], "{name}");
    }
}

#[test]
fn with_default_values_the_chart_renders_what_deploy_renders() {
    assert_same(&by_name(objects(&json!({}))), &kustomized("deploy"));
}

#[test]
fn with_watched_namespaces_the_chart_renders_the_namespaced_variant_and_nothing_cluster_wide() {
    let values = json!({
        "settings": { "watchNamespaces": ["team-a"] },
        "crds": { "enabled": false },
    });
    let rendered = by_name(objects(&values));
    assert_same(&rendered, &kustomized("deploy/watch-namespaces"));
    for (name, object) in &rendered {
        assert!(
            object["metadata"]["namespace"].is_string(),
            "{name} is cluster-wide"
        );
    }
}

#[test]
fn with_watched_namespaces_the_operator_has_no_cluster_wide_right_though_the_crds_come_along() {
    let rendered = by_name(objects(
        &json!({ "settings": { "watchNamespaces": ["team-a", "team-b"] } }),
    ));
    assert!(
        !rendered
            .keys()
            .any(|name| name.starts_with("ClusterRoleBinding "))
    );
    for namespace in ["team-a", "team-b"] {
        for kind in ["Role", "RoleBinding"] {
            let name = format!("{kind} {namespace}/cognito-password-operator");
            assert!(
                rendered.contains_key(&name),
                "{name}: {:?}",
                rendered.keys()
            );
        }
    }
}

#[test]
fn a_watched_namespace_may_be_the_releases_own() {
    let namespace = crate::support::operator::NAMESPACE;
    let rendered = by_name(objects(
        &json!({ "settings": { "watchNamespaces": [namespace] } }),
    ));
    for name in [
        "cognito-password-operator",
        "cognito-password-operator-watch",
    ] {
        for kind in ["Role", "RoleBinding"] {
            let name = format!("{kind} {namespace}/{name}");
            assert!(
                rendered.contains_key(&name),
                "{name}: {:?}",
                rendered.keys()
            );
        }
    }
}

/// What kustomize renders of deploy/ with components of deploy/.
fn kustomized_with(components: &[&str]) -> Objects {
    // kustomize takes no absolute path.
    let directory = scratch("overlay");
    for folder in ["deploy", "crds", "monitoring"] {
        copy(&tools::checkout().join(folder), &directory.join(folder));
    }
    let overlay = directory.join("overlay");
    fs::create_dir_all(&overlay).expect("the scratch folder can be written");
    let components: Vec<_> = components
        .iter()
        .map(|name| format!("../deploy/{name}"))
        .collect();
    let kustomization = json!({ "resources": ["../deploy"], "components": components });
    fs::write(
        overlay.join("kustomization.yaml"),
        kustomization.to_string(),
    )
    .expect("the scratch folder can be written");
    let text = run_in(&directory, Tool::Kubectl, &["kustomize", "overlay"]);
    let mut objects = by_name(documents(&text.expect("kustomize renders the overlay")));
    objects.retain(|name, _| !name.starts_with("Namespace "));
    objects
}

#[test]
fn with_a_secret_selector_the_chart_renders_the_labelled_variant() {
    let values = json!({ "settings": { "secretSelector": "password-operator=yes" } });
    assert_same(
        &by_name(objects(&values)),
        &kustomized_with(&["labelled-secrets"]),
    );
}

#[test]
fn with_monitoring_the_chart_renders_what_the_components_render() {
    let monitoring = |tenants: bool| {
        let values = json!({ "metrics": {
            "serviceMonitor": { "enabled": true },
            "prometheusRule": { "enabled": true, "tenants": tenants },
            "dashboard": { "enabled": true },
        } });
        let mut objects = by_name(objects(&values));
        for object in objects.values_mut() {
            if object["kind"] == "PrometheusRule" {
                *object = in_any_namespace(object);
            }
        }
        objects
    };
    assert_same(&monitoring(false), &kustomized_with(&["monitoring"]));
    let components = ["monitoring", "monitoring/tenants"];
    assert_same(&monitoring(true), &kustomized_with(&components));
}

/// Rules without the release's namespace in their expressions: a kustomization may move deploy/ into another
/// namespace, and kustomize changes no expression.
fn in_any_namespace(rules: &Value) -> Value {
    let namespace = format!("namespace=\"{}\"", crate::support::operator::NAMESPACE);
    let mut rules = rules.clone();
    let groups = rules["spec"]["groups"].as_array_mut().expect("groups");
    let rules_of = groups
        .iter_mut()
        .filter_map(|it| it["rules"].as_array_mut());
    for rule in rules_of.flatten() {
        let expression = rule["expr"].as_str().expect("an expression");
        let expression = expression
            .replace(&format!("{{{namespace}}}"), "")
            .replace(&format!(", {namespace}"), "");
        rule["expr"] = expression.into();
    }
    rules
}

#[test]
fn the_rules_of_the_components_are_those_of_the_project() {
    for (rules, component) in [
        ("monitoring/rules.yaml", "deploy/monitoring"),
        ("monitoring/tenant-rules.yaml", "deploy/monitoring/tenants"),
    ] {
        let read = |path: &str| -> Value {
            let text = fs::read_to_string(tools::checkout().join(path));
            serde_saphyr::from_str(&text.expect("the file can be read")).expect("YAML")
        };
        let object = read(&format!("{component}/prometheus-rule.yaml"));
        assert_eq!(object["spec"], read(rules), "run `make chart-files`");
    }
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir_all(to).expect("the scratch folder can be written");
    for entry in fs::read_dir(from).expect("the folder can be read") {
        let entry = entry.expect("the folder can be read").path();
        let target = to.join(entry.file_name().expect("an entry has a name"));
        if entry.is_dir() {
            copy(&entry, &target);
        } else {
            fs::copy(&entry, &target).expect("a file can be copied");
        }
    }
}

#[test]
fn without_the_operator_the_chart_renders_what_deploy_admin_renders() {
    let values = json!({ "operator": { "enabled": false } });
    assert_same(&by_name(objects(&values)), &kustomized("deploy/admin"));
}

#[test]
fn the_charts_crds_are_those_of_the_project_byte_for_byte() {
    let crds = |directory: &std::path::Path| {
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(directory).expect("the CRDs' folder can be read") {
            let path = entry.expect("the CRDs' folder can be read").path();
            let name = path.file_name().expect("a file has a name").to_owned();
            if name != "kustomization.yaml" {
                files.insert(name, fs::read_to_string(&path).expect("a CRD can be read"));
            }
        }
        assert_eq!(files.len(), 2, "{:?}", files.keys());
        files
    };
    let chart = crds(&chart().join("files/crds"));
    assert_eq!(
        chart,
        crds(&tools::checkout().join("crds")),
        "run `make crds`"
    );
}

#[test]
fn the_charts_alerts_and_dashboard_are_those_of_the_project_byte_for_byte() {
    for (of_chart, of_project) in [
        ("files/monitoring/rules.yaml", "monitoring/rules.yaml"),
        (
            "files/monitoring/tenant-rules.yaml",
            "monitoring/tenant-rules.yaml",
        ),
        (
            "files/monitoring/dashboard.json",
            "monitoring/dashboards/cognito-password-operator.json",
        ),
    ] {
        let project = fs::read_to_string(tools::checkout().join(of_project));
        let project = project.expect("the file can be read");
        assert_eq!(
            crate::render::read(of_chart),
            project,
            "run `make chart-files`"
        );
    }
}

#[test]
fn the_crds_stay_when_the_release_goes_unless_the_values_say_otherwise() {
    let kept = |values: &Value| -> Vec<bool> {
        let objects = objects(values);
        let crds = objects
            .iter()
            .filter(|it| it["kind"] == "CustomResourceDefinition");
        crds.map(|crd| crd["metadata"]["annotations"][KEEP] == "keep")
            .collect()
    };
    assert_eq!(kept(&json!({})), [true, true]);
    assert_eq!(kept(&json!({ "crds": { "keep": false } })), [false, false]);
    assert!(kept(&json!({ "crds": { "enabled": false } })).is_empty());
}
