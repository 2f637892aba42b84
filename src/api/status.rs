//! The status: what is believed to be set, and the write-ahead record of a set.

use super::{Condition, ConditionType, Reason, word::known_word};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

/// How many superseded fingerprints are kept: the longest password history that Cognito offers.
pub const RETIRED_MAX: usize = 24;

/// What the operator observed of a `CognitoUserPassword`. Nothing here lets anyone guess a
/// password: fingerprints are keyed, and the key is in a Secret of the operator's namespace.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The last generation that is settled, stalled or suspended; -1 before the first reconcile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The value of the annotation cognito-password-operator.io/requestedAt whose outcome the conditions have.
    /// A value with more than 128 characters, or with invisible ones, appears as sha256: and its digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub last_handled_reconcile_at: Option<String>,
    /// The record of the last password that the operator set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synced: Option<Synced>,
    /// The record of a set, written before the call to Cognito; absent when the outcome is settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<Attempt>,
    /// The time until which Cognito may still apply an earlier call for `synced` whose reply was lost. The
    /// operator sends no other value before that time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantined_until: Option<MicroTime>,
    /// The fingerprints of the last superseded passwords, each cut to 8 bytes, the newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 24), inner(length(max = 64)))]
    pub retired: Vec<String>,
    /// The version of the Secret that holds no usable value; absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unusable: Option<Unusable>,
    /// The number of failures in a row, and the time of the next try; absent where a change of the Secret or of
    /// a grant ends the wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failures: Option<Failures>,
    /// What is left to do after a set of a resource with revokeSessions; absent once the user's sessions have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign_out_owed: Option<SignOutOwed>,
    /// How often the operator set the password again because somebody else had reset the password. Doesn't count
    /// after 7 days without such a set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corrections: Option<Corrections>,
    /// The name or the sub by which a look found the user; absent before the first look that did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub found_as: Option<String>,
    /// Ready, Reconciling and Stalled, after kstatus; Suspended; and Verified, where the operator looks at the user.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// The record of a password that the operator set.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Synced {
    /// Key id and HMAC-SHA-256 over pool, username, permanent and password.
    #[schemars(length(max = 128))]
    pub fingerprint: String,
    /// The uid of the Secret that the value came from.
    #[schemars(length(max = 128))]
    pub secret_uid: String,
    /// A resourceVersion of that Secret at which this value was read.
    #[schemars(length(max = 128))]
    pub secret_resource_version: String,
    /// The time of the set.
    pub at: MicroTime,
    /// The time of the set by AWS's clock; only where the operator looks at the user.
    // Written as null where there is none: a merge patch leaves alone what it doesn't name.
    #[serde(default)]
    pub answered_at: Option<MicroTime>,
}

/// The user's sessions are still to be ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SignOutOwed {
    /// The time of the set after which the sessions are to end.
    pub since: MicroTime,
    /// The failures of the sign-out since then; absent before the first failure.
    // Written as null where there is none, as in an attempt.
    #[serde(default)]
    pub failures: Option<Failures>,
}

/// The sets by which the operator corrected a drift.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Corrections {
    /// Their number.
    // The API server knows no format uint32.
    #[schemars(range(min = 1), extend("format" = "int32"))]
    pub count: u32,
    /// The time of the last one.
    pub at: MicroTime,
}

/// A version of the Secret that holds no value that the operator can send.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Unusable {
    /// The uid of the Secret.
    #[schemars(length(max = 128))]
    pub secret_uid: String,
    /// The resourceVersion of the Secret.
    #[schemars(length(max = 128))]
    pub secret_resource_version: String,
}

/// The record of a set that is in progress, or whose outcome isn't settled.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// A random id of this attempt.
    #[schemars(length(max = 64))]
    pub id: String,
    /// The fingerprint of the password, as in `synced`.
    #[schemars(length(max = 128))]
    pub fingerprint: String,
    /// The generation of the resource that asked for the set.
    pub generation: i64,
    /// The uid of the Secret that the value came from.
    #[schemars(length(max = 128))]
    pub secret_uid: String,
    /// A resourceVersion of that Secret at which this value was read.
    #[schemars(length(max = 128))]
    pub secret_resource_version: String,
    /// The time just before the attempt's last call.
    pub started_at: MicroTime,
    /// The known outcome of the call.
    #[serde(deserialize_with = "outcome")]
    pub outcome: AttemptOutcome,
    /// The request (annotation requestedAt) that this attempt answers, until the request is answered.
    // Written as null where there is none: a merge patch leaves alone what it doesn't name.
    #[serde(default)]
    #[schemars(length(max = 128))]
    pub request: Option<String>,
}

/// The known outcome of an attempt's call.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
pub enum AttemptOutcome {
    /// The call is in progress, or was when the process stopped.
    Pending,
    /// The operator made the call, and got no usable reply.
    Unknown,
    /// The operator made the call, and Cognito has no such user; so for all earlier calls of this attempt.
    UserNotFound,
    /// Cognito's password history has the value: nobody can tell whether the value is the user's password now, or
    /// was earlier. No call of this attempt is on its way any more.
    InHistory,
    /// The operator made the call, and Cognito refused the call.
    Refused,
}

/// Backoff that survives a restart.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Failures {
    /// Failures in a row.
    // The API server knows no format uint32.
    #[schemars(range(min = 1), extend("format" = "int32"))]
    pub count: u32,
    /// The time of the next try, unless something changes before.
    pub retry_at: MicroTime,
    /// The request (annotation requestedAt) that failed, and waits for this time too.
    // As in an attempt.
    #[serde(default)]
    #[schemars(length(max = 128))]
    pub request: Option<String>,
}

/// An outcome that only another version of the operator knows leaves the attempt open.
fn outcome<'de, D: Deserializer<'de>>(deserializer: D) -> Result<AttemptOutcome, D::Error> {
    known_word(deserializer, AttemptOutcome::Unknown)
}

impl Attempt {
    /// Whether nobody can tell if the attempt's value is the user's password.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        match self.outcome {
            AttemptOutcome::Pending
            | AttemptOutcome::Unknown
            | AttemptOutcome::UserNotFound
            | AttemptOutcome::InHistory => true,
            AttemptOutcome::Refused => false,
        }
    }
}

impl Status {
    /// The condition of this type, if it is set.
    #[must_use]
    pub fn condition(&self, type_: ConditionType) -> Option<&Condition> {
        self.conditions.iter().find(|c| c.type_ == type_.as_str())
    }

    /// The reason of the condition Ready, if this version knows the reason.
    #[must_use]
    pub fn ready_reason(&self) -> Option<Reason> {
        self.condition(ConditionType::Ready)
            .and_then(Condition::known_reason)
    }
}
