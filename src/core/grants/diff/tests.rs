use super::*;
use crate::core::{
    access::why_not::random::any_grant,
    grants::{
        fixture::{ROLE, by_tier, grant, listed as grants, namespaces, resource},
        who::ListedResource,
    },
    names::target::Target,
};
use proptest::prelude::*;

#[test]
fn a_change_names_who_gains_who_loses_and_whose_authority_changes() {
    let before = grants([
        ("ci", grant(&["team-a", "team-b"], |_| ())),
        (
            "old",
            grant(&["team-c"], |spec| {
                spec.usernames = vec!["nightly".to_owned()];
            }),
        ),
    ]);
    let apply = grants([
        (
            "ci",
            grant(&["team-a"], |spec| spec.role_arn = Some(ROLE.to_owned())),
        ),
        ("prod", grant(&[], by_tier)),
    ]);
    let after = applied(&before, &apply, &["old".to_owned()]);
    let known = namespaces(&[
        ("team-a", &[]),
        ("team-b", &[]),
        ("team-c", &[]),
        ("team-d", &[("tier", "prod")]),
    ]);
    let resources = [
        resource("team-a", "bot", "ci-bot", 1),
        resource("team-b", "bot", "ci-bot", 1),
        resource("team-c", "nightly", "nightly", 1),
        resource("team-d", "bot", "ci-deploy", 1),
        resource("team-d", "same", "alice", 1),
    ];
    let cluster = Cluster {
        namespaces: Some(&known),
        resources: &resources,
    };
    let difference = difference(&before, &after, &Rules::default(), cluster);
    let own = "in eu-west-1, by the operator's own identity";
    let role = format!("in eu-west-1, as {ROLE}");
    let wanted = [
        "grant ci would be changed".to_owned(),
        "grant old would be deleted".to_owned(),
        "grant prod would be added".to_owned(),
        "namespaces and usernames:".to_owned(),
        format!("+ team-d: ci-* of eu-west-1_a, {own}"),
        format!("+ team-a: ci-* of eu-west-1_a, {role}"),
        format!("- team-a, team-b: ci-* of eu-west-1_a, {own}"),
        format!("- team-c: nightly of eu-west-1_a, {own}"),
        "resources:".to_owned(),
        format!(
            "~ team-a/bot (ci-bot of eu-west-1_a): next call {role}; before {own}; no password is set again"
        ),
        "- team-b/bot (ci-bot of eu-west-1_a): NotGranted".to_owned(),
        "- team-c/nightly (nightly of eu-west-1_a): NotGranted".to_owned(),
        format!("+ team-d/bot (ci-deploy of eu-west-1_a): {own} instead of NotGranted"),
    ];
    assert_eq!(difference.lines(), wanted);
}

#[test]
fn a_second_grant_of_another_role_takes_the_user_from_both() {
    let before = grants([("ci", grant(&["team-a"], |_| ()))]);
    let apply = grants([(
        "more",
        grant(&["team-a"], |spec| spec.role_arn = Some(ROLE.to_owned())),
    )]);
    let after = applied(&before, &apply, &[]);
    let known = namespaces(&[("team-a", &[])]);
    let resources = [resource("team-a", "bot", "ci-bot", 1)];
    let cluster = Cluster {
        namespaces: Some(&known),
        resources: &resources,
    };
    let difference = difference(&before, &after, &Rules::default(), cluster);
    assert_eq!(difference.resources[0].change, "Loses");
    assert_eq!(difference.resources[0].after.admission, "AmbiguousGrant");
}

#[test]
fn the_same_grant_changes_nothing_and_the_first_grant_closes_an_open_pool() {
    let before = grants([("ci", grant(&["team-a"], |_| ()))]);
    let known = namespaces(&[("team-a", &[])]);
    let cluster = Cluster {
        namespaces: Some(&known),
        resources: &[],
    };
    let same = difference(&before, &before, &Rules::default(), cluster);
    assert!(same.is_empty() && same.grants.is_empty());
    assert_eq!(
        same.lines(),
        ["nothing changes for any namespace or resource"]
    );
    let allow = Rules {
        ungranted: UngrantedPolicy::Allow,
        ..Rules::default()
    };
    let outsider = [resource("team-z", "bot", "alice", 1)];
    let cluster = Cluster {
        resources: &outsider,
        ..cluster
    };
    let closed = difference(&ListedGrants::new(), &before, &allow, cluster);
    assert!(
        closed.notes[0].starts_with("every namespace may manage every user of eu-west-1_a now")
    );
    assert_eq!(closed.resources[0].change, "Loses");
}

#[test]
fn an_operator_of_some_namespaces_sees_no_change() {
    let rules = Rules {
        watched: ["team-a".to_owned()].into(),
        ..Rules::default()
    };
    let after = grants([("ci", grant(&["team-a"], |_| ()))]);
    let cluster = Cluster {
        namespaces: None,
        resources: &[],
    };
    let difference = difference(&ListedGrants::new(), &after, &rules, cluster);
    assert!(difference.is_empty());
    assert!(difference.notes[0].contains("uses no grants"));
}

fn listed_grants() -> impl Strategy<Value = ListedGrants> {
    proptest::collection::btree_map("[a-d]", any_grant(), 0..4)
}

proptest! {
    #[test]
    fn the_difference_is_the_difference_of_two_full_evaluations(
        before in listed_grants(),
        apply in listed_grants(),
        deleted in proptest::collection::vec("[a-d]", 0..2),
        known in proptest::collection::btree_map(
            "[mno]",
            proptest::collection::btree_map("[kl]", "[xy]", 0..2),
            0..4,
        ),
        users in proptest::collection::vec(("[mno]", "eu-west-1_[ab]", "[abAB]{1,2}"), 0..6),
    ) {
        let after = applied(&before, &apply, &deleted);
        let rules = Rules::default();
        let resources: Vec<_> = users.iter().enumerate().map(|(at, (namespace, pool, username))| ListedResource {
            target: Target::parse(pool, username).ok(),
            ..resource(namespace, &format!("r{at}"), "ci", 1)
        }).collect();
        let cluster = Cluster { namespaces: Some(&known), resources: &resources };
        let difference = difference(&before, &after, &rules, cluster);
        let (old, new) = (GrantBook::new(&before, &rules), GrantBook::new(&after, &rules));
        for resource in &resources {
            let labels = labels_of(Some(&known), &resource.namespace);
            let target = resource.target.as_ref().expect("valid");
            let ask = |book: &GrantBook<'_>| book.ask(target, &resource.namespace, labels.as_ref()).admission;
            let said = difference.resources.iter().find(|it| it.name == resource.name);
            let (before, after) = (Standing::from(&ask(&old)), Standing::from(&ask(&new)));
            match said {
                None => prop_assert_eq!(before, after),
                Some(said) => {
                    prop_assert_ne!(&before, &after);
                    prop_assert_eq!((&said.before, &said.after), (&before, &after));
                }
            }
        }
        // A namespace of which no pattern is named has the same patterns before and after.
        for (name, labels) in &known {
            let gained = difference.patterns.iter().any(|it| it.namespaces.contains(name));
            let same = offers(&old, name, Some(labels)) == offers(&new, name, Some(labels));
            prop_assert_eq!(gained, !same);
        }
        let unchanged = before == after;
        prop_assert!(!unchanged || (difference.is_empty() && difference.grants.is_empty()));
    }
}
