//! Checks a grant against the schema of the CRD, as the API server does at `kubectl apply`. The schema is the one
//! that this version installs. The schema's rules in CEL are checked by [`super::file`].

use crate::core::text::legible;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use serde_json::Value;

/// Adds to `errors` what is wrong with the value at `path`, each as one sentence that begins with a path.
pub(super) fn check(value: &Value, schema: &JSONSchemaProps, path: &str, errors: &mut Vec<String>) {
    if value.is_null() && schema.nullable == Some(true) {
        return;
    }
    if let Some(type_) = schema.type_.as_deref()
        && !is_of(value, type_)
    {
        errors.push(format!(
            "{path} must be of type {type_}, and is {}",
            type_of(value)
        ));
        return;
    }
    let allowed = schema.enum_.iter().flatten();
    let allowed: Vec<_> = allowed.filter_map(|it| it.0.as_str()).collect();
    if !allowed.is_empty() && !allowed.iter().any(|it| value == it) {
        errors.push(format!("{path} must be one of {}", allowed.join(", ")));
    }
    match value {
        Value::String(text) => {
            let length = text.chars().count();
            within(
                length,
                (schema.min_length, schema.max_length),
                "characters",
                path,
                errors,
            );
        }
        Value::Array(items) => {
            within(
                items.len(),
                (schema.min_items, schema.max_items),
                "items",
                path,
                errors,
            );
            if let Some(JSONSchemaPropsOrArray::Schema(of_item)) = &schema.items {
                for (at, item) in items.iter().enumerate() {
                    check(item, of_item, &format!("{path}[{at}]"), errors);
                }
            }
        }
        Value::Object(fields) => {
            for required in schema.required.iter().flatten() {
                if !fields.contains_key(required) {
                    errors.push(format!("{path}.{required} is missing"));
                }
            }
            let known = schema.properties.as_ref();
            let others = match &schema.additional_properties {
                Some(JSONSchemaPropsOrBool::Schema(of_others)) => Some(&**of_others),
                Some(JSONSchemaPropsOrBool::Bool(_)) | None => None,
            };
            for (name, field) in fields {
                let path = format!("{path}.{}", legible(name, 63));
                match known.and_then(|known| known.get(name)).or(others) {
                    // `null` in an optional field is the same as no field.
                    Some(_) if field.is_null() => {}
                    Some(of_field) => check(field, of_field, &path, errors),
                    None => errors.push(format!("{path} is not a field")),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn within(
    length: usize,
    (least, most): (Option<i64>, Option<i64>),
    of: &str,
    path: &str,
    errors: &mut Vec<String>,
) {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    if least.is_some_and(|least| length < least) {
        let least = least.unwrap_or_default();
        errors.push(format!(
            "{path} must have at least {least} {of}, and has {length}"
        ));
    }
    if most.is_some_and(|most| length > most) {
        let most = most.unwrap_or_default();
        errors.push(format!(
            "{path} may have at most {most} {of}, and has {length}"
        ));
    }
}

fn is_of(value: &Value, type_: &str) -> bool {
    match type_ {
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        type_ => type_of(value) == type_,
    }
}

const fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
