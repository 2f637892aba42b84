//! Reads the CRDs, and what the API server serves by the CRDs. Every authenticated user may read the latter.

use super::{
    access::{right, seen},
    installation::served_kinds,
};
use crate::{
    api::{self, GROUP, VERSION},
    cluster::client::call::call,
    core::checkup::{
        judge::facts::Crds,
        schema::{StoredCrd, missing_fields, stored},
        seen::Seen,
    },
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, Client, ResourceExt};
use serde_json::Value;
use std::collections::BTreeMap;

/// What the API server serves of our group, and our CRDs. For a caller who may not read CRDs, the served schemas
/// tell the fields.
pub async fn crds(client: &Client) -> Crds {
    let stored = stored_crds(client).await;
    let served = if stored.known().is_some() {
        Crds {
            kinds: served_kinds(client).await,
            stored: None,
            lacks: None,
        }
    } else {
        served(client).await
    };
    Crds {
        stored: Some(stored),
        ..served
    }
}

/// What the API server serves of our group.
pub async fn served(client: &Client) -> Crds {
    let kinds = served_kinds(client).await;
    let is_served = kinds.as_ref().is_ok_and(|kinds| !kinds.is_empty());
    Crds {
        lacks: if is_served { lacks(client).await } else { None },
        kinds,
        stored: None,
    }
}

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

/// The fields that this version knows and the served schemas lack, by the plural name of each kind. None if the
/// schemas can't be read.
async fn lacks(client: &Client) -> Option<BTreeMap<String, Vec<String>>> {
    let path = format!("/openapi/v3/apis/{GROUP}/{VERSION}");
    let request = http::Request::get(path).body(Vec::new()).ok()?;
    let served: Value = call(client.request(request)).await.ok()?;
    let schemas = served["components"]["schemas"].as_object()?;
    let mut lacks = BTreeMap::new();
    for crd in api::crds() {
        let names = &crd.spec.names;
        let of_kind = |it: &&Value| {
            let kinds = it["x-kubernetes-group-version-kind"].as_array();
            kinds
                .into_iter()
                .flatten()
                .any(|it| it["kind"] == *names.kind && it["version"] == VERSION)
                && !it["properties"]["spec"].is_null()
        };
        // A kind that isn't served lacks more than fields, which the kinds tell.
        let Some(served) = schemas.values().find(of_kind) else {
            continue;
        };
        lacks.insert(names.plural.clone(), missing_fields(&crd, served));
    }
    Some(lacks)
}
