//! `doctor`: why a resource isn't Ready, and what makes it Ready.

#![allow(
    clippy::doc_markdown,
    rustdoc::broken_intra_doc_links,
    reason = "the docs of the arguments are the help text"
)]

use super::{
    check::http_url,
    exit::{Exit, Failure},
    http_get::pages_at,
    object_names,
    output::OutputArgs,
    session::Session,
};
use crate::{
    cluster::inspect::{crds, grants, installation, namespaces, operators, resources, secret},
    core::{
        checkup::seen::Seen,
        doctor::{
            facts::{FoundSecret, Listed, Missing, Rivals, Surroundings},
            names::near,
            report::Report,
            summary::{Place, Summary},
        },
        words::WITHOUT_CRDS,
    },
};
use clap::Args;
use jiff::Timestamp;
use kube::Client;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// The arguments.
#[derive(Args, Debug)]
pub struct DoctorArgs {
    /// The resources, each as NAME or NAMESPACE/NAME; without NAME: a summary of the namespace
    #[arg(
        value_name = "NAME",
        value_parser = object_names::resource,
        conflicts_with_all = ["all_namespaces", "selector", "pool"]
    )]
    names: Vec<String>,

    /// Sum up the resources of all namespaces
    #[arg(long, short = 'A')]
    all_namespaces: bool,

    /// Sum up the resources with these labels, in kubectl's syntax
    #[arg(long, short = 'l', value_name = "SELECTOR", value_parser = object_names::label_selector)]
    selector: Option<String>,

    /// Sum up the resources of this user pool, in all namespaces
    #[arg(long, value_name = "POOL", value_parser = object_names::pool)]
    pool: Option<String>,

    /// The address of the operator's port, such as http://localhost:8080 after kubectl port-forward [default: by
    /// the API server's proxy]
    #[arg(long, value_name = "URL", value_parser = http_url)]
    url: Option<String>,

    /// The operator's own namespace [default: where its Deployment is]
    #[arg(long, value_name = "NAMESPACE", value_parser = object_names::namespace)]
    operator_namespace: Option<String>,

    #[command(flatten)]
    output: OutputArgs,
}

/// The document for named resources.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Reports {
    resources: Vec<Report>,
    missing: Vec<NotThere>,
}

/// A resource that isn't there, or that the caller can't see.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NotThere {
    namespace: String,
    name: String,
    why: String,
    #[serde(skip)]
    exit: Exit,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    near: Vec<String>,
}

/// Reports on the resources, or sums them up.
///
/// # Errors
/// [`Failure::Unknown`] if the API server doesn't answer, or if the resources can't be listed.
pub async fn doctor(args: &DoctorArgs, session: &Session) -> Result<Exit, Failure> {
    session.reach().await?;
    if args.names.is_empty() {
        sum_up(args, session).await
    } else {
        report(args, session).await
    }
}

async fn report(args: &DoctorArgs, session: &Session) -> Result<Exit, Failure> {
    let client = &session.client;
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for name in &args.names {
        let (namespace, name) = session.resource(name);
        match resources::get(client, namespace, name).await {
            Seen::Known(Some(it)) => found.push(it),
            unseen => missing.push(not_there(client, namespace, name, &unseen).await),
        }
    }
    // Without a resource there is nothing else to read, and an API server that hangs isn't asked again.
    let reports = if found.is_empty() {
        Vec::new()
    } else {
        reports(args, client, &found).await
    };
    let of_missing = missing.iter().map(|it| it.exit);
    let of_reports = reports.iter().map(|it| exit_of(it.is_well()));
    let exit = Exit::worst(of_missing.chain(of_reports));
    let content = Reports {
        resources: reports,
        missing,
    };
    args.output.print("Doctor", exit, &content, |layout| {
        let reports = content.resources.iter().map(|it| it.text(layout));
        let missing = content.missing.iter().map(|it| layout.entry(&it.text()));
        reports.chain(missing).collect::<Vec<_>>().join("\n\n")
    })
}

/// A report on each resource.
async fn reports(args: &DoctorArgs, client: &Client, found: &[Listed]) -> Vec<Report> {
    let pools: BTreeSet<_> = found
        .iter()
        .filter_map(|it| Some(it.readable()?.spec.user_pool_id.clone()))
        .collect();
    let own: BTreeSet<_> = found.iter().map(|it| it.key().0.to_owned()).collect();
    let mut rivals = (Vec::new(), None);
    for pool in &pools {
        let (more, without) = rivals_in(client, pool, &own).await;
        rivals.0.extend(more);
        rivals.1 = rivals.1.or(without);
    }
    let mut around = surroundings(args, client, Rivals::new(rivals.0, rivals.1)).await;
    for namespace in own {
        let labels = namespaces::labels(client, &namespace).await;
        // A namespace that does not exist has none.
        around
            .labels
            .insert(namespace, labels.map(Option::unwrap_or_default));
    }
    let mut reports = Vec::new();
    for it in found {
        let secret = secret_of(client, it, &around).await;
        reports.push(Report::new(it, secret.as_ref(), &around));
    }
    reports
}

async fn sum_up(args: &DoctorArgs, session: &Session) -> Result<Exit, Failure> {
    let client = &session.client;
    let everywhere = args.all_namespaces || args.pool.is_some();
    let own = Some(&*session.namespace).filter(|_| !everywhere);
    let (selector, pool) = (args.selector.as_deref(), args.pool.as_deref());
    let listed = match resources::list(client, own, selector, pool).await {
        Seen::Known(listed) => listed,
        // The summary says that the CRDs are missing.
        Seen::Failed(_) if is_without_crds(client).await => Vec::new(),
        unseen => {
            let why = unseen.why_not().unwrap_or_default();
            let hint = if everywhere && matches!(unseen, Seen::Denied(_)) {
                "; without -A and --pool, the resources of one namespace are summed up"
            } else {
                ""
            };
            return Err(Failure::Unknown(format!("{why}{hint}")));
        }
    };
    // Only a list of everything has all rivals.
    let is_everything = args.all_namespaces && selector.is_none() && pool.is_none();
    let rivals = if is_everything {
        let all = listed.iter().filter_map(Listed::readable).cloned();
        Rivals::new(all.collect(), None)
    } else {
        match resources::list(client, None, None, pool).await {
            Seen::Known(all) => Rivals::new(readable(all), None),
            unseen => {
                let all = listed.iter().filter_map(Listed::readable).cloned();
                Rivals::new(all.collect(), missing(&unseen))
            }
        }
    };
    let mut around = surroundings(args, client, rivals).await;
    let all_labels = namespaces::all_labels(client).await;
    let namespaces: BTreeSet<_> = listed.iter().map(|it| it.key().0.to_owned()).collect();
    for namespace in namespaces {
        let labels = all_labels.as_ref();
        let labels = labels.map(|it| it.get(&namespace).cloned().unwrap_or_default());
        around.labels.insert(namespace, labels);
    }
    let mut summary = Summary::new(&listed, &around);
    let is_served = !around.crds.are_missing();
    if listed.is_empty() && is_served {
        summary.nothing_in(match (&args.pool, own) {
            (Some(pool), _) => Place::Pool(pool),
            (None, None) => Place::Everywhere,
            (None, Some(namespace)) => {
                let exists = namespaces::labels(client, namespace).await;
                Place::Namespace(namespace, exists.known().map(Option::is_some))
            }
        });
    }
    let place = match (&args.pool, own) {
        (Some(pool), _) => format!("of {pool}"),
        (None, None) => "in all namespaces".to_owned(),
        (None, Some(namespace)) => format!("in {namespace}"),
    };
    let exit = exit_of(summary.is_well());
    let print = |layout: &_| summary.text(layout, &place);
    args.output.print("DoctorSummary", exit, &summary, print)
}

/// The facts that all resources share.
async fn surroundings(args: &DoctorArgs, client: &Client, rivals: Rivals) -> Surroundings {
    let namespace = args.operator_namespace.as_deref();
    let (mut operators, deployments) = operators::operators(client, namespace).await;
    if let Some(url) = &args.url {
        let page = pages_at(url).await;
        let read = match (page.metrics(), page.metrics) {
            (Some(metrics), _) => Seen::Known(vec![(page.of, metrics)]),
            (None, Ok((status, _))) => Seen::Failed(format!("{} answers {status}", page.of)),
            (None, Err(why)) => Seen::Failed(why),
        };
        for it in &mut operators {
            it.metrics = read.clone();
        }
    }
    Surroundings {
        now: Timestamp::now(),
        crds: crds::crds(client).await,
        operators,
        deployments,
        grants: grants::grants(client).await,
        labels: BTreeMap::new(),
        rivals,
    }
}

/// All resources of a pool, and why other namespaces are not among them.
async fn rivals_in(
    client: &Client,
    pool: &str,
    namespaces: &BTreeSet<String>,
) -> (Vec<crate::api::CognitoUserPassword>, Option<Missing>) {
    let everywhere = resources::list(client, None, None, Some(pool)).await;
    let why = missing(&everywhere);
    if let Seen::Known(all) = everywhere {
        return (readable(all), None);
    }
    let mut found = Vec::new();
    for namespace in namespaces {
        if let Seen::Known(all) = resources::list(client, Some(namespace), None, Some(pool)).await {
            found.extend(readable(all));
        }
    }
    (found, why)
}

fn readable(all: Vec<Listed>) -> Vec<crate::api::CognitoUserPassword> {
    let all = all.into_iter();
    all.filter_map(|it| match it {
        Listed::Readable(it) => Some(*it),
        Listed::Unreadable { .. } => None,
    })
    .collect()
}

fn missing<T>(seen: &Seen<T>) -> Option<Missing> {
    match seen {
        Seen::Known(_) => None,
        Seen::Denied(right) => Some(Missing::Right(right.clone())),
        Seen::Failed(why) => Some(Missing::Why(why.clone())),
    }
}

/// The Secret of a resource; None if the resource can't be read.
async fn secret_of(
    client: &Client,
    listed: &Listed,
    around: &Surroundings,
) -> Option<Seen<Option<FoundSecret>>> {
    let resource = listed.readable()?;
    let (namespace, _) = listed.key();
    let reference = &resource.spec.password_secret_ref;
    let acting = around.operators.iter();
    let acting = acting.filter(|it| it.installed.is_some() && it.watches(namespace));
    let selectors: Vec<_> = acting
        .filter_map(|it| it.settings().secret_selector)
        .collect();
    let found = secret::find(
        client,
        namespace,
        &reference.name,
        &reference.key,
        &selectors,
    );
    Some(found.await)
}

async fn not_there(
    client: &Client,
    namespace: &str,
    name: &str,
    unseen: &Seen<Option<Listed>>,
) -> NotThere {
    let mut it = NotThere {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        why: String::new(),
        exit: Exit::Unknown,
        near: Vec::new(),
    };
    // Without the CRDs, the API server knows no such path, which is an answer like any other failure.
    if !matches!(unseen, Seen::Denied(_)) && is_without_crds(client).await {
        it.exit = Exit::Found;
        it.why.push_str(WITHOUT_CRDS);
        return it;
    }
    if let Some(why) = unseen.why_not() {
        it.why = why;
        return it;
    }
    it.exit = Exit::Found;
    it.why = format!("{namespace} has no CognitoUserPassword of this name");
    let known = match resources::list(client, None, None, None).await {
        Seen::Known(all) => Seen::Known(all),
        _ => resources::list(client, Some(namespace), None, None).await,
    };
    let known = known.known().into_iter().flatten().map(Listed::key);
    it.near = near((namespace, name), known);
    it
}

/// Whether the API server surely doesn't know the resources.
async fn is_without_crds(client: &Client) -> bool {
    let kinds = installation::served_kinds(client).await;
    kinds.is_ok_and(|it| it.iter().all(|it| it != "cognitouserpasswords"))
}

impl NotThere {
    fn text(&self) -> String {
        let near = match &*self.near {
            [] => String::new(),
            near => format!("; near names: {}", near.join(", ")),
        };
        let mark = match self.exit {
            Exit::Unknown => "?",
            Exit::Well | Exit::Found => "×",
        };
        format!(
            "{mark} {}/{}: {}{near}",
            self.namespace, self.name, self.why
        )
    }
}

const fn exit_of(is_well: bool) -> Exit {
    if is_well { Exit::Well } else { Exit::Found }
}
