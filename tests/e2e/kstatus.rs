//! The status of a resource for Flux and Helm: a rewrite of the rules of kstatus, and kstatus' conventions
//! for every resource that the operator has processed. The library itself doesn't run.

use kube::api::DynamicObject;
use serde_json::Value;

use crate::support::condition;

/// kstatus's word for a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kstatus {
    InProgress,
    Current,
    Failed,
    Terminating,
}

/// The rules for a custom resource, in kstatus's own order (sigs.k8s.io/cli-utils, pkg/kstatus:
/// `checkGenericProperties`, then `checkReadyCondition`).
pub(crate) fn kstatus(resource: &DynamicObject) -> Kstatus {
    let is = |kind, status| condition(resource, kind).is_some_and(|it| it["status"] == status);
    if resource.metadata.deletion_timestamp.is_some() {
        return Kstatus::Terminating;
    }
    let observed = observed_generation(resource);
    if observed.is_some() && observed != resource.metadata.generation {
        return Kstatus::InProgress;
    }
    if is("Reconciling", "True") {
        return Kstatus::InProgress;
    }
    if is("Stalled", "True") {
        return Kstatus::Failed;
    }
    if is("Ready", "False") || is("Ready", "Unknown") {
        return Kstatus::InProgress;
    }
    Kstatus::Current
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
