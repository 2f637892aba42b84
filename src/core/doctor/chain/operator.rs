//! The link `operator`: whether an operator runs that acts for the namespace, and who leads.

use super::{
    grant::acting,
    rivals::{self, SUBJECT, name_of},
};
use crate::{
    api::{FIELD_MANAGER, GROUP, VERSION},
    core::{
        access::why_not::listed,
        checkup::{
            finding::{Cure, Level},
            installed::Installed,
            judge::{leader::one_election, rights::restored},
            lease::{Leader, Lease},
            right::{Installation, Right, needed},
            seen::Seen,
        },
        doctor::{
            facts::{Operator, Surroundings},
            link::{Link, PATIENCE},
            subject::Subject,
            words::{count, shown, span, word},
        },
    },
};

const LOAD: &str = "queue";
const SETTINGS: &str = "settings";
const RUNBOOK: &str = "runbooks.md#nothing-happens";

/// The links for one resource.
#[must_use]
pub fn links(subject: &Subject<'_>, around: &Surroundings) -> Vec<Link> {
    let mut links: Vec<_> = crds(around).into_iter().collect();
    links.extend(of_namespace(Some(subject.namespace), around));
    // A status that nobody writes, although all is well as far as the caller sees.
    let changed = subject.changed();
    let is_overdue = changed.is_none_or(|at| around.now.duration_since(at) > PATIENCE);
    // Whoever can't ask for the operator's rights or queue still sees that a pod leads.
    let is_well = links.iter().all(|it| {
        let level = it.finding.level;
        let is_beside = ["rights", LOAD, SETTINGS].contains(&it.finding.subject);
        level == Level::Well || (is_beside && level == Level::Unknown)
    });
    if !subject.is_observed() && is_overdue && is_well {
        let text = "an operator leads, but doesn't act for this resource: it can't read the resource or can't write the status, or the namespace isn't among its --watch-namespaces";
        let mut link = Link::new(SUBJECT, Level::Failed, text.to_owned());
        link.finding.cure = Some(logs(around.operators.first()));
        links.push(link);
    }
    links
}

/// The links for all resources, or for those of a namespace.
#[must_use]
pub fn of_namespace(namespace: Option<&str>, around: &Surroundings) -> Vec<Link> {
    let installed: Vec<_> = (around.operators.iter())
        .filter(|it| it.installed.is_some())
        .collect();
    let mut acting: Vec<_> = (installed.iter().copied())
        .filter(|it| namespace.is_none_or(|namespace| it.watches(namespace)))
        .collect();
    // Beside an operator that runs, one that is scaled to 0 is in nobody's way.
    if acting.iter().any(|it| !rivals::is_stopped(it)) {
        acting.retain(|it| !rivals::is_stopped(it));
    }
    let mut links = Vec::new();
    match (&*acting, namespace) {
        ([], Some(namespace)) if !installed.is_empty() => {
            links.push(watches_others(namespace, &installed));
        }
        ([], _) => {
            let link = without_deployment(around);
            // A link that isn't unknown says nothing of the Deployment.
            let is_silent = link.finding.level != Level::Unknown;
            links.push(link);
            let why = around.deployments.why_not().filter(|_| is_silent);
            links.extend(why.map(|why| {
                let text = format!("the operator's Deployment, settings and rights: {why}");
                Link::new(SETTINGS, Level::Unknown, text)
            }));
        }
        ([_, ..], _) => links.extend(rivals::link(&acting, namespace)),
    }
    for it in acting {
        let link = of_operator(it);
        let runs = link.finding.level != Level::Failed;
        // Where no pod leads, nothing else is missing than an answer that failed, perhaps of a named address.
        let has_failed = matches!(it.metrics, Seen::Failed(_));
        links.push(link);
        links.extend(unseen_load(it).filter(|_| runs || has_failed));
        links.extend(super::rights::link(it, namespace));
    }
    links
}

/// The CRDs are missing or older than this version; None if they are well or unknown.
#[must_use]
pub fn crds(around: &Surroundings) -> Option<Link> {
    let (unserved, lacks) = (around.crds.unserved(), around.crds.missing_fields());
    let text = if around.crds.are_missing() {
        format!("the API server doesn't serve {GROUP}/{VERSION}: the CRDs are not installed")
    } else if !unserved.is_empty() {
        format!(
            "the API server doesn't serve {} of {GROUP}/{VERSION}: a CRD is missing, or doesn't serve this version",
            unserved.join(" and ")
        )
    } else if lacks.is_empty() {
        return None;
    } else {
        format!(
            "the CRDs are older than this plugin: the API server drops {}",
            listed(&lacks)
        )
    };
    let mut link = Link::new("crds", Level::Failed, text);
    let installed = around.operators.iter().find_map(|it| it.installed.as_ref());
    let own = "kubectl cognito-password".to_owned();
    let program = match installed {
        // The plugin has the CRDs of its own version.
        None => own,
        Some(it) if it.version.as_deref() == Some(env!("CARGO_PKG_VERSION")) => own,
        Some(it) if it.ready > 0 => {
            let (namespace, name) = (word(&it.namespace, "NAMESPACE"), word(&it.name, "NAME"));
            format!("kubectl exec -n {namespace} deploy/{name} -- /cognito-password-operator")
        }
        Some(it) => format!("docker run --rm {}", word(&it.image, "IMAGE")),
    };
    // Helm, or whoever changed the CRDs last, owns the list of versions, and would be in conflict.
    let command = format!("{program} crd | kubectl apply --server-side --force-conflicts -f -");
    let cure = Cure::command("apply the CRDs of the operator's version", command);
    link.finding.cure = Some(cure.more("install.md"));
    Some(link)
}

/// Whether operators are there, and none of them watches the namespace.
#[must_use]
pub fn is_unwatched(namespace: &str, around: &Surroundings) -> bool {
    let is_any_there = around.operators.iter().any(|it| it.installed.is_some());
    is_any_there && acting(namespace, around).next().is_none()
}

fn watches_others(namespace: &str, installed: &[&Operator]) -> Link {
    let watched = installed
        .iter()
        .flat_map(|it| it.settings().watch_namespaces);
    let text = format!(
        "{} watches only {}, and not {namespace}: nobody acts for this resource",
        installed
            .iter()
            .map(|it| name_of(it))
            .collect::<Vec<_>>()
            .join(" and "),
        listed(&watched.collect::<Vec<_>>())
    );
    let mut link = Link::new(SUBJECT, Level::Failed, text);
    let first = installed.iter().find_map(|it| it.installed.as_ref());
    link.finding.cure = first.map(|it| watch_too(it, namespace).more("install.md"));
    link
}

/// Lets an operator watch one more namespace.
fn watch_too(installed: &Installed, namespace: &str) -> Cure {
    let wanted = Installation {
        watched: vec![namespace.to_owned()],
        ..installed.installation()
    };
    let rights = needed(&wanted);
    let there = |it: &&Right| it.namespace.as_deref() == Some(namespace);
    let lacked: Vec<_> = rights.iter().filter(there).collect();
    let (name, own) = (
        word(&installed.name, "NAME"),
        word(&installed.namespace, "NAMESPACE"),
    );
    // As an argument, or as the variable, whose value is on the line below its name; not in kubectl's annotation
    // last-applied-configuration, whose line begins otherwise.
    let scripts = format!(
        "-e 's/^ *- --watch-namespaces=.*/&,{namespace}/' -e '/^ *- name: CPO_WATCH_NAMESPACES$/{{n;s/$/,{namespace}/;}}'"
    );
    let watch = format!(
        "kubectl get deployment {name} -n {own} -o yaml | sed {scripts} | kubectl replace -f -"
    );
    Cure::commands(
        &format!(
            "add {namespace} to the operator's --watch-namespaces (the chart's value settings.watchNamespaces), with its Role and RoleBinding: these commands do so in the cluster, and whatever applies the manifests undoes that"
        ),
        restored(&lacked, installed)
            .commands
            .into_iter()
            .chain([watch]),
    )
    .or("move the resource and its Secret to a watched namespace", [])
}

/// No Deployment acts, or the caller can't see one: the Lease tells.
fn without_deployment(around: &Surroundings) -> Link {
    let lease = around.operators.iter().find(|it| it.installed.is_none());
    let place = lease.map_or(FIELD_MANAGER, |it| &*it.namespace);
    match (lease.map(|it| &it.lease), &around.deployments) {
        (Some(Seen::Known(Some(lease))), _) => of_lease(lease, None),
        (Some(Seen::Known(None)), Seen::Known(())) => {
            let text = format!(
                "no Deployment of the operator, and no Lease in {place}: no operator runs here"
            );
            let mut link = Link::new(SUBJECT, Level::Failed, text);
            link.finding.cure = Some(not_installed());
            link
        }
        (Some(Seen::Known(None)), deployments) => Link::new(
            SUBJECT,
            Level::Unknown,
            format!(
                "no Lease in {place}; {}",
                deployments.why_not().unwrap_or_default()
            ),
        ),
        (_, Seen::Known(())) => Link::new(
            SUBJECT,
            Level::Unknown,
            format!(
                "no Deployment of the operator where you can look; {}",
                lease.and_then(|it| it.lease.why_not()).unwrap_or_default()
            ),
        ),
        (_, deployments) => Link::unseen(SUBJECT, deployments),
    }
}

fn not_installed() -> Cure {
    Cure::command(
        "install the operator, or start it again; this looks for a Deployment anywhere",
        format!("kubectl get deployments -A -l app.kubernetes.io/name={FIELD_MANAGER}"),
    )
    .more("install.md")
}

/// One operator with a Deployment.
fn of_operator(operator: &Operator) -> Link {
    let Some(installed) = &operator.installed else {
        return Link::new(SUBJECT, Level::Unknown, "no Deployment".to_owned());
    };
    let (name, namespace) = (&installed.name, &operator.namespace);
    let place = format!("{namespace}/{name}");
    if installed.desired == 0 {
        let text = format!("{place} is scaled to 0: no operator runs");
        let mut link = Link::new(SUBJECT, Level::Failed, text);
        link.finding.cure = Some(Cure::command(
            "",
            format!("kubectl scale deployment {name} -n {namespace} --replicas=2"),
        ));
        return link;
    }
    if installed.ready == 0 {
        let trouble = installed.trouble.as_ref().map(|it| format!("; {it}"));
        let text = format!(
            "{place} has 0 of {} ready{}",
            count(installed.desired.unsigned_abs() as usize, "pod"),
            trouble.unwrap_or_default()
        );
        let mut link = Link::new(SUBJECT, Level::Failed, text);
        link.finding.cure = Some(logs(Some(operator)));
        return link;
    }
    if !installed.settings.leader_elect && installed.desired > 1 {
        let text = format!(
            "{place} has {} pods with --leader-elect=false: each acts as the leader",
            installed.desired
        );
        let mut link = Link::new(SUBJECT, Level::Failed, text);
        let cure = Cure::command(
            "one pod without an election, or an election",
            format!("kubectl scale deployment {name} -n {namespace} --replicas=1"),
        );
        link.finding.cure = Some(cure.more("operations.md#replicas"));
        return link;
    }
    let mut link = if installed.settings.leader_elect {
        match &operator.lease {
            Seen::Known(Some(lease)) => of_lease(lease, Some(operator)),
            Seen::Known(None) => {
                let text = format!("{place} runs, but no pod leads: there is no Lease");
                let mut link = Link::new(SUBJECT, Level::Failed, text);
                link.finding.cure = Some(logs(Some(operator)));
                link
            }
            unseen => Link::new(
                SUBJECT,
                Level::Unknown,
                format!("who leads: {}", unseen.why_not().unwrap_or_default()),
            ),
        }
    } else {
        Link::new(SUBJECT, Level::Well, "runs without an election".to_owned())
    };
    let version = installed.version.as_deref().unwrap_or("unknown");
    let running = format!(
        "{place} {}/{} ready, version {}",
        installed.ready,
        installed.desired,
        shown(version)
    );
    let load = load(operator).map_or_else(|_| String::new(), |load| format!("; {load}"));
    link.finding.text = format!("{running}; {}{load}", link.finding.text);
    if let Some(text) = two_leaders(operator) {
        link = Link::new(SUBJECT, Level::Failed, text);
        link.finding.cure = Some(one_election(installed));
    }
    link
}

/// Two pods that both say that they lead.
fn two_leaders(operator: &Operator) -> Option<String> {
    let pods = operator.metrics.known()?;
    let leaders = pods.iter().filter(|(_, it)| it.leads == Some(true));
    let leaders: Vec<_> = leaders.map(|(pod, _)| pod.clone()).collect();
    (leaders.len() > 1)
        .then(|| format!("{} pods lead at once: {}", leaders.len(), listed(&leaders)))
}

/// The queue and the budget, by the leader's metrics.
///
/// # Errors
/// Why these are unknown.
fn load(operator: &Operator) -> Result<String, String> {
    let pods = match &operator.metrics {
        Seen::Known(pods) => pods,
        unseen => return Err(unseen.why_not().unwrap_or_default()),
    };
    let leader = pods.iter().find(|(_, it)| it.leads != Some(false));
    let Some((of, it)) = leader else {
        return Err("no pod that leads answers /metrics".to_owned());
    };
    let parts = [
        it.rps
            .map(|rps| (rps * 10.0).round() / 10.0)
            .map(|rps| format!("budget {rps} of {} sets/s", operator.settings().cognito_rps)),
        it.waiting.map(|waiting| format!("{waiting} waiting")),
        it.queue.map(|queue| format!("{queue} in the queue")),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    if parts.is_empty() {
        return Err(format!("/metrics of {} has neither", shown(of)));
    }
    Ok(parts.join(", "))
}

/// Why the queue and the budget of an operator with a Deployment are unknown; None if both are known.
fn unseen_load(operator: &Operator) -> Option<Link> {
    operator.installed.as_ref()?;
    let why = load(operator).err()?;
    let text = format!("queue and budget of {}: {why}", name_of(operator));
    Some(Link::new(LOAD, Level::Unknown, text))
}

fn of_lease(lease: &Lease, operator: Option<&Operator>) -> Link {
    let holder = lease.pod();
    let broken = |text: String| {
        let mut link = Link::new(SUBJECT, Level::Failed, text);
        link.finding.cure = Some(logs(operator));
        link
    };
    let renewed = match lease.leader() {
        Leader::Released => {
            return broken(format!(
                "no pod leads: nobody holds the Lease {}",
                shown(&lease.name)
            ));
        }
        Leader::Timeless => {
            return broken(format!(
                "{holder} holds the Lease, which has no time of renewal"
            ));
        }
        Leader::Gone(age) => {
            return broken(format!(
                "no pod leads: {holder} last renewed the Lease {} ago, and a renewal counts for {} s",
                span(age),
                lease.duration.as_secs()
            ));
        }
        Leader::Holder(age) => format!("renewed {} ago", span(age)),
        Leader::HolderByOtherClock(by) => format!(
            "renewed just now; the time in the Lease differs by {} from this machine's clock",
            span(by)
        ),
    };
    let held = lease.held.map(|it| format!(" for {}", span(it)));
    let text = format!("{holder} leads{}, {renewed}", held.unwrap_or_default());
    Link::new(SUBJECT, Level::Well, text)
}

/// How to find out why no pod leads or gets ready.
fn logs(operator: Option<&Operator>) -> Cure {
    let namespace = operator.map_or(FIELD_MANAGER, |it| &*it.namespace);
    Cure::commands(
        "the pods, the events and the log say why; the operator goes on by itself",
        [
            format!("kubectl get pods -n {namespace} -l app.kubernetes.io/name={FIELD_MANAGER}"),
            // Why there are no pods at all is in the events of the ReplicaSet.
            format!("kubectl get events -n {namespace} --sort-by=.lastTimestamp"),
            format!(
                "kubectl logs -n {namespace} --prefix -l app.kubernetes.io/name={FIELD_MANAGER} --tail=50"
            ),
        ],
    )
    .more(RUNBOOK)
}
