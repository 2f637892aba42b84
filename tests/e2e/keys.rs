//! The fingerprint key in the operator's own namespace: the operator makes the key once, follows a rotation
//! without a call of Cognito, and survives a lost key. All operators of a control plane share this Secret,
//! hence `World::alone`.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::support::{eventually, operator};
use crate::world::{SOON, World, line};

const KEY_SECRET: &str = "cognito-password-operator-fingerprint";

fn keys(world: &World<'_>) -> Api<Secret> {
    Api::namespaced(world.client.clone(), operator::NAMESPACE)
}

pub(crate) async fn forget_keys(world: &World<'_>) {
    let deleted = keys(world)
        .delete(KEY_SECRET, &DeleteParams::default())
        .await;
    if let Err(error) = deleted {
        let missing = matches!(&error, kube::Error::Api(status) if status.code == 404);
        assert!(missing, "could not delete the key Secret: {error}");
    }
}

/// Puts this key into the Secret, beside the other keys.
async fn put_key(world: &World<'_>, name: &str, bytes: &[u8]) {
    let data = BTreeMap::from([(name, ByteString(bytes.to_vec()))]);
    keys(world)
        .patch(
            KEY_SECRET,
            &PatchParams::default(),
            &Patch::Merge(json!({ "data": data })),
        )
        .await
        .expect("the key Secret is there");
}

/// The id of the key that signed `status.synced`.
fn signed_by(resource: &DynamicObject) -> String {
    let fingerprint = resource.data["status"]["synced"]["fingerprint"].as_str();
    let (id, _) = fingerprint
        .and_then(|fingerprint| fingerprint.split_once('.'))
        .unwrap_or_else(|| panic!("no fingerprint: {:#}", resource.data));
    id.to_owned()
}

#[tokio::test]
async fn the_first_start_makes_one_key_of_32_bytes_and_no_other_start_touches_it() {
    let (world, _turn) = World::alone("first-key").await;
    forget_keys(&world).await;
    // Two operators start at once: one creates the key, the other reads the key.
    let (one, other) = (world.builder().start().await, world.builder().start().await);
    one.wait_ready(SOON).await;
    other.wait_ready(SOON).await;
    let made = keys(&world).get(KEY_SECRET).await.expect("it was made");
    let data = made.data.clone().unwrap_or_default();
    let lengths: Vec<_> = data
        .iter()
        .map(|(name, bytes)| (&**name, bytes.0.len()))
        .collect();
    assert_eq!(lengths, [("key-1", 32)]);
    assert_ne!(data["key-1"].0, [0; 32]);
    drop((one, other));

    let _operator = world.operator().await;
    let later = keys(&world).get(KEY_SECRET).await.expect("it is there");
    assert_eq!(made, later);
}

#[tokio::test]
async fn a_second_key_signs_all_values_again_without_a_set_and_the_first_key_can_be_removed() {
    let (world, _turn) = World::alone("second-key").await;
    forget_keys(&world).await;
    let operator = world.operator().await;
    let before = world.in_sync("bot", "First-Passw0rd").await;
    assert!(operator.terminate(SOON).await.success());
    put_key(&world, "key-2", &[7; 32]).await;

    let operator = world.operator().await;
    let signed = world
        .wait_for("bot", "signed by the second key", |resource| {
            signed_by(resource) != signed_by(&before)
        })
        .await;
    let mut only_signature = before.data["status"].clone();
    only_signature["synced"]["fingerprint"] =
        signed.data["status"]["synced"]["fingerprint"].clone();
    assert_eq!(signed.data["status"], only_signature);
    world.fence_events().await;
    let warnings = world.events("bot", "FingerprintKeyLost").await;
    assert!(warnings.is_empty(), "nothing was lost: {warnings:#?}");
    assert!(operator.terminate(SOON).await.success());

    // Without the first key, the value is still recognised.
    let gone = json!({ "data": { "key-1": null } });
    keys(&world)
        .patch(KEY_SECRET, &PatchParams::default(), &Patch::Merge(gone))
        .await
        .expect("the key Secret is there");
    let mark = world.mark();
    let _operator = world.operator().await;
    world.fence().await;
    let writes: Vec<_> = world.status_writes(mark).iter().map(line).collect();
    assert_eq!(writes, Vec::<String>::new());
    world.delete_secret("bot").await;
    world.wait("bot", "False", "SecretNotFound").await;
    world
        .apply_secret("bot", "password", "First-Passw0rd")
        .await;
    world.wait_set("bot", "First-Passw0rd").await;
    world.assert_calls("bot", &["First-Passw0rd"]).await;

    world
        .apply_secret("bot", "password", "Second-Passw0rd")
        .await;
    let set = world.wait_set("bot", "Second-Passw0rd").await;
    assert_eq!(signed_by(&signed), signed_by(&set));
}

#[tokio::test]
async fn a_lost_key_costs_a_set_only_if_the_secret_changed_meanwhile() {
    let (world, _turn) = World::alone("lost-key").await;
    forget_keys(&world).await;
    let operator = world.operator().await;
    let before = world.in_sync("same", "First-Passw0rd").await;
    world.in_sync("moved", "First-Passw0rd").await;
    assert!(operator.terminate(SOON).await.success());
    forget_keys(&world).await;
    let label = json!({ "metadata": { "labels": { "moved": "yes" } } });
    world.patch_secret("moved", label).await;

    let _operator = world.operator().await;
    let signed_again = |resource: &DynamicObject| {
        let status = &resource.data["status"];
        status["conditions"][0]["reason"] == "PasswordSet"
            && status["attempt"].is_null()
            && signed_by(resource) != signed_by(&before)
    };
    let same = world.wait_for("same", "signed again", signed_again).await;
    let moved = world.wait_for("moved", "set again", signed_again).await;
    assert_eq!(signed_by(&same), signed_by(&moved));
    assert_eq!(
        same.data["status"]["synced"]["at"], before.data["status"]["synced"]["at"],
        "nothing was set"
    );
    world.assert_calls("same", &["First-Passw0rd"]).await;
    world
        .assert_calls("moved", &["First-Passw0rd", "First-Passw0rd"])
        .await;
    let warning = eventually(SOON, async || {
        let events = world.events("same", "FingerprintKeyLost").await;
        match &events[..] {
            [event] => Ok(event.clone()),
            _ => Err(format!("one event: {events:#?}")),
        }
    })
    .await;
    assert_eq!(warning.type_.as_deref(), Some("Warning"), "{warning:#?}");

    // The operator still follows a resource whose value was signed again.
    world
        .apply_secret("same", "password", "Second-Passw0rd")
        .await;
    world.wait_set("same", "Second-Passw0rd").await;
}

/// A change of the key Secret while the operator runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Rotated,
    Lost,
    Replaced,
}

#[tokio::test]
async fn a_changed_key_secret_takes_effect_at_the_next_start_and_causes_no_set() {
    for change in [Change::Rotated, Change::Lost, Change::Replaced] {
        let (world, _turn) = World::alone("keys-meanwhile").await;
        forget_keys(&world).await;
        let operator = world.operator().await;
        let before = world.in_sync("bot", "First-Passw0rd").await;
        // A write may appear in the audit log later than in a watch.
        world.fence().await;
        let mark = world.mark();
        match change {
            Change::Rotated => put_key(&world, "key-2", &[7; 32]).await,
            Change::Lost => forget_keys(&world).await,
            Change::Replaced => put_key(&world, "key-1", &[7; 32]).await,
        }
        world.fence().await;
        let writes: Vec<_> = world.status_writes(mark).iter().map(line).collect();
        assert_eq!(writes, Vec::<String>::new(), "{change:?}");
        world
            .apply_secret("bot", "password", "Second-Passw0rd")
            .await;
        let set = world.wait_set("bot", "Second-Passw0rd").await;
        assert_eq!(signed_by(&set), signed_by(&before), "{change:?}");
        assert!(operator.terminate(SOON).await.success());

        // The new key signs `status.synced`. The operator warns if the old key is gone, and does nothing
        // else.
        let operator = world.operator().await;
        let signed = world
            .wait_for("bot", "signed by the new key", |resource| {
                signed_by(resource) != signed_by(&before)
            })
            .await;
        let at = |resource: &DynamicObject| resource.data["status"]["synced"]["at"].clone();
        assert_eq!(at(&signed), at(&set), "{change:?}");
        if change != Change::Rotated {
            eventually(SOON, async || {
                let warnings = world.events("bot", "FingerprintKeyLost").await;
                (warnings.len() == 1)
                    .then_some(())
                    .ok_or_else(|| format!("{change:?}: one warning: {warnings:#?}"))
            })
            .await;
        }
        world
            .apply_secret("bot", "password", "Third-Passw0rd")
            .await;
        let set = world.wait_set("bot", "Third-Passw0rd").await;
        assert_eq!(signed_by(&set), signed_by(&signed), "{change:?}");
        let wanted = ["First-Passw0rd", "Second-Passw0rd", "Third-Passw0rd"];
        world.assert_calls("bot", &wanted).await;
        assert!(operator.terminate(SOON).await.success());
    }
}

#[tokio::test]
async fn an_invalid_key_secret_is_reported_never_overwritten_and_used_once_corrected() {
    let (world, _turn) = World::alone("invalid-key").await;
    forget_keys(&world).await;
    let invalid: Secret = serde_json::from_value(json!({
        "metadata": { "name": KEY_SECRET },
        "stringData": { "key-1": "short" },
    }))
    .expect("a Secret");
    keys(&world)
        .create(&PostParams::default(), &invalid)
        .await
        .expect("it was deleted");
    let operator = world.builder().start().await;
    eventually(SOON, async || match operator.try_get("/readyz").await {
        Ok((503, why)) if why.contains("fingerprint keys") && why.contains("32 bytes") => Ok(()),
        other => Err(format!("{other:?}\n{}", operator.logs())),
    })
    .await;
    assert_eq!(operator.get("/livez").await.0, 200);
    assert!(
        operator
            .logs()
            .lines()
            .any(|line| line.contains("WARN") && line.contains(KEY_SECRET)),
        "{}",
        operator.logs()
    );
    let kept = keys(&world).get(KEY_SECRET).await.expect("it is there");
    let kept = kept.data.unwrap_or_default();
    assert_eq!(kept["key-1"].0, b"short");
    assert!(!operator.logs().contains("short"), "{}", operator.logs());

    put_key(&world, "key-1", &[7; 32]).await;
    operator.wait_ready(SOON).await;
    world.in_sync("bot", "First-Passw0rd").await;
}
