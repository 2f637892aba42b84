//! Removes from objects and from text what a report must not show. What is left out of an object is replaced by
//! [`LEFT_OUT`], so that a reader sees that something was there.

use super::credential::{is_credential, is_shown};
use serde_json::{Map, Value};

/// Stands for what a report leaves out.
pub const LEFT_OUT: &str = "(not in the report)";

/// Annotations with longer values may hold whole objects.
const ANNOTATION_MAX: usize = 256;

/// Removes from an object of Kubernetes what a report must not show:
///
/// - the whole content of a Secret or a `ConfigMap`: kind and name stay
/// - the managed fields, and annotations that hold objects, such as the last applied configuration
/// - values of environment variables that are not settings of the operator, or whose names stand for credentials
/// - arguments of flags whose names stand for credentials
/// - user and password in URLs, everywhere
pub fn object(object: &mut Value) {
    walk(object);
}

fn walk(value: &mut Value) {
    match value {
        Value::String(text) => *text = without_userinfo(text),
        Value::Array(items) => items.iter_mut().for_each(walk),
        Value::Object(fields) => {
            let kind = fields.get("kind").and_then(Value::as_str);
            if matches!(
                kind,
                Some("Secret" | "ConfigMap" | "SecretList" | "ConfigMapList")
            ) && fields.contains_key("metadata")
            {
                only_name(fields);
                return;
            }
            fields.remove("managedFields");
            if let Some(Value::Object(annotations)) = fields.get_mut("annotations") {
                annotations
                    .iter_mut()
                    .for_each(|(name, value)| annotation(name, value));
            }
            for list in ["args", "command"] {
                if let Some(Value::Array(args)) = fields.get_mut(list) {
                    arguments(args);
                }
            }
            if let Some(Value::Array(variables)) = fields.get_mut("env") {
                variables.iter_mut().for_each(variable);
            }
            fields.iter_mut().for_each(|(_, field)| walk(field));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Leaves kind and name of an object.
fn only_name(fields: &mut Map<String, Value>) {
    fields.retain(|field, _| ["apiVersion", "kind", "metadata"].contains(&field.as_str()));
    if let Some(Value::Object(metadata)) = fields.get_mut("metadata") {
        metadata.retain(|field, _| ["name", "namespace"].contains(&field.as_str()));
    }
}

fn annotation(name: &str, value: &mut Value) {
    let is_object = value
        .as_str()
        .is_none_or(|text| text.len() > ANNOTATION_MAX || text.contains('{'));
    if is_object || is_credential(name.rsplit('/').next().unwrap_or(name)) {
        *value = LEFT_OUT.into();
    }
}

fn variable(variable: &mut Value) {
    let name = variable
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let is_shown = is_shown(name);
    if let Some(value) = variable.get_mut("value").filter(|_| !is_shown) {
        *value = LEFT_OUT.into();
    }
}

/// Hides the value of `--flag=value`, and the argument after a bare `--flag`.
fn arguments(args: &mut [Value]) {
    let mut is_value = false;
    for arg in args {
        let text = arg.as_str().unwrap_or_default().to_owned();
        let is_flag = text.starts_with('-');
        if is_value && !is_flag {
            *arg = LEFT_OUT.into();
        }
        is_value = false;
        if !is_flag {
            continue;
        }
        match text.split_once('=') {
            Some((flag, _)) if is_credential(flag) => *arg = format!("{flag}={LEFT_OUT}").into(),
            Some(_) => {}
            None => is_value = is_credential(&text),
        }
    }
}

/// The text, without user and password in URLs: `https://user:password@host` becomes `https://host`.
#[must_use]
pub fn without_userinfo(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let ends = |c: char| c.is_whitespace() || "/?#\"'<>\\,".contains(c);
        let authority = after.find(ends).unwrap_or(after.len());
        let userinfo = after[..authority].rfind('@').map_or(0, |at| at + 1);
        rest = &after[userinfo..];
    }
    out.push_str(rest);
    out
}

/// The last lines of a text, up to `most` bytes, and how many bytes are left out.
#[must_use]
pub fn tail(text: &str, most: usize) -> (&str, usize) {
    let Some(mut from) = text.len().checked_sub(most).filter(|from| *from > 0) else {
        return (text, 0);
    };
    while !text.is_char_boundary(from) {
        from += 1;
    }
    let rest = &text[from..];
    let rest = rest.split_once('\n').map_or(rest, |(_, lines)| lines);
    (rest, text.len() - rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::json;

    #[test]
    fn an_object_keeps_its_settings_and_loses_its_credentials() {
        let mut pod = json!({
            "kind": "Deployment",
            "metadata": {
                "name": "operator",
                "managedFields": [{ "manager": "kubectl" }],
                "annotations": {
                    "kubectl.kubernetes.io/last-applied-configuration": "{\"spec\":\"hunter2\"}",
                    "note": "kept",
                    "vault/token": "hunter2",
                    "blob": "x".repeat(257),
                },
            },
            "spec": { "template": {
                "metadata": { "managedFields": [] },
                "spec": { "containers": [{
                    "args": ["run", "--drift=report", "--api-token=hunter2", "--password", "hunter2", "--lease-name", "l"],
                    "env": [
                        { "name": "CPO_UNGRANTED", "value": "deny" },
                        { "name": "AWS_SECRET_ACCESS_KEY", "value": "hunter2" },
                        { "name": "AWS_SESSION_TOKEN", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } },
                        { "name": "HTTPS_PROXY", "value": "http://me:hunter2@proxy:3128/" },
                        { "name": "OTHER", "value": "hunter2" },
                    ],
                }]},
            }},
        });
        object(&mut pod);
        let text = pod.to_string();
        assert!(
            !text.contains("hunter2") && !text.contains("managedFields"),
            "{text}"
        );
        let container = &pod["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(
            container["args"],
            json!([
                "run",
                "--drift=report",
                "--api-token=(not in the report)",
                "--password",
                LEFT_OUT,
                "--lease-name",
                "l"
            ])
        );
        assert_eq!(container["env"][0]["value"], "deny");
        assert_eq!(
            container["env"][2]["valueFrom"]["secretKeyRef"]["name"],
            "s"
        );
        assert_eq!(container["env"][3]["value"], "http://proxy:3128/");
        assert_eq!(pod["metadata"]["annotations"]["note"], "kept");
        assert_eq!(pod["metadata"]["annotations"]["blob"], LEFT_OUT);
    }

    #[test]
    fn of_a_secret_only_the_name_stays_wherever_the_secret_is() {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": { "name": "s", "namespace": "n", "annotations": { "a": "hunter2" } },
            "data": { "password": "aHVudGVyMg==" }, "stringData": { "p": "hunter2" },
        });
        let mut list = json!({ "kind": "List", "items": [secret] });
        object(&mut list);
        assert_eq!(
            list["items"][0],
            json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "s", "namespace": "n" } })
        );
    }

    #[rstest]
    #[case(
        "proxy http://u:p@host:1/x and https://host",
        "proxy http://host:1/x and https://host"
    )]
    #[case("a@b.c, https://p@ss@host/", "a@b.c, https://host/")]
    #[case("\"url\":\"https://u@h\"", "\"url\":\"https://h\"")]
    #[case("https://host/path@2", "https://host/path@2")]
    fn a_url_loses_user_and_password(#[case] text: &str, #[case] wanted: &str) {
        assert_eq!(without_userinfo(text), wanted);
    }

    #[test]
    fn a_long_text_keeps_its_last_whole_lines() {
        assert_eq!(tail("one\ntwo\nthree\n", 100), ("one\ntwo\nthree\n", 0));
        assert_eq!(tail("one\ntwo\nthree\n", 9), ("three\n", 8));
        assert_eq!(tail("ééééé", 3), ("é", 8));
    }

    /// One of the places where a credential may stand, with a credential.
    fn credential() -> impl Strategy<Value = Value> {
        let name =
            "(AWS_|CPO_|[A-Z]{0,5}_?)(SECRET|[A-Z]{0,3}TOKEN|PASSWORD|ACCESS_KEY|API_KEY)(_ID)?";
        prop_oneof![
            name.prop_map(|name| json!({ "env": [{ "name": name, "value": "hunter2" }] })),
            name.prop_map(|name| {
                let flag = name.to_lowercase().replace('_', "-");
                json!({ "args": [format!("--{flag}=hunter2"), format!("--{flag}"), "hunter2"] })
            }),
            Just(json!({ "metadata": { "annotations": { "a": "{\"b\":\"hunter2\"}" } } })),
            Just(
                json!({ "kind": "Secret", "metadata": { "name": "s" }, "data": { "k": "hunter2" } })
            ),
            Just(json!({ "status": { "message": "at https://me:hunter2@host/x" } })),
        ]
    }

    proptest! {
        #[test]
        fn no_credential_stays_wherever_it_stands(
            credential in credential(),
            nesting in proptest::collection::vec((any::<bool>(), "[a-z]{1,5}"), 0..5),
        ) {
            let mut nested = nesting.into_iter().fold(credential, |inner, (is_list, name)| {
                if is_list { json!([1, inner]) } else { json!({ "kind": "Pod", name: inner }) }
            });
            object(&mut nested);
            prop_assert!(!nested.to_string().contains("hunter2"), "{nested}");
        }

        #[test]
        fn no_text_makes_the_redaction_panic_or_grow(text in ".{0,60}|(h://.{0,5}@?.{0,5}){0,4}", most in 0_usize..50) {
            prop_assert!(without_userinfo(&text).len() <= text.len());
            let (rest, cut) = tail(&text, most);
            prop_assert!(rest.len() <= most.max(text.len().min(most)) || cut == 0);
            prop_assert_eq!(rest.len() + cut, text.len());
        }
    }
}
