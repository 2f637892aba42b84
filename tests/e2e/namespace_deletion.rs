//! The deletion of a namespace, with all of its objects and with work in progress.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DeleteParams};

use super::world::{POOL, SOON, World, line};
use crate::support::{Call, ControlPlane, Fault, Outcome, eventually};

/// The limit for a deletion by the controller manager, which takes several rounds.
const PATIENCE: Duration = Duration::from_mins(5);

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_namespace_goes_without_a_call_and_without_a_storm_of_errors() {
    const RESOURCES: usize = 12;
    let plane = ControlPlane::start();
    plane.start_controller_manager().await;
    let world = World::on(&plane, "stays").await;
    let doomed = world.neighbour("doomed").await;
    let operator = world.cluster_wide().start().await;
    operator.wait_ready(SOON).await;
    join_all((0..RESOURCES).map(async |number| {
        doomed
            .in_sync(&format!("bot-{number}"), "First-Passw0rd")
            .await
    }))
    .await;
    // One resource waits for its next retry, and one call is in flight.
    doomed.cognito.add_user(POOL, "waits");
    let throttled = Fault::throttled();
    doomed.cognito.next_for((POOL, "waits"), [throttled]);
    doomed
        .cognito
        .always_for((POOL, "waits"), Fault::access_denied());
    doomed.apply_secret("waits", "password", "Passw0rd").await;
    doomed.apply_resource("waits", |_| ()).await;
    doomed.wait("waits", "False", "AccessDenied").await;
    // A namespace that is being deleted accepts no Event.
    doomed.fence_events().await;
    let late = Fault::Latency(Duration::from_secs(4));
    doomed.cognito.next_for((POOL, "bot-0"), [late]);
    doomed
        .apply_secret("bot-0", "password", "Second-Passw0rd")
        .await;
    let in_flight = |calls: &[Call]| {
        let last = calls.last();
        last.is_some_and(|call| matches!(call.outcome, Outcome::InFlight { .. }))
    };
    let cognito = &doomed.cognito;
    cognito.wait_until("call under way", SOON, in_flight).await;
    let calls = cognito.call_count();

    let mark = world.mark();
    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    namespaces
        .delete(&doomed.namespace, &DeleteParams::default())
        .await
        .expect("it is there");
    eventually(PATIENCE, async || {
        match namespaces.get_opt(&doomed.namespace).await {
            Ok(None) => Ok(()),
            other => Err(format!("{other:#?}\n{}", operator.logs())),
        }
    })
    .await;
    let answered = |calls: &[Call]| calls.iter().all(|call| call.ended.is_some());
    cognito
        .wait_until("every call answered", SOON, answered)
        .await;
    assert_eq!(cognito.call_count(), calls, "nothing was called");
    world.fence_events().await;

    // The operator may try to write a few times while the objects go, and each time the API server refuses.
    let of_doomed = |since| {
        let mut requests = world.requests(since);
        requests.retain(|request| {
            request.pointer("/objectRef/namespace") == Some(&doomed.namespace.as_str().into())
        });
        requests
    };
    let mut refused: BTreeMap<String, usize> = BTreeMap::new();
    for request in of_doomed(mark) {
        let code = request["responseStatus"]["code"].as_u64().unwrap_or(0);
        if code >= 400 && request["verb"] != "watch" {
            *refused
                .entry(format!("{code} {}", line(&request)))
                .or_default() += 1;
        }
    }
    let total: usize = refused.values().sum();
    assert!(total <= 4 * (RESOURCES + 1), "{refused:#?}");
    let storm = refused.iter().find(|(_, count)| **count > 3);
    assert_eq!(storm, None, "{refused:#?}");
    let errors = operator.logs();
    let errors: Vec<_> = errors
        .lines()
        .filter(|line| line.contains("\"ERROR\"") || line.contains("panicked"))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");

    // After the deletion there is no further request.
    let mark = world.mark();
    world.fence().await;
    let requests: Vec<_> = of_doomed(mark).iter().map(line).collect();
    assert_eq!(requests, [""; 0]);
    let left = operator
        .metric("cognito_password_operator_resources", &[])
        .await;
    assert_eq!(left.to_string(), "1", "the fence's own");
}
