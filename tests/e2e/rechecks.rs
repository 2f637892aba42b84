//! The operator does not recheck a cause whose end an event reports. After 5 minutes, once the status says
//! so, a resource that waits for a grant, a Secret or a key causes no request.

use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::kstatus::{Kstatus, kstatus, violations};
use super::world::{POOL, SOON, World, line};
use crate::support::{Mark, resources};

/// Changes the conditions as if the wait had begun long ago.
async fn backdate_conditions(world: &World<'_>, name: &str) {
    let mut conditions = world.status(name).await["conditions"].clone();
    for condition in conditions.as_array_mut().expect("a list") {
        condition["lastTransitionTime"] = json!("2026-01-01T00:00:00Z");
    }
    let status = json!({ "status": { "conditions": conditions } });
    resources(&world.client, &world.namespace)
        .patch_status(name, &PatchParams::default(), &Patch::Merge(&status))
        .await
        .expect("the administrator may");
}

/// The reads of these Secrets and all status writes in these two namespaces, without those for a sentinel. Earlier
/// tests left resources in other namespaces, which wait too.
fn cost(worlds: [&World<'_>; 2], since: Mark) -> Vec<String> {
    let own = |request: &String| {
        request.starts_with("get secrets bot") || request.starts_with("patch cognitouserpasswords")
    };
    let mut requests = worlds[0].requests(since);
    requests.retain(|request| {
        let namespace = request.pointer("/objectRef/namespace");
        worlds
            .iter()
            .any(|world| namespace == Some(&json!(world.namespace)))
    });
    requests.iter().map(line).filter(own).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_that_waits_for_an_object_is_reported_stalled_once_and_costs_no_request_afterwards()
 {
    let (ungranted, _turn) = World::alone("rechecks").await;
    let world = ungranted.neighbour("rechecks-granted").await;
    ungranted.revoke().await;
    let operator = world.cluster_wide().start().await;
    operator.wait_ready(SOON).await;
    world.cognito.add_pool(POOL);
    ungranted
        .apply_secret("bot-1", "password", "Passw0rd-1")
        .await;
    world.apply_secret("bot-3", "other", "Passw0rd-1").await;
    let waiting = [
        (&ungranted, "bot-1", "NotGranted"),
        (&world, "bot-2", "SecretNotFound"),
        (&world, "bot-3", "SecretKeyNotFound"),
    ];
    for (world, name, reason) in waiting {
        world.apply_resource(name, |_| ()).await;
        let said = world.wait(name, "False", reason).await;
        assert_eq!(kstatus(&said), Kstatus::InProgress, "{reason}");
        assert_eq!(said.data["status"]["failures"], json!(null), "{reason}");
    }
    let mark = world.mark();
    for (world, name, reason) in waiting {
        backdate_conditions(world, name).await;
        let stalled = world
            .wait_for(name, "stalled", |it| kstatus(it) == Kstatus::Failed)
            .await;
        assert_eq!(violations(&stalled), [""; 0], "{reason}");
    }
    world.fence().await;
    let own = cost([&ungranted, &world], mark);
    let writes = own.iter().filter(|it| it.starts_with("patch")).count();
    assert_eq!(
        (writes, own.len()),
        (waiting.len(), waiting.len()),
        "{own:#?}"
    );

    // No further request, now or after a restart.
    let mark = world.mark();
    world.fence().await;
    assert!(operator.terminate(SOON).await.success());
    let operator = world.cluster_wide().start().await;
    operator.wait_ready(SOON).await;
    world.fence().await;
    assert_eq!(cost([&ungranted, &world], mark), [""; 0]);
    drop(operator);
}
