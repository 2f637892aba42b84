//! The contract with users: what they write ([`CognitoUserPasswordSpec`]), what they read
//! ([`Status`], [`Condition`]) and the words for what happened ([`Reason`]). It imports no other
//! module of this crate.

mod condition;
mod grant;
mod reason;
mod resource;
mod status;
mod word;

pub use condition::{CONDITIONS_MAX, Condition, ConditionStatus, ConditionType};
pub use grant::{
    CognitoUserPoolGrant, CognitoUserPoolGrantSpec, GrantNamespaces, GrantStatus, LabelOperator,
    LabelRequirement, Labels, NamespaceSelector,
};
pub use reason::{Class, Entry, REASONS, Reason, aws_codes};
pub use resource::{CognitoUserPassword, CognitoUserPasswordSpec, PasswordSecretRef};
pub use status::{Attempt, AttemptOutcome, Failures, RETIRED_MAX, Status, Synced, Unusable};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON,
};
use kube::CustomResourceExt;

/// The API group.
pub const GROUP: &str = "cognito-password-operator.io";

/// The annotation that asks for a set now. Any value that differs from
/// `status.lastHandledReconcileAt` is a new request.
pub const REQUESTED_AT: &str = "cognito-password-operator.io/requestedAt";

/// The name under which this operator writes to the API server, reports events and signs in.
pub const FIELD_MANAGER: &str = "cognito-password-operator";

/// The CRDs as `cognito-password-operator crd` prints them and `crds/` holds them.
///
/// The status has a default: what nobody has looked at yet would otherwise be "Current" to kstatus,
/// and Flux, Argo CD and Helm would pass it before the operator has acted.
#[must_use]
pub fn crds() -> [CustomResourceDefinition; 2] {
    [CognitoUserPassword::crd(), CognitoUserPoolGrant::crd()].map(|mut crd| {
        crd.metadata.labels = Some(
            [("app.kubernetes.io/name", FIELD_MANAGER)]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
        );
        let status = crd
            .spec
            .versions
            .iter_mut()
            .filter_map(|version| version.schema.as_mut()?.open_api_v3_schema.as_mut())
            .filter_map(|schema| schema.properties.as_mut()?.get_mut("status"));
        for schema in status {
            schema.default = Some(JSON(serde_json::json!({ "observedGeneration": -1 })));
        }
        crd
    })
}
