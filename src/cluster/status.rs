//! The one writer of status. Every write names the resourceVersion that it was decided on, so that
//! nobody writes over what they haven't seen (a uid in the patch protects nothing, as measured).

use super::{CallError, call::call, lean::Lean};
use crate::api::{CognitoUserPassword, CognitoUserPoolGrant, FIELD_MANAGER, GrantStatus, Status};
use kube::{
    Api, Client, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::{Map, Value, json};

/// Reads a resource afresh.
///
/// # Errors
/// [`CallError::NotFound`] when it is gone, else as the call went.
pub async fn read(
    client: &Client,
    namespace: &str,
    name: &str,
) -> Result<CognitoUserPassword, CallError> {
    let api: Api<Lean<CognitoUserPassword>> = Api::namespaced(client.clone(), namespace);
    readable(call(api.get(name)).await?)
}

/// Writes the whole status over that of `resource`, and returns the resource as it is then.
///
/// # Errors
/// [`CallError::Conflict`] when the resource has moved on; then nothing was written.
pub async fn write(
    client: &Client,
    resource: &CognitoUserPassword,
    status: &Status,
) -> Result<CognitoUserPassword, CallError> {
    let namespace = resource.namespace().unwrap_or_default();
    let api: Api<Lean<CognitoUserPassword>> = Api::namespaced(client.clone(), &namespace);
    // Without a version the write would go through whatever has happened since.
    let Some(version) = resource.resource_version() else {
        return Err(CallError::Conflict);
    };
    let patch = merge_patch(&version, status);
    readable(call(api.patch_status(&resource.name_any(), &params(), &Patch::Merge(patch))).await?)
}

fn readable<K>(object: Lean<K>) -> Result<K, CallError> {
    // Serde quotes what it couldn't read.
    object
        .0
        .map_err(|_| CallError::Failed("its reply can't be read".to_owned()))
}

/// Writes the whole status over that of a grant.
///
/// # Errors
/// As [`write`].
pub async fn write_grant(
    client: &Client,
    grant: &CognitoUserPoolGrant,
    status: &GrantStatus,
) -> Result<(), CallError> {
    let api: Api<Lean<CognitoUserPoolGrant>> = Api::all(client.clone());
    let Some(version) = grant.resource_version() else {
        return Err(CallError::Conflict);
    };
    // None of its fields is ever taken away.
    let patch = json!({ "metadata": { "resourceVersion": version }, "status": status });
    call(api.patch_status(&grant.name_any(), &params(), &Patch::Merge(patch)))
        .await
        .map(|_| ())
}

fn params() -> PatchParams {
    PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    }
}

/// A merge patch leaves alone what it doesn't name: what is absent is named with null.
fn merge_patch(resource_version: &str, status: &Status) -> Value {
    const FIELDS: [&str; 8] = [
        "observedGeneration",
        "lastHandledReconcileAt",
        "synced",
        "attempt",
        "quarantinedUntil",
        "retired",
        "failures",
        "conditions",
    ];
    let mut fields: Map<String, Value> = FIELDS
        .iter()
        .map(|field| ((*field).to_owned(), Value::Null))
        .collect();
    if let Ok(Value::Object(set)) = serde_json::to_value(status) {
        fields.extend(set);
    }
    json!({ "metadata": { "resourceVersion": resource_version }, "status": fields })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Attempt, AttemptOutcome, Condition, ConditionStatus, Failures, Synced};
    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};

    fn full() -> Status {
        let text = || "text".to_owned();
        let at = MicroTime(Timestamp::UNIX_EPOCH);
        Status {
            observed_generation: Some(1),
            last_handled_reconcile_at: Some(text()),
            synced: Some(Synced {
                fingerprint: text(),
                secret_uid: text(),
                secret_resource_version: text(),
                at: at.clone(),
            }),
            attempt: Some(Attempt {
                id: text(),
                fingerprint: text(),
                generation: 1,
                secret_uid: text(),
                secret_resource_version: text(),
                started_at: at.clone(),
                outcome: AttemptOutcome::Pending,
            }),
            quarantined_until: Some(at.clone()),
            retired: vec![text()],
            failures: Some(Failures {
                count: 1,
                retry_at: at,
            }),
            conditions: vec![Condition {
                type_: text(),
                status: ConditionStatus::True,
                observed_generation: Some(1),
                last_transition_time: Time(Timestamp::UNIX_EPOCH),
                reason: text(),
                message: text(),
            }],
        }
    }

    #[test]
    fn a_patch_names_every_field_of_the_status() {
        let all = merge_patch("7", &full());
        assert_eq!(all["metadata"]["resourceVersion"], "7");
        let none = merge_patch("7", &Status::default());
        let names = |patch: &Value| -> Vec<String> {
            let fields = patch["status"].as_object().expect("a status");
            fields.keys().cloned().collect()
        };
        assert_eq!(names(&all), names(&none));
        let nulls = none["status"].as_object().expect("a status").values();
        assert!(nulls.clone().all(Value::is_null), "{none}");
    }
}
