use super::*;
use crate::core::{
    checkup::layout::Layout,
    grants::{
        book::{GrantBook, ListedGrants, NamespaceLabels},
        fixture::{ROLE, by_tier, grant, labels, listed, user},
    },
};
use std::collections::BTreeSet;

fn text(listed: &ListedGrants, rules: &Rules, name: &str, of: Option<&NamespaceLabels>) -> String {
    let target = user(name);
    let tested = Tested {
        namespace: "team-b",
        exists: Some(true),
        is_blind: false,
        answer: GrantBook::new(listed, rules).ask(&target, "team-b", of),
        target: &target,
    };
    Layout::plain(80).findings(&tested.findings(rules))
}

#[test]
fn a_yes_names_the_grant_and_its_authority() {
    let listed = listed([
        (
            "ci",
            grant(&["team-b"], |spec| spec.role_arn = Some(ROLE.to_owned())),
        ),
        ("other", grant(&["team-c"], |_| ())),
    ]);
    let text = text(&listed, &Rules::default(), "ci-bot", Some(&labels(&[])));
    let wanted = "\
✓ answer  yes: resources of team-b may manage ci-bot of eu-west-1_a, in
          eu-west-1, as arn:aws:iam::111122223333:role/passwords
✓ grant   ci fits: in eu-west-1, as arn:aws:iam::111122223333:role/passwords";
    assert_eq!(text, wanted);
}

#[test]
fn a_no_says_for_each_grant_why() {
    let listed = listed([
        ("ci", grant(&["team-a"], |_| ())),
        ("prod", grant(&[], by_tier)),
    ]);
    let text = text(
        &listed,
        &Rules::default(),
        "alice",
        Some(&labels(&[("tier", "test")])),
    );
    let wanted = "\
× answer  no: resources of team-b may not manage alice of eu-west-1_a, because
          no grant fits
          cure: ask your platform team for a CognitoUserPoolGrant that names the
          pool, the username and the namespace
          more: kubectl cognito-password explain notgranted
× grant   ci doesn't fit: usernames ci-* don't match alice; namespaces.names has
          team-a, and not team-b
× grant   prod doesn't fit: usernames ci-* don't match alice;
          namespaces.selector wants tier=prod, and the namespace has tier=test";
    assert_eq!(text, wanted);
}

#[test]
fn each_other_answer_says_what_it_follows_from() {
    let allow = Rules {
        ungranted: UngrantedPolicy::Allow,
        ..Rules::default()
    };
    let watching = |name: &str| Rules {
        watched: BTreeSet::from([name.to_owned()]),
        ..Rules::default()
    };
    let none = ListedGrants::new();
    let differing = listed([
        ("one", grant(&["team-b"], |_| ())),
        (
            "two",
            grant(&["team-b"], |spec| spec.role_arn = Some(ROLE.to_owned())),
        ),
    ]);
    let selecting = listed([("prod", grant(&[], by_tier))]);
    let bad = listed([(
        "bad",
        grant(&["team-b"], |spec| spec.user_pool_id = "pool".to_owned()),
    )]);
    let known = labels(&[]);
    let deny = Rules::default();
    let cases = [
        (
            &none,
            &deny,
            Some(&known),
            "because no grant names the pool",
        ),
        (&none, &allow, Some(&known), "--ungranted is allow"),
        (&none, &watching("team-b"), None, "uses no grants"),
        (
            &none,
            &watching("team-a"),
            None,
            "doesn't watch this namespace",
        ),
        (
            &differing,
            &deny,
            Some(&known),
            "with different roles or Regions fit",
        ),
        (
            &selecting,
            &deny,
            None,
            "depends on labels, which can't be read",
        ),
        (
            &bad,
            &allow,
            Some(&known),
            "a grant that can't be read may name the pool",
        ),
    ];
    for (listed, rules, of, wanted) in cases {
        let text = text(listed, rules, "ci-bot", of);
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(line.contains(wanted), "{wanted}: {text}");
    }
}
