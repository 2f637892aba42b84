//! The benchmark: the operator as released, a real API server and etcd, and a Cognito that answers at once.
//! The same run measures a floor beside each figure.
//!
//! `RESOURCES` is the number of resources (10,000). `SCENARIO` names the scenarios to run, separated by
//! commas (all but `soak`). `OUT` is the file for the results as JSON. `OPERATOR` is the program to measure.
//! The run fails if the operator did something that nothing required; with `STRICT=1` the run fails if any
//! goal is missed. `MINUTES` is the length of `soak` (10). The crowds have sizes of their own: `CLAIMANTS`
//! (10,000), `DUPLICATES` (2,000), `GRANTS` (1,000), `GRANTED` (50,000 resources), `MOVED` (10,000),
//! `REGIONS` (1,500), `CONNECTIONS` (1,000), `SCRAPED` (10,000 resources).

mod bare;
mod cognito;
mod crowds;
mod livez;
mod looks;
mod process;
mod scenarios;
mod soak;
mod stage;
mod storm;
#[path = "../tests/support/mod.rs"]
mod support;
mod table;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use serde_json::json;

use stage::Stage;
use table::Table;

/// The scenarios with all resources in the cluster, in the order of the run.
const FULL: [&str; 8] = [
    "restart", "idle", "looks", "metadata", "rotation", "storm", "fairness", "large",
];

/// The scenarios with a control plane of their own, or with none. `start` runs together with every other
/// scenario.
const OTHERS: [&str; 3] = ["start", "unrelated", "size"];

const SOAK: &str = "soak";

fn given<T: FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok().filter(|it| !it.is_empty())?;
    let Ok(value) = text.parse() else {
        panic!("{name}={text} can't be read");
    };
    Some(value)
}

#[tokio::main]
#[allow(clippy::print_stdout, reason = "the table is this program's output")]
async fn main() -> ExitCode {
    let operator: PathBuf =
        given("OPERATOR").unwrap_or_else(|| env!("CARGO_BIN_EXE_cognito-password-operator").into());
    let all = [&FULL[..], &OTHERS, &crowds::ALL].concat();
    let wanted: String = given("SCENARIO").unwrap_or_else(|| all.join(","));
    let wanted: Vec<_> = wanted.split(',').collect();
    for name in &wanted {
        let known = all.contains(name) || *name == SOAK;
        assert!(known, "no scenario {name}; there are {all:?}, {SOAK:?}");
    }
    let wants = |name: &str| wanted.contains(&name);
    let resources = given("RESOURCES").unwrap_or(if wants(SOAK) { 1_000 } else { 10_000 });
    assert!(resources >= 2, "RESOURCES is at least 2");
    let mut table = Table::default();
    if wants("size") {
        table.add(scenarios::size(&operator));
    }
    if FULL.iter().chain(&["start"]).any(|name| wants(name)) {
        play(&operator, resources, &wants, &mut table).await;
    }
    if wants("unrelated") {
        table.add(scenarios::unrelated(&operator).await);
    }
    for name in crowds::ALL {
        if wants(name) {
            table.add(crowds::play(name, &operator).await);
        }
    }
    if wants(SOAK) {
        let time = Duration::from_mins(given("MINUTES").unwrap_or(10));
        table.add(soak::run(&operator, resources, time).await);
    }
    println!("\n{}", table.text());
    let out: PathBuf = given("OUT").unwrap_or_else(|| "target/bench.json".into());
    let about = json!({ "resources": resources, "machine": scenarios::machine() });
    table.write(&out, &about);
    println!("written to {}", out.display());
    if table.has_failed(given("STRICT") == Some(1)) {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Runs the scenarios without resources, and then the scenarios with all resources.
async fn play(operator: &Path, resources: usize, wants: &dyn Fn(&str) -> bool, table: &mut Table) {
    let stage = Stage::set(operator.to_owned()).await;
    let (lines, empty) = scenarios::empty(&stage).await;
    table.add(lines);
    if !FULL.iter().any(|name| wants(name)) {
        return;
    }
    let crowd = stage.fill("bench", resources, false).await;
    let operator = stage.operator_in_sync().await;
    stage.say("all set for the first time");
    stage.end(operator).await;
    if wants("restart") {
        table.add(scenarios::restart(&stage, "restart", empty).await);
    }
    if wants("idle") {
        table.add(scenarios::idle(&stage).await);
    }
    if wants("looks") {
        table.add(looks::run(&stage).await);
    }
    if wants("metadata") {
        table.add(scenarios::metadata(&stage, &crowd).await);
    }
    if wants("rotation") || wants("storm") {
        // The resources for the floors are suspended, so that the operator ignores them.
        let count = storm::SECRETS.min(resources);
        let bare = stage.fill("bare", count, true).await;
        if wants("rotation") {
            table.add(scenarios::rotation(&stage, &crowd, &bare).await);
        }
        if wants("storm") {
            table.add(storm::run(&stage, &crowd, &bare).await);
        }
    }
    if wants("fairness") {
        table.add(scenarios::fairness(&stage, &crowd).await);
    }
    if wants("large") {
        stage.fill("large", 4 * resources, false).await;
        let operator = stage.operator_in_sync().await;
        stage.say("all set, five times as many");
        stage.end(operator).await;
        table.add(scenarios::restart(&stage, "large", empty).await);
    }
}
