use super::{random::any_grant, *};
use crate::api::GrantNamespaces;
use proptest::prelude::*;
use rstest::rstest;

fn labels(labels: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    labels.iter().map(owned).collect()
}

/// A grant for team-a and for namespaces with tier=prod and some team, with this change.
fn grant(change: impl FnOnce(&mut CognitoUserPoolGrantSpec)) -> ListedGrant {
    let mut spec = CognitoUserPoolGrantSpec {
        user_pool_id: "eu-west-1_a".to_owned(),
        usernames: vec!["ci-*".to_owned(), "deploy-?".to_owned()],
        namespaces: GrantNamespaces {
            names: Some(vec!["team-a".to_owned()]),
            selector: Some(NamespaceSelector {
                match_labels: labels(&[("tier", "prod")]),
                match_expressions: vec![LabelRequirement {
                    key: "team".to_owned(),
                    operator: LabelOperator::Exists,
                    values: Vec::new(),
                }],
            }),
        },
        region: None,
        role_arn: None,
        external_id: None,
    };
    change(&mut spec);
    ListedGrant::Spec(spec)
}

fn fit(grant: &ListedGrant, user: &str, namespace: &str, of: Option<&[(&str, &str)]>) -> Fit {
    let target = Target::parse("eu-west-1_a", user).expect("valid");
    let labels = of.map(labels);
    grant.fit(&target, namespace, labels.as_ref(), Regions::OfAws)
}

/// `yes`, `by labels`, `other pool`, or each misfit.
fn words(fit: &Fit) -> Vec<String> {
    match fit {
        Fit::OtherPool => vec!["other pool".to_owned()],
        Fit::Admits(by) => vec![format!("yes, in {by}")],
        Fit::ByLabels(_) => vec!["by labels".to_owned()],
        Fit::Misfits(misfits) => misfits.iter().map(ToString::to_string).collect(),
    }
}

#[rstest]
#[case("ci-bot", "team-a", Some(&[][..]), &["yes, in eu-west-1"])]
#[case("ci-bot", "team-b", Some(&[("tier", "prod"), ("team", "b")][..]), &["yes, in eu-west-1"])]
#[case("CI-bot", "team-a", Some(&[][..]), &[
    "usernames ci-*, deploy-? don't match CI-bot, because upper and lower case count",
])]
#[case("alice", "team-b", Some(&[("tier", "test")][..]), &[
    "usernames ci-*, deploy-? don't match alice",
    "namespaces.names has team-a, and not team-b",
    "namespaces.selector wants tier=prod, and the namespace has tier=test",
    "namespaces.selector wants a label team, and the namespace has no label team",
])]
// The caller may not read the labels: the names are enough for a yes, the usernames for a no.
#[case("ci-bot", "team-a", None, &["yes, in eu-west-1"])]
#[case("ci-bot", "team-b", None, &["by labels"])]
#[case("alice", "team-b", None, &[
    "usernames ci-*, deploy-? don't match alice",
    "namespaces.names has team-a, and not team-b",
])]
fn each_condition_that_is_not_met_is_named(
    #[case] user: &str,
    #[case] namespace: &str,
    #[case] labels: Option<&[(&str, &str)]>,
    #[case] wanted: &[&str],
) {
    assert_eq!(words(&fit(&grant(|_| ()), user, namespace, labels)), wanted);
}

#[test]
fn a_grant_that_admits_nobody_says_why() {
    let none = Some(&[][..]);
    let invalid = grant(|spec| spec.region = Some("Mars".to_owned()));
    let of_invalid = words(&fit(&invalid, "ci-bot", "team-a", none));
    assert!(
        of_invalid[0].contains("spec.region must be"),
        "{of_invalid:?}"
    );
    let elsewhere = grant(|spec| spec.region = Some("mars-west-1".to_owned()));
    let of_elsewhere = words(&fit(&elsewhere, "ci-bot", "team-a", none));
    assert!(of_elsewhere[0].contains("mars-west-1 is not the name of an AWS Region"));
    let ListedGrant::Spec(spec) = grant(|_| ()) else {
        unreachable!("made above");
    };
    let deleting = ListedGrant::Deleting(spec);
    assert_eq!(
        words(&fit(&deleting, "ci-bot", "team-a", none)),
        ["the grant is being deleted"]
    );
    let unreadable = ListedGrant::Unreadable("usernames\nis missing".to_owned());
    assert_eq!(
        words(&fit(&unreadable, "ci-bot", "team-a", none)),
        ["this version can't read the grant: usernames is missing"]
    );
    let other = grant(|spec| spec.user_pool_id = "eu-west-1_b".to_owned());
    assert_eq!(fit(&other, "ci-bot", "team-a", none), Fit::OtherPool);
    let invalid_other = grant(|spec| {
        spec.user_pool_id = "eu-west-1_b".to_owned();
        spec.region = Some("Mars".to_owned());
    });
    assert_eq!(
        fit(&invalid_other, "ci-bot", "team-a", none),
        Fit::OtherPool
    );
}

#[test]
fn long_lists_are_cut_and_hostile_names_are_harmless() {
    let many: Vec<_> = (0..1024).map(|n| format!("ns-{n}")).collect();
    let long = grant(|spec| {
        spec.namespaces = GrantNamespaces {
            names: Some(many),
            selector: None,
        };
        spec.usernames = vec!["\u{1b}[31mci".to_owned()];
    });
    assert_eq!(
        words(&fit(&long, "bot", "team-z", Some(&[]))),
        [
            "usernames  [31mci don't match bot",
            "namespaces.names has ns-0, ns-1, ns-2, ns-3, ns-4, and 1019 more, and not team-z"
        ]
    );
}

proptest! {
    #[test]
    fn the_words_agree_with_what_the_operator_decides(
        grant in any_grant(),
        user in "[abAB]{1,3}",
        namespace in "[mno]",
        labels in proptest::collection::btree_map("[kl]", "[xyz]", 0..3),
    ) {
        let target = Target::parse("eu-west-1_a", &user).expect("valid");
        let place = Namespace { name: &namespace, labels: &labels };
        let decided = grant.parse(Regions::OfAws).ok().filter(|it| it.admits(&target, place));
        match grant.fit(&target, &namespace, Some(&labels), Regions::OfAws) {
            Fit::Admits(by) => prop_assert_eq!(Some(by), decided.map(|it| it.authority)),
            Fit::Misfits(misfits) => {
                prop_assert!(decided.is_none());
                prop_assert!(!misfits.is_empty());
            }
            Fit::OtherPool => prop_assert!(decided.is_none()),
            Fit::ByLabels(_) => prop_assert!(false, "the labels are known"),
        }
        // Without the labels, the answer is never the opposite.
        match grant.fit(&target, &namespace, None, Regions::OfAws) {
            Fit::Admits(_) => prop_assert!(grant.parse(Regions::OfAws).expect("valid").admits(&target, place)),
            Fit::Misfits(_) => {
                let admitted = grant.parse(Regions::OfAws).is_ok_and(|it| it.admits(&target, place));
                prop_assert!(!admitted);
            }
            Fit::OtherPool | Fit::ByLabels(_) => {}
        }
    }
}
