//! CRASH: `kill -9` at random moments, and at each named point of a set.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::checks::Actors;
use crate::judge::judge;
use crate::replica::Replica;
use crate::report::Report;
use crate::say::time;
use crate::scene::Scene;
use crate::settings::Settings;
use crate::support::{Call, ControlPlane, Fault, Kind, Moment, Outcome};

/// The limit for a set to come to a point: while all users wait for a quarantine, no set comes to any point.
const PATIENCE: Duration = Duration::from_mins(3);

/// The operator's position in a set at the time of the kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Point {
    BeforeAttemptWrite,
    AfterAttemptWrite,
    BeforeCall,
    AfterCall,
    BeforeOutcomeWrite,
    AfterOutcomeWrite,
    Anywhere,
}

const POINTS: [Point; 7] = [
    Point::BeforeAttemptWrite,
    Point::AfterAttemptWrite,
    Point::BeforeCall,
    Point::AfterCall,
    Point::BeforeOutcomeWrite,
    Point::AfterOutcomeWrite,
    Point::Anywhere,
];

impl Point {
    fn told(self) -> &'static str {
        match self {
            Point::BeforeAttemptWrite => "before the attempt is written",
            Point::AfterAttemptWrite => "after the attempt was written",
            Point::BeforeCall => "before the call is applied",
            Point::AfterCall => "after the call was applied",
            Point::BeforeOutcomeWrite => "before the outcome is written",
            Point::AfterOutcomeWrite => "after the outcome was written",
            Point::Anywhere => "anywhere",
        }
    }
}

pub(crate) async fn drill(settings: Settings) -> Report {
    let size = (24, settings.count(60, 40));
    let scene = Scene::set("crash", ControlPlane::shared(), settings, size).await;
    let mut replica = Replica::start(&scene, "a", |builder| builder).await;
    let mut random = scene.random(1);
    let mut covered = BTreeMap::new();
    scene
        .play(async {
            for _ in 0..settings.count(2, 1) {
                let mut points = POINTS;
                random.shuffle(&mut points);
                for point in points {
                    let steps = random.next() % 30;
                    let at = kill(&scene, &mut replica, point, steps).await;
                    let killed = Instant::now();
                    replica.begin().await;
                    replica.wait_ready().await;
                    let took = time(killed.elapsed());
                    let told = point.told();
                    scene
                        .say
                        .line(&format!("killed {told}{at}; ready again after {took}"));
                    *covered.entry(point).or_insert(0) += 1;
                }
            }
        })
        .await;
    let mut report = judge(&scene, &[&replica], Actors::One).await;
    for point in POINTS.iter().filter(|point| !covered.contains_key(point)) {
        report
            .violations
            .push(format!("never killed {}", point.told()));
    }
    report
}

/// Kills the operator at this point. Returns the name of the resource whose set was interrupted.
async fn kill(scene: &Scene, replica: &mut Replica, point: Point, steps: u64) -> String {
    let held = match point {
        Point::BeforeAttemptWrite => Some((Kind::Attempt, Moment::Before)),
        Point::AfterAttemptWrite => Some((Kind::Attempt, Moment::After)),
        Point::BeforeOutcomeWrite => Some((Kind::Outcome, Moment::Before)),
        Point::AfterOutcomeWrite => Some((Kind::Outcome, Moment::After)),
        Point::BeforeCall | Point::AfterCall | Point::Anywhere => None,
    };
    if let Some((kind, moment)) = held {
        let mut rule = replica.proxy.hold(kind, moment);
        let caught = tokio::time::timeout(PATIENCE, rule.caught()).await;
        let held = caught.unwrap_or_else(|_| panic!("nobody came {}", point.told()));
        replica.kill(scene);
        return format!(" ({})", held.asked.name);
    }
    match point {
        Point::BeforeCall => {
            hangs(scene, Fault::HangBefore).await;
        }
        Point::AfterCall => {
            // The history refuses a value that an earlier call has set. Such a call doesn't count: wait for
            // the next one.
            loop {
                let call = hangs(scene, Fault::HangAfter).await;
                if call.applied() {
                    break;
                }
                let cognito = &scene.world.cognito;
                cognito.release();
                let ended = |calls: &[Call]| {
                    let same = calls.iter().find(|other| other.id == call.id);
                    same.is_some_and(|call| call.ended.is_some())
                };
                cognito.wait_until("end of a call", PATIENCE, ended).await;
            }
        }
        _ => replica.proxy.steps(steps).await,
    }
    replica.kill(scene);
    String::new()
}

/// Waits until a call gets this fault and hangs.
async fn hangs(scene: &Scene, fault: Fault) -> Call {
    let cognito = &scene.world.cognito;
    cognito.next([fault.clone()]);
    let hanging = |calls: &[Call]| {
        let hangs =
            |call: &&Call| call.fault == fault && matches!(call.outcome, Outcome::InFlight { .. });
        calls.iter().rev().take(100).find(hangs).cloned()
    };
    let judged = |calls: &[Call]| {
        let set_before = |call: &Call| {
            let same = |other: &&Call| other.password == call.password && other.id < call.id;
            calls.iter().filter(same).any(Call::applied)
        };
        let judged = |call: Call| fault == Fault::HangBefore || call.applied() || set_before(&call);
        hanging(calls).is_some_and(judged)
    };
    let what = "call that hangs";
    cognito.wait_until(what, PATIENCE, judged).await;
    let calls = cognito.calls();
    let met = calls.into_iter().rev().find(|call| call.fault == fault);
    met.expect("it was there a moment ago")
}
