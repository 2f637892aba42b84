//! A resource of each class of reasons in each phase, made by the operator in a real API server.

use std::time::Duration;

use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::support::{Fault, await_resource, condition, eventually, grants, resource, resources};
use crate::world::{POOL, SOON, World};

const PASSWORD: &str = "First-Passw0rd";
const ROLE: &str = "arn:aws:iam::111122223333:role/team-a";

/// A class of reasons, by one of its reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// No operator has seen the resource.
    New,
    Settled,
    Stalled,
    Waiting,
    /// Waiting for more than five minutes.
    Overdue,
    Transient,
    Unknown,
    /// Set, until looks found that somebody reset the password: stalled, with the condition Verified.
    Drifted,
}

/// What happened after the operator judged the resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing.
    Observed,
    /// The spec was changed, which the operator has not observed.
    Stale,
    /// The resource was suspended, which the operator has observed.
    Suspended,
    /// The resource was suspended, which the operator has not observed.
    SuspendedStale,
    /// The suspension was ended, which the operator has not observed.
    ResumedStale,
    /// The resource was deleted, and a finalizer holds the resource.
    Deleted,
}

/// The object that Argo CD sees.
pub(super) struct Case {
    pub(super) class: Class,
    pub(super) phase: Phase,
    pub(super) object: Value,
}

impl Case {
    pub(super) fn name(&self) -> String {
        name(self.class, self.phase)
    }
}

const CLASSES: [Class; 7] = [
    Class::New,
    Class::Settled,
    Class::Stalled,
    Class::Waiting,
    Class::Overdue,
    Class::Transient,
    Class::Unknown,
];

const PHASES: [Phase; 5] = [
    Phase::Observed,
    Phase::Stale,
    Phase::Suspended,
    Phase::SuspendedStale,
    Phase::ResumedStale,
];

/// For what two looks take to find: a pass more than a minute after the set, and a lookup a minute later. The rest is
/// for a busy machine.
const TWO_LOOKS: Duration = Duration::from_mins(8);

fn name(class: Class, phase: Phase) -> String {
    let phase = match phase {
        Phase::Observed => "observed",
        Phase::Stale => "stale",
        Phase::Suspended => "suspended",
        Phase::SuspendedStale => "suspended-stale",
        Phase::ResumedStale => "resumed-stale",
        Phase::Deleted => "deleted",
    };
    format!("{class:?}-{phase}").to_lowercase()
}

impl Class {
    /// Cognito's answer to each call.
    fn fault(self) -> Option<Fault> {
        match self {
            Class::New | Class::Settled | Class::Drifted => None,
            Class::Stalled => Some(Fault::error(
                "InvalidPasswordException",
                "Password did not conform with policy: Password not long enough",
            )),
            Class::Waiting | Class::Overdue => {
                Some(Fault::error("NotAuthorizedException", "User is disabled."))
            }
            Class::Transient => Some(Fault::error("TeapotException", "I can't brew coffee.")),
            Class::Unknown => Some(Fault::internal_error()),
        }
    }

    /// Status and reason of the condition Ready.
    fn ready(self) -> Option<(&'static str, &'static str)> {
        match self {
            Class::New => None,
            Class::Settled => Some(("True", "PasswordSet")),
            Class::Stalled => Some(("False", "InvalidPassword")),
            Class::Waiting | Class::Overdue => Some(("False", "NotAuthorized")),
            Class::Transient => Some(("False", "UnhandledError")),
            Class::Unknown => Some(("Unknown", "InternalError")),
            Class::Drifted => Some(("False", "PasswordReset")),
        }
    }
}

fn holds(object: &DynamicObject, kind: &str) -> bool {
    condition(object, kind).is_some_and(|it| it["status"] == "True")
}

fn observed(object: &DynamicObject, kind: &str) -> bool {
    let generation = condition(object, kind).and_then(|it| it["observedGeneration"].as_i64());
    generation.is_some() && generation == object.metadata.generation
}

fn suspend(suspend: bool) -> Value {
    json!({ "spec": { "suspend": suspend } })
}

/// All cases of the kind `CognitoUserPassword`.
pub(super) async fn resources_of(world: &World<'_>) -> Vec<Case> {
    let mut cases: Vec<_> = CLASSES
        .into_iter()
        .flat_map(|class| PHASES.map(|phase| (class, phase)))
        .collect();
    cases.push((Class::Settled, Phase::Deleted));
    cases.push((Class::Drifted, Phase::Observed));
    // The operator sees these suspended ones before it sees anything else of them.
    let begins_suspended = |(class, phase): (Class, Phase)| {
        class == Class::New && matches!(phase, Phase::Suspended | Phase::ResumedStale)
    };
    let judged = |case: (Class, Phase)| case.0 != Class::New || begins_suspended(case);
    for case in cases.iter().copied().filter(|case| judged(*case)) {
        let name = name(case.0, case.1);
        world.cognito.add_user(POOL, &name);
        if let Some(fault) = case.0.fault() {
            world.cognito.always_for((POOL, &name), fault);
        }
        world.apply_secret(&name, "password", PASSWORD).await;
        let begins_suspended = begins_suspended(case);
        world
            .apply_resource(&name, |resource| {
                resource["spec"]["suspend"] = json!(begins_suspended);
                if case.0 == Class::Drifted {
                    resource["spec"]["drift"] = json!("Report");
                }
            })
            .await;
    }
    // An operator that stops may leave an attempt open that it had just begun. The next operator finishes it.
    for round in 1.. {
        let operator = world.cluster_wide().start().await;
        operator.wait_ready(SOON).await;
        for &(class, phase) in cases.iter().filter(|case| judged(**case)) {
            judge(world, class, phase).await;
        }
        assert!(operator.terminate(SOON).await.success());
        let mut restless = Vec::new();
        for &(class, phase) in cases.iter().filter(|case| judged(**case)) {
            let object = world.resource(&name(class, phase)).await;
            if !fits(&object, class) {
                // A suspended resource stays as it is until the suspension ends.
                world
                    .patch_resource(&name(class, phase), suspend(false))
                    .await;
                restless.push(object);
            }
        }
        if restless.is_empty() {
            break;
        }
        assert!(round < 10, "never as wanted: {restless:#?}");
    }
    for &(class, phase) in &cases {
        let name = name(class, phase);
        if !judged((class, phase)) {
            world.apply_resource(&name, |_| ()).await;
        }
        let change = match phase {
            Phase::Observed | Phase::Suspended => continue,
            Phase::Stale => json!({ "spec": { "permanent": false } }),
            Phase::SuspendedStale => suspend(true),
            Phase::ResumedStale => suspend(false),
            Phase::Deleted => json!({ "metadata": { "finalizers": ["example.com/hold"] } }),
        };
        world.patch_resource(&name, change).await;
        if phase == Phase::Deleted {
            world.delete_resource(&name).await;
        }
    }
    let mut found = Vec::new();
    for (class, phase) in cases {
        let object = resource(&world.client, &world.namespace, &name(class, phase)).await;
        found.push(Case {
            class,
            phase,
            object: stable(&object, "CognitoUserPassword"),
        });
    }
    let release = json!({ "metadata": { "finalizers": null } });
    world
        .patch_resource(&name(Class::Settled, Phase::Deleted), release)
        .await;
    found
}

/// Waits until the running operator has judged a resource, and observed its suspension.
async fn judge(world: &World<'_>, class: Class, phase: Phase) {
    let name = name(class, phase);
    let is_suspended = world.resource(&name).await.data["spec"]["suspend"] == true;
    if let (Some((status, reason)), false) = (class.ready(), is_suspended) {
        if class == Class::Drifted {
            drift(world, &name).await;
        }
        world.wait(&name, status, reason).await;
        if class == Class::Overdue {
            overdue(world, &name).await;
        }
    }
    if matches!(phase, Phase::Suspended | Phase::ResumedStale) {
        world.patch_resource(&name, suspend(true)).await;
        world
            .wait_for(&name, "suspended", |it| observed(it, "Suspended"))
            .await;
    }
}

/// Has somebody reset the user once the password is set, and waits until looks have found that.
async fn drift(world: &World<'_>, name: &str) {
    let is = |reason: &str| {
        let reason = reason.to_owned();
        move |it: &DynamicObject| condition(it, "Ready").is_some_and(|it| it["reason"] == *reason)
    };
    let (is_set, is_reset) = (is("PasswordSet"), is("PasswordReset"));
    let judged = |it: &DynamicObject| is_set(it) || is_reset(it);
    let found = world.wait_for(name, "set or reset", judged).await;
    if is_set(&found) {
        world.cognito.reset_user(POOL, name);
    }
    let resource = (&*world.namespace, name);
    await_resource(&world.client, resource, TWO_LOOKS, "reset", is_reset).await;
}

/// Moves the begin of the wait into the past, and has the operator judge again.
async fn overdue(world: &World<'_>, name: &str) {
    let mut conditions = world.status(name).await["conditions"].clone();
    for condition in conditions.as_array_mut().expect("a list") {
        condition["lastTransitionTime"] = json!("2026-01-01T00:00:00Z");
    }
    let since = json!({ "status": { "conditions": conditions } });
    resources(&world.client, &world.namespace)
        .patch_status(name, &PatchParams::default(), &Patch::Merge(&since))
        .await
        .expect("the administrator may");
    world.request(name, "later").await;
    world
        .wait_for(name, "stalled by the request", |it| {
            // A recheck without the request may come first.
            holds(it, "Stalled") && it.data["status"]["failures"]["request"] == "later"
        })
        .await;
}

/// Whether the operator left nothing unfinished.
fn fits(object: &DynamicObject, class: Class) -> bool {
    let ready = condition(object, "Ready").map(|it| (&it["status"], &it["reason"]));
    let attempt = &object.data["status"]["attempt"];
    ready.is_none() == class.ready().is_none()
        && class.ready().is_none_or(|(status, reason)| {
            ready.is_some_and(|ready| *ready.0 == *status && *ready.1 == *reason)
        })
        && *attempt.get("outcome").unwrap_or(&Value::Null) != *"Pending"
}

/// The grants: class, phase and object.
pub(super) async fn grants_of(world: &World<'_>) -> Vec<Case> {
    let words = "User is not authorized to perform: sts:AssumeRole on resource: team-a";
    world.cognito.refuse_role(ROLE, "AccessDenied", words);
    let api = grants(&world.client);
    let mut cases = Vec::new();
    for class in [Class::New, Class::Settled, Class::Stalled, Class::Waiting] {
        cases.extend([Phase::Observed, Phase::Stale].map(|phase| (class, phase)));
    }
    let create = async |class, phase| {
        let mut grant = json!({
            "apiVersion": "cognito-password-operator.io/v1alpha1",
            "kind": "CognitoUserPoolGrant",
            "metadata": { "name": name(class, phase) },
            "spec": {
                "userPoolId": POOL,
                "usernames": ["team-a-*"],
                "namespaces": { "names": ["team-a"] },
            },
        });
        match class {
            // The name of a role has at most 64 characters, which no pattern of the CRD says.
            Class::Stalled => {
                grant["spec"]["roleArn"] = json!(format!("{ROLE}-{}", "x".repeat(60)));
            }
            Class::Waiting => grant["spec"]["roleArn"] = json!(ROLE),
            _ => {}
        }
        let grant: DynamicObject = serde_json::from_value(grant).expect("an object");
        api.create(&PostParams::default(), &grant)
            .await
            .unwrap_or_else(|error| panic!("could not create a grant: {error}"));
    };
    for (class, phase) in cases.iter().copied().filter(|case| case.0 != Class::New) {
        create(class, phase).await;
    }
    let operator = world.cluster_wide().start().await;
    operator.wait_ready(SOON).await;
    for (class, phase) in cases.iter().copied().filter(|case| case.0 != Class::New) {
        let (status, reason) = match class {
            Class::Stalled => ("False", "InvalidSpec"),
            Class::Waiting => ("False", "InvalidCredentials"),
            _ => ("True", "Accepted"),
        };
        eventually(SOON, async || {
            let object = api.get(&name(class, phase)).await.expect("it is there");
            let is = |it: &Value| it["status"] == status && it["reason"] == reason;
            let told = condition(&object, "Ready").is_some_and(is);
            told.then_some(()).ok_or_else(|| format!("{object:#?}"))
        })
        .await;
    }
    assert!(operator.terminate(SOON).await.success());
    let mut found = Vec::new();
    for (class, phase) in cases {
        if class == Class::New {
            create(class, phase).await;
        }
        let name = name(class, phase);
        if phase == Phase::Stale {
            let change = json!({ "spec": { "usernames": ["team-a-*", "more"] } });
            let change = Patch::Merge(&change);
            let changed = api.patch(&name, &PatchParams::default(), &change).await;
            changed.unwrap_or_else(|error| panic!("could not change {name}: {error}"));
        }
        let object = api.get(&name).await.expect("it is there");
        found.push(Case {
            class,
            phase,
            object: stable(&object, "CognitoUserPoolGrant"),
        });
        let deleted = api.delete(&name, &kube::api::DeleteParams::default()).await;
        deleted.unwrap_or_else(|error| panic!("could not delete {name}: {error}"));
    }
    found
}

/// The object without what differs between two runs: ids, times, versions, the name of the namespace, and how often
/// the operator tried.
fn stable(object: &DynamicObject, kind: &str) -> Value {
    let mut object = serde_json::to_value(object).expect("an object is JSON");
    object["apiVersion"] = json!("cognito-password-operator.io/v1alpha1");
    object["kind"] = json!(kind);
    let metadata = object["metadata"].as_object_mut().expect("an object");
    metadata.remove("managedFields");
    if metadata.contains_key("namespace") {
        metadata.insert("namespace".to_owned(), json!("team-a"));
    }
    stabilize(&mut object);
    object
}

fn stabilize(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match (key.as_str(), &*value) {
                    ("uid" | "secretUid" | "id", Value::String(_)) => {
                        *value = json!("00000000-0000-4000-8000-000000000000");
                    }
                    ("resourceVersion" | "secretResourceVersion", _) => *value = json!("1"),
                    ("fingerprint", _) => *value = json!("key:hmac"),
                    ("count", _) => *value = json!(1),
                    _ => stabilize(value),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(stabilize),
        Value::String(text) if text.parse::<jiff::Timestamp>().is_ok() => {
            *value = json!("2026-01-01T00:00:00Z");
        }
        _ => {}
    }
}
