//! Finds the Deployments of the operator.

use super::access::{right, seen};
use crate::{
    api::FIELD_MANAGER,
    core::checkup::{
        installed::{Installed, Settings},
        seen::Seen,
    },
};
use k8s_openapi::api::{
    apps::v1::{Deployment, DeploymentSpec},
    core::v1::Container,
};
use kube::{Api, Client, ResourceExt, api::ListParams};
use std::collections::{BTreeMap, BTreeSet};

/// The labels by which the manifests and the chart mark a Deployment of the operator. The chart's
/// `nameOverride` changes the first label and not the second.
const LABELS: [&str; 2] = ["app.kubernetes.io/name", "app.kubernetes.io/part-of"];

/// The Deployments of the operator in `namespace`, or in all namespaces. A caller who may not list Deployments
/// everywhere sees those in the namespace `cognito-password-operator`, where the manifests install.
pub async fn installed(client: &Client, namespace: Option<&str>) -> Seen<Vec<Installed>> {
    let found = in_namespace(client, namespace).await;
    match (&found, namespace) {
        (Seen::Denied(_), None) => match in_namespace(client, Some(FIELD_MANAGER)).await {
            Seen::Known(found) => Seen::Known(found),
            Seen::Denied(_) | Seen::Failed(_) => found,
        },
        _ => found,
    }
}

async fn in_namespace(client: &Client, namespace: Option<&str>) -> Seen<Vec<Installed>> {
    let api: Api<Deployment> = match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    let (mut known, mut found) = (BTreeSet::new(), Vec::new());
    for label in LABELS {
        let params = ListParams::default().labels(&format!("{label}={FIELD_MANAGER}"));
        let needed = right("list", "apps", "deployments", namespace, None);
        match seen(client, needed, api.list(&params)).await {
            Seen::Known(list) => found.extend(
                list.items
                    .into_iter()
                    .filter(|it| known.insert((it.namespace(), it.name_any())))
                    .filter_map(|it| of_deployment(&it)),
            ),
            Seen::Denied(right) => return Seen::Denied(right),
            Seen::Failed(why) => return Seen::Failed(why),
        }
    }
    Seen::Known(found)
}

/// The operator of a Deployment. None if no container runs the operator.
fn of_deployment(deployment: &Deployment) -> Option<Installed> {
    let spec = deployment.spec.as_ref()?;
    let pod = spec.template.spec.as_ref()?;
    let runs = |it: &&Container| it.args.iter().flatten().any(|arg| arg == "run");
    let container = pod.containers.iter().find(runs)?;
    let env: BTreeMap<_, _> = container
        .env
        .iter()
        .flatten()
        .filter_map(|it| Some((it.name.clone(), it.value.clone()?)))
        .collect();
    let status = deployment.status.clone().unwrap_or_default();
    Some(Installed {
        namespace: deployment.namespace().unwrap_or_default(),
        name: deployment.name_any(),
        image: container.image.clone().unwrap_or_default(),
        version: deployment
            .labels()
            .get("app.kubernetes.io/version")
            .cloned(),
        selector: selector(spec),
        service_account: pod
            .service_account_name
            .clone()
            .unwrap_or_else(|| "default".to_owned()),
        desired: spec.replicas.unwrap_or(1),
        ready: status.ready_replicas.unwrap_or(0),
        settings: Settings::of_container(&container.args.clone().unwrap_or_default(), &env),
    })
}

/// The labels by which a Deployment selects its pods.
pub(super) fn selector(spec: &DeploymentSpec) -> String {
    let labels = spec.selector.match_labels.iter().flatten();
    let labels: Vec<_> = labels
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    labels.join(",")
}
