//! A command that gives a `ServiceAccount` rights that it lacks.

use crate::core::{
    checkup::right::{Right, by_object},
    words::digest,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// One line of a shell that gives the `ServiceAccount` exactly these rights: a `ClusterRole` for rights everywhere, a
/// Role for the rights in each namespace, and their bindings.
pub(super) fn restore(lacked: &[&Right], (namespace, account): (&str, &str)) -> String {
    let mut by_place: BTreeMap<Option<&str>, Vec<&Right>> = BTreeMap::new();
    for right in lacked {
        let place = right.namespace.as_deref();
        by_place.entry(place).or_default().push(right);
    }
    // The same name for other rights would take back what an earlier cure gave.
    let rights: Vec<_> = lacked.iter().map(ToString::to_string).collect();
    let digest = digest(rights.iter().map(String::as_str));
    let name = format!("{namespace}.{account}.restored-{digest}");
    let items: Vec<_> = by_place
        .iter()
        .flat_map(|(place, rights)| objects(&name, *place, rights, (namespace, account)))
        .collect();
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": items });
    // Names of Kubernetes have no apostrophe.
    format!("printf %s '{list}' | kubectl apply -f -")
}

/// The role and its binding.
fn objects(
    name: &str,
    place: Option<&str>,
    rights: &[&Right],
    (namespace, account): (&str, &str),
) -> [Value; 2] {
    let (role, binding) = match place {
        None => ("ClusterRole", "ClusterRoleBinding"),
        Some(_) => ("Role", "RoleBinding"),
    };
    let mut metadata = json!({ "name": name });
    if let Some(place) = place {
        metadata["namespace"] = json!(place);
    }
    let groups = by_object(rights);
    let rules: Vec<_> = groups.iter().map(|(it, verbs)| rule(it, verbs)).collect();
    let group = "rbac.authorization.k8s.io";
    let version = format!("{group}/v1");
    [
        json!({ "apiVersion": version, "kind": role, "metadata": metadata, "rules": rules }),
        json!({
            "apiVersion": version,
            "kind": binding,
            "metadata": metadata,
            "roleRef": { "apiGroup": group, "kind": role, "name": name },
            "subjects": [{ "kind": "ServiceAccount", "name": account, "namespace": namespace }],
        }),
    ]
}

fn rule(right: &Right, verbs: &[&str]) -> Value {
    let resource = match right.subresource {
        "" => right.resource.to_owned(),
        subresource => format!("{}/{subresource}", right.resource),
    };
    let mut rule = json!({
        "apiGroups": [right.group], "resources": [resource], "verbs": verbs,
    });
    if let Some(name) = &right.name {
        rule["resourceNames"] = json!([name]);
    }
    rule
}

#[cfg(test)]
mod tests {
    use super::*;

    fn right(verb: &'static str, namespace: Option<&str>, name: Option<&str>) -> Right {
        Right {
            verb,
            group: "",
            resource: "secrets",
            subresource: "",
            namespace: namespace.map(str::to_owned),
            name: name.map(str::to_owned),
        }
    }

    #[test]
    fn each_place_gets_its_role_with_exactly_the_rights() {
        let everywhere = right("watch", None, None);
        let here = right("get", Some("home"), Some("keys"));
        let status = Right {
            group: "cognito-password-operator.io",
            resource: "cognitouserpasswords",
            subresource: "status",
            ..right("patch", None, None)
        };
        let command = restore(&[&everywhere, &here, &status], ("home", "cpo"));
        let json = command
            .strip_prefix("printf %s '")
            .and_then(|it| it.strip_suffix("' | kubectl apply -f -"));
        let list: Value = serde_json::from_str(json.expect("a list")).expect("JSON");
        let rules = |number: usize| list["items"][number]["rules"].clone();
        assert_eq!(list["items"][0]["kind"], "ClusterRole");
        assert_eq!(
            rules(0),
            json!([
                { "apiGroups": [""], "resources": ["secrets"], "verbs": ["watch"] },
                {
                    "apiGroups": ["cognito-password-operator.io"],
                    "resources": ["cognitouserpasswords/status"],
                    "verbs": ["patch"],
                },
            ])
        );
        assert_eq!(list["items"][2]["metadata"]["namespace"], "home");
        assert_eq!(
            rules(2),
            json!([{
                "apiGroups": [""], "resources": ["secrets"], "verbs": ["get"], "resourceNames": ["keys"],
            }])
        );
        let name = list["items"][0]["metadata"]["name"].clone();
        let other = restore(&[&here], ("home", "cpo"));
        assert!(!other.contains(name.as_str().expect("a name")), "{other}");
        for binding in [1, 3] {
            let subject = &list["items"][binding]["subjects"][0];
            assert_eq!(subject["name"], "cpo");
            assert_eq!(subject["namespace"], "home");
        }
    }
}
