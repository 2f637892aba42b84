//! The chain: what must be well for one resource, link by link. Each link is one finding, and the reason that the
//! operator gives a resource whose link is broken there.

pub mod duplicate;
pub mod grant;
pub mod operator;
pub mod record;
pub mod resource;
pub mod secret;
pub mod user;

use super::facts::Surroundings;
use crate::{
    api::{CognitoUserPassword, Condition, ConditionStatus, ConditionType, Reason},
    core::{
        checkup::{
            finding::{Finding, Level},
            seen::Seen,
        },
        names::target::Target,
    },
};
use jiff::{SignedDuration, Timestamp};

/// How long the operator may take to observe a change before somebody should look.
pub const PATIENCE: SignedDuration = SignedDuration::from_secs(60);

/// A link of the chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Link {
    /// What was found.
    pub finding: Finding,
    /// The reason that the operator gives a resource if the link is broken. None if the link is whole, or if no
    /// reason speaks of it.
    pub reason: Option<Reason>,
}

impl Link {
    /// A link without a reason.
    #[must_use]
    pub const fn new(subject: &'static str, level: Level, text: String) -> Self {
        Self {
            finding: Finding::new(subject, level, text),
            reason: None,
        }
    }

    /// A broken link.
    #[must_use]
    pub const fn broken(subject: &'static str, text: String, reason: Reason) -> Self {
        Self {
            finding: Finding::new(subject, Level::Failed, text),
            reason: Some(reason),
        }
    }

    /// A link that the caller can't see, for this reason.
    #[must_use]
    pub fn unseen<T>(subject: &'static str, fact: &Seen<T>) -> Self {
        let text = fact.why_not().unwrap_or_default();
        Self::new(subject, Level::Unknown, text)
    }
}

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

/// The links of a resource, from the resource itself to the user. `secret` is None where the Secret was not
/// looked at.
#[must_use]
pub fn chain(
    subject: &Subject<'_>,
    secret: Option<&Seen<Option<super::facts::FoundSecret>>>,
    around: &Surroundings,
) -> Vec<Link> {
    let admission = grant::Admissions::new(around).of(subject);
    let mut links = vec![
        resource::link(subject, around.now),
        grant::link(subject, &admission, around),
        duplicate::link(subject, around),
    ];
    links.extend(secret.map(|secret| secret::link(subject, secret)));
    links.push(record::link(subject, around.now));
    links.extend(operator::links(subject, around));
    links.push(user::link(subject, around));
    links
}
