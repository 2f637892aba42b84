//! Panics in the tasks that serve all objects: each task goes on with the other objects.

use super::{
    heal, inject, inject_cluster_wide, key, listed,
    scene::{Aws, Scene, grant_for, grants, lock, namespace, next, path, resource, secret, until},
};
use crate::{
    api::{CognitoUserPoolGrant, Drift},
    controller::{
        look, reconciles,
        report::{grant_status, version_recorder},
        schedule::{
            permits::{Payer, Permits},
            queue::Queue,
        },
        state::key::Key,
    },
    core::{
        access::{authority::Authority, grant::UngrantedPolicy},
        names::target::{Account, PoolId},
        schedule::rate_limit::{Category, RateLimits, Urgency},
    },
    ops::metrics::Metrics,
};
use futures::FutureExt;
use kube::{Resource, runtime::watcher::Event};
use serde_json::json;
use std::{
    future::ready,
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

#[tokio::test]
async fn a_call_that_panics_has_an_unknown_outcome_and_other_users_are_set() {
    let aws = Aws {
        panics_for: Some("bad"),
        ..Aws::default()
    };
    let mut scene = Scene::with(None, aws);
    for name in ["bad", "good"] {
        let secret = json!({
            "metadata": { "name": name, "namespace": "team-a", "uid": name, "resourceVersion": "1" },
            "data": { "password": "UGFzc3dvcmQtMSE=" },
        });
        let path = format!("/api/v1/namespaces/team-a/secrets/{name}");
        scene.api.put(&path, secret);
    }
    scene
        .list(vec![resource("bad", 1), resource("good", 2)])
        .await;
    let context = scene.context.clone();
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn({
        let context = context.clone();
        async move { reconciles(&context, ready(()), stopped.map(drop)).await }
    });
    let is_set = || scene.api.get(&path("good"))["status"]["synced"].is_object();
    until(|| is_set() && scene.panics() == 1).await;
    // The attempt is on record, without an outcome.
    let attempt = &scene.api.get(&path("bad"))["status"]["attempt"];
    assert!(attempt["id"].is_string(), "{attempt}");
    assert_eq!(context.user_locks.len(Instant::now()), 1, "it may land yet");
    assert_eq!(context.permits.entries()[0], 0, "no key waits");
    // The resource is queued for later, and no second call is made until then.
    until(|| context.queue.entries() == 1 && context.queue.is_empty()).await;
    let mut called = lock(&context.cognito.called).clone();
    called.sort();
    assert_eq!(called, ["bad", "good"]);
    // The slot of the reconcile that panicked is free.
    let slots: Vec<_> = (0..31)
        .map_while(|_| context.slots.take().now_or_never())
        .collect();
    assert_eq!(slots.len(), 31, "one is the loop's, which waits for a key");
    stop.send(()).expect("it runs");
    running.await.expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_recording_a_version_does_not_end_the_recorder() {
    let scene = listed().await;
    scene.due();
    inject("decide");
    scene.context.version_queue.add(&key("bad"));
    scene.context.version_queue.add(&key("good"));
    let recording = tokio::spawn({
        let context = scene.context.clone();
        async move { version_recorder::record(&context).await }
    });
    until(|| scene.context.version_queue.len() == 0).await;
    assert_eq!(scene.panics(), 1);
    assert!(!recording.is_finished());
    recording.abort();
}

#[tokio::test(start_paused = true)]
async fn a_pool_without_a_user_to_look_at_has_no_old_pass() {
    let mut scene = Scene::without_grants();
    let mut suspended = resource("suspended", 1);
    suspended.spec.drift = Some(Drift::Report);
    suspended.spec.suspend = true;
    let mut unset = resource("unset", 2);
    unset.spec.drift = Some(Drift::Report);
    scene.list(vec![suspended, unset]).await;
    assert_eq!(scene.context.index().pools_looked_at().count(), 1);
    let looking = tokio::spawn({
        let context = scene.context.clone();
        async move { look::look(&context).await }
    });
    // An hour of the paused clock, which the alert on looks would not bear.
    tokio::time::sleep(Duration::from_hours(1)).await;
    assert!(!looking.is_finished());
    let age = scene.context.looks.oldest_pass();
    assert!(age < Duration::from_mins(1), "{age:?}");
    looking.abort();
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_checking_a_grant_stops_no_other_grant() {
    let aws = Aws {
        retain_panics: true,
        ..Aws::default()
    };
    let mut scene = Scene::with(Some(UngrantedPolicy::Deny), aws);
    let folder = CognitoUserPoolGrant::url_path(&(), None);
    let path = |name: &str| format!("{folder}/{name}");
    for name in ["bad", "good"] {
        let object = serde_json::to_value(grant_for(name, name).0.expect("a grant"));
        scene.api.put(&path(name), object.expect("JSON"));
    }
    scene
        .handle([namespace(Event::Init), namespace(Event::InitDone)])
        .await;
    scene.handle(grants(&["bad", "good"])).await;
    scene.list(vec![]).await;
    inject_cluster_wide("grant status");
    let reporting = tokio::spawn({
        let context = scene.context.clone();
        async move { grant_status::report(&context).await }
    });
    let is_reported = |name| scene.api.get(&path(name))["status"]["conditions"].is_array();
    until(|| is_reported("good")).await;
    until(|| scene.panics() >= 2).await;
    assert!(!is_reported("bad"));
    // The check of the grant is repeated after a pause, without an event.
    heal();
    until(|| is_reported("bad")).await;
    assert!(!reporting.is_finished());
    reporting.abort();
}

#[tokio::test]
async fn a_panic_in_giving_permits_stops_neither_other_rate_limiters_nor_other_keys() {
    let queue = Queue::default();
    let limits = RateLimits {
        rps: 20.0,
        burst: 1,
    };
    let permits = Permits::new(limits, queue.clone());
    let payer = |pool: &str| -> Payer {
        let region = PoolId::parse(pool).expect("valid").region();
        Payer {
            account: Account::OfSource,
            region,
            category: Category::UserAccountRecovery,
        }
    };
    let (one, two) = (payer("eu-west-1_a"), payer("eu-west-2_a"));
    let elsewhere = Key::new("team-b", "elsewhere");
    // The first call of each rate limiter uses the burst up, so that the next keys wait.
    for payer in [&one, &two] {
        let first = Key::new("team-c", payer.region.as_str());
        let permit = permits.claim(&first, payer, Urgency::Requested);
        permit.expect("a permit").calling();
    }
    assert!(permits.wait_for_permit(&key("bad"), &one).is_err());
    assert!(permits.wait_for_permit(&key("good"), &one).is_err());
    assert!(permits.wait_for_permit(&elsewhere, &two).is_err());
    inject("give");
    let giving = tokio::spawn({
        let permits = permits.clone();
        async move { permits.give(&Metrics::new("0.0.0")).await }
    });
    let mut woken = Vec::new();
    for _ in 0..3 {
        woken.push(next(&queue).await);
    }
    woken.sort();
    assert_eq!(woken, [key("bad"), key("good"), elsewhere.clone()]);
    assert!(permits.has_permit(&elsewhere));
    // Both keys of the rate limiter that panicked begin anew.
    heal();
    assert!(!permits.contains(&key("bad")) && !permits.contains(&key("good")));
    assert_eq!(permits.wait_for_permit(&key("good"), &one), Ok(()));
    permits.leave(&key("good"));
    permits.leave(&elsewhere);
    assert_eq!(permits.waiting(Category::UserAccountRecovery), 0);
    assert!(!giving.is_finished());
    giving.abort();
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_waking_a_resource_at_the_credential_gate_stops_no_other_resource() {
    let aws = Aws {
        failures: 2.into(),
        ..Aws::default()
    };
    let mut scene = Scene::with(None, aws);
    scene.handle([secret(Event::Init)]).await;
    let region = PoolId::parse("eu-west-1_a").expect("valid").region();
    let authority = Authority::own(region);
    inject("wake");
    for name in ["bad", "good"] {
        let ensured = scene
            .context
            .credential_gate
            .ensure(&key(name), &authority, true)
            .await;
        assert!(ensured.is_err());
    }
    assert_eq!(next(&scene.context.queue).await, key("good"));
    until(|| scene.panics() == 1).await;
    assert_eq!(scene.context.credential_gate.len(), 0, "the gate is open");
}
