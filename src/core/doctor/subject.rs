//! One resource, and what its own fields say.

use crate::{
    api::{CognitoUserPassword, Condition, ConditionStatus, ConditionType, Reason},
    core::names::target::Target,
};
use jiff::Timestamp;

/// One resource, and what follows from its own fields.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    /// The resource.
    pub resource: &'a CognitoUserPassword,
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// The user. None if the pool's id or the username is invalid.
    pub target: Option<Target>,
}

impl<'a> Subject<'a> {
    /// The subject of the chain.
    #[must_use]
    pub fn new(resource: &'a CognitoUserPassword) -> Self {
        let metadata = &resource.metadata;
        let spec = &resource.spec;
        Self {
            resource,
            namespace: metadata.namespace.as_deref().unwrap_or_default(),
            name: metadata.name.as_deref().unwrap_or_default(),
            target: Target::parse(&spec.user_pool_id, &spec.username).ok(),
        }
    }

    /// The condition of this type.
    #[must_use]
    pub fn condition(&self, type_: ConditionType) -> Option<&'a Condition> {
        self.resource.status.as_ref()?.condition(type_)
    }

    /// The generation of the spec.
    #[must_use]
    pub fn generation(&self) -> i64 {
        self.resource.metadata.generation.unwrap_or_default()
    }

    /// Whether the conditions describe the present spec.
    #[must_use]
    pub fn is_observed(&self) -> bool {
        let generation = Some(self.generation());
        let of = |type_| self.condition(type_).and_then(|it| it.observed_generation);
        if self.resource.spec.suspend {
            of(ConditionType::Suspended) == generation
        } else {
            of(ConditionType::Ready) == generation
                && self.condition(ConditionType::Suspended).is_none()
        }
    }

    /// Whether the resource is Ready, for its present spec.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let ready = self.condition(ConditionType::Ready);
        let ready = ready.is_some_and(|it| it.status == ConditionStatus::True);
        ready && self.is_observed()
    }

    /// The reason of the Ready condition, if the condition describes the present spec.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        let ready = self.condition(ConditionType::Ready)?;
        ready.known_reason().filter(|_| self.is_observed())
    }

    /// When the resource was last written by anybody but the operator.
    #[must_use]
    pub fn changed(&self) -> Option<Timestamp> {
        let metadata = &self.resource.metadata;
        let created = metadata.creation_timestamp.as_ref().map(|it| it.0);
        let managed = metadata.managed_fields.iter().flatten();
        let of_spec = managed.filter(|it| it.subresource.is_none());
        let written = of_spec.filter_map(|it| it.time.as_ref().map(|time| time.0));
        written.max().max(created)
    }
}
