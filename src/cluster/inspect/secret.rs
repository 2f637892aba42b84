//! Reads a Secret and judges one value on the spot. No value leaves this file, and what held one is zeroized.

use super::access::{core_right, seen};
use crate::{
    cluster::selector,
    core::{checkup::seen::Seen, credential::password::Password, doctor::facts::FoundSecret},
};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client, ResourceExt, core::SelectorExt};
use zeroize::Zeroize;

/// The Secret of this name, without its values; None if there is none. `selectors` are the operators' selectors, in
/// kubectl's syntax.
pub async fn find(
    client: &Client,
    namespace: &str,
    name: &str,
    key: &str,
    selectors: &[String],
) -> Seen<Option<FoundSecret>> {
    // The name becomes a segment of a URL's path, and a person can edit the schema that refuses other names.
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
    if name.starts_with('.') || name.is_empty() || !name.chars().all(fits) {
        return Seen::Known(None);
    }
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let needed = core_right("get", "secrets", Some(namespace), Some(name));
    let found = seen(client, needed, api.get_opt(name)).await;
    found.map(|it| it.map(|secret| judged(secret, key, selectors)))
}

fn judged(mut secret: Secret, key: &str, selectors: &[String]) -> FoundSecret {
    let mut data = secret.data.take().unwrap_or_default();
    let value = data.get(key).map(|it| Password::parse(&it.0).map(|_| ()));
    let is_well_without_end = data.get(key).is_some_and(|it| {
        let end = it.0.iter().rev().take_while(|byte| b"\r\n".contains(byte));
        Password::parse(&it.0[..it.0.len() - end.count()]).is_ok()
    });
    let keys = data.keys().cloned().collect();
    for value in data.values_mut() {
        value.0.zeroize();
    }
    // `kubectl apply` with `stringData` puts the values into an annotation.
    for value in secret.annotations_mut().values_mut() {
        value.zeroize();
    }
    let fits = |text: &String| {
        selector::parse(text).is_ok_and(|selector| selector.matches(secret.labels()))
    };
    let owner = secret.owner_references().first();
    FoundSecret {
        uid: secret.uid().unwrap_or_default(),
        version: secret.resource_version().unwrap_or_default(),
        keys,
        value,
        is_well_without_end,
        is_immutable: secret.immutable == Some(true),
        unfit: selectors.iter().filter(|it| !fits(it)).cloned().collect(),
        owner: owner.map(|it| format!("{}/{}", it.kind, it.name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::credential::password::InvalidValue;
    use rstest::rstest;
    use serde_json::{from_value, json};

    #[test]
    fn what_is_wrong_with_a_value_is_known_without_the_value() {
        let secret: Secret = from_value(json!({
            "metadata": {
                "name": "ci-bot",
                "labels": { "password-operator": "yes" },
                "ownerReferences": [{ "apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "name": "ci", "uid": "u" }],
            },
            // "Secret-Passw0rd\n"
            "data": { "password": "U2VjcmV0LVBhc3N3MHJkCg==", "other": "eA==" },
        }))
        .expect("a Secret");
        let selectors = ["password-operator=yes".to_owned(), "team=a".to_owned()];
        let found = judged(secret.clone(), "password", &selectors);
        assert_eq!(found.value, Some(Err(InvalidValue::TrailingLineBreak)));
        assert_eq!(found.keys, ["other", "password"]);
        assert_eq!(found.unfit, ["team=a"]);
        assert_eq!(found.owner.as_deref(), Some("ExternalSecret/ci"));
        assert!(!format!("{found:?}").contains("Passw0rd"), "{found:?}");
        assert!(
            found.is_well_without_end && !found.is_immutable,
            "{found:?}"
        );
        assert_eq!(judged(secret, "absent", &[]).value, None);
    }

    #[rstest]
    // "Passw0rd\r\n\n"
    #[case("UGFzc3cwcmQNCgo=", true)]
    // "First\nsecond\n"
    #[case("Rmlyc3QKc2Vjb25kCg==", false)]
    // "\n"
    #[case("Cg==", false)]
    // "Passw0rd \n"
    #[case("UGFzc3cwcmQgCg==", false)]
    fn only_line_breaks_at_the_end_can_go_without_another_password(
        #[case] value: &str,
        #[case] is_well: bool,
    ) {
        let secret = json!({ "immutable": true, "data": { "password": value } });
        let secret: Secret = from_value(secret).expect("a Secret");
        let found = judged(secret, "password", &[]);
        assert_eq!(found.is_well_without_end, is_well);
        assert!(found.is_immutable);
    }
}
