//! A thousand grants on one pool. The floor is the same resources with only the grant that admits them.

use std::path::Path;
use std::time::Instant;

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};

use super::{Restart, Stall, StallWatch, restarts};
use crate::given;
use crate::scenarios::lines;
use crate::stage::{Crowd, GRANT, Stage, UNLIMITED, at_once};
use crate::support::Operator;
use crate::table::{Goal, Line, median};

/// The number of namespaces with resources.
const NAMESPACES: usize = 10;

/// How often each change is made for one figure.
const CHANGES: usize = 3;

struct Measurements {
    restart: Restart,
    /// Seconds from a change of the admitting grant until its status has the new generation.
    grant: f64,
    /// Seconds from the removal of a namespace's label until the resources say so, and back again.
    label: f64,
    changes: Stall,
}

pub(super) async fn run(operator: &Path) -> Vec<Line> {
    let grants = given("GRANTS").unwrap_or(1_000);
    let resources = given("GRANTED").unwrap_or(50_000);
    let stage = Stage::set(operator.to_owned()).await;
    // Only the first grant admits namespaces with the label.
    let labelled = json!({ "selector": { "matchLabels": { "bench": "yes" } } });
    stage.grant(GRANT, &json!(["*"]), &labelled).await;
    let mut crowds = Vec::new();
    for n in 0..NAMESPACES {
        let crowd = stage
            .fill(&format!("team-{n}"), resources / NAMESPACES, false)
            .await;
        label(&stage, &crowd, "yes").await;
        crowds.push(crowd);
    }
    let operator = stage.operator_in_sync().await;
    stage.end(operator).await;
    let without = measure(&stage, &crowds, &labelled).await;
    let numbers: Vec<usize> = (1..grants).collect();
    at_once(&numbers, async |n: &usize| {
        let (usernames, namespaces) = one_of_many(*n, &crowds);
        stage
            .grant(&format!("one-of-{n}"), &usernames, &namespaces)
            .await;
    })
    .await;
    stage.say(&format!("{grants} grants"));
    // Each grant's status is written once.
    let operator = stage.operator_in_sync().await;
    for n in numbers.iter().rev().take(1) {
        stage.grant_told(&format!("one-of-{n}")).await;
    }
    stage.end(operator).await;
    let with = measure(&stage, &crowds, &labelled).await;
    compared(stage.count(), grants, &with, &without)
}

/// A typical grant that no labelled namespace needs: literal names, globs for a team; namespaces by name, by
/// label and by expressions.
fn one_of_many(n: usize, crowds: &[Crowd]) -> (Value, Value) {
    let here = &crowds[n % crowds.len()].namespace;
    let elsewhere = format!("elsewhere-{n}");
    match n % 6 {
        0 => (
            json!([format!("user-{n}"), format!("other-{n}")]),
            json!({ "names": [here] }),
        ),
        1 => (
            json!([format!("team-{n}-*")]),
            json!({ "names": [here, elsewhere] }),
        ),
        2 => (json!(["*"]), json!({ "names": [elsewhere] })),
        3 => (
            json!([format!("team-{n}-*"), format!("*-of-{n}")]),
            json!({ "selector": { "matchLabels": { "bench": "yes", "part": n.to_string() } } }),
        ),
        4 => (json!(["*"]), one_of_parts(n)),
        _ => (
            json!(["*"]),
            json!({ "selector": { "matchExpressions": [
                { "key": format!("part-{n}"), "operator": "Exists" }
            ] } }),
        ),
    }
}

fn one_of_parts(n: usize) -> Value {
    json!({ "selector": { "matchExpressions": [
        { "key": "part", "operator": "In", "values": [n.to_string(), format!("also-{n}")] },
        { "key": "bench", "operator": "NotIn", "values": ["no"] }
    ] } })
}

async fn measure(stage: &Stage, crowds: &[Crowd], labelled: &Value) -> Measurements {
    let all = stage.count();
    let restart = restarts(stage, &[], &[("PasswordSet", all)]).await;
    stage.say(&format!(
        "restarts: {:.3} s, {:.2} s CPU",
        restart.took, restart.cpu
    ));
    let operator = stage.operator_with(UNLIMITED, &[]).await;
    stage.verified(&operator).await;
    let watching = StallWatch::now(&operator).await;
    let mut grant = Vec::new();
    for change in 0..CHANGES {
        let began = Instant::now();
        let usernames = json!(["*", format!("change-{change}-{all}")]);
        stage.grant(GRANT, &usernames, labelled).await;
        stage.grant_told(GRANT).await;
        grant.push(began.elapsed().as_secs_f64());
    }
    stage.grant(GRANT, &json!(["*"]), labelled).await;
    stage.grant_told(GRANT).await;
    let mut labels = Vec::new();
    for _ in 0..CHANGES {
        labels.push(relabel(stage, &operator, &crowds[0]).await);
    }
    let changes = watching.ended(&operator).await;
    stage.end(operator).await;
    let (grant, label) = (median(&grant), median(&labels));
    stage.say(&format!(
        "a grant changed: {grant:.3} s, a label {label:.3} s"
    ));
    Measurements {
        restart,
        grant,
        label,
        changes,
    }
}

async fn relabel(stage: &Stage, operator: &Operator, crowd: &Crowd) -> f64 {
    let (all, there) = (stage.count(), crowd.names.len());
    let began = Instant::now();
    label(stage, crowd, "no").await;
    let without = [("NotGranted", there), ("PasswordSet", all - there)];
    stage.settled(operator, &without).await;
    label(stage, crowd, "yes").await;
    stage.verified(operator).await;
    began.elapsed().as_secs_f64()
}

async fn label(stage: &Stage, crowd: &Crowd, value: &str) {
    let namespaces: Api<Namespace> = Api::all(stage.client.clone());
    let patch = Patch::Merge(json!({ "metadata": { "labels": { "bench": value } } }));
    let params = PatchParams::default();
    let patched = namespaces.patch(&crowd.namespace, &params, &patch);
    patched.await.expect("the namespace can be labelled");
}

fn compared(
    resources: usize,
    grants: usize,
    with: &Measurements,
    without: &Measurements,
) -> Vec<Line> {
    let times = Goal::Times(1.3);
    let (after, before) = (with.restart, without.restart);
    let mut all = lines(
        "grants",
        [
            (
                format!("{grants} grants, {resources} resources: start to all verified"),
                "s",
                after.took,
                Some(before.took),
                times,
            ),
            (
                "CPU of that".to_owned(),
                "s",
                after.cpu,
                Some(before.cpu),
                times,
            ),
            (
                "memory, all in sync".to_owned(),
                "MB",
                after.memory,
                Some(before.memory),
                times,
            ),
            (
                "a grant for all changed, until its status is of it".to_owned(),
                "s",
                with.grant,
                Some(without.grant),
                times,
            ),
            (
                "a namespace's label taken and given back, until all is set".to_owned(),
                "s",
                with.label,
                Some(without.label),
                times,
            ),
        ],
    );
    all.extend(after.stall.lines("grants", "at a restart", before.stall));
    all.extend(
        with.changes
            .lines("grants", "at these changes", without.changes),
    );
    all
}
