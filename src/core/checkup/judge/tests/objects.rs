//! Grants and resources.

use super::*;

#[test]
fn a_failing_grant_is_named_with_the_words_of_aws() {
    let mut facts = well();
    let all = [Some(true), Some(false), None].iter().enumerate();
    let all = all.map(|(place, ready)| grant(["a", "b", "c"][place], *ready));
    facts.grants = Some(Seen::Known(all.collect()));
    let texts: Vec<_> = on(&facts, "grants")
        .into_iter()
        .map(|it| (it.level, it.text))
        .collect();
    let wanted = [
        (
            Warning,
            "1 of 3 grants Ready; the operator has not judged c",
        ),
        (
            Failed,
            "b is not Ready, InvalidCredentials: AccessDenied: not authorized to perform sts:AssumeRole",
        ),
    ];
    assert_eq!(texts, wanted.map(|(level, text)| (level, text.to_owned())));
    facts.grants = Some(Seen::Known(
        (0..6).map(|_| grant("a", Some(false))).collect(),
    ));
    let found = on(&facts, "grants");
    assert_eq!(found.len(), 5);
    assert_eq!(found[4].text, "3 more are not Ready");
}

#[test]
fn a_grant_of_an_earlier_generation_is_not_judged_and_one_of_another_version_is_named() {
    let mut facts = well();
    let mut changed = grant("a", Some(false));
    changed.generation = 3;
    let mut strange = grant("b", Some(true));
    strange.grant = ListedGrant::Unreadable("unknown\u{202e}field".to_owned());
    facts.grants = Some(Seen::Known(vec![changed, strange]));
    let found = on(&facts, "grants");
    let texts: Vec<_> = found.iter().map(|it| (it.level, &*it.text)).collect();
    let wanted = [
        (
            Warning,
            "1 of 2 grants Ready; the operator has not judged a",
        ),
        (
            Warning,
            "b: this version can't read the grant: unknown field",
        ),
    ];
    assert_eq!(texts, wanted);
}

#[test]
fn without_a_grant_the_rule_for_users_without_a_grant_decides() {
    let mut facts = well();
    facts.grants = Some(Seen::Known(Vec::new()));
    assert_eq!(on(&facts, "grants")[0].level, Warning);
    deployed(&mut facts).installed.settings.ungranted_allow = true;
    assert_eq!(on(&facts, "grants")[0].level, Well);
    facts.grants = Some(Seen::Denied(right("list", "cupg")));
    assert_eq!(on(&facts, "grants")[0].level, Unknown);
}

fn suspension(since: i64) -> Suspension {
    Suspension {
        name: "team-a/bot".to_owned(),
        since,
        because: Some("INC-4711, alice".to_owned()),
    }
}

#[test]
fn resources_are_one_line_with_the_worst_reason_first() {
    let mut facts = well();
    let reasons = [
        ("", 5),
        ("Unreachable", 9),
        ("NotGranted", 3),
        ("InvalidPassword", 1),
        ("FromTheFuture", 2),
        ("PasswordHistoryPolicyViolation", 2),
    ];
    let counted = Resources {
        ready: 41,
        unready: reasons
            .map(|(reason, number)| (reason.to_owned(), number))
            .into(),
        suspended: 2,
        longest_suspended: Some(suspension(9 * 86_400)),
    };
    facts.resources = Some(Seen::Known(counted));
    let found = on(&facts, "resources");
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].level, found[0].text.as_str()),
        (
            Warning,
            "41 Ready; 2 PasswordHistoryPolicyViolation, 1 InvalidPassword, 3 NotGranted, 2 FromTheFuture, and 2 more; 2 suspended, team-a/bot for 9d (because: \"INC-4711, alice\")"
        )
    );
    // A suspension of more than a day needs somebody.
    for (since, level) in [(60, Well), (86_400, Well), (86_401, Warning)] {
        let counted = Resources {
            ready: 1,
            unready: [("Progressing".to_owned(), 1)].into(),
            suspended: 1,
            longest_suspended: Some(suspension(since)),
        };
        facts.resources = Some(Seen::Known(counted));
        assert_eq!(on(&facts, "resources")[0].level, level, "{since}");
    }
    facts.resources = Some(Seen::Failed(down()));
    assert_eq!(on(&facts, "resources")[0].level, Unknown);
}
