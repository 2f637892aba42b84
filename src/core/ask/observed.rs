//! A resource as the commands read a resource. Only the needed fields are decoded, so that a field that another
//! version added, or a hostile one, hides nothing.

use super::owner::{Marks, Owner};
use crate::{
    api::{Condition, ConditionStatus, ConditionType, REQUESTED_AT, SUSPENDED_BECAUSE},
    core::protocol::request::known_by,
};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The fields of a `CognitoUserPassword` that the commands need.
#[derive(Deserialize, Clone, PartialEq, Eq, Debug, Default)]
#[serde(from = "Wire")]
#[expect(clippy::struct_excessive_bools, reason = "fields of the API")]
pub struct ObservedResource {
    /// `metadata.namespace`
    pub namespace: String,
    /// `metadata.name`
    pub name: String,
    /// `metadata.resourceVersion`
    pub resource_version: String,
    /// `metadata.generation`
    pub generation: i64,
    /// Whether somebody deleted the resource, and a finalizer keeps the resource.
    pub is_deleting: bool,
    /// The annotation `requestedAt`.
    pub requested_at: Option<String>,
    /// The annotation `suspended-because`.
    pub suspended_because: Option<String>,
    /// `spec.userPoolId`
    pub user_pool_id: String,
    /// `spec.permanent`
    pub permanent: bool,
    /// `spec.suspend`
    pub suspend: bool,
    /// `spec.revokeSessions`
    pub revoke_sessions: bool,
    /// The needed fields of the status.
    pub status: ObservedStatus,
    /// The tool that applies the resource, as far as the metadata shows one.
    pub owner: Option<Owner>,
}

/// The fields of the status that the commands need.
#[derive(Deserialize, Clone, PartialEq, Eq, Debug, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct ObservedStatus {
    /// The request whose outcome the conditions have.
    pub last_handled_reconcile_at: Option<String>,
    /// The failures since the last success.
    pub failures: Option<ObservedFailures>,
    /// The conditions.
    pub conditions: Vec<Condition>,
}

/// The part of `status.failures` that the commands need.
#[derive(Deserialize, Clone, PartialEq, Eq, Debug, Default)]
pub struct ObservedFailures {
    /// The request that failed, and that the operator tries again.
    pub request: Option<String>,
}

impl ObservedResource {
    /// Namespace and name, with a slash.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// The condition of this type, if the condition describes this generation.
    #[must_use]
    pub fn current(&self, type_: ConditionType) -> Option<&Condition> {
        let conditions = &self.status.conditions;
        conditions.iter().find(|it| {
            it.type_ == type_.as_str() && it.observed_generation == Some(self.generation)
        })
    }

    /// The condition of this type, whichever generation the condition describes.
    #[must_use]
    pub fn condition(&self, type_: ConditionType) -> Option<&Condition> {
        let conditions = &self.status.conditions;
        conditions.iter().find(|it| it.type_ == type_.as_str())
    }

    /// Whether the condition of this type is True for this generation.
    #[must_use]
    pub fn is_true(&self, type_: ConditionType) -> bool {
        let current = self.current(type_);
        current.is_some_and(|it| it.status == ConditionStatus::True)
    }

    /// The request without an answer.
    #[must_use]
    pub fn open_request(&self) -> Option<&str> {
        let handled = self.status.last_handled_reconcile_at.as_deref();
        let request = self.requested_at.as_deref()?;
        (handled != Some(&*known_by(request))).then_some(request)
    }

    /// Whether the operator has tried to serve the open request, and failed.
    #[must_use]
    pub fn request_failed(&self) -> bool {
        let failed = self.status.failures.as_ref();
        let failed = failed.and_then(|it| it.request.as_deref());
        let request = self.open_request().map(known_by);
        failed.is_some() && failed == request.as_deref()
    }
}

/// The JSON of a resource.
#[derive(Deserialize)]
struct Wire {
    metadata: WireMetadata,
    #[serde(default)]
    spec: WireSpec,
    #[serde(default)]
    status: Option<ObservedStatus>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireMetadata {
    #[serde(default)]
    namespace: String,
    name: String,
    #[serde(default)]
    resource_version: String,
    #[serde(default)]
    generation: i64,
    deletion_timestamp: Option<String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    managed_fields: Vec<WireManager>,
}

#[derive(Deserialize)]
struct WireManager {
    #[serde(default)]
    manager: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct WireSpec {
    user_pool_id: String,
    permanent: Option<bool>,
    suspend: bool,
    revoke_sessions: bool,
}

impl From<Wire> for ObservedResource {
    fn from(wire: Wire) -> Self {
        let metadata = wire.metadata;
        let managers = metadata.managed_fields.iter();
        let owner = Owner::of(&Marks {
            annotations: &metadata.annotations,
            labels: &metadata.labels,
            managers: &managers.map(|it| &*it.manager).collect::<Vec<_>>(),
        });
        let annotation = |key: &str| metadata.annotations.get(key).cloned();
        Self {
            requested_at: annotation(REQUESTED_AT),
            suspended_because: annotation(SUSPENDED_BECAUSE),
            namespace: metadata.namespace,
            name: metadata.name,
            resource_version: metadata.resource_version,
            generation: metadata.generation,
            is_deleting: metadata.deletion_timestamp.is_some(),
            user_pool_id: wire.spec.user_pool_id,
            permanent: wire.spec.permanent.unwrap_or(true),
            suspend: wire.spec.suspend,
            revoke_sessions: wire.spec.revoke_sessions,
            status: wire.status.unwrap_or_default(),
            owner,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::{Value, from_value, json};

    /// A resource of generation 3 with this change.
    pub(in crate::core::ask) fn resource(change: impl FnOnce(&mut Value)) -> ObservedResource {
        let mut object = json!({
            "apiVersion": "cognito-password-operator.io/v1alpha1",
            "kind": "CognitoUserPassword",
            "metadata": {
                "namespace": "team-a", "name": "ci-bot", "resourceVersion": "7", "generation": 3,
                "annotations": {}, "labels": {},
                // A time that Rust's time libraries can't parse.
                "managedFields": [{ "manager": "kubectl", "time": "10000-01-01T23:58:59Z" }],
            },
            "spec": {
                "userPoolId": "eu-west-1_AbCdEf123", "username": "ci-bot",
                "passwordSecretRef": { "name": "ci-bot" }, "drift": "Perhaps",
            },
            "status": { "observedGeneration": 3 },
        });
        change(&mut object);
        from_value(object).expect("a resource")
    }

    /// A condition of a generation.
    pub(in crate::core::ask) fn condition(
        type_: &str,
        status: &str,
        reason: &str,
        generation: i64,
    ) -> Value {
        json!({
            "type": type_, "status": status, "reason": reason, "observedGeneration": generation,
            "message": "the message", "lastTransitionTime": "2026-01-01T00:00:00Z",
        })
    }

    #[test]
    fn only_the_needed_fields_are_decoded() {
        let resource = resource(|_| ());
        assert_eq!(resource.full_name(), "team-a/ci-bot");
        assert!(resource.permanent && !resource.suspend && resource.owner.is_none());
        assert_eq!(resource.open_request(), None);
    }

    #[test]
    fn a_resource_without_a_status_is_read() {
        let resource = resource(|it| it["status"] = Value::Null);
        assert_eq!(resource.status, ObservedStatus::default());
    }

    #[test]
    fn a_long_request_is_answered_by_its_digest() {
        let long = "a".repeat(129);
        let asked = |handled: &str| {
            resource(|it| {
                it["metadata"]["annotations"][REQUESTED_AT] = json!(long);
                it["status"]["lastHandledReconcileAt"] = json!(handled);
            })
        };
        assert_eq!(asked(&long).open_request(), Some(&*long));
        assert_eq!(asked(&known_by(&long)).open_request(), None);
    }
}
