//! Lists of objects of this API. Reads each object by itself, so that one object that this version can't read
//! doesn't hide the others.

use super::list;
use crate::core::checkup::{right::Right, seen::Seen};
use kube::{
    Api, Client, Resource,
    api::{ApiResource, DynamicObject, ListParams},
};
use serde::de::DeserializeOwned;

/// An object of a list, or what is known of an object that this version can't read.
pub type Read<K> = Result<K, Unreadable>;

/// An object that this version can't read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unreadable {
    /// The namespace; empty for an object without one.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// Why, in one line.
    pub why: String,
}

/// Reads an object that the API server sent.
///
/// # Errors
/// [`Unreadable`]: another version wrote the object, or a schema was edited.
pub fn read<K: DeserializeOwned>(object: DynamicObject) -> Read<K> {
    let (namespace, name) = (
        object.metadata.namespace.clone().unwrap_or_default(),
        object.metadata.name.clone().unwrap_or_default(),
    );
    let unreadable = |error: serde_json::Error| Unreadable {
        namespace,
        name,
        why: error.to_string().replace(char::is_control, " "),
    };
    serde_json::to_value(object)
        .and_then(serde_json::from_value)
        .map_err(unreadable)
}

/// Lists the objects in the namespace of `right`, or in all. `params` has the selectors.
pub async fn list<K>(client: &Client, right: Right, params: ListParams) -> Seen<Vec<Read<K>>>
where
    K: Resource<DynamicType = ()> + DeserializeOwned,
{
    let kind = ApiResource::erase::<K>(&());
    let all = list::list(client, right, &kind, params).await;
    all.map(|all| all.into_iter().map(read).collect())
}

/// Reads one object by its name; None if there is none.
pub async fn get<K>(
    client: &Client,
    right: Right,
    namespace: Option<&str>,
    name: &str,
) -> Seen<Option<Read<K>>>
where
    K: Resource<DynamicType = ()> + DeserializeOwned,
{
    let api = api::<K>(client, namespace);
    let found = super::access::seen(client, right, api.get_opt(name)).await;
    found.map(|it| it.map(read))
}

fn api<K: Resource<DynamicType = ()>>(
    client: &Client,
    namespace: Option<&str>,
) -> Api<DynamicObject> {
    let kind = ApiResource::erase::<K>(&());
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &kind),
        None => Api::all_with(client.clone(), &kind),
    }
}
