//! After SIGTERM, the operator finishes the calls in flight, records their outcomes, and ends within ten
//! seconds.

use std::time::{Duration, Instant};

use serde_json::json;

use super::closed_port::ClosedPort;
use super::kstatus::{Kstatus, kstatus};
use super::world::{POOL, SOON, World, assert_within};
use crate::support::{
    Call, ControlPlane, Exit, Fault, Operator, Outcome, Signal, eventually, scratch,
};

/// The time that the deployment promises to Kubernetes.
const LIMIT: Duration = Duration::from_secs(10);

/// The limit without work in progress. Most of this time is for a busy machine.
const AT_ONCE: Duration = Duration::from_secs(4);

const FIRST: &str = "First-Passw0rd";
const SECOND: &str = "Second-Passw0rd";

/// Sends the signal. Returns the exit status, and the time that the shutdown took.
async fn end(operator: &Operator, signal: Signal) -> (Exit, Duration) {
    operator.signal(signal);
    let asked = Instant::now();
    let exit = operator.ended(SOON).await;
    (exit, asked.elapsed())
}

/// Waits until a call for this user is in flight.
async fn under_way(world: &World<'_>, username: &str) {
    let in_flight = |calls: &[Call]| {
        calls.iter().any(|call| {
            call.username == username && matches!(call.outcome, Outcome::InFlight { .. })
        })
    };
    world
        .cognito
        .wait_until("call under way", SOON, in_flight)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_in_flight_is_finished_and_its_outcome_written() {
    for signal in [Signal::TERM, Signal::INT] {
        let world = World::new("in-flight").await;
        let operator = world.operator().await;
        world.in_sync("bot", FIRST).await;
        let usual = world.usual().await;
        let slow = Fault::Latency(Duration::from_secs(2));
        world.cognito.next_for((POOL, "bot"), [slow]);
        world.apply_secret("bot", "password", SECOND).await;
        under_way(&world, "bot").await;

        let (exit, took) = end(&operator, signal).await;
        assert_eq!(
            exit,
            Exit::Code(0),
            "{signal:?} after {took:?}: {}",
            operator.logs()
        );
        assert_within(LIMIT, took, usual);
        // No other operator runs, so this one wrote the outcome.
        let resource = world.wait_set("bot", SECOND).await;
        assert_eq!(kstatus(&resource), Kstatus::Current);
        let calls = world.cognito.calls_for(POOL, "bot");
        assert_eq!(calls.len(), 2, "{calls:#?}");
        assert!(!calls[1].abandoned, "it waited for the reply: {calls:#?}");
        assert!(
            operator.logs().contains("\"stopped\""),
            "{}",
            operator.logs()
        );

        let _operator = world.operator().await;
        world.fence().await;
        assert_eq!(
            world.cognito.calls_for(POOL, "bot").len(),
            2,
            "all is on record"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_hangs_is_given_up_in_time_and_its_doubt_written() {
    let world = World::new("hangs").await;
    world.cognito.set_history(5);
    let operator = world.operator().await;
    for name in ["bot", "other"] {
        world.in_sync(name, FIRST).await;
    }
    let usual = world.usual().await;
    world.cognito.next_for((POOL, "bot"), [Fault::HangAfter]);
    world.apply_secret("bot", "password", SECOND).await;
    under_way(&world, "bot").await;
    let ended = tokio::join!(end(&operator, Signal::TERM), async {
        eventually(SOON, async || {
            let logs = operator.logs();
            let is_stopping = logs.contains("stopping: calls in flight are finished");
            is_stopping.then_some(()).ok_or(logs)
        })
        .await;
        // The operator begins no new work.
        let given_up = |calls: &[Call]| calls.iter().any(|call| call.abandoned);
        world.apply_secret("other", "password", SECOND).await;
        world
            .cognito
            .wait_until("call given up", SOON, given_up)
            .await;
    });
    let ((exit, took), ()) = ended;
    assert_eq!(exit, Exit::Code(0), "after {took:?}: {}", operator.logs());
    assert_within(LIMIT, took, usual);
    let status = world.status("bot").await;
    assert_eq!(status["attempt"]["outcome"], "Unknown", "{status}");
    assert_eq!(
        status["conditions"][0]["reason"], "OutcomeUnknown",
        "{status}"
    );
    assert_eq!(world.cognito.calls_for(POOL, "other").len(), 1);

    let _operator = world.operator().await;
    world.wait("bot", "True", "AppliedAfterLostReply").await;
    world.wait_set("other", SECOND).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_operator_ends_at_once() {
    let world = World::new("idle").await;
    for signal in [Signal::TERM, Signal::INT] {
        let operator = world.operator().await;
        world.in_sync("bot", FIRST).await;
        let usual = world.usual().await;
        let (exit, took) = end(&operator, signal).await;
        assert_eq!(exit, Exit::Code(0), "{signal:?}: {}", operator.logs());
        assert_within(AT_ONCE, took, usual);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_retry_does_not_delay_the_shutdown() {
    let world = World::new("waits").await;
    world.cognito.add_user(POOL, "bot");
    world.cognito.always(Fault::throttled());
    world.apply_secret("bot", "password", FIRST).await;
    world.apply_resource("bot", |_| ()).await;
    let began = Instant::now();
    let operator = world.operator().await;
    world.wait("bot", "False", "TooManyRequests").await;
    let usual = began.elapsed();
    let (exit, took) = end(&operator, Signal::TERM).await;
    assert_eq!(exit, Exit::Code(0), "{}", operator.logs());
    assert_within(AT_ONCE, took, usual);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_ends_at_once_while_no_api_server_answers() {
    let plane = ControlPlane::shared();
    // First a closed port, then a server that accepts connections and never answers.
    for answers in [false, true] {
        let closed_port = ClosedPort::reserve();
        let path = scratch("nowhere").join("kubeconfig");
        let server = format!("https://{}", closed_port.address());
        let kubeconfig = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{ "name": "test", "cluster": {
                "server": server, "insecure-skip-tls-verify": true,
            } }],
            "users": [{ "name": "test", "user": { "token": "none" } }],
            "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test" } }],
        });
        std::fs::write(&path, kubeconfig.to_string()).expect("a file");
        let listening = answers.then(|| closed_port.accept_and_stay_silent());
        let began = Instant::now();
        let operator = Operator::builder(plane).kubeconfig(&path).start().await;
        eventually(SOON, async || match operator.try_get("/readyz").await {
            Ok((503, _)) => Ok(()),
            answer => Err(format!("{answer:?}: {}", operator.logs())),
        })
        .await;
        let usual = began.elapsed();
        let (exit, took) = end(&operator, Signal::TERM).await;
        assert_eq!(exit, Exit::Code(0), "{}", operator.logs());
        assert_within(AT_ONCE, took, usual);
        drop(listening);
    }
}
