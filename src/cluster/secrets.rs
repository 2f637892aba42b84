//! Reads one key of a Secret. The reply stays in its original buffer, which is zeroized right after the read.
//! Of all values in the Secret, only the key's value is decoded or copied.

use super::{CallError, client::call::call};
use crate::core::protocol::observation::SecretVersion;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Client, Resource as _,
    api::{GetParams, Request},
    core::{Selector, SelectorExt},
};
use serde::{
    Deserialize,
    de::{IntoDeserializer, value},
};
use std::{borrow::Cow, collections::BTreeMap};
use zeroize::{Zeroize, Zeroizing};

/// The result of a read.
pub enum SecretLookup {
    /// The Secret doesn't exist.
    NotFound,
    /// The Secret lacks labels that the selector requires.
    NotSelected,
    /// The Secret lacks the key.
    KeyNotFound(SecretVersion),
    /// The key's value in bytes, zeroized on drop.
    Value(SecretVersion, Zeroizing<Vec<u8>>),
}

/// Reads one key of a Secret. Without a resourceVersion in the request, the API server reads from etcd and
/// not from a cache. A watch is a hint, and a read decides.
///
/// # Errors
/// [`CallError`] if the API server didn't answer or refused, or if the reply can't be decoded.
pub async fn read_value(
    client: &Client,
    namespace: &str,
    name: &str,
    key: &str,
    selector: Option<&Selector>,
) -> Result<SecretLookup, CallError> {
    if !is_object_name(name) {
        return Ok(SecretLookup::NotFound);
    }
    let secrets = Request::new(Secret::url_path(&(), Some(namespace)));
    let request = secrets.get(name, &GetParams::default());
    let request = request.map_err(kube::Error::BuildRequest)?;
    match call(client.request_text(request)).await {
        Ok(text) => find(&Zeroizing::new(text), key, selector),
        Err(CallError::NotFound) => Ok(SecretLookup::NotFound),
        Err(error) => Err(error),
    }
}

/// Whether an object may have this name. The name becomes a segment of a URL's path, where `../` would lead
/// to another namespace. The CRD refuses such a name, but a person can edit the schema.
fn is_object_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
    (1..=253).contains(&name.len())
        && name.starts_with(|c| fits(c) && c != '.')
        && name.chars().all(fits)
}

/// The fields of a Secret that are read, borrowed from the text. All other fields are skipped and never
/// decoded: `kubectl apply` with `stringData` puts the values into an annotation.
#[derive(Deserialize)]
struct SecretFields<'a> {
    #[serde(default)]
    metadata: Metadata,
    #[serde(borrow, default)]
    data: Option<BTreeMap<String, Base64Value<'a>>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    uid: String,
    resource_version: String,
    labels: BTreeMap<String, String>,
}

/// A value in base64. Owned only if the JSON has escapes in the value.
#[derive(Deserialize)]
struct Base64Value<'a>(#[serde(borrow)] Cow<'a, str>);

impl Drop for Base64Value<'_> {
    fn drop(&mut self) {
        if let Cow::Owned(text) = &mut self.0 {
            text.zeroize();
        }
    }
}

impl Base64Value<'_> {
    fn decode(&self) -> Result<Zeroizing<Vec<u8>>, value::Error> {
        let bytes = ByteString::deserialize((&*self.0).into_deserializer())?;
        Ok(Zeroizing::new(bytes.0))
    }
}

fn find(secret: &str, key: &str, selector: Option<&Selector>) -> Result<SecretLookup, CallError> {
    // Drops serde's error, because serde quotes the text, and the text holds passwords.
    let unreadable = || CallError::Failed("the API server's reply can't be read".to_owned());
    let parts: SecretFields<'_> = serde_json::from_str(secret).map_err(|_| unreadable())?;
    if selector.is_some_and(|selector| !selector.matches(&parts.metadata.labels)) {
        return Ok(SecretLookup::NotSelected);
    }
    let version = SecretVersion {
        uid: parts.metadata.uid,
        resource_version: parts.metadata.resource_version,
    };
    match parts.data.as_ref().and_then(|data| data.get(key)) {
        Some(encoded) => {
            let value = encoded.decode().map_err(|_| unreadable())?;
            Ok(SecretLookup::Value(version, value))
        }
        None => Ok(SecretLookup::KeyNotFound(version)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn value(found: Result<SecretLookup, CallError>) -> Option<Vec<u8>> {
        match found.expect("it can be read") {
            SecretLookup::Value(version, value) => {
                assert_eq!((&*version.uid, &*version.resource_version), ("u", "7"));
                Some(value.to_vec())
            }
            SecretLookup::NotFound | SecretLookup::NotSelected | SecretLookup::KeyNotFound(_) => {
                None
            }
        }
    }

    #[test]
    fn no_name_reaches_another_object() {
        for name in ["bot", "a.b-c", "1", &"a".repeat(253)] {
            assert!(is_object_name(name), "{name}");
        }
        for name in [
            "",
            ".",
            "..",
            "../../team-b/secrets/bot",
            "bot/status",
            "bot?watch=true",
            "bot#",
            "%2e%2e",
            "bot\n",
            "Bot",
            &"a".repeat(254),
        ] {
            assert!(!is_object_name(name), "{name}");
        }
    }

    #[test]
    fn only_the_wanted_key_is_decoded() {
        let secret = json!({
            "kind": "Secret", "type": "Opaque", "immutable": true,
            "metadata": {
                "uid": "u", "resourceVersion": "7", "annotations": { "last": "{\"a\":\"\\u00fc\"}" },
            },
            "data": { "password": "w7wh", "other": "no base64", "empty": "" },
        });
        let secret = secret.to_string();
        assert_eq!(value(find(&secret, "password", None)), Some("ü!".into()));
        assert_eq!(value(find(&secret, "empty", None)), Some(Vec::new()));
        assert_eq!(value(find(&secret, "passwort", None)), None);
        let without = json!({ "metadata": { "uid": "u", "resourceVersion": "7" } });
        assert_eq!(value(find(&without.to_string(), "password", None)), None);
    }

    #[test]
    fn a_secret_without_the_labels_is_not_used() {
        let secret = json!({
            "metadata": { "uid": "u", "resourceVersion": "7", "labels": { "team": "a" } },
            "data": { "password": "w7wh" },
        });
        let selects = |team: &str| {
            let selector: Selector = [("team".to_owned(), team.to_owned())].into_iter().collect();
            find(&secret.to_string(), "password", Some(&selector))
        };
        assert!(matches!(selects("b"), Ok(SecretLookup::NotSelected)));
        assert_eq!(value(selects("a")), Some("ü!".into()));
    }

    #[test]
    fn escapes_in_the_json_are_decoded() {
        let secret = r#"{"metadata":{"uid":"u","resourceVersion":"7"},"data":{"a":"\/\u002b8="}}"#;
        assert_eq!(value(find(secret, "a", None)), Some(vec![0xff, 0xef]));
    }

    #[test]
    fn an_error_quotes_nothing_of_an_unreadable_secret() {
        for secret in [
            "Passw0rd",
            r#"{"data":"Passw0rd"}"#,
            r#"{"data":{"a":"Passw0rd-1"}}"#,
            r#"{"data":{"a":7}}"#,
        ] {
            let error = find(secret, "a", None)
                .map(|_| ())
                .expect_err("nothing to read");
            assert!(!error.to_string().contains("Passw0rd"), "{error}");
            assert!(error.to_string().contains("can't be read"), "{error}");
        }
    }
}
