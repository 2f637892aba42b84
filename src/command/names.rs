//! The names that fit on a command line, for completion.

use super::session::{ConnectionArgs, Session};
use crate::{api::CognitoUserPassword, cluster::CALL_TIMEOUT};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Resource, api::ListParams, config::Kubeconfig};
use serde::de::DeserializeOwned;
use std::{fmt::Debug, path::Path, time::Duration};

/// No more names than a person reads.
const MOST: u32 = 500;

/// A shell waits for the names.
const PATIENCE: Duration = Duration::from_secs(3);

/// Whose names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Names {
    /// `CognitoUserPasswords` of the namespace.
    Resources,
    /// Namespaces.
    Namespaces,
    /// Contexts of the kubeconfig.
    Contexts,
}

/// The names, as far as the caller may list them. None if the API server is slow, or refuses: a shell shows no
/// errors.
pub async fn names(whose: Names, connection: &ConnectionArgs) -> Vec<String> {
    let patience = PATIENCE.min(CALL_TIMEOUT);
    let found = tokio::time::timeout(patience, listed(whose, connection)).await;
    found.ok().flatten().unwrap_or_default()
}

async fn listed(whose: Names, connection: &ConnectionArgs) -> Option<Vec<String>> {
    match whose {
        Names::Contexts => Some(contexts(connection.kubeconfig())),
        Names::Namespaces => {
            let session = connection.session().await.ok()?;
            of(&Api::<Namespace>::all(session.client)).await
        }
        Names::Resources => {
            let Session { client, namespace } = connection.session().await.ok()?;
            of(&Api::<CognitoUserPassword>::namespaced(client, &namespace)).await
        }
    }
}

/// The names of the objects, by their metadata alone.
async fn of<K>(api: &Api<K>) -> Option<Vec<String>>
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    let params = ListParams::default().limit(MOST);
    let list = api.list_metadata(&params).await.ok()?;
    let names = list.items.into_iter().filter_map(|it| it.metadata.name);
    Some(names.collect())
}

fn contexts(file: Option<&Path>) -> Vec<String> {
    let read = match file {
        Some(file) => Kubeconfig::read_from(file),
        None => Kubeconfig::read(),
    };
    let contexts = read.map(|read| read.contexts).unwrap_or_default();
    contexts.into_iter().map(|context| context.name).collect()
}
