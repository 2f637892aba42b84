//! Looks at the credential gate: only a lookup may close the gate, and a pass takes no trial of a closed gate.

use super::{
    super::panic_tests::scene::{Scene, deleted_resource, resource},
    add, authority, eventually, is_ready, is_verified, key, looked_at,
    pool::{Credentials, Pool},
    restarted, run, scene, settle, status, stored,
};
use crate::api::{CognitoUserPassword, Drift, Reason};
use futures::FutureExt;
use std::{sync::atomic::Ordering, time::Duration};

/// Users at rest, each of a pool of its own.
const AT_REST: [&str; 6] = ["rest-0", "rest-1", "rest-2", "rest-3", "rest-4", "rest-5"];

/// More resources than refusals close the gate.
const NEW: [&str; 3] = ["new-0", "new-1", "new-2"];

/// An operator that has just started with these credentials. All users at rest are due for a look.
async fn started(credentials: Credentials) -> Scene<Pool> {
    let resources = AT_REST.iter().map(|name| {
        let mut resource = looked_at(name, Drift::Report);
        resource.spec.user_pool_id = format!("eu-west-1_{}", name.replace('-', ""));
        resource
    });
    let mut scene = scene(Pool::default(), resources.collect()).await;
    settle(&mut scene, &AT_REST).await;
    restarted(scene, Pool::with(credentials)).await
}

/// Shows the new resources.
async fn add_new(scene: &mut Scene<Pool>, build: impl Fn(&str) -> CognitoUserPassword) {
    for name in NEW {
        add(scene, build(name)).await;
    }
}

/// Whether the gate is closed. An open gate asks for credentials.
fn is_closed(scene: &Scene<Pool>) -> bool {
    let gate = &scene.context.credential_gate;
    let examined = gate.examine(&authority()).now_or_never();
    examined.expect("credentials in memory").is_err()
}

fn lacks_credentials(scene: &Scene<Pool>, name: &str) -> bool {
    status(scene, name).ready_reason() == Some(Reason::InvalidCredentials)
}

#[tokio::test(start_paused = true)]
async fn looks_and_sets_begin_once_there_are_credentials() {
    let mut scene = started(Credentials::Missing).await;
    add_new(&mut scene, |name| looked_at(name, Drift::Report)).await;
    let _running = run(&scene);
    for name in NEW {
        eventually(name, || lacks_credentials(&scene, name)).await;
    }
    let pool = &scene.context.cognito;
    assert_eq!(pool.count(|_| true), 0);
    pool.give(Credentials::Work);
    for name in NEW {
        eventually(name, || is_ready(&scene, name)).await;
    }
    for name in AT_REST {
        eventually(name, || is_verified(&scene, name)).await;
    }
    assert_eq!(pool.sets(), NEW.len());
}

#[tokio::test(start_paused = true)]
async fn refused_passes_close_no_gate() {
    let scene = started(Credentials::Refused).await;
    let _running = run(&scene);
    let pool = &scene.context.cognito;
    eventually("passes that fail", || {
        pool.count(|_| true) > 10 * AT_REST.len()
    })
    .await;
    assert!(!is_closed(&scene));
    assert_eq!(scene.context.credential_gate.len(), 0);
    pool.give(Credentials::Work);
    for name in AT_REST {
        eventually(name, || is_verified(&scene, name)).await;
    }
    assert_eq!(pool.sets(), 0);
}

/// A resource at rest makes no call, so a trial of such a resource would tell nothing.
#[tokio::test(start_paused = true)]
async fn each_trial_of_a_closed_gate_makes_a_call_whatever_passes_are_due() {
    let mut scene = started(Credentials::Refused).await;
    let _running = run(&scene);
    add_new(&mut scene, |name| resource(name, 1)).await;
    eventually("a closed gate", || is_closed(&scene)).await;
    for name in NEW {
        eventually(name, || lacks_credentials(&scene, name)).await;
    }
    let pool = &scene.context.cognito;
    let asked = || pool.authentications.load(Ordering::Relaxed);
    let before = (asked(), pool.sets());
    let trials = 100;
    eventually("trials", || pool.sets() >= before.1 + trials).await;
    assert!(is_closed(&scene));
    // The probe asks before each trial, and the trial itself asks.
    let asked = asked() - before.0;
    assert!(asked <= 2 * trials + 10, "{asked} for {trials} trials");
    pool.give(Credentials::Work);
    for name in NEW {
        eventually(name, || is_ready(&scene, name)).await;
    }
    for name in AT_REST {
        eventually(name, || is_verified(&scene, name)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_trial_of_a_closed_gate_may_be_a_lookup() {
    let mut scene = started(Credentials::Refused).await;
    for name in &AT_REST[1..] {
        let resource = stored(&scene, name);
        scene.handle([deleted_resource(resource)]).await;
    }
    let _running = run(&scene);
    let pool = &scene.context.cognito;
    ask_until(&scene, || pool.lookups() > 0).await;
    ask_until(&scene, || is_closed(&scene)).await;
    let before = pool.lookups();
    ask_until(&scene, || pool.lookups() > before).await;
    assert!(is_closed(&scene), "the trial was refused");
    pool.give(Credentials::Work);
    ask_until(&scene, || !is_closed(&scene)).await;
    eventually("a look", || is_verified(&scene, AT_REST[0])).await;
    assert_eq!(pool.sets(), 0);
}

/// Asks for a look at the first user at rest each second, at most for an hour.
async fn ask_until(scene: &Scene<Pool>, holds: impl Fn() -> bool) {
    for _ in 0..3_600 {
        if holds() {
            return;
        }
        scene.context.looks.ask(&key(AT_REST[0]), Duration::ZERO);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    panic!("no look led to that");
}
