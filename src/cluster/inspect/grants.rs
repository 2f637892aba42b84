//! Reads what the questions about grants are answered from: grants and resources.

use super::{access::right, list::list};
use crate::{
    api::{CognitoUserPassword, CognitoUserPoolGrant, GROUP},
    core::{
        access::why_not::ListedGrant,
        checkup::seen::Seen,
        grants::{book::ListedGrants, who::ListedResource},
        names::target::Target,
    },
};
use jiff::Timestamp;
use kube::{
    Client, ResourceExt,
    api::{ApiResource, DynamicObject, ListParams},
};

/// All grants by name.
pub async fn grants(client: &Client) -> Seen<ListedGrants> {
    let kind = ApiResource::erase::<CognitoUserPoolGrant>(&());
    let needed = right("list", GROUP, "cognitouserpoolgrants", None, None);
    let grants = list(client, needed, &kind, ListParams::default()).await;
    grants.map(|grants| {
        grants
            .into_iter()
            .map(|it| (it.name_any(), listed_grant(it)))
            .collect()
    })
}

fn listed_grant(object: DynamicObject) -> ListedGrant {
    let is_deleting = object.metadata.deletion_timestamp.is_some();
    match object.try_parse::<CognitoUserPoolGrant>() {
        Ok(grant) if is_deleting => ListedGrant::Deleting(grant.spec),
        Ok(grant) => ListedGrant::Spec(grant.spec),
        Err(error) => ListedGrant::Unreadable(error.to_string()),
    }
}

/// The resources of a namespace, or of all namespaces.
pub async fn resources(client: &Client, namespace: Option<&str>) -> Seen<Vec<ListedResource>> {
    let kind = ApiResource::erase::<CognitoUserPassword>(&());
    let needed = right("list", GROUP, "cognitouserpasswords", namespace, None);
    let resources = list(client, needed, &kind, ListParams::default()).await;
    resources.map(|resources| {
        resources
            .into_iter()
            .map(|it| listed_resource(&it))
            .collect()
    })
}

fn listed_resource(object: &DynamicObject) -> ListedResource {
    let text = |pointer: &str| object.data.pointer(pointer).and_then(|it| it.as_str());
    let target = text("/spec/userPoolId").zip(text("/spec/username"));
    let conditions = object.data.pointer("/status/conditions");
    let conditions = conditions
        .and_then(|it| it.as_array())
        .into_iter()
        .flatten();
    let mut ready = conditions.filter(|it| it["type"] == "Ready");
    let reason = ready.next().and_then(|it| it["reason"].as_str());
    let created = object.metadata.creation_timestamp.as_ref();
    ListedResource {
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
        uid: object.uid().unwrap_or_default(),
        created: created.map_or(Timestamp::MAX, |created| created.0),
        target: target.and_then(|(pool, username)| Target::parse(pool, username).ok()),
        reason: reason.unwrap_or_default().to_owned(),
    }
}
