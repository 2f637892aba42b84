use super::*;
use crate::core::access::why_not::random::any_grant;
use proptest::prelude::*;

fn rules() -> impl Strategy<Value = Rules> {
    (any::<bool>(), any::<bool>()).prop_map(|(allow, any_region)| Rules {
        ungranted: if allow {
            UngrantedPolicy::Allow
        } else {
            UngrantedPolicy::Deny
        },
        watched: BTreeSet::new(),
        regions: if any_region {
            Regions::Any
        } else {
            Regions::OfAws
        },
    })
}

fn grants() -> impl Strategy<Value = ListedGrants> {
    proptest::collection::btree_map("[a-f]", any_grant(), 0..6)
}

fn labels() -> impl Strategy<Value = NamespaceLabels> {
    proptest::collection::btree_map(
        "[kl]".prop_map(String::from),
        "[xyz]".prop_map(String::from),
        0..3,
    )
}

proptest! {
    #[test]
    fn the_book_decides_as_a_scan_of_all_grants_does(
        listed in grants(),
        rules in rules(),
        pool in "eu-west-1_[ab]|mars_a",
        user in "[abAB]{1,3}",
        namespace in "[mno]",
        labels in labels(),
    ) {
        let target = Target::parse(&pool, &user).expect("valid");
        let place = Namespace { name: &namespace, labels: &labels };
        let parsed: Vec<_> = listed.values().filter_map(|it| it.parse(rules.regions).ok()).collect();
        let fitting = parsed.iter().filter(|it| it.admits(&target, place));
        let named = listed.values().any(|it| match it {
            ListedGrant::Spec(spec) => PoolId::parse(&spec.user_pool_id).is_ok_and(|it| it == target.pool)
                || PoolId::parse(&spec.user_pool_id).is_err(),
            ListedGrant::Deleting(_) => false,
            ListedGrant::Unreadable(_) => true,
        });
        let wanted = admit(fitting.clone(), named, rules.ungranted, &target).within(rules.regions);
        let book = GrantBook::new(&listed, &rules);
        let answer = book.ask(&target, &namespace, Some(&labels));
        prop_assert_eq!(&answer.admission, &wanted);
        // The words are about the same grants.
        let by: Vec<_> = answer.by.iter().map(|(_, authority)| authority.clone()).collect();
        let wanted_by: Vec<_> = fitting.map(|it| it.authority.clone()).collect();
        prop_assert_eq!(by, wanted_by);
        prop_assert!(answer.by_labels.is_empty());
        // A caller without the labels gets the same answer, or none.
        let without = book.ask(&target, &namespace, None);
        prop_assert!(without.admission == Admission::Unknown || without.admission == wanted);
        if listed.values().all(|it| !matches!(it, ListedGrant::Spec(spec) if spec.namespaces.selector.is_some())) {
            prop_assert_eq!(&without.admission, &wanted);
        }
    }
}

#[test]
fn an_operator_of_some_namespaces_uses_no_grants() {
    let rules = Rules {
        watched: ["team-a".to_owned()].into(),
        ..Rules::default()
    };
    let listed = ListedGrants::new();
    let book = GrantBook::new(&listed, &rules);
    let target = Target::parse("eu-west-1_a", "ci-bot").expect("valid");
    let watched = book.ask(&target, "team-a", None);
    assert!(watched.is_granted() && watched.is_watched);
    let other = book.ask(&target, "team-b", None);
    assert_eq!(other.admission, Admission::NotGranted);
    assert!(!other.is_watched);
}
