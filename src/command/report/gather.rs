//! Gathers the files of a report.

use crate::{
    api::{FIELD_MANAGER, GROUP, VERSION},
    cluster::inspect::{
        installation::kubernetes_version,
        operator::{LABELS, installed},
        pages::pages,
        report::{Kind, Selection, caller, log, object, objects, rights},
    },
    command::{exit::Failure, http_get::pages_at, session::Session},
    core::{
        checkup::{installed::Installed, judge::facts::Page, seen::Seen},
        report::{bundle::Bundle, redact},
    },
};
use serde::Serialize;
use serde_json::{Value, json};

const fn kind(
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
) -> Kind {
    Kind {
        group,
        version,
        kind,
        plural,
    }
}

const RESOURCES: Kind = kind(
    GROUP,
    VERSION,
    "CognitoUserPassword",
    "cognitouserpasswords",
);
const GRANTS: Kind = kind(
    GROUP,
    VERSION,
    "CognitoUserPoolGrant",
    "cognitouserpoolgrants",
);
const CRDS: Kind = kind(
    "apiextensions.k8s.io",
    "v1",
    "CustomResourceDefinition",
    "customresourcedefinitions",
);
const DEPLOYMENTS: Kind = kind("apps", "v1", "Deployment", "deployments");
const PODS: Kind = kind("", "v1", "Pod", "pods");
const LEASES: Kind = kind("coordination.k8s.io", "v1", "Lease", "leases");
const EVENTS: Kind = kind("", "v1", "Event", "events");

/// Reads everything that the caller may read.
///
/// # Errors
/// No API server answers.
pub(super) async fn gather(
    session: &Session,
    namespace: Option<&str>,
    url: Option<&str>,
) -> Result<Bundle, Failure> {
    let client = &session.client;
    let (major, minor) = kubernetes_version(client).await.map_err(Failure::Unknown)?;
    let mut bundle = Bundle::default();
    let found = installed(client, namespace).await;
    let operators = found.known().cloned().unwrap_or_default();
    let versions = json!({
        "client": env!("CARGO_PKG_VERSION"),
        "kubernetes": format!("{major}.{minor}"),
        "operators": operators.iter().map(shown).collect::<Vec<_>>(),
    });
    bundle.add("versions.yaml", "versions and settings", &yaml(&versions));
    if let Some(why) = found.why_not() {
        bundle.missing("the operator's settings", &why);
    }
    of_caller(session, &mut bundle).await;
    for crd in [RESOURCES, GRANTS] {
        let name = format!("{}.{GROUP}", crd.plural);
        let what = format!("the CRD {name}");
        match object(client, CRDS, &name).await {
            Seen::Known(Some(mut crd)) => {
                redact::object(&mut crd);
                bundle.add(&format!("crds/{name}.yaml"), &what, &yaml(&crd));
            }
            Seen::Known(None) => bundle.missing(&what, "is not installed"),
            seen @ (Seen::Denied(_) | Seen::Failed(_)) => {
                bundle.missing(&what, &seen.why_not().unwrap_or_default());
            }
        }
    }
    all(session, &mut bundle).await;
    let homes = homes(&operators, namespace);
    for home in &homes {
        let of_home: Vec<_> = operators
            .iter()
            .filter(|it| it.namespace == *home)
            .collect();
        of_operator(session, (home, &of_home), url.is_none(), &mut bundle).await;
    }
    if let Some(url) = url {
        let page = pages_at(url).await;
        let file = |path: &str| format!("{path}.txt");
        add_page(&mut bundle, &page, "the operator", file);
    }
    Ok(bundle)
}

/// Adds both answers of a page. `file` names the file of a path, such as `readyz`.
fn add_page(bundle: &mut Bundle, page: &Page, of: &str, file: impl Fn(&str) -> String) {
    for (path, answer) in [("readyz", &page.readyz), ("metrics", &page.metrics)] {
        let what = format!("/{path} of {of}");
        match answer {
            Ok((status, text)) => {
                bundle.add(&file(path), &format!("{what}, status {status}"), text);
            }
            Err(why) => bundle.missing(&what, why),
        }
    }
}

/// The namespaces of operators: each once.
fn homes(operators: &[Installed], namespace: Option<&str>) -> Vec<String> {
    let mut homes: Vec<_> = operators.iter().map(|it| it.namespace.clone()).collect();
    if homes.is_empty() {
        homes.push(namespace.unwrap_or(FIELD_MANAGER).to_owned());
    }
    homes.sort();
    homes.dedup();
    homes
}

fn shown(operator: &Installed) -> Value {
    let settings = &operator.settings;
    json!({
        "namespace": operator.namespace,
        "name": operator.name,
        "image": operator.image,
        "version": operator.version,
        "replicas": operator.desired,
        "ready": operator.ready,
        "settings": {
            "watchNamespaces": settings.watch_namespaces,
            "leaderElect": settings.leader_elect,
            "leaseName": settings.lease_name,
            "ungrantedAllow": settings.ungranted_allow,
            "secretSelector": settings.secret_selector,
            "cognitoRps": settings.cognito_rps,
            "cognitoBurst": settings.cognito_burst,
            "drift": settings.drift,
            "port": settings.port,
        },
    })
}

async fn of_caller(session: &Session, bundle: &mut Bundle) {
    let text = caller(&session.client).await.map(|it| yaml(&it));
    bundle.add_seen("caller.yaml", "who made the report", &text);
    let namespace = &session.namespace;
    let text = rights(&session.client, namespace).await.map(|it| yaml(&it));
    let what = format!("the caller's rights in {namespace}");
    bundle.add_seen("rights.yaml", &what, &text);
}

/// Resources, their Events, and grants.
async fn all(session: &Session, bundle: &mut Bundle) {
    let client = &session.client;
    let grants = objects(client, GRANTS, Selection::default()).await;
    add_list(bundle, "grants.yaml", "grants", grants);
    let everywhere = objects(client, RESOURCES, Selection::default()).await;
    // A tenant may list the resources of one namespace.
    let namespace = Some(&*session.namespace).filter(|_| everywhere.known().is_none());
    let place = place(namespace);
    if let Some(why) = everywhere.why_not() {
        bundle.missing("resources of all namespaces", &why);
    }
    let resources = if namespace.is_none() {
        everywhere
    } else {
        let selection = Selection {
            namespace,
            ..Selection::default()
        };
        objects(client, RESOURCES, selection).await
    };
    add_list(
        bundle,
        "resources.yaml",
        &format!("resources of {place}"),
        resources,
    );
    let fields = format!("involvedObject.kind={}", RESOURCES.kind);
    let selection = Selection {
        namespace,
        fields: Some(&fields),
        labels: None,
    };
    let events = objects(client, EVENTS, selection).await;
    add_list(
        bundle,
        "events.yaml",
        &format!("Events about resources of {place}"),
        events,
    );
}

fn place(namespace: Option<&str>) -> &str {
    namespace.unwrap_or("all namespaces")
}

/// What is in the namespace of an operator.
async fn of_operator(
    session: &Session,
    (home, operators): (&str, &[&Installed]),
    has_proxy: bool,
    bundle: &mut Bundle,
) {
    let client = &session.client;
    let port = operators.first().map_or(8080, |it| it.settings.port);
    let in_home = Selection {
        namespace: Some(home),
        ..Selection::default()
    };
    // The namespace may have other things than the operator.
    let names: Vec<_> = operators
        .iter()
        .flat_map(|it| [it.name.as_str(), it.settings.lease_name.as_str()])
        .chain([FIELD_MANAGER])
        .collect();
    let kinds = [
        (LEASES, "/metadata/name", "leases"),
        (EVENTS, "/involvedObject/name", "events"),
    ];
    for (kind, named, file) in kinds {
        let list = objects(client, kind, in_home).await.map(|mut objects| {
            objects.retain(|it| {
                let name = it
                    .pointer(named)
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                names.iter().any(|begin| name.starts_with(begin))
            });
            objects
        });
        let what = format!("{file} of the operator in {home}");
        add_list(bundle, &format!("operator/{home}/{file}.yaml"), &what, list);
    }
    let deployments = labelled(session, DEPLOYMENTS, home).await;
    let file = format!("operator/{home}/deployments.yaml");
    add_list(
        bundle,
        &file,
        &format!("Deployments of the operator in {home}"),
        deployments,
    );
    let pods = labelled(session, PODS, home).await;
    let names = pods
        .known()
        .map(|pods| pods.iter().map(containers).collect::<Vec<_>>());
    let file = format!("operator/{home}/pods.yaml");
    add_list(
        bundle,
        &file,
        &format!("pods of the operator in {home}"),
        pods,
    );
    for (pod, containers) in names.unwrap_or_default() {
        for container in &containers {
            for is_previous in [false, true] {
                let name = if is_previous { ".previous" } else { "" };
                let file = format!("operator/{home}/logs/{pod}/{container}{name}.log");
                let what = format!("the{name} log of {pod}, {container}").replace("the.", "the ");
                let text = log(client, (home, &pod, container), is_previous).await;
                let is_empty = text.known().is_some_and(String::is_empty);
                if is_previous && (is_empty || has_no_previous(&text)) {
                    continue;
                }
                if is_empty {
                    bundle.missing(&what, "the log is empty");
                    continue;
                }
                bundle.add_seen(&file, &what, &text);
            }
        }
        if !has_proxy {
            continue;
        }
        let pods = Seen::Known(vec![pod.clone()]);
        match pages(client, home, &pods, port).await {
            Seen::Known(pages) => {
                let file = |path: &str| format!("operator/{home}/{path}/{pod}.txt");
                for page in &pages {
                    add_page(bundle, page, &pod, file);
                }
            }
            unseen => {
                let why = unseen.why_not().unwrap_or_default();
                bundle.missing(&format!("/readyz and /metrics of {pod}"), &why);
            }
        }
    }
}

/// Whether the container has never restarted, which is as it should be.
fn has_no_previous(log: &Seen<String>) -> bool {
    matches!(log, Seen::Failed(why) if why.contains("previous terminated container"))
}

/// The objects that either of the operator's labels marks.
async fn labelled(session: &Session, kind: Kind, home: &str) -> Seen<Vec<Value>> {
    let mut all: Vec<Value> = Vec::new();
    for label in LABELS {
        let labels = format!("{label}={FIELD_MANAGER}");
        let selection = Selection {
            namespace: Some(home),
            labels: Some(&labels),
            fields: None,
        };
        match objects(&session.client, kind, selection).await {
            Seen::Known(found) => all.extend(found),
            missing @ (Seen::Denied(_) | Seen::Failed(_)) => return missing,
        }
    }
    all.sort_by(|a, b| name(a).cmp(name(b)));
    all.dedup_by(|a, b| name(a) == name(b));
    Seen::Known(all)
}

fn name(object: &Value) -> &str {
    object
        .pointer("/metadata/name")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// A pod and its containers.
fn containers(pod: &Value) -> (String, Vec<String>) {
    let containers = pod.pointer("/spec/containers").and_then(Value::as_array);
    let names = containers
        .into_iter()
        .flatten()
        .filter_map(|it| it["name"].as_str());
    (name(pod).to_owned(), names.map(str::to_owned).collect())
}

fn add_list(bundle: &mut Bundle, file: &str, what: &str, list: Seen<Vec<Value>>) {
    let text = list.map(|mut objects| {
        objects.iter_mut().for_each(redact::object);
        yaml(&json!({ "apiVersion": "v1", "kind": "List", "items": objects }))
    });
    bundle.add_seen(file, what, &text);
}

fn yaml<T: Serialize>(value: &T) -> String {
    // Every value here was JSON, so YAML can have the value.
    serde_saphyr::to_string(value).unwrap_or_else(|error| error.to_string())
}
