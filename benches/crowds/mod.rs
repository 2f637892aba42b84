//! Crowds: objects that any tenant may create in large numbers, and the cost to everyone else. Each scenario
//! has its own control plane. Its floor is the same scenario without the crowd.

mod claimants;
mod connections;
mod grants;
mod moved;
mod regions;

use std::path::Path;
use std::time::{Duration, Instant};

use crate::livez::{self, Answers, Livez};
use crate::process;
use crate::stage::{Crowd, Stage, UNLIMITED};
use crate::support::Operator;
use crate::table::{Goal, Line, median};

/// All crowds, in the order of the run.
pub(crate) const ALL: [&str; 5] = ["claimants", "grants", "moved", "regions", "connections"];

/// How many restarts make one figure.
const RESTARTS: usize = 3;

/// The longest time that a task may block the thread, in ms.
const STALL: f64 = 50.0;

/// Runs one of [`ALL`].
pub(crate) async fn play(name: &str, operator: &Path) -> Vec<Line> {
    match name {
        "claimants" => claimants::run(operator).await,
        "grants" => grants::run(operator).await,
        "moved" => moved::run(operator).await,
        "regions" => regions::run(operator).await,
        "connections" => connections::run(operator).await,
        _ => panic!("no scenario {name}"),
    }
}

/// How long the operator's thread was blocked during a step.
#[derive(Clone, Copy, Default)]
struct Stall {
    /// As measured by a client.
    outside: Answers,
    /// The number of polls over 50 ms, by the operator's own meter.
    too_long: f64,
}

/// Measures stalls from a start point on.
struct StallWatch {
    livez: Livez,
    before: f64,
}

impl StallWatch {
    /// From the start of the operator.
    fn start(operator: &Operator) -> Self {
        Self {
            livez: Livez::of(operator),
            before: 0.0,
        }
    }

    async fn now(operator: &Operator) -> Self {
        Self {
            livez: Livez::of(operator),
            before: livez::stalls(operator).await,
        }
    }

    async fn ended(self, operator: &Operator) -> Stall {
        let outside = self.livez.ended().await;
        Stall {
            outside,
            too_long: livez::stalls(operator).await - self.before,
        }
    }
}

impl Stall {
    fn or(self, other: Self) -> Self {
        Self {
            outside: self.outside.or(other.outside),
            too_long: self.too_long.max(other.too_long),
        }
    }

    /// The lines of the table for this result.
    fn lines(self, scenario: &'static str, when: &str, without: Self) -> [Line; 3] {
        let line = |what: &str, unit, of: fn(&Self) -> f64, goal| Line {
            scenario,
            what: format!("{when}: {what}"),
            unit,
            measured: of(&self),
            floor: Some(of(&without)),
            goal,
        };
        [
            line(
                "most work while /livez waits",
                "ms",
                |it| it.outside.work,
                Goal::Most(STALL),
            ),
            line(
                "longest wait for /livez",
                "ms",
                |it| it.outside.longest,
                Goal::None,
            ),
            line(
                "tasks that kept the thread for 50 ms",
                "",
                |it| it.too_long,
                Goal::None,
            ),
        ]
    }
}

/// The medians or maxima of a few restarts.
#[derive(Clone, Copy)]
struct Restart {
    /// Seconds from the start until every resource is settled.
    took: f64,
    cpu: f64,
    memory: f64,
    stall: Stall,
}

/// Restarts the operator a few times. Each restart lasts until the resources have the expected reasons.
async fn restarts(stage: &Stage, args: &[&str], expected: &[(&str, usize)]) -> Restart {
    let (mut took, mut cpu, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    let mut stall = Stall::default();
    for _ in 0..RESTARTS {
        let began = Instant::now();
        let operator = stage.operator_with(UNLIMITED, args).await;
        let watching = StallWatch::start(&operator);
        stage.settled(&operator, expected).await;
        took.push(began.elapsed().as_secs_f64());
        cpu.push(process::cpu(operator.pid()));
        memory.push(process::memory(operator.pid()).0);
        stall = stall.or(watching.ended(&operator).await);
        stage.end(operator).await;
    }
    Restart {
        took: median(&took),
        cpu: median(&cpu),
        memory: median(&memory),
        stall,
    }
}

/// The median time from the patch of a Secret to the call, in ms. The first rotation is not counted, because
/// it opens connections.
async fn rotations(stage: &Stage, crowd: &Crowd, name: &str, user: &str, times: usize) -> f64 {
    let mut took = Vec::new();
    for time in 0..=times {
        let began = Instant::now();
        crowd.rotate(name, &format!("Rotation{time}")).await;
        let at = stage.called(user, began).await;
        took.push((at - began).as_secs_f64() * 1e3);
        // Let the status write after the call finish first.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    median(&took[1..])
}
