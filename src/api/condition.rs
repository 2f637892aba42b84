//! Conditions after the Kubernetes API conventions and kstatus. k8s-openapi's own `Condition`
//! lacks the conventions' enum and length limits, hence this one.

use super::{Reason, word::known_word};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

/// The most conditions in a list, conditions of other controllers included.
pub const CONDITIONS_MAX: usize = 16;

/// One observation of a resource's state.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Ready, Reconciling, Stalled, Suspended or Verified.
    #[serde(rename = "type")]
    #[schemars(length(max = 316))]
    pub type_: String,
    /// True, False or Unknown.
    #[serde(deserialize_with = "condition_status")]
    pub status: ConditionStatus,
    /// The generation of the resource that the condition describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// When `status` last changed from one value to another.
    pub last_transition_time: Time,
    /// The reason, in one word: docs/reasons.md lists all reasons.
    #[schemars(
        length(min = 1, max = 1024),
        regex(pattern = r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")
    )]
    pub reason: String,
    /// One sentence: what happened, and what to do.
    #[schemars(length(max = 32768))]
    pub message: String,
}

/// The types of condition that this operator sets.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ConditionType {
    /// The user's password is what the Secret says.
    Ready,
    /// The operator sets the password, or tries again by itself.
    Reconciling,
    /// The operator can't go on until a person acts.
    Stalled,
    /// The operator leaves the user's password alone, because spec.suspend is true.
    Suspended,
    /// A look found the user as the operator left the user.
    Verified,
}

/// True, False or Unknown.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    /// The condition holds.
    True,
    /// The condition does not hold.
    False,
    /// Nobody can tell whether the condition holds.
    Unknown,
}

/// A status that only another version knows is Unknown.
fn condition_status<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<ConditionStatus, D::Error> {
    known_word(deserializer, ConditionStatus::Unknown)
}

impl ConditionType {
    /// All, in the order in which they are written.
    pub const ALL: [Self; 5] = [
        Self::Ready,
        Self::Reconciling,
        Self::Stalled,
        Self::Suspended,
        Self::Verified,
    ];

    /// The type's name in a condition.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
            Self::Suspended => "Suspended",
            Self::Verified => "Verified",
        }
    }
}

impl Condition {
    /// The condition's reason, if it is one of ours.
    #[must_use]
    pub fn known_reason(&self) -> Option<Reason> {
        Reason::parse(&self.reason)
    }
}
