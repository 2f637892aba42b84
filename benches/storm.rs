//! Patches many Secrets at once, without a noticeable rate limit, until the last status has its new version.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt};
use kube::ResourceExt;
use kube::api::{Api, DynamicObject, ListParams, WatchEvent, WatchParams};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::bare::Caller;
use crate::process;
use crate::scenarios::lines;
use crate::stage::{CONCURRENCY, Crowd, Stage, at_once, number};
use crate::table::{Goal, Line, median};

/// The number of Secrets.
pub(crate) const SECRETS: usize = 2_000;

/// Floor and operator alternate, because the speed of a machine varies.
const ROUNDS: usize = 5;

pub(crate) async fn run(stage: &Stage, crowd: &Crowd, bare: &Crowd) -> Vec<Line> {
    let names = &crowd.names[..SECRETS.min(crowd.names.len())];
    let (mut floors, mut took, mut cpu) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        floors.push(floor(stage, bare, round).await);
        let operator = stage.operator_in_sync().await;
        let before = process::cpu(operator.pid());
        took.push(measure(crowd, names, round, async |_| ()).await);
        cpu.push(process::cpu(operator.pid()) - before);
        stage.say(&format!(
            "storm {round}: floor {:.2} s, operator {:.2} s with {:.2} s CPU",
            floors[round], took[round], cpu[round]
        ));
        stage.end(operator).await;
    }
    let count = names.len();
    let (took, floor, cpu) = (median(&took), median(&floors), median(&cpu));
    let most = 1.6 * number(count) / number(SECRETS);
    let what = format!("{count} Secrets patched at once, until the last status");
    let its_cpu = "CPU of the operator".to_owned();
    lines(
        "storm",
        [
            (what, "s", took, Some(floor), Goal::Times(1.15)),
            (its_cpu, "s", cpu, None, Goal::Most(most)),
        ],
    )
}

/// The same by a bare loop, which gets each Secret's name right after the patch.
async fn floor(stage: &Stage, bare: &Crowd, round: usize) -> f64 {
    let (tell, patched) = mpsc::unbounded_channel::<String>();
    let caller = &Caller::new(stage, bare).await;
    let sets = futures::stream::unfold(patched, |mut patched| async move {
        patched.recv().await.map(|name| (name, patched))
    });
    let sets = sets.for_each_concurrent(CONCURRENCY, |name| async move {
        caller.set(&name).await;
    });
    let measured = async move {
        measure(bare, &bare.names, round, async |name: &str| {
            tell.send(name.to_owned()).expect("the loop goes on");
        })
        .await
    };
    let ((), took) = tokio::join!(sets, measured);
    took
}

/// Patches the Secrets, and waits until the statuses have the new versions.
async fn measure(crowd: &Crowd, names: &[String], round: usize, tell: impl AsyncFn(&str)) -> f64 {
    let listed = crowd.resources.list(&ListParams::default().limit(1)).await;
    let version = listed
        .expect("a list")
        .metadata
        .resource_version
        .unwrap_or_default();
    let settled = Arc::<Mutex<HashMap<String, String>>>::default();
    let (tell_settled, mut told) = mpsc::unbounded_channel();
    let follow = tokio::spawn(follow(
        crowd.resources.clone(),
        version,
        settled.clone(),
        tell_settled,
    ));
    let wanted = Mutex::<HashMap<String, String>>::default();
    let began = Instant::now();
    at_once(names, async |name: &String| {
        crowd.rotate(name, &format!("Storm{round}")).await;
        tell(name).await;
    })
    .await;
    // No other client changes these Secrets.
    let secrets = crowd.secrets.list_metadata(&ListParams::default()).await;
    for secret in secrets.expect("a list").items {
        let version = secret.resource_version().unwrap_or_default();
        let mut wanted = wanted.lock().unwrap_or_else(PoisonError::into_inner);
        wanted.insert(secret.name_any(), version);
    }
    let wanted = wanted.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut last = began;
    loop {
        let left = {
            let settled = settled.lock().unwrap_or_else(PoisonError::into_inner);
            let is_left = |name: &&String| settled.get(*name) != wanted.get(*name);
            names.iter().filter(is_left).count()
        };
        if left == 0 {
            break;
        }
        // Takes all messages that have arrived, to check the statuses once for many messages.
        let waits = tokio::time::timeout(Duration::from_mins(5), told.recv()).await;
        let at = waits.unwrap_or_else(|_| panic!("{left} are not set"));
        last = last.max(at.expect("the watch goes on"));
        while let Ok(at) = told.try_recv() {
            last = last.max(at);
        }
    }
    follow.abort();
    (last - began).as_secs_f64()
}

/// Records each settled status: the version of its Secret, and the time.
async fn follow(
    resources: Api<DynamicObject>,
    mut version: String,
    settled: Arc<Mutex<HashMap<String, String>>>,
    moved: mpsc::UnboundedSender<Instant>,
) {
    loop {
        let watch = resources.watch(&WatchParams::default(), &version).await;
        let mut watch = watch.expect("a watch").boxed();
        while let Ok(Some(event)) = watch.try_next().await {
            let WatchEvent::Modified(resource) = event else {
                continue;
            };
            version = resource.resource_version().unwrap_or_default();
            let status = &resource.data["status"];
            let is_settled = status.get("attempt").is_none_or(Value::is_null)
                && status["conditions"][0]["status"] == "True";
            if let Some(of) = status["synced"]["secretResourceVersion"].as_str()
                && is_settled
            {
                let mut settled = settled.lock().unwrap_or_else(PoisonError::into_inner);
                settled.insert(resource.name_any(), of.to_owned());
                // The receiver may be gone.
                let _ = moved.send(Instant::now());
            }
        }
    }
}
