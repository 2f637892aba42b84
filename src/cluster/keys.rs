//! The Secret with the fingerprint keys, in the operator's own namespace. The operator creates the Secret at
//! first start. The loss of the Secret costs one set for each Secret that changes afterwards, and nothing
//! else.

use super::{CallError, client::call::call};
use crate::{
    api::{FIELD_MANAGER, KEY_SECRET},
    core::credential::fingerprint::{InvalidKey, KEY_BYTES, Keyring},
};
use k8s_openapi::{
    ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{Api, Client, api::PostParams};
use tracing::info;
use zeroize::{Zeroize, Zeroizing};

/// The name of the key that is created at first start. To rotate, add `key-2`: the newest key signs, all keys
/// verify.
const FIRST_KEY: &str = "key-1";

/// Why there is no keyring.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The API server didn't answer or refused.
    #[error("{0}")]
    Call(#[from] CallError),
    /// The Secret exists but holds no usable key. The operator never overwrites the Secret, because the
    /// Secret may hold a person's key.
    #[error(
        "{0}: the data of this Secret must hold one or more keys of {KEY_BYTES} random bytes; if you delete the Secret, the operator makes a new key"
    )]
    Invalid(#[from] InvalidKey),
    /// The system's random source failed.
    #[error("the system's random source failed: {0}")]
    Random(getrandom::Error),
}

/// Reads the keys; creates the Secret if there is none.
///
/// # Errors
/// [`KeyError`]. The caller decides whether to retry.
pub async fn load_or_create(client: &Client, namespace: &str) -> Result<Keyring, KeyError> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    match call(secrets.get(KEY_SECRET)).await {
        Ok(secret) => return keyring(secret),
        Err(CallError::NotFound) => {}
        Err(error) => return Err(error.into()),
    }
    let mut bytes = Zeroizing::new([0_u8; KEY_BYTES]);
    getrandom::fill(bytes.as_mut_slice()).map_err(KeyError::Random)?;
    let mut fresh = Secret {
        metadata: ObjectMeta {
            name: Some(KEY_SECRET.to_owned()),
            labels: Some(
                [(
                    "app.kubernetes.io/managed-by".to_owned(),
                    FIELD_MANAGER.to_owned(),
                )]
                .into(),
            ),
            ..ObjectMeta::default()
        },
        data: Some([(FIRST_KEY.to_owned(), ByteString(bytes.to_vec()))].into()),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    };
    let params = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    let made = call(secrets.create(&params, &fresh)).await;
    zeroize(&mut fresh);
    match made {
        Ok(secret) => {
            info!(
                secret = KEY_SECRET,
                namespace, "created the fingerprint key"
            );
            keyring(secret)
        }
        // Another process has created the Secret first. That process's key is the valid one.
        Err(CallError::Conflict) => keyring(call(secrets.get(KEY_SECRET)).await?),
        Err(error) => Err(error.into()),
    }
}

fn keyring(mut secret: Secret) -> Result<Keyring, KeyError> {
    let data = secret.data.as_ref();
    let keys = data
        .into_iter()
        .flatten()
        .map(|(name, bytes)| (name.as_str(), bytes.0.as_slice()));
    let keyring = Keyring::new(keys);
    zeroize(&mut secret);
    Ok(keyring?)
}

fn zeroize(secret: &mut Secret) {
    for bytes in secret.data.iter_mut().flat_map(|data| data.values_mut()) {
        bytes.0.zeroize();
    }
}
