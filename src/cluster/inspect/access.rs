//! Asks for a right before each read.

use super::installation::has_right;
use crate::{
    api::GROUP,
    cluster::client::call::{CallError, call},
    core::{
        checkup::{right::Right, seen::Seen},
        words::WITHOUT_CRDS,
    },
};
use kube::{Client, Error, core::Status};

/// Reads by `read`, if the caller has the right. If the API server can't say whether the caller has the right,
/// this function reads all the same, and the read itself shows that.
pub async fn seen<T>(
    client: &Client,
    right: Right,
    read: impl Future<Output = Result<T, Error>>,
) -> Seen<T> {
    if has_right(client, &right).await == Ok(false) {
        return Seen::Denied(right);
    }
    // Boxed, so that a chain of reads is no larger than each read.
    Box::pin(seen_by(right, read)).await
}

/// Reads by `read`, for a caller of whom the right isn't known to be missing. The read itself shows whether it is.
pub(super) async fn seen_by<T>(
    right: Right,
    read: impl Future<Output = Result<T, Error>>,
) -> Seen<T> {
    // Maps the status code before `call` drops the code.
    let read = async {
        match read.await {
            Ok(found) => Ok(Seen::Known(found)),
            Err(Error::Api(status)) if is_forbidden(&status) => Ok(Seen::Denied(right)),
            Err(Error::Api(status)) if right.group == GROUP && is_unknown_kind(&status) => {
                Ok(Seen::Failed(WITHOUT_CRDS.to_owned()))
            }
            Err(error) => Err(error),
        }
    };
    match call(read).await {
        Ok(seen) => seen,
        Err(error) => Seen::Failed(one_line(&error)),
    }
}

/// Whether a 403 is the API server's own, and not that of a proxy in between, which says nothing of rights.
pub(super) fn is_forbidden(status: &Status) -> bool {
    status.code == 403 && status.reason == "Forbidden"
}

/// Whether a 404 says that the API server doesn't know the kind, and not that there is no such object.
pub(super) fn is_unknown_kind(status: &Status) -> bool {
    status.code == 404 && status.details.as_ref().is_none_or(|it| it.name.is_empty())
}

pub(super) fn one_line(error: &CallError) -> String {
    error.to_string().replace(char::is_control, " ")
}

/// A right on objects of the core group.
#[must_use]
pub fn core_right(
    verb: &'static str,
    resource: &'static str,
    namespace: Option<&str>,
    name: Option<&str>,
) -> Right {
    right(verb, "", resource, namespace, name)
}

/// A right on objects of a group.
#[must_use]
pub fn right(
    verb: &'static str,
    group: &'static str,
    resource: &'static str,
    namespace: Option<&str>,
    name: Option<&str>,
) -> Right {
    Right {
        verb,
        group,
        resource,
        subresource: "",
        namespace: namespace.map(str::to_owned),
        name: name.map(str::to_owned),
    }
}

/// The right to reach the pods of a namespace through the API server.
pub(super) fn proxy_right(namespace: &str) -> Right {
    Right {
        subresource: "proxy",
        ..core_right("get", "pods", Some(namespace), None)
    }
}
