//! The facts about an installation.

use super::{before::kubernetes, settings::Settings};
use crate::{
    api::{GROUP, KEY_SECRET, VERSION},
    cluster::inspect::{
        counts::counts,
        crds::{crds, served},
        deployment::deployed,
        grants::grants,
        lease::lease,
        operator::installed,
        pages::pages,
        rights::{own_rights, rights_of},
    },
    command::http_get::pages_at,
    core::{
        access::found_grant::FoundGrant,
        checkup::{
            installed::Installed,
            judge::facts::{Facts, OperatorFacts, Pages},
            lease::Lease,
            right::{Installation, needed},
            seen::Seen,
        },
    },
};
use jiff::Timestamp;
use kube::Client;

/// The facts as the operator itself sees them. The operator may not see its own Deployment.
pub(super) async fn of_operator(client: &Client, settings: &Settings) -> Facts {
    let watched = settings.watch_namespaces.as_slice();
    let installation = Installation {
        namespace: settings.operator_namespace.clone(),
        key_secret: KEY_SECRET,
        watched: watched.to_vec(),
        lease: settings.lease_name.clone(),
    };
    let lease = elected(client, &installation).await;
    let pages = match &settings.url {
        Some(url) => Some(Pages::At(pages_at(url).await)),
        None => None,
    };
    let operator = OperatorFacts {
        deployed: None,
        rights: Seen::Known(own_rights(client, needed(&installation)).await),
        lease,
        pages,
    };
    let grants = cluster_grants(client, watched).await;
    Facts {
        program: env!("CARGO_PKG_VERSION").to_owned(),
        kubernetes: kubernetes(client, &listed(watched)).await,
        crds: served(client).await,
        installed: None,
        operators: vec![operator],
        // This program isn't told the rule for users without a grant, so nothing follows from no grant.
        grants: grants.filter(|it| it.known().is_none_or(|grants| !grants.is_empty())),
        resources: Some(counts(client, watched, Timestamp::now()).await),
    }
}

/// The facts as a person sees them: about the operator in the namespace `own`, or about all operators. `fallback`
/// is the namespace of a person who may not list all Deployments.
pub(super) async fn of_person(
    client: &Client,
    (own, fallback): (Option<&str>, &str),
    url: Option<&str>,
) -> Facts {
    let chosen = visible(client, own, fallback).await;
    let mut operators = Vec::new();
    for it in chosen.known().cloned().unwrap_or_default() {
        operators.push(of_deployment(client, it, url).await);
    }
    // The other operators may be in the way of this one.
    let all = match (own, installed(client, None).await) {
        (Some(_), Seen::Known(all)) if contains(&all, &chosen) => Seen::Known(all),
        _ => chosen,
    };
    let watched = watched(&operators);
    let grants = cluster_grants(client, &watched).await;
    Facts {
        program: env!("CARGO_PKG_VERSION").to_owned(),
        kubernetes: kubernetes(client, &listed(&watched)).await,
        crds: crds(client).await,
        installed: Some(all),
        operators,
        grants,
        resources: Some(counts(client, &watched, Timestamp::now()).await),
    }
}

/// The operators in the namespace `own`, or all that the caller may see.
pub(in crate::command) async fn visible(
    client: &Client,
    own: Option<&str>,
    fallback: &str,
) -> Seen<Vec<Installed>> {
    let found = installed(client, own).await;
    // After a failure, another question would fail as well.
    if own.is_some() || !matches!(found, Seen::Denied(_)) {
        return found;
    }
    match installed(client, Some(fallback)).await {
        Seen::Known(there) if !there.is_empty() => Seen::Known(there),
        _ => found,
    }
}

fn contains(all: &[Installed], chosen: &Seen<Vec<Installed>>) -> bool {
    let name = |it: &Installed| (it.namespace.clone(), it.name.clone());
    let mut chosen = chosen.known().into_iter().flatten();
    chosen.all(|it| all.iter().any(|other| name(other) == name(it)))
}

/// The namespaces that the operators watch; empty if one of them watches all, or if there is no operator.
fn watched(operators: &[OperatorFacts]) -> Vec<String> {
    let settings = operators
        .iter()
        .filter_map(|it| Some(&it.deployed.as_ref()?.installed.settings));
    let lists: Vec<_> = settings.map(|it| it.watch_namespaces.as_slice()).collect();
    if lists.iter().any(|it| it.is_empty()) {
        return Vec::new();
    }
    let mut names = lists.concat();
    names.sort();
    names.dedup();
    names
}

async fn of_deployment(client: &Client, installed: Installed, url: Option<&str>) -> OperatorFacts {
    let (port, namespace) = (installed.settings.port, installed.namespace.clone());
    let rights = rights_of(client, &installed).await;
    let lease = elected(client, &installed.installation()).await;
    let deployed = Box::pin(deployed(client, installed)).await;
    let pages = match url {
        Some(url) => Pages::At(pages_at(url).await),
        None => Pages::Proxied(pages(client, &namespace, &deployed.pods, port).await),
    };
    OperatorFacts {
        deployed: Some(deployed),
        rights,
        lease,
        pages: Some(pages),
    }
}

/// The path of the list of resources in the first watched namespace, or in all.
fn listed(watched: &[String]) -> String {
    let place = watched.first().map(|it| format!("namespaces/{it}/"));
    let place = place.unwrap_or_default();
    format!("/apis/{GROUP}/{VERSION}/{place}cognitouserpasswords")
}

/// The grants; None if no operator watches all namespaces, because one that watches some uses no grants.
async fn cluster_grants(client: &Client, watched: &[String]) -> Option<Seen<Vec<FoundGrant>>> {
    if watched.is_empty() {
        Some(grants(client).await)
    } else {
        None
    }
}

/// The Lease; None without an election.
async fn elected(client: &Client, installation: &Installation) -> Option<Seen<Option<Lease>>> {
    let name = installation.lease.as_ref()?;
    Some(lease(client, &installation.namespace, name).await)
}
