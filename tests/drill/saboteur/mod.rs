//! SABOTEUR: others reset, recreate, disable and enable users while passwords rotate, `ListUsers` lags and fails,
//! and `kill -9` comes at times. In the end, sign-in works wherever the operator may correct, and nowhere did the
//! operator set a user whom a person had touched.
//!
//! The operator counts a look 60 seconds after a set, two looks 60 seconds apart, and begins a pass when the
//! operator starts. So this drill takes minutes, and is not a part of the short form.

mod checks;
mod ledger;
mod story;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::json;
use tokio::sync::watch;

use crate::judge;
use crate::replica::Replica;
use crate::report::Report;
use crate::say::time;
use crate::scene::{Cast, Scene};
use crate::settings::Settings;
use crate::support::{
    ControlPlane, Fault, FaultServer, Listing, Operation, OperatorBuilder, Random,
};
use ledger::{Act, Ledger};

/// Ten users each, because the operator corrects at most ten users of a pool within an hour.
const POOLS: [&str; 4] = [
    "eu-west-1_SabotageA",
    "eu-west-1_SabotageB",
    "eu-west-1_SabotageC",
    "eu-west-1_SabotageD",
];
const USERS: usize = 40;

/// The longest delay of `ListUsers`, in seconds.
const LAG_MAX: u64 = 20;

/// The operator compares nothing that happens within this time of a set, and makes two looks this far apart.
const MARGIN: Duration = Duration::from_mins(1);

/// The limit for the corrections at the end: two margins and the lag, a pass that failed and comes again, and a
/// busy machine's delays.
const CORRECTED: Duration = Duration::from_mins(7);

/// What a user's resource asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Correct,
    Report,
    /// `Correct`, with a temporary password.
    Temporary,
}

/// The number in a user's name.
fn number(user: &str) -> usize {
    let number = user.rsplit('-').next().and_then(|text| text.parse().ok());
    number.expect("a name with a number")
}

fn role(user: &str) -> Role {
    match number(user) % 10 {
        0 => Role::Temporary,
        1 | 2 => Role::Report,
        _ => Role::Correct,
    }
}

fn pool(user: &str) -> &'static str {
    POOLS[number(user) / 10 % POOLS.len()]
}

/// Whether the user's Secret changes all the time.
fn rotates(user: &str) -> bool {
    number(user) % 2 == 1
}

/// The faults of `ListUsers`, each with its probability.
fn faults() -> [(Fault, f64); 7] {
    let garbage = Fault::Garbage {
        status: 200,
        applied: true,
    };
    [
        (Fault::DropBefore, 0.03),
        (Fault::DropAfter, 0.03),
        (Fault::HangAfter, 0.02),
        (Fault::internal_error(), 0.03),
        (Fault::throttled(), 0.04),
        (garbage, 0.02),
        (Fault::Latency(Duration::from_secs(1)), 0.05),
    ]
}

pub(crate) async fn drill(settings: Settings) -> Report {
    let cast = Cast {
        pool,
        change: |user, resource| {
            let role = role(user);
            let drift = if role == Role::Report {
                "Report"
            } else {
                "Correct"
            };
            resource["spec"]["drift"] = json!(drift);
            resource["spec"]["permanent"] = json!(role != Role::Temporary);
        },
    };
    let plane = ControlPlane::shared();
    let scene = Scene::set_with("saboteur", plane, settings, (USERS, 0), cast).await;
    // The limits of looks are three tenths of these.
    let scene = scene.with_limits(60, 60);
    let cognito = &scene.world.cognito;
    // A history would refuse every correction after a reset.
    cognito.set_history(0);
    let mut random = scene.random(1);
    let looks = cognito.of(Operation::ListUsers);
    looks.chance(random.next(), faults());
    let interval = |builder: OperatorBuilder<'static>| builder.arg("--drift-interval=5m");
    let mut replica = Replica::start(&scene, "a", interval).await;
    let users = scene.users.iter();
    let settled = join_all(users.map(|user| scene.observer.settled(&scene.book, user)));
    let settled = tokio::time::timeout(CORRECTED, settled).await;
    settled.expect("all users are set before the sabotage");
    let ledger = Ledger::default();
    let (stop, stopped) = watch::channel(false);
    let lagging = tokio::spawn(lag(Arc::clone(cognito), scene.random(2)));
    let restarts = async {
        for number in 1..=(settings.count(9, 1) / 3).clamp(3, 20) {
            // Sometimes too short for two looks, sometimes long enough.
            tokio::time::sleep(Duration::from_secs(50 + random.next() % 80)).await;
            replica.kill(&scene);
            replica.begin().await;
            replica.wait_ready().await;
            let (acts, calls) = (ledger.count(), cognito.call_count());
            scene.say.line(&format!(
                "kill {number}; so far {acts} acts of sabotage and {calls} calls"
            ));
        }
        // Time for the two looks of this process.
        tokio::time::sleep(MARGIN + 2 * Duration::from_secs(LAG_MAX)).await;
        stop.send_replace(true);
    };
    let rotating = scene.users.iter().filter(|user| rotates(user)).zip(0..);
    let rotating = rotating
        .map(|(user, number)| rotations(&scene, user, scene.random(100 + number), stopped.clone()));
    tokio::join!(
        restarts,
        join_all(rotating),
        story::sabotage(&scene, &ledger, scene.random(3), stopped.clone()),
    );
    let report = end(&scene, &ledger, &mut replica).await;
    lagging.abort();
    report
}

/// Changes the delay of `ListUsers` of each pool, for ever.
async fn lag(cognito: Arc<FaultServer>, mut random: Random) {
    loop {
        for pool in POOLS {
            let lag = Duration::from_secs(1 + random.next() % LAG_MAX);
            let listing = Listing {
                lag,
                ..Listing::default()
            };
            cognito.set_listing(pool, listing);
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
}

/// Rotates one Secret. The pauses are short and long, because looks count only a minute after a set.
async fn rotations(scene: &Scene, user: &str, mut random: Random, mut stop: watch::Receiver<bool>) {
    loop {
        let pause = Duration::from_secs(2 + random.next() % 180);
        tokio::select! {
            () = tokio::time::sleep(pause) => scene.rotate(user, &mut random).await,
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

/// The end of the drill: the sabotage is over, and the operator corrects what it may correct.
async fn end(scene: &Scene, ledger: &Ledger, replica: &mut Replica) -> Report {
    let cognito = &scene.world.cognito;
    let ended = Instant::now();
    cognito.heal();
    scene.say.line(&format!(
        "the sabotage is over: {}",
        ledger.told(scene.book.changes())
    ));
    // A correction that did not last comes again half an hour later. Another value in the Secret comes at once.
    let mut random = scene.random(4);
    for user in &scene.users {
        let is_last = |act: Act| act.is_correctable(role(user));
        let is_sabotaged = ledger.last(user).is_some_and(|deed| is_last(deed.act));
        let corrected = !checks::corrections(scene, user).is_empty();
        if is_sabotaged && corrected && checks::unmet(scene, ledger, user).is_some() {
            scene.rotate(user, &mut random).await;
        }
    }
    // The pass of a new process looks only at users whose set is old enough.
    let old = MARGIN + Duration::from_secs(5);
    tokio::time::sleep(old.saturating_sub(since_last_call(scene))).await;
    replica.kill(scene);
    replica.begin().await;
    replica.wait_ready().await;
    let unmet = || {
        let users = scene.users.iter();
        let unmet = users.filter_map(|user| {
            let why = checks::unmet(scene, ledger, user)?;
            Some((user.clone(), why))
        });
        unmet.collect::<Vec<_>>()
    };
    let began = Instant::now();
    let mut left = unmet();
    while !left.is_empty() && began.elapsed() < CORRECTED {
        tokio::time::sleep(Duration::from_millis(500)).await;
        left = unmet();
    }
    let mut report = Report {
        drill: scene.drill,
        ..Report::default()
    };
    if left.is_empty() {
        report.converged_after = Some(ended.elapsed());
        let took = time(ended.elapsed());
        scene.say.line(&format!(
            "all {USERS} users are as they should be after {took}"
        ));
    }
    let suspects: Vec<_> = left.iter().map(|(user, _)| user.clone()).collect();
    let left = left.into_iter().map(|(user, why)| format!("{user}: {why}"));
    report.violations.extend(left);
    let corrections = scene.users.iter();
    let corrections = corrections.flat_map(|user| checks::corrections(scene, user));
    let early = corrections.filter(|call| call.arrived < ended).count();
    scene.say.line(&format!(
        "{early} corrections were made while the sabotage went on"
    ));
    judge_all(scene, ledger, replica, suspects, &mut report).await;
    report
}

/// How long ago the last call arrived.
fn since_last_call(scene: &Scene) -> Duration {
    let calls = scene.world.cognito.calls();
    let last = calls.iter().map(|call| call.arrived).max();
    last.map_or(MARGIN, |last| last.elapsed())
}

/// Runs the checks on everything that the drill saw.
async fn judge_all(
    scene: &Scene,
    ledger: &Ledger,
    replica: &Replica,
    mut suspects: Vec<String>,
    report: &mut Report,
) {
    let replicas = [replica];
    judge::leaks(scene, &replicas, report).await;
    let calls = scene.world.cognito.calls();
    let mut corrections = 0;
    for user in &scene.users {
        corrections += checks::corrections(scene, user).len();
        let violations = checks::violations(scene, ledger, user);
        if !violations.is_empty() && !suspects.contains(user) {
            suspects.push(user.clone());
        }
        let named = violations.iter().map(|why| format!("{user}: {why}"));
        report.violations.extend(named);
    }
    judge::count(scene, &replicas, &calls, corrections, report);
    judge::rate(scene, &calls, report);
    let sabotage = ledger.correctable(role);
    let told = format!("{corrections} corrections of {sabotage} acts that may be corrected");
    scene.say.line(&told);
    if corrections > sabotage {
        report.violations.push(told);
    }
    let is_left = |user: &&String| {
        let last = ledger.last(user);
        role(user) == Role::Correct && last.is_some_and(|deed| deed.act.is_sign_up())
    };
    let strangers = scene.users.iter().filter(is_left).count();
    let told = format!("{strangers} users with drift: Correct ended with a sign-up");
    scene.say.line(&told);
    if corrections == 0 || sabotage == 0 || strangers == 0 {
        let nothing = format!("nothing was put to the test: {corrections} corrections, {told}");
        report.violations.push(nothing);
    }
    if !report.violations.is_empty() {
        report.evidence = judge::evidence(scene, &replicas, &suspects, &calls).await;
        for user in suspects.iter().take(3) {
            report.evidence += &ledger.evidence(user);
        }
    }
}
