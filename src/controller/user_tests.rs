//! Looks at users, corrections and sign-outs, with a Cognito and an API server in memory. The clock of tokio is
//! paused, so minutes of waiting take no time. The clock of the protocol is not: a test that needs an old set moves
//! the set into the past.

mod correction;
mod gate;
mod guard;
mod looks;
mod pool;
mod sign_out;

use super::{
    look,
    panic_tests::scene::{Scene, path, resource, resource_event, secret, secret_name},
    reconciles,
    state::key::Key,
};
use crate::{
    api::{CognitoUserPassword, ConditionStatus, ConditionType, Drift, Reason, Status},
    cluster::watch::lean_object::LeanObject,
    core::{access::authority::Authority, names::target::PoolId},
};
use jiff::{SignedDuration, Timestamp};
use kube::{ResourceExt, runtime::watcher::Event};
use pool::Pool;
use serde_json::json;
use std::{
    future::{pending, ready},
    time::Duration,
};
use tokio::task::JoinSet;

/// The password in all Secrets.
const PASSWORD: &str = "UGFzc3dvcmQtMSE=";

fn key(name: &str) -> Key {
    Key::new("team-a", name)
}

/// The operator's own authority in the Region of all pools.
fn authority() -> Authority {
    Authority::own(PoolId::parse("eu-west-1_a").expect("valid").region())
}

/// A resource for the user of the same name.
fn looked_at(name: &str, drift: Drift) -> CognitoUserPassword {
    let mut resource = resource(name, 1);
    resource.spec.drift = Some(drift);
    resource
}

/// A scene with these resources, each with a Secret of the same name.
async fn scene(pool: Pool, resources: Vec<CognitoUserPassword>) -> Scene<Pool> {
    let mut scene = Scene::with(None, pool);
    let names: Vec<_> = resources.iter().map(ResourceExt::name_any).collect();
    scene.list(resources).await;
    for name in &names {
        add_secret(&mut scene, name).await;
    }
    scene
}

async fn add_secret(scene: &mut Scene<Pool>, name: &str) {
    let path = format!("/api/v1/namespaces/team-a/secrets/{name}");
    let object = json!({
        "metadata": { "name": name, "namespace": "team-a", "uid": name, "resourceVersion": "1" },
        "data": { "password": PASSWORD },
    });
    scene.api.put(&path, object);
    let shown = secret(Event::Apply(secret_name(name, 1)));
    scene.handle([shown]).await;
}

/// Another process with the same resources, and another Cognito.
async fn restarted(before: Scene<Pool>, pool: Pool) -> Scene<Pool> {
    let mut keys = before.context.index().resources();
    keys.sort();
    let resources = keys.iter().map(|key| stored(&before, key.name())).collect();
    scene(pool, resources).await
}

/// Shows a new resource.
async fn add(scene: &mut Scene<Pool>, added: CognitoUserPassword) {
    let name = added.name_any();
    let object = serde_json::to_value(&added).expect("JSON");
    scene.api.put(&path(&name), object);
    add_secret(scene, &name).await;
    show(scene, &name).await;
}

/// The resource as the API server has stored the resource.
fn stored(scene: &Scene<Pool>, name: &str) -> CognitoUserPassword {
    serde_json::from_value(scene.api.get(&path(name))).expect("a resource")
}

/// Shows the resource as the API server has stored the resource.
async fn show(scene: &mut Scene<Pool>, name: &str) {
    let resource = LeanObject(Ok(stored(scene, name)));
    scene.handle([resource_event(Event::Apply(resource))]).await;
}

/// Moves the last set this number of hours into the past.
async fn age(scene: &mut Scene<Pool>, name: &str, hours: i64) {
    let at = (Timestamp::now() - SignedDuration::from_hours(hours)).to_string();
    scene.api.change(&path(name), |object| {
        let synced = &mut object["status"]["synced"];
        synced["at"] = json!(at);
        synced["answeredAt"] = json!(at);
    });
    show(scene, name).await;
}

fn status(scene: &Scene<Pool>, name: &str) -> Status {
    stored(scene, name).status.unwrap_or_default()
}

/// Whether this condition has this status and reason.
fn says(status: &Status, type_: ConditionType, value: ConditionStatus, reason: Reason) -> bool {
    let condition = status.condition(type_);
    condition.is_some_and(|it| it.status == value && it.reason == reason.as_str())
}

fn is_ready(scene: &Scene<Pool>, name: &str) -> bool {
    let (type_, reason) = (ConditionType::Ready, Reason::PasswordSet);
    let status = status(scene, name);
    says(&status, type_, ConditionStatus::True, reason)
}

/// Whether the last look found the user as the set left the user.
fn is_verified(scene: &Scene<Pool>, name: &str) -> bool {
    let status = status(scene, name);
    let verified = status.condition(ConditionType::Verified);
    verified.is_some_and(|it| it.status == ConditionStatus::True)
}

/// Runs the loops of an operator, until the value is dropped.
#[must_use]
fn run(scene: &Scene<Pool>) -> JoinSet<()> {
    let mut running = JoinSet::new();
    let context = scene.context.clone();
    running.spawn(async move { reconciles(&context, ready(()), pending()).await });
    let context = scene.context.clone();
    running.spawn(async move { context.permits.give(&context.metrics).await });
    let context = scene.context.clone();
    running.spawn(async move { look::look(&context).await });
    running
}

/// Waits until the condition holds, at most six hours of the paused clock.
async fn eventually(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..6 * 3_600 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    panic!("{what}: not within six hours");
}

/// Runs the loops until each of these resources is ready, and moves the sets an hour into the past.
async fn settle(scene: &mut Scene<Pool>, names: &[&str]) {
    let running = run(scene);
    for name in names {
        eventually(name, || is_ready(scene, name)).await;
    }
    drop(running);
    for name in names {
        age(scene, name, 1).await;
    }
}
