//! Missing servers, missing CRDs and missing rights. The log and `/readyz` report the problem, the operator
//! retries, and no restart is needed. Sets that were made meanwhile are not made twice.

use std::time::Duration;

use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::world::{POOL, SOON, World};
use crate::support::{
    ApiFault, Call, ControlPlane, Fault, Kind, Operator, Outcome, condition, eventually, operator,
    resources,
};

/// The limit for the API server to come back on a busy machine, and for the next try of a watch.
const PATIENCE: Duration = Duration::from_mins(3);

const FIRST: &str = "First-Passw0rd";
const SECOND: &str = "Second-Passw0rd";
const CRD: &str = "cognitouserpasswords.cognito-password-operator.io";

/// Waits until `/readyz` fails with all of these words, while the process lives.
async fn wait_unready(operator: &Operator, words: &[&str]) {
    eventually(PATIENCE, async || {
        let (status, said) = operator.try_get("/readyz").await?;
        if status == 503 && words.iter().all(|words| said.contains(words)) {
            return Ok(());
        }
        Err(format!(
            "not {words:?}: {status} {said}\n{}",
            operator.logs()
        ))
    })
    .await;
    let (status, said) = operator.get("/livez").await;
    assert_eq!((status, &*said), (200, "ok"));
    assert_eq!(operator.exit(), None);
}

/// Waits until the log contains these words.
async fn wait_log(operator: &Operator, words: &str) {
    eventually(SOON, async || {
        let logs = operator.logs();
        let said = logs.contains(words).then_some(());
        said.ok_or(logs)
    })
    .await;
}

/// Checks that the log has these words at level WARN, and not once per try.
fn assert_warned(operator: &Operator, words: &[&str]) {
    let logs = operator.logs();
    let warning =
        |line: &&str| line.contains("\"WARN\"") && words.iter().all(|words| line.contains(words));
    let count = logs.lines().filter(warning).count();
    assert!((1..=3).contains(&count), "{count} times {words:?}: {logs}");
}

#[tokio::test]
async fn an_api_server_that_streams_no_lists_is_asked_for_pages() {
    let world = World::new("pages").await;
    let operator = world.operator().await;
    world.in_sync("bot", FIRST).await;
    assert!(operator.terminate(SOON).await.success());
    let (proxy, kubeconfig) = world.proxy();
    // The watch of resources, and the watch of Secrets.
    proxy.next(Kind::Watch, ApiFault::Unstreamed);
    proxy.next(Kind::Watch, ApiFault::Unstreamed);
    let operator = world.builder().kubeconfig(&kubeconfig).start().await;
    operator.wait_ready(SOON).await;
    let logs = operator.logs();
    assert!(
        !logs.contains("the watch is broken; trying again"),
        "{logs}"
    );
    world.apply_secret("bot", "password", SECOND).await;
    world.wait_set("bot", SECOND).await;
    world.assert_calls("bot", &[FIRST, SECOND]).await;
}

#[tokio::test]
async fn an_api_server_that_never_completes_a_streamed_list_is_asked_for_pages() {
    let world = World::new("incomplete").await;
    let (proxy, kubeconfig) = world.proxy();
    // The watch of resources, and the watch of Secrets.
    proxy.next(Kind::Watch, ApiFault::NeverComplete);
    proxy.next(Kind::Watch, ApiFault::NeverComplete);
    let operator = world.builder().kubeconfig(&kubeconfig).start().await;
    let unlisted = format!("watch of Secrets in {}: ", world.namespace);
    wait_unready(&operator, &[&unlisted]).await;
    operator.wait_ready(PATIENCE).await;
    assert_eq!(proxy.met().get("never complete"), Some(&2));
    let errors = "cognito_password_operator_watch_errors_total";
    for (kind, watch) in [
        ("CognitoUserPasswords", "resources"),
        ("Secrets", "secrets"),
    ] {
        let named = format!("watch of {kind} in {}", world.namespace);
        assert_warned(&operator, &[&named, "the operator reads lists in pages"]);
        assert!(operator.metric(errors, &[("watch", watch)]).await >= 1.0);
    }
    world.in_sync("bot", FIRST).await;
}

/// The first connections hang, as for a new pod under the network policies of some CNIs: the connections
/// open, and requests get no answer.
#[tokio::test]
async fn first_connections_that_hang_are_reported_and_replaced() {
    let world = World::new("half-dead").await;
    let (proxy, kubeconfig) = world.proxy();
    for _ in 0..2 {
        proxy.next(Kind::Watch, ApiFault::Hang);
    }
    // The read of the fingerprint keys.
    proxy.next(Kind::SecretRead, ApiFault::Hang);
    let operator = world.builder().kubeconfig(&kubeconfig).start().await;
    let watch = format!("watch of CognitoUserPasswords in {}", world.namespace);
    let silent = "the API server didn't answer within 10 s";
    wait_unready(&operator, &[&watch, silent]).await;
    operator.wait_ready(PATIENCE).await;
    assert_eq!(proxy.met().get("hangs"), Some(&3));
    assert_warned(&operator, &[&watch, silent]);
    world.in_sync("bot", FIRST).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_or_crd_missing_at_the_start_is_reported_and_waited_for() {
    let plane = ControlPlane::start();
    let world = World::on(&plane, "missing").await;
    plane.kubectl(&["delete", "crd", CRD]);
    plane.stop_api_server();

    let operator = world.builder().start().await;
    let secret = "cognito-password-operator/cognito-password-operator-fingerprint";
    wait_unready(&operator, &["fingerprint keys: ", secret, "refused"]).await;
    assert_warned(&operator, &[secret, "refused"]);

    plane.start_api_server().await;
    let watch = format!("watch of CognitoUserPasswords in {}: ", world.namespace);
    wait_unready(&operator, &[&watch, "are the CRDs installed?"]).await;
    assert_warned(&operator, &[watch.trim_end_matches(": "), "CRDs"]);

    plane.kubectl(&["apply", "-k", "crds/"]);
    let established = "--for=condition=Established";
    plane.kubectl(&["wait", established, "--timeout=2m", "crd", CRD]);
    operator.wait_ready(PATIENCE).await;
    world.in_sync("bot", FIRST).await;
    assert!(
        operator.logs().contains("works again"),
        "{}",
        operator.logs()
    );

    // A short outage without any change causes no work afterwards.
    plane.stop_api_server();
    wait_unready(&operator, &["watch of ", &world.namespace]).await;
    plane.start_api_server().await;
    operator.wait_ready(PATIENCE).await;
}

/// Waits until the second call for this user hangs.
async fn second_call_hangs(world: &World<'_>, username: &str) {
    let so = |calls: &[Call]| {
        let mut calls = calls.iter().filter(|call| call.username == username);
        let in_flight = Outcome::InFlight { applied: false };
        calls.nth(1).is_some_and(|call| call.outcome == in_flight)
    };
    world.cognito.wait_until("second call", SOON, so).await;
}

/// Releases the second call, and waits until the call is applied.
async fn release_second_call(world: &World<'_>, username: &str) {
    eventually(SOON, async || {
        // Releases on every try: the call may have arrived and not hang yet.
        world.cognito.release();
        let calls = world.cognito.calls_for(POOL, username);
        let applied = calls
            .get(1)
            .is_some_and(|call| call.outcome == Outcome::Applied);
        applied.then_some(()).ok_or_else(|| format!("{calls:#?}"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_during_an_api_server_outage_is_recorded_afterwards_and_not_repeated() {
    let plane = ControlPlane::start();
    let world = World::on(&plane, "outage").await;
    let operator = world.operator().await;
    for name in ["recorded", "followed"] {
        world.in_sync(name, FIRST).await;
    }
    world
        .cognito
        .next_for((POOL, "recorded"), [Fault::HangBefore]);
    world.apply_secret("recorded", "password", SECOND).await;
    second_call_hangs(&world, "recorded").await;
    plane.stop_api_server();
    release_second_call(&world, "recorded").await;
    wait_log(&operator, "the status could not be written").await;
    wait_unready(&operator, &["watch of ", &world.namespace]).await;

    plane.start_api_server().await;
    // Right after the outage, before the watches have noticed.
    world.apply_secret("followed", "password", SECOND).await;
    world.wait_set("followed", SECOND).await;
    let recorded = world.wait_set("recorded", SECOND).await;
    let ready = condition(&recorded, "Ready").expect("it is judged");
    assert_eq!(ready["reason"], "PasswordSet", "not inferred: {ready}");
    for name in ["recorded", "followed"] {
        world.assert_calls(name, &[FIRST, SECOND]).await;
    }
    operator.wait_ready(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_doesnt_answer_is_an_outage_too() {
    let plane = ControlPlane::start();
    let world = World::on(&plane, "frozen").await;
    let operator = world.operator().await;
    world.in_sync("bot", FIRST).await;
    world.cognito.next_for((POOL, "bot"), [Fault::HangBefore]);
    world.apply_secret("bot", "password", SECOND).await;
    second_call_hangs(&world, "bot").await;
    plane.freeze_api_server();
    release_second_call(&world, "bot").await;
    wait_log(&operator, "the API server didn't answer within 5 s").await;
    plane.resume_api_server();
    world.wait_set("bot", SECOND).await;
    world.assert_calls("bot", &[FIRST, SECOND]).await;
    world
        .apply_secret("bot", "password", "Third-Passw0rd")
        .await;
    world.wait_set("bot", "Third-Passw0rd").await;
    world
        .assert_calls("bot", &[FIRST, SECOND, "Third-Passw0rd"])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_rights_are_named_until_they_are_granted() {
    let world = World::new("forbidden").await;
    let (plane, namespace) = (world.plane, &*world.namespace);
    plane.kubectl(&["create", "serviceaccount", "weak", "-n", namespace]);
    let token = plane.token_for(namespace, "weak");
    let kubeconfig = plane.kubeconfig_for_token(&format!("weak-{namespace}"), &token);
    let operator = world.builder().kubeconfig(&kubeconfig).start().await;
    let user = format!("\"system:serviceaccount:{namespace}:weak\"");
    let keys = "Secret cognito-password-operator/cognito-password-operator-fingerprint: ";
    wait_unready(&operator, &[keys, "forbidden", &user, "\"secrets\""]).await;
    assert_warned(&operator, &[keys, "forbidden"]);

    let grant = |binding: &str, role: &str, namespace_of_it: &str| {
        let subject = format!("--serviceaccount={namespace}:weak");
        let create = ["create", "rolebinding", binding, role, &subject, "-n"];
        plane.kubectl(&[&create[..], &[namespace_of_it]].concat());
    };
    grant(
        namespace,
        "--role=cognito-password-operator",
        operator::NAMESPACE,
    );
    let watches = [
        format!("watch of CognitoUserPasswords in {namespace}: "),
        format!("watch of Secrets in {namespace}: "),
    ];
    let both = [
        &*watches[0],
        &*watches[1],
        "cannot watch",
        "forbidden",
        &user,
    ];
    wait_unready(&operator, &both).await;
    // Each of the two watches has failed. (One failed watch could be named together with a watch that has not
    // listed yet.)
    eventually(SOON, async || {
        let (_, said) = operator.try_get("/readyz").await?;
        let forbidden = |watch: &String| {
            let mut lines = said.lines();
            lines.any(|line| line.starts_with(&**watch) && line.contains("cannot watch"))
        };
        watches
            .iter()
            .all(forbidden)
            .then_some(())
            .ok_or(said.clone())
    })
    .await;
    for watch in &watches {
        assert_warned(&operator, &[watch.trim_end_matches(": "), "forbidden"]);
    }
    let errors = "cognito_password_operator_watch_errors_total";
    for watch in ["resources", "secrets"] {
        assert!(operator.metric(errors, &[("watch", watch)]).await >= 1.0);
    }

    grant("weak", "--clusterrole=cognito-password-operator", namespace);
    operator.wait_ready(PATIENCE).await;
    world.in_sync("bot", FIRST).await;
    plane.kubectl(&[
        "delete",
        "rolebinding",
        namespace,
        "-n",
        operator::NAMESPACE,
    ]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_that_cant_be_read_is_reported_and_stops_nobody_else() {
    let marker = "Wr1tten-in-the-wrong-place";
    let plane = ControlPlane::start();
    let world = World::on(&plane, "undecodable").await;
    loosen(&plane);
    let namespace = &*world.namespace;
    let bad = |name: &str, spec: serde_json::Value| {
        let object = json!({
            "apiVersion": "cognito-password-operator.io/v1alpha1",
            "kind": "CognitoUserPassword",
            "metadata": { "name": name, "namespace": namespace },
            "spec": spec,
        });
        plane.try_kubectl(&["create", "-f", "-"], &object.to_string())
    };
    // The API server needs a moment to apply the looser schema.
    let wrong_type = json!({
        "userPoolId": POOL, "username": "one", "permanent": marker,
        "passwordSecretRef": { "name": "one", "key": "password" }, "suspend": false,
    });
    eventually(SOON, async || bad("one", wrong_type.clone()).map(drop)).await;
    let operator = world.operator().await;
    world.in_sync("good", FIRST).await;
    assert_reported(&world, &operator, "one", 1.0).await;

    // The same for a resource that comes later.
    let wrong_shape = json!({
        "userPoolId": POOL, "username": "two", "passwordSecretRef": marker,
        "permanent": true, "suspend": false,
    });
    bad("two", wrong_shape).expect("the looser schema allows it");
    assert_reported(&world, &operator, "two", 2.0).await;
    world.apply_secret("good", "password", SECOND).await;
    world.wait_set("good", SECOND).await;
    assert_eq!(world.cognito.call_count(), 2);

    // The operator serves a corrected resource like any other.
    world.cognito.add_user(POOL, "one");
    world.apply_secret("one", "password", FIRST).await;
    let change = json!({ "spec": { "permanent": true } });
    world.patch_resource("one", change).await;
    world.wait_set("one", FIRST).await;

    let events = plane.kubectl(&["get", "events", "-n", namespace, "-o", "json"]);
    let metrics = operator.metrics().await;
    for text in [operator.logs(), events, metrics] {
        assert!(!text.contains(marker), "what it says is repeated: {text}");
    }
}

/// The state after a rollback: a later version has written a status that this version can't decode.
#[tokio::test(flavor = "multi_thread")]
async fn a_resource_whose_status_cant_be_read_keeps_its_user_from_a_younger_one() {
    let plane = ControlPlane::start();
    let world = World::on(&plane, "illegible").await;
    let operator = world.operator().await;
    world.cognito.add_user(POOL, "bot");
    let of_bot = |resource: &mut serde_json::Value| resource["spec"]["username"] = json!("bot");
    world.apply_secret("older", "password", FIRST).await;
    world.apply_resource("older", of_bot).await;
    let older = world.wait_set("older", FIRST).await;
    super::duplicates::second_after(&older).await;
    loosen(&plane);
    let forged = json!({ "status": { "attempt": { "outcome": { "of": "a later version" } } } });
    let forge = async || {
        let api = resources(&world.client, &world.namespace);
        let patch = Patch::Merge(&forged);
        let params = PatchParams::default();
        let patched = api.patch_status("older", &params, &patch).await;
        patched.map_err(|error| error.to_string())
    };
    // The API server needs a moment to apply the looser schema.
    eventually(SOON, async || {
        let patched = forge().await?;
        let attempt = &patched.data["status"]["attempt"]["outcome"];
        let kept = (*attempt == forged["status"]["attempt"]["outcome"]).then_some(());
        kept.ok_or_else(|| patched.data.to_string())
    })
    .await;
    super::events::wait_for_one_event(&world, "older", "Undecodable").await;

    // A younger resource does not take over while the status can't be decoded,
    world.apply_secret("younger", "password", SECOND).await;
    world.apply_resource("younger", of_bot).await;
    world.wait("younger", "False", "DuplicateUser").await;
    // and not after a restart, when the new process has never decoded that status.
    assert!(operator.terminate(SOON).await.success());
    let operator = world.operator().await;
    world.fence().await;
    world.wait("younger", "False", "DuplicateUser").await;
    world.assert_calls("younger", &[FIRST]).await;

    // A corrected status can be decoded, and the older resource continues. Once the older resource is gone,
    // the younger one takes over.
    let mended = json!({ "status": { "attempt": null } });
    resources(&world.client, &world.namespace)
        .patch_status("older", &PatchParams::default(), &Patch::Merge(&mended))
        .await
        .expect("the looser schema allows it");
    world
        .apply_secret("older", "password", "Third-Passw0rd")
        .await;
    world.wait_set("older", "Third-Passw0rd").await;
    world.delete_resource("older").await;
    world.wait_set("younger", SECOND).await;
    let wanted = [FIRST, "Third-Passw0rd", SECOND];
    world.assert_calls("younger", &wanted).await;
    drop(operator);
}

/// Checks that the log, an Event and the metric report the resource that can't be decoded.
async fn assert_reported(world: &World<'_>, operator: &Operator, name: &str, count: f64) {
    let event = super::events::wait_for_one_event(world, name, "Undecodable").await;
    assert!(event.contains("skips it"), "{event}");
    let object = format!("{}/{name}", world.namespace);
    assert_warned(operator, &[&object, "can't be read and is skipped"]);
    let metric = "cognito_password_operator_undecodable_resources_total";
    let counted = operator.metric(metric, &[]).await;
    assert!(
        (counted - count).abs() < 0.5,
        "{counted} instead of {count}"
    );
}

/// Applies a CRD that accepts any status.
fn loosen(plane: &ControlPlane) {
    let crd = plane.kubectl(&["get", "crd", CRD, "-o", "json"]);
    let mut crd: serde_json::Value = serde_json::from_str(&crd).expect("kubectl writes JSON");
    let version = &mut crd["spec"]["versions"][0];
    version["selectableFields"] = json!(null);
    let anything = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    for part in ["spec", "status"] {
        version["schema"]["openAPIV3Schema"]["properties"][part] = anything.clone();
    }
    plane.kubectl_stdin(&["replace", "-f", "-"], &crd.to_string());
}
