//! Reads resources for the commands that wait, set and suspend.

use super::access::{is_unknown_kind, right};
use crate::{
    api::{CognitoUserPassword, GROUP},
    cluster::client::call::{CallError, call},
    core::{
        ask::observed::ObservedResource,
        checkup::{right::Right, words::WITHOUT_CRDS},
    },
};
use kube::{
    Client, Error, Resource,
    api::{GetParams, ListParams, Request},
};
use serde::Deserialize;

/// The number of resources in a page of a list.
const PAGE: u32 = 500;

/// What one read of a resource showed.
#[derive(Clone, PartialEq, Debug)]
pub enum Sight {
    /// The resource.
    Present(Box<ObservedResource>),
    /// There is no such resource.
    Absent,
    /// The caller lacks this right.
    Denied(Right),
    /// The read failed, for this reason, in one line.
    Failed(String),
}

/// A page of a list.
#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    metadata: PageMetadata,
    items: Vec<ObservedResource>,
}

#[derive(Deserialize, Default)]
struct PageMetadata {
    #[serde(default, rename = "continue")]
    next: Option<String>,
}

/// The right of this verb on resources: on one, on those of a namespace, or on all.
#[must_use]
pub fn resource_right(verb: &'static str, namespace: Option<&str>, name: Option<&str>) -> Right {
    right(verb, GROUP, "cognitouserpasswords", namespace, name)
}

/// Requests on the resources of a namespace, or on all resources.
pub(in crate::cluster) fn requests(namespace: Option<&str>) -> Request {
    Request::new(CognitoUserPassword::url_path(&(), namespace))
}

/// Why a read failed, in one line.
pub(super) fn failure(error: Error) -> String {
    CallError::from(error)
        .to_string()
        .replace(char::is_control, " ")
}

/// Reads one resource by its name. Needs the right to get this resource, and no other right.
pub async fn get(client: &Client, namespace: &str, name: &str) -> Sight {
    let request = requests(Some(namespace)).get(name, &GetParams::default());
    let request = match request {
        Ok(request) => request,
        Err(error) => return Sight::Failed(error.to_string().replace(char::is_control, " ")),
    };
    // Maps the status code before `call` drops the code.
    let read = async {
        match client.request::<ObservedResource>(request).await {
            Ok(resource) => Ok(Sight::Present(Box::new(resource))),
            Err(Error::Api(status)) if is_unknown_kind(&status) => {
                Ok(Sight::Failed(WITHOUT_CRDS.to_owned()))
            }
            Err(Error::Api(status)) if status.code == 404 => Ok(Sight::Absent),
            Err(Error::Api(status)) if status.code == 403 => Ok(Sight::Denied(resource_right(
                "get",
                Some(namespace),
                Some(name),
            ))),
            Err(error) => Err(error),
        }
    };
    match call(read).await {
        Ok(sight) => sight,
        Err(error) => Sight::Failed(error.to_string().replace(char::is_control, " ")),
    }
}

/// Lists the resources of a namespace, or all, with these labels, in pages. In the order of namespace and name.
///
/// # Errors
/// [`Sight::Denied`] or [`Sight::Failed`].
pub async fn list(
    client: &Client,
    namespace: Option<&str>,
    selector: Option<&str>,
) -> Result<Vec<ObservedResource>, Sight> {
    let mut params = ListParams::default().limit(PAGE);
    params.label_selector = selector.map(str::to_owned);
    let mut found = Vec::new();
    loop {
        let request = requests(namespace).list(&params);
        let request = request.map_err(|error| Sight::Failed(error.to_string()))?;
        let read = async {
            match client.request::<Page>(request).await {
                Ok(page) => Ok(Ok(page)),
                Err(Error::Api(status)) if status.code == 403 => {
                    Ok(Err(Sight::Denied(resource_right("list", namespace, None))))
                }
                Err(Error::Api(status)) if is_unknown_kind(&status) => {
                    Ok(Err(Sight::Failed(WITHOUT_CRDS.to_owned())))
                }
                Err(error) => Err(error),
            }
        };
        let failed =
            |error: CallError| Sight::Failed(error.to_string().replace(char::is_control, " "));
        let page = call(read).await.map_err(failed)??;
        found.extend(page.items);
        params.continue_token = page.metadata.next.filter(|it| !it.is_empty());
        if params.continue_token.is_none() {
            return Ok(found);
        }
    }
}
