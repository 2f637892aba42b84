//! Reads resources for the commands that wait, set and suspend.

use super::{
    access::{is_forbidden, is_unknown_kind, right},
    lists::{all, unknown_kind},
};
use crate::{
    api::{CognitoUserPassword, GROUP},
    cluster::client::call::{CallError, call},
    core::{
        ask::observed::ObservedResource,
        checkup::{right::Right, seen::Seen},
    },
};
use kube::{
    Client, Error, Resource,
    api::{ApiResource, GetParams, ListParams, Request},
};

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
    let needed = resource_right("get", Some(namespace), Some(name));
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
                Ok(Sight::Failed(unknown_kind(&needed)))
            }
            Err(Error::Api(status)) if status.code == 404 => Ok(Sight::Absent),
            Err(Error::Api(status)) if is_forbidden(&status) => Ok(Sight::Denied(needed)),
            Err(error) => Err(error),
        }
    };
    match call(read).await {
        Ok(sight) => sight,
        Err(error) => Sight::Failed(error.to_string().replace(char::is_control, " ")),
    }
}

/// Lists the resources of a namespace, or all, with these labels. In the order of namespace and name.
///
/// # Errors
/// [`Sight::Denied`] or [`Sight::Failed`].
pub async fn list(
    client: &Client,
    namespace: Option<&str>,
    selector: Option<&str>,
) -> Result<Vec<ObservedResource>, Sight> {
    let kind = ApiResource::erase::<CognitoUserPassword>(&());
    let needed = resource_right("list", namespace, None);
    let params = ListParams {
        label_selector: selector.map(str::to_owned),
        ..ListParams::default()
    };
    match all(client, needed, &kind, params, |it| it).await {
        Seen::Known(found) => Ok(found),
        Seen::Denied(right) => Err(Sight::Denied(right)),
        Seen::Failed(why) => Err(Sight::Failed(why)),
    }
}
