//! Compares a CRD in the cluster with the CRD of this version.

use crate::api::{VERSION, crds};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// A CRD as the API server stores it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredCrd {
    /// The plural name of the kind.
    pub name: String,
    /// The served versions.
    pub served: Vec<String>,
    /// The version in which new objects are stored.
    pub storage: String,
    /// Every version in which an object may be stored.
    pub stored_versions: Vec<String>,
    /// Whether the API server has accepted the CRD's names and serves the CRD.
    pub is_established: bool,
    /// How the schema differs from the schema of this version.
    pub difference: Difference,
}

/// How a schema differs. Each entry is the path of a field, such as `spec.drift`. Descriptions don't count.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// Fields of this version that the cluster's CRD lacks.
    pub missing: Vec<String>,
    /// Fields of the cluster's CRD that this version doesn't know.
    pub unknown: Vec<String>,
    /// Fields of both whose rules differ.
    pub changed: Vec<String>,
}

impl Difference {
    /// Whether the two schemas are the same.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.missing.is_empty() && self.unknown.is_empty() && self.changed.is_empty()
    }

    /// One word: `Same`, `Older` or `Newer` than this program's schema, or `Differs`.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match (self.missing.is_empty(), self.unknown.is_empty()) {
            (true, true) if self.changed.is_empty() => "Same",
            (false, true) => "Older",
            (true, false) => "Newer",
            (true, true) | (false, false) => "Differs",
        }
    }
}

/// What matters of a CRD. None for a CRD that is not ours.
#[must_use]
pub fn stored(crd: &CustomResourceDefinition) -> Option<StoredCrd> {
    let name = crd.spec.names.plural.clone();
    let wanted = crds().into_iter().find(|it| it.spec.names.plural == name)?;
    let versions = &crd.spec.versions;
    let storage = versions.iter().find(|it| it.storage);
    let status = crd.status.clone().unwrap_or_default();
    let is_true = |kind: &str| {
        let mut conditions = status.conditions.iter().flatten();
        conditions.any(|it| it.type_ == kind && it.status == "True")
    };
    Some(StoredCrd {
        name,
        served: versions
            .iter()
            .filter(|it| it.served)
            .map(|it| it.name.clone())
            .collect(),
        storage: storage.map(|it| it.name.clone()).unwrap_or_default(),
        is_established: is_true("Established") && is_true("NamesAccepted"),
        stored_versions: status.stored_versions.unwrap_or_default(),
        difference: difference(&wanted, crd),
    })
}

/// How `found` differs from `wanted`, in this version.
fn difference(wanted: &CustomResourceDefinition, found: &CustomResourceDefinition) -> Difference {
    let (wanted, found) = (version(wanted), version(found));
    let mut difference = Difference::default();
    let at = |value: &Value, pointer: &str| value.pointer(pointer).cloned().unwrap_or_default();
    let schema = "/schema/openAPIV3Schema";
    compare(
        &at(&wanted, schema),
        &at(&found, schema),
        "",
        &mut difference,
    );
    for (pointer, name) in [
        ("/subresources", "subresources"),
        ("/selectableFields", "selectableFields"),
    ] {
        if at(&wanted, pointer) != at(&found, pointer) {
            difference.changed.push(name.to_owned());
        }
    }
    difference
}

/// The fields of this version that the served schema of a kind lacks. `served` is the `OpenAPI` v3 schema of the whole
/// object. Its rules don't compare, because the API server adds to the schema.
#[must_use]
pub fn missing_fields(wanted: &CustomResourceDefinition, served: &Value) -> Vec<String> {
    let wanted = version(wanted);
    let mut difference = Difference::default();
    compare(
        &wanted["schema"]["openAPIV3Schema"],
        served,
        "",
        &mut difference,
    );
    difference.missing
}

fn version(crd: &CustomResourceDefinition) -> Value {
    let version = crd.spec.versions.iter().find(|it| it.name == VERSION);
    // A CRD is a tree of plain values, which JSON can always have.
    serde_json::to_value(version).unwrap_or_default()
}

/// The keywords below which stand further fields. These are compared field by field.
const DEEPER: [&str; 3] = ["properties", "items", "additionalProperties"];

fn compare(wanted: &Value, found: &Value, path: &str, difference: &mut Difference) {
    let name = if path.is_empty() { "." } else { path };
    let (Some(wanted), Some(found)) = (wanted.as_object(), found.as_object()) else {
        if wanted != found {
            difference.changed.push(name.to_owned());
        }
        return;
    };
    if rules(wanted) != rules(found) {
        difference.changed.push(name.to_owned());
    }
    for keyword in ["items", "additionalProperties"] {
        let below = format!("{path}[]");
        match (wanted.get(keyword), found.get(keyword)) {
            (Some(wanted), Some(found)) => compare(wanted, found, &below, difference),
            (Some(_), None) => difference.missing.push(below),
            (None, Some(_)) => difference.unknown.push(below),
            (None, None) => {}
        }
    }
    let (empty, fields) = (Map::new(), "properties");
    let of =
        |schema: &'_ Map<String, Value>| schema.get(fields).and_then(Value::as_object).cloned();
    let wanted = of(wanted).unwrap_or_else(|| empty.clone());
    let found = of(found).unwrap_or(empty);
    let names: BTreeSet<_> = wanted.keys().chain(found.keys()).collect();
    for name in names {
        let below = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        match (wanted.get(name), found.get(name)) {
            (Some(wanted), Some(found)) => compare(wanted, found, &below, difference),
            (Some(_), None) => difference.missing.push(below),
            (None, _) => difference.unknown.push(below),
        }
    }
}

/// The rules of one field: every keyword but descriptions and what stands below. The order of `required` and of
/// an `enum` means nothing, and so do a keyword's null, and the `false` that is each switch's default.
fn rules(schema: &Map<String, Value>) -> Map<String, Value> {
    let mut rules = Map::new();
    for (keyword, value) in schema {
        let counts = keyword != "description"
            && !DEEPER.contains(&keyword.as_str())
            && *value != Value::Null
            && *value != Value::Bool(false);
        if !counts {
            continue;
        }
        let mut value = value.clone();
        if let ("required" | "enum", Value::Array(items)) = (keyword.as_str(), &mut value) {
            items.sort_by_key(ToString::to_string);
        }
        rules.insert(keyword.clone(), value);
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn crd() -> Value {
        serde_json::to_value(&crds()[0]).expect("JSON")
    }

    fn found(crd: &Value) -> StoredCrd {
        let crd = serde_json::from_value(crd.clone()).expect("a CRD");
        stored(&crd).expect("one of ours")
    }

    const SCHEMA: &str = "/spec/versions/0/schema/openAPIV3Schema";

    fn schema(crd: &mut Value) -> &mut Value {
        crd.pointer_mut(SCHEMA).expect("a schema")
    }

    fn fields<'a>(crd: &'a mut Value, of: &str) -> &'a mut Map<String, Value> {
        let fields = &mut schema(crd)["properties"][of]["properties"];
        fields.as_object_mut().expect("fields")
    }

    fn change(change: impl FnOnce(&mut Value)) -> Difference {
        let mut crd = crd();
        change(&mut crd);
        found(&crd).difference
    }

    fn changed(paths: &[&str]) -> Difference {
        Difference {
            changed: paths.iter().map(|&it| it.to_owned()).collect(),
            ..Difference::default()
        }
    }

    #[test]
    fn what_the_api_server_adds_is_no_difference() {
        let mut crd = crd();
        crd["spec"]["conversion"] = json!({ "strategy": "None" });
        crd["spec"]["names"]["listKind"] = json!("CognitoUserPasswordList");
        crd["metadata"]["managedFields"] = json!([]);
        schema(&mut crd)["description"] = json!("other words");
        let required = schema(&mut crd)["properties"]["spec"]["required"]
            .as_array_mut()
            .expect("required fields");
        required.reverse();
        crd["status"] = json!({
            "acceptedNames": { "kind": "CognitoUserPassword", "plural": "cognitouserpasswords" },
            "storedVersions": ["v1alpha1"],
            "conditions": [
                { "type": "NamesAccepted", "status": "True" },
                { "type": "Established", "status": "True" },
            ],
        });
        let found = found(&crd);
        assert!(found.difference.is_none(), "{found:?}");
        assert_eq!(found.difference.word(), "Same");
        assert_eq!(
            (found.storage.as_str(), found.served),
            ("v1alpha1", vec!["v1alpha1".to_owned()])
        );
        assert_eq!(found.stored_versions, ["v1alpha1"]);
        assert!(found.is_established);
    }

    #[test]
    fn what_the_served_schema_lacks_is_named_once() {
        let mut crd = crd();
        let metadata = json!({ "allOf": [{ "$ref": "#/components/schemas/ObjectMeta" }] });
        let properties = schema(&mut crd)["properties"].as_object_mut();
        properties
            .expect("fields")
            .insert("metadata".to_owned(), metadata);
        let wanted = &crds()[0];
        assert_eq!(
            missing_fields(wanted, schema(&mut crd)),
            Vec::<String>::new()
        );
        fields(&mut crd, "spec").remove("drift");
        fields(&mut crd, "status").remove("synced");
        let missing = missing_fields(wanted, schema(&mut crd));
        assert_eq!(missing, ["spec.drift", "status.synced"]);
    }

    #[test]
    fn a_missing_field_has_its_path_and_makes_the_crd_older() {
        let difference = change(|crd| {
            fields(crd, "spec").remove("drift");
            let synced = &mut fields(crd, "status")["synced"]["properties"];
            synced.as_object_mut().expect("fields").remove("answeredAt");
        });
        assert_eq!(
            difference.missing,
            ["spec.drift", "status.synced.answeredAt"]
        );
        assert_eq!(difference.word(), "Older");
    }

    #[test]
    fn a_field_that_this_version_does_not_know_makes_the_crd_newer() {
        let difference = change(|crd| {
            fields(crd, "spec").insert("later".to_owned(), json!({ "type": "string" }));
        });
        assert_eq!(difference.unknown, ["spec.later"]);
        assert_eq!(difference.word(), "Newer");
    }

    #[test]
    fn a_changed_rule_is_named_by_its_field() {
        let difference = change(|crd| {
            fields(crd, "spec")["username"]["maxLength"] = json!(3);
        });
        assert_eq!(difference, changed(&["spec.username"]));
        assert_eq!(difference.word(), "Differs");
        let difference = change(|crd| {
            let conditions = &mut fields(crd, "status")["conditions"];
            conditions["items"]["properties"]["reason"]["pattern"] = json!("^x$");
        });
        assert_eq!(difference, changed(&["status.conditions[].reason"]));
    }

    #[test]
    fn a_crd_without_the_status_as_a_subresource_differs() {
        let difference = change(|crd| {
            let version = &mut crd["spec"]["versions"][0];
            version
                .as_object_mut()
                .expect("a version")
                .remove("subresources");
        });
        assert_eq!(difference, changed(&["subresources"]));
    }

    #[test]
    fn without_this_version_everything_differs() {
        let difference = change(|crd| {
            crd["spec"]["versions"][0]["name"] = json!("v1");
        });
        assert!(!difference.is_none());
        let mut other = crd();
        other["spec"]["names"]["plural"] = json!("others");
        let other = serde_json::from_value(other).expect("a CRD");
        assert_eq!(stored(&other), None);
    }
}
