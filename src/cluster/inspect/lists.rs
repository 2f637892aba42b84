//! Lists objects page by page, so that a list of thousands keeps each call short, and the program holds one page of
//! what the API server sent at a time.

use super::{
    access::{seen, seen_by},
    installation::has_right,
};
use crate::{
    api::GROUP,
    core::{
        checkup::{right::Right, seen::Seen},
        words::WITHOUT_CRDS,
    },
};
use kube::{
    Api, Client, Error, Resource,
    api::{ApiResource, DynamicObject, ListParams, Request},
};
use serde::{Deserialize, de::DeserializeOwned};

/// Objects in one page.
const PAGE: u32 = 500;

#[derive(Deserialize)]
#[serde(bound = "T: Deserialize<'de>")]
struct Page<T> {
    #[serde(default)]
    metadata: PageMetadata,
    items: Vec<T>,
}

#[derive(Deserialize, Default)]
struct PageMetadata {
    #[serde(default, rename = "continue")]
    next: Option<String>,
}

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

/// Gives each object of a kind to `with`, in the namespace of `right` or in all, if the caller has the right to list
/// the objects. `params` has the selectors, and `T` the fields that are decoded.
pub(super) async fn each<T: DeserializeOwned>(
    client: &Client,
    right: Right,
    kind: &ApiResource,
    params: ListParams,
    mut with: impl FnMut(T),
) -> Seen<()> {
    if has_right(client, &right).await == Ok(false) {
        return Seen::Denied(right);
    }
    let requests = Request::new(DynamicObject::url_path(kind, right.namespace.as_deref()));
    let mut params = params.limit(PAGE);
    loop {
        let read = async {
            let request = requests.list(&params).map_err(Error::BuildRequest)?;
            match client.request::<Page<T>>(request).await {
                Ok(page) => Ok(Some(page)),
                // The API server has an empty list of each kind that it knows.
                Err(Error::Api(status)) if status.code == 404 => Ok(None),
                Err(error) => Err(error),
            }
        };
        let page = match seen_by(right.clone(), read).await {
            Seen::Known(Some(page)) => page,
            Seen::Known(None) => return Seen::Failed(unknown_kind(&right)),
            unseen => return unseen.map(|_| ()),
        };
        page.items.into_iter().for_each(&mut with);
        params.continue_token = page.metadata.next.filter(|it| !it.is_empty());
        if params.continue_token.is_none() {
            return Seen::Known(());
        }
    }
}

/// All objects of a kind, each changed by `change` as soon as its page is there.
pub(super) async fn all<T: DeserializeOwned, U>(
    client: &Client,
    right: Right,
    kind: &ApiResource,
    params: ListParams,
    mut change: impl FnMut(T) -> U,
) -> Seen<Vec<U>> {
    let mut found = Vec::new();
    let read = each(client, right, kind, params, |it| found.push(change(it))).await;
    read.map(|()| found)
}

/// Why the API server has no list of a kind.
pub(super) fn unknown_kind(right: &Right) -> String {
    let kind = format!("{}.{}", right.resource, right.group);
    let kind = kind.trim_end_matches('.');
    let cause = if right.group == GROUP {
        format!(": {WITHOUT_CRDS}")
    } else {
        String::new()
    };
    format!("the API server doesn't know {kind}{cause}")
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
    let kind = ApiResource::erase::<K>(&());
    let api: Api<DynamicObject> = match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &kind),
        None => Api::all_with(client.clone(), &kind),
    };
    let found = seen(client, right, api.get_opt(name)).await;
    found.map(|it| it.map(read))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::CognitoUserPassword,
        cluster::inspect::{access::right, fake},
    };
    use kube::ResourceExt;

    fn listed(group: &'static str) -> Right {
        right("list", group, "cognitouserpasswords", Some("team-a"), None)
    }

    async fn names(client: &Client) -> Seen<Vec<String>> {
        let kind = ApiResource::erase::<CognitoUserPassword>(&());
        let params = ListParams::default().labels("team=a");
        let change = |it: DynamicObject| it.name_any();
        all(client, listed(GROUP), &kind, params, change).await
    }

    #[tokio::test]
    async fn the_pages_of_a_list_are_joined() {
        let client = fake::client(&[
            fake::MAY,
            (
                "/namespaces/team-a/cognitouserpasswords?&labelSelector=team%3Da&limit=500&continue=next",
                200,
                r#"{"metadata":{"continue":""},"items":[{"metadata":{"name":"c"}}]}"#,
            ),
            (
                "/namespaces/team-a/cognitouserpasswords?&labelSelector=team%3Da&limit=500",
                200,
                r#"{"metadata":{"continue":"next"},"items":[{"metadata":{"name":"a"}},{"metadata":{"name":"b"}}]}"#,
            ),
        ])
        .await;
        let wanted = ["a", "b", "c"].map(str::to_owned);
        assert_eq!(names(&client).await, Seen::Known(wanted.into()));
    }

    #[tokio::test]
    async fn a_page_that_is_refused_leaves_no_half_list() {
        let client = fake::client(&[
            fake::MAY,
            (
                "continue=next",
                403,
                r#"{"kind":"Status","status":"Failure","reason":"Forbidden","message":"no","code":403}"#,
            ),
            (
                "cognitouserpasswords",
                200,
                r#"{"metadata":{"continue":"next"},"items":[]}"#,
            ),
        ])
        .await;
        assert_eq!(names(&client).await, Seen::Denied(listed(GROUP)));
    }

    #[tokio::test]
    async fn a_kind_that_the_api_server_does_not_know_is_said() {
        let seen = names(&fake::client(&[fake::MAY]).await).await;
        let why = format!(
            "the API server doesn't know cognitouserpasswords.cognito-password-operator.io: {WITHOUT_CRDS}"
        );
        assert_eq!(seen, Seen::Failed(why));
        let of_core = unknown_kind(&listed(""));
        assert_eq!(of_core, "the API server doesn't know cognitouserpasswords");
    }
}
