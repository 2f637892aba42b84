//! Events in the life of a resource, its Secret and its namespace at the worst moment: while a call is in
//! flight, while a retry is pending, and while no operator runs.

use std::time::{Duration, SystemTime};

use futures::future::join_all;
use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

use super::kstatus::{Kstatus, kstatus, violations};
use super::world::{Hung, POOL, SOON, World, line, since, while_call_hangs};
use crate::support::{
    Call, Fault, Operator, Outcome, await_resource, condition, eventually, resources,
};

const FIRST: &str = "First-Passw0rd";
const SECOND: &str = "Second-Passw0rd";
const THIRD: &str = "Third-Passw0rd";

/// Sets `SECOND` for a user who has `FIRST`. Returns when the call is under way with this fault.
async fn call_under_way(world: &World<'_>, name: &str, fault: Fault) {
    world.in_sync(name, FIRST).await;
    world.cognito.next_for((POOL, name), [fault]);
    world.apply_secret(name, "password", SECOND).await;
    let in_flight = |calls: &[Call]| {
        calls
            .iter()
            .any(|call| call.username == name && matches!(call.outcome, Outcome::InFlight { .. }))
    };
    world
        .cognito
        .wait_until("call under way", SOON, in_flight)
        .await;
}

/// All passwords of the user so far, in order.
fn passwords(world: &World<'_>, username: &str) -> Vec<String> {
    let log = world.cognito.password_log(POOL, username);
    log.into_iter().map(|(_, password)| password).collect()
}

fn suspend(suspend: bool) -> Value {
    json!({ "spec": { "suspend": suspend } })
}

async fn answered(world: &World<'_>, name: &str, at: &str) {
    world
        .wait_for(name, "the request answered", |resource| {
            let status = &resource.data["status"];
            status["lastHandledReconcileAt"] == at && status["attempt"].is_null()
        })
        .await;
}

async fn assert_no_panic(operator: &Operator) {
    let reconciles = "cognito_password_operator_reconciles_total";
    let panics = operator.metric(reconciles, &[("result", "panic")]).await;
    assert_eq!(panics.to_string(), "0", "{}", operator.logs());
    assert!(!operator.logs().contains("panicked"), "{}", operator.logs());
}

/// Writes a status as another writer, so that time seems to pass.
async fn patch_status(world: &World<'_>, name: &str, status: Value) {
    let status = json!({ "status": status });
    resources(&world.client, &world.namespace)
        .patch_status(name, &PatchParams::default(), &Patch::Merge(&status))
        .await
        .unwrap_or_else(|error| panic!("could not patch the status of {name}: {error}"));
}

/// The time in so many seconds, in the format of a status.
fn from_now(seconds: i64) -> String {
    let now = jiff::Timestamp::try_from(SystemTime::now()).expect("a time");
    let then = now + jiff::SignedDuration::from_secs(seconds);
    format!("{then:.6}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_made_while_no_operator_ran_is_answered_once() {
    let world = World::new("request-down").await;
    let operator = world.operator().await;
    world.in_sync("bot", FIRST).await;
    assert!(operator.terminate(SOON).await.success());
    world.request("bot", "while-down").await;

    let operator = world.operator().await;
    answered(&world, "bot", "while-down").await;
    world.assert_calls("bot", &[FIRST, FIRST]).await;
    assert!(operator.terminate(SOON).await.success());
    let _operator = world.operator().await;
    world.fence().await;
    world.assert_calls("bot", &[FIRST, FIRST]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_during_a_set_is_answered_by_another_set() {
    let world = World::new("request-during").await;
    let _operator = world.operator().await;
    while_call_hangs(async |bot| {
        call_under_way(&world, bot, Fault::HangBefore).await;
        world.request(bot, "during").await;
        world.request(bot, "during").await;
        if world.release_second_call(bot).await == Hung::TooShort {
            return Hung::TooShort;
        }
        answered(&world, bot, "during").await;
        world.request(bot, "during").await;
        world.fence().await;
        world.assert_calls(bot, &[FIRST, SECOND, SECOND]).await;
        Hung::LongEnough
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_last_value_rotated_while_no_operator_ran_is_set_at_the_start() {
    let world = World::new("rotated-down").await;
    let operator = world.operator().await;
    for name in ["changed", "made-anew"] {
        world.in_sync(name, FIRST).await;
    }
    assert!(operator.terminate(SOON).await.success());
    world.delete_secret("made-anew").await;
    for name in ["changed", "made-anew"] {
        for password in [SECOND, THIRD] {
            world.apply_secret(name, "password", password).await;
        }
    }
    let _operator = world.operator().await;
    for name in ["changed", "made-anew"] {
        world.wait_set(name, THIRD).await;
        world.assert_calls(name, &[FIRST, THIRD]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_suspended_during_a_call_records_the_outcome_and_makes_no_other_call() {
    let world = World::new("suspend-during").await;
    let _operator = world.operator().await;
    while_call_hangs(async |bot| {
        call_under_way(&world, bot, Fault::HangBefore).await;
        let before = world.status(bot).await["synced"].clone();
        world.patch_resource(bot, suspend(true)).await;
        world.apply_secret(bot, "password", THIRD).await;
        if world.release_second_call(bot).await == Hung::TooShort {
            return Hung::TooShort;
        }
        let recorded = world
            .wait_for(bot, "recorded", |resource| {
                resource.data["status"]["attempt"].is_null()
            })
            .await;
        assert_ne!(recorded.data["status"]["synced"], before);
        world.fence().await;
        world.assert_calls(bot, &[FIRST, SECOND]).await;

        world.patch_resource(bot, suspend(false)).await;
        world.wait_set(bot, THIRD).await;
        world.assert_calls(bot, &[FIRST, SECOND, THIRD]).await;
        Hung::LongEnough
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_suspended_while_it_waits_is_retried_only_when_resumed_and_then_at_once() {
    let world = World::new("suspend-waiting").await;
    let _operator = world.operator().await;
    world.in_sync("bot", FIRST).await;
    world.cognito.always_for((POOL, "bot"), Fault::throttled());
    world.apply_secret("bot", "password", SECOND).await;
    world.wait("bot", "False", "TooManyRequests").await;
    let suspended = world.patch_resource("bot", suspend(true)).await;
    world.fence().await;
    let calls = world.cognito.calls_for(POOL, "bot").len();
    let retry_at = &world.status("bot").await["failures"]["retryAt"];
    let retry_at: jiff::Timestamp = retry_at
        .as_str()
        .and_then(|time| time.parse().ok())
        .unwrap_or_else(|| panic!("no time: {:#}", suspended.data));
    eventually(SOON, async || {
        let now = jiff::Timestamp::try_from(SystemTime::now()).expect("a time");
        (now > retry_at).then_some(()).ok_or("not due".to_owned())
    })
    .await;
    world.fence().await;
    assert_eq!(world.cognito.calls_for(POOL, "bot").len(), calls);

    // The next retry is minutes away.
    let later = json!({ "failures": { "count": 20, "retryAt": from_now(200) } });
    patch_status(&world, "bot", later).await;
    world.cognito.heal();
    world.patch_resource("bot", suspend(false)).await;
    world.wait_set("bot", SECOND).await;
    assert_eq!(world.cognito.calls_for(POOL, "bot").len(), calls + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_deleted_during_its_call_is_gone_at_once_and_nothing_is_written() {
    let world = World::new("delete-during").await;
    let operator = world.operator().await;
    // One call is answered after the deletion, the other call never.
    let api = resources(&world.client, &world.namespace);
    let mut marks = Vec::new();
    let deleted = async |name: &str| {
        world.delete_resource(name).await;
        let mark = world.mark();
        let left = api.get_opt(name).await.expect("it can be asked for");
        assert!(left.is_none(), "nothing holds it: {left:#?}");
        (name.to_owned(), mark)
    };
    while_call_hangs(async |answered| {
        call_under_way(&world, answered, Fault::HangBefore).await;
        let mark = deleted(answered).await;
        let hung = world.release_second_call(answered).await;
        if hung == Hung::LongEnough {
            marks.push(mark);
        }
        hung
    })
    .await;
    call_under_way(&world, "lost", Fault::HangAfter).await;
    marks.push(deleted("lost").await);
    let given_up = |calls: &[Call]| {
        let mut calls = calls.iter().filter(|call| call.username == "lost");
        calls.nth(1).is_some_and(|call| call.abandoned)
    };
    world
        .cognito
        .wait_until("call given up", SOON, given_up)
        .await;
    world.fence().await;
    for (name, mark) in marks {
        assert_eq!(passwords(&world, &name), [FIRST, SECOND]);
        assert_eq!(world.cognito.calls_for(POOL, &name).len(), 2);
        assert!(api.get_opt(&name).await.expect("asked").is_none());
        let writes: Vec<_> = world
            .status_writes(mark)
            .into_iter()
            .filter(|write| line(write).ends_with(&name))
            .collect();
        let in_vain = |write: &Value| write["responseStatus"]["code"] == 404;
        assert!(
            writes.len() <= 1 && writes.iter().all(in_vain),
            "{writes:#?}"
        );
    }
    assert_no_panic(&operator).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_deleted_during_a_call_is_reported_after_the_outcome_is_recorded() {
    let world = World::new("secret-during").await;
    let operator = world.operator().await;
    while_call_hangs(async |bot| {
        call_under_way(&world, bot, Fault::HangBefore).await;
        let before = world.status(bot).await["synced"].clone();
        world.delete_secret(bot).await;
        if world.release_second_call(bot).await == Hung::TooShort {
            return Hung::TooShort;
        }
        let missed = world.wait(bot, "False", "SecretNotFound").await;
        let status = &missed.data["status"];
        assert_eq!(status["attempt"], json!(null), "{status:#}");
        assert_ne!(status["synced"], before, "{status:#}");
        // The value that was set last returns: nothing to do.
        world.apply_secret(bot, "password", SECOND).await;
        world.wait_set(bot, SECOND).await;
        world.assert_calls(bot, &[FIRST, SECOND]).await;
        Hung::LongEnough
    })
    .await;
    assert_no_panic(&operator).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_recreated_during_a_call_gets_its_own_value_and_no_former_record() {
    let world = World::new("anew-during").await;
    let operator = world.operator().await;
    while_call_hangs(async |bot| {
        call_under_way(&world, bot, Fault::HangBefore).await;
        world.delete_resource(bot).await;
        world.apply_secret(bot, "password", THIRD).await;
        world.apply_resource(bot, |_| ()).await;
        let mark = world.mark();
        world.fence().await;
        if world.release_second_call(bot).await == Hung::TooShort {
            return Hung::TooShort;
        }
        let set = world.wait_set(bot, THIRD).await;
        world.fence().await;
        world.assert_calls(bot, &[FIRST, SECOND, THIRD]).await;
        assert_eq!(passwords(&world, bot), [FIRST, SECOND, THIRD]);
        assert_eq!(world.cognito.max_in_flight_per_user(), 1);
        assert_eq!(set.data["status"]["retired"], json!(null));
        let writes = world.status_writes(mark);
        let written: Vec<_> = writes
            .iter()
            .filter(|write| line(write).ends_with(&format!(" {bot}")))
            .filter(|write| write["responseStatus"]["code"] == 200)
            .collect();
        assert!(!written.is_empty());
        for write in written {
            let synced = write.pointer("/responseObject/status/synced");
            let its_own = synced.is_none_or(|synced| *synced == set.data["status"]["synced"]);
            assert!(its_own, "{write:#}");
        }
        Hung::LongEnough
    })
    .await;
    assert_no_panic(&operator).await;
}

/// Takes longer than the quarantine. Both resources wait for the quarantine at the same time.
#[tokio::test(flavor = "multi_thread")]
async fn a_value_changed_during_a_call_that_gets_lost_is_set_after_the_quarantine() {
    let world = World::new("lost-during").await;
    let _operator = world.operator().await;
    let names = ["changed", "made-anew"];
    let mut began = Vec::new();
    for name in names {
        let late = Fault::LandLate(Duration::from_secs(12));
        call_under_way(&world, name, late).await;
        began.push(world.attempt_since(name).await);
        if name == "made-anew" {
            world.delete_resource(name).await;
        }
        world.apply_secret(name, "password", THIRD).await;
        world.apply_resource(name, |_| ()).await;
    }
    for name in names {
        world.wait(name, "Unknown", "Progressing").await;
    }
    for (name, began) in names.into_iter().zip(began) {
        let id = (&*world.namespace, name);
        let deadline = Duration::from_secs(30) + SOON;
        await_resource(&world.client, id, deadline, "set", |resource| {
            condition(resource, "Ready").is_some_and(|ready| ready["status"] == "True")
        })
        .await;
        let calls = world.cognito.calls_for(POOL, name);
        let [_, lost, next] = &calls[..] else {
            panic!("{name}: three calls: {calls:#?}");
        };
        assert_eq!(lost.outcome, Outcome::Lost { applied: true }, "it landed");
        let waited = since(began, next.arrived);
        assert!(waited >= Duration::from_secs(30), "{name}: {waited:?}");
        assert_eq!(passwords(&world, name), [FIRST, SECOND, THIRD], "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_stalled_or_waiting_resources_cause_no_burst_at_a_restart() {
    type Case = (&'static str, &'static str, fn() -> Fault);
    const EACH: usize = 34;
    const CASES: [Case; 3] = [
        ("weak", "InvalidPassword", || {
            Fault::error("InvalidPasswordException", "Password not long enough")
        }),
        ("denied", "AccessDenied", Fault::access_denied),
        ("missing", "SecretNotFound", || Fault::None),
    ];
    let world = World::new("hundred").await;
    let names = |case: &Case| -> Vec<String> {
        (0..EACH)
            .map(|number| format!("{}-{number}", case.0))
            .collect()
    };
    for case in &CASES {
        join_all(names(case).iter().map(async |name| {
            world.cognito.add_user(POOL, name);
            world.cognito.always_for((POOL, name), (case.2)());
            if case.0 != "missing" {
                world.apply_secret(name, "password", FIRST).await;
            }
            world.apply_resource(name, |_| ()).await;
        }))
        .await;
    }
    let operator = world.operator().await;
    for case in &CASES {
        for name in names(case) {
            world.wait(&name, "False", case.1).await;
        }
    }
    world.fence().await;
    assert!(operator.terminate(SOON).await.success());
    let calls = || {
        let calls = world.cognito.calls();
        calls.iter().filter(|call| call.password == FIRST).count()
    };
    assert_eq!(calls(), 2 * EACH);

    let mark = world.mark();
    let operator = world.operator().await;
    world.fence().await;
    let traffic: Vec<_> = world
        .traffic(mark)
        .into_iter()
        .filter(|line| !line.starts_with("list ") && !line.contains("fingerprint"))
        .collect();
    assert_eq!(traffic, [""; 0], "neither read nor written");
    assert_eq!(calls(), 2 * EACH);
    // The operator knows all resources.
    for case in &CASES {
        let known = "cognito_password_operator_resources";
        let known = operator.metric(known, &[("reason", case.1)]).await;
        assert!(known >= 34.0, "{}: {known}", case.1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_that_waits_five_minutes_is_reported_stalled_and_still_retried() {
    let world = World::new("recheck").await;
    let _operator = world.operator().await;
    world.cognito.add_user(POOL, "bot");
    world
        .cognito
        .always_for((POOL, "bot"), Fault::access_denied());
    world.apply_secret("bot", "password", FIRST).await;
    world.apply_resource("bot", |_| ()).await;
    let waiting = world.wait("bot", "False", "AccessDenied").await;
    assert_eq!(kstatus(&waiting), Kstatus::InProgress);
    world.fence().await;
    world.assert_calls("bot", &[FIRST]).await;

    let mut conditions = waiting.data["status"]["conditions"].clone();
    for condition in conditions.as_array_mut().expect("a list") {
        condition["lastTransitionTime"] = json!("2026-01-01T00:00:00Z");
    }
    let due = |count: u32| json!({ "count": count, "retryAt": from_now(2) });
    let passed = json!({ "conditions": conditions, "failures": due(1) });
    patch_status(&world, "bot", passed).await;
    let failures = |resource: &DynamicObject| resource.data["status"]["failures"]["count"].as_u64();
    let stalled = world
        .wait_for("bot", "tried again", |it| failures(it) == Some(2))
        .await;
    assert_eq!(kstatus(&stalled), Kstatus::Failed);
    assert_eq!(violations(&stalled), [""; 0]);
    world.assert_calls("bot", &[FIRST, FIRST]).await;

    world.cognito.heal();
    patch_status(&world, "bot", json!({ "failures": due(2) })).await;
    let healed = world.wait_set("bot", FIRST).await;
    assert_eq!(violations(&healed), [""; 0]);
    world.assert_calls("bot", &[FIRST, FIRST, FIRST]).await;
}
