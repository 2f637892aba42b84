//! A reply that gets lost, in any way, while the pool has a password history. The operator sends the same
//! value again, tells its own earlier set from a refused value, and sends no other value while the lost call
//! may still land.

use std::time::Duration;

use serde_json::{Value, json};

use super::events::wait_for_one_event;
use super::kstatus::{Kstatus, kstatus, violations};
use super::world::{Hung, POOL, SOON, World, assert_within, since, while_call_hangs};
use crate::support::{Call, Failure, Fault, Outcome, await_resource, condition};

const FIRST: &str = "First-Passw0rd";
const SECOND: &str = "Second-Passw0rd";

/// How long another value waits after a call without a reply.
const QUARANTINE: Duration = Duration::from_secs(30);

/// The name, the fault of the first call, and the reason in the status until the second call.
type Case = (&'static str, fn() -> Fault, &'static str);

const APPLIED: [Case; 7] = [
    ("drop-after", || Fault::DropAfter, "OutcomeUnknown"),
    ("hang-after", || Fault::HangAfter, "OutcomeUnknown"),
    ("500-after", Fault::internal_error_after, "InternalError"),
    ("200-html-after", || garbage(200, true), "OutcomeUnknown"),
    ("502-html-after", || garbage(502, true), "UnhandledError"),
    (
        "half-a-reply-after",
        || Fault::Truncated { applied: true },
        "OutcomeUnknown",
    ),
    // The call lands after the client has gone, and before the next call.
    ("late", || Fault::LandLate(Duration::ZERO), "OutcomeUnknown"),
];

const NOT_APPLIED: [Case; 5] = [
    ("drop-before", || Fault::DropBefore, "OutcomeUnknown"),
    ("hang-before", || Fault::HangBefore, "OutcomeUnknown"),
    ("500-before", Fault::internal_error, "InternalError"),
    (
        "unknown-before",
        || Fault::Error(Failure::new(503, "TeapotException", "I can't brew coffee.")),
        "UnhandledError",
    ),
    ("200-html-before", || garbage(200, false), "OutcomeUnknown"),
];

fn garbage(status: u16, applied: bool) -> Fault {
    Fault::Garbage { status, applied }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_reply_is_settled_by_sending_the_same_value_again() {
    let world = World::new("lost").await;
    world.cognito.set_history(5);
    let _operator = world.operator().await;
    for (name, ..) in APPLIED.iter().chain(&NOT_APPLIED) {
        world.in_sync(name, FIRST).await;
    }
    for (name, fault, _) in APPLIED.iter().chain(&NOT_APPLIED) {
        world.cognito.next_for((POOL, name), [fault()]);
        world.apply_secret(name, "password", SECOND).await;
    }
    for (name, _, meanwhile) in APPLIED.iter().chain(&NOT_APPLIED) {
        // The condition may have come and gone. The Event stays.
        wait_for_one_event(&world, name, meanwhile).await;
    }
    for (cases, reason) in [
        (&APPLIED[..], "AppliedAfterLostReply"),
        (&NOT_APPLIED[..], "PasswordSet"),
    ] {
        for (name, ..) in cases {
            let settled = world.wait(name, "True", reason).await;
            assert_eq!(violations(&settled), [""; 0], "{name}");
            assert_eq!(kstatus(&settled), Kstatus::Current, "{name}");
            assert!(settled.data["status"]["attempt"].is_null(), "{name}");
            assert_eq!(passwords(&world, name), [FIRST, SECOND], "{name}");
            let calls = world.cognito.calls_for(POOL, name);
            let sent: Vec<_> = calls.iter().map(|call| &*call.password).collect();
            assert_eq!(sent, [FIRST, SECOND, SECOND], "{name}: {calls:#?}");
        }
    }
    assert_eq!(world.cognito.max_in_flight_per_user(), 1);

    // Nothing is pending in a settled resource: the next value causes one plain set.
    world.fence_events().await;
    for (name, ..) in APPLIED.iter().chain(&NOT_APPLIED) {
        no_false_refusal(&world, name).await;
    }
    for (name, ..) in APPLIED.iter().chain(&NOT_APPLIED) {
        world.apply_secret(name, "password", "Third-Passw0rd").await;
        world.wait_set(name, "Third-Passw0rd").await;
        assert_eq!(world.cognito.calls_for(POOL, name).len(), 4, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_set_of_all_can_lose_its_reply_too() {
    let world = World::new("lost-first").await;
    world.cognito.set_history(5);
    world.cognito.add_user(POOL, "bot");
    world.cognito.next([Fault::DropAfter]);
    world.apply_secret("bot", "password", FIRST).await;
    world.apply_resource("bot", |_| ()).await;
    let _operator = world.operator().await;
    let settled = world.wait("bot", "True", "AppliedAfterLostReply").await;
    let message = condition(&settled, "Ready").map(|ready| ready["message"].clone());
    let message = message.unwrap_or_default().to_string();
    assert!(message.contains("infers"), "{message}");
    assert_eq!(passwords(&world, "bot"), [FIRST]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_user_has_one_call_at_a_time_whatever_happens_meanwhile() {
    let world = World::new("one-call").await;
    let _operator = world.operator().await;
    while_call_hangs(async |bot| {
        world.in_sync(bot, FIRST).await;
        world.cognito.next_for((POOL, bot), [Fault::HangBefore]);
        world.apply_secret(bot, "password", SECOND).await;
        let second = |calls: &[Call]| calls.iter().filter(|call| call.username == bot).count() == 2;
        world.cognito.wait_until("second call", SOON, second).await;
        // All these changes come while the call hangs.
        world.apply_secret(bot, "password", "Third-Passw0rd").await;
        world.request(bot, "now").await;
        let change = json!({ "spec": { "permanent": false } });
        world.patch_resource(bot, change).await;
        world.fence().await;
        let calls = world.cognito.calls_for(POOL, bot);
        assert_eq!(world.cognito.max_in_flight_per_user(), 1);
        if world.release_second_call(bot).await == Hung::TooShort {
            return Hung::TooShort;
        }
        assert_eq!(calls.len(), 2, "it hung still: {calls:#?}");
        world.wait_set(bot, "Third-Passw0rd").await;
        assert_eq!(world.cognito.is_permanent(POOL, bot), Some(false));
        assert_eq!(
            passwords(&world, bot),
            [FIRST, SECOND, "Third-Passw0rd"],
            "the call in flight was finished, then the newest value was set"
        );
        assert_eq!(world.cognito.max_in_flight_per_user(), 1);
        Hung::LongEnough
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_while_a_call_hangs_the_next_process_settles_it() {
    let world = World::new("killed").await;
    world.cognito.set_history(5);
    let operator = world.operator().await;
    let cases = [
        ("applied", Fault::HangAfter, "AppliedAfterLostReply"),
        ("not-applied", Fault::HangBefore, "PasswordSet"),
    ];
    for (name, ..) in &cases {
        world.in_sync(name, FIRST).await;
    }
    for (name, fault, _) in &cases {
        world.cognito.next_for((POOL, name), [fault.clone()]);
        world.apply_secret(name, "password", SECOND).await;
    }
    let hang = |calls: &[Call]| {
        let in_flight = |call: &&Call| matches!(call.outcome, Outcome::InFlight { .. });
        calls.iter().filter(in_flight).count() == cases.len()
    };
    world.cognito.wait_until("hanging calls", SOON, hang).await;
    operator.kill();
    for (name, ..) in &cases {
        let status = world.status(name).await;
        assert_eq!(status["attempt"]["outcome"], "Pending", "{name}: {status}");
        assert_eq!(status["conditions"][0]["status"], "Unknown", "{status}");
    }

    let _operator = world.operator().await;
    for (name, _, reason) in &cases {
        let settled = world.wait(name, "True", reason).await;
        assert_eq!(violations(&settled), [""; 0], "{name}");
        assert_eq!(passwords(&world, name), [FIRST, SECOND], "{name}");
        let calls = world.cognito.calls_for(POOL, name);
        assert_eq!(calls.len(), 3, "{name}: {calls:#?}");
    }
    world.fence_events().await;
    for (name, ..) in &cases {
        no_false_refusal(&world, name).await;
    }
    assert_eq!(world.cognito.max_in_flight_per_user(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_was_really_used_before_is_refused_until_there_is_a_new_one() {
    let world = World::new("history").await;
    world.cognito.set_history(5);
    let _operator = world.operator().await;
    world.in_sync("bot", FIRST).await;
    world.apply_secret("bot", "password", SECOND).await;
    world.wait_set("bot", SECOND).await;

    world.apply_secret("bot", "password", FIRST).await;
    let refused = "PasswordHistoryPolicyViolation";
    let stalled = world.wait("bot", "False", refused).await;
    assert_eq!(violations(&stalled), [""; 0]);
    assert_eq!(kstatus(&stalled), Kstatus::Failed);
    world.fence().await;
    assert_eq!(world.cognito.calls_for(POOL, "bot").len(), 3, "sent once");
    assert_eq!(passwords(&world, "bot"), [FIRST, SECOND]);

    // The Secret gets the value that is set: nothing to send.
    world.apply_secret("bot", "password", SECOND).await;
    world.wait_set("bot", SECOND).await;
    assert_eq!(
        world.cognito.calls_for(POOL, "bot").len(),
        3,
        "known to be set"
    );
    world
        .apply_secret("bot", "password", "Third-Passw0rd")
        .await;
    world.wait_set("bot", "Third-Passw0rd").await;

    // The resource is made anew and has no record of a set, so the refusal may mean the current password.
    world.delete_resource("bot").await;
    world.apply_resource("bot", |_| ()).await;
    let stalled = world.wait("bot", "False", refused).await;
    let message = condition(&stalled, "Ready").map(|ready| ready["message"].to_string());
    let message = message.unwrap_or_default();
    assert!(
        message.contains("has this password already, or"),
        "{message}"
    );
}

/// Takes longer than the quarantine, so one test checks everything that the end of a quarantine shows.
#[tokio::test(flavor = "multi_thread")]
async fn another_value_waits_until_a_lost_call_can_no_longer_land() {
    let world = World::new("quarantine").await;
    // The history has only the current password.
    world.cognito.set_history(1);
    let _operator = world.operator().await;
    for name in ["late", "aliased", "reused"] {
        world.in_sync(name, FIRST).await;
    }
    let usual = world.usual().await;
    // `reused`: an earlier value returns, and its reply is lost. Cognito's answer to the second call then has
    // two possible meanings.
    world.apply_secret("reused", "password", SECOND).await;
    world.wait_set("reused", SECOND).await;
    world.cognito.next_for((POOL, "reused"), [Fault::DropAfter]);
    world.apply_secret("reused", "password", FIRST).await;
    // `late`: a call that lands long after the operator has given up the call.
    let late = Fault::LandLate(Duration::from_secs(20));
    world.cognito.next_for((POOL, "late"), [late]);
    world.apply_secret("late", "password", SECOND).await;
    // `aliased`: Cognito has been seen to answer UserNotFoundException although the password changed.
    let not_found = Fault::error("UserNotFoundException", "User does not exist.");
    world.cognito.next_for((POOL, "aliased"), [not_found]);
    world.apply_secret("aliased", "password", SECOND).await;

    let doubtful = world
        .wait_for("reused", "doubtful", |resource| {
            let ready = condition(resource, "Ready").map(|ready| ready["message"].to_string());
            ready.is_some_and(|message| message.contains("put a new value into the Secret"))
        })
        .await;
    assert_eq!(ready(&doubtful.data), ("False", "OutcomeUnknown"));
    world.wait("aliased", "False", "UserNotFound").await;
    let sent = |calls: &[Call]| {
        let late = |call: &&Call| call.username == "late" && call.password == SECOND;
        calls.iter().filter(late).count() == 1
    };
    world.cognito.wait_until("late call", SOON, sent).await;

    let other = "Other-Passw0rd";
    let mut began = Vec::new();
    for name in ["late", "aliased", "reused"] {
        world.apply_secret(name, "password", other).await;
        began.push((name, world.attempt_since(name).await));
    }
    world.wait("late", "Unknown", "OutcomeUnknown").await;
    world.request("aliased", "now").await;
    world.fence().await;
    for (name, started) in began {
        let deadline = QUARANTINE + SOON;
        let id = (&*world.namespace, name);
        await_resource(&world.client, id, deadline, "set", |resource| {
            let current = world.cognito.password_of(POOL, name);
            current.as_deref() == Some(other) && ready(&resource.data).0 == "True"
        })
        .await;
        let calls = world.cognito.calls_for(POOL, name);
        let others: Vec<_> = calls.iter().filter(|it| it.password == other).collect();
        let [call] = &others[..] else {
            panic!("{name}: sent once: {calls:#?}");
        };
        let waited = since(started, call.arrived);
        assert!(
            waited >= QUARANTINE,
            "{name}: sent {waited:?} after the lost call: {calls:#?}"
        );
        assert_within(QUARANTINE + Duration::from_secs(15), waited, usual);
    }
    world.fence_events().await;
    for name in ["late", "aliased", "reused"] {
        no_false_refusal(&world, name).await;
    }
    assert_eq!(passwords(&world, "late"), [FIRST, SECOND, other]);
    assert_eq!(passwords(&world, "aliased"), [FIRST, other]);
    assert_eq!(world.cognito.max_in_flight_per_user(), 1);
}

/// All passwords of the user so far, in order.
fn passwords(world: &World<'_>, username: &str) -> Vec<String> {
    let log = world.cognito.password_log(POOL, username);
    log.into_iter().map(|(_, password)| password).collect()
}

/// Checks that the operator never reported a refusal by the history for a value that the operator itself had
/// set.
async fn no_false_refusal(world: &World<'_>, name: &str) {
    let refusals = world.events(name, "PasswordHistoryPolicyViolation").await;
    assert!(refusals.is_empty(), "{refusals:#?}");
}

/// Status and reason.
fn ready(resource: &Value) -> (&str, &str) {
    let ready = &resource["status"]["conditions"][0];
    let text = |field: &str| ready[field].as_str().unwrap_or_default();
    (text("status"), text("reason"))
}
