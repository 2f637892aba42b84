//! What is kept of an object that somebody else wrote: what is used, and no more. The rest may be large
//! (annotations 256 KiB, labels and managed fields a megabyte) and may be nothing that can be read: the
//! API server takes a managed field's time of the year 10000. One such object in a list must not keep
//! the list from being read, so it is dropped before it is looked at.

use crate::api::REQUESTED_AT;
use kube::{Resource, core::ObjectMeta};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::Value;
use std::{borrow::Cow, collections::BTreeMap, marker::PhantomData};

/// An object, or why this version can't read it. Of its annotations the request to set is left, of its
/// labels and managed fields nothing.
#[derive(Clone, Debug)]
pub struct Lean<K>(pub Result<K, Unreadable>);

/// An object that can't be read.
#[derive(Clone, Debug)]
pub struct Unreadable {
    /// Why. It may quote what was read.
    pub error: String,
    /// What names it.
    pub metadata: ObjectMeta,
}

/// An object's name and version; and its labels, if they are asked for.
#[derive(Clone, Debug)]
pub struct Named<K, const LABELS: bool> {
    /// What names it.
    pub metadata: ObjectMeta,
    kind: PhantomData<K>,
}

/// As it comes over the wire.
#[derive(Deserialize)]
struct Wire {
    #[serde(default)]
    metadata: Names,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Names {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    labels: Option<BTreeMap<String, String>>,
}

impl From<Names> for ObjectMeta {
    fn from(names: Names) -> Self {
        Self {
            name: names.name,
            namespace: names.namespace,
            uid: names.uid,
            resource_version: names.resource_version,
            labels: names.labels,
            ..Self::default()
        }
    }
}

/// Drops what is neither used nor small.
fn prune(object: &mut Value) {
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else {
        return;
    };
    metadata.remove("managedFields");
    metadata.remove("labels");
    if let Some(annotations) = metadata
        .get_mut("annotations")
        .and_then(Value::as_object_mut)
    {
        annotations.retain(|name, _| name == REQUESTED_AT);
    }
}

impl<'de, K: DeserializeOwned> Deserialize<'de> for Lean<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut object = Value::deserialize(deserializer)?;
        prune(&mut object);
        let names = Wire::deserialize(&object).map_err(serde::de::Error::custom)?;
        Ok(Self(K::deserialize(object).map_err(|error| Unreadable {
            error: error.to_string(),
            metadata: names.metadata.into(),
        })))
    }
}

impl<'de, K, const LABELS: bool> Deserialize<'de> for Named<K, LABELS> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut names = Wire::deserialize(deserializer)?.metadata;
        if !LABELS {
            names.labels = None;
        }
        Ok(Self {
            metadata: names.into(),
            kind: PhantomData,
        })
    }
}

impl<K: Resource> Resource for Lean<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(of: &Self::DynamicType) -> Cow<'_, str> {
        K::kind(of)
    }

    fn group(of: &Self::DynamicType) -> Cow<'_, str> {
        K::group(of)
    }

    fn version(of: &Self::DynamicType) -> Cow<'_, str> {
        K::version(of)
    }

    fn plural(of: &Self::DynamicType) -> Cow<'_, str> {
        K::plural(of)
    }

    fn meta(&self) -> &ObjectMeta {
        self.0.as_ref().map_or_else(|it| &it.metadata, K::meta)
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        let object = self.0.as_mut();
        object.map_or_else(|it| &mut it.metadata, K::meta_mut)
    }
}

impl<K: Resource, const LABELS: bool> Resource for Named<K, LABELS> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    /// Asks the API server for no more than this: no value of a Secret on the wire.
    fn metadata_api() -> bool {
        true
    }

    fn kind(of: &Self::DynamicType) -> Cow<'_, str> {
        K::kind(of)
    }

    fn group(of: &Self::DynamicType) -> Cow<'_, str> {
        K::group(of)
    }

    fn version(of: &Self::DynamicType) -> Cow<'_, str> {
        K::version(of)
    }

    fn plural(of: &Self::DynamicType) -> Cow<'_, str> {
        K::plural(of)
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::CognitoUserPassword;
    use k8s_openapi::api::core::v1::{Namespace, Secret};
    use kube::ResourceExt;
    use serde_json::{from_value, json};

    /// With a time in it that Rust's libraries can't read.
    fn metadata() -> Value {
        json!({
            "name": "a", "namespace": "b", "uid": "c", "resourceVersion": "7", "generation": 3,
            "labels": { "team": "a" },
            "annotations": { REQUESTED_AT: "now", "other": "x" },
            "managedFields": [{ "time": "10000-01-01T23:58:59Z", "fieldsV1": { "f:data": {} } }],
        })
    }

    fn spec() -> Value {
        json!({
            "userPoolId": "eu-west-1_a", "username": "a", "passwordSecretRef": { "name": "a" },
        })
    }

    #[test]
    fn what_is_not_used_need_not_be_readable() {
        let object = json!({ "metadata": metadata(), "spec": spec() });
        let lean: Lean<CognitoUserPassword> = from_value(object).expect("it is read");
        let resource = lean.0.expect("a resource");
        assert_eq!(resource.metadata.generation, Some(3));
        assert_eq!(resource.labels().len() + resource.managed_fields().len(), 0);
        assert_eq!(
            resource.annotations(),
            &[(REQUESTED_AT.to_owned(), "now".to_owned())].into()
        );
    }

    #[test]
    fn what_cannot_be_read_has_its_name() {
        for (part, value) in [
            ("spec", json!(7)),
            ("spec", Value::Null),
            (
                "status",
                json!({ "synced": { "at": "10000-01-01T00:00:00Z" } }),
            ),
        ] {
            let mut object = json!({ "metadata": metadata(), "spec": spec() });
            object[part] = value;
            let lean: Lean<CognitoUserPassword> = from_value(object).expect("it is named");
            assert!(lean.0.is_err());
            assert_eq!(
                (lean.name_any(), lean.uid()),
                ("a".into(), Some("c".into()))
            );
        }
    }

    #[test]
    fn of_metadata_only_what_is_asked_for_is_kept() {
        let object = json!({ "kind": "PartialObjectMetadata", "metadata": metadata() });
        let secret: Named<Secret, false> = from_value(object.clone()).expect("it is read");
        assert_eq!(
            (secret.name_any().as_str(), secret.labels().len()),
            ("a", 0)
        );
        let namespace: Named<Namespace, true> = from_value(object).expect("it is read");
        assert_eq!(namespace.labels()["team"], "a");
        assert_eq!(namespace.annotations().len(), 0);
    }
}
