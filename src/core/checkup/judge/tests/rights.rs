//! Missing rights.

use super::*;

/// Sets the answer for each right of which this is true.
fn answer(facts: &mut Facts, answer: &Result<bool, String>, of: fn(&Right) -> bool) {
    if let Seen::Known(rights) = &mut facts.operators[0].rights {
        for (_, it) in rights.iter_mut().filter(|(right, _)| of(right)) {
            it.clone_from(answer);
        }
    }
}

/// The commands that apply the operator's own Roles again. Those that give the missing rights alone come first.
fn alternatives(facts: &Facts) -> Vec<String> {
    let findings = on(facts, "rights");
    let cure = findings[0].cure.as_ref().expect("a cure");
    let [restore] = &*cure.commands else {
        panic!("{cure:?}");
    };
    assert!(restore.contains(r#""kind":"ServiceAccount""#), "{restore}");
    let [other] = &*cure.alternatives else {
        panic!("{cure:?}");
    };
    other.commands.clone()
}

#[test]
fn missing_rights_stand_together_with_one_cure() {
    let mut facts = well();
    answer(&mut facts, &Ok(false), |it| {
        it.resource == "secrets" && it.namespace.is_none()
    });
    let found = on(&facts, "rights");
    assert_eq!(found.len(), 1);
    assert_eq!(
        found[0].text,
        "ServiceAccount cognito-password-operator/cognito-password-operator lacks 3 of 19 needed rights: may not get,list,watch secrets -A"
    );
    assert_eq!(
        alternatives(&facts),
        ["kubectl apply -k deploy/all-namespaces/"]
    );
    answer(&mut facts, &Ok(false), |_| true);
    let text = &on(&facts, "rights")[0].text;
    assert!(
        text.contains("lacks 19 of 19") && text.ends_with("and 5 more"),
        "{text}"
    );
    assert_eq!(
        alternatives(&facts),
        [
            "kubectl apply -f deploy/base/rbac.yaml",
            "kubectl apply -k deploy/all-namespaces/"
        ]
    );
    deployed(&mut facts).installed.release = Some("cpo".to_owned());
    assert_eq!(
        alternatives(&facts),
        [
            "helm upgrade cpo charts/cognito-password-operator -n cognito-password-operator --reuse-values"
        ]
    );
}

#[test]
fn the_cure_of_a_namespaced_operator_names_its_own_folder() {
    let mut facts = well();
    deployed(&mut facts).installed.settings.watch_namespaces = paths(&["team-a"]);
    answer(&mut facts, &Ok(false), |it| it.resource == "events");
    assert_eq!(
        alternatives(&facts),
        ["kubectl apply -k deploy/watch-namespaces/"]
    );
    deployed(&mut facts).installed.service_account = "other".to_owned();
    assert_eq!(alternatives(&facts), Vec::<String>::new());
}

#[test]
fn rights_without_an_answer_are_unknown() {
    let mut facts = well();
    answer(&mut facts, &Err(down()), |it| it.resource == "namespaces");
    let found = on(&facts, "rights");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].level, Unknown);
    assert_eq!(
        found[0].text,
        "no answer on list,watch namespaces -A: it is down"
    );
    facts.operators[0].rights = Seen::Denied(right("create", "subjectaccessreviews"));
    let text = &on(&facts, "rights")[0].text;
    assert!(
        text.ends_with("unknown: you may not create subjectaccessreviews -A"),
        "{text}"
    );
}
