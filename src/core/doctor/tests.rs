//! Golden texts of whole chains, each one valid scene with one fault; and the table of cures.

use super::{
    cures::{self, cure, known::Known},
    facts::{FoundGrant, FoundSecret, Listed, Operator, Rivals, Surroundings},
    report::Report,
    subject::Subject,
    summary::Summary,
};
use crate::{
    api::{Class, CognitoUserPassword, GrantStatus, REASONS, Reason},
    core::{
        access::{grant_status::GRANT_REASONS, why_not::ListedGrant},
        checkup::{
            installed::{Installed, Settings},
            judge::facts::Crds,
            layout::Layout,
            lease::Lease,
            metrics::Metrics,
            right::Right,
            seen::Seen,
        },
        credential::password::InvalidValue,
    },
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, from_value, json};
use std::collections::BTreeMap;

mod goldens;
mod operators;
mod places;

pub(super) const NOW: &str = "2026-11-29T12:00:00Z";

pub(super) fn now() -> Timestamp {
    NOW.parse().expect("a time")
}

/// A resource that is Ready, with this change.
pub(super) fn resource(change: impl FnOnce(&mut Value)) -> CognitoUserPassword {
    let mut object = json!({
        "apiVersion": "cognito-password-operator.io/v1alpha1",
        "kind": "CognitoUserPassword",
        "metadata": {
            "name": "ci-bot", "namespace": "team-a", "uid": "u1", "generation": 3,
            "creationTimestamp": "2026-11-01T12:00:00Z",
        },
        "spec": {
            "userPoolId": "eu-west-1_AbCdEf123",
            "username": "ci-bot",
            "passwordSecretRef": { "name": "ci-bot-credentials", "key": "password" },
        },
        "status": {
            "observedGeneration": 3,
            "synced": {
                "fingerprint": "k.0", "secretUid": "s", "secretResourceVersion": "7",
                "at": "2026-11-24T12:00:00.000000Z",
            },
            "conditions": [condition("Ready", "True", "PasswordSet", "The user's password is what the Secret says.")],
        },
    });
    change(&mut object);
    from_value(object).expect("a resource")
}

pub(super) fn condition(type_: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({
        "type": type_, "status": status, "reason": reason, "message": message,
        "observedGeneration": 3, "lastTransitionTime": "2026-11-29T11:48:00Z",
    })
}

/// The status of a resource that isn't Ready for this reason.
pub(super) fn not_ready(object: &mut Value, reason: Reason, message: &str) {
    object["status"]["conditions"] = json!([condition("Ready", "False", reason.as_str(), message)]);
}

pub(super) fn grant(name: &str, change: impl FnOnce(&mut Value)) -> FoundGrant {
    let mut spec = json!({
        "userPoolId": "eu-west-1_AbCdEf123",
        "usernames": ["ci-*"],
        "namespaces": { "names": ["team-a"] },
    });
    change(&mut spec);
    FoundGrant {
        name: name.to_owned(),
        role: spec["roleArn"].as_str().map(str::to_owned),
        grant: ListedGrant::Spec(from_value(spec).expect("a spec")),
        generation: 1,
        status: GrantStatus::default(),
    }
}

pub(super) fn operator() -> Operator {
    Operator {
        namespace: "cognito-password-operator".to_owned(),
        installed: Some(Installed {
            namespace: "cognito-password-operator".to_owned(),
            name: "cognito-password-operator".to_owned(),
            image: "image:0.1.0".to_owned(),
            version: Some("0.1.0".to_owned()),
            selector: "app.kubernetes.io/name=cognito-password-operator".to_owned(),
            service_account: "cognito-password-operator".to_owned(),
            desired: 2,
            ready: 2,
            settings: Settings::default(),
            ..Installed::default()
        }),
        lease: Seen::Known(Some(Lease {
            name: "cognito-password-operator".to_owned(),
            holder: "cpo-7d9f-x2k".to_owned(),
            held: Some(SignedDuration::from_hours(72)),
            age: Some(SignedDuration::from_secs(1)),
            duration: SignedDuration::from_secs(15),
            is_renewed: false,
        })),
        metrics: Seen::Known(vec![(
            "cpo-7d9f-x2k".to_owned(),
            Metrics {
                version: Some("0.1.0".to_owned()),
                leads: Some(true),
                queue: Some(0.0),
                waiting: Some(0.0),
                rps: Some(10.0),
            },
        )]),
        rights: Seen::Known(Vec::new()),
    }
}

pub(super) const KINDS: [&str; 2] = ["cognitouserpasswords", "cognitouserpoolgrants"];

/// What the API server serves, as a tenant sees it.
pub(super) fn crds(kinds: &[&str], lacks: &[&str]) -> Crds {
    let lacks = lacks.iter().map(|&it| it.to_owned()).collect();
    Crds {
        kinds: Ok(kinds.iter().map(|&it| it.to_owned()).collect()),
        stored: None,
        lacks: Some(BTreeMap::from([("cognitouserpasswords".to_owned(), lacks)])),
    }
}

/// All is well, as an administrator sees it.
pub(super) fn around() -> Surroundings {
    Surroundings {
        now: now(),
        crds: crds(&KINDS, &[]),
        operators: vec![operator()],
        deployments: Seen::Known(()),
        grants: Seen::Known(vec![grant("platform", |_| ())]),
        labels: BTreeMap::from([("team-a".to_owned(), Seen::Known(BTreeMap::new()))]),
        rivals: Rivals::new(vec![resource(|_| ())], None),
    }
}

pub(super) fn secret() -> FoundSecret {
    FoundSecret {
        uid: "s".to_owned(),
        version: "7".to_owned(),
        keys: vec!["password".to_owned()],
        value: Some(Ok(())),
        is_well_without_end: true,
        is_immutable: false,
        unfit: Vec::new(),
        owner: None,
    }
}

pub(super) fn denied<T>(
    verb: &'static str,
    resource: &'static str,
    namespace: Option<&str>,
) -> Seen<T> {
    Seen::Denied(Right {
        verb,
        group: "",
        resource,
        subresource: "",
        namespace: namespace.map(str::to_owned),
        name: None,
    })
}

pub(super) fn report(
    resource: CognitoUserPassword,
    secret: &Seen<Option<FoundSecret>>,
    around: &Surroundings,
) -> Report {
    Report::new(&Listed::Readable(Box::new(resource)), Some(secret), around)
}

pub(super) fn text(report: &Report) -> String {
    report.text(&Layout::plain(80))
}

/// No line but a command to copy is longer than 80 columns.
pub(super) fn assert_fits(text: &str) {
    let is_command = |line: &str| {
        let words = line.trim_start();
        [
            "kubectl ",
            "printf ",
            ": ",
            "echo ",
            "docker ",
            "aws ",
            "cognito-password-operator ",
        ]
        .iter()
        .any(|it| words.starts_with(it))
    };
    for line in text.lines().filter(|it| !is_command(it)) {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

#[test]
fn every_reason_has_a_cure_with_the_names_of_the_resource() {
    let resource = resource(|_| ());
    let subject = Subject::new(&resource);
    for entry in REASONS {
        for is_stalled in [false, true] {
            let known = Known {
                is_stalled,
                ..Known::default()
            };
            let cure = cure(entry.reason, &subject, &known);
            if entry.class == Class::Settled {
                assert_eq!(cure, None, "{}", entry.word);
                continue;
            }
            let cure = cure.unwrap_or_else(|| panic!("{} has no cure", entry.word));
            let others = cure.alternatives.iter().flat_map(|it| &it.commands);
            let commands: Vec<_> = cure.commands.iter().chain(others).cloned().collect();
            let commands = commands.join("\n");
            assert!(!cure.text.is_empty(), "{}", entry.word);
            assert!(!cure.text.contains("NAME"), "{}: {}", entry.word, cure.text);
            let is_concrete = ["ci-bot", "eu-west-1", "cognito-password-operator"]
                .iter()
                .any(|name| commands.contains(name));
            // Without the grants, only the platform team can name them.
            let needs_grants =
                matches!(entry.reason, Reason::AmbiguousGrant | Reason::UnknownRegion);
            assert!(is_concrete || needs_grants, "{}: {commands}", entry.word);
            let first = cure.commands.join("\n").replace("POOL_ID", "");
            for placeholder in ["NAMESPACE", "USERNAME", "RESOURCE", "POOL", "SECRET"] {
                assert!(!first.contains(placeholder), "{}: {first}", entry.word);
            }
            assert_eq!(cure.page, Some(cures::page(entry.reason)));
        }
    }
}

#[test]
fn every_reason_of_a_grant_has_a_cure_with_the_name_of_the_grant() {
    let role = "arn:aws:iam::111122223333:role/cognito/passwords";
    let found = grant("platform", |it| {
        it["roleArn"] = json!(role);
        it["externalId"] = json!("team-a");
    });
    let cure = |reason, message| super::chain::grant::cure(&found, reason, message);
    for reason in GRANT_REASONS.iter().filter(|it| **it != "Accepted") {
        let cure = cure(reason, "");
        let alternatives = cure.alternatives.iter().flat_map(|it| &it.commands);
        let commands: Vec<_> = cure.commands.iter().chain(alternatives).cloned().collect();
        let commands = commands.join("\n");
        assert!(commands.contains("cupg platform"), "{reason}: {commands}");
        assert!(cure.page.is_some(), "{reason}");
    }
    let refused = "The operator can't assume it (AccessDenied: User: arn:aws:sts::444455556666:assumed-role/op/* is not authorized to perform: sts:AssumeRole on resource: x): mend it.";
    let cure = cure("InvalidCredentials", refused);
    assert_eq!(
        cure.commands,
        [
            "aws iam update-assume-role-policy --role-name passwords --policy-document \"$(kubectl cognito-password iam-policy trust operator --pod-identity --operator-role-arn arn:aws:iam::444455556666:role/op --external-id team-a)\"",
            "aws iam put-role-policy --role-name op --policy-name assume-passwords --policy-document \"$(kubectl cognito-password iam-policy --pod-identity --assume-role-arn arn:aws:iam::111122223333:role/cognito/passwords)\"",
        ]
    );
}

#[test]
fn hostile_names_stay_one_word_of_each_command() {
    let hostile = resource(|it| it["spec"]["username"] = json!("bot'; rm -rf $HOME; '"));
    let subject = Subject::new(&hostile);
    for entry in REASONS {
        let cure = cure(entry.reason, &subject, &Known::default());
        for command in cure.into_iter().flat_map(|it| it.commands) {
            assert!(!command.contains("bot'; rm"), "{command}");
        }
    }
    let unseen = resource(|it| it["spec"]["username"] = json!("bot\u{202e}x"));
    let cure = cure(Reason::UserGone, &Subject::new(&unseen), &Known::default());
    let commands = cure.expect("a cure").commands.join("\n");
    assert!(commands.contains("--username USERNAME"), "{commands}");
}

#[test]
fn the_sections_of_the_page_of_reasons_exist() {
    let page = include_str!("../../../docs/reasons.md");
    for entry in REASONS {
        assert!(
            page.contains(&format!("\n### {}\n", entry.word)),
            "{}",
            entry.word
        );
    }
}

#[test]
fn a_value_is_mended_without_typing_it_again_if_only_a_line_break_is_wrong() {
    let resource = resource(|it| it["spec"]["passwordSecretRef"]["key"] = json!("app.password"));
    let secret = FoundSecret {
        value: Some(Err(InvalidValue::TrailingLineBreak)),
        owner: Some("ExternalSecret/ci".to_owned()),
        ..secret()
    };
    let known = Known {
        secret: Some(&secret),
        ..Known::default()
    };
    let cure = cure(Reason::InvalidSecretValue, &Subject::new(&resource), &known);
    let cure = cure.expect("a cure");
    assert_eq!(
        cure.commands,
        [
            r#"printf '{"data":{"%s":"%s"}}' app.password "$(kubectl get secret ci-bot-credentials -n team-a -o jsonpath='{.data.app\.password}' | base64 -d | tr -d '\r\n' | base64 | tr -d '\n')" | kubectl patch secret ci-bot-credentials -n team-a --patch-file=/dev/stdin"#
        ]
    );
    assert!(cure.text.contains("ExternalSecret/ci"), "{}", cure.text);
}

#[test]
fn a_summary_counts_by_reason_the_worst_first() {
    let named = |name: &str, change: &dyn Fn(&mut Value)| {
        let it = resource(|it| {
            it["metadata"]["name"] = json!(name);
            it["metadata"]["uid"] = json!(name);
            it["spec"]["username"] = json!(format!("ci-{name}"));
            change(it);
        });
        Listed::Readable(Box::new(it))
    };
    let listed = vec![
        named("well-1", &|_| ()),
        named("waits-1", &|it| {
            not_ready(it, Reason::NotGranted, "No grant.");
        }),
        named("stalls", &|it| {
            not_ready(it, Reason::InvalidPassword, "No.");
        }),
        named("waits-2", &|it| {
            not_ready(it, Reason::NotGranted, "No grant.");
            it["status"]["conditions"][0]["lastTransitionTime"] = json!("2026-11-20T08:00:00Z");
        }),
        named("stale", &|it| it["metadata"]["generation"] = json!(4)),
        Listed::Unreadable {
            namespace: "team-a".to_owned(),
            name: "odd".to_owned(),
            why: "missing field".to_owned(),
        },
        named("paused", &|it| {
            it["spec"]["suspend"] = json!(true);
            it["metadata"]["annotations"] = json!({ crate::api::SUSPENDED_BECAUSE: "INC-4711" });
            let suspended = condition("Suspended", "True", "Suspended", "It is.");
            it["status"]["conditions"]
                .as_array_mut()
                .expect("a list")
                .push(suspended);
        }),
    ];
    let summary = Summary::new(&listed, &around());
    assert_eq!((summary.total, summary.ready), (7, 2));
    assert!(!summary.is_well());
    let counted: Vec<_> = summary
        .states
        .iter()
        .map(|it| (it.state, it.count))
        .collect();
    assert_eq!(
        counted,
        [
            ("Unreadable", 1),
            ("NotObserved", 1),
            ("InvalidPassword", 1),
            ("NotGranted", 2),
            ("Suspended", 1),
            ("Ready", 1),
        ]
    );
    assert_eq!(summary.states[3].oldest, "team-a/waits-2");
    assert_eq!(summary.resources.len(), 6);
    let text = summary.text(&Layout::plain(80), "in team-a");
    assert_fits(&text);
    let wanted = include_str!("tests/summary.txt");
    assert_eq!(text.trim(), wanted.trim(), "{text}");
}

#[test]
fn a_summary_of_ten_thousand_takes_no_longer_than_a_list() {
    let listed: Vec<_> = (0..10_000)
        .map(|number| {
            let it = resource(|it| {
                it["metadata"]["name"] = json!(format!("r{number}"));
                it["metadata"]["uid"] = json!(format!("r{number}"));
                it["spec"]["username"] = json!(format!("ci-{number}"));
                not_ready(it, Reason::NotGranted, "No grant.");
            });
            Listed::Readable(Box::new(it))
        })
        .collect();
    let rivals = listed.iter().filter_map(Listed::readable).cloned();
    let around = Surroundings {
        rivals: Rivals::new(rivals.collect(), None),
        ..around()
    };
    let summary = Summary::new(&listed, &around);
    assert_eq!(summary.states[0].count, 10_000);
    assert_eq!(summary.resources.len(), 10_000);
}
