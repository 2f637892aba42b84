//! Several operators that act for the same namespaces, each with a leader of its own.

use crate::{
    api::FIELD_MANAGER,
    core::{
        checkup::{
            finding::{Cure, Level},
            installed::{Installed, both_watch},
        },
        doctor::{
            facts::Operator,
            link::Link,
            words::{shown, word},
        },
    },
};

/// The subject of the links about operators.
pub(super) const SUBJECT: &str = "operator";

/// The link about operators that act for `namespace`, or for the same namespaces, and not by one Lease. None if
/// there are no two.
pub(super) fn link(acting: &[&Operator], namespace: Option<&str>) -> Option<Link> {
    let contends = |it: &&&Operator| acting.iter().any(|other| contend(it, other));
    let rivals: Vec<_> = acting.iter().filter(contends).collect();
    if rivals.is_empty() {
        return None;
    }
    let names: Vec<_> = rivals.iter().map(|it| name_of(it)).collect();
    let text = format!(
        "{} operators act for {}: {}, each with a leader of its own",
        if rivals.len() == 2 {
            "two".to_owned()
        } else {
            rivals.len().to_string()
        },
        namespace.unwrap_or("the same namespaces"),
        names.join(" and ")
    );
    let mut link = Link::new(SUBJECT, Level::Failed, text);
    let rivals: Vec<_> = rivals
        .iter()
        .filter_map(|it| it.installed.as_ref())
        .collect();
    link.finding.cure = Some(keep_one(&rivals));
    Some(link)
}

/// Stops all operators but one. The first choice is the one in the usual namespace.
fn keep_one(rivals: &[&Installed]) -> Cure {
    let usual = rivals.iter().position(|it| it.namespace == FIELD_MANAGER);
    let first = usual.unwrap_or_default();
    let stop_but = |kept: usize| {
        let others = rivals.iter().enumerate();
        let others = others.filter(move |(number, _)| *number != kept);
        others.map(|(_, it)| {
            let (name, namespace) = (word(&it.name, "NAME"), word(&it.namespace, "NAMESPACE"));
            format!("kubectl scale deployment {name} -n {namespace} --replicas=0")
        })
    };
    let place = |number: usize| {
        let kept = rivals.get(number);
        kept.map_or_else(String::new, |it| {
            format!("{}/{}", shown(&it.namespace), shown(&it.name))
        })
    };
    let text = format!(
        "keep {}, stop each other one, and delete it later; or give each its own --watch-namespaces",
        place(first)
    );
    let cure = Cure::commands(&text, stop_but(first));
    let others = (0..rivals.len()).filter(|it| *it != first);
    others
        .fold(cure, |cure, number| {
            cure.or(&format!("keep {}", place(number)), stop_but(number))
        })
        .more("operations.md#replicas")
}

/// Whether the Deployment is scaled to 0.
pub(super) fn is_stopped(operator: &Operator) -> bool {
    let installed = operator.installed.as_ref();
    installed.is_some_and(|it| it.desired == 0)
}

/// Whether two operators act for the same namespace, and not by the same Lease, which only one of them can hold.
fn contend(a: &Operator, b: &Operator) -> bool {
    let is_same = name_of(a) == name_of(b);
    let lease = lease_of(a);
    let is_elected = lease.is_some() && lease == lease_of(b);
    let (of_a, of_b) = (a.settings().watch_namespaces, b.settings().watch_namespaces);
    !is_same && !is_elected && both_watch(&of_a, &of_b).is_some()
}

/// `namespace/name` of the Deployment.
pub(super) fn name_of(operator: &Operator) -> String {
    let name = operator.installed.as_ref().map(|it| &*it.name);
    format!("{}/{}", operator.namespace, name.unwrap_or("?"))
}

/// The namespace and the name of the Lease; None without an election.
fn lease_of(operator: &Operator) -> Option<(String, String)> {
    let settings = operator.settings();
    let elects = settings.leader_elect;
    elects.then(|| (operator.namespace.clone(), settings.lease_name))
}
