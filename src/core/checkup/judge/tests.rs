use super::{
    facts::{
        Crds, Deployed, Facts, GrantState, Kubernetes, Lease, OperatorFacts, Page, Pages, Resources,
    },
    judge,
    pages::WITHOUT_CREDENTIALS,
};
use crate::core::checkup::{
    finding::{Finding, Level},
    installed::{Installed, Settings},
    layout::Layout,
    right::{Installation, Right, needed},
    schema::{Difference, StoredCrd},
    scrape::Scrape,
    seen::Seen,
};
use Level::{Failed, Unknown, Warning, Well};

/// The page of an operator of this version, with this number of resources without credentials.
fn metrics(version: &str, leader: u8, waiting: u64) -> String {
    format!(
        "# TYPE x gauge\ncognito_password_operator_build_info{{version=\"{version}\"}} 1\ncognito_password_operator_leader {leader}\n{WITHOUT_CREDENTIALS} {waiting}\n# EOF\n"
    )
}

fn page(pod: &str, leader: u8) -> Page {
    Page {
        of: pod.to_owned(),
        readyz: Ok((200, "ok".to_owned())),
        metrics: Ok((200, metrics("0.1.0", leader, 0))),
    }
}

fn crd(name: &str) -> StoredCrd {
    StoredCrd {
        name: name.to_owned(),
        served: vec!["v1alpha1".to_owned()],
        storage: "v1alpha1".to_owned(),
        stored_versions: vec!["v1alpha1".to_owned()],
        is_established: true,
        difference: Difference::default(),
    }
}

fn installed(namespace: &str, name: &str) -> Installed {
    Installed {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        image: "operator:0.1.0".to_owned(),
        version: Some("0.1.0".to_owned()),
        service_account: "cognito-password-operator".to_owned(),
        desired: 2,
        ready: 2,
        settings: Settings::default(),
    }
}

const HOME: &str = "cognito-password-operator";

fn right(verb: &'static str, resource: &'static str) -> Right {
    Right {
        verb,
        group: "",
        resource,
        subresource: "",
        namespace: None,
        name: None,
    }
}

fn lease(holder: &str, renewed: Option<i64>) -> Option<Seen<Option<Lease>>> {
    Some(Seen::Known(Some(Lease {
        holder: holder.to_owned(),
        renewed,
        duration: 15,
    })))
}

fn grant(name: &str, is_ready: Option<bool>) -> GrantState {
    GrantState {
        name: name.to_owned(),
        is_ready,
        reason: "InvalidCredentials".to_owned(),
        message: "AccessDenied: not\nauthorized to perform sts:AssumeRole".to_owned(),
    }
}

/// An installation in which all is well, as an administrator sees the installation.
fn well() -> Facts {
    let rights = needed(&Installation {
        namespace: HOME.to_owned(),
        key_secret: "keys",
        watched: Vec::new(),
        lease: Some("lease".to_owned()),
    });
    let kinds = [
        "cognitouserpasswords",
        "cognitouserpasswords/status",
        "cognitouserpoolgrants",
        "cognitouserpoolgrants/status",
    ];
    let operator = OperatorFacts {
        deployed: Some(Deployed {
            installed: installed(HOME, HOME),
            release: None,
            pods: Seen::Known(["pod-a", "pod-b"].map(str::to_owned).into()),
            scrape: Seen::Known(Some(Scrape("ServiceMonitor a/b".to_owned()))),
        }),
        rights: Seen::Known(rights.into_iter().map(|right| (right, Ok(true))).collect()),
        lease: lease("pod-a_0123_uid_place.1.2", Some(2)),
        is_renewed: false,
        pages: Some(Pages::Proxied(Seen::Known(vec![
            page("pod-a", 1),
            page("pod-b", 0),
        ]))),
    };
    Facts {
        program: "0.1.0".to_owned(),
        kubernetes: Ok(Kubernetes {
            major: "1".to_owned(),
            minor: "33".to_owned(),
            watch_list: Some(true),
        }),
        crds: Crds {
            kinds: Ok(kinds.map(str::to_owned).into()),
            stored: Some(Seen::Known(
                ["cognitouserpasswords", "cognitouserpoolgrants"]
                    .map(crd)
                    .into(),
            )),
        },
        installed: Some(Seen::Known(vec![installed(HOME, HOME)])),
        operators: vec![operator],
        grants: Some(Seen::Known(vec![grant("a", Some(true))])),
        resources: Some(Seen::Known(Resources {
            ready: 41,
            ..Resources::default()
        })),
    }
}

/// The same installation, as the operator's own program sees it.
fn of_operator() -> Facts {
    let mut facts = well();
    facts.crds.stored = None;
    facts.installed = None;
    let operator = &mut facts.operators[0];
    operator.deployed = None;
    operator.pages = Some(Pages::At(page("http://x", 1)));
    facts
}

fn levels(facts: &Facts) -> Vec<(&'static str, Level)> {
    let findings = judge(facts);
    findings.iter().map(|it| (it.subject, it.level)).collect()
}

/// The findings on a subject.
fn on(facts: &Facts, subject: &str) -> Vec<Finding> {
    let findings = judge(facts).into_iter();
    findings.filter(|it| it.subject == subject).collect()
}

/// The commands that cure the findings on a subject.
fn commands(facts: &Facts, subject: &str) -> Vec<String> {
    let cures = on(facts, subject).into_iter().filter_map(|it| it.cure);
    cures.flat_map(|it| it.commands).collect()
}

#[test]
fn a_good_installation_reads_like_this() {
    let text = Layout::plain(80).findings(&judge(&well()));
    let wanted = [
        "✓ kubernetes  version 1.33, with selectable fields and WatchList",
        "✓ crds        cognito-password-operator.io/v1alpha1 is served and stored, with",
        "              the schemas of 0.1.0",
        "✓ operator    cognito-password-operator/cognito-password-operator: 2 of 2 pods",
        "              ready",
        "✓ operator    version 0.1.0, image operator:0.1.0; as this program",
        "✓ leader      pod-a leads, and renewed the Lease 2s ago",
        "✓ rights      ServiceAccount cognito-password-operator/cognito-password-operator",
        "              has all 19 needed rights",
        "✓ network     /readyz of 2 pods answers ok, through the API server",
        "✓ identity    no resource waits for AWS credentials",
        "✓ metrics     scraped by ServiceMonitor a/b",
        "✓ grants      1 of 1 grant Ready",
        "✓ resources   41 Ready",
    ];
    assert_eq!(text.lines().collect::<Vec<_>>(), wanted);
}

#[test]
fn the_operators_own_program_has_no_finding_on_what_it_may_not_see() {
    let subjects = [
        "kubernetes",
        "crds",
        "leader",
        "rights",
        "network",
        "identity",
        "grants",
        "resources",
    ];
    assert_eq!(levels(&of_operator()), subjects.map(|it| (it, Well)));
    let mut facts = of_operator();
    facts.operators[0].lease = None;
    facts.operators[0].pages = None;
    facts.grants = None;
    let subjects = ["kubernetes", "crds", "rights", "resources"];
    assert_eq!(levels(&facts), subjects.map(|it| (it, Well)));
}

/// Brings one fault into the facts.
type Change = fn(&mut Facts);

/// Each fault with the worst finding: its subject, its level, and words of its text.
type Case = (Change, &'static str, Level, &'static str);

fn assert_found(cases: &[Case]) {
    for (change, subject, level, words) in cases {
        let mut facts = well();
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

fn down() -> String {
    "it is down".to_owned()
}

fn minor(facts: &mut Facts, minor: &str) {
    if let Ok(it) = &mut facts.kubernetes {
        minor.clone_into(&mut it.minor);
    }
}

/// Changes the first CRD.
fn first_crd(facts: &mut Facts, change: impl FnOnce(&mut StoredCrd)) {
    if let Some(Seen::Known(stored)) = &mut facts.crds.stored {
        change(&mut stored[0]);
    }
}

fn paths(paths: &[&str]) -> Vec<String> {
    paths.iter().map(|&it| it.to_owned()).collect()
}

#[test]
fn each_fault_of_the_cluster_is_found_and_named() {
    assert_found(&[
        (|it| minor(it, "31"), "kubernetes", Warning, "1.31"),
        (|it| minor(it, "31+"), "kubernetes", Warning, "1.31+"),
        (|it| minor(it, ""), "kubernetes", Warning, "not a known"),
        (
            |it| it.kubernetes = Err(down()),
            "kubernetes",
            Unknown,
            "it is down",
        ),
        (
            |it| it.crds.kinds = Ok(vec!["cognitouserpasswords".to_owned()]),
            "crds",
            Failed,
            "lacks cognitouserpasswords/status, cognitouserpoolgrants",
        ),
        (
            |it| it.crds.kinds = Err(down()),
            "crds",
            Unknown,
            "it is down",
        ),
        (
            |it| it.crds.stored = Some(Seen::Denied(right("get", "crds"))),
            "crds",
            Unknown,
            "is served; whether the schemas are of 0.1.0 is unknown: you may not get crds",
        ),
        (
            |it| {
                first_crd(it, |crd| {
                    crd.difference.missing = paths(&["spec.drift", "status.foundAs"])
                })
            },
            "crds",
            Failed,
            "cognitouserpasswords is older than 0.1.0: lacks spec.drift, status.foundAs",
        ),
        (
            |it| {
                first_crd(it, |crd| {
                    crd.difference.missing = paths(&["a", "b", "c", "d", "e", "f"])
                })
            },
            "crds",
            Failed,
            "lacks a, b, c, d, and 2 more",
        ),
        (
            |it| first_crd(it, |crd| crd.difference.unknown = paths(&["spec.later"])),
            "crds",
            Warning,
            "is newer than 0.1.0: has spec.later",
        ),
        (
            |it| first_crd(it, |crd| crd.difference.changed = paths(&["spec.username"])),
            "crds",
            Warning,
            "has other rules than 0.1.0 for spec.username",
        ),
        (
            |it| {
                first_crd(it, |crd| {
                    crd.difference.missing = paths(&["spec.a"]);
                    crd.difference.unknown = paths(&["spec.b"]);
                })
            },
            "crds",
            Failed,
            "of another version than 0.1.0: lacks spec.a, and has spec.b",
        ),
        (
            |it| first_crd(it, |crd| crd.is_established = false),
            "crds",
            Failed,
            "not established",
        ),
        (
            |it| {
                first_crd(it, |crd| {
                    crd.stored_versions = paths(&["v1alpha0", "v1alpha1"])
                })
            },
            "crds",
            Warning,
            "may have objects stored as v1alpha0",
        ),
        (
            |it| first_crd(it, |crd| crd.storage = "v1".to_owned()),
            "crds",
            Warning,
            "stored as v1, not as v1alpha1",
        ),
    ]);
}

fn deployed(facts: &mut Facts) -> &mut Deployed {
    facts.operators[0].deployed.as_mut().expect("a Deployment")
}

fn pages(facts: &mut Facts) -> &mut Vec<Page> {
    match &mut facts.operators[0].pages {
        Some(Pages::Proxied(Seen::Known(pages))) => pages,
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_fault_of_the_deployment_is_found_and_named() {
    assert_found(&[
        (
            |it| {
                it.operators.clear();
                it.installed = Some(Seen::Known(Vec::new()));
            },
            "operator",
            Failed,
            "no Deployment of the operator is found",
        ),
        (
            |it| {
                it.operators.clear();
                it.installed = Some(Seen::Denied(right("list", "deployments")));
            },
            "operator",
            Unknown,
            "stay unknown: you may not list deployments -A",
        ),
        (
            |it| deployed(it).installed.ready = 0,
            "operator",
            Failed,
            "0 of 2 pods ready",
        ),
        (
            |it| deployed(it).installed.ready = 1,
            "operator",
            Warning,
            "1 of 2 pods ready",
        ),
        (
            |it| {
                deployed(it).installed.desired = 0;
                deployed(it).installed.ready = 0;
            },
            "operator",
            Failed,
            "scaled to 0",
        ),
        (
            |it| deployed(it).installed.settings.leader_elect = false,
            "operator",
            Failed,
            "2 pods act without an election",
        ),
        (
            |it| {
                pages(it)
                    .iter_mut()
                    .for_each(|page| page.metrics = Ok((200, metrics("0.2.0", 0, 0))))
            },
            "operator",
            Warning,
            "version 0.2.0, image operator:0.1.0; this program, 0.1.0, is older",
        ),
        (
            |it| pages(it)[1].metrics = Ok((200, metrics("0.0.9", 0, 0))),
            "operator",
            Warning,
            "the pods are of versions 0.0.9 and 0.1.0",
        ),
        (
            |it| {
                pages(it).clear();
                it.program = "0.2.0".to_owned();
                it.operators[0].pages = None;
            },
            "operator",
            Warning,
            "this program, 0.2.0, is newer",
        ),
        (
            |it| deployed(it).scrape = Seen::Known(None),
            "metrics",
            Warning,
            "no ServiceMonitor, PodMonitor or scrape annotation",
        ),
        (
            |it| deployed(it).scrape = Seen::Denied(right("list", "services")),
            "metrics",
            Unknown,
            "you may not list services",
        ),
    ]);
}

fn two(facts: &mut Facts, change: impl FnOnce(&mut Installed, &mut Installed)) {
    let (mut a, mut b) = (installed(HOME, "a"), installed("home", "b"));
    change(&mut a, &mut b);
    facts.installed = Some(Seen::Known(vec![a, b]));
}

#[test]
fn two_installations_in_each_others_way_are_found() {
    let watch = |it: &mut Installed, names: &[&str]| it.settings.watch_namespaces = paths(names);
    let mut facts = well();
    two(&mut facts, |a, b| b.namespace.clone_from(&a.namespace));
    let text = &on(&facts, "operator")[0].text;
    assert!(
        text.contains("share the Lease cognito-password-operator"),
        "{text}"
    );
    two(&mut facts, |_, _| ());
    let text = &on(&facts, "operator")[0].text;
    assert_eq!(
        text,
        "cognito-password-operator/a and home/b both watch all namespaces: both set the same passwords"
    );
    two(&mut facts, |a, b| {
        watch(a, &["x", "y"]);
        watch(b, &["y", "z"]);
    });
    let text = &on(&facts, "operator")[0].text;
    assert!(text.contains("both watch y"), "{text}");
    two(&mut facts, |a, b| {
        watch(a, &["x"]);
        watch(b, &["z"]);
    });
    assert!(on(&facts, "operator").iter().all(|it| it.level == Well));
}

#[test]
fn with_two_operators_each_text_names_its_deployment() {
    let mut facts = well();
    let mut other = facts.operators[0].clone();
    if let Some(deployed) = &mut other.deployed {
        deployed.installed = installed("home", "b");
    }
    facts.operators.push(other);
    let leaders = on(&facts, "leader");
    assert_eq!(
        leaders[1].text,
        "home/b: pod-a leads, and renewed the Lease 2s ago"
    );
}

#[test]
fn each_fault_of_the_election_is_found_and_named() {
    assert_found(&[
        (
            |it| it.operators[0].lease = Some(Seen::Known(None)),
            "leader",
            Failed,
            "no Lease",
        ),
        (
            |it| it.operators[0].lease = lease("", Some(1)),
            "leader",
            Failed,
            "nobody",
        ),
        (
            |it| it.operators[0].lease = lease("pod-a_1", Some(76)),
            "leader",
            Failed,
            "pod-a held the Lease and renewed it last 1m ago, which is longer than the 15 s",
        ),
        (
            |it| {
                it.operators[0].lease = lease("pod-a_1", Some(76));
                it.operators[0].is_renewed = true;
            },
            "leader",
            Warning,
            "differs by 1m from this machine's clock",
        ),
        (
            |it| it.operators[0].lease = lease("pod-a_1", None),
            "leader",
            Warning,
            "since when",
        ),
        (
            |it| it.operators[0].lease = lease("pod-z_1", Some(1)),
            "leader",
            Failed,
            "pod-z holds the Lease cognito-password-operator and is no pod of",
        ),
        (
            |it| it.operators[0].lease = Some(Seen::Denied(right("get", "leases"))),
            "leader",
            Unknown,
            "the Lease can't be read: you may not get leases -A",
        ),
        (
            |it| pages(it)[1].metrics = Ok((200, metrics("0.1.0", 1, 0))),
            "leader",
            Failed,
            "2 lead at once: pod-a, pod-b",
        ),
    ]);
}

/// Sets the answer for each right of which this is true.
fn answer(facts: &mut Facts, answer: &Result<bool, String>, of: fn(&Right) -> bool) {
    if let Seen::Known(rights) = &mut facts.operators[0].rights {
        for (_, it) in rights.iter_mut().filter(|(right, _)| of(right)) {
            it.clone_from(answer);
        }
    }
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
        commands(&facts, "rights"),
        ["kubectl apply -k deploy/all-namespaces/"]
    );
    answer(&mut facts, &Ok(false), |_| true);
    let text = &on(&facts, "rights")[0].text;
    assert!(
        text.contains("lacks 19 of 19") && text.ends_with("and 5 more"),
        "{text}"
    );
    assert_eq!(
        commands(&facts, "rights"),
        [
            "kubectl apply -f deploy/base/rbac.yaml",
            "kubectl apply -k deploy/all-namespaces/"
        ]
    );
    deployed(&mut facts).release = Some("cpo".to_owned());
    assert_eq!(
        commands(&facts, "rights"),
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
        commands(&facts, "rights"),
        ["kubectl apply -k deploy/watch-namespaces/"]
    );
    deployed(&mut facts).installed.service_account = "other".to_owned();
    assert_eq!(commands(&facts, "rights"), Vec::<String>::new());
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
    assert!(text.starts_with("1 resource wait"), "{text}");
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
fn without_a_grant_the_rule_for_users_without_a_grant_decides() {
    let mut facts = well();
    facts.grants = Some(Seen::Known(Vec::new()));
    assert_eq!(on(&facts, "grants")[0].level, Warning);
    deployed(&mut facts).installed.settings.ungranted_allow = true;
    assert_eq!(on(&facts, "grants")[0].level, Well);
    facts.grants = Some(Seen::Denied(right("list", "cupg")));
    assert_eq!(on(&facts, "grants")[0].level, Unknown);
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
        longest_suspended: Some(("team-a/bot".to_owned(), 9 * 86_400)),
    };
    facts.resources = Some(Seen::Known(counted));
    let found = on(&facts, "resources");
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].level, found[0].text.as_str()),
        (
            Warning,
            "41 Ready; 2 PasswordHistoryPolicyViolation, 1 InvalidPassword, 3 NotGranted, 2 FromTheFuture, and 2 more; 2 suspended, team-a/bot for 9d"
        )
    );
    let counted = Resources {
        ready: 1,
        unready: [("Progressing".to_owned(), 1)].into(),
        suspended: 1,
        longest_suspended: Some(("team-a/bot".to_owned(), 60)),
    };
    facts.resources = Some(Seen::Known(counted));
    assert_eq!(on(&facts, "resources")[0].level, Well);
    facts.resources = Some(Seen::Failed(down()));
    assert_eq!(on(&facts, "resources")[0].level, Unknown);
}

#[test]
fn a_plus_sign_of_a_distribution_does_no_harm() {
    let mut facts = well();
    minor(&mut facts, "32+");
    assert_eq!(levels(&facts)[0], ("kubernetes", Well));
}
