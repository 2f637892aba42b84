//! Grants in a file of YAML or JSON documents, read as `kubectl apply` would read them.

use super::{book::ListedGrants, schema};
use crate::{
    api::{CognitoUserPoolGrantSpec, GROUP, VERSION, crds},
    core::{
        access::{grant::Grant, why_not::ListedGrant},
        text::{is_unseen, legible},
    },
};
use serde_json::Value;

/// The kind of a grant.
const KIND: &str = "CognitoUserPoolGrant";

/// What a file has.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GrantFile {
    /// The grants by name. Each is [`ListedGrant::Spec`].
    pub grants: ListedGrants,
    /// What the file has besides: `KIND NAME`.
    pub ignored: Vec<String>,
}

/// Reads a file.
///
/// # Errors
/// What is wrong, each on one line: bad YAML with the line in the file; otherwise the grant and the field.
pub fn parse(text: &str) -> Result<GrantFile, Vec<String>> {
    let documents = serde_saphyr::from_multiple::<Value>(text);
    let documents = documents.map_err(|error| vec![syntax(&error)])?;
    let (mut file, mut errors) = (GrantFile::default(), Vec::new());
    let mut objects = Vec::new();
    for document in documents {
        flatten(document, &mut objects);
    }
    for object in &objects {
        read(object, &mut file, &mut errors);
    }
    if errors.is_empty() {
        Ok(file)
    } else {
        Err(errors)
    }
}

fn syntax(error: &serde_saphyr::Error) -> String {
    let location = error.location().filter(|it| it.line() > 0);
    let at = location.map_or_else(String::new, |it| {
        format!("line {}, column {}: ", it.line(), it.column())
    });
    let words = error.without_snippet().to_string();
    let words = words.lines().next().unwrap_or_default();
    // The error's own words may end with the place.
    let words = words.split(" at line ").next().unwrap_or_default();
    format!("{at}not YAML: {}", legible(words, 200))
}

/// The objects of a document: the items of a list, or the document itself. An empty document has none.
fn flatten(document: Value, objects: &mut Vec<Value>) {
    match document {
        Value::Null => {}
        Value::Object(mut fields) if fields.get("kind").and_then(Value::as_str) == Some("List") => {
            if let Some(Value::Array(items)) = fields.remove("items") {
                objects.extend(items);
            }
        }
        document => objects.push(document),
    }
}

fn read(object: &Value, file: &mut GrantFile, errors: &mut Vec<String>) {
    let text = |pointer| object.pointer(pointer).and_then(Value::as_str);
    let Some(kind) = text("/kind") else {
        errors.push("a document has no kind, so it is no object of Kubernetes".to_owned());
        return;
    };
    let name = text("/metadata/name").unwrap_or_default();
    if kind != KIND {
        file.ignored.push(legible(&format!("{kind} {name}"), 320));
        return;
    }
    let shown = legible(name, 253);
    let wanted = format!("{GROUP}/{VERSION}");
    if text("/apiVersion") != Some(&wanted) {
        errors.push(format!("grant {shown}: apiVersion must be {wanted}"));
        return;
    }
    if name.is_empty() {
        errors.push("a grant has no metadata.name".to_owned());
        return;
    }
    if file.grants.contains_key(name) {
        errors.push(format!("grant {shown} is in the file twice"));
        return;
    }
    match spec(object) {
        Ok(spec) => {
            file.grants.insert(name.to_owned(), ListedGrant::Spec(spec));
        }
        Err(wrong) => errors.extend(wrong.into_iter().map(|it| format!("grant {shown}: {it}"))),
    }
}

/// The spec of a grant that the API server would accept.
fn spec(object: &Value) -> Result<CognitoUserPoolGrantSpec, Vec<String>> {
    let mut errors = Vec::new();
    let known = ["apiVersion", "kind", "metadata", "spec", "status"];
    let fields = object.as_object().into_iter().flatten();
    let unknown = fields.filter(|(field, _)| !known.contains(&field.as_str()));
    errors.extend(unknown.map(|(field, _)| format!("{} is not a field", legible(field, 63))));
    let [_, crd] = crds();
    let version = crd.spec.versions.into_iter().next();
    let schema = version
        .and_then(|version| {
            version
                .schema?
                .open_api_v3_schema?
                .properties?
                .remove("spec")
        })
        .unwrap_or_default();
    let Some(value) = object.get("spec") else {
        errors.push("spec is missing".to_owned());
        return Err(errors);
    };
    schema::check(value, &schema, "spec", &mut errors);
    if !errors.is_empty() {
        return Err(errors);
    }
    let spec = serde_json::from_value::<CognitoUserPoolGrantSpec>(value.clone());
    let spec = spec.map_err(|error| vec![legible(&error.to_string(), 200)])?;
    let errors = rules(&spec);
    if errors.is_empty() {
        Ok(spec)
    } else {
        Err(errors)
    }
}

/// What breaks a rule that the schema has in CEL.
fn rules(spec: &CognitoUserPoolGrantSpec) -> Vec<String> {
    let mut errors = Vec::new();
    if let Err(why) = Grant::parse(spec) {
        errors.push(why.to_string());
    }
    let is_unfit = |name: &&String| name.chars().any(|c| c.is_whitespace() || is_unseen(c));
    if spec.usernames.iter().any(|name| is_unfit(&name)) {
        errors.push(
            "spec.usernames must consist of letters, marks, symbols, numbers and punctuation, without white space"
                .to_owned(),
        );
    }
    let namespaces = &spec.namespaces;
    if namespaces.names.is_none() && namespaces.selector.is_none() {
        errors.push("spec.namespaces must have names, a selector, or both".to_owned());
    }
    let names = namespaces.names.iter().flatten();
    errors.extend(names.filter(|name| !is_namespace(name)).map(|name| {
        format!(
            "spec.namespaces.names: {} is not the name of a namespace",
            legible(name, 63)
        )
    }));
    errors
}

fn is_namespace(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !name.is_empty() && name.chars().all(inner) && !name.starts_with('-') && !name.ends_with('-')
}

#[cfg(test)]
mod tests;
