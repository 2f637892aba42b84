//! A good installation, which each test breaks in one place.

mod cluster;
mod objects;
mod operators;
mod pages;
mod rights;

use super::{
    facts::{Crds, Deployed, Facts, Kubernetes, OperatorFacts, Page, Pages, Resources, Suspension},
    judge,
    pages::WITHOUT_CREDENTIALS,
};
use crate::core::{
    access::{found_grant::FoundGrant, why_not::ListedGrant},
    checkup::{
        finding::{Finding, Level},
        installed::{Installed, Settings},
        layout::Layout,
        lease::Lease,
        right::{Installation, Right, needed},
        schema::{Difference, StoredCrd},
        scrape::Scrape,
        seen::Seen,
    },
};
use Level::{Failed, Unknown, Warning, Well};
use jiff::SignedDuration;
use serde_json::{from_value, json};

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
        selector: "app.kubernetes.io/name=cognito-password-operator".to_owned(),
        service_account: "cognito-password-operator".to_owned(),
        desired: 2,
        ready: 2,
        settings: Settings::default(),
        ..Installed::default()
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

fn lease(holder: &str, renewed: Option<i64>) -> Seen<Option<Lease>> {
    Seen::Known(Some(Lease {
        holder: holder.to_owned(),
        age: renewed.map(SignedDuration::from_secs),
        duration: SignedDuration::from_secs(15),
        ..Lease::default()
    }))
}

fn grant(name: &str, is_ready: Option<bool>) -> FoundGrant {
    let ready = is_ready.map(|it| {
        json!({
            "type": "Ready",
            "status": if it { "True" } else { "False" },
            "reason": "InvalidCredentials",
            "message": "AccessDenied: not\nauthorized to perform sts:AssumeRole",
            "observedGeneration": 2,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        })
    });
    let status = json!({ "conditions": ready.as_slice() });
    let spec = json!({
        "userPoolId": "eu-west-1_AbCdEf123",
        "usernames": ["*"],
        "namespaces": { "names": ["team-a"] },
    });
    FoundGrant {
        name: name.to_owned(),
        grant: ListedGrant::Spec(from_value(spec).expect("a spec")),
        role: None,
        generation: 2,
        status: from_value(status).expect("a status"),
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
            pods: Seen::Known(["pod-a", "pod-b"].map(str::to_owned).into()),
            scrape: Seen::Known(Some(Scrape("ServiceMonitor a/b".to_owned()))),
        }),
        rights: Seen::Known(rights.into_iter().map(|right| (right, Ok(true))).collect()),
        lease: Some(lease("pod-a_0123_uid_place.1.2", Some(2))),
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
            lacks: None,
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

fn paths(paths: &[&str]) -> Vec<String> {
    paths.iter().map(|&it| it.to_owned()).collect()
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
