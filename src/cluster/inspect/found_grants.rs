//! Reads the grants.

use super::{access::right, lists};
use crate::{
    api::{CognitoUserPoolGrant, GROUP},
    core::{access::why_not::ListedGrant, checkup::seen::Seen, doctor::facts::FoundGrant},
};
use kube::{Client, api::ListParams};

/// All grants of the cluster.
pub async fn grants(client: &Client) -> Seen<Vec<FoundGrant>> {
    let needed = right("list", GROUP, "cognitouserpoolgrants", None, None);
    let params = ListParams::default();
    let all = lists::list::<CognitoUserPoolGrant>(client, needed, params).await;
    all.map(|all| all.into_iter().map(found).collect())
}

fn found(read: lists::Read<CognitoUserPoolGrant>) -> FoundGrant {
    match read {
        Ok(it) => {
            let is_deleting = it.metadata.deletion_timestamp.is_some();
            FoundGrant {
                name: it.metadata.name.unwrap_or_default(),
                role: it.spec.role_arn.clone(),
                grant: if is_deleting {
                    ListedGrant::Deleting(it.spec)
                } else {
                    ListedGrant::Spec(it.spec)
                },
                generation: it.metadata.generation.unwrap_or_default(),
                status: it.status.unwrap_or_default(),
            }
        }
        Err(it) => FoundGrant {
            name: it.name,
            role: None,
            grant: ListedGrant::Unreadable(it.why),
            generation: 0,
            status: crate::api::GrantStatus::default(),
        },
    }
}
