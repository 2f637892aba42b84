//! The other scenarios: each is a function that returns its lines of the table.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::stage::{AuditedRequest, Crowd, Stage, UNLIMITED, at_once, from, number};
use crate::table::{Goal, Line, median, percentile};
use crate::{bare, process};

const ROUNDS: usize = 5;

/// How long the benchmark observes an idle operator.
const IDLE: Duration = Duration::from_mins(1);

/// A measurement: its name, its unit, its value, its floor and its goal.
type What<S> = (S, &'static str, f64, Option<f64>, Goal);

/// The lines of a scenario.
pub(crate) fn lines<S: Into<String>, const N: usize>(
    scenario: &'static str,
    all: [What<S>; N],
) -> Vec<Line> {
    let line = |(what, unit, measured, floor, goal): What<S>| Line {
        scenario,
        what: what.into(),
        unit,
        measured,
        floor,
        goal,
    };
    all.into_iter().map(line).collect()
}

/// The cost of an operator in an empty cluster: the time until it is ready, and its memory.
pub(crate) async fn empty(stage: &Stage) -> (Vec<Line>, f64) {
    let (mut ready, mut memory) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let operator = stage.operator(UNLIMITED).await;
        stage.verified(&operator).await;
        ready.push(began.elapsed().as_secs_f64());
        memory.push(process::memory(operator.pid()).0);
        stage.end(operator).await;
    }
    let (ready, memory) = (median(&ready), median(&memory));
    stage.say(&format!("empty: ready after {ready:.3} s, {memory:.1} MB"));
    let lines = lines(
        "start",
        [
            (
                "start to ready, empty cluster",
                "s",
                ready,
                None,
                Goal::Most(0.3),
            ),
            ("memory, empty cluster", "MB", memory, None, Goal::None),
        ],
    );
    (lines, memory)
}

/// Restarts with everything in sync: time, counts, CPU, memory.
pub(crate) async fn restart(stage: &Stage, scenario: &'static str, empty: f64) -> Vec<Line> {
    let count = stage.count();
    let most = most_memory(count);
    let (mut floors, mut took, mut cpu) = (Vec::new(), Vec::new(), Vec::new());
    let (mut rss, mut peak) = (Vec::new(), Vec::new());
    let (mut calls, mut reads, mut writes) = (0, 0, 0);
    for round in 0..ROUNDS {
        floors.push(bare::lists(stage).await);
        let (mark, called) = (stage.plane.audit_mark(), stage.cognito.count());
        let began = Instant::now();
        let operator = stage.operator_in_sync().await;
        took.push(began.elapsed().as_secs_f64());
        cpu.push(process::cpu(operator.pid()));
        let (now, most) = process::memory(operator.pid());
        rss.push(now);
        peak.push(most);
        let asked = stage.asked(mark);
        calls += stage.cognito.count() - called;
        reads += asked.iter().filter(|it| it.is_secret_read()).count();
        writes += asked.iter().filter(|it| it.is_status_write()).count();
        stage.say(&format!(
            "restart {round}: floor {:.3} s, operator {:.3} s with {:.2} s CPU, {now:.1} MB (peak {most:.1})",
            floors[round], took[round], cpu[round]
        ));
        stage.end(operator).await;
    }
    let each = (median(&rss) - empty) * 1e3 / number(count);
    let mut all = lines(
        scenario,
        [
            ("Cognito calls", "", number(calls), Some(0.0), Goal::Nothing),
            ("Secret reads", "", number(reads), Some(0.0), Goal::Nothing),
            (
                "status writes",
                "",
                number(writes),
                Some(0.0),
                Goal::Nothing,
            ),
            (
                "start to all verified",
                "s",
                median(&took),
                Some(median(&floors)),
                Goal::Times(1.3),
            ),
            (
                "CPU of the operator",
                "s",
                median(&cpu),
                None,
                Goal::Most(0.65 * number(count) / 1e4),
            ),
        ],
    );
    all.extend(lines(
        scenario,
        [
            (
                "memory, all in sync",
                "MB",
                median(&rss),
                Some(empty),
                Goal::Most(most),
            ),
            (
                "memory, peak",
                "MB",
                median(&peak),
                Some(empty),
                Goal::Most(most),
            ),
            (
                "memory for each resource and its Secret of 2 KB",
                "KB",
                each,
                None,
                Goal::Most(1.5),
            ),
        ],
    ));
    all
}

/// The goal for memory with this many resources, in MB: 40 for 10,000 and 110 for 50,000.
fn most_memory(resources: usize) -> f64 {
    22.5 + 17.5 * number(resources) / 1e4
}

/// A minute without any change.
pub(crate) async fn idle(stage: &Stage) -> Vec<Line> {
    let operator = stage.operator_in_sync().await;
    let (mark, before) = (stage.plane.audit_mark(), process::cpu(operator.pid()));
    stage.say(&format!("idle for {IDLE:?}"));
    let kubeconfig = stage.plane.kubeconfig_path();
    let floor = tokio::task::spawn_blocking(move || bare::renewals(&kubeconfig, IDLE)).await;
    let floor = floor.expect("no panic");
    let cpu = (process::cpu(operator.pid()) - before) / IDLE.as_secs_f64() * 100.0;
    let asked = stage.asked(mark);
    stage.end(operator).await;
    let busy = asked
        .iter()
        .filter(|it: &&AuditedRequest| !it.is_idle())
        .count();
    lines(
        "idle",
        [
            (
                "requests beyond watches and the lease",
                "",
                number(busy),
                Some(0.0),
                Goal::Nothing,
            ),
            (
                "CPU of the operator",
                "%",
                cpu,
                Some(floor),
                Goal::Most(0.1),
            ),
        ],
    )
}

/// Changes of Secrets' metadata, without new values.
pub(crate) async fn metadata(stage: &Stage, crowd: &Crowd) -> Vec<Line> {
    let names = &crowd.names[..1_000.min(crowd.names.len() - 1)];
    let last = crowd.names.last().expect("a resource");
    let operator = stage.operator_in_sync().await;
    let (mark, called) = (stage.plane.audit_mark(), stage.cognito.count());
    let patch = Patch::Merge(json!({ "metadata": { "annotations": { "touched": "1" } } }));
    at_once(names, async |name: &String| {
        let params = PatchParams::default();
        let patched = crowd.secrets.patch(name, &params, &patch);
        patched.await.expect("the Secret can be patched");
    })
    .await;
    // A later change in the same watch: once its value is set, the operator has handled the earlier changes.
    let began = Instant::now();
    crowd.rotate(last, "Fence").await;
    stage
        .until("the last one is set", async || {
            let called = stage.cognito.called(last, began);
            called.map(|_| ()).ok_or_else(String::new)
        })
        .await;
    stage.verified(&operator).await;
    let asked = stage.asked(mark);
    let calls = stage.cognito.count() - called - 1;
    let writes = asked.iter().filter(|it| it.is_status_write()).count() - 2;
    let reads = asked.iter().filter(|it| it.is_secret_read()).count() - 1;
    stage.end(operator).await;
    lines(
        "metadata",
        [
            (
                "metadata written to 1,000 Secrets: Cognito calls",
                "",
                number(calls),
                Some(0.0),
                Goal::Nothing,
            ),
            (
                "status writes",
                "",
                number(writes),
                Some(0.0),
                Goal::Nothing,
            ),
            ("Secret reads", "", number(reads), None, Goal::None),
        ],
    )
}

/// Rotates one Secret after the other, with all resources in the cluster.
pub(crate) async fn rotation(stage: &Stage, crowd: &Crowd, bare: &Crowd) -> Vec<Line> {
    const EACH: usize = 150;
    let bare_names = &bare.names[..EACH.min(bare.names.len())];
    // The first rotation opens connections, and is not counted.
    let mut floors = bare::rotations(stage, bare, bare_names, "Before").await;
    floors.remove(0);
    let operator = stage.operator_in_sync().await;
    let mut took = Vec::new();
    for name in crowd.names.iter().rev().take(EACH) {
        let began = Instant::now();
        crowd.rotate(name, "Next").await;
        stage
            .until("the value is set", async || {
                let at = stage.cognito.called(name, began).ok_or_else(String::new)?;
                took.push((at - began).as_secs_f64() * 1e3);
                Ok(())
            })
            .await;
        stage.verified(&operator).await;
    }
    took.remove(0);
    stage.end(operator).await;
    // Floors before and after, because the speed of a machine varies.
    let again = bare::rotations(stage, bare, bare_names, "After").await;
    floors.extend(&again[1..]);
    let line = |what, percent| {
        let floor = Some(percentile(&floors, percent));
        (
            what,
            "ms",
            percentile(&took, percent),
            floor,
            Goal::Times(1.3),
        )
    };
    let all = lines(
        "rotation",
        [
            line("Secret patch to Cognito call, p50", 50),
            line("the same, p99", 99),
        ],
    );
    stage.say(&format!("rotation: p50 {:.2} ms", all[0].measured));
    all
}

/// One change beside thousands of changes in another namespace, at 10 calls a second.
pub(crate) async fn fairness(stage: &Stage, crowd: &Crowd) -> Vec<Line> {
    let alone = stage.fill("alone", 1, false).await;
    let operator = stage.operator_in_sync().await;
    stage.end(operator).await;
    let operator = stage.operator(10).await;
    stage.verified(&operator).await;
    at_once(&crowd.names, async |name: &String| {
        crowd.rotate(name, "Flood").await;
    })
    .await;
    let waiting = "cognito_password_operator_budget_waiting";
    #[allow(clippy::cast_precision_loss, reason = "a few thousand")]
    let many = crowd.names.len() as f64 * 0.9;
    stage
        .until("the others wait", async || {
            let waiting = operator.metric(waiting, &[]).await;
            (waiting >= many)
                .then_some(())
                .ok_or_else(|| waiting.to_string())
        })
        .await;
    let mut took = Vec::new();
    for round in 0..5 {
        let began = Instant::now();
        let name = &alone.names[0];
        alone.rotate(name, &format!("Alone{round}")).await;
        stage
            .until("the one is set", async || {
                let at = stage.cognito.called(name, began).ok_or_else(String::new)?;
                took.push((at - began).as_secs_f64());
                Ok(())
            })
            .await;
    }
    // Don't wait for the rest of the queue.
    operator.kill();
    let slowest = percentile(&took, 100);
    stage.say(&format!("fairness: {slowest:.3} s"));
    lines(
        "fairness",
        [(
            "one change beside another namespace's all, at 10 RPS, slowest of 5",
            "s",
            slowest,
            Some(0.1),
            Goal::Most(1.0),
        )],
    )
}

/// Secrets that no resource references.
pub(crate) async fn unrelated(operator: &Path) -> Vec<Line> {
    const SECRETS: usize = 10_000;
    let stage = Stage::set(operator.to_owned()).await;
    let round = async || {
        let (mut rss, mut peak, mut took) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let began = Instant::now();
            let operator = stage.operator_in_sync().await;
            took.push(began.elapsed().as_secs_f64());
            let (now, most) = process::memory(operator.pid());
            rss.push(now);
            peak.push(most);
            stage.end(operator).await;
        }
        (median(&rss), median(&peak), median(&took))
    };
    let without = round().await;
    let namespace = stage.plane.new_namespace("unrelated").await;
    let secrets: Api<Secret> = Api::namespaced(stage.client.clone(), &namespace);
    let numbers: Vec<usize> = (0..SECRETS).collect();
    at_once(&numbers, async |number: &usize| {
        let secret: Secret = from(json!({
            "metadata": { "name": format!("unrelated-{number}") },
            "stringData": { "more": "x".repeat(50_000) },
        }));
        let made = secrets.create(&PostParams::default(), &secret).await;
        made.expect("a Secret");
    })
    .await;
    stage.say("10,000 Secrets of 50 KB made");
    let with = round().await;
    lines(
        "unrelated",
        [
            (
                "10,000 unrelated Secrets of 50 KB: memory more",
                "MB",
                with.0 - without.0,
                None,
                Goal::Most(6.0),
            ),
            ("peak more", "MB", with.1 - without.1, None, Goal::Most(6.0)),
            ("start to ready", "s", with.2, Some(without.2), Goal::None),
        ],
    )
}

/// The size of the program, and its compressed size.
pub(crate) fn size(operator: &Path) -> Vec<Line> {
    let binary = std::fs::read(operator).expect("the operator's program");
    let mut gzip = Command::new("gzip")
        .arg("-c")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("gzip");
    let mut input = gzip.stdin.take().expect("its input");
    let length = binary.len();
    let writes = std::thread::spawn(move || input.write_all(&binary));
    let compressed = gzip.wait_with_output().expect("gzip ends").stdout.len();
    writes.join().expect("no panic").expect("gzip takes it");
    let megabytes = |bytes: usize| number(bytes) / 1e6;
    lines(
        "size",
        [
            ("binary", "MB", megabytes(length), None, Goal::Most(20.0)),
            (
                "compressed, as the image's only large layer",
                "MB",
                megabytes(compressed),
                None,
                Goal::Most(10.0),
            ),
        ],
    )
}

/// The machine, for the results file.
pub(crate) fn machine() -> BTreeMap<&'static str, String> {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let model = model.map(|it| it.trim_matches([' ', '\t', ':']).to_owned());
    let processors = std::thread::available_parallelism().map_or(0, Into::into);
    [
        ("processor", model.unwrap_or_default()),
        ("processors", processors.to_string()),
    ]
    .into()
}
