//! The writes of people's commands: the annotation `requestedAt`, and `spec.suspend` with its annotation. Merge
//! patches that name nothing else, so that no other field changes, whoever wrote the resource meanwhile.

use super::{
    client::call::{CallError, call},
    inspect::{
        installation::has_right,
        observed::{Sight, requests, resource_right},
    },
};
use crate::{
    api::{REQUESTED_AT, SUSPENDED_BECAUSE},
    core::ask::{observed::ObservedResource, suspension::Write},
};
use kube::{
    Client, Error,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use std::time::Duration;

/// The name in `managedFields`. Flux takes back what managers with names like kubectl's wrote, so the name is
/// another one.
const MANAGER: &str = "cognito-password-cli";

/// How often a write is tried while the API server fails.
const TRIES: u32 = 3;

/// The pause between two tries.
const PAUSE: Duration = Duration::from_secs(1);

/// Asks for a set: the annotation `requestedAt` gets this value. Returns the resource as written.
pub async fn ask(client: &Client, resource: &ObservedResource, at: &str) -> Sight {
    patch(
        client,
        resource,
        &json!({ "metadata": { "annotations": { REQUESTED_AT: at } } }),
    )
    .await
}

/// Suspends or resumes. Returns the resource as written.
pub async fn suspend(client: &Client, resource: &ObservedResource, write: &Write) -> Sight {
    patch(
        client,
        resource,
        &json!({
            "metadata": { "annotations": { SUSPENDED_BECAUSE: write.because } },
            "spec": { "suspend": write.suspend },
        }),
    )
    .await
}

/// A patch with a fixed content may be repeated.
async fn patch(client: &Client, resource: &ObservedResource, change: &Value) -> Sight {
    let mut sight = patch_once(client, resource, change).await;
    for _ in 1..TRIES {
        if !matches!(sight, Err(CallError::Failed(_) | CallError::TimedOut(_))) {
            break;
        }
        tokio::time::sleep(PAUSE).await;
        sight = patch_once(client, resource, change).await;
    }
    sight.unwrap_or_else(|error| Sight::Failed(error.to_string().replace(char::is_control, " ")))
}

async fn patch_once(
    client: &Client,
    resource: &ObservedResource,
    change: &Value,
) -> Result<Sight, CallError> {
    let (namespace, name) = (&*resource.namespace, &*resource.name);
    let params = PatchParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let request = requests(Some(namespace)).patch(name, &params, &Patch::Merge(change));
    let request = request.map_err(|error| CallError::Refused(error.to_string()))?;
    // Maps the status code before `call` drops the code.
    let write = async {
        match client.request::<ObservedResource>(request).await {
            Ok(resource) => Ok(Ok(Box::new(resource))),
            Err(Error::Api(status)) if status.code == 404 => Ok(Err(Sight::Absent)),
            Err(Error::Api(status)) if status.code == 403 => Ok(Err(Sight::Failed(format!(
                "the API server refused the request: {}",
                status.message
            )))),
            Err(error) => Err(error),
        }
    };
    match call(write).await? {
        Ok(resource) => Ok(Sight::Present(resource)),
        Err(Sight::Failed(why)) => {
            // An admission webhook answers 403 too.
            let right = resource_right("patch", Some(namespace), Some(name));
            let is_missing = has_right(client, &right).await == Ok(false);
            Ok(if is_missing {
                Sight::Denied(right)
            } else {
                Sight::Failed(why.replace(char::is_control, " "))
            })
        }
        Err(sight) => Ok(sight),
    }
}
