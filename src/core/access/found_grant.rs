//! A grant as the commands for people find the grant: its spec, and what the operator says of it.

use super::why_not::ListedGrant;
use crate::api::{Condition, ConditionType, GrantStatus};

/// A grant of the cluster.
#[derive(Clone, PartialEq, Debug)]
pub struct FoundGrant {
    /// The name of the grant.
    pub name: String,
    /// Its spec, or why the spec can't be read.
    pub grant: ListedGrant,
    /// The ARN of the role, if the grant names one.
    pub role: Option<String>,
    /// The generation of the spec.
    pub generation: i64,
    /// Its status, as the operator last wrote it.
    pub status: GrantStatus,
}

impl FoundGrant {
    /// The Ready condition, if the condition describes the present generation. A condition that names no generation
    /// counts.
    #[must_use]
    pub fn ready(&self) -> Option<&Condition> {
        let mut conditions = self.status.conditions.iter();
        let ready = conditions.find(|it| it.type_ == ConditionType::Ready.as_str())?;
        let of = ready.observed_generation;
        of.is_none_or(|of| of >= self.generation).then_some(ready)
    }
}
