//! Reads the resources, one by its name or many by selectors.

use super::{
    access::right,
    lists::{self, Read, Unreadable},
};
use crate::{
    api::{CognitoUserPassword, GROUP},
    core::{checkup::seen::Seen, doctor::facts::Listed},
};
use kube::{Client, api::ListParams};

const PLURAL: &str = "cognitouserpasswords";

/// The resource of this name; None if there is none.
pub async fn get(client: &Client, namespace: &str, name: &str) -> Seen<Option<Listed>> {
    let needed = right("get", GROUP, PLURAL, Some(namespace), Some(name));
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
    let needed = right("list", GROUP, PLURAL, namespace, None);
    let mut params = ListParams::default();
    if let Some(selector) = selector {
        params = params.labels(selector);
    }
    if let Some(pool) = pool {
        params = params.fields(&format!("spec.userPoolId={pool}"));
    }
    let found = lists::list::<CognitoUserPassword>(client, needed, params).await;
    found.map(|all| all.into_iter().map(listed).collect())
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
