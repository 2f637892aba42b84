//! monitoring/kube-state-metrics.yaml fits the schemas of the CRDs, and its labels are bounded.
//! What the real kube-state-metrics makes of the file is tested by `tests/tenant_series`: `make alerts`.

use std::fs;

use serde_json::Value;

use crate::support::tools;

/// Fields without a list of values that may be labels: they say which object it is, or come from lists in the code.
const LABELS: [&str; 5] = [
    "metadata.namespace",
    "metadata.name",
    "spec.userPoolId",
    "status.conditions.type",
    "status.conditions.reason",
];

fn read(path: &str) -> Value {
    let text = fs::read_to_string(tools::checkout().join(path))
        .unwrap_or_else(|error| panic!("{path} can't be read: {error}"));
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn array(value: &Value) -> &Vec<Value> {
    value
        .as_array()
        .unwrap_or_else(|| panic!("no list: {value}"))
}

/// The segments of a path; an absent path is empty.
fn segments(path: &Value) -> Vec<String> {
    let text = |segment: &Value| segment.as_str().expect("a segment is text").to_owned();
    path.as_array()
        .map(|path| path.iter().map(text).collect())
        .unwrap_or_default()
}

/// The CRD of a kind.
fn crd(kind: &Value) -> Value {
    let crds = ["cognitouserpasswords", "cognitouserpoolgrants"]
        .map(|it| read(&format!("crds/{it}.yaml")));
    let found = crds
        .into_iter()
        .find(|crd| crd["spec"]["names"]["kind"] == *kind);
    found.unwrap_or_else(|| panic!("no CRD of kind {kind}"))
}

/// The schema at a path, and the path without lookups such as `[type=Ready]`.
fn schema_at(root: &Value, path: &[String]) -> (Value, String) {
    let (mut schema, mut names) = (root.clone(), Vec::new());
    for segment in path {
        let lookup = segment
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        if let Some((key, _)) = lookup.and_then(|lookup| lookup.split_once('=')) {
            schema = schema["items"].clone();
            assert!(schema["properties"][key].is_object(), "{path:?}: {key}");
        } else {
            // A path into a list goes on in each of the list's items.
            let of = if schema["type"] == "array" {
                &schema["items"]
            } else {
                &schema
            };
            schema = match (names.as_slice(), segment.as_str()) {
                ([], "metadata") => serde_json::json!({ "properties": {
                    "name": { "type": "string" }, "namespace": { "type": "string" } } }),
                _ => of["properties"][segment].clone(),
            };
            assert!(schema.is_object(), "{path:?} isn't in the CRD: {segment}");
            names.push(segment.clone());
        }
    }
    (schema, names.join("."))
}

fn assert_label(label: &str, root: &Value, path: &[String]) {
    let (schema, name) = schema_at(root, path);
    let is_bounded = schema["enum"].is_array() || schema["type"] == "boolean";
    let is_allowed = is_bounded || LABELS.contains(&name.as_str());
    assert!(is_allowed, "the label {label} has any value of {name}");
}

#[test]
fn each_series_of_a_resource_reads_fields_that_exist_and_has_bounded_labels() {
    let config = read("monitoring/kube-state-metrics.yaml");
    assert_eq!(config["kind"], "CustomResourceStateMetrics");
    let resources = array(&config["spec"]["resources"]);
    assert_eq!(resources.len(), 2, "one entry for each kind");
    for resource in resources {
        let gvk = &resource["groupVersionKind"];
        let crd = crd(&gvk["kind"]);
        assert_eq!(gvk["group"], crd["spec"]["group"]);
        let versions = array(&crd["spec"]["versions"]);
        assert_eq!(versions.len(), 1);
        assert_eq!(gvk["version"], versions[0]["name"]);
        assert_eq!(
            resource["metricNamePrefix"],
            crd["spec"]["names"]["shortNames"][0]
        );
        let root = &versions[0]["schema"]["openAPIV3Schema"];
        for (label, path) in resource["labelsFromPath"].as_object().expect("labels") {
            assert_label(label, root, &segments(path));
        }
        let is_namespaced = crd["spec"]["scope"] == "Namespaced";
        assert_eq!(
            resource["labelsFromPath"]["namespace"].is_array(),
            is_namespaced
        );
        for metric in array(&resource["metrics"]) {
            let each = &metric["each"];
            let of_type = if each["type"] == "Info" {
                "info"
            } else {
                "gauge"
            };
            let body = each[of_type].as_object().expect("a metric");
            let absent = Value::Null;
            let path = segments(body.get("path").unwrap_or(&absent));
            let value = segments(body.get("valueFrom").unwrap_or(&absent));
            let (schema, name) = schema_at(root, &[path.clone(), value].concat());
            if of_type == "gauge" {
                let is_number = schema["type"] == "integer" || schema["format"] == "date-time";
                assert!(is_number, "{name} is no number");
            }
            let labels = body.get("labelsFromPath").and_then(Value::as_object);
            for (label, relative) in labels.into_iter().flatten() {
                assert_label(label, root, &[path.clone(), segments(relative)].concat());
            }
        }
    }
}

#[test]
fn each_alert_for_teams_asks_for_series_that_the_configuration_makes() {
    let config = read("monitoring/kube-state-metrics.yaml");
    let mut names = Vec::new();
    for resource in array(&config["spec"]["resources"]) {
        for metric in array(&resource["metrics"]) {
            let text = |value: &Value| value.as_str().expect("a name").to_owned();
            let prefix = text(&resource["metricNamePrefix"]);
            names.push(format!("{prefix}_{}", text(&metric["name"])));
        }
    }
    let rules = read("monitoring/tenant-rules.yaml");
    let page = fs::read_to_string(tools::checkout().join("docs/monitoring.md")).expect("the page");
    for name in &names {
        assert!(page.contains(&format!("| `{name}` |")), "{name}");
    }
    for rule in array(&rules["groups"][0]["rules"]) {
        let expression = rule["expr"].as_str().expect("an expression");
        let words = expression.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
        let series: Vec<_> = words.filter(|word| word.starts_with("cup")).collect();
        assert!(!series.is_empty(), "{expression}");
        for name in series {
            assert!(names.iter().any(|it| it == name), "{name} in {expression}");
        }
    }
}
