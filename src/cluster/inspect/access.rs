//! Asks for a right before each read.

use super::installation::has_right;
use crate::{
    cluster::client::call::{CallError, call},
    core::checkup::{right::Right, seen::Seen},
};
use kube::{Client, Error};

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
    // Maps the status code before `call` drops the code.
    let read = async {
        match read.await {
            Ok(found) => Ok(Some(found)),
            Err(Error::Api(status)) if status.code == 403 => Ok(None),
            Err(error) => Err(error),
        }
    };
    match call(read).await {
        Ok(Some(found)) => Seen::Known(found),
        Ok(None) => Seen::Denied(right),
        Err(error) => Seen::Failed(one_line(&error)),
    }
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
