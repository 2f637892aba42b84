//! The numbers of `/metrics` beside what the API server and Cognito know.

use std::collections::BTreeMap;

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::Api;
use serde_json::{Value, json};

use crate::support::{Operator, eventually, metrics::samples, operator};
use crate::world::{SOON, World};

const PREFIX: &str = "cognito_password_operator_";

/// Waits until a metric with these labels is as `wanted`.
async fn await_metric(
    operator: &Operator,
    name: &str,
    labels: &[(&str, &str)],
    wanted: impl Fn(f64) -> bool,
) {
    let name = format!("{PREFIX}{name}");
    eventually(SOON, async || {
        let value = operator.metric(&name, labels).await;
        if wanted(value) {
            Ok(())
        } else {
            Err(format!("{name}{labels:?} is {value}"))
        }
    })
    .await;
}

/// The number of requests by verb and resource. Watches, and events, which come in their own time, are left out.
type Requests = BTreeMap<(String, String), u64>;

fn is_counted(verb: &str, resource: &str) -> bool {
    verb != "watch" && resource != "events" && !resource.starts_with("selfsubject")
}

/// What the operator has counted.
async fn counted(operator: &Operator) -> Requests {
    let mut requests = Requests::new();
    for (name, labels, value) in samples(&operator.metrics().await) {
        if name != format!("{PREFIX}kubernetes_requests_total") {
            continue;
        }
        let label = |name| {
            let found = labels.iter().find(|(label, _)| label == name);
            found.expect("the label is there").1.clone()
        };
        let (verb, resource) = (label("verb"), label("resource"));
        let is_whole = value.fract() == 0.0 && (0.0..1e9).contains(&value);
        assert!(is_whole, "{name} {labels:?} {value}");
        if is_counted(&verb, &resource) {
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "checked above"
            )]
            let value = value as u64;
            *requests.entry((verb, resource)).or_default() += value;
        }
    }
    requests
}

/// What the API server has in its audit log.
fn audited(requests: &[Value]) -> Requests {
    let mut found = Requests::new();
    for request in requests {
        let text = |pointer| {
            let value = request.pointer(pointer).and_then(Value::as_str);
            value.unwrap_or_default().to_owned()
        };
        let subresource = text("/objectRef/subresource");
        let mut resource = text("/objectRef/resource");
        if !subresource.is_empty() {
            resource = format!("{resource}/{subresource}");
        }
        let verb = text("/verb");
        if is_counted(&verb, &resource) {
            *found.entry((verb, resource)).or_default() += 1;
        }
    }
    found
}

#[tokio::test]
async fn requests_to_the_api_server_are_counted_as_the_audit_log_has_them() {
    let world = World::new("requests").await;
    let mark = world.mark();
    let operator = world.operator().await;
    world.in_sync("bot", "First-Passw0rd").await;
    world.cognito.add_user(crate::world::POOL, "other");
    // No Secret, and so a 404 that no password follows.
    world.apply_resource("other", |_| ()).await;
    world.wait("other", "False", "SecretNotFound").await;
    let requests = eventually(SOON, async || {
        let (counted, audited) = (counted(&operator).await, audited(&world.requests(mark)));
        if counted == audited {
            Ok(counted)
        } else {
            Err(format!(
                "counted {counted:#?}, but the audit log has {audited:#?}"
            ))
        }
    })
    .await;
    let count = |verb: &str, resource: &str| {
        let key = (verb.to_owned(), resource.to_owned());
        requests.get(&key).copied().unwrap_or_default()
    };
    // Two writes for the set, and one for the resource that waits.
    let writes = count("patch", "cognitouserpasswords/status")
        + count("update", "cognitouserpasswords/status");
    assert!(writes >= 3, "{requests:#?}");
    assert!(count("get", "secrets") >= 2, "{requests:#?}");
    assert!(
        !requests.keys().any(|(_, resource)| resource == "other"),
        "{requests:#?}"
    );
}

#[tokio::test]
async fn the_oldest_failure_and_the_oldest_suspension_are_measured() {
    let world = World::new("health").await;
    let operator = world.operator().await;
    let age = async |class| {
        let name = format!("{PREFIX}oldest_unready_seconds");
        operator.metric(&name, &[("class", class)]).await
    };
    world.in_sync("bot", "First-Passw0rd").await;
    assert!(age("waiting").await < 1.0 && age("stalled").await < 1.0);

    world.apply_resource("late", |_| ()).await;
    world.wait("late", "False", "SecretNotFound").await;
    let waiting = [("class", "waiting")];
    await_metric(&operator, "oldest_unready_seconds", &waiting, |age| {
        age >= 1.0
    })
    .await;
    assert!(age("stalled").await < 1.0);

    world
        .patch_resource("late", json!({ "spec": { "suspend": true } }))
        .await;
    await_metric(&operator, "resources_suspended", &[], |count| {
        (0.5..1.5).contains(&count)
    })
    .await;
    await_metric(&operator, "oldest_suspended_seconds", &[], |age| age >= 1.0).await;
    assert!(age("waiting").await < 1.0, "a suspended resource counts");

    world.delete_resource("late").await;
    await_metric(&operator, "resources_suspended", &[], |count| count < 0.5).await;
    await_metric(&operator, "oldest_suspended_seconds", &[], |age| age < 0.5).await;
}

#[tokio::test]
async fn grants_and_changes_of_the_leader_are_measured() {
    let (world, _turn) = World::alone("measured").await;
    let operator = world.cluster_wide().leader_elect().start().await;
    operator.wait_ready(SOON).await;
    world.in_sync("bot", "First-Passw0rd").await;
    let one = |count: f64| (0.5..1.5).contains(&count);
    let of = |reason| [("reason", reason)];
    await_metric(&operator, "grants", &of("Accepted"), one).await;
    await_metric(&operator, "grants", &of("InvalidCredentials"), |count| {
        count < 0.5
    })
    .await;
    // STS lets nobody assume this role.
    let role = "arn:aws:iam::111122223333:role/passwords";
    world
        .grant(|grant| grant["spec"]["roleArn"] = json!(role))
        .await;
    await_metric(&operator, "grants", &of("InvalidCredentials"), one).await;
    await_metric(&operator, "grants", &of("Accepted"), |count| count < 0.5).await;
    let role = [("identity", "role")];
    await_metric(&operator, "credential_failures_total", &role, |count| {
        count >= 1.0
    })
    .await;

    let leases: Api<Lease> = Api::namespaced(world.client.clone(), operator::NAMESPACE);
    let lease = leases.get("cognito-password-operator").await;
    let lease = lease.expect("the Lease").spec.unwrap_or_default();
    let transitions = f64::from(lease.lease_transitions.unwrap_or_default());
    await_metric(&operator, "leader_transitions_total", &[], |count| {
        (count - transitions).abs() < 0.5
    })
    .await;
    await_metric(&operator, "lease_failures_total", &[], |count| count < 0.5).await;
    assert!(operator.terminate(SOON).await.success());
    let next = world.cluster_wide().leader_elect().start().await;
    next.wait_ready(SOON).await;
    await_metric(&next, "leader_transitions_total", &[], |count| {
        count > transitions + 0.5
    })
    .await;
}

#[tokio::test]
async fn failures_of_credentials_are_counted() {
    let world = World::new("uncredited").await;
    let operator = world.builder().no_credentials().start().await;
    operator.wait_ready(SOON).await;
    world.cognito.add_user(crate::world::POOL, "bot");
    world
        .apply_secret("bot", "password", "First-Passw0rd")
        .await;
    world.apply_resource("bot", |_| ()).await;
    world.wait("bot", "False", "InvalidCredentials").await;
    let own = [("identity", "operator")];
    await_metric(&operator, "credential_failures_total", &own, |count| {
        count >= 1.0
    })
    .await;
    let role = operator
        .metric(
            &format!("{PREFIX}credential_failures_total"),
            &[("identity", "role")],
        )
        .await;
    assert!(role.abs() < 0.5, "{role}");
}
