//! Reads what belongs to a Deployment of the operator: the pods, and who scrapes them.

use super::access::{core_right, right, seen};
use crate::{
    cluster::client::call::call,
    core::checkup::{
        installed::Installed,
        judge::facts::Deployed,
        scrape::{self, Monitor, Scrape, Service, scrape},
        seen::Seen,
    },
};
use k8s_openapi::api::core::v1::{Pod, Service as ServiceObject};
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DynamicObject, ListParams},
};
use serde_json::Value;
use std::collections::BTreeMap;

/// The group of the Prometheus Operator.
const MONITORING: &str = "monitoring.coreos.com";

/// What belongs to this Deployment.
pub async fn deployed(client: &Client, installed: Installed) -> Deployed {
    Deployed {
        pods: pods(client, &installed).await,
        scrape: Box::pin(scraped(client, &installed)).await,
        installed,
    }
}

/// The names of the pods that the Deployment selects, without those that have ended.
pub async fn pods(client: &Client, installed: &Installed) -> Seen<Vec<String>> {
    let namespace = &*installed.namespace;
    let params = ListParams::default().labels(&installed.selector);
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let needed = core_right("list", "pods", Some(namespace), None);
    let found = seen(client, needed, pods.list(&params)).await;
    let has_ended = |pod: &Pod| {
        let phase = pod.status.as_ref().and_then(|it| it.phase.as_deref());
        matches!(phase, Some("Succeeded" | "Failed"))
    };
    found.map(|list| {
        let living = list.items.iter().filter(|pod| !has_ended(pod));
        living.map(ResourceExt::name_any).collect()
    })
}

async fn scraped(client: &Client, installed: &Installed) -> Seen<Option<Scrape>> {
    let namespace = &*installed.namespace;
    let pods = scrape::Pods {
        namespace: namespace.to_owned(),
        labels: installed.pod_labels.clone(),
        annotations: installed.pod_annotations.clone(),
    };
    let services: Api<ServiceObject> = Api::namespaced(client.clone(), namespace);
    let needed = core_right("list", "services", Some(namespace), None);
    let services = match seen(client, needed, services.list(&ListParams::default())).await {
        Seen::Known(list) => list.items.into_iter().map(service).collect::<Vec<_>>(),
        Seen::Denied(right) => return Seen::Denied(right),
        Seen::Failed(why) => return Seen::Failed(why),
    };
    let groups = match call(client.list_api_groups()).await {
        Ok(groups) => groups.groups,
        Err(error) => return Seen::Failed(error.to_string()),
    };
    let mut monitors = Vec::new();
    if groups.iter().any(|group| group.name == MONITORING) {
        for kind in [
            ("ServiceMonitor", "servicemonitors"),
            ("PodMonitor", "podmonitors"),
        ] {
            match self::monitors(client, namespace, kind).await {
                Seen::Known(found) => monitors.extend(found),
                Seen::Denied(right) => return Seen::Denied(right),
                Seen::Failed(why) => return Seen::Failed(why),
            }
        }
    }
    Seen::Known(scrape(&pods, &services, &monitors))
}

fn service(service: ServiceObject) -> Service {
    Service {
        labels: service.metadata.labels.unwrap_or_default(),
        annotations: service.metadata.annotations.unwrap_or_default(),
        selector: service.spec.and_then(|it| it.selector).unwrap_or_default(),
    }
}

/// The monitors of a kind in all namespaces, or in the operator's own if the caller may not list all.
async fn monitors(
    client: &Client,
    namespace: &str,
    (kind, plural): (&'static str, &'static str),
) -> Seen<Vec<Monitor>> {
    let resource = ApiResource {
        group: MONITORING.to_owned(),
        version: "v1".to_owned(),
        api_version: format!("{MONITORING}/v1"),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    };
    let params = ListParams::default();
    let all: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let needed = right("list", MONITORING, plural, None, None);
    let found = match seen(client, needed, all.list(&params)).await {
        Seen::Denied(_) => {
            let own: Api<DynamicObject> =
                Api::namespaced_with(client.clone(), namespace, &resource);
            let needed = right("list", MONITORING, plural, Some(namespace), None);
            seen(client, needed, own.list(&params)).await
        }
        found => found,
    };
    found.map(|list| list.items.iter().map(|it| monitor(kind, it)).collect())
}

fn monitor(kind: &'static str, object: &DynamicObject) -> Monitor {
    let namespace = object.namespace().unwrap_or_default();
    let spec = &object.data["spec"];
    let labels = spec["selector"]["matchLabels"].as_object();
    let labels = labels.into_iter().flatten().filter_map(|(key, value)| {
        let value = value.as_str()?;
        Some((key.clone(), value.to_owned()))
    });
    let chosen = &spec["namespaceSelector"];
    let names = chosen["matchNames"].as_array();
    let names = names.into_iter().flatten().filter_map(Value::as_str);
    let names: Vec<_> = names.map(str::to_owned).collect();
    Monitor {
        kind,
        name: object.name_any(),
        labels: labels.collect::<BTreeMap<_, _>>(),
        namespaces: match (chosen["any"] == true, names.is_empty()) {
            (true, _) => None,
            (false, true) => Some(vec![namespace.clone()]),
            (false, false) => Some(names),
        },
        namespace,
    }
}
