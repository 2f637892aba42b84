//! Whether the served schema of a kind has all fields that this version knows.

use serde_json::Value;

/// The fields of `ours` that `served` lacks, such as `status.signOutOwed`, at most ten. Both are schemas of
/// `OpenAPI` v3 for the whole object. A field whose parent is missing is not listed beside the parent.
#[must_use]
pub fn missing_fields(ours: &Value, served: &Value) -> Vec<String> {
    let mut missing = Vec::new();
    for part in ["spec", "status"] {
        compare(
            part,
            &ours["properties"][part],
            &served["properties"][part],
            &mut missing,
        );
    }
    missing.truncate(10);
    missing
}

fn compare(path: &str, ours: &Value, served: &Value, missing: &mut Vec<String>) {
    let properties = ours["properties"].as_object().into_iter().flatten();
    for (name, ours) in properties {
        let path = format!("{path}.{name}");
        match served["properties"].get(name) {
            Some(served) => compare(&path, ours, served, missing),
            None => missing.push(path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_field_that_the_served_schema_lacks_is_named_once() {
        let field = json!({ "properties": { "at": {}, "count": {} } });
        let ours = json!({ "properties": {
            "spec": { "properties": { "drift": {}, "username": {} } },
            "status": { "properties": { "corrections": field, "synced": field } },
        } });
        let served = json!({ "properties": {
            "spec": { "properties": { "username": {} } },
            "status": { "properties": { "synced": { "properties": { "at": {} } } } },
        } });
        let wanted = ["spec.drift", "status.corrections", "status.synced.count"];
        assert_eq!(missing_fields(&ours, &served), wanted);
        assert_eq!(missing_fields(&ours, &ours), Vec::<String>::new());
    }
}
