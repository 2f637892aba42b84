use super::*;
use crate::core::{
    access::grant::UngrantedPolicy,
    checkup::layout::Layout,
    grants::{
        book::Rules,
        fixture::{by_tier, grant, listed, namespaces, resource, user},
    },
};

fn text(holders: &Holders) -> String {
    Layout::plain(80).findings(&holders.findings())
}

#[test]
fn each_namespace_that_may_is_listed_with_its_resources_and_the_manager() {
    let grants = listed([
        ("by-name", grant(&["team-a", "team-new"], |_| ())),
        ("by-label", grant(&[], by_tier)),
    ]);
    let rules = Rules::default();
    let book = GrantBook::new(&grants, &rules);
    let known = namespaces(&[
        ("team-a", &[]),
        ("team-b", &[("tier", "prod")]),
        ("team-c", &[]),
    ]);
    let resources = [
        // The oldest is not admitted.
        resource("team-c", "stray", "ci-bot", 1),
        resource("team-b", "bot", "CI-bot", 2),
        resource("team-a", "bot", "ci-bot", 3),
        resource("team-a", "else", "ci-other", 1),
    ];
    let cluster = Cluster {
        namespaces: Some(&known),
        resources: &resources,
    };
    let mut holders = holders(&book, &user("ci-bot"), cluster);
    // CI-bot is the same user, but the grant's pattern doesn't match that spelling.
    let wanted = "\
✓ namespace  team-a: by by-name, in eu-west-1, by the operator's own identity;
             resource bot (PasswordSet, manages the user)
✓ namespace  team-b: by by-label, in eu-west-1, by the operator's own identity;
             resource bot (PasswordSet)
! namespace  team-c: may not: no grant fits; resource stray (PasswordSet)
✓ namespace  team-new (no such namespace yet): by by-name, in eu-west-1, by the
             operator's own identity
✓ manager    team-a/bot manages ci-bot";
    assert_eq!(text(&holders), wanted);
    assert!(holders.is_anybody());
    holders.is_partial = true;
    let manager = "of the resources that you may list, team-a/bot manages";
    assert!(text(&holders).contains(manager));
}

#[test]
fn a_caller_who_may_not_list_namespaces_hears_what_is_unknown() {
    let grants = listed([
        ("by-name", grant(&["team-a"], |_| ())),
        ("by-label", grant(&[], by_tier)),
    ]);
    let rules = Rules::default();
    let book = GrantBook::new(&grants, &rules);
    let cluster = Cluster {
        namespaces: None,
        resources: &[],
    };
    let holders = holders(&book, &user("ci-bot"), cluster);
    assert_eq!(holders.by_labels, ["by-label"]);
    assert_eq!(holders.namespaces.len(), 1);
    assert!(text(&holders).contains("? grant      by-label chooses namespaces by labels"));
}

#[test]
fn without_a_grant_nobody_or_everybody_may() {
    let (grants, mut rules) = (listed([]), Rules::default());
    let known = namespaces(&[("team-a", &[])]);
    let cluster = Cluster {
        namespaces: Some(&known),
        resources: &[],
    };
    let ask = |rules: &Rules| holders(&GrantBook::new(&grants, rules), &user("ci-bot"), cluster);
    let nobody = ask(&rules);
    assert!(!nobody.is_anybody() && nobody.namespaces.is_empty());
    rules.ungranted = UngrantedPolicy::Allow;
    let everybody = ask(&rules);
    assert!(everybody.everybody && everybody.namespaces.is_empty());
    assert!(text(&everybody).contains("every namespace may manage ci-bot"));
}

#[test]
fn without_the_grants_the_resources_for_the_user_are_known() {
    let (grants, rules) = (listed([]), Rules::default());
    let known = namespaces(&[("team-a", &[]), ("team-b", &[])]);
    let resources = [resource("team-a", "bot", "ci-bot", 1)];
    let cluster = Cluster {
        namespaces: Some(&known),
        resources: &resources,
    };
    let mut holders = holders(&GrantBook::new(&grants, &rules), &user("ci-bot"), cluster);
    holders.forget_grants();
    let wanted = "\
? answer     whether a namespace may manage ci-bot of eu-west-1_a is unknown
? namespace  team-a: unknown without the grants; resource bot (PasswordSet)
? manager    which resource manages ci-bot is unknown";
    assert_eq!(text(&holders), wanted);
}
