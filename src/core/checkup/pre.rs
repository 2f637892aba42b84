//! Judges what can be known before an installation.

use super::{
    finding::{Cure, Finding, Level},
    installed::{Installed, both_watch},
    judge::{
        crds,
        facts::{Answers, Crds, Kubernetes},
        kubernetes, operator,
        rights::{grouped, lacking, undecided},
    },
    right::Right,
    seen::Seen,
    skew::version_of,
};
use crate::core::words::first;

/// What was found out before an installation.
#[derive(Clone, Debug)]
pub struct PreFacts {
    /// The version of this program.
    pub program: String,
    /// The namespace to install into.
    pub namespace: String,
    /// The namespaces to watch; empty for all.
    pub watched: Vec<String>,
    /// The API server.
    pub kubernetes: Result<Kubernetes, String>,
    /// The CRDs that are there.
    pub crds: Crds,
    /// Each right that an installation takes, and whether the caller has the right.
    pub rights: Answers,
    /// Each right that the installation gives to the operator, and whether the caller has the right. None if
    /// the caller may give rights that the caller lacks.
    pub given: Option<Answers>,
    /// Deployments of the operator that are there.
    pub installed: Seen<Vec<Installed>>,
    /// The namespace. None inside: there is no such namespace.
    pub existing: Seen<Option<NamespaceState>>,
}

/// A namespace that is there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NamespaceState {
    /// Whether the namespace is being deleted.
    pub is_terminating: bool,
    /// The Pod Security level that admission enforces. None without a label.
    pub enforced: Option<String>,
}

/// How many kinds of objects one finding names.
const NAMED: usize = 6;

/// Every right that an installation from `deploy/` or the chart takes: to read, create and change each object.
/// With watched namespaces, an administrator has applied `deploy/admin` before.
#[must_use]
pub fn to_install(namespace: &str, watched: &[String]) -> Vec<Right> {
    const RBAC: &str = "rbac.authorization.k8s.io";
    let mut objects = Vec::new();
    if watched.is_empty() {
        objects.extend([
            ("", "namespaces", None),
            ("apiextensions.k8s.io", "customresourcedefinitions", None),
            (RBAC, "clusterroles", None),
            (RBAC, "clusterrolebindings", None),
        ]);
    }
    let own = Some(namespace);
    objects.extend([
        ("", "serviceaccounts", own),
        ("", "services", own),
        ("apps", "deployments", own),
        ("networking.k8s.io", "networkpolicies", own),
        ("policy", "poddisruptionbudgets", own),
        (RBAC, "roles", own),
        (RBAC, "rolebindings", own),
    ]);
    for place in watched.iter().filter(|it| *it != namespace) {
        objects.extend([
            (RBAC, "roles", Some(&**place)),
            (RBAC, "rolebindings", Some(&**place)),
        ]);
    }
    let verbs = ["get", "create", "patch"];
    let right =
        |(group, resource, place): (&'static str, &'static str, Option<&str>), verb| Right {
            verb,
            group,
            resource,
            subresource: "",
            namespace: place.map(str::to_owned),
            name: None,
        };
    objects
        .into_iter()
        .flat_map(|object| verbs.map(|verb| right(object, verb)))
        .collect()
}

/// The right to give rights that the caller lacks, by Roles or `ClusterRoles`.
#[must_use]
pub fn to_escalate(namespace: &str, watched: &[String]) -> Right {
    Right {
        verb: "escalate",
        group: "rbac.authorization.k8s.io",
        resource: if watched.is_empty() {
            "clusterroles"
        } else {
            "roles"
        },
        subresource: "",
        namespace: (!watched.is_empty()).then(|| namespace.to_owned()),
        name: None,
    }
}

/// The findings, in a fixed order.
#[must_use]
pub fn judge(facts: &PreFacts) -> Vec<Finding> {
    let mut findings = vec![kubernetes::judge(&facts.kubernetes)];
    findings.extend(present_crds(facts));
    findings.extend(may_install(facts));
    findings.push(namespace(facts));
    findings.extend(others(facts));
    findings
}

fn present_crds(facts: &PreFacts) -> Vec<Finding> {
    let subject = "crds";
    let well = |text: String| vec![Finding::new(subject, Level::Well, text)];
    let comes_first = || {
        let text = "the CRDs are not installed, and come before an operator of some namespaces";
        let cure = Cure::command(
            "an administrator applies this",
            "kubectl apply -k deploy/admin/".to_owned(),
        );
        vec![Finding::new(subject, Level::Failed, text.to_owned()).cured_by(cure)]
    };
    match (&facts.crds.kinds, &facts.crds.stored) {
        (Err(why), _) => {
            let text = format!("the API server doesn't say what it serves: {why}");
            vec![Finding::new(subject, Level::Unknown, text)]
        }
        (Ok(_), Some(Seen::Known(stored))) if stored.is_empty() => {
            if facts.watched.is_empty() {
                well("not installed yet".to_owned())
            } else {
                comes_first()
            }
        }
        (Ok(_), Some(Seen::Known(stored))) => {
            // Before an installation, an older CRD is no fault: the installation upgrades the CRD.
            let findings = stored
                .iter()
                .filter_map(|crd| crds::schema(crd, &facts.program));
            let findings: Vec<_> = findings
                .map(|mut finding| {
                    finding.level = finding.level.min(Level::Warning);
                    finding
                })
                .collect();
            if findings.is_empty() {
                return well(format!(
                    "already there, with the schemas of {}",
                    facts.program
                ));
            }
            findings
        }
        (Ok(kinds), _) if kinds.is_empty() => {
            if facts.watched.is_empty() {
                well("not served yet".to_owned())
            } else {
                comes_first()
            }
        }
        (Ok(_), stored) => {
            let why = stored.as_ref().and_then(Seen::why_not).unwrap_or_default();
            let text = format!(
                "already served; whether their schemas are of this version is unknown: {why}"
            );
            vec![Finding::new(subject, Level::Unknown, text)]
        }
    }
}

fn may_install(facts: &PreFacts) -> Vec<Finding> {
    let subject = "rights";
    let mut findings = Vec::new();
    let lacked = lacking(&facts.rights);
    if !lacked.is_empty() {
        let text = format!("you may not {}", first(&grouped(&lacked), NAMED, "; "));
        let cure = if facts.watched.is_empty() {
            "ask a cluster administrator, or install for some namespaces by --watch-namespaces"
        } else {
            "ask an administrator of these namespaces"
        };
        findings.push(
            Finding::new(subject, Level::Failed, text)
                .cured_by(Cure::words(cure).more("install.md#rights")),
        );
    }
    if let Some(given) = &facts.given {
        let lacked = lacking(given);
        if !lacked.is_empty() {
            let text = format!(
                "you may not give the operator rights that you lack: {}",
                first(&grouped(&lacked), NAMED, "; ")
            );
            let right = to_escalate(&facts.namespace, &facts.watched);
            let cure = format!("get these rights, or the right to {right}");
            findings.push(
                Finding::new(subject, Level::Failed, text)
                    .cured_by(Cure::words(&cure).more("install.md#rights")),
            );
        }
        findings.extend(undecided(given));
    }
    findings.extend(undecided(&facts.rights));
    if findings.is_empty() {
        let text = format!(
            "you have all {} rights that an installation takes",
            facts.rights.len()
        );
        findings.push(Finding::new(subject, Level::Well, text));
    }
    findings
}

fn namespace(facts: &PreFacts) -> Finding {
    let (subject, name) = ("namespace", &facts.namespace);
    match &facts.existing {
        Seen::Known(None) => {
            let text = format!("{name} is not there yet");
            let finding = Finding::new(subject, Level::Well, text);
            if facts.watched.is_empty() {
                return finding;
            }
            let command = format!("kubectl create namespace {name}");
            Finding {
                level: Level::Failed,
                ..finding
            }
            .cured_by(Cure::command("", command))
        }
        Seen::Known(Some(state)) if state.is_terminating => {
            let text = format!("{name} is being deleted");
            let command = format!("kubectl wait --for=delete namespace/{name} --timeout=5m");
            Finding::new(subject, Level::Failed, text)
                .cured_by(Cure::command("wait for its end", command))
        }
        Seen::Known(Some(state)) => {
            let pods = match state.enforced.as_deref() {
                None => "enforces no Pod Security level".to_owned(),
                Some(level) => format!("enforces the Pod Security level {level}"),
            };
            let text = format!("{name} is there and {pods}; the operator's pods fit each level");
            Finding::new(subject, Level::Well, text)
        }
        unseen => {
            let why = unseen.why_not().unwrap_or_default();
            let text = format!("whether {name} is there is unknown: {why}");
            Finding::new(subject, Level::Unknown, text)
        }
    }
}

/// The operators that are there already, and would be in the new one's way.
fn others(facts: &PreFacts) -> Vec<Finding> {
    let subject = "operator";
    let installed = match &facts.installed {
        Seen::Known(installed) => installed,
        unseen => {
            let why = unseen.why_not().unwrap_or_default();
            let text = format!("whether there is another installation is unknown: {why}");
            return vec![Finding::new(subject, Level::Unknown, text)];
        }
    };
    if installed.is_empty() {
        let text = "there is no other installation".to_owned();
        return vec![Finding::new(subject, Level::Well, text)];
    }
    let found = installed.iter().map(|it| {
        let version = version_of(&it.image, it.version.as_deref()).unwrap_or("of no known version");
        let watches = match it.settings.watch_namespaces.as_slice() {
            [] => "all namespaces".to_owned(),
            some => some.join(", "),
        };
        let text = format!(
            "{} is there, {version}, and watches {watches}",
            operator::name(it)
        );
        if it.namespace == facts.namespace {
            let text = format!("{text}: an installation upgrades or meets this one");
            return Finding::new(subject, Level::Warning, text);
        }
        if both_watch(&facts.watched, &it.settings.watch_namespaces).is_none() {
            return Finding::new(subject, Level::Well, text);
        }
        let text = format!("{text}: two operators of one namespace set the same passwords");
        Finding::new(subject, Level::Failed, text).cured_by(
            Cure::words(
                "watch other namespaces, by --watch-namespaces, or upgrade that installation",
            )
            .more("install.md#two-installations-in-one-namespace"),
        )
    });
    found.collect()
}

#[cfg(test)]
mod tests;
