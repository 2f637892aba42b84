//! Reads what the API server serves of our group. Every authenticated user may read this.

use super::installation::served_kinds;
use crate::{
    api::{GROUP, VERSION, crds},
    cluster::client::call::call,
    core::doctor::{facts::Crds, schema::missing_fields},
};
use kube::Client;
use serde_json::Value;

/// The served kinds, and the fields that their schemas lack.
///
/// # Errors
/// Why the kinds are unknown.
pub async fn served(client: &Client) -> Result<Crds, String> {
    let kinds = served_kinds(client).await?;
    let lacks = if kinds.is_empty() {
        Vec::new()
    } else {
        lacks(client).await.unwrap_or_default()
    };
    Ok(Crds { kinds, lacks })
}

/// The fields that this version knows and the served schemas lack; None if the schemas can't be read.
async fn lacks(client: &Client) -> Option<Vec<String>> {
    let path = format!("/openapi/v3/apis/{GROUP}/{VERSION}");
    let request = http::Request::get(path).body(Vec::new()).ok()?;
    let served: Value = call(client.request(request)).await.ok()?;
    let schemas = served["components"]["schemas"].as_object()?;
    let mut lacks = Vec::new();
    for crd in crds() {
        let kind = &crd.spec.names.kind;
        let of_kind = |it: &&Value| {
            let kinds = it["x-kubernetes-group-version-kind"].as_array();
            kinds
                .into_iter()
                .flatten()
                .any(|it| it["kind"] == **kind && it["version"] == VERSION)
                && !it["properties"]["spec"].is_null()
        };
        // A kind that isn't served lacks more than fields, which the kinds tell.
        let Some(served) = schemas.values().find(of_kind) else {
            continue;
        };
        let version = crd.spec.versions.first()?;
        let ours = serde_json::to_value(version.schema.as_ref()?.open_api_v3_schema.as_ref()?);
        lacks.extend(missing_fields(&ours.ok()?, served));
    }
    Some(lacks)
}
