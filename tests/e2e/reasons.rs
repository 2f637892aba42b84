//! Every answer of Cognito leads to a reason, and the reason's class decides the conditions and the next try.

mod table;

use std::time::Duration;

use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::json;

use super::closed_port::ClosedPort;
use super::events::{occurrences, wait_for_one_event};
use super::kstatus::{Kstatus, kstatus, violations};
use super::world::{POOL, SOON, World, assert_within};
use crate::support::{Fault, condition, describe, eventually, resources};
use table::{CASES, Case, Class};

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_of_cognito_has_its_reason_its_conditions_and_one_event() {
    let world = World::new("reasons").await;
    for case in CASES {
        world.cognito.add_user(case.pool(), case.name);
        world
            .cognito
            .always_for((case.pool(), case.name), (case.fault)());
        world
            .apply_secret(case.name, "password", "Passw0rd-1")
            .await;
        let pool = case.pool().into();
        world
            .apply_resource(case.name, |resource| resource["spec"]["userPoolId"] = pool)
            .await;
        let fresh = world.resource(case.name).await;
        assert_eq!(
            fresh.data["status"],
            json!({ "observedGeneration": -1 }),
            "nobody has looked at it yet"
        );
        assert_eq!(kstatus(&fresh), Kstatus::InProgress);
    }

    // Three cases are throttled all the time, which lowers the operator's rate. A tenth of this rate is
    // enough for the other cases.
    let builder = world.builder().arg("--cognito-rps=200");
    let operator = builder.start().await;
    operator.wait_ready(SOON).await;
    let mut wrong = Vec::new();
    for case in CASES {
        let resource = world.wait(case.name, case.ready(), case.reason).await;
        for what in case.contradictions(&resource) {
            let state = describe(&world.client, &world.namespace, case.name).await;
            wrong.push(format!("{}: {what}\n{state}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));

    // The operator retries some cases without a change, and has retried each of those by now.
    let by_themselves = || CASES.iter().filter(|case| case.tries_again());
    for case in by_themselves() {
        let what = format!("second call for {}", case.name);
        let again = |calls: &[_]| calls_of(calls, case.name) >= 2;
        world.cognito.wait_until(&what, SOON, again).await;
    }
    for case in CASES {
        let said = wait_for_one_event(&world, case.name, case.reason).await;
        assert!(
            said.contains(" (request id 00000000-0000-4000-8000-"),
            "the request id is in the event: {said}"
        );
    }
    world.fence().await;
    for case in CASES.iter().filter(|case| !case.tries_again()) {
        let calls = world.cognito.calls_for(case.pool(), case.name);
        assert_eq!(calls.len(), 1, "{}: {calls:#?}", case.name);
    }

    world.cognito.heal();
    for case in by_themselves().filter(|case| case.class != Class::Prompt) {
        let healed = world.wait(case.name, "True", "PasswordSet").await;
        assert_eq!(violations(&healed), [""; 0], "{}", case.name);
        assert_eq!(kstatus(&healed), Kstatus::Current);
        wait_for_one_event(&world, case.name, "PasswordSet").await;
        let log = world.cognito.password_log(case.pool(), case.name);
        assert_eq!(log.len(), 1, "{}: set once: {log:?}", case.name);
    }
    assert_eq!(world.cognito.max_in_flight_per_user(), 1);
}

/// A person's action that ends a wait.
#[derive(Clone, Copy, Debug)]
enum Act {
    Value,
    Request,
    Generation,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_or_waiting_resource_is_retried_by_a_change_or_request_and_not_by_a_restart() {
    let world = World::new("acts").await;
    let mut cases: Vec<(String, &Case, Act)> = Vec::new();
    for case in CASES.iter().filter(|case| !case.tries_again()) {
        for act in [Act::Value, Act::Request, Act::Generation] {
            // After UserNotFound the password may have been set, so another value would wait for 30 s.
            if case.reason != "UserNotFound" || matches!(act, Act::Request) {
                let name = format!("{}-{act:?}", case.name).to_lowercase();
                cases.push((name, case, act));
            }
        }
    }
    for (name, case, _) in &cases {
        world.cognito.add_user(POOL, name);
        world.cognito.always_for((POOL, name), (case.fault)());
        world.apply_secret(name, "password", "Passw0rd-1").await;
        world.apply_resource(name, |_| ()).await;
    }
    let operator = world.operator().await;
    for (name, case, _) in &cases {
        world.wait(name, case.ready(), case.reason).await;
        // A change that no set depends on.
        let label = json!({ "metadata": { "labels": { "seen": "yes" } } });
        world.patch_resource(name, label.clone()).await;
        let mut another_key = label;
        another_key["stringData"] = json!({ "another": "key of the Secret" });
        world.patch_secret(name, another_key).await;
    }
    world.fence().await;
    drop(operator);
    world.cognito.heal();
    let _operator = world.operator().await;
    world.fence().await;
    for (name, case, _) in &cases {
        let calls = world.cognito.calls_for(POOL, name);
        assert_eq!(calls.len(), 1, "{name}: {calls:#?}");
        world.wait(name, case.ready(), case.reason).await;
    }

    for (name, _, act) in &cases {
        match act {
            Act::Value => {
                world.apply_secret(name, "password", "Passw0rd-2").await;
            }
            Act::Request => world.request(name, "now").await,
            Act::Generation => {
                let change = json!({ "spec": { "permanent": false } });
                world.patch_resource(name, change).await;
            }
        }
    }
    for (name, _, act) in &cases {
        let healed = world.wait(name, "True", "PasswordSet").await;
        assert_eq!(violations(&healed), [""; 0], "{name}");
        assert_eq!(kstatus(&healed), Kstatus::Current, "{name}");
        let calls = world.cognito.calls_for(POOL, name);
        let [_, second] = &calls[..] else {
            panic!("{name}: once more, for what somebody did: {calls:#?}");
        };
        let changed = match act {
            Act::Value => second.password == "Passw0rd-2",
            Act::Request => healed.data["status"]["lastHandledReconcileAt"] == "now",
            Act::Generation => !second.permanent,
        };
        assert!(changed, "{name}: {second:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_identity_is_tried_again_within_seconds() {
    let world = World::new("refused").await;
    // A wrong clock, or a token that has just expired: the next call succeeds.
    let cases = CASES.iter().filter(|case| case.class == Class::Prompt);
    let cases: Vec<_> = cases.collect();
    for case in &cases {
        world.cognito.add_user(case.pool(), case.name);
        world
            .cognito
            .next_for((case.pool(), case.name), [(case.fault)()]);
        world
            .apply_secret(case.name, "password", "Passw0rd-1")
            .await;
        let pool = case.pool().into();
        world
            .apply_resource(case.name, |resource| resource["spec"]["userPoolId"] = pool)
            .await;
    }
    let _operator = world.operator().await;
    for case in &cases {
        world.wait(case.name, "True", "PasswordSet").await;
        wait_for_one_event(&world, case.name, case.reason).await;
    }
    let usual = world.usual().await;
    for case in &cases {
        let calls = world.cognito.calls_for(case.pool(), case.name);
        let [first, second] = &calls[..] else {
            panic!("{}: {calls:#?}", case.name);
        };
        let pause = second.arrived - first.arrived;
        assert_within(Duration::from_secs(45), pause, usual);
    }
    assert!(!cases.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_that_waits_five_minutes_is_stalled_and_recovers() {
    let world = World::new("overdue").await;
    world.cognito.add_pool(POOL);
    world.apply_secret("bot", "password", "Passw0rd-1").await;
    world.apply_resource("bot", |_| ()).await;
    let _operator = world.operator().await;
    let waiting = world.wait("bot", "False", "UserNotFound").await;
    assert_eq!(kstatus(&waiting), Kstatus::InProgress);

    // Five minutes pass.
    let mut conditions = waiting.data["status"]["conditions"].clone();
    for condition in conditions.as_array_mut().expect("a list") {
        condition["lastTransitionTime"] = json!("2026-01-01T00:00:00Z");
    }
    let since = json!({ "status": { "conditions": conditions } });
    resources(&world.client, &world.namespace)
        .patch_status("bot", &PatchParams::default(), &Patch::Merge(&since))
        .await
        .expect("the administrator may");
    world.request("bot", "later").await;
    let stalled = world
        .wait_for("bot", "Stalled=True", |resource| {
            condition(resource, "Stalled").is_some_and(|stalled| stalled["status"] == "True")
        })
        .await;
    assert_eq!(violations(&stalled), [""; 0]);
    assert_eq!(kstatus(&stalled), Kstatus::Failed);

    world.cognito.add_user(POOL, "bot");
    world.request("bot", "now").await;
    let healed = world.wait("bot", "True", "PasswordSet").await;
    assert_eq!(violations(&healed), [""; 0]);
    assert_eq!(kstatus(&healed), Kstatus::Current);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_connection_sends_nothing_and_leaves_no_attempt_open() {
    let world = World::new("unreachable").await;
    let closed_port = ClosedPort::reserve();
    world.cognito.add_user(POOL, "bot");
    world.apply_secret("bot", "password", "Passw0rd-1").await;
    world.apply_resource("bot", |_| ()).await;
    let builder = world
        .builder()
        .cognito(format!("http://{}", closed_port.address()));
    let operator = builder.start().await;
    operator.wait_ready(SOON).await;

    let away = world.wait("bot", "False", "Unreachable").await;
    assert_eq!(violations(&away), [""; 0]);
    assert_eq!(kstatus(&away), Kstatus::InProgress);
    let message = ready_message(&away);
    assert!(message.contains("Connection refused"), "{message}");
    assert!(message.contains(": check DNS, proxy, egress"), "{message}");
    // Another value need not wait.
    let another = "Passw0rd-2";
    world.apply_secret("bot", "password", another).await;
    let tried = || async {
        let labels = [("code", "NotSent")];
        let name = "cognito_password_operator_cognito_calls_total";
        operator.metric(name, &labels).await
    };
    eventually(SOON, async || match tried().await {
        count if count >= 2.0 => Ok(()),
        count => Err(format!("tried {count} times")),
    })
    .await;
    let away = world
        .wait_for("bot", "as before", |resource| {
            condition(resource, "Ready").is_some_and(|ready| ready["reason"] == "Unreachable")
        })
        .await;
    assert_eq!(away.data["status"]["synced"], json!(null));
    wait_for_one_event(&world, "bot", "Unreachable").await;

    closed_port.forward(&world.cognito.url());
    world.wait_set("bot", another).await;
    assert_eq!(world.cognito.call_count(), 1, "nothing else was ever sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_reason_is_an_event_and_a_repeated_one_is_counted() {
    let world = World::new("events").await;
    let _operator = world.operator().await;
    world.in_sync("bot", "Passw0rd-1").await;
    let refusal = || Fault::error("InvalidPasswordException", "Password not long enough");
    world.cognito.always_for((POOL, "bot"), refusal());
    world.apply_secret("bot", "password", "Passw0rd-2").await;
    world.wait("bot", "False", "InvalidPassword").await;
    // The same reason again.
    world.apply_secret("bot", "password", "Passw0rd-3").await;
    let three = |calls: &[_]| calls_of(calls, "bot") == 3;
    world.cognito.wait_until("third call", SOON, three).await;
    world.wait("bot", "False", "InvalidPassword").await;
    let message = wait_for_one_event(&world, "bot", "InvalidPassword").await;
    assert!(message.contains("Password not long enough"), "{message}");

    world.cognito.heal();
    world.request("bot", "now").await;
    world.wait_set("bot", "Passw0rd-3").await;
    // The Event counts each set.
    eventually(SOON, async || {
        let events = world.events("bot", "PasswordSet").await;
        match occurrences(&events) {
            2 => Ok(()),
            count => Err(format!("told {count} times: {events:#?}")),
        }
    })
    .await;
    let calls = world.cognito.calls_for(POOL, "bot");
    assert_eq!(calls.len(), 4, "{calls:#?}");
}

fn calls_of(calls: &[crate::support::Call], username: &str) -> usize {
    calls
        .iter()
        .filter(|call| call.username == username)
        .count()
}

fn ready_message(resource: &DynamicObject) -> &str {
    condition(resource, "Ready")
        .and_then(|ready| ready["message"].as_str())
        .unwrap_or_default()
}
