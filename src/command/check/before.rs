//! The facts before an installation.

use crate::{
    api::{KEY_SECRET, LEASE},
    cluster::inspect::{
        crds::crds, installation as inspect, namespace::namespace_state, operator::installed,
        rights::own_rights,
    },
    core::checkup::{
        judge::facts::{Answers, Kubernetes},
        pre::{PreFacts, to_escalate, to_install},
        right::{Installation, needed},
    },
};
use kube::Client;

/// What can be known before an installation into this namespace, by the caller's own rights.
pub(super) async fn facts(client: &Client, namespace: &str, watched: &[String]) -> PreFacts {
    PreFacts {
        program: env!("CARGO_PKG_VERSION").to_owned(),
        namespace: namespace.to_owned(),
        watched: watched.to_vec(),
        kubernetes: kubernetes(client, "/api/v1/namespaces").await,
        crds: crds(client).await,
        rights: own_rights(client, to_install(namespace, watched)).await,
        given: given(client, namespace, watched).await,
        installed: installed(client, None).await,
        existing: namespace_state(client, namespace).await,
    }
}

/// The API server; `listed` is the path of a list, such as `/api/v1/namespaces`.
pub(super) async fn kubernetes(client: &Client, listed: &str) -> Result<Kubernetes, String> {
    let (major, minor) = inspect::kubernetes_version(client).await?;
    Ok(Kubernetes {
        major,
        minor,
        watch_list: inspect::streams_lists(client, listed).await,
    })
}

/// The rights that the installation gives to the operator. The API server lets nobody give a right that the giver
/// lacks, unless the giver may escalate.
async fn given(client: &Client, namespace: &str, watched: &[String]) -> Option<Answers> {
    let escalate = to_escalate(namespace, watched);
    if inspect::has_right(client, &escalate).await == Ok(true) {
        return None;
    }
    let installation = Installation {
        namespace: namespace.to_owned(),
        key_secret: KEY_SECRET,
        watched: watched.to_vec(),
        lease: Some(LEASE.to_owned()),
    };
    Some(own_rights(client, needed(&installation)).await)
}
