//! `revokeSessions`: the password is set, the set is recorded with the sign-out that it owes, the user is signed
//! out, and only then the resource is Ready. No session of an earlier password outlives that.

use std::time::Instant;

use futures::future::join_all;
use jiff::Timestamp;
use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::events::wait_for_one_event;
use super::grants::{FIRST, SECOND, THIRD};
use super::kstatus::{Kstatus, kstatus, violations};
use super::world::{POOL, SOON, World};
use crate::support::{
    Failure, Fault, Kind, Moment, Moto, Operation, OtherCall, SignIn, condition, most_in_a_second,
};

const SIGN_OUT: Operation = Operation::AdminUserGlobalSignOut;

/// The operator's share of Cognito's quota for sign-outs: calls a second, and the burst.
const RPS: usize = 5;
const BURST: usize = 5;

fn revoking(resource: &mut Value) {
    resource["spec"]["revokeSessions"] = json!(true);
}

/// Makes a user with another password and a session, and a resource that sets the user's password.
async fn adopt(world: &World<'_>, name: &str) {
    let cognito = &world.cognito;
    cognito.add_user(POOL, name);
    cognito.change_password(POOL, name, "Of-An-Earlier-0wner");
    assert!(cognito.begin_session(POOL, name));
    world.apply_secret(name, "password", FIRST).await;
    world.apply_resource(name, revoking).await;
}

/// Waits until the password is set and the sign-out is no longer owed.
async fn wait_done(world: &World<'_>, name: &str, password: &str) -> DynamicObject {
    let done = world.wait_set(name, password).await;
    assert_eq!(done.data["status"]["signOutOwed"], Value::Null, "{name}");
    assert_eq!(violations(&done), [""; 0], "{name}");
    assert_eq!(kstatus(&done), Kstatus::Current, "{name}");
    done
}

/// Waits for a sign-out that is not done for this reason, and returns the message.
async fn wait_not_done(world: &World<'_>, name: &str, status: &str, reason: &str) -> String {
    let resource = world.wait(name, status, reason).await;
    assert_eq!(violations(&resource), [""; 0], "{name}");
    let owed = &resource.data["status"]["signOutOwed"];
    assert!(owed["since"].is_string(), "{name}: {owed}");
    assert!(resource.data["status"]["attempt"].is_null(), "{name}");
    let ready = condition(&resource, "Ready").expect("Ready");
    ready["message"].as_str().unwrap_or_default().to_owned()
}

fn sign_outs_of(world: &World<'_>, name: &str) -> Vec<OtherCall> {
    let mut calls = world.cognito.sign_outs();
    calls.retain(|call| call.subject == crate::support::Subject::SignOut(name.to_owned()));
    calls
}

fn sessions(world: &World<'_>, name: &str) -> Vec<String> {
    let sessions = world.cognito.live_sessions(POOL, name).into_iter();
    sessions.map(|session| session.password).collect()
}

/// The time of a moment, by the clock that the test shares with the API server.
fn time_of(moment: Instant) -> Timestamp {
    let elapsed = jiff::SignedDuration::try_from(moment.elapsed()).expect("a short time");
    Timestamp::now() - elapsed
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_is_recorded_then_signed_out_then_ready() {
    let world = World::new("sign-out").await;
    let _operator = world.operator().await;
    let mark = world.mark();
    adopt(&world, "bot").await;
    wait_done(&world, "bot", FIRST).await;
    assert_eq!(sessions(&world, "bot"), [""; 0], "sessions from before");
    assert!(world.cognito.begin_session(POOL, "bot"));

    // A new value: the session ends that began with the earlier value.
    world.apply_secret("bot", "password", SECOND).await;
    wait_done(&world, "bot", SECOND).await;
    assert_eq!(sessions(&world, "bot"), [""; 0], "of the earlier value");
    // Whoever waits for Ready keeps the session.
    assert!(world.cognito.begin_session(POOL, "bot"));
    // A request sets the same value, which ends the sessions too.
    world.request("bot", "now").await;
    world
        .wait_for("bot", "the request answered", |bot| {
            bot.data["status"]["lastHandledReconcileAt"] == "now"
                && condition(bot, "Ready").is_some_and(|ready| ready["status"] == "True")
        })
        .await;
    assert_eq!(sessions(&world, "bot"), [""; 0]);
    assert!(world.cognito.begin_session(POOL, "bot"));
    world.fence_events().await;
    assert_eq!(sessions(&world, "bot"), [SECOND]);

    // The order, by the calls and by the API server's record.
    let sets = world.cognito.calls_for(POOL, "bot");
    let outs = sign_outs_of(&world, "bot");
    assert_eq!((sets.len(), outs.len()), (3, 3), "{outs:#?}");
    let writes = world.status_writes(mark);
    assert_eq!(writes.len(), 9, "three for each set: {writes:#?}");
    let owed = |write: &Value| status_of(write)["signOutOwed"]["since"].clone();
    let received = |write: &Value| at(&write["requestReceivedTimestamp"]);
    let ended = |write: &Value| at(&write["stageTimestamp"]);
    for ((set, out), writes) in sets.iter().zip(&outs).zip(writes.chunks(3)) {
        let [attempt, recorded, done] = writes else {
            unreachable!("chunks of three");
        };
        assert!(set.id < out.id);
        assert!(ended(attempt) <= time_of(set.arrived), "{attempt:#}");
        assert!(owed(recorded).is_string(), "{recorded:#}");
        assert!(received(recorded) >= time_of(set.ended.expect("it ended")));
        assert!(ended(recorded) <= time_of(out.arrived), "{recorded:#}");
        let ready = &status_of(recorded)["conditions"][0];
        assert_eq!(
            (&ready["status"], &ready["reason"]),
            (&json!("Unknown"), &json!("RevokingSessions"))
        );
        assert!(owed(done).is_null(), "{done:#}");
        assert!(received(done) >= time_of(out.ended.expect("it ended")));
        let ready = &status_of(done)["conditions"][0];
        assert_eq!(
            (&ready["status"], &ready["reason"]),
            (&json!("True"), &json!("PasswordSet"))
        );
    }
    let events = world.events("bot", "SessionsRevoked").await;
    assert_eq!(super::events::occurrences(&events), 3, "{events:#?}");
    assert_eq!(world.events("bot", "RevokingSessions").await, []);
}

fn status_of(write: &Value) -> &Value {
    &write["responseObject"]["status"]
}

fn at(time: &Value) -> Timestamp {
    let time = time.as_str().and_then(|time| time.parse().ok());
    time.expect("a time")
}

/// The name, the fault of the first sign-out, and the reason in the status until the second one.
type Case = (&'static str, fn() -> Fault, &'static str);

const FAULTS: [Case; 8] = [
    ("throttled", Fault::throttled, "TooManyRequests"),
    ("drop-before", || Fault::DropBefore, "OutcomeUnknown"),
    ("drop-after", || Fault::DropAfter, "OutcomeUnknown"),
    ("hang-after", || Fault::HangAfter, "OutcomeUnknown"),
    ("internal", Fault::internal_error, "InternalError"),
    (
        "internal-after",
        Fault::internal_error_after,
        "InternalError",
    ),
    (
        "garbage",
        || Fault::Garbage {
            status: 200,
            applied: false,
        },
        "OutcomeUnknown",
    ),
    (
        "unheard-of",
        || Fault::Error(Failure::new(503, "TeapotException", "I can't brew coffee.")),
        "UnhandledError",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_out_that_failed_or_whose_reply_was_lost_is_made_again_and_nothing_is_set_again() {
    let world = World::new("sign-out-again").await;
    for (name, fault, _) in FAULTS {
        world.cognito.of(SIGN_OUT).next_for((POOL, name), [fault()]);
        adopt(&world, name).await;
    }
    // A user who is gone has no session.
    let gone = Fault::error("UserNotFoundException", "User does not exist.");
    world.cognito.of(SIGN_OUT).next_for((POOL, "gone"), [gone]);
    adopt(&world, "gone").await;
    let _operator = world.operator().await;
    for (name, _, reason) in FAULTS {
        // The condition may have come and gone. The Event stays.
        let said = wait_for_one_event(&world, name, reason).await;
        assert!(said.starts_with("The password is set"), "{name}: {said}");
        wait_done(&world, name, FIRST).await;
        assert_eq!(sessions(&world, name), [""; 0], "{name}");
        assert_eq!(sign_outs_of(&world, name).len(), 2, "{name}");
        world.assert_calls(name, &[FIRST]).await;
    }
    wait_done(&world, "gone", FIRST).await;
    assert_eq!(sign_outs_of(&world, "gone").len(), 1);
    world.fence().await;
    assert_eq!(
        world.cognito.count_of(SIGN_OUT),
        2 * FAULTS.len() + 1,
        "no further sign-out"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_out_without_the_right_keeps_ready_false_until_a_person_acts() {
    const BOTS: [&str; 5] = ["allowed", "changed", "taken-away", "suspended", "temporary"];
    let world = World::new("sign-out-denied").await;
    world.cognito.of(SIGN_OUT).deny();
    for name in BOTS {
        adopt(&world, name).await;
    }
    let operator = world.operator().await;
    for name in BOTS {
        let message = wait_not_done(&world, name, "False", "AccessDenied").await;
        assert!(
            message.contains("cognito-idp:AdminUserGlobalSignOut on the user pool"),
            "{message}"
        );
        assert!(message.contains("were not revoked"), "{message}");
        assert!(!message.contains("allow cognito-idp:AdminSet"), "{message}");
        assert!(world.cognito.can_sign_in((POOL, name), FIRST), "{name}");
        assert_eq!(sessions(&world, name), ["Of-An-Earlier-0wner"], "{name}");
    }

    // The field is taken away: nothing is owed any more.
    let without = json!({ "spec": { "revokeSessions": false } });
    world.patch_resource("taken-away", without).await;
    wait_done(&world, "taken-away", FIRST).await;
    // So with a password that is temporary by now, which is another password.
    let temporary = json!({ "spec": { "revokeSessions": false, "permanent": false } });
    world.patch_resource("temporary", temporary).await;
    world.wait("temporary", "True", "PasswordSet").await;
    assert!(world.status("temporary").await["signOutOwed"].is_null());

    // Suspended: nothing is called, and the record keeps what is owed.
    let suspend = |suspend: bool| json!({ "spec": { "suspend": suspend } });
    world.patch_resource("suspended", suspend(true)).await;
    let is_suspended = |bot: &DynamicObject| condition(bot, "Suspended").is_some();
    world.wait_for("suspended", "suspended", is_suspended).await;
    let made = sign_outs_of(&world, "suspended").len();

    // A new value goes first, and its sign-out serves both sets.
    let since = world.status("changed").await["signOutOwed"]["since"].clone();
    world.apply_secret("changed", "password", SECOND).await;
    let again = world
        .wait_for("changed", "the new set recorded", |bot| {
            let owed = &bot.data["status"]["signOutOwed"];
            owed["since"].is_string() && owed["since"] != since && owed["failures"].is_object()
        })
        .await;
    let ready = condition(&again, "Ready").expect("Ready");
    assert_eq!(ready["reason"], "AccessDenied");
    assert!(world.cognito.can_sign_in((POOL, "changed"), SECOND));

    world.cognito.of(SIGN_OUT).allow();
    world.fence().await;
    assert_eq!(sign_outs_of(&world, "suspended").len(), made);
    assert!(world.status("suspended").await["signOutOwed"].is_object());
    world.patch_resource("suspended", suspend(false)).await;
    wait_done(&world, "suspended", FIRST).await;
    world.assert_calls("suspended", &[FIRST]).await;

    let before = sign_outs_of(&world, "changed").len();
    world.request("changed", "now").await;
    wait_done(&world, "changed", SECOND).await;
    assert_eq!(sign_outs_of(&world, "changed").len(), before + 1);

    // A restart alone changes nothing: the wait is on record. A change of the spec ends the wait.
    drop(operator);
    let made = sign_outs_of(&world, "allowed").len();
    let _operator = world.operator().await;
    world.fence().await;
    assert_eq!(sign_outs_of(&world, "allowed").len(), made);
    let changed = json!({ "spec": { "federatedUser": "Allow" } });
    world.patch_resource("allowed", changed).await;
    wait_done(&world, "allowed", FIRST).await;
    world.assert_calls("allowed", &[FIRST]).await;
    for name in ["allowed", "changed", "suspended"] {
        assert_eq!(sessions(&world, name), [""; 0], "{name}");
    }
    for name in ["taken-away", "temporary"] {
        assert_eq!(sessions(&world, name), ["Of-An-Earlier-0wner"], "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_out_waits_for_the_grant() {
    let (world, _turn) = World::alone("sign-out-grant").await;
    let other = world.neighbour("granted").await;
    world.cognito.of(SIGN_OUT).deny();
    adopt(&world, "bot").await;
    let operator = world.cluster_wide().start().await;
    operator.wait_ready(SOON).await;
    wait_not_done(&world, "bot", "False", "AccessDenied").await;
    world.revoke().await;
    let refused = world.wait("bot", "False", "NotGranted").await;
    assert!(refused.data["status"]["signOutOwed"].is_object(), "stays");
    let made = sign_outs_of(&world, "bot").len();
    world.cognito.of(SIGN_OUT).allow();
    let changed = json!({ "spec": { "federatedUser": "Allow" } });
    world.patch_resource("bot", changed).await;
    other.fence().await;
    assert_eq!(sign_outs_of(&world, "bot").len(), made);

    world.grant(|_| ()).await;
    wait_done(&world, "bot", FIRST).await;
    assert_eq!(sessions(&world, "bot"), [""; 0]);
    world.assert_calls("bot", &[FIRST]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_killed_around_the_sign_out_leaves_it_to_the_next_one() {
    let world = World::new("sign-out-kill").await;
    let (proxy, kubeconfig) = world.proxy();
    let behind = || world.builder().kubeconfig(&kubeconfig);
    // Between the record of the set and the sign-out.
    let mut recorded = proxy.hold(Kind::Outcome, Moment::After);
    adopt(&world, "bot").await;
    let operator = behind().start().await;
    let held = recorded.caught().await;
    operator.kill();
    drop(held);
    assert_eq!(sign_outs_of(&world, "bot").len(), 0);
    assert_eq!(sessions(&world, "bot"), ["Of-An-Earlier-0wner"]);
    let status = world.status("bot").await;
    assert!(status["signOutOwed"]["since"].is_string(), "{status}");
    assert_eq!(status["conditions"][0]["status"], "Unknown", "{status}");

    // Between the sign-out and its record.
    let mut done = proxy.hold(Kind::Report, Moment::Before);
    let operator = behind().start().await;
    let held = done.caught().await;
    assert_eq!(sign_outs_of(&world, "bot").len(), 1);
    operator.kill();
    drop(held);
    let status = world.status("bot").await;
    assert!(status["signOutOwed"]["since"].is_string(), "{status}");
    assert_eq!(sessions(&world, "bot"), [""; 0]);

    // During the sign-out.
    world.cognito.of(SIGN_OUT).next([Fault::HangBefore]);
    let operator = behind().start().await;
    world.cognito.wait_for_calls_of(SIGN_OUT, 2, SOON).await;
    operator.kill();

    let _operator = behind().start().await;
    wait_done(&world, "bot", FIRST).await;
    assert_eq!(sign_outs_of(&world, "bot").len(), 3);
    world.assert_calls("bot", &[FIRST]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_rotations_cost_a_hundred_sign_outs_and_three_writes_each_at_the_rate_of_sign_outs()
 {
    const BOTS: usize = 100;
    let world = World::new("sign-out-rate").await;
    let names: Vec<_> = (0..BOTS).map(|number| format!("bot-{number}")).collect();
    // The first sets owe no sign-out, so the bucket of sign-outs is full.
    for name in &names {
        world.cognito.add_user(POOL, name);
    }
    world.apply_secret("shared", "password", FIRST).await;
    let of_shared = |resource: &mut Value| {
        resource["spec"]["passwordSecretRef"]["name"] = json!("shared");
    };
    join_all(
        names
            .iter()
            .map(|name| world.apply_resource(name, of_shared)),
    )
    .await;
    let operator = world.operator().await;
    for name in &names {
        world.wait_set(name, FIRST).await;
    }
    drop(operator);
    let on = |resource: &mut Value| {
        of_shared(resource);
        revoking(resource);
    };
    join_all(names.iter().map(|name| world.apply_resource(name, on))).await;
    let _operator = world.operator().await;
    for name in &names {
        world
            .wait_for(name, "the field observed", |bot| {
                bot.data["status"]["observedGeneration"].as_i64() == bot.metadata.generation
            })
            .await;
    }
    assert_eq!(world.cognito.count_of(SIGN_OUT), 0, "no set, no sign-out");
    for name in &names {
        assert!(world.cognito.begin_session(POOL, name));
    }

    let mark = world.mark();
    world.apply_secret("shared", "password", SECOND).await;
    for name in &names {
        wait_done(&world, name, SECOND).await;
        assert_eq!(sessions(&world, name), [""; 0], "{name}");
    }
    assert_eq!(world.cognito.call_count(), 2 * BOTS);
    assert_eq!(world.cognito.count_of(SIGN_OUT), BOTS);
    // A set that waits for the rate limiter takes Ready away first. A sign-out that waits writes nothing.
    let mut writes = world.status_writes(mark);
    let is_attempt = |write: &Value| status_of(write)["attempt"]["outcome"] == "Pending";
    let owes = |write: &Value| status_of(write)["signOutOwed"].is_object();
    writes.retain(|write| {
        let reason = &status_of(write)["conditions"][0]["reason"];
        *reason != "Progressing" || is_attempt(write)
    });
    assert_eq!(writes.len(), 3 * BOTS);
    assert_eq!(
        writes.iter().filter(|write| is_attempt(write)).count(),
        BOTS
    );
    assert_eq!(writes.iter().filter(|write| owes(write)).count(), BOTS);
    let arrived = world.cognito.sign_outs();
    let most = most_in_a_second(arrived.iter().map(|call| call.arrived));
    assert!(most <= RPS + BURST, "{most} in one second");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_moto_a_refresh_token_from_before_a_set_dies_and_a_later_one_lives() {
    let world = World::new("sign-out-moto").await;
    let moto = Moto::shared().await;
    let (pool, application) = moto.create_pool(&world.namespace, 8).await;
    for name in ["revoked", "kept"] {
        moto.create_user(&pool, name).await;
        world.apply_secret(name, "password", FIRST).await;
        let of_moto = |resource: &mut Value| {
            resource["spec"]["userPoolId"] = json!(pool);
            resource["spec"]["revokeSessions"] = json!(name == "revoked");
        };
        world.apply_resource(name, of_moto).await;
    }
    let builder = world.builder().cognito(moto.url());
    let operator = builder.start().await;
    operator.wait_ready(SOON).await;
    let set = async |name: &str, value: &str| {
        let version = world.secrets().get(name).await.expect("it exists");
        let version = version.metadata.resource_version.expect("a version");
        world
            .wait_for(name, "set", |bot| {
                bot.data["status"]["synced"]["secretResourceVersion"] == *version
                    && condition(bot, "Ready").is_some_and(|ready| ready["status"] == "True")
            })
            .await;
        let signed_in = moto.sign_in(&pool, &application, name, value).await;
        assert_eq!(signed_in, SignIn::Ok, "{name}");
    };
    let mut tokens = Vec::new();
    for name in ["revoked", "kept"] {
        set(name, FIRST).await;
        let token = moto.refresh_token(&application, name, FIRST).await;
        assert!(moto.refreshes(&application, &token).await);
        world.apply_secret(name, "password", THIRD).await;
        set(name, THIRD).await;
        tokens.push(token);
    }
    assert!(!moto.refreshes(&application, &tokens[0]).await, "revoked");
    assert!(moto.refreshes(&application, &tokens[1]).await, "kept");
    let token = moto.refresh_token(&application, "revoked", THIRD).await;
    assert!(moto.refreshes(&application, &token).await, "after Ready");
}
