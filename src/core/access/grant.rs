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

    /// Whether the grant lets resources of this namespace manage this user.
    #[must_use]
    pub fn lets_in(&self, target: &Target, namespace: Namespace<'_>) -> bool {
        let by_label = |labels: &Labels| labels.fit(namespace.labels);
        let username = target.username.as_str();
        self.pool == target.pool
            && (self.names.contains(namespace.name) || self.labels.as_ref().is_some_and(by_label))
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
mod tests {
    use super::*;
    use crate::api::{GrantNamespaces, LabelOperator, LabelRequirement, NamespaceSelector};
    use rstest::rstest;

    const ROLE: &str = "arn:aws:iam::111122223333:role/passwords";

    /// A valid spec with this change.
    fn spec(change: impl FnOnce(&mut CognitoUserPoolGrantSpec)) -> CognitoUserPoolGrantSpec {
        let mut spec = CognitoUserPoolGrantSpec {
            user_pool_id: "eu-west-1_a".to_owned(),
            usernames: vec!["ci-*".to_owned()],
            namespaces: GrantNamespaces {
                names: Some(vec!["team-a".to_owned()]),
                selector: None,
            },
            region: None,
            role_arn: None,
            external_id: None,
        };
        change(&mut spec);
        spec
    }

    fn grant(change: impl FnOnce(&mut CognitoUserPoolGrantSpec)) -> Grant {
        Grant::parse(&spec(change)).expect("a fit grant")
    }

    fn target(pool: &str, username: &str) -> Target {
        Target::parse(pool, username).expect("valid")
    }

    fn labels(labels: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        labels.iter().map(owned).collect()
    }

    fn lets_in(
        grant: &Grant,
        target: &Target,
        name: &str,
        labels: &BTreeMap<String, String>,
    ) -> bool {
        grant.lets_in(target, Namespace { name, labels })
    }

    #[rstest]
    #[case("eu-west-1_a", "ci-bot", "team-a", true)]
    #[case("eu-west-1_a", "ci-bot", "team-b", false)]
    #[case("eu-west-1_a", "ci-bot", "team-a2", false)]
    #[case("eu-west-1_a", "alice", "team-a", false)]
    #[case("eu-west-1_A", "ci-bot", "team-a", false)]
    #[case("eu-west-1_ab", "ci-bot", "team-a", false)]
    fn pool_user_and_namespace_must_all_fit(
        #[case] pool: &str,
        #[case] username: &str,
        #[case] namespace: &str,
        #[case] fits: bool,
    ) {
        let target = target(pool, username);
        let none = BTreeMap::new();
        assert_eq!(lets_in(&grant(|_| ()), &target, namespace, &none), fits);
    }

    #[test]
    fn a_namespace_is_let_in_by_name_or_by_label() {
        let selecting = |keep_names: bool| {
            grant(|spec| {
                spec.namespaces.selector = Some(NamespaceSelector {
                    match_labels: labels(&[("team", "b")]),
                    match_expressions: vec![LabelRequirement {
                        key: "frozen".to_owned(),
                        operator: LabelOperator::DoesNotExist,
                        values: Vec::new(),
                    }],
                });
                spec.namespaces.names.take_if(|_| !keep_names);
            })
        };
        let bot = target("eu-west-1_a", "ci-bot");
        let fits = |keep, name, of| lets_in(&selecting(keep), &bot, name, &labels(of));
        assert!(fits(true, "team-a", &[]));
        assert!(!fits(false, "team-a", &[]));
        for keep in [true, false] {
            assert!(fits(keep, "team-b", &[("team", "b")]));
            assert!(!fits(keep, "team-b", &[("team", "b"), ("frozen", "")]));
            assert!(!fits(keep, "team-b", &[("team", "B")]));
        }
    }

    #[test]
    fn an_empty_selector_fits_every_namespace_and_no_namespaces_fit_none() {
        let all = grant(|spec| {
            spec.namespaces = GrantNamespaces {
                names: None,
                selector: Some(NamespaceSelector::default()),
            };
        });
        let bot = target("eu-west-1_a", "ci-bot");
        assert!(lets_in(&all, &bot, "any", &BTreeMap::new()));
        let none = grant(|spec| spec.namespaces.names = None);
        assert!(!lets_in(&none, &bot, "team-a", &BTreeMap::new()));
    }

    #[rstest]
    #[case(|spec: &mut CognitoUserPoolGrantSpec| spec.user_pool_id = "nowhere".to_owned(), InvalidGrant::PoolId)]
    #[case(|spec: &mut CognitoUserPoolGrantSpec| spec.region = Some("evil.example/".to_owned()), InvalidGrant::Region)]
    #[case(|spec: &mut CognitoUserPoolGrantSpec| spec.role_arn = Some("admin".to_owned()), InvalidGrant::Role(InvalidRole::Arn))]
    #[case(|spec: &mut CognitoUserPoolGrantSpec| spec.external_id = Some("team-a".to_owned()), InvalidGrant::Role(InvalidRole::Arn))]
    #[case(
        |spec: &mut CognitoUserPoolGrantSpec| {
            spec.role_arn = Some(ROLE.to_owned());
            spec.external_id = Some("a b".to_owned());
        },
        InvalidGrant::Role(InvalidRole::ExternalId)
    )]
    #[case(
        |spec: &mut CognitoUserPoolGrantSpec| {
            let requirement = LabelRequirement {
                key: "team".to_owned(),
                operator: LabelOperator::NotIn,
                values: Vec::new(),
            };
            spec.namespaces.selector = Some(NamespaceSelector {
                match_expressions: vec![requirement],
                ..NamespaceSelector::default()
            });
        },
        InvalidGrant::Selector
    )]
    fn what_got_past_the_schema_lets_nobody_in(
        #[case] change: fn(&mut CognitoUserPoolGrantSpec),
        #[case] why: InvalidGrant,
    ) {
        assert_eq!(Grant::parse(&spec(change)), Err(why));
    }

    fn by_role(region: Option<&str>, external_id: Option<&str>) -> Grant {
        grant(|spec| {
            spec.region = region.map(str::to_owned);
            spec.role_arn = Some(ROLE.to_owned());
            spec.external_id = external_id.map(str::to_owned);
        })
    }

    #[test]
    fn grants_that_fit_must_agree() {
        let bot = target("eu-west-1_a", "ci-bot");
        let admit =
            |grants: &[&Grant]| admit(grants.iter().copied(), true, UngrantedPolicy::Deny, &bot);
        let own = grant(|_| ());
        let same = grant(|spec| spec.region = Some("eu-west-1".to_owned()));
        let granted = Admission::Granted(own.authority.clone());
        assert_eq!(admit(&[&own]), granted);
        assert_eq!(admit(&[&own, &same, &own]), granted);
        let role = by_role(None, None);
        assert_eq!(admit(&[&role]), Admission::Granted(role.authority.clone()));
        for other in [
            &grant(|spec| spec.region = Some("eu-west-2".to_owned())),
            &role,
        ] {
            assert_eq!(admit(&[&own, &same, other]), Admission::Ambiguous);
        }
        for other in [
            &by_role(Some("eu-west-2"), None),
            &by_role(None, Some("id")),
        ] {
            assert_eq!(admit(&[&role, other]), Admission::Ambiguous);
        }
    }

    #[rstest]
    #[case(UngrantedPolicy::Deny, false, false)]
    #[case(UngrantedPolicy::Deny, true, false)]
    #[case(UngrantedPolicy::Allow, true, false)]
    #[case(UngrantedPolicy::Allow, false, true)]
    fn without_a_grant_only_a_pool_that_none_names_is_open(
        #[case] ungranted: UngrantedPolicy,
        #[case] named: bool,
        #[case] granted: bool,
    ) {
        let bot = target("eu-west-1_a", "ci-bot");
        let own = Admission::Granted(Authority::own(bot.pool.region()));
        let wanted = if granted { own } else { Admission::NotGranted };
        assert_eq!(admit([], named, ungranted, &bot), wanted);
    }

    #[rstest]
    #[case("local_a", None, Err(InvalidGrant::UnknownRegion(region("local_a"))))]
    #[case("local_a", Some("eu-west-1"), Ok("eu-west-1"))]
    #[case(
        "eu-west-1_a",
        Some("made-up-17"),
        Err(InvalidGrant::UnknownRegion(region("made-up-17_a")))
    )]
    #[case("eu-west-1_a", None, Ok("eu-west-1"))]
    fn a_grant_is_of_a_region_of_aws_by_its_own_word_or_by_its_pool(
        #[case] pool: &str,
        #[case] named: Option<&str>,
        #[case] found: Result<&str, InvalidGrant>,
    ) {
        let grant = || {
            grant(|spec| {
                spec.user_pool_id = pool.to_owned();
                spec.region = named.map(str::to_owned);
            })
        };
        let of_aws = grant().within(Regions::OfAws);
        let of_aws = of_aws.map(|grant| grant.authority.region.to_string());
        assert_eq!(of_aws, found.map(str::to_owned));
        assert_eq!(grant().within(Regions::Any), Ok(grant()));
    }

    fn region(pool: &str) -> Region {
        PoolId::parse(pool).expect("a pool").region()
    }

    #[rstest]
    #[case("eu-west-1_a", Regions::OfAws, true)]
    #[case("local_a", Regions::OfAws, false)]
    #[case("local_a", Regions::Any, true)]
    fn nobody_is_let_in_where_there_is_no_region(
        #[case] pool: &str,
        #[case] regions: Regions,
        #[case] granted: bool,
    ) {
        let admission = Admission::Granted(Authority::own(region(pool)));
        let wanted = if granted {
            admission.clone()
        } else {
            Admission::UnknownRegion
        };
        assert_eq!(admission.within(regions), wanted);
        for other in [
            Admission::NotGranted,
            Admission::Ambiguous,
            Admission::Unknown,
        ] {
            assert_eq!(other.clone().within(regions), other);
        }
    }
}
