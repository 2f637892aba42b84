//! Grants that name a role.

use serde_json::{Value, json};

use super::{FIRST, SECOND, THIRD, claim, message, started, wait_for_grant};
use crate::kstatus::{Kstatus, kstatus};
use crate::support::{OWN_ACCOUNT, eventually, session_key};
use crate::world::{POOL, World};

const ROLE: &str = "arn:aws:iam::111122223333:role/team-a";
const OTHER_ROLE: &str = "arn:aws:iam::444455556666:role/team-b";
/// The access key of the operator's own identity.
const OWN_KEY: &str = "AKIAIOSFODNN7EXAMPLE";

fn by_role(arn: &'static str) -> impl FnOnce(&mut Value) {
    move |grant| {
        grant["spec"]["roleArn"] = json!(arn);
        grant["spec"]["externalId"] = json!("team");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_is_assumed_for_its_grant_and_a_broken_one_stops_its_own_resources_only() {
    let (world, _turn) = World::alone("roles").await;
    let other = world.neighbour("other").await;
    let own = world.neighbour("own").await;
    world.grant(by_role(ROLE)).await;
    other.grant(by_role(OTHER_ROLE)).await;
    world.cognito.allow_role(ROLE, Some("team"));
    let words = format!(
        "User: arn:aws:sts::{OWN_ACCOUNT}:assumed-role/op/x is not authorized to perform: \
         sts:AssumeRole on resource: {OTHER_ROLE}"
    );
    let cognito = &world.cognito;
    cognito.refuse_role(OTHER_ROLE, "AccessDenied", &words);
    let _operator = started(&world).await;
    // The grant reports the refused role before any resource needs the role.
    let broken = wait_for_grant(&other, ("False", "InvalidCredentials", 0)).await;
    assert_eq!(kstatus(&broken), Kstatus::InProgress);
    let said = message(&broken);
    for words in [OTHER_ROLE, "AccessDenied: User", "trust policy"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    wait_for_grant(&world, ("True", "Accepted", 0)).await;

    world.in_sync("bot", FIRST).await;
    own.in_sync("own-bot", FIRST).await;
    cognito.add_user(POOL, "other-bot");
    claim(&other, "other-bot", "other-bot", FIRST).await;
    let refused = other.wait("other-bot", "False", "InvalidCredentials").await;
    let said = message(&refused);
    assert!(said.contains("AccessDenied: User"), "{said}");
    let attempt = &refused.data["status"]["attempt"];
    assert_eq!(*attempt, json!(null), "nothing is open");
    world.apply_secret("bot", "password", SECOND).await;
    world.wait_set("bot", SECOND).await;
    let key = |username| {
        let calls = cognito.calls_for(POOL, username);
        calls.last().map(|call| call.access_key.clone())
    };
    assert_eq!(key("bot"), Some(session_key(ROLE)));
    assert_eq!(key("own-bot").as_deref(), Some(OWN_KEY));
    assert_eq!(key("other-bot"), None);
    let assumed = cognito.assumed_role(ROLE);
    assert_eq!(assumed.len(), 1, "one session for all: {assumed:#?}");
    assert_eq!(assumed[0].session_name, "cognito-password-operator");
    assert_eq!(assumed[0].external_id.as_deref(), Some("team"));
    wait_for_grant(&other, ("False", "InvalidCredentials", 1)).await;

    // The trust policy is corrected, and all resources recover without a restart.
    cognito.allow_role(OTHER_ROLE, Some("team"));
    other.wait_set("other-bot", FIRST).await;
    wait_for_grant(&other, ("True", "Accepted", 1)).await;
    assert_eq!(key("other-bot"), Some(session_key(OTHER_ROLE)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_role_is_assumed_from_the_next_set_on() {
    let (world, _turn) = World::alone("other-role").await;
    world.cognito.allow_role(ROLE, None);
    world.cognito.allow_role(OTHER_ROLE, None);
    world.grant(by_role(ROLE)).await;
    let _operator = started(&world).await;
    world.in_sync("bot", FIRST).await;
    world.grant(by_role(OTHER_ROLE)).await;
    eventually(super::SOON, async || {
        match world.cognito.assumed_role(OTHER_ROLE).len() {
            0 => Err("not seen yet".to_owned()),
            _ => Ok(()),
        }
    })
    .await;
    world.apply_secret("bot", "password", SECOND).await;
    world.wait_set("bot", SECOND).await;
    world.revoke().await;
    world.wait("bot", "False", "NotGranted").await;
    world.grant(|_| ()).await;
    world.apply_secret("bot", "password", THIRD).await;
    world.wait_set("bot", THIRD).await;
    let calls = world.cognito.calls_for(POOL, "bot");
    let keys: Vec<_> = calls.into_iter().map(|call| call.access_key).collect();
    let own = OWN_KEY.to_owned();
    assert_eq!(keys, [session_key(ROLE), session_key(OTHER_ROLE), own]);
}
