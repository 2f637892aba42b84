//! Reads how the operators do: the Deployments, the Lease of each, and the metrics of the pods.

use super::{deployment::pods, lease::lease, operator::installed, pages::pages, rights::rights_of};
use crate::{
    api::{FIELD_MANAGER, LEASE},
    core::{
        checkup::{installed::Installed, metrics::Metrics, seen::Seen},
        doctor::facts::Operator,
    },
};
use kube::Client;

/// The operators in `namespace`, or anywhere, and whether Deployments could be looked for everywhere. Without a
/// Deployment, the Lease in the usual namespace is looked for.
pub async fn operators(client: &Client, namespace: Option<&str>) -> (Vec<Operator>, Seen<()>) {
    let found = installed(client, namespace).await;
    let (all, deployments) = match found {
        Seen::Known(all) => (all, Seen::Known(())),
        unseen => (Vec::new(), unseen.map(|_| ())),
    };
    let mut operators = Vec::new();
    for it in all {
        operators.push(of_deployment(client, it).await);
    }
    if operators.is_empty() {
        let namespace = namespace.unwrap_or(FIELD_MANAGER);
        operators.push(Operator {
            namespace: namespace.to_owned(),
            installed: None,
            lease: lease(client, namespace, LEASE).await,
            metrics: Seen::Known(Vec::new()),
            rights: Seen::Known(Vec::new()),
        });
    }
    (operators, deployments)
}

async fn of_deployment(client: &Client, installed: Installed) -> Operator {
    let namespace = installed.namespace.clone();
    Operator {
        lease: if installed.settings.leader_elect {
            lease(client, &namespace, &installed.settings.lease_name).await
        } else {
            Seen::Known(None)
        },
        metrics: metrics(client, &installed).await,
        rights: rights_of(client, &installed).await,
        namespace,
        installed: Some(installed),
    }
}

/// The metrics of the pods, by the API server's proxy. A pod that doesn't answer is left out.
async fn metrics(client: &Client, installed: &Installed) -> Seen<Vec<(String, Metrics)>> {
    let (namespace, port) = (&*installed.namespace, installed.settings.port);
    let pods = pods(client, installed).await;
    let pages = pages(client, namespace, &pods, port).await;
    pages.map(|pages| {
        let read = pages.iter().map(|it| Some((it.of.clone(), it.metrics()?)));
        read.flatten().collect()
    })
}
