//! Reading the one key of a Secret. Everything else of the Secret is zeroized at once.

use super::{CallError, call::call};
use crate::core::observed::SecretVersion;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client,
    core::{Selector, SelectorExt},
};
use zeroize::{Zeroize, Zeroizing};

/// What a read found.
pub enum Read {
    /// No such Secret.
    NotFound,
    /// The Secret hasn't the labels.
    NotSelected,
    /// The Secret hasn't the key.
    KeyNotFound(SecretVersion),
    /// The key's bytes, zeroized when dropped.
    Value(SecretVersion, Zeroizing<Vec<u8>>),
}

/// Reads one key of a Secret, without resourceVersion: from etcd, not from a cache. The watch is a
/// hint, the read decides. Of a Secret that the selector doesn't fit nothing is kept.
///
/// # Errors
/// [`CallError`] when the API server didn't answer or refused.
pub async fn read(
    client: &Client,
    namespace: &str,
    name: &str,
    key: &str,
    selector: Option<&Selector>,
) -> Result<Read, CallError> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let mut secret = match call(secrets.get(name)).await {
        Ok(secret) => secret,
        Err(CallError::NotFound) => return Ok(Read::NotFound),
        Err(error) => return Err(error),
    };
    let version = SecretVersion {
        uid: secret.metadata.uid.take().unwrap_or_default(),
        resource_version: secret.metadata.resource_version.take().unwrap_or_default(),
    };
    let mut data = secret.data.take().unwrap_or_default();
    let value = data.remove(key).map(|bytes| Zeroizing::new(bytes.0));
    for bytes in data.values_mut() {
        bytes.0.zeroize();
    }
    // `kubectl apply` with stringData puts the values into an annotation.
    for text in secret
        .metadata
        .annotations
        .iter_mut()
        .flat_map(|a| a.values_mut())
    {
        text.zeroize();
    }
    let labels = secret.metadata.labels.unwrap_or_default();
    let selected = selector.is_none_or(|selector| selector.matches(&labels));
    Ok(match value {
        _ if !selected => Read::NotSelected,
        Some(value) => Read::Value(version, value),
        None => Read::KeyNotFound(version),
    })
}
