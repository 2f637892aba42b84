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
    /// The generation that was last settled, found stalled or found suspended; -1 before the first look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The value of the annotation cognito-password-operator.io/requestedAt whose outcome is known: the
    /// conditions say it. sha256: and the value's digest, if it has more than 128 characters or some that
    /// can't be seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub last_handled_reconcile_at: Option<String>,
    /// What is believed to be the user's password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synced: Option<Synced>,
    /// The set that was written down before its call; absent when settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<Attempt>,
    /// Until when a call of what is now `synced`, whose reply was lost, may still land: no other
    /// value is sent before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantined_until: Option<MicroTime>,
    /// The last superseded fingerprints, each cut to 8 bytes, newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 24), inner(length(max = 64)))]
    pub retired: Vec<String>,
    /// The version of the Secret in which no usable value was found; absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unusable: Option<Unusable>,
    /// How often in a row it has failed, and when it is tried again; absent where a change of the Secret or
    /// of a grant ends the wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failures: Option<Failures>,
    /// Ready, Reconciling and Stalled, after kstatus, and Suspended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// A password that was set, by its fingerprint.
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
    /// When it was set.
    pub at: MicroTime,
}

/// A version of the Secret that was read and held no value that can be sent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Unusable {
    /// The uid of that Secret.
    #[schemars(length(max = 128))]
    pub secret_uid: String,
    /// Its resourceVersion.
    #[schemars(length(max = 128))]
    pub secret_resource_version: String,
}

/// A set in progress, or one whose outcome matters still.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// Random; tells this attempt from any other.
    #[schemars(length(max = 64))]
    pub id: String,
    /// What is being set, as in `synced`.
    #[schemars(length(max = 128))]
    pub fingerprint: String,
    /// The generation of the resource that asked for it.
    pub generation: i64,
    /// The uid of the Secret that the value came from.
    #[schemars(length(max = 128))]
    pub secret_uid: String,
    /// A resourceVersion of that Secret at which this value was read.
    #[schemars(length(max = 128))]
    pub secret_resource_version: String,
    /// When its last call was about to be made.
    pub started_at: MicroTime,
    /// What is known of the call.
    #[serde(deserialize_with = "outcome")]
    pub outcome: AttemptOutcome,
    /// The request that its calls act on, as long as that isn't answered.
    // Written as null where there is none: a merge patch leaves alone what it doesn't name.
    #[serde(default)]
    #[schemars(length(max = 128))]
    pub request: Option<String>,
}

/// What is known of an attempt's call.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
pub enum AttemptOutcome {
    /// It is being made, or was when the process stopped.
    Pending,
    /// It was made, and nobody knows what came of it.
    Unknown,
    /// It was made, as all before it for this attempt, and Cognito has no such user.
    UserNotFound,
    /// It was made, and Cognito's password history has its value: nobody can tell whether the value is the
    /// user's password now or was earlier. No call of it is on its way any more.
    InHistory,
    /// It was made, and Cognito refused it.
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
    /// When it is tried again, unless something changes before.
    pub retry_at: MicroTime,
    /// The request that was tried in vain, and waits for this time as well.
    // As in an attempt.
    #[serde(default)]
    #[schemars(length(max = 128))]
    pub request: Option<String>,
}

/// An outcome that only another version knows leaves the attempt open.
fn outcome<'de, D: Deserializer<'de>>(deserializer: D) -> Result<AttemptOutcome, D::Error> {
    known_word(deserializer, AttemptOutcome::Unknown)
}

impl Attempt {
    /// Whether its value may or may not be the user's password.
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

    /// Why the resource is Ready or not, if it was judged and the word is one of ours.
    #[must_use]
    pub fn ready_reason(&self) -> Option<Reason> {
        self.condition(ConditionType::Ready)
            .and_then(Condition::known_reason)
    }
}
