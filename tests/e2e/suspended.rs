//! No program waits for a suspended resource, and the status still shows a problem.

use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::kstatus::{Kstatus, kstatus};
use super::world::{POOL, SOON, World};
use crate::support::{Fault, condition};

const FIRST: &str = "First-Passw0rd";

fn suspend(suspend: bool) -> Value {
    json!({ "spec": { "suspend": suspend } })
}

fn says_suspended(resource: &DynamicObject) -> bool {
    condition(resource, "Suspended").is_some_and(|it| {
        it["status"] == "True" && it["observedGeneration"].as_i64() == resource.metadata.generation
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kstatus_of_a_suspended_resource_is_never_in_progress() {
    type Case = (&'static str, Kstatus, Option<Fault>, &'static str);
    let weak = Fault::error("InvalidPasswordException", "Password not long enough");
    let cases: [Case; 4] = [
        ("new", Kstatus::Current, None, ""),
        ("in-sync", Kstatus::Current, None, "PasswordSet"),
        (
            "waiting",
            Kstatus::Failed,
            Some(Fault::access_denied()),
            "AccessDenied",
        ),
        ("refused", Kstatus::Failed, Some(weak), "InvalidPassword"),
    ];
    let world = World::new("suspended").await;
    let operator = world.operator().await;
    for (name, _, fault, reason) in &cases {
        world.cognito.add_user(POOL, name);
        if let Some(fault) = fault {
            world.cognito.always_for((POOL, name), fault.clone());
        }
        world.apply_secret(name, "password", FIRST).await;
        let is_new = reason.is_empty();
        let change = |resource: &mut Value| resource["spec"]["suspend"] = json!(is_new);
        world.apply_resource(name, change).await;
        if !is_new {
            let ready = if fault.is_none() { "True" } else { "False" };
            world.wait(name, ready, reason).await;
        }
    }
    world.fence().await;
    let mut ready = Vec::new();
    for (name, ..) in &cases {
        ready.push(condition(&world.resource(name).await, "Ready").cloned());
        world.patch_resource(name, suspend(true)).await;
    }
    for ((name, wanted, _, reason), ready) in cases.iter().zip(&ready) {
        let suspended = world.wait_for(name, "suspended", says_suspended).await;
        assert_eq!(kstatus(&suspended), *wanted, "{name}: {suspended:#?}");
        assert_eq!(condition(&suspended, "Ready"), ready.as_ref(), "{name}");
        assert_eq!(condition(&suspended, "Reconciling"), None, "{name}");
        let row =
            world
                .plane
                .kubectl(&["get", "cup", "-n", &world.namespace, name, "--no-headers"]);
        assert!(row.contains("True"), "{row}");
        assert!(row.contains(reason), "{row}");
    }

    // A restart adds nothing, reads nothing and calls nothing.
    assert!(operator.terminate(SOON).await.success());
    let mark = world.mark();
    let calls = world.cognito.call_count();
    let _operator = world.operator().await;
    for (name, ..) in &cases {
        world.request(name, "while suspended").await;
        world
            .apply_secret(name, "password", "Second-Passw0rd")
            .await;
    }
    world.fence().await;
    assert_eq!(world.status_writes(mark).len(), 0);
    let requests = world.traffic(mark);
    for (name, ..) in &cases {
        let read = format!("get secrets {name}");
        assert!(!requests.contains(&read), "{requests:#?}");
    }
    let made = world.cognito.calls();
    let ours = |username: &str| cases.iter().any(|case| case.0 == username);
    let made = made.iter().skip(calls).filter(|call| ours(&call.username));
    assert_eq!(made.count(), 0);

    world.cognito.heal();
    for (name, ..) in &cases {
        world.patch_resource(name, suspend(false)).await;
        let set = world.wait_set(name, "Second-Passw0rd").await;
        assert_eq!(condition(&set, "Suspended"), None, "{name}");
        assert_eq!(
            set.data["status"]["lastHandledReconcileAt"],
            "while suspended"
        );
    }
}
