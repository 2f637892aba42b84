//! Decodes only the fields that the operator uses, of objects that users write. The other fields may be large
//! (annotations 256 KiB, labels and managed fields a megabyte). Some may be impossible to decode: the API
//! server accepts a managed field with a time in the year 10000.
//!
//! One such object must not make a whole list undecodable. So the decoder skips the other fields. The CRD
//! defines the form of spec and status; the decoder reads each of the two from its own text.

use crate::api::{CognitoUserPassword, CognitoUserPoolGrant, REQUESTED_AT};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{
    Resource,
    core::{
        ObjectMeta,
        object::{HasSpec, HasStatus},
    },
};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, IgnoredAny},
};
use serde_json::value::RawValue;
use std::{
    borrow::Cow,
    collections::BTreeMap,
    marker::PhantomData,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// An object, or the reason why this version can't decode the object. Of the annotations only `requestedAt`
/// is kept. Labels and managed fields are dropped.
#[derive(Clone, Debug)]
pub struct LeanObject<K>(pub Result<K, DecodeError>);

/// An object that can't be decoded.
#[derive(Clone, Debug)]
pub struct DecodeError {
    /// The reason. The text may quote the object.
    pub error: String,
    /// The decoded metadata.
    pub metadata: ObjectMeta,
    /// The user whom the spec names, if that part of the spec can be decoded.
    pub user: Option<UserRef>,
}

/// The part of a spec that names the user.
#[derive(Deserialize, Clone, PartialEq, Eq, Debug)]
#[serde(rename_all = "camelCase")]
pub struct UserRef {
    /// `spec.userPoolId`
    pub user_pool_id: String,
    /// `spec.username`
    pub username: String,
}

/// An object's name, namespace, uid and resourceVersion; with `LABELS` also the labels.
#[derive(Clone, Debug)]
pub struct NamedObject<K, const LABELS: bool> {
    /// The decoded metadata.
    pub metadata: ObjectMeta,
    kind: PhantomData<K>,
}

/// A CRD of this operator, assembled from parts that are decoded separately.
pub trait Parts: Resource {
    /// The type of `spec`.
    type Spec: DeserializeOwned;
    /// The type of `status`.
    type Status: DeserializeOwned;
    /// Whether decisions depend on the status. If not, an undecodable status counts as no status.
    const STATUS_DECIDES: bool;

    /// Assembles the object.
    fn of(metadata: ObjectMeta, spec: Self::Spec, status: Option<Self::Status>) -> Self;
}

macro_rules! parts {
    ($kind:ident, status decides: $decides:literal) => {
        impl Parts for $kind {
            type Spec = <Self as HasSpec>::Spec;
            type Status = <Self as HasStatus>::Status;
            const STATUS_DECIDES: bool = $decides;

            fn of(metadata: ObjectMeta, spec: Self::Spec, status: Option<Self::Status>) -> Self {
                Self {
                    metadata,
                    spec,
                    status,
                }
            }
        }
    };
}

parts!(CognitoUserPassword, status decides: true);
parts!(CognitoUserPoolGrant, status decides: false);

/// The JSON of an object.
#[derive(Deserialize)]
struct Wire {
    #[serde(default)]
    metadata: Metadata,
    spec: Option<Box<RawValue>>,
    status: Option<Box<RawValue>>,
}

/// The API server writes or validates all of these fields except the annotations.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    generation: Option<i64>,
    creation_timestamp: Option<Time>,
    deletion_timestamp: Option<Time>,
    annotations: Option<Annotations>,
}

/// The only annotation that the operator uses.
#[derive(Deserialize)]
struct Annotations {
    #[serde(rename = "cognito-password-operator.io/requestedAt")]
    requested_at: Option<String>,
}

impl From<Metadata> for ObjectMeta {
    fn from(metadata: Metadata) -> Self {
        let requested_at = metadata.annotations.and_then(|it| it.requested_at);
        Self {
            name: metadata.name,
            namespace: metadata.namespace,
            uid: metadata.uid,
            resource_version: metadata.resource_version,
            generation: metadata.generation,
            creation_timestamp: metadata.creation_timestamp,
            deletion_timestamp: metadata.deletion_timestamp,
            annotations: requested_at.map(|at| [(REQUESTED_AT.to_owned(), at)].into()),
            ..Self::default()
        }
    }
}

/// The JSON of an object in a metadata-only reply.
#[derive(Deserialize)]
struct WireNames<L: Default> {
    #[serde(default)]
    metadata: Names<L>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Names<L> {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    labels: L,
}

/// Labels, skipped unless `KEPT`.
#[derive(Default)]
struct Labels<const KEPT: bool>(Option<BTreeMap<String, String>>);

impl<'de, const KEPT: bool> Deserialize<'de> for Labels<KEPT> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if KEPT {
            return Option::deserialize(deserializer).map(Self);
        }
        IgnoredAny::deserialize(deserializer).map(|_| Self(None))
    }
}

impl<const KEPT: bool> From<Names<Labels<KEPT>>> for ObjectMeta {
    fn from(names: Names<Labels<KEPT>>) -> Self {
        Self {
            name: names.name,
            namespace: names.namespace,
            uid: names.uid,
            resource_version: names.resource_version,
            labels: names.labels.0,
            ..Self::default()
        }
    }
}

/// Decodes a part from its own text; a missing part counts as null. A panic counts as a decoding error,
/// because the object is one of a list.
fn decode<T: DeserializeOwned>(part: Option<&RawValue>) -> Result<T, String> {
    let text = part.map_or("null", RawValue::get);
    let decoded = catch_unwind(AssertUnwindSafe(|| serde_json::from_str(text)));
    let decoded = decoded.map_err(|_| "decoding the object panicked".to_owned())?;
    decoded.map_err(|error| {
        let message = error.to_string();
        // Remove the position. Readers of the error don't see the text, and the position tells the length of
        // a value.
        let position = format!(" at line {} column {}", error.line(), error.column());
        message
            .strip_suffix(&position)
            .unwrap_or(&message)
            .to_owned()
    })
}

impl<'de, K: Parts> Deserialize<'de> for LeanObject<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = Wire::deserialize(deserializer)?;
        let metadata = ObjectMeta::from(wire.metadata);
        let spec = decode(wire.spec.as_deref());
        let mut status = decode(wire.status.as_deref());
        if !K::STATUS_DECIDES && status.is_err() {
            status = Ok(None);
        }
        Ok(Self(match (spec, status) {
            (Ok(spec), Ok(status)) => Ok(K::of(metadata, spec, status)),
            (Err(error), _) | (_, Err(error)) => Err(DecodeError {
                error,
                metadata,
                user: decode(wire.spec.as_deref()).ok(),
            }),
        }))
    }
}

impl<'de, K, const LABELS: bool> Deserialize<'de> for NamedObject<K, LABELS> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = WireNames::<Labels<LABELS>>::deserialize(deserializer)?;
        Ok(Self {
            metadata: wire.metadata.into(),
            kind: PhantomData,
        })
    }
}

macro_rules! delegate {
    ($kind:ident: $($what:ident)*) => {
        $(fn $what(of: &Self::DynamicType) -> Cow<'_, str> {
            $kind::$what(of)
        })*
    };
}

impl<K: Resource> Resource for LeanObject<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    delegate!(K: kind group version plural);

    fn meta(&self) -> &ObjectMeta {
        self.0.as_ref().map_or_else(|it| &it.metadata, K::meta)
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        let object = self.0.as_mut();
        object.map_or_else(|it| &mut it.metadata, K::meta_mut)
    }
}

impl<K: Resource, const LABELS: bool> Resource for NamedObject<K, LABELS> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    delegate!(K: kind group version plural);

    /// Requests metadata only, so that no value of a Secret goes over the wire.
    fn metadata_api() -> bool {
        true
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
    use k8s_openapi::api::core::v1::{Namespace, Secret};
    use kube::{
        ResourceExt,
        core::{ObjectList, WatchEvent},
    };
    use serde_json::{Value, from_str, from_value, json};

    /// Metadata with a time that Rust's time libraries can't parse.
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
    fn fields_that_are_not_used_are_skipped() {
        let object = json!({ "metadata": metadata(), "spec": spec() });
        let lean: LeanObject<CognitoUserPassword> = from_value(object).expect("it is read");
        let resource = lean.0.expect("a resource");
        assert_eq!(resource.metadata.generation, Some(3));
        assert_eq!(resource.labels().len() + resource.managed_fields().len(), 0);
        assert_eq!(
            resource.annotations(),
            &[(REQUESTED_AT.to_owned(), "now".to_owned())].into()
        );
    }

    #[test]
    fn an_undecodable_object_keeps_its_metadata() {
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
            let lean: LeanObject<CognitoUserPassword> = from_value(object).expect("it is named");
            let user = lean.0.as_ref().expect_err("it can't be read").user.clone();
            assert_eq!(user.is_some(), part == "status");
            assert_eq!(
                (lean.name_any(), lean.uid()),
                ("a".into(), Some("c".into()))
            );
        }
    }

    #[derive(Debug)]
    struct Panics;

    impl<'de> Deserialize<'de> for Panics {
        fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            panic!("a test wants this panic")
        }
    }

    #[test]
    fn a_panic_while_decoding_is_a_decode_error() {
        let part: Box<RawValue> = from_str("{}").expect("JSON");
        let error = decode::<Panics>(Some(&part)).expect_err("it panics");
        assert_eq!(error, "decoding the object panicked");
    }

    #[test]
    fn an_undecodable_resource_keeps_the_user_that_it_names() {
        let mut spec = spec();
        spec["permanent"] = json!("yes");
        let object = json!({ "metadata": metadata(), "spec": spec });
        let lean: LeanObject<CognitoUserPassword> = from_value(object).expect("it is named");
        let user = UserRef {
            user_pool_id: "eu-west-1_a".to_owned(),
            username: "a".to_owned(),
        };
        assert_eq!(lean.0.expect_err("it can't be read").user, Some(user));
    }

    #[test]
    fn a_grant_with_an_undecodable_status_is_decoded() {
        let object = json!({
            "metadata": metadata(),
            "spec": {
                "userPoolId": "eu-west-1_a", "usernames": ["*"], "namespaces": { "names": ["a"] },
            },
            "status": { "resources": "many" },
        });
        let lean: LeanObject<CognitoUserPoolGrant> = from_value(object).expect("it is named");
        assert_eq!(lean.0.expect("a grant").status, None);
    }

    #[test]
    fn a_metadata_only_object_keeps_names_and_the_labels_if_wanted() {
        let object = json!({ "kind": "PartialObjectMetadata", "metadata": metadata() });
        let secret: NamedObject<Secret, false> = from_value(object.clone()).expect("it is read");
        assert_eq!(
            (secret.name_any().as_str(), secret.labels().len()),
            ("a", 0)
        );
        let namespace: NamedObject<Namespace, true> = from_value(object).expect("it is read");
        assert_eq!(namespace.labels()["team"], "a");
        assert_eq!(namespace.annotations().len(), 0);
    }

    #[test]
    fn an_undecodable_object_stops_neither_a_list_nor_a_watch() {
        let odd = json!({ "metadata": metadata(), "spec": { "username": 7 } }).to_string();
        let good = json!({ "metadata": metadata(), "spec": spec(), "status": null }).to_string();
        let list = format!(
            r#"{{"kind":"L","apiVersion":"v1","metadata":{{"resourceVersion":"9"}},"items":[{odd},{good}]}}"#
        );
        let list: ObjectList<LeanObject<CognitoUserPassword>> =
            from_str(&list).expect("it is read");
        assert_eq!(list.metadata.resource_version.as_deref(), Some("9"));
        let decoded: Vec<bool> = list.items.iter().map(|item| item.0.is_ok()).collect();
        assert_eq!(decoded, [false, true]);

        for (object, readable) in [(odd, false), (good, true)] {
            let event = format!(r#"{{"type":"ADDED","object":{object}}}"#);
            let event: WatchEvent<LeanObject<CognitoUserPassword>> =
                from_str(&event).expect("an event");
            let WatchEvent::Added(lean) = event else {
                panic!("{event:?}");
            };
            assert_eq!((lean.name_any().as_str(), lean.0.is_ok()), ("a", readable));
            let event = format!(
                r#"{{"type":"ADDED","object":{{"metadata":{}}}}}"#,
                metadata()
            );
            let event: WatchEvent<NamedObject<Secret, false>> = from_str(&event).expect("an event");
            assert!(matches!(event, WatchEvent::Added(secret) if secret.name_any() == "a"));
        }
    }

    #[test]
    fn a_decode_error_does_not_reveal_the_length_of_a_value() {
        let object = json!({ "metadata": metadata(), "spec": { "passwordSecretRef": "hunter2" } });
        let lean: LeanObject<CognitoUserPassword> =
            from_str(&object.to_string()).expect("it is named");
        let error = lean.0.expect_err("no reference").error;
        assert_eq!(
            error,
            "invalid type: string \"hunter2\", expected struct PasswordSecretRef"
        );
    }

    #[test]
    fn skipped_fields_may_be_deeply_nested_and_malformed() {
        let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
        let object = format!(
            r#"{{"metadata":{{"name":"a","managedFields":{deep},"annotations":{{"x":"\ud800"}},"labels":null}},
            "spec":{},"status":{{"other":{deep},"failures":{deep}}}}}"#,
            spec()
        );
        let lean: LeanObject<CognitoUserPassword> = from_str(&object).expect("it is named");
        assert_eq!((lean.name_any().as_str(), lean.0.is_err()), ("a", true));
    }
}
