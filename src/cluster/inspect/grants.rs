//! Reads the grants.

use super::{
    access::right,
    lists::{self, Read},
};
use crate::{
    api::{CognitoUserPoolGrant, GROUP, GrantStatus},
    core::{
        access::{found_grant::FoundGrant, why_not::ListedGrant},
        checkup::seen::Seen,
    },
};
use kube::{
    Client, ResourceExt,
    api::{ApiResource, DynamicObject, ListParams},
};

/// All grants of the cluster.
pub async fn grants(client: &Client) -> Seen<Vec<FoundGrant>> {
    let kind = ApiResource::erase::<CognitoUserPoolGrant>(&());
    let needed = right("list", GROUP, "cognitouserpoolgrants", None, None);
    lists::all(client, needed, &kind, ListParams::default(), found).await
}

fn found(object: DynamicObject) -> FoundGrant {
    let is_deleting = object.metadata.deletion_timestamp.is_some();
    let name = object.name_any();
    let generation = object.metadata.generation.unwrap_or_default();
    // An edited spec doesn't hide what the operator says of the grant.
    let status = serde_json::from_value(object.data["status"].clone());
    let status: Option<GrantStatus> = status.ok().flatten();
    let read: Read<CognitoUserPoolGrant> = lists::read(object);
    FoundGrant {
        name,
        role: read.as_ref().ok().and_then(|it| it.spec.role_arn.clone()),
        grant: match read {
            Ok(it) if is_deleting => ListedGrant::Deleting(it.spec),
            Ok(it) => ListedGrant::Spec(it.spec),
            Err(it) => ListedGrant::Unreadable(it.why),
        },
        generation,
        status: status.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::inspect::fake;

    #[tokio::test]
    async fn a_grant_that_cannot_be_read_keeps_its_name_and_status() {
        let client = fake::client(&[
            fake::MAY,
            (
                "cognitouserpoolgrants",
                200,
                r#"{"metadata":{},"items":[
                    {"metadata":{"name":"a","generation":2},"spec":{"userPoolId":"eu-west-1_AbCdEf123","usernames":["*"],"namespaces":{"names":["team-a"]},"roleArn":"arn:aws:iam::111122223333:role/a"}},
                    {"metadata":{"name":"b"},"spec":{"usernames":3},"status":{"conditions":[{"type":"Ready","status":"False","reason":"InvalidSpec","message":"m","lastTransitionTime":"2026-01-01T00:00:00Z"}]}},
                    {"metadata":{"name":"c","deletionTimestamp":"2026-01-01T00:00:00Z"},"spec":{"userPoolId":"eu-west-1_AbCdEf123","usernames":["*"],"namespaces":{"names":["team-a"]}}}
                ]}"#,
            ),
        ])
        .await;
        let found = grants(&client).await;
        let found = found.known().expect("grants");
        let [a, b, c] = &found[..] else {
            panic!("{found:?}")
        };
        assert_eq!((&*a.name, a.generation), ("a", 2));
        assert_eq!(a.role.as_deref(), Some("arn:aws:iam::111122223333:role/a"));
        assert!(matches!(a.grant, ListedGrant::Spec(_)), "{a:?}");
        assert!(matches!(b.grant, ListedGrant::Unreadable(_)), "{b:?}");
        assert_eq!(b.ready().map(|it| &*it.reason), Some("InvalidSpec"));
        assert!(matches!(c.grant, ListedGrant::Deleting(_)), "{c:?}");
    }
}
