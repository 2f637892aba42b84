//! The contract with users: what users write ([`CognitoUserPasswordSpec`]), what users read ([`Status`],
//! [`Condition`]), and the table of reasons ([`Reason`]). This module imports no other module of the crate.

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
pub use resource::{
    CognitoUserPassword, CognitoUserPasswordSpec, Drift, FederatedUser, PASSWORD_KEY,
    PasswordSecretRef,
};
pub use status::{
    Attempt, AttemptOutcome, Corrections, Failures, RETIRED_MAX, SignOutOwed, Status, Synced,
    Unusable,
};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON,
};
use kube::CustomResourceExt;

/// The API group.
pub const GROUP: &str = "cognito-password-operator.io";

/// The API version of both kinds.
pub const VERSION: &str = "v1alpha1";

/// The annotation that requests a set now. A value other than `status.lastHandledReconcileAt` is a new
/// request.
pub const REQUESTED_AT: &str = "cognito-password-operator.io/requestedAt";

/// The annotation that says why a person suspended the resource. The operator doesn't read it.
pub const SUSPENDED_BECAUSE: &str = "cognito-password-operator.io/suspended-because";

/// The operator's name: the field manager of its writes, the reporter of its Events, and a label of its
/// objects.
pub const FIELD_MANAGER: &str = "cognito-password-operator";

/// The name of the Secret with the fingerprint keys, in the operator's own namespace.
pub const KEY_SECRET: &str = "cognito-password-operator-fingerprint";

/// The default name of the Lease. The Lease is in the operator's own namespace.
pub const LEASE: &str = "cognito-password-operator";

/// The CRDs, as `cognito-password-operator crd` prints the CRDs and as `crds/` contains them.
///
/// The status has a default. Without the default, kstatus calls a new resource "Current", and Flux, Argo CD
/// and Helm go on before the operator has acted.
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

#[cfg(test)]
mod tests {
    use super::*;
    use kube::Resource;

    #[test]
    fn group_and_version_are_those_of_both_kinds() {
        let versions = [
            CognitoUserPassword::version(&()),
            CognitoUserPoolGrant::version(&()),
        ];
        assert!(versions.iter().all(|version| version == VERSION));
        let groups = [
            CognitoUserPassword::group(&()),
            CognitoUserPoolGrant::group(&()),
        ];
        assert!(groups.iter().all(|group| group == GROUP));
    }
}
