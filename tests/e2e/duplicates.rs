//! Two resources for one user of one pool: the oldest manages the user, the other calls nothing, and
//! takes over when the oldest is gone.

use std::time::{Duration, SystemTime};

use futures::future::join_all;
use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::events::wait_for_one_event;
use super::kstatus::{Kstatus, kstatus, violations};
use super::world::{POOL, SOON, World, line, since};
use crate::support::{
    Call, Fault, Outcome, await_resource, condition, eventually, operator, resources,
};

const FIRST: &str = "First-Passw0rd";
const SECOND: &str = "Second-Passw0rd";
const THIRD: &str = "Third-Passw0rd";

/// Makes a Secret and a resource of one name, for this user.
async fn claim(world: &World<'_>, name: &str, username: &str, password: &str) {
    world.apply_secret(name, "password", password).await;
    let of_user = |resource: &mut Value| resource["spec"]["username"] = json!(username);
    world.apply_resource(name, of_user).await;
}

/// Makes a user with the password `FIRST`, whom the resource `older` manages. Ages are whole seconds, so this
/// returns once every further resource would be younger.
async fn managed(world: &World<'_>, username: &str) {
    world.cognito.add_user(POOL, username);
    claim(world, "older", username, FIRST).await;
    let older = world.wait_set("older", FIRST).await;
    wait_for_one_event(world, "older", "PasswordSet").await;
    second_after(&older).await;
}

pub(crate) async fn second_after(resource: &DynamicObject) {
    let created = resource.metadata.creation_timestamp.as_ref();
    let created = created.map_or(0, |created| created.0.as_second());
    eventually(SOON, async || {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(0));
        (now > created)
            .then_some(())
            .ok_or("the same second".to_owned())
    })
    .await;
}

fn message(resource: &DynamicObject) -> &str {
    condition(resource, "Ready")
        .and_then(|ready| ready["message"].as_str())
        .unwrap_or_default()
}

/// The passwords that were sent for a user, in order.
fn sent(world: &World<'_>, username: &str) -> Vec<String> {
    let calls = world.cognito.calls_for(POOL, username);
    calls.into_iter().map(|call| call.password).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_younger_of_two_resources_never_calls_cognito_and_the_older_is_not_disturbed() {
    let world = World::new("duplicate").await;
    let operator = world.operator().await;
    managed(&world, "shared").await;
    let mark = world.mark();
    claim(&world, "younger", "Shared", SECOND).await;
    let duplicate = world.wait("younger", "False", "DuplicateUser").await;
    assert_eq!(violations(&duplicate), [""; 0]);
    assert_eq!(kstatus(&duplicate), Kstatus::Failed);
    assert_eq!(
        message(&duplicate),
        "The older resource older manages this user of this pool already, so the operator didn't call Cognito: delete one of the two; or, if the pool is case-sensitive and the usernames differ \
         in case, name one of the users by the sub, in a new resource."
    );
    wait_for_one_event(&world, "younger", "DuplicateUser").await;

    world.apply_secret("younger", "password", THIRD).await;
    world.request("younger", "now").await;
    let answered = world
        .wait_for("younger", "answered", |resource| {
            resource.data["status"]["lastHandledReconcileAt"] == "now"
        })
        .await;
    assert_eq!(message(&answered), message(&duplicate));
    world.fence().await;
    let of_the_older: Vec<_> = world.requests(mark).iter().map(line).collect();
    let of_the_older: Vec<_> = of_the_older
        .iter()
        .filter(|line| line.contains("older"))
        .collect();
    assert!(of_the_older.is_empty(), "{of_the_older:#?}");
    let reads: Vec<_> = world.requests(mark);
    assert!(
        !reads.iter().any(|it| line(it) == "get secrets younger"),
        "its Secret isn't even read: {reads:#?}"
    );

    // A restart changes nothing either, and writes no status.
    assert!(operator.terminate(SOON).await.success());
    let mark = world.mark();
    let _operator = world.operator().await;
    world.fence().await;
    let writes: Vec<_> = world.status_writes(mark).iter().map(line).collect();
    assert_eq!(writes, [""; 0]);
    assert_eq!(sent(&world, "shared"), [FIRST]);
    assert_eq!(sent(&world, "Shared"), [""; 0]);

    // The operator still follows the older resource.
    world.apply_secret("older", "password", SECOND).await;
    world.wait_set("older", SECOND).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_oldest_resource_takes_over_at_once_when_the_oldest_is_deleted() {
    let world = World::new("handover").await;
    let _operator = world.operator().await;
    managed(&world, "shared").await;
    claim(&world, "younger", "shared", SECOND).await;
    let younger = world.wait("younger", "False", "DuplicateUser").await;
    second_after(&younger).await;
    claim(&world, "youngest", "shared", THIRD).await;
    world.wait("youngest", "False", "DuplicateUser").await;

    world.delete_resource("older").await;
    let taken_over = world.wait_set("younger", SECOND).await;
    assert_eq!(violations(&taken_over), [""; 0]);
    // The message names the new managing resource.
    world
        .wait_for("youngest", "told of the new one", |resource| {
            message(resource).contains("resource younger manages")
        })
        .await;
    // The deletion of a duplicate causes no call.
    world.delete_resource("youngest").await;
    world.fence().await;
    assert_eq!(sent(&world, "shared"), [FIRST, SECOND]);

    // The resource is deleted while no operator runs, so its absence from the next list tells of the
    // deletion.
    claim(&world, "youngest", "shared", THIRD).await;
    let youngest = world.wait("youngest", "False", "DuplicateUser").await;
    assert_eq!(youngest.data["status"]["synced"], json!(null));
    world.delete_resource("younger").await;
    world.wait_set("youngest", THIRD).await;
    assert_eq!(sent(&world, "shared"), [FIRST, SECOND, THIRD]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handover_missed_while_the_operator_was_down_happens_at_its_start() {
    let world = World::new("unseen").await;
    let operator = world.operator().await;
    managed(&world, "shared").await;
    claim(&world, "younger", "shared", SECOND).await;
    world.wait("younger", "False", "DuplicateUser").await;
    assert!(operator.terminate(SOON).await.success());
    world.delete_resource("older").await;
    let _operator = world.operator().await;
    world.wait_set("younger", SECOND).await;
    assert_eq!(sent(&world, "shared"), [FIRST, SECOND]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_names_nothing_of_an_older_resource_in_another_namespace() {
    let world = World::new("mine").await;
    let theirs = world.neighbour("theirs").await;
    let namespaces = [&*world.namespace, &*theirs.namespace];
    let operator = world.cluster_wide().namespaces(&namespaces).start().await;
    operator.wait_ready(SOON).await;
    managed(&theirs, "shared").await;
    claim(&world, "younger", "SHARED", SECOND).await;
    let duplicate = world.wait("younger", "False", "DuplicateUser").await;
    wait_for_one_event(&world, "younger", "DuplicateUser").await;
    let older = theirs.resource("older").await;
    let events = world.events("younger", "DuplicateUser").await;
    let said = format!("{:#}\n{events:#?}", duplicate.data);
    let uid = older.metadata.uid.expect("it has one");
    for of_theirs in [&theirs.namespace, &uid] {
        assert!(!said.contains(of_theirs), "{of_theirs}: {said}");
    }
    assert_eq!(
        message(&duplicate),
        "An older resource in another namespace manages this user of this pool already, so the operator didn't call Cognito: delete this resource, or have the other one deleted; or, if the \
         pool is case-sensitive and the usernames differ in case, name the user by the sub, in a \
         new resource."
    );

    // When the other namespace is deleted, the user is free.
    world.cognito.add_user(POOL, "SHARED");
    theirs.delete_resource("older").await;
    world.wait_set("younger", SECOND).await;
    assert_eq!(sent(&world, "shared"), [FIRST]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_uid_decides_between_two_resources_created_in_the_same_second() {
    let world = World::new("same-second").await;
    let _operator = world.operator().await;
    world
        .cognito
        .always(Fault::Latency(Duration::from_millis(100)));
    // Uids are random: in every other pair, the resource that acts first has the lower uid.
    let (mut pairs, mut changed_hands) = (0, 0);
    while changed_hands == 0 {
        assert!(pairs < 80, "in none the younger one acted first");
        let usernames: Vec<_> = (pairs..pairs + 8)
            .map(|pair| format!("user-{pair}"))
            .collect();
        pairs += usernames.len();
        join_all(usernames.iter().map(|username| rivals(&world, username))).await;
        for username in usernames {
            changed_hands += usize::from(judged(&world, &username).await == 2);
        }
    }
    assert_eq!(world.cognito.max_in_flight_per_user(), 1);
    world.fence().await;
    let calls = world.cognito.calls();
    let calls = calls.iter().filter(|it| it.username.starts_with("user-"));
    assert_eq!(calls.count(), pairs + changed_hands);
}

/// Makes two resources for one user. The second comes while the call for the first is under way.
async fn rivals(world: &World<'_>, username: &str) {
    world.cognito.add_user(POOL, username);
    for half in ["a", "b"] {
        let name = format!("{username}-{half}");
        claim(world, &name, username, &format!("Passw0rd-{name}")).await;
        let called = |calls: &[Call]| calls.iter().any(|call| call.username == username);
        world.cognito.wait_until("a call", SOON, called).await;
    }
}

/// Waits until one of the pair manages the user and the other is a duplicate. Returns the number of calls.
async fn judged(world: &World<'_>, username: &str) -> usize {
    let mut rivals = Vec::new();
    for half in ["a", "b"] {
        let name = format!("{username}-{half}");
        let metadata = world.resource(&name).await.metadata;
        rivals.push((metadata.creation_timestamp, metadata.uid, name));
    }
    rivals.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
    let [(.., winner), (.., loser)] = &rivals[..] else {
        panic!("a pair: {rivals:?}");
    };
    world.wait_set(winner, &format!("Passw0rd-{winner}")).await;
    let lost = world.wait(loser, "False", "DuplicateUser").await;
    let status = &lost.data["status"];
    assert_eq!(status["attempt"], json!(null), "{status:#}");
    let sent = sent(world, username);
    assert_eq!(sent.last(), Some(&format!("Passw0rd-{winner}")), "{sent:?}");
    sent.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_resource_and_one_on_its_way_out_keep_their_user() {
    let world = World::new("keeps").await;
    let _operator = world.operator().await;
    managed(&world, "shared").await;
    let suspend = |suspend: bool| json!({ "spec": { "suspend": suspend } });
    let hold = |finalizers: Value| json!({ "metadata": { "finalizers": finalizers } });
    world.patch_resource("older", suspend(true)).await;
    claim(&world, "younger", "shared", SECOND).await;
    world.wait("younger", "False", "DuplicateUser").await;
    world
        .patch_resource("older", hold(json!(["example.com/hold"])))
        .await;
    world.patch_resource("older", suspend(false)).await;
    world.delete_resource("older").await;
    world.apply_secret("younger", "password", THIRD).await;
    world.fence().await;
    world.wait("younger", "False", "DuplicateUser").await;
    assert_eq!(sent(&world, "shared"), [FIRST]);

    // A suspended successor waits until a person resumes the successor.
    world.patch_resource("younger", suspend(true)).await;
    world.patch_resource("older", hold(json!(null))).await;
    world.fence().await;
    assert_eq!(sent(&world, "shared"), [FIRST]);
    world.patch_resource("younger", suspend(false)).await;
    world.wait_set("younger", THIRD).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_recreated_for_another_user_leaves_its_former_user_to_the_next_oldest() {
    let world = World::new("anew").await;
    let operator = world.operator().await;
    managed(&world, "shared").await;
    claim(&world, "younger", "shared", SECOND).await;
    let younger = world.wait("younger", "False", "DuplicateUser").await;
    world.cognito.add_user(POOL, "other");
    second_after(&younger).await;
    // Both changes reach the operator at once.
    operator.pause();
    world.delete_resource("older").await;
    claim(&world, "older", "other", THIRD).await;
    operator.resume();
    world.wait_set("older", THIRD).await;
    world.wait_set("younger", SECOND).await;

    // The resource returns to the first user, now as the younger one.
    world.delete_resource("older").await;
    claim(&world, "older", "shared", FIRST).await;
    let back = world.wait("older", "False", "DuplicateUser").await;
    assert!(message(&back).contains("resource younger manages"));
    assert_eq!(sent(&world, "shared"), [FIRST, SECOND]);
    assert_eq!(sent(&world, "other"), [THIRD]);
}

/// Takes longer than the quarantine.
#[tokio::test(flavor = "multi_thread")]
async fn a_resource_that_takes_over_waits_for_the_quarantine_of_the_former_ones_lost_call() {
    let world = World::new("lost-handover").await;
    let _operator = world.operator().await;
    managed(&world, "shared").await;
    claim(&world, "younger", "shared", THIRD).await;
    world.wait("younger", "False", "DuplicateUser").await;
    let late = Fault::LandLate(Duration::from_secs(12));
    world.cognito.next_for((POOL, "shared"), [late]);
    world.apply_secret("older", "password", SECOND).await;
    let under_way = |calls: &[Call]| calls.iter().any(|call| call.password == SECOND);
    world
        .cognito
        .wait_until("the call that gets lost", SOON, under_way)
        .await;
    let began = world.attempt_since("older").await;
    world.delete_resource("older").await;
    world
        .wait_for("younger", "waiting for the lost call", |resource| {
            message(resource).contains("an earlier call whose reply was lost")
        })
        .await;
    assert_eq!(sent(&world, "shared"), [FIRST, SECOND]);
    let id = (&*world.namespace, "younger");
    let deadline = Duration::from_secs(30) + SOON;
    await_resource(&world.client, id, deadline, "set", |resource| {
        condition(resource, "Ready").is_some_and(|ready| ready["status"] == "True")
    })
    .await;
    let calls = world.cognito.calls_for(POOL, "shared");
    let [_, lost, next] = &calls[..] else {
        panic!("three calls: {calls:#?}");
    };
    assert_eq!(lost.outcome, Outcome::Lost { applied: true }, "it landed");
    let waited = since(began, next.arrived);
    assert!(waited >= Duration::from_secs(30), "{waited:?}");
    let current = world.cognito.password_of(POOL, "shared");
    assert_eq!(current.as_deref(), Some(THIRD));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_cant_be_listed_holds_up_the_others_for_moments_only() {
    let world = World::new("open").await;
    let closed = world.neighbour("closed").await;
    let (plane, namespace) = (world.plane, &*world.namespace);
    plane.kubectl(&["create", "serviceaccount", "weak", "-n", namespace]);
    let grant = |role: &str, of: &str| {
        let subject = format!("--serviceaccount={namespace}:weak");
        let create = ["create", "rolebinding", namespace, role, &subject, "-n", of];
        plane.kubectl(&create);
    };
    grant("--role=cognito-password-operator", operator::NAMESPACE);
    grant("--clusterrole=cognito-password-operator", namespace);
    let namespaces = [namespace, &closed.namespace];
    let both = world.cluster_wide().namespaces(&namespaces).start().await;
    managed(&closed, "shared").await;
    claim(&world, "younger", "shared", SECOND).await;
    world.wait("younger", "False", "DuplicateUser").await;
    assert!(both.terminate(SOON).await.success());

    let token = plane.token_for(namespace, "weak");
    let kubeconfig = plane.kubeconfig_for_token(&format!("weak-{namespace}"), &token);
    let operator = world
        .cluster_wide()
        .namespaces(&namespaces)
        .kubeconfig(&kubeconfig)
        .start()
        .await;
    world.wait_set("younger", SECOND).await;
    let errors = "cognito_password_operator_watch_errors_total";
    let errors = operator.metric(errors, &[("watch", "resources")]).await;
    assert!(errors >= 3.0, "not waited for: {errors} errors");

    // A resource that appears there later is older all the same. The user was set in the meantime, so the
    // record of that resource counts no more.
    grant("--clusterrole=cognito-password-operator", &closed.namespace);
    let duplicate = world.wait("younger", "False", "DuplicateUser").await;
    assert!(!message(&duplicate).contains(&closed.namespace));
    closed.wait_set("older", FIRST).await;
    world.fence().await;
    closed.wait_set("older", FIRST).await;
    assert_eq!(sent(&world, "shared"), [FIRST, SECOND, FIRST]);
    plane.kubectl(&[
        "delete",
        "rolebinding",
        namespace,
        "-n",
        operator::NAMESPACE,
    ]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_attempt_of_a_duplicate_is_neither_lost_nor_sent_again_meanwhile() {
    let world = World::new("open-attempt").await;
    managed_by_nobody(&world).await;
    let _operator = world.operator().await;
    // The younger resource has a record, as if the resource had managed the user before and its last call had
    // got no reply.
    let duplicate = world.wait("younger", "False", "DuplicateUser").await;
    let status = &duplicate.data["status"];
    assert_eq!(status["attempt"]["outcome"], "Unknown", "{status:#}");
    world.wait_set("older", FIRST).await;
    world.fence().await;
    assert_eq!(sent(&world, "shared"), [FIRST]);
    world.delete_resource("older").await;
    world.wait_set("younger", SECOND).await;
    assert_eq!(sent(&world, "shared"), [FIRST, SECOND]);
}

/// Makes two resources for one user. The younger one has an open attempt on record, with a fingerprint whose
/// key is gone.
async fn managed_by_nobody(world: &World<'_>) {
    world.cognito.add_user(POOL, "shared");
    claim(world, "older", "shared", FIRST).await;
    second_after(&world.resource("older").await).await;
    claim(world, "younger", "shared", SECOND).await;
    let fingerprint = format!("00000000.{}", "0".repeat(64));
    let status = json!({ "status": {
        "synced": {
            "fingerprint": fingerprint, "secretUid": "gone", "secretResourceVersion": "1",
            "at": "2026-01-01T00:00:00.000000Z",
        },
        "attempt": {
            "id": "0123456789abcdef", "fingerprint": fingerprint, "generation": 1,
            "secretUid": "gone", "secretResourceVersion": "2",
            "startedAt": "2026-01-01T00:00:00.000000Z", "outcome": "Unknown",
        },
    }});
    resources(&world.client, &world.namespace)
        .patch_status(
            "younger",
            &kube::api::PatchParams::default(),
            &kube::api::Patch::Merge(&status),
        )
        .await
        .expect("the administrator may");
}
