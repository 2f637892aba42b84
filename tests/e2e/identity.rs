//! Missing AWS credentials, the most common mistake of an installation. The statuses report the mistake
//! within seconds, no attempt stays open, and no restart is needed once credentials exist.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use super::events::wait_for_one_event;
use super::kstatus::{Kstatus, kstatus, violations};
use super::world::{POOL, SOON, World, assert_within};
use crate::support::{Fault, Operator, await_resource, condition, eventually, scratch};

#[tokio::test(flavor = "multi_thread")]
async fn missing_credentials_are_reported_at_once_and_sets_begin_when_they_appear() {
    let world = World::new("identity").await;
    let credentials = scratch("aws").join("credentials");
    let operator = without_credentials(&world, &credentials).await;
    // The operator is ready all the same, because another pod would have the same problem.
    operator.wait_ready(SOON).await;

    let names = ["one", "two", "three"];
    let applied = Instant::now();
    for name in names {
        world.cognito.add_user(POOL, name);
        world.apply_secret(name, "password", "Passw0rd-1").await;
        world.apply_resource(name, |_| ()).await;
    }
    let written_after = applied.elapsed();
    for name in names {
        let waiting = world.wait(name, "False", "InvalidCredentials").await;
        assert_eq!(violations(&waiting), [""; 0], "{name}");
        assert_eq!(kstatus(&waiting), Kstatus::InProgress, "{name}");
        let status = &waiting.data["status"];
        assert_eq!(status["attempt"], json!(null), "{name}: nothing is open");
        assert_eq!(status["synced"], json!(null), "{name}");
        let message = condition(&waiting, "Ready").map(|ready| ready["message"].to_string());
        let message = message.unwrap_or_default();
        for words in [
            "no credentials found",
            "EKS Pod Identity",
            "IRSA",
            "ServiceAccount",
            "by itself",
        ] {
            assert!(message.contains(words), "{words}: {message}");
        }
    }
    assert_within(Duration::from_secs(15), applied.elapsed(), written_after);
    for name in names {
        wait_for_one_event(&world, name, "InvalidCredentials").await;
    }
    let logs = operator.logs();
    let said = logs
        .matches("no password can be set until the operator has some")
        .count();
    assert_eq!(said, 1, "once, not for each resource: {logs}");

    // An access key without its secret is no credential.
    std::fs::write(&credentials, "[default]\naws_access_key_id = AKIA\n").expect("a file");
    // Without credentials the operator makes no attempt and no call, and a request stays unanswered.
    let before = reconciles(&operator).await;
    world.apply_secret("one", "password", "Passw0rd-2").await;
    world.request("two", "now").await;
    eventually(SOON, async || match reconciles(&operator).await {
        count if count >= before + 2.0 => Ok(()),
        count => Err(format!("{before} reconciles, then {count}")),
    })
    .await;
    for name in names {
        let status = world.status(name).await;
        assert_eq!(status["attempt"], json!(null), "{name}: {status}");
        assert_eq!(status["lastHandledReconcileAt"], json!(null), "{status}");
    }
    assert_eq!(world.cognito.call_count(), 0);

    std::fs::write(&credentials, KEYS).expect("a file");
    for (name, value) in [
        ("one", "Passw0rd-2"),
        ("two", "Passw0rd-1"),
        ("three", "Passw0rd-1"),
    ] {
        let name = (&*world.namespace, name);
        let healed = await_resource(&world.client, name, SOON, "set", |resource| {
            let current = world.cognito.password_of(POOL, name.1);
            current.as_deref() == Some(value)
                && condition(resource, "Ready").is_some_and(|ready| ready["status"] == "True")
        })
        .await;
        assert_eq!(violations(&healed), [""; 0]);
        assert_eq!(kstatus(&healed), Kstatus::Current);
    }
    assert_eq!(world.status("two").await["lastHandledReconcileAt"], "now");
    let calls = world.cognito.calls();
    assert_eq!(calls.len(), 3, "{calls:#?}");
    assert!(
        calls
            .iter()
            .all(|call| call.access_key == "AKIAFROMTHEFILE"),
        "{calls:#?}"
    );
    assert!(operator.exit().is_none(), "the same process");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_is_retried_at_once_when_credentials_appear_and_then_with_backoff() {
    let world = World::new("identity-pace").await;
    let credentials = scratch("aws-pace").join("credentials");
    let operator = without_credentials(&world, &credentials).await;
    operator.wait_ready(SOON).await;
    world.cognito.add_user(POOL, "bot");
    world.apply_secret("bot", "password", "Passw0rd-1").await;
    world.apply_resource("bot", |_| ()).await;
    world.wait("bot", "False", "InvalidCredentials").await;

    let throttled = [Fault::throttled(), Fault::throttled()];
    world.cognito.next_for((POOL, "bot"), throttled);
    std::fs::write(&credentials, KEYS).expect("a file");
    world.wait("bot", "True", "PasswordSet").await;
    let calls = world.cognito.calls();
    assert_eq!(calls.len(), 3, "{calls:?}");
    for pair in calls.windows(2) {
        let pause = pair[1].arrived - pair[0].ended.expect("it was answered");
        assert!(pause >= Duration::from_secs(1), "no backoff: {pause:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_with_credentials_ignores_the_retry_time_from_before_it() {
    let world = World::new("identity-restart").await;
    world.cognito.add_user(POOL, "bot");
    world.apply_secret("bot", "password", "Passw0rd-1").await;
    world.apply_resource("bot", |_| ()).await;
    let operator = world.builder().no_credentials().start().await;
    world.wait("bot", "False", "InvalidCredentials").await;
    let ended = operator.terminate(SOON).await;
    assert!(ended.success(), "{ended:?}");

    // The state after a night without credentials.
    let later = jiff::Timestamp::now() + jiff::SignedDuration::from_mins(50);
    let failures =
        json!({ "status": { "failures": { "count": 9, "retryAt": later.to_string() } } });
    let patch = failures.to_string();
    let namespace = world.namespace.as_str();
    world.plane.kubectl(&[
        "patch",
        "cup",
        "bot",
        "-n",
        namespace,
        "--subresource=status",
        "--type=merge",
        "-p",
        &patch,
    ]);
    let _operator = world.operator().await;
    world.wait("bot", "True", "PasswordSet").await;
}

/// Starts an operator that has no identity until the file exists.
async fn without_credentials(world: &World<'_>, credentials: &Path) -> Operator {
    world
        .builder()
        .no_credentials()
        .env("AWS_SHARED_CREDENTIALS_FILE", credentials.to_string_lossy())
        .start()
        .await
}

const KEYS: &str =
    "[default]\naws_access_key_id = AKIAFROMTHEFILE\naws_secret_access_key = secret\n";

async fn reconciles(operator: &Operator) -> f64 {
    let name = "cognito_password_operator_reconciles_total";
    operator.metric(name, &[]).await
}
