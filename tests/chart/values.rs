//! Each leaf of values.yaml is in values.schema.json with the same default and the same words, and changes
//! what the chart renders.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::render::{read, read_yaml, template};

/// The leaves of the schema, by path. A leaf is a value that isn't an object with named properties.
fn leaves(schema: &Value, path: &str, found: &mut BTreeMap<String, Value>) {
    let properties = schema["properties"]
        .as_object()
        .filter(|_| path != "global");
    let Some(properties) = properties else {
        found.insert(path.to_owned(), schema.clone());
        return;
    };
    assert_eq!(
        schema["additionalProperties"], false,
        "{path} takes anything"
    );
    for (name, schema) in properties {
        let dot = if path.is_empty() { "" } else { "." };
        leaves(schema, &format!("{path}{dot}{name}"), found);
    }
}

pub(crate) fn schema() -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    leaves(&read_yaml("values.schema.json"), "", &mut found);
    // For umbrella charts: Helm reads the value, the chart doesn't.
    found.remove("enabled").expect("umbrella charts may set it");
    found
}

/// The value at a path.
fn at<'a>(values: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.')
        .try_fold(values, |value, name| value.get(name))
}

/// Values with one leaf set.
pub(crate) fn set(path: &str, value: Value) -> Value {
    let nest = |value, name: &str| json!({ name: value });
    path.rsplit('.').fold(value, nest)
}

pub(crate) fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

/// The comments of values.yaml, by the path of the value below each comment. The form is helm-docs' form, `#
/// -- words`.
fn comments() -> BTreeMap<String, String> {
    let (mut found, mut stack, mut words) = (BTreeMap::new(), Vec::<String>::new(), None::<String>);
    for line in read("values.yaml").lines() {
        let text = line.trim_start();
        if let Some(first) = text.strip_prefix("# -- ") {
            words = Some(first.to_owned());
        } else if let (Some(words), Some(more)) = (&mut words, text.strip_prefix("# ")) {
            words.push(' ');
            words.push_str(more);
        } else if let Some((name, _)) = text.split_once(':') {
            stack.truncate((line.len() - text.len()) / 2);
            stack.push(name.to_owned());
            if let Some(words) = words.take() {
                found.insert(stack.join("."), words);
            }
        } else {
            words = None;
        }
    }
    found
}

#[test]
fn values_and_schema_have_the_same_leaves_defaults_and_words() {
    let (values, comments) = (read_yaml("values.yaml"), comments());
    for (path, leaf) in schema() {
        let default = at(&values, &path);
        assert_eq!(default, Some(&leaf["default"]), "{path}");
        assert!(
            leaf["type"].is_string() || leaf["type"].is_array(),
            "{path} has no type"
        );
        let words = comments.get(&path);
        assert_eq!(
            words.map(String::as_str),
            leaf["description"].as_str(),
            "{path}"
        );
        assert!(words.is_some(), "{path} is not explained");
    }
    // The schema knows every value of values.yaml: otherwise Helm would refuse its own defaults.
    template(&json!({})).expect("the defaults fit the schema");
}

/// Another value for a leaf, with the other values that the leaf needs to have an effect.
fn change(path: &str, leaf: &Value) -> (Value, Value) {
    let grant = json!({ "name": "team-a", "userPoolId": "eu-west-1_AbCdEf123", "usernames": ["ci-bot"], "namespaces": { "names": ["team-a"] } });
    let rule = json!({ "ports": [{ "protocol": "TCP", "port": 1234 }] });
    let object = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "{{ .Release.Name }}-more" } });
    let alone = |value: Value| (json!({}), value);
    let monitoring = |object: &str| json!({ "metrics": { object: { "enabled": true } } });
    let beside = |value: Value| {
        let object = path.split('.').nth(1).unwrap_or_default();
        (monitoring(object), value)
    };
    match path {
        "global" => alone(json!({ "imageRegistry": "registry.example.com" })),
        "settings.watchNamespaces" => alone(json!(["team-a"])),
        "settings.driftInterval" => alone(json!("1h")),
        "settings.leaderElect" => (json!({ "replicas": 1 }), json!(false)),
        "settings.listenAddress" => alone(json!("0.0.0.0")),
        "aws.roleArn" => alone(json!("arn:aws:iam::111122223333:role/a")),
        "aws.region" => alone(json!("eu-west-1")),
        "aws.endpoints.cognito" | "aws.endpoints.sts" | "proxy.https" => {
            alone(json!("https://example.com"))
        }
        "caBundle.key" => (
            json!({ "caBundle": { "configMap": "ca" } }),
            json!("other.pem"),
        ),
        "image.digest" => alone(json!(format!("sha256:{}", "0".repeat(64)))),
        "imagePullSecrets" => alone(json!([{ "name": "a" }])),
        "hostUsers" => alone(json!(false)),
        "revisionHistoryLimit" => alone(json!(3)),
        "podDisruptionBudget.minAvailable" | "podDisruptionBudget.maxUnavailable" => {
            alone(json!("50%"))
        }
        "tolerations" => alone(json!([{ "operator": "Exists" }])),
        "topologySpreadConstraints" => alone(json!([])),
        "extraArgs" => alone(json!(["--operator-namespace=another"])),
        "extraEnv" => alone(json!([{ "name": "A", "value": "b" }])),
        "extraEnvFrom" => alone(json!([{ "configMapRef": { "name": "a" } }])),
        "extraVolumes" => alone(json!([{ "name": "a", "emptyDir": {} }])),
        "extraVolumeMounts" => (
            json!({ "extraVolumes": [{ "name": "a", "emptyDir": {} }] }),
            json!([{ "name": "a", "mountPath": "/a" }]),
        ),
        "networkPolicy.ingress.from" => alone(json!([{ "podSelector": {} }])),
        "networkPolicy.egress.extra" => alone(json!([rule])),
        "networkPolicy.egress.dns.ports" | "networkPolicy.egress.apiServer.ports" => {
            alone(json!([5353]))
        }
        "extraObjects" => alone(json!([object])),
        "grants" => alone(json!([grant])),
        "metrics.prometheusRule.rules" => {
            beside(json!({ "CognitoPasswordOperatorThrottled": { "enabled": false } }))
        }
        "metrics.prometheusRule.additionalGroups" => {
            beside(json!([{ "name": "more", "rules": [] }]))
        }
        "metrics.prometheusRule.tenants" => beside(json!(true)),
        "metrics.prometheusRule.labels"
        | "metrics.prometheusRule.annotations"
        | "metrics.serviceMonitor.labels"
        | "metrics.serviceMonitor.annotations"
        | "metrics.dashboard.labels"
        | "metrics.dashboard.annotations"
        | "metrics.podMonitor.labels"
        | "metrics.podMonitor.annotations" => beside(json!({ "release": "prometheus" })),
        "metrics.dashboard.instanceSelector" => {
            beside(json!({ "matchLabels": { "dashboards": "grafana" } }))
        }
        "settings.log.level" => alone(json!("debug")),
        "updateStrategy" => alone(json!({ "type": "Recreate" })),
        _ if path.ends_with("elabelings") => {
            beside(json!([{ "action": "labeldrop", "regex": "endpoint" }]))
        }
        _ if path.starts_with("metrics.") && leaf["type"] == "string" => beside(json!("30s")),
        _ => {
            let default = &leaf["default"];
            let other = leaf["enum"]
                .as_array()
                .and_then(|names| names.iter().find(|name| *name != default));
            let value = match default {
                _ if other.is_some() => other.cloned().unwrap_or_default(),
                Value::Bool(default) => json!(!default),
                Value::Number(default) => json!(default.as_i64().expect("a whole number") + 1),
                Value::String(_) => json!("another"),
                Value::Object(_) => json!({ "another": "one" }),
                Value::Array(_) | Value::Null => panic!("{path}: say how this leaf can change"),
            };
            alone(value)
        }
    }
}

#[test]
fn each_value_changes_what_the_chart_renders() {
    // Helm runs two hundred times, so four threads share the runs.
    let leaves: Vec<_> = schema().into_iter().collect();
    std::thread::scope(|scope| {
        for leaves in leaves.chunks(leaves.len().div_ceil(4)) {
            scope.spawn(move || {
                for (path, leaf) in leaves {
                    assert_change(path, leaf);
                }
            });
        }
    });
}

fn assert_change(path: &str, leaf: &Value) {
    let (company, value) = change(path, leaf);
    let before = template(&company).unwrap_or_else(|said| panic!("{path}: {said}"));
    let mut changed = company;
    merge(&mut changed, set(path, value));
    let after = template(&changed).unwrap_or_else(|said| panic!("{path}: {said}"));
    assert_ne!(before, after, "{changed} changes nothing");
}

#[test]
fn null_takes_an_entry_out_of_a_map_that_has_defaults() {
    let values = json!({ "podSecurityContext": { "runAsNonRoot": null }, "nodeSelector": { "kubernetes.io/arch": null } });
    let text = template(&values).expect("null is allowed");
    assert!(
        !text.contains("runAsNonRoot") && !text.contains("kubernetes.io/arch"),
        "{text}"
    );
}
