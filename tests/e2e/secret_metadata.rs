//! Secrets whose metadata changes all day, as with External Secrets. The operator records each verified
//! version, so neither a restart nor a lost fingerprint key causes a read or a call.

use std::collections::BTreeSet;

use futures::future::join_all;
use kube::api::DeleteParams;
use serde_json::json;

use super::world::{POOL, SOON, World};
use crate::support::{eventually, operator};

const CROWD: usize = 8;

fn name(number: usize) -> String {
    format!("bot-{number}")
}

/// Changes the metadata of all Secrets, and waits until the statuses have the new versions.
async fn move_all(world: &World<'_>, label: &str) {
    let labels = json!({ "metadata": { "labels": { "moved": label } } });
    join_all((0..CROWD).map(async |n| world.move_secret(&name(n), labels.clone()).await)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_after_metadata_changes_reads_writes_and_sets_nothing() {
    let (world, _turn) = World::alone("moved").await;
    let operator = world.operator().await;
    join_all((0..CROWD).map(async |n| {
        let name = name(n);
        world.cognito.add_user(POOL, &name);
        world.apply_secret(&name, "password", "Passw0rd-1").await;
        // Every other password is temporary.
        world
            .apply_resource(&name, |it| it["spec"]["permanent"] = (n % 2 == 0).into())
            .await;
        world.wait_set(&name, "Passw0rd-1").await;
    }))
    .await;
    let calls = world.cognito.call_count();
    // A write may appear in the audit log later than in a watch.
    world.fence().await;
    let mark = world.mark();
    move_all(&world, "once").await;
    // The audit log has a write before the operator gets the answer, and perhaps after a watch shows the
    // write.
    assert!(operator.terminate(SOON).await.success());
    assert_eq!(world.status_writes(mark).len(), CROWD, "one for each");

    let mark = world.mark();
    let operator = world.operator().await;
    world.fence().await;
    let is_work =
        |line: &String| line.starts_with("get secrets bot-") || line.starts_with("patch ");
    let work: BTreeSet<_> = world.traffic(mark).into_iter().filter(is_work).collect();
    assert_eq!(work, BTreeSet::new(), "after a restart");
    assert!(operator.terminate(SOON).await.success());

    let secrets: kube::Api<k8s_openapi::api::core::v1::Secret> =
        kube::Api::namespaced(world.client.clone(), operator::NAMESPACE);
    let keys = "cognito-password-operator-fingerprint";
    let deleted = secrets.delete(keys, &DeleteParams::default()).await;
    deleted.expect("the keys can be deleted");
    let _operator = world.operator().await;
    for n in 0..CROWD {
        let name = name(n);
        let signed = async || {
            let signed = !world.events(&name, "FingerprintKeyLost").await.is_empty();
            signed.then_some(()).ok_or("not signed again".to_owned())
        };
        eventually(SOON, signed).await;
        world.wait_set(&name, "Passw0rd-1").await;
    }
    let own = |call: &crate::support::Call| call.username.starts_with("bot-");
    let made = world.cognito.calls().into_iter().filter(own).count();
    assert_eq!((made, calls), (CROWD, CROWD), "a lost key sets nothing");
}
