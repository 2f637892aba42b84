//! Reads the labels of namespaces, by which grants may choose namespaces.

use super::{
    access::{core_right, seen},
    lists::all,
};
use crate::core::checkup::seen::Seen;
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, ListParams},
    core::PartialObjectMeta,
};
use std::collections::BTreeMap;

/// The labels of one namespace; None if there is no such namespace.
pub async fn labels(client: &Client, name: &str) -> Seen<Option<BTreeMap<String, String>>> {
    let api: Api<Namespace> = Api::all(client.clone());
    // Someone who may read one namespace has this right in the namespace itself.
    let needed = core_right("get", "namespaces", Some(name), Some(name));
    let found = seen(client, needed, api.get_metadata_opt(name)).await;
    found.map(|it| it.map(|it| it.metadata.labels.unwrap_or_default()))
}

/// The labels of all namespaces, by the name of the namespace.
pub async fn all_labels(client: &Client) -> Seen<BTreeMap<String, BTreeMap<String, String>>> {
    let kind = ApiResource::erase::<Namespace>(&());
    let needed = core_right("list", "namespaces", None, None);
    let labels =
        |it: PartialObjectMeta<Namespace>| (it.name_any(), it.metadata.labels.unwrap_or_default());
    let found = all(client, needed, &kind, ListParams::default(), labels).await;
    found.map(|found| found.into_iter().collect())
}
