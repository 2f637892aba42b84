//! Reads the resources, one by its name or many by selectors.

use super::{
    lists::{self, Read, Unreadable},
    observed::resource_right,
};
use crate::{
    api::CognitoUserPassword,
    core::{
        checkup::seen::Seen, doctor::facts::Listed, grants::who::ListedResource,
        names::target::Target,
    },
};
use jiff::Timestamp;
use kube::{
    Client, ResourceExt,
    api::{ApiResource, DynamicObject, ListParams},
};

/// The resource of this name; None if there is none.
pub async fn get(client: &Client, namespace: &str, name: &str) -> Seen<Option<Listed>> {
    let needed = resource_right("get", Some(namespace), Some(name));
    let found = lists::get::<CognitoUserPassword>(client, needed, Some(namespace), name).await;
    found.map(|it| it.map(listed))
}

/// The resources in a namespace, or in all, that fit a label selector and, if `pool` is given, name this pool.
pub async fn list(
    client: &Client,
    namespace: Option<&str>,
    selector: Option<&str>,
    pool: Option<&str>,
) -> Seen<Vec<Listed>> {
    let needed = resource_right("list", namespace, None);
    let mut params = ListParams::default();
    if let Some(selector) = selector {
        params = params.labels(selector);
    }
    let kind = ApiResource::erase::<CognitoUserPassword>(&());
    let change = |it: DynamicObject| listed(lists::read(it));
    let Some(pool) = pool else {
        return lists::all(client, needed, &kind, params, change).await;
    };
    let of_pool = params.clone().fields(&format!("spec.userPoolId={pool}"));
    match lists::all(client, needed.clone(), &kind, of_pool, change).await {
        // A CRD that is older than the selectable fields.
        Seen::Failed(why) if why.contains("field label not supported") => {
            let all = lists::all(client, needed, &kind, params, change).await;
            all.map(|mut all| {
                all.retain(|it| it.readable().is_none_or(|it| it.spec.user_pool_id == pool));
                all
            })
        }
        seen => seen,
    }
}

/// The resources of a namespace, or of all namespaces, each with what the questions about grants need.
pub async fn targets(client: &Client, namespace: Option<&str>) -> Seen<Vec<ListedResource>> {
    let kind = ApiResource::erase::<CognitoUserPassword>(&());
    let needed = resource_right("list", namespace, None);
    let change = |it: DynamicObject| target(&it);
    lists::all(client, needed, &kind, ListParams::default(), change).await
}

fn listed(read: Read<CognitoUserPassword>) -> Listed {
    match read {
        Ok(resource) => Listed::Readable(Box::new(resource)),
        Err(Unreadable {
            namespace,
            name,
            why,
        }) => Listed::Unreadable {
            namespace,
            name,
            why,
        },
    }
}

fn target(object: &DynamicObject) -> ListedResource {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::inspect::fake;

    #[tokio::test]
    async fn an_older_crd_without_selectable_fields_is_filtered_here() {
        let client = fake::client(&[
            fake::MAY,
            (
                "fieldSelector",
                400,
                r#"{"kind":"Status","status":"Failure","reason":"BadRequest","message":"field label not supported: spec.userPoolId","code":400}"#,
            ),
            fake::MAY,
            (
                "cognitouserpasswords",
                200,
                r#"{"items":[
                    {"metadata":{"name":"a","namespace":"n"},"spec":{"userPoolId":"eu-west-1_A","username":"u","passwordSecretRef":{"name":"s","key":"k"}}},
                    {"metadata":{"name":"b","namespace":"n"},"spec":{"userPoolId":"eu-west-1_B","username":"u","passwordSecretRef":{"name":"s","key":"k"}}}
                ]}"#,
            ),
        ])
        .await;
        let seen = list(&client, None, None, Some("eu-west-1_A")).await;
        let names: Vec<_> = seen
            .known()
            .into_iter()
            .flatten()
            .map(Listed::key)
            .collect();
        assert_eq!(names, [("n", "a")], "{seen:?}");
    }
}
