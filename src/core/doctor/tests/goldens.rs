//! Whole reports, as a terminal of 80 columns shows them.

use super::*;
use crate::core::checkup::finding::Level;
use rstest::rstest;

fn assert_golden(wanted: &str, report: &Report) {
    let said = text(report);
    assert_fits(&said);
    assert_eq!(said.trim(), wanted.trim(), "{said}");
}

/// The commands of the report's cure and of its alternatives, and the reason that the cure is for.
fn mended(report: &Report) -> (Option<&str>, String) {
    let cures = report.cure.iter();
    let commands = cures.flat_map(|it| {
        let others = it.alternatives.iter().flat_map(|it| &it.commands);
        it.commands.iter().chain(others).cloned()
    });
    (report.reason, commands.collect::<Vec<_>>().join("\n"))
}

#[test]
fn all_is_well() {
    let report = report(resource(|_| ()), &Seen::Known(Some(secret())), &around());
    assert!(report.is_well());
    assert_eq!(report.cure, None);
    assert_golden(include_str!("well.txt"), &report);
}

#[test]
fn no_grant_fits() {
    let message = cures_message(Reason::NotGranted);
    let resource = resource(|it| not_ready(it, Reason::NotGranted, &message));
    let around = Surroundings {
        grants: Seen::Known(vec![
            grant("platform", |it| {
                it["usernames"] = json!(["deploy-*"]);
                it["namespaces"] = json!({ "names": ["team-b"] });
            }),
            grant("labels", |it| {
                it["namespaces"] = json!({ "selector": { "matchLabels": { "team": "a" } } });
            }),
            grant("region", |it| it["userPoolId"] = json!("nowhere_AbCdEf123")),
            grant("stage", |it| it["userPoolId"] = json!("eu-west-1_Stage")),
        ]),
        ..around()
    };
    let report = report(resource, &Seen::Known(Some(secret())), &around);
    assert!(!report.is_well());
    assert_golden(include_str!("not-granted.txt"), &report);
}

#[test]
fn a_pool_that_no_grant_names_is_mistyped_if_a_grant_fits_in_a_pool_with_nearly_the_same_id() {
    let message = cures_message(Reason::NotGranted);
    let resource = resource(|it| not_ready(it, Reason::NotGranted, &message));
    let near = grant("near", |it| it["userPoolId"] = json!("eu-west-1_AbCdEf12"));
    let around = Surroundings {
        grants: Seen::Known(vec![near]),
        ..around()
    };
    let report = report(resource, &Seen::Known(Some(secret())), &around);
    let cure = report.cure.as_ref().expect("a cure");
    assert_eq!(
        cure.commands,
        [
            "kubectl get cup ci-bot -n team-a -o yaml | sed 's|^  userPoolId: .*|  userPoolId: eu-west-1_AbCdEf12|' | kubectl replace --force -f -"
        ]
    );
    assert!(cure.alternatives[0].commands[0].contains("kubectl create -f -"));
}

/// The message that the operator writes for a reason.
fn cures_message(reason: Reason) -> String {
    crate::core::condition::verdict::Verdict::new(reason).message
}

#[test]
fn a_tenant_sees_a_line_with_a_question_mark_for_each_missing_right() {
    let message = cures_message(Reason::NotGranted);
    let resource = resource(|it| not_ready(it, Reason::NotGranted, &message));
    let around = Surroundings {
        grants: denied("list", "cognitouserpoolgrants", None),
        operators: vec![Operator {
            installed: None,
            lease: denied("get", "leases", Some("cognito-password-operator")),
            ..operator()
        }],
        deployments: denied("list", "deployments", None),
        labels: BTreeMap::new(),
        rivals: Rivals::new(
            Vec::new(),
            Some(super::super::facts::Missing::Why(
                "you may not list cognitouserpasswords -A".to_owned(),
            )),
        ),
        ..around()
    };
    let report = report(resource, &denied("get", "secrets", Some("team-a")), &around);
    let said = text(&report);
    let unknown = said.lines().filter(|it| it.starts_with('?')).count();
    assert_eq!(unknown, 4, "{said}");
    assert_golden(include_str!("tenant.txt"), &report);
}

#[test]
fn a_trailing_line_break() {
    let message = "The value ends with a line break.";
    let resource = resource(|it| not_ready(it, Reason::InvalidSecretValue, message));
    let secret = FoundSecret {
        value: Some(Err(InvalidValue::TrailingLineBreak)),
        ..secret()
    };
    let report = report(resource, &Seen::Known(Some(secret)), &around());
    assert_golden(include_str!("line-break.txt"), &report);
}

#[test]
fn an_open_attempt_in_quarantine_with_failures() {
    let resource = resource(|it| {
        let message = cures_message(Reason::OutcomeUnknown);
        not_ready(it, Reason::OutcomeUnknown, &message);
        it["status"]["conditions"][0]["status"] = json!("Unknown");
        it["status"]["attempt"] = json!({
            "id": "a", "fingerprint": "k.1", "generation": 3, "secretUid": "s",
            "secretResourceVersion": "8", "startedAt": "2026-11-29T11:59:50.000000Z",
            "outcome": "Unknown",
        });
        it["status"]["failures"] = json!({ "count": 3, "retryAt": "2026-11-29T12:00:08.000000Z" });
        it["status"]["corrections"] = json!({ "count": 2, "at": "2026-11-28T12:00:00.000000Z" });
        it["status"]["signOutOwed"] = json!({ "since": "2026-11-29T11:00:00.000000Z" });
    });
    let report = report(resource, &Seen::Known(Some(secret())), &around());
    assert_golden(include_str!("attempt.txt"), &report);
}

#[test]
fn the_operator_does_not_run_and_the_chain_tells_what_it_would_say() {
    let resource = resource(|it| it["status"] = json!({ "observedGeneration": -1 }));
    let around = Surroundings {
        operators: vec![Operator {
            installed: None,
            lease: Seen::Known(None),
            ..operator()
        }],
        ..around()
    };
    let report = report(resource, &Seen::Known(None), &around);
    assert_golden(include_str!("no-operator.txt"), &report);
    let (reason, commands) = mended(&report);
    assert_eq!(reason, Some("SecretNotFound"));
    assert!(commands.contains("kubectl create secret generic ci-bot-credentials"));
}

#[test]
fn a_suspended_resource_says_why_and_how_to_resume() {
    let resource = resource(|it| {
        it["spec"]["suspend"] = json!(true);
        it["metadata"]["annotations"] =
            json!({ "cognito-password-operator.io/suspended-because": "INC-4711\u{202e}, alice" });
        let suspended = condition("Suspended", "True", "Suspended", "It is.");
        it["status"]["conditions"]
            .as_array_mut()
            .expect("a list")
            .push(suspended);
    });
    let report = report(resource, &Seen::Known(Some(secret())), &around());
    assert!(
        report.is_well(),
        "a suspended resource that is Ready is well"
    );
    assert_golden(include_str!("suspended.txt"), &report);
}

#[test]
fn an_older_resource_in_another_namespace() {
    let message = cures_message(Reason::DuplicateUser);
    let younger = resource(|it| not_ready(it, Reason::DuplicateUser, &message));
    let older = resource(|it| {
        it["metadata"] = json!({
            "name": "bot", "namespace": "team-b", "uid": "u0", "generation": 3,
            "creationTimestamp": "2026-10-01T12:00:00Z",
        });
        it["spec"]["username"] = json!("CI-bot");
    });
    let grants = grant("platform", |it| {
        it["usernames"] = json!(["*"]);
        it["namespaces"] = json!({ "selector": {} });
    });
    let mut around = Surroundings {
        grants: Seen::Known(vec![grants]),
        rivals: Rivals::new(vec![younger.clone(), older], None),
        ..around()
    };
    around
        .labels
        .insert("team-b".to_owned(), Seen::Known(BTreeMap::new()));
    let report = report(younger, &Seen::Known(Some(secret())), &around);
    assert_golden(include_str!("duplicate.txt"), &report);
    let (_, commands) = mended(&report);
    assert!(
        commands.contains("kubectl delete cup bot -n team-b"),
        "{commands}"
    );
}

#[rstest]
#[case(FoundSecret { value: None, keys: vec!["pass".to_owned()], ..secret() }, "SecretKeyNotFound", r#"-p '{"spec":{"passwordSecretRef":{"key":"pass"}}}'"#)]
#[case(FoundSecret { unfit: vec!["password-operator=yes".to_owned()], ..secret() }, "SecretNotFound", "kubectl label secret ci-bot-credentials -n team-a --overwrite password-operator=yes")]
#[case(FoundSecret { value: Some(Err(InvalidValue::Empty)), ..secret() }, "InvalidSecretValue", "kubectl patch secret ci-bot-credentials -n team-a")]
fn a_broken_secret_is_found_before_the_operator_says_so(
    #[case] secret: FoundSecret,
    #[case] reason: &str,
    #[case] command: &str,
) {
    let report = report(resource(|_| ()), &Seen::Known(Some(secret)), &around());
    assert!(!report.is_well());
    let (said, commands) = mended(&report);
    assert_eq!(said, Some(reason));
    assert!(commands.contains(command), "{commands}");
}

#[test]
fn a_broken_link_beside_the_reason_has_a_cure_of_its_own() {
    let resource = resource(|it| not_ready(it, Reason::NotGranted, "No grant."));
    let around = Surroundings {
        grants: Seen::Known(Vec::new()),
        ..around()
    };
    let report = report(resource, &Seen::Known(None), &around);
    assert_eq!(report.reason, Some("NotGranted"));
    let secret = report.chain.iter().find(|it| it.subject == "secret");
    let cure = secret.and_then(|it| it.cure.as_ref()).expect("a cure");
    assert!(cure.commands[0].contains("create secret"), "{cure:?}");
}

#[test]
fn two_grants_disagree() {
    let resource = resource(|it| not_ready(it, Reason::AmbiguousGrant, "Two."));
    let role = "arn:aws:iam::111122223333:role/passwords";
    let mut widest = grant("two", |it| it["roleArn"] = json!(role));
    widest.status.resources = Some(7);
    let around = Surroundings {
        grants: Seen::Known(vec![grant("one", |_| ()), widest]),
        ..around()
    };
    let report = report(resource, &Seen::Known(Some(secret())), &around);
    let (reason, commands) = mended(&report);
    assert_eq!(reason, Some("AmbiguousGrant"));
    assert_eq!(
        commands,
        concat!(
            "kubectl get cupg two one -o wide\n",
            r#"kubectl patch cupg one --type=merge -p '{"spec":{"externalId":null,"region":null,"roleArn":"arn:aws:iam::111122223333:role/passwords"}}'"#,
            "\n",
            r#"kubectl patch cupg two --type=merge -p '{"spec":{"externalId":null,"region":null,"roleArn":null}}'"#
        )
    );
    assert!(text(&report).contains(role), "{}", text(&report));
}

#[rstest]
#[case(false, "kubectl create -f -")]
#[case(true, "kubectl get cup ci-bot -n team-a -o yaml")]
fn a_pool_without_a_region_needs_a_grant_or_another_name(
    #[case] watches_by_name: bool,
    #[case] command: &str,
) {
    let message = cures_message(Reason::UnknownRegion);
    let pool = json!("emulated_AbCdEf123");
    let resource = resource(|it| {
        not_ready(it, Reason::UnknownRegion, &message);
        it["spec"]["userPoolId"] = pool.clone();
    });
    let mut around = Surroundings {
        grants: Seen::Known(Vec::new()),
        ..around()
    };
    let installed = around.operators[0]
        .installed
        .as_mut()
        .expect("a Deployment");
    installed.settings.ungranted_allow = true;
    if watches_by_name {
        installed.settings.watch_namespaces = vec!["team-a".to_owned()];
    }
    let secret = Seen::Known(Some(secret()));
    let unknown = report(resource.clone(), &secret, &around);
    let (reason, commands) = mended(&unknown);
    assert_eq!(reason, Some("UnknownRegion"));
    assert!(
        commands
            .lines()
            .next()
            .is_some_and(|it| it.contains(command)),
        "{commands}"
    );
    if watches_by_name {
        return;
    }
    assert!(commands.contains(r#""region":"REGION""#), "{commands}");
    // A grant that only lacks the Region gets one.
    around.grants = Seen::Known(vec![grant("platform", |it| {
        it["userPoolId"] = pool.clone();
    })]);
    let ungranted = super::resource(|it| {
        not_ready(it, Reason::NotGranted, &cures_message(Reason::NotGranted));
        it["spec"]["userPoolId"] = pool.clone();
    });
    let (_, commands) = mended(&report(ungranted, &secret, &around));
    assert_eq!(
        commands,
        r#"kubectl patch cupg platform --type=merge -p '{"spec":{"region":"REGION"}}'"#
    );
}

#[test]
fn a_sign_out_without_an_outcome_is_made_again_and_no_value_is_sent() {
    let message = cures_message(Reason::OutcomeUnknown);
    let resource = resource(|it| {
        not_ready(it, Reason::OutcomeUnknown, &message);
        it["status"]["signOutOwed"] = json!({ "since": "2026-11-29T11:48:00Z" });
    });
    let report = report(resource, &Seen::Known(Some(secret())), &around());
    let cure = report.cure.as_ref().expect("a cure");
    assert_eq!(
        cure.text,
        "wait: the operator makes the sign-out again by itself"
    );
}

/// The operator acts on each change within seconds, so a status that the facts contradict is only late.
#[rstest]
#[case(Reason::NotGranted)]
#[case(Reason::AmbiguousGrant)]
#[case(Reason::SecretKeyNotFound)]
#[case(Reason::InvalidSecretValue)]
#[case(Reason::DuplicateUser)]
fn a_cause_that_is_gone_needs_no_cure(#[case] reason: Reason) {
    let message = cures_message(reason);
    let resource = resource(|it| not_ready(it, reason, &message));
    let report = report(resource, &Seen::Known(Some(secret())), &around());
    let cure = report.cure.as_ref().expect("a cure");
    assert!(cure.text.starts_with("wait: the cause is gone"), "{cure:?}");
    assert_eq!(cure.commands, ["kubectl get cup ci-bot -n team-a -w"]);
}

#[rstest]
#[case("2026-11-29T11:49:00Z", Level::Warning, "the next try was due 11m ago")]
#[case("2026-11-29T11:51:00Z", Level::Well, "the next try was due 9m ago")]
#[case("2026-11-29T12:00:30Z", Level::Well, "next try in 30s")]
fn a_try_that_is_long_overdue_is_a_warning(
    #[case] retry_at: &str,
    #[case] level: Level,
    #[case] words: &str,
) {
    let resource = resource(|it| {
        not_ready(it, Reason::TooManyRequests, "Throttled.");
        it["status"]["failures"] = json!({ "count": 3, "retryAt": retry_at });
    });
    let report = report(resource, &Seen::Known(Some(secret())), &around());
    let record = report.chain.iter().find(|it| it.subject == "record");
    let record = record.expect("a record");
    assert_eq!(record.level, level, "{}", record.text);
    assert!(record.text.contains(words), "{}", record.text);
}

#[test]
fn a_cure_names_the_other_users_whose_password_it_changes() {
    let own = resource(|it| {
        not_ready(
            it,
            Reason::InvalidPassword,
            &cures_message(Reason::InvalidPassword),
        );
    });
    let other = |name: &str| {
        resource(|it| {
            it["metadata"]["name"] = json!(name);
            it["metadata"]["uid"] = json!(name);
            it["spec"]["username"] = json!(name);
        })
    };
    let elsewhere = resource(|it| it["metadata"]["namespace"] = json!("team-b"));
    let all = vec![own.clone(), other("bot-b"), other("bot-a"), elsewhere];
    let around = Surroundings {
        rivals: Rivals::new(all, None),
        ..around()
    };
    let report = report(own, &Seen::Known(Some(secret())), &around);
    let cure = report.cure.as_ref().expect("a cure");
    let words =
        "2 other resources read this key too, and their users get the same password: bot-a, bot-b";
    assert!(cure.text.ends_with(words), "{cure:?}");
    assert!(!cure.alternatives[0].text.contains("bot-a"), "{cure:?}");
}

#[test]
fn the_name_of_a_new_grant_is_free_and_not_too_long() {
    let name = |resource: &str, taken: &[&str]| {
        let message = cures_message(Reason::NotGranted);
        let resource = resource_named(resource, &message);
        let grants = taken
            .iter()
            .map(|it| grant(it, |it| it["userPoolId"] = json!("eu-west-1_Other")));
        let around = Surroundings {
            grants: Seen::Known(grants.collect()),
            ..around()
        };
        let report = report(resource, &Seen::Known(Some(secret())), &around);
        let (_, commands) = mended(&report);
        let (_, rest) = commands
            .split_once(r#""metadata":{"name":""#)
            .expect("a grant");
        rest.split('"').next().unwrap_or_default().to_owned()
    };
    assert_eq!(name("bot", &[]), "team-a.bot");
    assert_eq!(name("bot", &["team-a.bot", "team-a.bot-2"]), "team-a.bot-3");
    let long = name(&"b".repeat(250), &[]);
    assert!(
        long.len() <= 240 && long.starts_with("team-a.bbb"),
        "{long}"
    );
    assert_ne!(long, name(&format!("{}c", "b".repeat(249)), &[]));
}

fn resource_named(name: &str, message: &str) -> CognitoUserPassword {
    resource(|it| {
        not_ready(it, Reason::NotGranted, message);
        it["metadata"]["name"] = json!(name);
    })
}

#[test]
fn a_secret_that_was_written_after_the_last_set_is_named_in_the_record() {
    let message = cures_message(Reason::InvalidPassword);
    let resource = resource(|it| not_ready(it, Reason::InvalidPassword, &message));
    let record = |version: &str| {
        let secret = FoundSecret {
            version: version.to_owned(),
            ..secret()
        };
        let report = report(resource.clone(), &Seen::Known(Some(secret)), &around());
        text(&report)
    };
    let later = record("8");
    let words = "stays set, and the Secret has been written since";
    assert!(
        later
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .contains(words),
        "{later}"
    );
    assert!(!record("7").contains("written since"));
}

#[test]
fn a_grant_whose_role_cannot_be_assumed_is_named() {
    let resource = resource(|it| not_ready(it, Reason::InvalidCredentials, "None."));
    let mut with_role = grant("platform", |it| {
        it["roleArn"] = json!("arn:aws:iam::111122223333:role/passwords");
    });
    with_role.status = from_value(json!({
        "observedGeneration": 1,
        "conditions": [condition("Ready", "False", "InvalidCredentials", "AccessDenied: sts:AssumeRole.")],
    }))
    .expect("a status");
    let around = Surroundings {
        grants: Seen::Known(vec![with_role]),
        ..around()
    };
    let report = report(resource, &Seen::Known(Some(secret())), &around);
    let said = text(&report);
    let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        words.contains("the grant platform is InvalidCredentials"),
        "{said}"
    );
    assert!(
        said.contains("aws iam update-assume-role-policy --role-name passwords "),
        "{said}"
    );
}

#[test]
fn what_an_unseen_operator_admits_is_not_called_ungranted() {
    let around = Surroundings {
        grants: Seen::Known(Vec::new()),
        operators: vec![Operator {
            installed: None,
            ..operator()
        }],
        ..around()
    };
    let report = report(resource(|_| ()), &Seen::Known(Some(secret())), &around);
    assert!(report.is_well(), "{}", text(&report));
    assert!(text(&report).contains("? grant"), "{}", text(&report));
}

#[test]
fn a_secret_that_the_operator_does_not_find_gets_the_labels_that_the_status_names() {
    let message = "The Secret ci-bot-credentials does not exist in this namespace with the labels that the operator's --secret-selector requires (password-operator=yes): create it.";
    let resource = resource(|it| not_ready(it, Reason::SecretNotFound, message));
    let mut around = around();
    around.operators[0].installed = None;
    let known = report(resource.clone(), &Seen::Known(Some(secret())), &around);
    let label =
        "kubectl label secret ci-bot-credentials -n team-a --overwrite password-operator=yes";
    assert_eq!(mended(&known).1, label, "{}", text(&known));
    // A new Secret needs the labels too.
    let absent = report(resource, &Seen::Known(None), &around);
    assert!(mended(&absent).1.contains(label), "{}", text(&absent));
}

#[test]
fn the_role_that_iam_refuses_is_named_in_the_cure() {
    let words = "AccessDeniedException: User: arn:aws:sts::111122223333:assumed-role/passwords/cpo is not authorized to perform: cognito-idp:AdminSetUserPassword";
    let message = crate::core::condition::verdict::Verdict::quoting(Reason::AccessDenied, words);
    let resource = resource(|it| not_ready(it, Reason::AccessDenied, &message.message));
    let report = report(resource, &Seen::Known(Some(secret())), &around());
    let (_, commands) = mended(&report);
    assert!(
        commands.starts_with("aws iam put-role-policy --role-name passwords "),
        "{commands}"
    );
}
