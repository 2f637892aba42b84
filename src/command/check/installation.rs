//! The facts about an installation.

use super::{before::kubernetes, settings::Settings};
use crate::{
    api::{GROUP, KEY_SECRET, VERSION},
    cluster::inspect::{
        access::right,
        crds::stored_crds,
        deployment::deployed,
        installation as inspect,
        objects::{grant_states, resources},
        operator::installed,
        pages::pages,
        rights::{own_rights, rights_of},
    },
    command::http_get::http_get,
    core::checkup::{
        installed::Installed,
        judge::{
            Lease,
            facts::{Crds, Facts, OperatorFacts, Page, Pages},
        },
        right::{Installation, needed},
        seen::Seen,
    },
};
use jiff::Timestamp;
use kube::Client;
use std::time::Duration;

/// How often the Lease is read again if its time is old, and the pause before each read. A leader renews the
/// Lease every 2 seconds.
const READS: usize = 5;
const PAUSE: Duration = Duration::from_secs(1);

/// The facts as the operator itself sees them. The operator may not see its own Deployment.
pub(super) async fn of_operator(client: &Client, settings: &Settings) -> Facts {
    let watched = settings.watch_namespaces.as_slice();
    let installation = Installation {
        namespace: settings.operator_namespace.clone(),
        key_secret: KEY_SECRET,
        watched: watched.to_vec(),
        lease: settings.lease_name.clone(),
    };
    let (lease, is_renewed) = lease(client, &installation).await;
    let pages = match &settings.url {
        Some(url) => Some(Pages::At(pages_at(url).await)),
        None => None,
    };
    let operator = OperatorFacts {
        deployed: None,
        rights: Seen::Known(own_rights(client, needed(&installation)).await),
        lease,
        is_renewed,
        pages,
    };
    let grants = if watched.is_empty() {
        Some(grant_states(client).await)
    } else {
        None
    };
    Facts {
        program: env!("CARGO_PKG_VERSION").to_owned(),
        kubernetes: kubernetes(client, &listed(watched)).await,
        crds: Crds {
            kinds: inspect::served_kinds(client).await,
            stored: None,
        },
        installed: None,
        operators: vec![operator],
        // This program isn't told the rule for users without a grant, so nothing follows from no grant.
        grants: grants.filter(|it| it.known().is_none_or(|grants| !grants.is_empty())),
        resources: Some(resources(client, watched, Timestamp::now()).await),
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
    let grants = if watched.is_empty() {
        Some(grant_states(client).await)
    } else {
        None
    };
    Facts {
        program: env!("CARGO_PKG_VERSION").to_owned(),
        kubernetes: kubernetes(client, &listed(&watched)).await,
        crds: Crds {
            kinds: inspect::served_kinds(client).await,
            stored: Some(stored_crds(client).await),
        },
        installed: Some(all),
        operators,
        grants,
        resources: Some(resources(client, &watched, Timestamp::now()).await),
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
    let settings = &installed.settings;
    let installation = Installation {
        namespace: installed.namespace.clone(),
        key_secret: KEY_SECRET,
        watched: settings.watch_namespaces.clone(),
        lease: settings.leader_elect.then(|| settings.lease_name.clone()),
    };
    let (port, namespace) = (settings.port, installed.namespace.clone());
    let account = (&*installed.namespace, &*installed.service_account);
    let rights = rights_of(client, account, needed(&installation)).await;
    let (lease, is_renewed) = lease(client, &installation).await;
    let deployed = Box::pin(deployed(client, installed)).await;
    let pages = match (url, &deployed.pods) {
        (Some(url), _) => Pages::At(pages_at(url).await),
        (None, Seen::Known(pods)) => Pages::Proxied(pages(client, &namespace, pods, port).await),
        (None, Seen::Denied(right)) => Pages::Proxied(Seen::Denied(right.clone())),
        (None, Seen::Failed(why)) => Pages::Proxied(Seen::Failed(why.clone())),
    };
    OperatorFacts {
        deployed: Some(deployed),
        rights,
        lease,
        is_renewed,
        pages: Some(pages),
    }
}

/// The path of the list of resources in the first watched namespace, or in all.
fn listed(watched: &[String]) -> String {
    let place = watched.first().map(|it| format!("namespaces/{it}/"));
    let place = place.unwrap_or_default();
    format!("/apis/{GROUP}/{VERSION}/{place}cognitouserpasswords")
}

/// The Lease, and whether the holder renewed the Lease while this program looked on. This machine's clock may
/// differ from the holder's, so an old time alone doesn't say that nobody leads.
async fn lease(
    client: &Client,
    installation: &Installation,
) -> (Option<Seen<Option<Lease>>>, bool) {
    let Some(name) = &installation.lease else {
        return (None, false);
    };
    let namespace = &installation.namespace;
    let group = "coordination.k8s.io";
    let needed = right("get", group, "leases", Some(namespace), Some(name));
    if inspect::has_right(client, &needed).await == Ok(false) {
        return (Some(Seen::Denied(needed)), false);
    }
    let now = Timestamp::now();
    let read = async || inspect::lease(client, namespace, name, now).await;
    let first = match read().await {
        Ok(lease) => lease,
        Err(why) => return (Some(Seen::Failed(why)), false),
    };
    let mut is_renewed = false;
    if first.as_ref().is_some_and(is_old) {
        for _ in 0..READS {
            tokio::time::sleep(PAUSE).await;
            is_renewed = matches!(read().await, Ok(again) if again.is_some() && again != first);
            if is_renewed {
                break;
            }
        }
    }
    (Some(Seen::Known(first)), is_renewed)
}

/// Whether the time in the Lease is further from this machine's time than a living leader's.
fn is_old(lease: &Lease) -> bool {
    let is_far = |ago: i64| ago.abs() > lease.duration;
    !lease.holder.is_empty() && lease.renewed.is_some_and(is_far)
}

async fn pages_at(url: &str) -> Page {
    let url = url.trim_end_matches('/');
    Page {
        of: url.to_owned(),
        readyz: http_get(&format!("{url}/readyz")).await,
        metrics: http_get(&format!("{url}/metrics")).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::inspect::fake;

    fn installation() -> Installation {
        Installation {
            namespace: "home".to_owned(),
            key_secret: KEY_SECRET,
            watched: Vec::new(),
            lease: Some("operator".to_owned()),
        }
    }

    #[tokio::test]
    async fn a_leader_with_another_clock_is_seen_at_work() {
        let client = fake::client(&[
            fake::MAY,
            (
                "leases/operator",
                200,
                r#"{"metadata":{"name":"operator"},"spec":{"holderIdentity":"pod-a","leaseDurationSeconds":15,"renewTime":"2020-01-01T00:00:00.000000Z"}}"#,
            ),
            (
                "leases/operator",
                200,
                r#"{"metadata":{"name":"operator"},"spec":{"holderIdentity":"pod-a","leaseDurationSeconds":15,"renewTime":"2020-01-01T00:00:02.000000Z"}}"#,
            ),
        ])
        .await;
        let (seen, is_renewed) = lease(&client, &installation()).await;
        let seen = seen.expect("an election");
        let seen = seen.known().and_then(Option::as_ref).expect("a Lease");
        assert!(is_old(seen) && is_renewed, "{seen:?}");
    }

    #[tokio::test]
    async fn without_a_lease_or_an_election_nothing_is_read_again() {
        let client = fake::client(&[fake::MAY]).await;
        let found = lease(&client, &installation()).await;
        assert_eq!(found, (Some(Seen::Known(None)), false));
        let alone = Installation {
            lease: None,
            ..installation()
        };
        assert_eq!(lease(&client, &alone).await, (None, false));
    }
}
