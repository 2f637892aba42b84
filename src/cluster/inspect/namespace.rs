//! Reads a namespace, into which an operator is to be installed.

use super::access::{core_right, seen};
use crate::core::checkup::{pre::NamespaceState, seen::Seen};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, ResourceExt};

/// The namespace. None if there is no such namespace.
pub async fn namespace_state(client: &Client, name: &str) -> Seen<Option<NamespaceState>> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let needed = core_right("get", "namespaces", Some(name), Some(name));
    let found = seen(client, needed, namespaces.get_opt(name)).await;
    found.map(|found| {
        found.map(|namespace| NamespaceState {
            is_terminating: namespace.metadata.deletion_timestamp.is_some(),
            enforced: namespace
                .labels()
                .get("pod-security.kubernetes.io/enforce")
                .cloned(),
        })
    })
}
