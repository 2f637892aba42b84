//! What the link of the operator finds: causes that no status tells.

use super::*;
use crate::core::checkup::finding::Level;
use rstest::rstest;

type Change = fn(&mut Surroundings);

fn first(around: &mut Surroundings) -> &mut Operator {
    &mut around.operators[0]
}

fn installed(around: &mut Surroundings) -> &mut Installed {
    first(around).installed.as_mut().expect("a Deployment")
}

fn lease(around: &mut Surroundings, change: impl FnOnce(&mut Lease)) {
    if let Seen::Known(Some(lease)) = &mut first(around).lease {
        change(lease);
    }
}

#[rstest]
#[case::scaled_down(|it: &mut Surroundings| installed(it).desired = 0, "scaled to 0", "kubectl scale deployment cognito-password-operator -n cognito-password-operator --replicas=2")]
#[case::not_ready(|it: &mut Surroundings| installed(it).ready = 0, "has 0 of 2 pods ready", "kubectl logs")]
#[case::no_lease(|it: &mut Surroundings| first(it).lease = Seen::Known(None), "no pod leads: there is no Lease", "kubectl logs")]
#[case::expired(|it: &mut Surroundings| lease(it, |it| it.age = Some(SignedDuration::from_mins(60))), "no pod leads: cpo-7d9f-x2k last renewed the Lease 60m ago", "kubectl logs")]
#[case::released(|it: &mut Surroundings| lease(it, |it| it.holder.clear()), "nobody holds the Lease", "kubectl logs")]
#[case::others(|it: &mut Surroundings| installed(it).settings.watch_namespaces = vec!["team-b".to_owned()], "watches only team-b, and not team-a", "sed -e 's/^ *- --watch-namespaces=.*/&,team-a/'")]
#[case::without_election(|it: &mut Surroundings| installed(it).settings.leader_elect = false, "2 pods with --leader-elect=false", "--replicas=1")]
#[case::two_operators(|it: &mut Surroundings| {
    let mut second = operator();
    second.namespace = "other".to_owned();
    second.installed.as_mut().expect("a Deployment").namespace = "other".to_owned();
    it.operators.push(second);
}, "two operators act for team-a", "kubectl scale deployment cognito-password-operator -n other --replicas=0")]
#[case::two_leaders(|it: &mut Surroundings| {
    if let Seen::Known(pods) = &mut first(it).metrics {
        let second = ("cpo-7d9f-zzz".to_owned(), pods[0].1.clone());
        pods.push(second);
    }
}, "2 pods lead at once: cpo-7d9f-x2k, cpo-7d9f-zzz", "kubectl rollout restart")]
#[case::no_crds(|it: &mut Surroundings| it.crds = crds(&[], &[]), "the CRDs are not installed", "crd | kubectl apply --server-side --force-conflicts -f -")]
#[case::one_crd(|it: &mut Surroundings| it.crds = crds(&KINDS[..1], &[]), "doesn't serve cognitouserpoolgrants of", "crd | kubectl apply --server-side --force-conflicts -f -")]
fn a_cause_that_no_status_tells(
    #[case] change: Change,
    #[case] words: &str,
    #[case] command: &str,
) {
    let mut around = around();
    change(&mut around);
    let report = report(resource(|_| ()), &Seen::Known(Some(secret())), &around);
    assert!(!report.is_well(), "{}", text(&report));
    assert_fits(&text(&report));
    let failed = report.chain.iter().filter(|it| it.level == Level::Failed);
    let found = failed.clone().find(|it| it.text.contains(words));
    let found = found.unwrap_or_else(|| panic!("no {words}: {:#?}", report.chain));
    let cure = found.cure.as_ref().expect("a cure");
    assert!(cure.commands.join("\n").contains(command), "{cure:?}");
    assert!(cure.page.is_some() || !command.is_empty(), "{cure:?}");
}

#[rstest]
#[case::no_right(
    denied("get", "pods/proxy", Some("home")),
    "you may not get pods/proxy -n home"
)]
#[case::no_answer(Seen::Failed("http://x: connection refused".to_owned()), "http://x: connection refused")]
#[case::no_pod(Seen::Known(Vec::new()), "no pod that leads answers /metrics")]
#[case::no_leader(
    Seen::Known(vec![("a".to_owned(), Metrics { leads: Some(false), ..Metrics::default() })]),
    "no pod that leads answers /metrics"
)]
#[case::another_page(
    Seen::Known(vec![("http://x".to_owned(), Metrics::default())]),
    "/metrics of http://x has neither"
)]
fn a_queue_that_nobody_sees_is_a_question_with_the_cause(
    #[case] metrics: Seen<Vec<(String, Metrics)>>,
    #[case] why: &str,
) {
    let mut around = around();
    around.operators[0].metrics = metrics;
    let known = report(resource(|_| ()), &Seen::Known(Some(secret())), &around);
    let found = known.chain.iter().find(|it| it.subject == "queue");
    let found = found.unwrap_or_else(|| panic!("{}", text(&known)));
    assert_eq!(found.level, Level::Unknown);
    let place = "cognito-password-operator/cognito-password-operator";
    assert_eq!(found.text, format!("queue and budget of {place}: {why}"));
    // The operator itself is well all the same.
    assert!(known.is_well(), "{}", text(&known));
    let stale = resource(|it| it["metadata"]["generation"] = json!(4));
    let stale = report(stale, &Seen::Known(Some(secret())), &around);
    assert!(
        text(&stale).contains("doesn't act for this resource"),
        "{}",
        text(&stale)
    );
}

#[test]
fn an_operator_that_does_not_run_has_no_queue_to_ask_for() {
    let mut around = around();
    around.operators[0].metrics = Seen::Known(Vec::new());
    installed(&mut around).ready = 0;
    let report = report(resource(|_| ()), &Seen::Known(Some(secret())), &around);
    assert!(
        report.chain.iter().all(|it| it.subject != "queue"),
        "{}",
        text(&report)
    );
    // But an address that the caller named, and that doesn't answer, is said.
    around.operators[0].metrics = Seen::Failed("connection refused".to_owned());
    let report = super::report(resource(|_| ()), &Seen::Known(Some(secret())), &around);
    assert!(text(&report).contains("? queue"), "{}", text(&report));
}

#[test]
fn old_crds_break_the_chain_and_the_fields_are_named() {
    let around = Surroundings {
        crds: crds(&KINDS, &["status.signOutOwed"]),
        ..around()
    };
    let report = report(resource(|_| ()), &Seen::Known(Some(secret())), &around);
    let said = text(&report);
    assert!(said.contains("× crds"), "{said}");
    assert!(said.contains("status.signOutOwed"), "{said}");
    assert!(!report.is_well());
}

#[test]
fn a_stale_status_under_a_living_leader_is_not_blamed_on_the_resource() {
    let stale = resource(|it| it["metadata"]["generation"] = json!(4));
    let report = report(stale, &Seen::Known(Some(secret())), &around());
    let said = text(&report);
    assert!(said.contains("the status describes generation 3"), "{said}");
    assert!(said.contains("doesn't act for this resource"), "{said}");
    let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("of an earlier spec"), "{said}");
}

#[test]
fn a_change_of_a_moment_ago_is_waited_for() {
    let fresh = resource(|it| {
        it["metadata"]["generation"] = json!(4);
        it["metadata"]["managedFields"] = json!([
            { "manager": "kubectl", "operation": "Apply", "time": "2026-11-29T11:59:40Z" },
            { "manager": "cognito-password-operator", "operation": "Update", "subresource": "status", "time": "2026-11-29T11:59:59Z" },
        ]);
    });
    let report = report(fresh, &Seen::Known(Some(secret())), &around());
    let said = text(&report);
    assert!(said.contains("changed 20s ago"), "{said}");
    assert!(!said.contains("doesn't act"), "{said}");
    assert!(!report.is_well(), "Ready is of an earlier spec");
}

#[test]
fn a_namespace_watched_by_name_needs_no_grant() {
    let mut around = around();
    installed(&mut around).settings.watch_namespaces = vec!["team-a".to_owned()];
    around.grants = Seen::Known(Vec::new());
    let report = report(resource(|_| ()), &Seen::Known(Some(secret())), &around);
    assert!(report.is_well(), "{}", text(&report));
    assert!(text(&report).contains("none needed"), "{}", text(&report));
}

#[rstest]
#[case(true, true)]
#[case(false, false)]
fn without_any_grant_the_setting_ungranted_decides(#[case] allow: bool, #[case] is_well: bool) {
    let mut around = around();
    installed(&mut around).settings.ungranted_allow = allow;
    around.grants = Seen::Known(Vec::new());
    let report = report(resource(|_| ()), &Seen::Known(Some(secret())), &around);
    assert_eq!(report.is_well(), is_well, "{}", text(&report));
}

#[test]
fn an_operator_without_a_deployment_is_known_by_its_lease() {
    let mut around = around();
    first(&mut around).installed = None;
    let report = report(resource(|_| ()), &Seen::Known(Some(secret())), &around);
    assert!(report.is_well(), "{}", text(&report));
    assert!(text(&report).contains("cpo-7d9f-x2k leads for 3d"));
}

#[test]
fn a_leader_with_another_clock_leads() {
    let mut around = around();
    lease(&mut around, |it| {
        it.age = Some(SignedDuration::from_mins(60));
        it.is_renewed = true;
    });
    let report = report(resource(|_| ()), &Seen::Known(Some(secret())), &around);
    assert!(report.is_well(), "{}", text(&report));
    let said = text(&report)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    assert!(
        said.contains("renewed just now; the time in the Lease differs by 60m"),
        "{said}"
    );
}
