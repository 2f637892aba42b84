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

fn admits(grant: &Grant, target: &Target, name: &str, labels: &BTreeMap<String, String>) -> bool {
    grant.admits(target, Namespace { name, labels })
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
    assert_eq!(admits(&grant(|_| ()), &target, namespace, &none), fits);
}

#[test]
fn a_grant_admits_a_namespace_by_name_or_by_label() {
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
    let fits = |keep, name, of| admits(&selecting(keep), &bot, name, &labels(of));
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
    assert!(admits(&all, &bot, "any", &BTreeMap::new()));
    let none = grant(|spec| spec.namespaces.names = None);
    assert!(!admits(&none, &bot, "team-a", &BTreeMap::new()));
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
fn grants_with_different_authorities_are_ambiguous() {
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
fn without_a_fitting_grant_only_a_pool_that_no_grant_names_is_open(
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
fn the_region_of_a_grant_comes_from_its_spec_or_its_pool_and_exists_in_aws(
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
fn an_unknown_region_admits_no_resource(
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
