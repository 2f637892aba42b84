//! Odd values: null, nothing, and texts that YAML or a template could read as something else. Each value either
//! comes out as given, or is refused by a sentence that names the value.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::render::{documents, read_yaml, template};
use crate::values::{merge, schema, set};

/// Values, by path.
type Values = BTreeMap<String, Value>;

/// One value for all of these paths.
fn all(paths: &BTreeSet<String>, value: &Value) -> Values {
    let pair = |path: &String| (path.clone(), value.clone());
    paths.iter().map(pair).collect()
}

/// Values with which every leaf has an effect. Both monitors at once would be refused.
fn company(monitor: &str) -> Value {
    json!({
        "caBundle": { "configMap": "ca" },
        "metrics": {
            monitor: { "enabled": true },
            "prometheusRule": { "enabled": true },
            "dashboard": { "enabled": true, "instanceSelector": { "matchLabels": { "a": "b" } } },
        },
    })
}

/// Renders the chart with these values, by path. Leaves out the paths that a refusal names, until the chart
/// renders. Returns the objects, and the values that are left.
fn render_with(mut wanted: Values, company: &Value) -> (Vec<Value>, Values) {
    loop {
        let mut values = company.clone();
        for (path, value) in &wanted {
            merge(&mut values, set(path, value.clone()));
        }
        match template(&values) {
            Ok(text) => return (documents(&text), wanted),
            Err(refusal) => {
                let is_named = |path: &String| {
                    let sentence = format!("\n{path}: ");
                    let of_schema = format!("'/{}'", path.replace('.', "/"));
                    refusal.contains(&sentence) || refusal.contains(&of_schema)
                };
                let before = wanted.len();
                wanted.retain(|path, _| !is_named(path));
                assert!(
                    wanted.len() < before,
                    "the refusal names none of these values: {refusal}\n{wanted:?}"
                );
            }
        }
    }
}

/// The paths of nulls in an object.
fn nulls(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Null => found.push(path.to_owned()),
        Value::Object(map) => map
            .iter()
            .for_each(|(name, value)| nulls(value, &format!("{path}.{name}"), found)),
        Value::Array(items) => items
            .iter()
            .for_each(|value| nulls(value, &format!("{path}[]"), found)),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn assert_without_null(objects: &[Value]) {
    for object in objects
        .iter()
        .filter(|it| it["kind"] != "CustomResourceDefinition")
    {
        let mut found = Vec::new();
        nulls(object, "", &mut found);
        assert!(
            found.is_empty(),
            "{}: {found:?} is null",
            object["kind"].as_str().unwrap_or_default()
        );
    }
}

/// The leaves of the schema with one of these types.
fn leaves(is_wanted: impl Fn(&Value) -> bool) -> BTreeSet<String> {
    schema()
        .into_iter()
        .filter(|(_, leaf)| is_wanted(leaf))
        .map(|(path, _)| path)
        .collect()
}

fn has_type(leaf: &Value, name: &str) -> bool {
    leaf["type"] == name
        || leaf["type"]
            .as_array()
            .is_some_and(|types| types.contains(&json!(name)))
}

/// The sections of the schema: objects with named values.
fn sections(schema: &Value, path: &str, found: &mut Vec<String>) {
    let Some(properties) = schema["properties"]
        .as_object()
        .filter(|_| path != "global")
    else {
        return;
    };
    if !path.is_empty() {
        found.push(path.to_owned());
    }
    for (name, schema) in properties {
        let dot = if path.is_empty() { "" } else { "." };
        sections(schema, &format!("{path}{dot}{name}"), found);
    }
}

#[test]
fn null_takes_a_default_away_or_is_refused_by_name() {
    for monitor in ["serviceMonitor", "podMonitor"] {
        let (objects, accepted) =
            render_with(all(&leaves(|_| true), &Value::Null), &company(monitor));
        assert_without_null(&objects);
        // What the chart can do without; and a few that it can't.
        for path in ["commonLabels", "resources", "aws.region", "extraEnv"] {
            assert!(accepted.contains_key(path), "{path} can't be null");
        }
        for path in [
            "settings.port",
            "settings.leaderElect",
            "crds.keep",
            "replicas",
        ] {
            assert!(!accepted.contains_key(path), "{path} can be null");
        }
    }
}

#[test]
fn null_for_a_whole_section_is_refused_by_name() {
    let mut found = Vec::new();
    sections(&read_yaml("values.schema.json"), "", &mut found);
    assert!(found.len() > 20, "{found:?}");
    // Sections within sections are a case of their own.
    let depth = |path: &String| path.matches('.').count();
    for level in 0..=found.iter().map(depth).max().expect("there are sections") {
        let paths: BTreeSet<String> = found
            .iter()
            .filter(|path| depth(path) == level)
            .cloned()
            .collect();
        let (_, accepted) = render_with(all(&paths, &Value::Null), &json!({}));
        assert!(accepted.is_empty(), "{accepted:?} can be null");
    }
}

/// People take away a limit that other charts have. Kubernetes would read this null as a limit of no CPU.
#[test]
fn null_for_an_entry_without_a_default_leaves_nothing() {
    let values = json!({
        "resources": { "limits": { "cpu": null } },
        "nodeSelector": { "disk": null },
        "podSecurityContext": { "runAsUser": null, "seLinuxOptions": { "level": null } },
        "securityContext": { "runAsUser": null },
        "affinity": { "nodeAffinity": null },
        "dnsConfig": { "options": null, "searches": ["example.com"] },
        "updateStrategy": { "rollingUpdate": { "maxSurge": 2, "other": null } },
        "commonLabels": { "team": null },
        "podAnnotations": { "team": null },
        "serviceAccount": { "annotations": { "team": null } },
    });
    let text = template(&values).unwrap_or_else(|said| panic!("{said}"));
    assert_without_null(&documents(&text));
}

#[test]
fn an_empty_text_list_or_map_leaves_nothing_out_of_place() {
    for (name, empty) in [
        ("string", json!("")),
        ("array", json!([])),
        ("object", json!({})),
    ] {
        let paths = leaves(|leaf| has_type(leaf, name) && leaf["enum"].is_null());
        for monitor in ["serviceMonitor", "podMonitor"] {
            let (objects, _) = render_with(all(&paths, &empty), &company(monitor));
            assert_without_null(&objects);
        }
    }
}

/// Whether a text is somewhere in a value as text.
fn contains(value: &Value, text: &str) -> bool {
    match value {
        Value::String(found) => found.contains(text),
        Value::Object(map) => map.values().any(|value| contains(value, text)),
        Value::Array(items) => items.iter().any(|value| contains(value, text)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[test]
fn a_text_comes_out_as_the_same_text_or_is_refused_by_name() {
    let texts = leaves(|leaf| has_type(leaf, "string") && leaf["enum"].is_null());
    assert!(texts.len() > 30, "{texts:?}");
    // Numbers in two notations, and what YAML, a template and printf give a meaning to. # is another number in each
    // value, so that no value can stand in for another.
    let odd = [
        "0#",
        "1e#",
        "it's: \"odd\" # here #",
        "- {{ .Values }} %s #",
        "two\nlines #",
        " # ",
        "@#",
    ];
    for pattern in odd {
        for (monitor, other) in [
            ("serviceMonitor", "podMonitor"),
            ("podMonitor", "serviceMonitor"),
        ] {
            let text = |number: usize| {
                let (before, after) = pattern.rsplit_once('#').expect("a place for the number");
                json!(format!("{before}{}{after}", 100 + number))
            };
            let of_other = format!("metrics.{other}.");
            let paths = texts.iter().filter(|path| !path.starts_with(&of_other));
            let values = paths
                .enumerate()
                .map(|(number, path)| (path.clone(), text(number)));
            let (objects, accepted) = render_with(values.collect(), &company(monitor));
            assert_without_null(&objects);
            assert!(!accepted.is_empty(), "{pattern}");
            for (path, text) in accepted {
                let text = text.as_str().expect("a text");
                assert!(
                    objects.iter().any(|object| contains(object, text)),
                    "{path}: {text:?} isn't in the objects as text"
                );
            }
        }
    }
}
