//! Reads the labels of namespaces, by which grants may choose namespaces.

use super::access::{core_right, seen};
use crate::core::checkup::seen::Seen;
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, ResourceExt, api::ListParams};
use std::collections::BTreeMap;

/// The labels of one namespace. A namespace that does not exist has none.
pub async fn labels(client: &Client, name: &str) -> Seen<BTreeMap<String, String>> {
    let api: Api<Namespace> = Api::all(client.clone());
    let needed = core_right("get", "namespaces", None, Some(name));
    let found = seen(client, needed, api.get_metadata_opt(name)).await;
    found.map(|it| it.map(|it| it.labels().clone()).unwrap_or_default())
}

/// The labels of all namespaces, by the name of the namespace.
pub async fn all_labels(client: &Client) -> Seen<BTreeMap<String, BTreeMap<String, String>>> {
    let api: Api<Namespace> = Api::all(client.clone());
    let needed = core_right("list", "namespaces", None, None);
    let found = seen(client, needed, api.list_metadata(&ListParams::default())).await;
    found.map(|all| {
        all.items
            .into_iter()
            .map(|it| (it.name_any(), it.labels().clone()))
            .collect()
    })
}
