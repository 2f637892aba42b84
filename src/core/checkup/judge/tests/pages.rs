//! Faults that the operator's port shows.

use super::*;

#[test]
fn each_fault_of_the_pages_is_found_and_named() {
    assert_found(&[
        (
            |it| pages(it)[0].readyz = Ok((503, "lease: a\nkeys: b\n".to_owned())),
            "network",
            Failed,
            "/readyz of pod-a answers 503: lease: a; keys: b",
        ),
        (
            |it| pages(it)[0].readyz = Err(down()),
            "network",
            Unknown,
            "/readyz of pod-a is unknown: it is down",
        ),
        (
            |it| pages(it)[0].metrics = Ok((200, metrics("0.1.0", 1, 3))),
            "identity",
            Failed,
            "3 resources wait",
        ),
    ]);
    let mut facts = well();
    facts.operators[0].pages = Some(Pages::Proxied(Seen::Denied(right("get", "pods"))));
    let found = on(&facts, "network");
    assert_eq!((found.len(), found[0].level), (1, Unknown));
    // The resources' own reasons say as much.
    assert_eq!(on(&facts, "identity")[0].level, Well);
    let counted = Resources {
        unready: [("InvalidCredentials".to_owned(), 1)].into(),
        ..Resources::default()
    };
    facts.resources = Some(Seen::Known(counted));
    let text = &on(&facts, "identity")[0].text;
    assert!(text.starts_with("1 resource waits because"), "{text}");
}

#[test]
fn credentials_that_no_set_has_shown_to_work_are_not_called_well() {
    let none = |facts: &mut Facts| facts.resources = Some(Seen::Known(Resources::default()));
    let waits = |facts: &mut Facts| {
        let unready = [("NotGranted".to_owned(), 2)].into();
        facts.resources = Some(Seen::Known(Resources {
            unready,
            ..Resources::default()
        }));
    };
    let counted = |facts: &mut Facts| {
        facts.resources = Some(Seen::Failed(down()));
        let set = "cognito_password_operator_resources{reason=\"PasswordSet\"} 3\n";
        let text = format!("{set}{}", metrics("0.1.0", 1, 0));
        pages(facts)[0].metrics = Ok((200, text));
    };
    let cases: [(Change, Level); 3] = [(none, Warning), (waits, Warning), (counted, Well)];
    for (change, level) in cases {
        let mut facts = well();
        change(&mut facts);
        let found = on(&facts, "identity");
        assert_eq!(
            (found.len(), found[0].level),
            (1, level),
            "{}",
            found[0].text
        );
        let is_open = found[0].text.ends_with("shows with the first set");
        assert_eq!(is_open, level == Warning, "{}", found[0].text);
    }
}

#[test]
fn pods_that_the_caller_may_not_list_are_a_question_also_beside_a_named_address() {
    let mut facts = well();
    facts.operators[0].pages = Some(Pages::At(page("http://x", 1)));
    let deployed = facts.operators[0].deployed.as_mut().expect("a Deployment");
    deployed.pods = Seen::Denied(right("list", "pods"));
    let found = on(&facts, "operator");
    let wanted = "whether the leader is a pod of cognito-password-operator/cognito-password-operator is unknown: you may not list pods -A";
    assert!(
        found
            .iter()
            .any(|it| (it.level, &*it.text) == (Unknown, wanted)),
        "{found:?}"
    );
}

#[test]
fn an_address_that_the_caller_named_must_answer() {
    let of = |change: fn(&mut Page)| {
        let mut facts = of_operator();
        facts.resources = Some(Seen::Failed(down()));
        let mut page = page("http://x", 1);
        change(&mut page);
        facts.operators[0].pages = Some(Pages::At(page));
        facts
    };
    let facts = of(|it| it.readyz = Err("refused\u{1b}[31m".to_owned()));
    let found = &on(&facts, "network")[0];
    assert_eq!(found.level, Failed);
    for (change, words) in [
        (
            (|it| it.metrics = Ok((200, String::new()))) as fn(&mut Page),
            "the count of resources is missing",
        ),
        (
            |it| it.metrics = Ok((503, String::new())),
            "the answer is 503",
        ),
        (|it| it.metrics = Err(down()), "it is down"),
    ] {
        let found = &on(&of(change), "identity")[0];
        assert_eq!(found.level, Unknown, "{words}");
        assert!(found.text.contains(words), "{words}: {}", found.text);
    }
}
