//! Reads the CRDs.

use super::access::{right, seen};
use crate::{
    api,
    core::checkup::{
        schema::{StoredCrd, stored},
        seen::Seen,
    },
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, Client, ResourceExt};

/// Our CRDs, as far as they are there.
pub async fn stored_crds(client: &Client) -> Seen<Vec<StoredCrd>> {
    const GROUP: &str = "apiextensions.k8s.io";
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let mut found = Vec::new();
    for name in api::crds().map(|crd| crd.name_any()) {
        let needed = right("get", GROUP, "customresourcedefinitions", None, Some(&name));
        match seen(client, needed, definitions.get_opt(&name)).await {
            Seen::Known(crd) => found.extend(crd.as_ref().and_then(stored)),
            Seen::Denied(right) => return Seen::Denied(right),
            Seen::Failed(why) => return Seen::Failed(why),
        }
    }
    Seen::Known(found)
}
