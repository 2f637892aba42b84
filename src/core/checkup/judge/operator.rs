//! The Deployments of the operator: ready, of this version, and none in another's way.

use super::facts::{Deployed, Page};
use crate::core::checkup::{
    finding::{Cure, Finding, Level},
    installed::{Installed, both_watch},
    seen::Seen,
    skew::{Skew, skew, version_of},
};
use std::collections::BTreeSet;

const SUBJECT: &str = "operator";
const TWO: &str = "install.md#two-installations-in-one-namespace";

/// What is wrong with the Deployments as a whole. None if there is a Deployment, and no two are in each other's
/// way.
pub(super) fn found(installed: &Seen<Vec<Installed>>, looked_at: usize) -> Vec<Finding> {
    match installed {
        Seen::Known(installed) => {
            let mut findings = contentions(installed);
            if looked_at == 0 {
                let text = "no Deployment of the operator is found".to_owned();
                let cure = Cure::command(
                    "install the operator; check --pre says whether you may",
                    "kubectl apply -k deploy/".to_owned(),
                )
                .more("install.md");
                findings.push(Finding::new(SUBJECT, Level::Failed, text).cured_by(cure));
            }
            findings
        }
        unseen => {
            let why = unseen.why_not().unwrap_or_default();
            let text = format!(
                "no Deployment can be found, so the operator's rights, leader and pages stay unknown: {why}"
            );
            let cure = Cure::words(
                "name the operator's namespace by --operator-namespace, if you may list Deployments there",
            );
            vec![Finding::new(SUBJECT, Level::Unknown, text).cured_by(cure)]
        }
    }
}

/// The Deployments of which one keeps another from its work, or undoes another's work.
pub(in crate::core::checkup) fn contentions(installed: &[Installed]) -> Vec<Finding> {
    let mut findings = Vec::new();
    // A Deployment that is scaled to 0 is in nobody's way.
    let runs: Vec<_> = installed.iter().filter(|it| it.desired > 0).collect();
    for (place, a) in runs.iter().enumerate() {
        for b in &runs[place + 1..] {
            findings.extend(contention(a, b));
        }
    }
    findings
}

fn contention(a: &Installed, b: &Installed) -> Option<Finding> {
    let names = format!("{} and {}", name(a), name(b));
    let elect = a.settings.leader_elect && b.settings.leader_elect;
    let lease = &a.settings.lease_name;
    let (text, cure) = if a.namespace == b.namespace && elect && *lease == b.settings.lease_name {
        (
            format!("{names} share the Lease {lease}: only one of them works at a time"),
            "give each a Lease of its own, by --lease-name, or delete one",
        )
    } else {
        let places = both_watch(&a.settings.watch_namespaces, &b.settings.watch_namespaces)?;
        (
            format!("{names} both watch {places}: both set the same passwords"),
            "delete one, or give each namespaces of its own, by --watch-namespaces",
        )
    };
    let finding = Finding::new(SUBJECT, Level::Failed, text);
    Some(finding.cured_by(Cure::words(cure).more(TWO)))
}

/// `namespace/name`.
pub(in crate::core::checkup) fn name(installed: &Installed) -> String {
    format!("{}/{}", installed.namespace, installed.name)
}

/// The finding on a Deployment that is scaled to 0 while another one acts for the same namespaces. Nothing else of such
/// a Deployment matters.
pub(super) fn stopped(it: &Installed, all: Option<&Seen<Vec<Installed>>>) -> Option<Finding> {
    let all = all.and_then(Seen::known);
    let mut others = all.into_iter().flatten();
    let acts = |other: &&Installed| {
        let [ours, theirs] = [it, *other].map(|it| it.settings.watch_namespaces.as_slice());
        other.desired > 0 && name(other) != name(it) && both_watch(ours, theirs).is_some()
    };
    let other = others.find(acts).filter(|_| it.desired == 0)?;
    let text = format!("{} is scaled to 0, and {} acts", name(it), name(other));
    let cure = Cure::command(
        "delete what isn't needed any more",
        format!("kubectl delete deployment {} -n {}", it.name, it.namespace),
    );
    Some(Finding::new(SUBJECT, Level::Warning, text).cured_by(cure))
}

/// The finding on one Deployment, and on its version.
pub(super) fn judge(deployed: &Deployed, pages: &[Page], program: &str) -> Vec<Finding> {
    let it = &deployed.installed;
    let mut findings = vec![replicas(it)];
    if !it.settings.leader_elect && it.desired > 1 {
        let text = format!(
            "{} pods act without an election, so all of them set passwords",
            it.desired
        );
        let cure = Cure::command(
            "leave --leader-elect=false out, or run one pod",
            format!(
                "kubectl scale -n {} deployment/{} --replicas=1",
                it.namespace, it.name
            ),
        );
        findings.push(Finding::new(SUBJECT, Level::Failed, text).cured_by(cure));
    }
    findings.push(version(it, pages, program));
    findings
}

/// Why the pods are unknown; None if the pods are known.
pub(super) fn unseen_pods(deployed: &Deployed) -> Option<Finding> {
    let why = deployed.pods.why_not()?;
    let text = format!(
        "whether the leader is a pod of {} is unknown: {why}",
        name(&deployed.installed)
    );
    Some(Finding::new(SUBJECT, Level::Unknown, text))
}

fn replicas(it: &Installed) -> Finding {
    let text = format!("{} of {} pods ready", it.ready, it.desired);
    let text = format!("{}: {text}", name(it));
    if it.desired == 0 {
        let command = format!(
            "kubectl scale -n {} deployment/{} --replicas=2",
            it.namespace, it.name
        );
        return Finding::new(SUBJECT, Level::Failed, format!("{text}: it is scaled to 0"))
            .cured_by(Cure::command("", command));
    }
    let level = match it.ready {
        0 => Level::Failed,
        ready if ready < it.desired => Level::Warning,
        _ => return Finding::new(SUBJECT, Level::Well, text),
    };
    let trouble = it.trouble.as_ref().map(|it| format!("; {it}"));
    let text = format!("{text}{}", trouble.unwrap_or_default());
    let commands = [
        format!(
            "kubectl get events -n {} --sort-by=.lastTimestamp",
            it.namespace
        ),
        format!("kubectl describe pods -n {}", it.namespace),
    ];
    Finding::new(SUBJECT, level, text).cured_by(Cure::commands(
        "the events say why, and /readyz of a pod that runs",
        commands,
    ))
}

/// The versions that the pods themselves report.
fn reported(pages: &[Page]) -> BTreeSet<String> {
    let versions = pages.iter().filter_map(|it| it.metrics()?.version);
    versions.collect()
}

fn version(it: &Installed, pages: &[Page], program: &str) -> Finding {
    let reported: Vec<_> = reported(pages).into_iter().collect();
    if reported.len() > 1 {
        let text = format!("the pods are of versions {}", reported.join(" and "));
        let cure = Cure::command(
            "wait for the end of the rollout",
            format!(
                "kubectl rollout status -n {} deployment/{}",
                it.namespace, it.name
            ),
        );
        return Finding::new(SUBJECT, Level::Warning, text).cured_by(cure);
    }
    let said = version_of(&it.image, it.version.as_deref());
    if let Some(version) = reported.first().map(String::as_str).or(said) {
        return on_skew(program, version, &it.image);
    }
    let text = format!(
        "image {}: its tag is no version, and no label names one",
        it.image
    );
    Finding::new(SUBJECT, Level::Warning, text)
}

/// The finding on the version of an operator.
pub(in crate::core::checkup) fn on_skew(program: &str, version: &str, image: &str) -> Finding {
    let text = format!("version {version}, image {image}");
    let older = Cure::words("use the program of the operator's version");
    let (level, verdict, cure) = match skew(program, version) {
        Skew::Same => (Level::Well, "as this program".to_owned(), None),
        Skew::Patch => (
            Level::Well,
            format!("this program is {program}, a patch apart"),
            None,
        ),
        Skew::ThisIsOlder => (
            Level::Warning,
            format!("this program, {program}, is older"),
            Some(older),
        ),
        Skew::ThisIsNewer => (
            Level::Warning,
            format!("this program, {program}, is newer"),
            Some(Cure::words(
                "upgrade the operator, or use the program of its version",
            )),
        ),
        Skew::Unknown => (
            Level::Warning,
            format!("which can't be compared with {program}"),
            None,
        ),
    };
    let mut finding = Finding::new(SUBJECT, level, format!("{text}; {verdict}"));
    finding.cure = cure;
    finding
}
