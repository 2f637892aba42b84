//! Reads how the operators do: the Deployments, the Lease of each, and the metrics of the pods.

use super::{
    access::{core_right, proxy_right, right, seen},
    lease::lease,
    operator::installed,
    rights::rights_of,
};
use crate::{
    api::{FIELD_MANAGER, KEY_SECRET, LEASE},
    core::{
        checkup::{
            installed::Installed,
            judge::facts::Answers,
            right::{Installation, needed},
            seen::Seen,
        },
        doctor::{facts::Operator, metrics::Metrics},
        names::region::Regions,
    },
};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{Api, Client, ResourceExt, api::ListParams};

/// The variables by which one endpoint serves every Region.
const ENDPOINTS: [&str; 2] = [
    "AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER",
    "AWS_ENDPOINT_URL",
];

/// The most pods whose metrics are read.
const PODS_MAX: usize = 4;

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
            regions: Regions::Any,
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
        regions: regions(client, &installed).await,
        lease: if installed.settings.leader_elect {
            lease(client, &namespace, &installed.settings.lease_name).await
        } else {
            Seen::Known(None)
        },
        metrics: metrics(client, &installed).await,
        rights: rights(client, &installed).await,
        namespace,
        installed: Some(installed),
    }
}

/// Whether the operator has each right that it needs for all that it watches.
async fn rights(client: &Client, installed: &Installed) -> Seen<Answers> {
    let settings = &installed.settings;
    let installation = Installation {
        namespace: installed.namespace.clone(),
        key_secret: KEY_SECRET,
        watched: settings.watch_namespaces.clone(),
        lease: settings.leader_elect.then(|| settings.lease_name.clone()),
    };
    let account = (&*installed.namespace, &*installed.service_account);
    rights_of(client, account, needed(&installation)).await
}

/// Any Region, if the Deployment's environment has an endpoint for Cognito or if the environment is unknown.
async fn regions(client: &Client, installed: &Installed) -> Regions {
    let api: Api<Deployment> = Api::namespaced(client.clone(), &installed.namespace);
    let needed = right(
        "get",
        "apps",
        "deployments",
        Some(&installed.namespace),
        Some(&installed.name),
    );
    let found = seen(client, needed, api.get(&installed.name)).await;
    let pod = found
        .known()
        .and_then(|it| it.spec.as_ref()?.template.spec.as_ref());
    let Some(pod) = pod else {
        return Regions::Any;
    };
    let has_endpoint = pod.containers.iter().any(|it| {
        let env = it.env.iter().flatten();
        let mut env = env.filter(|it| ENDPOINTS.contains(&&*it.name));
        it.env_from.iter().flatten().next().is_some() || env.next().is_some()
    });
    if has_endpoint {
        Regions::Any
    } else {
        Regions::OfAws
    }
}

/// The metrics of the pods, by the API server's proxy. A pod that doesn't answer is left out.
async fn metrics(client: &Client, installed: &Installed) -> Seen<Vec<(String, Metrics)>> {
    let (namespace, port) = (&*installed.namespace, installed.settings.port);
    let proxy = proxy_right(namespace);
    if super::installation::has_right(client, &proxy).await == Ok(false) {
        return Seen::Denied(proxy);
    }
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let needed = core_right("list", "pods", Some(namespace), None);
    let params = ListParams::default().labels(&installed.selector);
    let pods = match seen(client, needed, api.list_metadata(&params)).await {
        Seen::Known(pods) => pods,
        unseen => return unseen.map(|_| Vec::new()),
    };
    let mut read = Vec::new();
    for pod in pods.items.iter().take(PODS_MAX) {
        let name = pod.name_any();
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}:{port}/proxy/metrics");
        let Ok(request) = http::Request::get(path).body(Vec::new()) else {
            continue;
        };
        if let Ok(page) = crate::cluster::client::call::call(client.request_text(request)).await {
            read.push((name, Metrics::parse(&page)));
        }
    }
    Seen::Known(read)
}
