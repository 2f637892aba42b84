use super::{NamespaceState, PreFacts, judge, to_install};
use crate::core::checkup::{
    finding::{Level, exit_status},
    installed::{Installed, Settings},
    judge::facts::{Crds, Kubernetes},
    layout::Layout,
    right::{Installation, Right, needed},
    schema::{Difference, StoredCrd},
    seen::Seen,
};
use Level::{Failed, Unknown, Warning, Well};

/// An empty cluster, as an administrator sees the cluster.
fn empty() -> PreFacts {
    let rights = to_install("home", &[]).into_iter();
    PreFacts {
        program: "0.1.0".to_owned(),
        namespace: "home".to_owned(),
        watched: Vec::new(),
        kubernetes: Ok(Kubernetes {
            major: "1".to_owned(),
            minor: "33".to_owned(),
            watch_list: None,
        }),
        crds: Crds {
            kinds: Ok(Vec::new()),
            stored: Some(Seen::Known(Vec::new())),
            lacks: None,
        },
        rights: rights.map(|right| (right, Ok(true))).collect(),
        given: None,
        installed: Seen::Known(Vec::new()),
        existing: Seen::Known(None),
    }
}

fn operator(namespace: &str, watched: &[&str]) -> Installed {
    let settings = Settings {
        watch_namespaces: watched.iter().map(|&it| it.to_owned()).collect(),
        ..Settings::default()
    };
    Installed {
        namespace: namespace.to_owned(),
        name: "operator".to_owned(),
        image: "a:0.0.9".to_owned(),
        version: None,
        selector: "app.kubernetes.io/name=cognito-password-operator".to_owned(),
        service_account: "operator".to_owned(),
        desired: 2,
        ready: 2,
        settings,
        ..Installed::default()
    }
}

fn right() -> Right {
    Right {
        verb: "get",
        group: "",
        resource: "namespaces",
        subresource: "",
        namespace: None,
        name: Some("home".to_owned()),
    }
}

#[test]
fn an_empty_cluster_reads_like_this() {
    let findings = judge(&empty());
    let text = Layout::plain(80).findings(&findings);
    let wanted = [
        "✓ kubernetes  version 1.33, with selectable fields",
        "✓ crds        not installed yet",
        "✓ rights      you have all 33 rights that an installation takes",
        "✓ namespace   home is not there yet",
        "✓ operator    there is no other installation",
    ];
    assert_eq!(text.lines().collect::<Vec<_>>(), wanted);
    assert_eq!(exit_status(&findings), 0);
}

type Case = (fn(&mut PreFacts), &'static str, Level, &'static str);

fn assert_found(cases: &[Case]) {
    for (change, subject, level, words) in cases {
        let mut facts = empty();
        change(&mut facts);
        let findings = judge(&facts);
        let worst = findings.iter().max_by_key(|it| it.level);
        let worst = worst.expect("there are findings");
        let text = &worst.text;
        assert_eq!(
            (worst.subject, worst.level),
            (*subject, *level),
            "{words}: {text}"
        );
        assert!(text.contains(words), "{words}: {text}");
    }
}

fn crd(missing: &[&str]) -> StoredCrd {
    StoredCrd {
        name: "cognitouserpasswords".to_owned(),
        served: Vec::new(),
        storage: String::new(),
        stored_versions: Vec::new(),
        is_established: true,
        difference: Difference {
            missing: missing.iter().map(|&it| it.to_owned()).collect(),
            ..Difference::default()
        },
    }
}

fn watch(facts: &mut PreFacts) {
    facts.watched = vec!["team-a".to_owned()];
    facts.crds.kinds = Ok(vec!["cognitouserpasswords".to_owned()]);
    facts.crds.stored = Some(Seen::Known(vec![crd(&[])]));
    let state = NamespaceState {
        is_terminating: false,
        enforced: Some("restricted".to_owned()),
    };
    facts.existing = Seen::Known(Some(state));
}

#[test]
fn each_obstacle_is_found_and_named() {
    assert_found(&[
        (
            |it| it.crds.stored = Some(Seen::Known(vec![crd(&["spec.drift"])])),
            "crds",
            Warning,
            "older than 0.1.0: lacks spec.drift",
        ),
        (
            |it| it.crds.kinds = Err("down".to_owned()),
            "crds",
            Unknown,
            "down",
        ),
        (
            |it| {
                it.crds.kinds = Ok(vec!["cognitouserpasswords".to_owned()]);
                it.crds.stored = Some(Seen::Denied(right()));
            },
            "crds",
            Unknown,
            "already served",
        ),
        (
            |it| {
                watch(it);
                it.crds.stored = Some(Seen::Known(Vec::new()));
            },
            "crds",
            Failed,
            "come before an operator of some namespaces",
        ),
        (
            |it| {
                for (right, answer) in &mut it.rights {
                    *answer = Ok(right.verb == "get");
                }
            },
            "rights",
            Failed,
            "you may not create,patch namespaces -A; create,patch customresourcedefinitions",
        ),
        (
            |it| it.rights[0].1 = Err("down".to_owned()),
            "rights",
            Unknown,
            "no answer on get namespaces -A: down",
        ),
        (
            |it| {
                let installation = Installation {
                    namespace: "home".to_owned(),
                    key_secret: "keys",
                    watched: Vec::new(),
                    lease: None,
                };
                let given = needed(&installation).into_iter();
                it.given = Some(
                    given
                        .map(|right| {
                            let may = right.resource != "secrets";
                            (right, Ok(may))
                        })
                        .collect(),
                );
            },
            "rights",
            Failed,
            "may not give the operator rights that you lack: get,list,watch secrets -A",
        ),
    ]);
}

#[test]
fn a_namespace_and_an_operator_in_the_way_are_found() {
    assert_found(&[
        (
            |it| it.existing = Seen::Denied(right()),
            "namespace",
            Unknown,
            "you may not get namespaces/home",
        ),
        (
            |it| {
                it.existing = Seen::Known(Some(NamespaceState {
                    is_terminating: true,
                    enforced: None,
                }));
            },
            "namespace",
            Failed,
            "is being deleted",
        ),
        (
            |it| it.installed = Seen::Known(vec![operator("home", &[])]),
            "operator",
            Warning,
            "home/operator is there, 0.0.9, and watches all namespaces",
        ),
        (
            |it| it.installed = Seen::Known(vec![operator("other", &["team-b"])]),
            "operator",
            Failed,
            "watches team-b: two operators of one namespace",
        ),
        (
            |it| it.installed = Seen::Failed("down".to_owned()),
            "operator",
            Unknown,
            "another installation is unknown: down",
        ),
    ]);
}

#[test]
fn operators_of_other_namespaces_are_no_obstacle() {
    let mut facts = empty();
    watch(&mut facts);
    facts.installed = Seen::Known(vec![operator("other", &["team-b"])]);
    let findings = judge(&facts);
    assert!(findings.iter().all(|it| it.level == Well), "{findings:?}");
    let namespace = findings.iter().find(|it| it.subject == "namespace");
    let text = &namespace.expect("a finding on the namespace").text;
    assert!(text.contains("the Pod Security level restricted"), "{text}");
    facts.installed = Seen::Known(vec![operator("other", &["team-a"])]);
    assert_eq!(exit_status(&judge(&facts)), 1);
}

#[test]
fn an_operator_of_some_namespaces_takes_no_right_in_the_whole_cluster() {
    let rights = to_install("home", &["team-a".to_owned()]);
    let places: Vec<_> = rights.iter().map(|it| it.namespace.as_deref()).collect();
    assert!(!places.contains(&None), "{rights:?}");
    assert!(places.contains(&Some("team-a")), "{rights:?}");
    assert_eq!(rights.len(), 27);
}
