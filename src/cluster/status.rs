//! The only module that sends status writes. This module decides nothing: the callers are the stages of a
//! reconcile (`write_status`, `set`), the recorder of versions and the reporter of grants.
//!
//! Every write names the resourceVersion that was decided on, so that no write overwrites a change that the
//! operator hasn't seen. (Measured: a uid in the patch protects nothing.)

use super::{CallError, client::call::call, watch::lean_object::LeanObject};
use crate::api::{
    Attempt, CognitoUserPassword, CognitoUserPoolGrant, Condition, Corrections, FIELD_MANAGER,
    Failures, GrantStatus, SignOutOwed, Status, Synced, Unusable,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::{
    Api, Client, ResourceExt,
    api::{Patch, PatchParams},
};
use serde::Serialize;
use serde_json::json;

/// Reads the current version of a resource.
///
/// # Errors
/// [`CallError::NotFound`] if the resource is gone, else the error of the call.
pub async fn read_resource(
    client: &Client,
    namespace: &str,
    name: &str,
) -> Result<CognitoUserPassword, CallError> {
    let api: Api<LeanObject<CognitoUserPassword>> = Api::namespaced(client.clone(), namespace);
    decoded(call(api.get(name)).await?)
}

/// Replaces the whole status of `resource`. Returns the resource after the write.
///
/// # Errors
/// [`CallError::Conflict`] if the resource has changed; nothing was written then. Else the error of the call.
pub async fn write(
    client: &Client,
    resource: &CognitoUserPassword,
    status: &Status,
) -> Result<CognitoUserPassword, CallError> {
    let namespace = resource.namespace().unwrap_or_default();
    let api: Api<LeanObject<CognitoUserPassword>> = Api::namespaced(client.clone(), &namespace);
    // A patch without a resourceVersion would succeed whatever has changed since.
    let Some(version) = resource.resource_version() else {
        return Err(CallError::Conflict);
    };
    let patch = StatusPatch::of(&version, status);
    decoded(call(api.patch_status(&resource.name_any(), &params(), &Patch::Merge(patch))).await?)
}

fn decoded<K>(object: LeanObject<K>) -> Result<K, CallError> {
    // Drops the error, because serde quotes the text.
    object
        .0
        .map_err(|_| CallError::Failed("the API server's reply can't be read".to_owned()))
}

/// Replaces the whole status of a grant.
///
/// # Errors
/// The same as those of [`write()`].
pub async fn write_grant(
    client: &Client,
    grant: &CognitoUserPoolGrant,
    status: &GrantStatus,
) -> Result<(), CallError> {
    let api: Api<LeanObject<CognitoUserPoolGrant>> = Api::all(client.clone());
    let Some(version) = grant.resource_version() else {
        return Err(CallError::Conflict);
    };
    // A merge patch without nulls is enough: no field of a grant's status is ever removed.
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

/// The whole status as a merge patch. A merge patch leaves a field alone that the patch does not name. So
/// each field that the status lacks is sent as null, which removes the field.
#[derive(Serialize, Debug)]
struct StatusPatch<'a> {
    metadata: Version<'a>,
    status: Fields<'a>,
}

#[derive(Serialize, Debug)]
#[serde(rename_all = "camelCase")]
struct Version<'a> {
    resource_version: &'a str,
}

/// The fields of [`Status`].
#[derive(Serialize, Debug)]
#[serde(rename_all = "camelCase")]
struct Fields<'a> {
    observed_generation: Option<i64>,
    last_handled_reconcile_at: Option<&'a str>,
    synced: Option<&'a Synced>,
    attempt: Option<&'a Attempt>,
    quarantined_until: Option<&'a MicroTime>,
    retired: Option<&'a [String]>,
    unusable: Option<&'a Unusable>,
    failures: Option<&'a Failures>,
    sign_out_owed: Option<&'a SignOutOwed>,
    corrections: Option<&'a Corrections>,
    found_as: Option<&'a str>,
    conditions: Option<&'a [Condition]>,
}

impl<'a> StatusPatch<'a> {
    fn of(resource_version: &'a str, status: &'a Status) -> Self {
        let Status {
            observed_generation,
            last_handled_reconcile_at,
            synced,
            attempt,
            quarantined_until,
            retired,
            unusable,
            failures,
            sign_out_owed,
            corrections,
            found_as,
            conditions,
        } = status;
        Self {
            metadata: Version { resource_version },
            status: Fields {
                observed_generation: *observed_generation,
                last_handled_reconcile_at: last_handled_reconcile_at.as_deref(),
                synced: synced.as_ref(),
                attempt: attempt.as_ref(),
                quarantined_until: quarantined_until.as_ref(),
                retired: (!retired.is_empty()).then_some(retired),
                unusable: unusable.as_ref(),
                failures: failures.as_ref(),
                sign_out_owed: sign_out_owed.as_ref(),
                corrections: corrections.as_ref(),
                found_as: found_as.as_deref(),
                conditions: (!conditions.is_empty()).then_some(conditions),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{AttemptOutcome, ConditionStatus};
    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use serde_json::{Value, to_value};

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
                answered_at: Some(at.clone()),
            }),
            attempt: Some(Attempt {
                id: text(),
                fingerprint: text(),
                generation: 1,
                secret_uid: text(),
                secret_resource_version: text(),
                started_at: at.clone(),
                outcome: AttemptOutcome::Pending,
                request: Some(text()),
            }),
            quarantined_until: Some(at.clone()),
            retired: vec![text()],
            unusable: Some(Unusable {
                secret_uid: text(),
                secret_resource_version: text(),
            }),
            failures: Some(Failures {
                count: 1,
                retry_at: at.clone(),
                request: Some(text()),
            }),
            sign_out_owed: Some(SignOutOwed {
                since: at.clone(),
                failures: None,
            }),
            corrections: Some(Corrections { count: 1, at }),
            found_as: Some(text()),
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
        let patch = |status| to_value(StatusPatch::of("7", status)).expect("JSON");
        let status = full();
        let all = patch(&status);
        assert_eq!(all["metadata"]["resourceVersion"], "7");
        assert_eq!(all["status"], to_value(&status).expect("JSON"));
        let none = patch(&Status::default());
        let names = |patch: &Value| -> Vec<String> {
            let fields = patch["status"].as_object().expect("a status");
            fields.keys().cloned().collect()
        };
        assert_eq!(names(&all), names(&none));
        let nulls = none["status"].as_object().expect("a status").values();
        assert!(nulls.clone().all(Value::is_null), "{none}");
    }
}
