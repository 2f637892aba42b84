//! The operator sets a temporary password once. Afterwards the operator never overwrites a password that the
//! user has chosen, unless a person requests a set.

use std::time::Duration;

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::keys::forget_keys;
use crate::kstatus::{Kstatus, kstatus, violations};
use crate::support::{
    ApiFault, Call, Fault, Kind, Moment, Operator, Outcome, await_resource, condition, resources,
};
use crate::world::{POOL, SOON, World};

const TEMPORARY: &str = "Temporary-Passw0rd";
const OWN: &str = "My-Own-Passw0rd";
const NEXT: &str = "Next-Passw0rd";

/// The name, and the fault of the call.
type Case = (&'static str, fn() -> Fault);

/// Faults with a call that is applied and a reply that is lost.
const LOST: [Case; 3] = [
    ("dropped", || Fault::DropAfter),
    ("hanging", || Fault::HangAfter),
    ("500-after", Fault::internal_error_after),
];

/// Makes a user, a Secret, and a resource with a temporary password.
async fn apply(world: &World<'_>, name: &str) {
    world.apply_secret(name, "password", TEMPORARY).await;
    let temporary = |object: &mut Value| object["spec"]["permanent"] = json!(false);
    world.apply_resource(name, temporary).await;
}

/// The user signs in with the temporary password, and chooses another password.
fn choose(world: &World<'_>, name: &str) {
    assert_eq!(world.cognito.is_permanent(POOL, name), Some(false));
    world.cognito.change_password(POOL, name, OWN);
}

async fn touch(world: &World<'_>, name: &str) {
    let label = json!({ "metadata": { "labels": { "touched": "yes" } } });
    world.patch_secret(name, label).await;
}

async fn restart(world: &World<'_>, operator: Operator) -> Operator {
    assert!(operator.terminate(SOON).await.success());
    world.operator().await
}

/// Suspended and resumed: the generation moves twice.
async fn suspend_and_resume(world: &World<'_>, name: &str) {
    for suspend in [true, false] {
        let change = json!({ "spec": { "suspend": suspend } });
        world.patch_resource(name, change).await;
    }
}

/// Waits until the status says what happened, why the operator leaves the user alone, and what a person can
/// do.
async fn is_left_alone(world: &World<'_>, name: &str, happened: &str) {
    let stalled = world.wait(name, "False", "OutcomeUnknown").await;
    assert_eq!(violations(&stalled), [""; 0], "{name}");
    assert_eq!(kstatus(&stalled), Kstatus::Failed, "{name}");
    let ready = condition(&stalled, "Ready").map(|ready| ready["message"].to_string());
    let message = ready.unwrap_or_default();
    for part in [
        happened,
        "chosen a password of their own",
        "requestedAt",
        "new value",
    ] {
        assert!(message.contains(part), "{name}: not '{part}' in {message}");
    }
}

async fn wait_out_quarantine(world: &World<'_>, name: &str, password: &str) {
    let id = (&*world.namespace, name);
    let deadline = Duration::from_secs(30) + SOON;
    await_resource(&world.client, id, deadline, "set", |resource| {
        let current = world.cognito.password_of(POOL, name);
        let ready = &resource.data["status"]["conditions"][0];
        current.as_deref() == Some(password) && ready["status"] == "True"
    })
    .await;
}

async fn patch_status(world: &World<'_>, name: &str, change: &Value) {
    resources(&world.client, &world.namespace)
        .patch_status(name, &PatchParams::default(), &Patch::Merge(change))
        .await
        .expect("the administrator may");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_has_chosen_their_own_password_keeps_it_through_lost_replies_and_restarts() {
    let world = World::new("temporary-lost").await;
    let operator = world.operator().await;
    for (name, fault) in LOST {
        world.cognito.add_user(POOL, name);
        world.cognito.next_for((POOL, name), [fault()]);
        apply(&world, name).await;
    }
    world.cognito.add_user(POOL, "settled");
    apply(&world, "settled").await;
    world.wait_set("settled", TEMPORARY).await;
    for (name, _) in LOST {
        is_left_alone(&world, name, "got no usable reply").await;
    }
    let names = || LOST.map(|(name, _)| name).into_iter().chain(["settled"]);
    for name in names() {
        choose(&world, name);
    }

    let operator = restart(&world, operator).await;
    world.fence().await;
    let mark = world.mark();
    for name in names() {
        touch(&world, name).await;
    }
    world.fence().await;
    let operator = restart(&world, operator).await;
    world.fence().await;
    assert_eq!(world.status_writes(mark).len(), 0, "it is quiet");
    for name in names() {
        suspend_and_resume(&world, name).await;
    }
    let _operator = restart(&world, operator).await;
    world.fence().await;
    for name in names() {
        world.assert_calls(name, &[TEMPORARY]).await;
        assert_eq!(world.cognito.password_of(POOL, name).as_deref(), Some(OWN));
    }
    for (name, _) in LOST {
        is_left_alone(&world, name, "got no usable reply").await;
    }

    // A request or another value ends the wait.
    world.request("dropped", "now").await;
    world.wait_set("dropped", TEMPORARY).await;
    world.assert_calls("dropped", &[TEMPORARY, TEMPORARY]).await;
    world.request("settled", "now").await;
    world
        .wait_for("settled", "the request answered", |resource| {
            let status = &resource.data["status"];
            status["lastHandledReconcileAt"] == "now" && status["attempt"].is_null()
        })
        .await;
    world.assert_calls("settled", &[TEMPORARY, TEMPORARY]).await;
    world.apply_secret("500-after", "password", NEXT).await;
    wait_out_quarantine(&world, "500-after", NEXT).await;
    world.assert_calls("500-after", &[TEMPORARY, NEXT]).await;
    assert_eq!(world.cognito.is_permanent(POOL, "500-after"), Some(false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_temporary_password_is_not_sent_again_after_a_kill_during_its_call() {
    let world = World::new("temporary-killed").await;
    world.cognito.add_user(POOL, "bot");
    world.cognito.next_for((POOL, "bot"), [Fault::HangAfter]);
    let operator = world.operator().await;
    apply(&world, "bot").await;
    let hangs = |calls: &[Call]| {
        let in_flight = |call: &Call| matches!(call.outcome, Outcome::InFlight { applied: true });
        calls.iter().any(in_flight)
    };
    world
        .cognito
        .wait_until("a hanging call", SOON, hangs)
        .await;
    operator.kill();
    choose(&world, "bot");

    let operator = world.operator().await;
    is_left_alone(&world, "bot", "stopped before Cognito replied").await;
    touch(&world, "bot").await;
    world.fence().await;
    let _operator = restart(&world, operator).await;
    world.fence().await;
    world.assert_calls("bot", &[TEMPORARY]).await;
    assert_eq!(world.cognito.password_of(POOL, "bot").as_deref(), Some(OWN));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_created_after_the_resource_gets_the_temporary_password() {
    let world = World::new("temporary-early").await;
    world.cognito.add_pool(POOL);
    let operator = world.operator().await;
    apply(&world, "bot").await;
    let waits = world.wait("bot", "False", "UserNotFound").await;
    assert_eq!(waits.data["status"]["attempt"]["outcome"], "UserNotFound");
    world.cognito.add_user(POOL, "bot");
    // The retry becomes due, without a request and without another value.
    let due = json!({ "status": { "failures": { "retryAt": "2020-01-01T00:00:00.000000Z" } } });
    let _operator = {
        assert!(operator.terminate(SOON).await.success());
        patch_status(&world, "bot", &due).await;
        world.operator().await
    };
    world.wait_set("bot", TEMPORARY).await;
    world.assert_calls("bot", &[TEMPORARY, TEMPORARY]).await;
    assert_eq!(world.cognito.is_permanent(POOL, "bot"), Some(false));
}

#[tokio::test]
async fn a_lost_key_and_a_touched_secret_set_nothing_again() {
    let (world, _turn) = World::alone("temporary-key").await;
    forget_keys(&world).await;
    let operator = world.operator().await;
    for name in ["same", "moved"] {
        world.cognito.add_user(POOL, name);
        apply(&world, name).await;
        world.wait_set(name, TEMPORARY).await;
        choose(&world, name);
    }
    assert!(operator.terminate(SOON).await.success());
    forget_keys(&world).await;
    touch(&world, "moved").await;

    let operator = world.operator().await;
    is_left_alone(&world, "moved", "fingerprint key is gone").await;
    let operator = restart(&world, operator).await;
    world.fence().await;
    let same = world.status("same").await;
    assert_eq!(same["conditions"][0]["reason"], "PasswordSet", "{same}");
    for name in ["same", "moved"] {
        world.assert_calls(name, &[TEMPORARY]).await;
        assert_eq!(world.cognito.password_of(POOL, name).as_deref(), Some(OWN));
    }

    // From now on, the operator can tell another value from the present one.
    world.apply_secret("moved", "password", NEXT).await;
    wait_out_quarantine(&world, "moved", NEXT).await;
    world.assert_calls("moved", &[TEMPORARY, NEXT]).await;
    drop(operator);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_written_without_an_acknowledgement_is_withdrawn_before_its_watch_event() {
    let world = World::new("temporary-unacknowledged").await;
    world.cognito.add_user(POOL, "bot");
    let (proxy, kubeconfig) = world.proxy();
    let operator = world.builder().kubeconfig(&kubeconfig).start().await;
    operator.wait_ready(SOON).await;

    proxy.next(Kind::Attempt, ApiFault::DropAfter);
    let mut attempt = proxy.hold(Kind::Attempt, Moment::Before);
    apply(&world, "bot").await;
    let held = attempt.caught().await;
    for _watched in ["resources", "Secrets"] {
        proxy.next(Kind::Watch, ApiFault::Delay(Duration::from_secs(30)));
    }
    proxy.cut_watches();
    held.let_go();

    // The operator knows that the attempt was never sent, so the outcome is not in doubt.
    world.wait_set("bot", TEMPORARY).await;
    world.assert_calls("bot", &[TEMPORARY]).await;
}
