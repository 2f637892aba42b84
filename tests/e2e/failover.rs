//! Several operators, of which one leads. A standby takes over however the leader ends, and never acts beside
//! a leader.

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use tokio::sync::MutexGuard;

use super::kstatus::{Kstatus, kstatus};
use super::world::{POOL, SOON, World, assert_within};
use crate::support::{
    Call, Exit, Fault, Mark, Operator, Outcome, Signal, eventually, is_list, operator,
};

const LEASE: &str = "cognito-password-operator";

/// How long a candidate leaves the holder of the Lease alone after the last renewal.
const LEASE_DURATION: Duration = Duration::from_secs(15);

/// From the leader's last sign of life to the next leader's call.
const TAKEOVER: Duration = Duration::from_secs(15 + 5);

/// From SIGTERM to the next leader's call: a second on an idle machine, and more on a busy one.
const HANDOVER: Duration = Duration::from_secs(3);

/// The exit code of a process that has lost the lease.
const LOST: Exit = Exit::Code(3);

const FIRST: &str = "First-Passw0rd";
const SECOND: &str = "Second-Passw0rd";
const THIRD: &str = "Third-Passw0rd";

/// A control plane without any other candidate.
async fn alone(prefix: &str) -> (World<'static>, MutexGuard<'static, ()>) {
    let (world, turn) = World::alone(prefix).await;
    // The Lease of an earlier test.
    let _ = leases(&world).delete(LEASE, &DeleteParams::default()).await;
    (world, turn)
}

fn leases(world: &World<'_>) -> Api<Lease> {
    Api::namespaced(world.client.clone(), operator::NAMESPACE)
}

async fn lease(world: &World<'_>) -> LeaseSpec {
    let lease = leases(world).get(LEASE).await;
    let lease = lease.unwrap_or_else(|error| panic!("no Lease: {error}"));
    lease.spec.expect("it has a spec")
}

async fn edit(world: &World<'_>, change: Value) {
    leases(world)
        .patch(LEASE, &PatchParams::default(), &Patch::Merge(&change))
        .await
        .unwrap_or_else(|error| panic!("could not patch the Lease with {change}: {error}"));
}

/// Starts a candidate of the election, and waits until the candidate is ready.
async fn candidate(world: &World<'_>) -> Operator {
    let candidate = world.builder().leader_elect().start().await;
    candidate.wait_ready(SOON).await;
    candidate
}

async fn leads(operator: &Operator) -> bool {
    operator
        .metric("cognito_password_operator_leader", &[])
        .await
        > 0.5
}

async fn wait_leads(operator: &Operator) {
    eventually(SOON, async || {
        if leads(operator).await {
            return Ok(());
        }
        Err(operator.logs())
    })
    .await;
}

/// Starts a leader, and a standby that has seen everything that the leader has seen.
async fn pair(world: &World<'_>) -> (Operator, Operator) {
    let leader = candidate(world).await;
    wait_leads(&leader).await;
    let standby = candidate(world).await;
    world.in_sync("bot", FIRST).await;
    (leader, standby)
}

/// The lists since the mark.
fn lists(world: &World<'_>, since: Mark) -> Vec<Value> {
    let mut requests = world.requests(since);
    requests.retain(is_list);
    requests
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_leader_sets_passwords_and_both_replicas_are_ready() {
    let (world, _turn) = alone("two").await;
    let (leader, standby) = pair(&world).await;
    for name in ["one", "two", "three"] {
        world.in_sync(name, FIRST).await;
    }
    world.apply_secret("bot", "password", SECOND).await;
    world.wait_set("bot", SECOND).await;
    world.fence().await;
    world.assert_calls("bot", &[FIRST, SECOND]).await;
    world.assert_calls("one", &[FIRST]).await;

    assert!(leads(&leader).await && !leads(&standby).await);
    for (operator, acts) in [(&leader, true), (&standby, false)] {
        assert_eq!(operator.get("/readyz").await.0, 200);
        for metric in ["cognito_calls_total", "reconciles_total"] {
            let name = format!("cognito_password_operator_{metric}");
            let acted = operator.metric(&name, &[]).await > 0.5;
            assert_eq!(acted, acts, "{name}: {}", operator.logs());
        }
    }

    // The Lease has the usual fields, as people and dashboards know Leases of other controllers.
    let before = lease(&world).await;
    assert_eq!(before.lease_duration_seconds, Some(15));
    assert_eq!(before.lease_transitions, Some(0));
    let holder = before.holder_identity.clone().unwrap_or_default();
    assert!(leader.logs().contains(&holder), "{holder}");
    eventually(SOON, async || {
        let now = lease(&world).await;
        if now.renew_time > before.renew_time {
            assert_eq!(now.acquire_time, before.acquire_time);
            assert_eq!(now.holder_identity, before.holder_identity);
            return Ok(());
        }
        Err(format!("not renewed: {now:?}"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_takes_over_from_a_killed_leader_without_a_new_list() {
    let (world, _turn) = alone("killed").await;
    let (leader, standby) = pair(&world).await;
    let usual = world.usual().await;
    let mark = world.mark();
    leader.kill();
    let killed = Instant::now();
    world.apply_secret("bot", "password", SECOND).await;
    world.wait_set("bot", SECOND).await;
    assert_within(TAKEOVER, killed.elapsed(), usual);
    assert!(leads(&standby).await);
    world.fence().await;
    world.assert_calls("bot", &[FIRST, SECOND]).await;
    assert!(lists(&world, mark).is_empty(), "{:#?}", lists(&world, mark));
    assert_eq!(lease(&world).await.lease_transitions, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_that_takes_over_uses_the_current_fingerprint_keys() {
    let (world, _turn) = alone("keys").await;
    let (leader, standby) = pair(&world).await;
    let keys: Api<Secret> = Api::namespaced(world.client.clone(), operator::NAMESPACE);
    let newer = json!({ "stringData": { "key-2": "2".repeat(32) } });
    let name = "cognito-password-operator-fingerprint";
    let changed = keys
        .patch(name, &PatchParams::default(), &Patch::Merge(&newer))
        .await;
    changed.expect("the administrator may");
    let before = world.status("bot").await["synced"]["fingerprint"].clone();
    leader.kill();
    wait_leads(&standby).await;
    world
        .wait_for("bot", "signed by the newer key", |resource| {
            resource.data["status"]["synced"]["fingerprint"] != before
        })
        .await;
    world.assert_calls("bot", &[FIRST]).await;
    drop(standby);
    keys.delete(name, &DeleteParams::default())
        .await
        .expect("the administrator may");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_asked_to_end_hands_over_within_seconds() {
    let (world, _turn) = alone("terminated").await;
    let (leader, standby) = pair(&world).await;
    let usual = world.usual().await;
    let mark = world.mark();
    leader.signal(Signal::TERM);
    let asked = Instant::now();
    world.apply_secret("bot", "password", SECOND).await;
    world.wait_set("bot", SECOND).await;
    assert_within(HANDOVER, asked.elapsed(), usual);
    assert!(leader.ended(SOON).await.success());
    assert!(leads(&standby).await);
    assert!(lists(&world, mark).is_empty(), "{:#?}", lists(&world, mark));
    world.assert_calls("bot", &[FIRST, SECOND]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_in_flight_is_finished_before_the_lease_is_released() {
    let (world, _turn) = alone("in-flight").await;
    let (leader, standby) = pair(&world).await;
    let slow = Fault::Latency(Duration::from_secs(3));
    world.cognito.next_for((POOL, "bot"), [slow]);
    world.apply_secret("bot", "password", SECOND).await;
    let under_way = |calls: &[Call]| {
        let in_flight = |call: &Call| matches!(call.outcome, Outcome::InFlight { .. });
        calls.iter().any(in_flight)
    };
    let what = "call under way";
    world.cognito.wait_until(what, SOON, under_way).await;
    leader.signal(Signal::TERM);
    let resource = world.wait_set("bot", SECOND).await;
    assert_eq!(kstatus(&resource), Kstatus::Current);
    assert!(leader.ended(SOON).await.success(), "{}", leader.logs());
    wait_leads(&standby).await;
    world.fence().await;
    world.assert_calls("bot", &[FIRST, SECOND]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_takes_over_from_a_frozen_leader_which_ends_when_thawed() {
    let (world, _turn) = alone("frozen").await;
    let (leader, standby) = pair(&world).await;
    let usual = world.usual().await;
    leader.pause();
    let frozen = Instant::now();
    let held = lease(&world).await;
    world.apply_secret("bot", "password", SECOND).await;
    world.wait_set("bot", SECOND).await;
    assert_within(TAKEOVER, frozen.elapsed(), usual);
    // The frozen leader might have been about to renew, so the standby waited for the whole lease.
    let taken = lease(&world).await;
    let [renewed, acquired] =
        [&held.renew_time, &taken.acquire_time].map(|time| time.as_ref().expect("a time").0);
    let left = Duration::try_from(acquired.duration_since(renewed)).expect("it comes after");
    assert!(left >= LEASE_DURATION, "{left:?}: {held:?} {taken:?}");

    // The first event that the thawed leader sees is a change of the Secret.
    standby.pause();
    world.apply_secret("bot", "password", THIRD).await;
    leader.resume();
    assert_eq!(leader.ended(SOON).await, LOST, "{}", leader.logs());
    assert!(
        leader.logs().contains("lost the Lease"),
        "{}",
        leader.logs()
    );
    world.assert_calls("bot", &[FIRST, SECOND]).await;
    standby.resume();
    world.wait_set("bot", THIRD).await;
    world.assert_calls("bot", &[FIRST, SECOND, THIRD]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_operator_that_is_started_again_leads_at_once() {
    let (world, _turn) = alone("restarted").await;
    let leader = candidate(&world).await;
    world.in_sync("bot", FIRST).await;
    let usual = world.usual().await;
    leader.kill();
    world.apply_secret("bot", "password", SECOND).await;
    let started = Instant::now();
    let _leader = candidate(&world).await;
    world.wait_set("bot", SECOND).await;
    // The operator's own lease would have delayed the start by 15 s.
    assert_within(Duration::from_secs(8), started.elapsed(), usual);
    world.assert_calls("bot", &[FIRST, SECOND]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_released_at_the_end_and_a_standby_ends_at_once() {
    let (world, _turn) = alone("released").await;
    let (leader, standby) = pair(&world).await;
    let usual = world.usual().await;
    let held = lease(&world).await;
    standby.signal(Signal::TERM);
    let asked = Instant::now();
    assert!(standby.ended(SOON).await.success());
    assert_within(Duration::from_secs(3), asked.elapsed(), usual);
    assert_eq!(lease(&world).await.holder_identity, held.holder_identity);

    assert!(leader.terminate(SOON).await.success());
    let released = lease(&world).await;
    assert_eq!(released.holder_identity.as_deref(), Some(""));
    assert_eq!(released.lease_duration_seconds, Some(1));
    assert_eq!(released.lease_transitions, held.lease_transitions);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_leader_survives_manual_changes_to_its_lease() {
    let (world, _turn) = alone("edited").await;
    let (leader, standby) = pair(&world).await;
    let holder = lease(&world).await.holder_identity;
    let label = json!({ "metadata": { "labels": { "team": "a" } } });
    let anew = json!({ "spec": null });
    let cleared = json!({ "spec": { "holderIdentity": "" } });
    let shorter = json!({ "spec": { "leaseDurationSeconds": 1 } });
    let absent = json!({ "spec": { "leaseDurationSeconds": null } });
    for change in [
        Some(label),
        Some(cleared),
        Some(shorter),
        Some(absent),
        Some(anew),
        None,
    ] {
        match &change {
            Some(change) => edit(&world, change.clone()).await,
            None => drop(leases(&world).delete(LEASE, &DeleteParams::default()).await),
        }
        eventually(SOON, async || {
            let now = leases(&world).get_opt(LEASE).await.ok().flatten();
            let spec = now.and_then(|lease| lease.spec).unwrap_or_default();
            let whole = spec.lease_duration_seconds == Some(15);
            if whole && spec.holder_identity == holder {
                return Ok(());
            }
            Err(format!("{change:?}: {spec:?}: {}", leader.logs()))
        })
        .await;
        assert!(leads(&leader).await && !leads(&standby).await, "{change:?}");
    }
    assert_eq!(leader.exit(), None);

    // A person gives the Lease to another holder for good.
    edit(&world, json!({ "spec": { "holderIdentity": "somebody" } })).await;
    assert_eq!(leader.ended(SOON).await, LOST, "{}", leader.logs());
    wait_leads(&standby).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_api_server_the_leader_gives_up_and_a_standby_waits() {
    let (world, _turn) = alone("outage").await;
    let (leader, standby) = pair(&world).await;
    let usual = world.usual().await;
    world.plane.stop_api_server();
    let stopped = Instant::now();
    let exit = leader.ended(SOON).await;
    let gave_up = stopped.elapsed();
    world.plane.start_api_server().await;
    assert_eq!(exit, LOST, "{}", leader.logs());
    assert_within(LEASE_DURATION, gave_up, usual);
    assert_eq!(standby.exit(), None, "{}", standby.logs());
    wait_leads(&standby).await;
    world.apply_secret("bot", "password", SECOND).await;
    world.wait_set("bot", SECOND).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_lease_release_does_not_delay_the_shutdown() {
    let (world, _turn) = alone("unreleased").await;
    let (leader, standby) = pair(&world).await;
    let usual = world.usual().await;
    world.plane.stop_api_server();
    for operator in [&leader, &standby] {
        operator.signal(Signal::TERM);
    }
    let asked = Instant::now();
    let exits = (leader.ended(SOON).await, standby.ended(SOON).await);
    let took = asked.elapsed();
    world.plane.start_api_server().await;
    assert_eq!(exits, (Exit::Code(0), Exit::Code(0)), "{}", leader.logs());
    assert_within(Duration::from_secs(8), took, usual);
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_rights_to_the_lease_fail_readiness_and_no_password_is_set() {
    let (world, _turn) = alone("leaseless").await;
    let plane = world.plane;
    // All rights except those on Leases.
    let namespace = ["-n", operator::NAMESPACE];
    let account = format!("--serviceaccount={}:leaseless", operator::NAMESPACE);
    let of = |kind: &'static str, role: &'static str| ["create", kind, "leaseless", role];
    plane.kubectl(&[&["create", "serviceaccount", "leaseless"], &namespace[..]].concat());
    let binding = of(
        "clusterrolebinding",
        "--clusterrole=cognito-password-operator",
    );
    plane.kubectl(&[&binding[..], &[&account]].concat());
    let secrets = [
        "create",
        "role",
        "leaseless",
        "--verb=create",
        "--resource=secrets",
    ];
    plane.kubectl(&[&secrets[..], &namespace].concat());
    let binding = of("rolebinding", "--role=leaseless");
    plane.kubectl(&[&binding[..], &namespace, &[&account]].concat());
    let token = plane.token_for(operator::NAMESPACE, "leaseless");
    let kubeconfig = plane.kubeconfig_for_token("leaseless", &token);

    let candidate = world.builder().leader_elect().kubeconfig(&kubeconfig);
    let candidate = candidate.start().await;
    candidate.wait_ready(SOON).await;
    world.cognito.add_user(POOL, "bot");
    world.apply_secret("bot", "password", FIRST).await;
    world.apply_resource("bot", |_| ()).await;
    let words = "lease: Lease cognito-password-operator/cognito-password-operator: the Lease can't be read: the API server refused the request: leases.coordination.k8s.io \"cognito-password-operator\" is forbidden";
    eventually(SOON, async || match candidate.get("/readyz").await {
        (503, said) if said.contains(words) => Ok(()),
        said => Err(format!("{said:?}: {}", candidate.logs())),
    })
    .await;
    assert!(!leads(&candidate).await);
    assert_eq!(
        candidate
            .logs()
            .matches("the Lease can't be acquired or renewed")
            .count(),
        1
    );
    assert_eq!(world.cognito.call_count(), 0);
    let status = world.status("bot").await;
    assert!(status["conditions"].is_null(), "{status}");

    let all = [
        "create",
        "rolebinding",
        "leaseful",
        "--role=cognito-password-operator",
    ];
    plane.kubectl(&[&all[..], &namespace, &[&account]].concat());
    world.wait_set("bot", FIRST).await;
    candidate.wait_ready(SOON).await;
    assert!(leads(&candidate).await);

    plane.kubectl(&["delete", "clusterrolebinding", "leaseless"]);
    plane.kubectl(
        &[
            &["delete", "rolebinding", "leaseless", "leaseful"],
            &namespace[..],
        ]
        .concat(),
    );
    plane.kubectl(
        &[
            &["delete", "role/leaseless", "serviceaccount/leaseless"],
            &namespace[..],
        ]
        .concat(),
    );
}

/// Two installations in one namespace watch different namespaces, and share one Lease by its default name.
#[tokio::test(flavor = "multi_thread")]
async fn a_lease_held_by_another_installation_is_reported_and_a_separate_lease_resolves_it() {
    let (world, _turn) = alone("installations").await;
    let other = world.neighbour("installations-b").await;
    let first = candidate(&world).await;
    wait_leads(&first).await;
    let annotations = leases(&world).get(LEASE).await.expect("it is held");
    let annotations = annotations.metadata.annotations.unwrap_or_default();
    let serves = format!("the namespaces {}", world.namespace);
    assert_eq!(annotations["cognito-password-operator.io/serves"], serves);

    let second = other.builder().leader_elect().start().await;
    let ours = format!("would serve the namespaces {}", other.namespace);
    eventually(SOON, async || {
        let (status, said) = second.try_get("/readyz").await?;
        let words = [LEASE, &serves, &ours, "--lease-name"];
        if status == 503 && words.iter().all(|word| said.contains(word)) {
            return Ok(());
        }
        Err(format!("{status} {said}\n{}", second.logs()))
    })
    .await;
    let said = "this operator waits for another installation's Lease";
    assert_eq!(second.logs().matches(said).count(), 1, "{}", second.logs());
    assert!(second.terminate(SOON).await.success());

    let name = "second-installation";
    let namespace = operator::NAMESPACE;
    world.plane.kubectl(&[
        "create",
        "role",
        name,
        "-n",
        namespace,
        "--verb=get,update",
        "--resource=leases",
        &format!("--resource-name={name}"),
    ]);
    let account = format!("--serviceaccount={namespace}:{}", operator::SERVICE_ACCOUNT);
    let role = format!("--role={name}");
    world.plane.kubectl(&[
        "create",
        "rolebinding",
        name,
        "-n",
        namespace,
        &role,
        &account,
    ]);
    let own = other
        .builder()
        .leader_elect()
        .arg(format!("--lease-name={name}"));
    let second = own.start().await;
    second.wait_ready(SOON).await;
    wait_leads(&second).await;
    assert!(leads(&first).await);
    world.in_sync("bot", FIRST).await;
    other.in_sync("other", SECOND).await;
    for kind in ["rolebinding", "role", "lease"] {
        world
            .plane
            .kubectl(&["delete", kind, name, "-n", namespace, "--wait=false"]);
    }
}
