//! Admission: whether the platform team's grants let a resource manage its user, and by which authority.

use super::{
    authority::{Authority, ExternalId, InvalidRole, Role},
    glob::Glob,
};
use crate::{
    api::{CognitoUserPoolGrantSpec, LabelOperator, Labels, NamespaceSelector},
    core::names::{
        arn::RoleArn,
        region::Regions,
        target::{InvalidTarget, PoolId, Region, Target},
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// A label and its value. `None` stands for any value.
pub(crate) type Label = (String, Option<String>);

/// A valid grant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grant {
    /// The pool whose users may be managed.
    pub pool: PoolId,
    /// The identity and Region with which the operator calls Cognito for the admitted resources.
    pub authority: Authority,
    pub(crate) usernames: Vec<Glob>,
    pub(crate) names: BTreeSet<String>,
    pub(crate) labels: Option<Labels>,
    /// What follows from `labels`: a namespace that matches has at least one label of each entry.
    pub(crate) required_labels: Vec<Vec<Label>>,
}

/// A namespace, as the watch shows it.
#[derive(Clone, Copy, Debug)]
pub struct Namespace<'a> {
    /// The name of the namespace.
    pub name: &'a str,
    /// The labels of the namespace.
    pub labels: &'a BTreeMap<String, String>,
}

/// The policy for a pool that no grant names: `--ungranted`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UngrantedPolicy {
    /// No resource may manage the pool's users.
    Deny,
    /// Every resource may manage the pool's users, by the operator's own identity.
    Allow,
}

/// Whether a resource may manage its user, and by which authority.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Admission {
    /// The resource is admitted by this authority.
    Granted(Authority),
    /// No grant admits the resource.
    NotGranted,
    /// Grants admit the resource by different authorities.
    Ambiguous,
    /// The resource would be admitted, but neither its pool's id nor a grant names a Region of AWS.
    UnknownRegion,
    /// The grants, or the labels of the resource's namespace, aren't known at the moment.
    Unknown,
}

/// Why a grant is invalid. An invalid grant admits no resource.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidGrant {
    /// `spec.userPoolId` is not the id of a pool.
    #[error(
        "spec.userPoolId must be a user pool id such as eu-west-1_AbCdEf123: the Region, an underscore, then letters and digits, at most 55 characters"
    )]
    PoolId,
    /// `spec.region` is not the name of a Region.
    #[error("spec.region must be the name of an AWS Region such as eu-west-1")]
    Region,
    /// AWS has no such Region. The Region comes from `spec.region` or from the pool's id.
    #[error(
        "{0} is not the name of an AWS Region: correct spec.userPoolId, or say in spec.region in which Region the pool is"
    )]
    UnknownRegion(Region),
    /// The role or its external id is invalid.
    #[error("{0}")]
    Role(#[from] InvalidRole),
    /// The label selector is invalid.
    #[error(
        "spec.namespaces.selector must be a label selector: In and NotIn need values, Exists and DoesNotExist have none"
    )]
    Selector,
}

impl From<InvalidTarget> for InvalidGrant {
    fn from(_: InvalidTarget) -> Self {
        Self::PoolId
    }
}

impl Grant {
    /// Parses a grant. The CRD refuses the same specs at `kubectl apply`. The check is needed here too,
    /// because a schema can be edited, and an object can be older than its schema.
    ///
    /// # Errors
    /// [`InvalidGrant`]: the grant admits no resource.
    pub fn parse(spec: &CognitoUserPoolGrantSpec) -> Result<Self, InvalidGrant> {
        let pool = PoolId::parse(&spec.user_pool_id)?;
        let region = match &spec.region {
            Some(region) => Region::parse(region).ok_or(InvalidGrant::Region)?,
            None => pool.region(),
        };
        let external_id = spec.external_id.as_deref().map(ExternalId::parse);
        let external_id = external_id.transpose()?;
        let role = match &spec.role_arn {
            Some(arn) => Some(Arc::new(Role {
                arn: RoleArn::parse(arn).map_err(|_| InvalidRole::Arn)?,
                external_id,
            })),
            // An external id belongs to a role. Without the role, the grant's meaning is unknown.
            None if external_id.is_some() => return Err(InvalidRole::Arn.into()),
            None => None,
        };
        let namespaces = &spec.namespaces;
        let selector = namespaces.selector.as_ref();
        let required_labels = selector.map(required_labels);
        let labels = selector.map(Labels::try_from);
        Ok(Self {
            required_labels: required_labels.unwrap_or_default(),
            pool,
            authority: Authority { role, region },
            usernames: spec.usernames.iter().map(|glob| Glob::new(glob)).collect(),
            names: namespaces.names.iter().flatten().cloned().collect(),
            labels: labels.transpose().map_err(|_| InvalidGrant::Selector)?,
        })
    }

    /// The grant, if `regions` include the Region of its authority.
    ///
    /// # Errors
    /// [`InvalidGrant::UnknownRegion`]: the grant admits no resource.
    pub fn within(self, regions: Regions) -> Result<Self, InvalidGrant> {
        if regions.include(&self.authority.region) {
            Ok(self)
        } else {
            Err(InvalidGrant::UnknownRegion(self.authority.region))
        }
    }

    /// The namespaces that the grant admits by name. `None` if the grant also admits namespaces by label.
    #[must_use]
    pub const fn only_names(&self) -> Option<&BTreeSet<String>> {
        match self.labels {
            None => Some(&self.names),
            Some(_) => None,
        }
    }

    /// Whether the grant chooses this namespace, by name or by label.
    #[must_use]
    pub fn chooses(&self, namespace: Namespace<'_>) -> bool {
        let by_label = |labels: &Labels| labels.fit(namespace.labels);
        self.names.contains(namespace.name) || self.labels.as_ref().is_some_and(by_label)
    }

    /// Whether the grant lets resources of this namespace manage this user.
    #[must_use]
    pub fn admits(&self, target: &Target, namespace: Namespace<'_>) -> bool {
        let username = target.username.as_str();
        self.pool == target.pool
            && self.chooses(namespace)
            && self.usernames.iter().any(|glob| glob.fits(username))
    }
}

impl Admission {
    /// [`Admission::UnknownRegion`] if `regions` don't include the Region of a granted authority. Otherwise
    /// the same admission.
    #[must_use]
    pub fn within(self, regions: Regions) -> Self {
        match self {
            Self::Granted(authority) if !regions.include(&authority.region) => Self::UnknownRegion,
            admission @ (Self::Granted(_)
            | Self::NotGranted
            | Self::Ambiguous
            | Self::UnknownRegion
            | Self::Unknown) => admission,
        }
    }
}

/// The admission that follows from `fitting`, the grants that admit a resource. `named` tells whether any
/// grant names the pool. An invalid grant counts, and so does an unreadable grant, which may name any pool.
#[must_use]
pub fn admit<'a>(
    fitting: impl IntoIterator<Item = &'a Grant>,
    named: bool,
    ungranted: UngrantedPolicy,
    target: &Target,
) -> Admission {
    let mut fitting = fitting.into_iter().map(|grant| &grant.authority);
    match fitting.next() {
        Some(authority) if fitting.all(|other| other == authority) => {
            Admission::Granted(authority.clone())
        }
        Some(_) => Admission::Ambiguous,
        None => match ungranted {
            UngrantedPolicy::Allow if !named => {
                Admission::Granted(Authority::own(target.pool.region()))
            }
            UngrantedPolicy::Allow | UngrantedPolicy::Deny => Admission::NotGranted,
        },
    }
}

/// The labels that a selector requires: each namespace that matches has at least one label of each entry.
/// `NotIn` and `DoesNotExist` require no label, so no namespace can be found by these expressions.
fn required_labels(selector: &NamespaceSelector) -> Vec<Vec<Label>> {
    let equal = selector.match_labels.iter();
    let equal = equal.map(|(label, value)| vec![(label.clone(), Some(value.clone()))]);
    let expressions = selector.match_expressions.iter();
    let expressions = expressions.filter_map(|it| match it.operator {
        LabelOperator::In => {
            let values: BTreeSet<_> = it.values.iter().collect();
            let label = |value: &String| (it.key.clone(), Some(value.clone()));
            Some(values.into_iter().map(label).collect())
        }
        LabelOperator::Exists => Some(vec![(it.key.clone(), None)]),
        LabelOperator::NotIn | LabelOperator::DoesNotExist => None,
    });
    equal.chain(expressions).collect()
}

#[cfg(test)]
mod tests;
