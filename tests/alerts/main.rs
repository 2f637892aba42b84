//! The alerts as they ship, evaluated by a real Prometheus that scrapes real operators: `make alerts`.
//!
//! Each scene injects a fault. The alert that is meant fires, and no other; then the fault ends, and the alert
//! resolves. Quiet scenes (a rollout, a failover, an empty cluster) fire nothing. In the end each query of the
//! dashboard has an answer. The names of scenes as arguments choose some of them.

#[allow(
    dead_code,
    reason = "the end-to-end tests' own, of which the scenes use a part"
)]
#[path = "../e2e/closed_port.rs"]
mod closed_port;
mod dashboard;
mod installation;
#[allow(
    dead_code,
    reason = "the end-to-end tests' own: only the check at the end of a world"
)]
#[path = "../e2e/kstatus.rs"]
mod kstatus;
mod page;
mod replica;
mod say;
mod scenes;
#[path = "../support/mod.rs"]
mod support;
#[allow(
    dead_code,
    reason = "the end-to-end tests' own, of which the scenes use a part"
)]
#[path = "../e2e/world.rs"]
mod world;

use std::any::Any;
use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::Semaphore;

use installation::{ECHO, Installation, PREFIX};
use scenes::{NOT_PROVOKED, SCENES, Scene, WITHOUT_TARGETS, loosen};
use support::{ControlPlane, Prometheus, eventually, prometheus};

/// Each scene has two operators, and mostly waits.
const AT_ONCE: usize = 8;
static SLOTS: Semaphore = Semaphore::const_new(AT_ONCE);

const SOON: Duration = Duration::from_mins(5);

fn main() -> ExitCode {
    each_alert_has_a_scene_or_a_reason();
    only_durations_differ();
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|it| !it.starts_with('-'))
        .collect();
    let is_wanted =
        |scene: &&Scene| wanted.is_empty() || wanted.iter().any(|it| scene.name.contains(&**it));
    let chosen: Vec<&Scene> = SCENES.iter().filter(is_wanted).collect();
    // What a panic says is reported in the end.
    std::panic::set_hook(Box::new(|panic| {
        let said = panic.payload_as_str().unwrap_or("it panicked");
        say::line("FAILED", said.lines().next().unwrap_or_default());
    }));
    let failed = runtime().block_on(play(&chosen));
    for (scene, why) in &failed {
        say::plain(&format!("\nFAILED: {scene}: {why}"));
    }
    let (count, failures) = (chosen.len(), failed.len());
    say::plain(&format!("\n{count} scenes, {failures} failures"));
    if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Returns what failed.
async fn play(chosen: &[&'static Scene]) -> Vec<(&'static str, String)> {
    let began = SystemTime::now();
    let prometheus = Arc::new(Prometheus::start(&prometheus::shortened()).await);
    say::line("absent", "Prometheus runs, and has no operator to scrape");
    // For the scene `undecodable`.
    loosen(ControlPlane::shared(), "cognitouserpasswords");
    until_absent(&prometheus, true).await;
    // From now on two operators of an empty cluster are scraped to the end, so that somebody is never absent.
    let empty = Installation::new("empty-cluster", &prometheus).await;
    until_absent(&prometheus, false).await;
    let present_since = SystemTime::now();

    let playing: Vec<_> = chosen
        .iter()
        .map(|&scene| {
            let prometheus = Arc::clone(&prometheus);
            (
                scene.name,
                std::thread::spawn(move || on_a_thread(scene, prometheus)),
            )
        })
        .collect();
    let mut failed = Vec::new();
    for (name, thread) in playing {
        // The runtime has a second thread for the installation of the empty cluster.
        let played = tokio::task::spawn_blocking(move || thread.join()).await;
        if let Err(panic) = played.expect("the join does not panic") {
            failed.push((name, message(&*panic)));
        }
    }
    let mut fired = empty.fired().await;
    if empty.has_stalled().await {
        fired.remove(ECHO);
    }
    if fired.is_empty() {
        say::line(
            "empty-cluster",
            "no alert fired, from the beginning to the end",
        );
    } else {
        failed.push(("empty-cluster", format!("{fired:?} fired")));
    }
    // Pending is right: a replica that starts is scraped before it listens.
    let absent = format!(r#"ALERTS{{alertname="{PREFIX}{WITHOUT_TARGETS}",alertstate="firing"}}"#);
    match prometheus
        .query_since(&absent, present_since, Duration::from_secs(1))
        .await
    {
        Ok(series) if series.is_empty() => {}
        other => failed.push((
            "absent",
            format!("absent although operators run: {other:?}"),
        )),
    }
    let pages = page::problems(&empty.replicas).await;
    failed.extend(pages.into_iter().map(|problem| ("page", problem)));
    if chosen.len() == SCENES.len() {
        let silent = dashboard::problems(&prometheus, began).await;
        failed.extend(silent.into_iter().map(|problem| ("dashboard", problem)));
    }
    empty.end().await;
    failed
}

fn on_a_thread(scene: &'static Scene, prometheus: Arc<Prometheus>) {
    runtime().block_on(async {
        let _slot = SLOTS.acquire().await.expect("the semaphore stays open");
        let began = Instant::now();
        scene.play(prometheus).await;
        say::line(
            scene.name,
            &format!("as meant, in {} s", began.elapsed().as_secs()),
        );
    });
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime can be made")
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
    text.unwrap_or_else(|| "it panicked".to_owned())
}

/// Waits until the alert that there is no operator fires, or is over.
async fn until_absent(prometheus: &Prometheus, is_absent: bool) {
    let firing = format!(r#"ALERTS{{alertname="{PREFIX}{WITHOUT_TARGETS}", alertstate="firing"}}"#);
    eventually(SOON, async || {
        let series = prometheus.query(&firing).await?;
        let as_wanted = series.is_empty() != is_absent;
        as_wanted.then_some(()).ok_or_else(|| format!("{series:?}"))
    })
    .await;
    let what = if is_absent { "fires" } else { "resolves" };
    say::line("absent", &format!("{WITHOUT_TARGETS} {what}"));
}

/// A new alert needs a scene, or a reason why there can't be one.
fn each_alert_has_a_scene_or_a_reason() {
    let rules = prometheus::shipped();
    let groups = rules["groups"].as_array().expect("groups");
    let rules = groups
        .iter()
        .flat_map(|group| group["rules"].as_array().expect("rules"));
    let alerts = rules.filter_map(|rule| rule["alert"].as_str());
    let alerts: BTreeSet<&str> = alerts
        .map(|name| name.strip_prefix(PREFIX).expect("the prefix of all alerts"))
        .collect();
    let provoked = SCENES.iter().flat_map(|scene| scene.fires).copied();
    let provoked: BTreeSet<&str> = provoked.chain([WITHOUT_TARGETS]).collect();
    let not_provoked: BTreeSet<&str> = NOT_PROVOKED.iter().map(|(alert, _)| *alert).collect();
    let both: Vec<_> = provoked.intersection(&not_provoked).collect();
    assert!(
        both.is_empty(),
        "{both:?} have a scene and a reason against one"
    );
    let listed: BTreeSet<&str> = provoked.union(&not_provoked).copied().collect();
    assert_eq!(
        alerts, listed,
        "the alerts of monitoring/rules.yaml, and those of tests/alerts/scenes.rs"
    );
}

/// The rules under test are those that ship, but for durations.
fn only_durations_differ() {
    let (shipped, shortened) = (prometheus::shipped(), prometheus::shortened());
    assert_ne!(shipped, shortened, "the durations are those that ship");
    assert_eq!(
        prometheus::without_durations(shipped),
        prometheus::without_durations(shortened),
        "more than durations differs"
    );
}
