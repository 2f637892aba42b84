//! The status of a resource for Flux and Helm, by kstatus itself, and kstatus' conventions for every resource that
//! the operator has processed.

use std::collections::{HashMap, HashSet};
use std::sync::{LazyLock, Mutex, PoisonError};

use kube::api::DynamicObject;
use serde_json::{Value, json};

use crate::support::{ControlPlane, Version, condition};

pub(crate) use crate::support::kstatus::Kstatus;
use crate::support::kstatus::kstatus_of;

/// The kstatus of a resource, by the real library.
pub(crate) fn kstatus(resource: &DynamicObject) -> Kstatus {
    kstatus_of(&[resource])[0]
}

/// The kstatus of a version of a resource or grant, by the table in docs/gitops.md.
fn promised(object: &Value) -> Kstatus {
    let generation = &object["metadata"]["generation"];
    let conditions = object["status"]["conditions"].as_array();
    let latest = |kind: &str| conditions?.iter().find(|it| it["type"] == kind);
    let current = |kind| latest(kind).filter(|it| it["observedGeneration"] == *generation);
    let holds = |condition: Option<&Value>| condition.is_some_and(|it| it["status"] == "True");
    if !object["metadata"]["deletionTimestamp"].is_null() {
        return Kstatus::Terminating;
    }
    if holds(current("Suspended")) {
        // A suspended resource is never in progress, so that no program waits for it.
        return match latest("Ready") {
            Some(ready) if ready["status"] != "True" => Kstatus::Failed,
            _ => Kstatus::Current,
        };
    }
    if holds(current("Ready")) {
        Kstatus::Current
    } else if holds(current("Stalled")) {
        Kstatus::Failed
    } else {
        Kstatus::InProgress
    }
}

/// The statuses that the operator wrote for an object, and whether somebody else wrote one.
#[derive(Default)]
struct Written {
    by_operator: HashSet<String>,
    is_forged: bool,
}

/// By the object's uid.
static WRITTEN: LazyLock<Mutex<HashMap<String, Written>>> = LazyLock::new(Mutex::default);

/// Compares kstatus with the conditions of every version of every resource and grant that this control plane stored
/// since the last check. The version may be of another test that shares the control plane. An object whose status a
/// test forged is left out from then on: the operator keeps its promises for what the operator wrote.
pub(crate) fn check_all_versions(plane: &ControlPlane) {
    let mut written = WRITTEN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut versions = plane.new_versions();
    for Version {
        object,
        writer,
        subresource,
    } in &versions
    {
        let written = written.entry(uid(object)).or_default();
        if writer.starts_with("system:serviceaccount:") && subresource == "status" {
            written.by_operator.insert(object["status"].to_string());
        }
    }
    for Version { object, .. } in &versions {
        let written = written.entry(uid(object)).or_default();
        written.is_forged |= object["status"] != json!({ "observedGeneration": -1 })
            && !written.by_operator.contains(&object["status"].to_string());
    }
    versions.retain(|version| !written[&uid(&version.object)].is_forged);
    drop(written);
    if versions.is_empty() {
        return;
    }
    let objects: Vec<_> = versions.iter().map(|version| &version.object).collect();
    for (object, found) in objects.iter().zip(kstatus_of(&objects)) {
        assert_eq!(
            found,
            promised(object),
            "kstatus says something else than the conditions: {object:#}"
        );
    }
}

fn uid(object: &Value) -> String {
    object["metadata"]["uid"].to_string()
}

/// The conventions that a processed resource breaks.
pub(crate) fn violations(resource: &DynamicObject) -> Vec<String> {
    let mut found = Vec::new();
    let mut expect = |holds: bool, what: &str| {
        if !holds {
            found.push(what.to_owned());
        }
    };
    let Some(ready) = condition(resource, "Ready") else {
        return vec!["it has no condition Ready".to_owned()];
    };
    let generation = resource.metadata.generation;
    let settled = ready["status"] == "True";
    let (reconciling, stalled) = (
        condition(resource, "Reconciling"),
        condition(resource, "Stalled"),
    );
    for condition in [Some(ready), reconciling, stalled].into_iter().flatten() {
        expect(
            condition["observedGeneration"].as_i64() == generation,
            "a condition is about another generation",
        );
        expect(
            condition["reason"] == ready["reason"] && condition["message"] == ready["message"],
            "two conditions tell different stories",
        );
    }
    for condition in [reconciling, stalled].into_iter().flatten() {
        expect(
            condition["status"] == "True",
            "an abnormal condition that doesn't hold is absent",
        );
    }
    expect(
        usize::from(settled) + usize::from(reconciling.is_some()) + usize::from(stalled.is_some())
            == 1,
        "exactly one of Ready=True, Reconciling and Stalled",
    );
    let observed = observed_generation(resource);
    let wanted = if settled {
        Kstatus::Current
    } else if stalled.is_some() {
        Kstatus::Failed
    } else {
        Kstatus::InProgress
    };
    expect(
        kstatus(resource) == wanted,
        "kstatus says something else than the conditions",
    );
    expect(
        observed == generation || wanted == Kstatus::InProgress,
        "observedGeneration moves when settled or stalled",
    );
    found
}

fn observed_generation(resource: &DynamicObject) -> Option<i64> {
    resource
        .data
        .pointer("/status/observedGeneration")
        .and_then(Value::as_i64)
}
