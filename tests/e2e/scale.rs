//! The number of requests for many resources: as many as the work needs, and not one more. `make bench`
//! measures the time.

use std::collections::BTreeMap;
use std::time::SystemTime;

use futures::future::join_all;
use serde_json::json;

use crate::support::{Mark, Operator, OperatorBuilder};
use crate::world::{POOL, SOON, World, line};

/// More than a page of a list, and more than there are slots.
const CROWD: usize = 120;

/// Starts an operator with limits that no test reaches.
async fn operator(world: &World<'_>) -> Operator {
    let limits = ["--cognito-rps=10000", "--cognito-burst=10000"];
    let builder = limits
        .into_iter()
        .fold(world.builder(), OperatorBuilder::arg);
    let operator = builder.start().await;
    operator.wait_ready(SOON).await;
    operator
}

fn name(number: usize) -> String {
    format!("bot-{number}")
}

fn value(round: &str, number: usize) -> String {
    format!("{round}-Passw0rd-{number}")
}

/// Makes all resources, and waits until all are in sync.
async fn crowd(world: &World<'_>) {
    join_all((0..CROWD).map(async |n| world.in_sync(&name(n), &value("First", n)).await)).await;
    world.fence().await;
}

/// The number of requests of each kind. Events are left out, because the operator paces Events separately.
fn counts(world: &World<'_>, since: Mark) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for request in world.requests(since) {
        let line = line(&request);
        let kind: Vec<_> = line.split(' ').take(2).collect();
        if kind[0] != "watch" && kind[1] != "events" {
            *counts.entry(kind.join(" ")).or_default() += 1;
        }
    }
    counts
}

/// The times of the reads of each Secret, by name.
fn reads(world: &World<'_>, since: Mark) -> BTreeMap<String, Vec<SystemTime>> {
    let mut reads: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for request in world.requests(since) {
        if let Some(name) = line(&request).strip_prefix("get secrets ") {
            let at = request["requestReceivedTimestamp"].as_str();
            let at: Option<jiff::Timestamp> = at.and_then(|at| at.parse().ok());
            let at = at.expect("the audit log has the time").into();
            reads.entry(name.to_owned()).or_default().push(at);
        }
    }
    reads
}

fn expected<const N: usize>(counts: [(&str, usize); N]) -> BTreeMap<String, usize> {
    counts.map(|(kind, count)| (kind.to_owned(), count)).into()
}

/// Whether the operator has logged a second read of the resource's Secret.
fn is_read_again(operator: &Operator, name: &str) -> bool {
    let logs = operator.logs();
    let mut lines = logs
        .lines()
        .filter(|line| line.contains("reading the Secret again"));
    lines.any(|line| line.contains(&format!("/{name}\"")))
}

#[tokio::test]
async fn a_mass_rotation_costs_a_read_a_call_and_two_writes_per_resource() {
    let world = World::new("storm").await;
    let operator = operator(&world).await;
    crowd(&world).await;
    let (mark, calls) = (world.mark(), world.cognito.call_count());
    join_all((0..CROWD).map(async |n| {
        let (name, value) = (name(n), value("Second", n));
        world.apply_secret(&name, "password", &value).await;
        world.wait_set(&name, &value).await;
    }))
    .await;
    assert_eq!(world.cognito.call_count() - calls, CROWD);
    // By now the operator has seen its own writes.
    world.fence().await;
    let mut counts = counts(&world, mark);
    counts.remove("get secrets");
    let wanted = expected([("patch cognitouserpasswords/status", 2 * CROWD)]);
    assert_eq!(counts, wanted);
    let reads = reads(&world, mark);
    assert_eq!(reads.len(), CROWD);
    for (name, reads) in reads {
        let calls = world.cognito.calls_for(POOL, &name);
        let call = calls.last().expect("it was set");
        match &reads[..] {
            [_] => {}
            // On a busy machine more than a second may pass between the read and the set.
            [_, _] if is_read_again(&operator, &name) => {}
            _ => panic!("{name} was read {} times: {reads:?}, {call:?}", reads.len()),
        }
    }
}

#[tokio::test]
async fn changed_metadata_of_many_secrets_costs_one_read_and_later_one_write_each() {
    let world = World::new("metadata").await;
    let _operator = operator(&world).await;
    crowd(&world).await;
    let (mark, calls) = (world.mark(), world.cognito.call_count());
    let labels = json!({ "metadata": { "labels": { "team": "a" } } });
    join_all((0..CROWD).map(async |n| world.move_secret(&name(n), labels.clone()).await)).await;
    world.fence().await;
    let sentinels = world.cognito.call_count() - calls;
    assert_eq!(sentinels, 2, "the fence's own");
    let wanted = [
        ("get secrets", CROWD),
        ("patch cognitouserpasswords/status", CROWD),
    ];
    assert_eq!(counts(&world, mark), expected(wanted));
}
