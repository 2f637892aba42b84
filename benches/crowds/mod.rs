//! Crowds: what anybody may create in numbers, and what that costs everybody else. Each scenario has a
//! control plane of its own, and its floor is the same without the crowd.

mod claimants;
mod connections;
mod grants;
mod moved;
mod regions;

use std::path::Path;
use std::time::{Duration, Instant};

use crate::livez::{Answers, Livez, longest_stall};
use crate::process;
use crate::stage::{Crowd, Stage, UNLIMITED};
use crate::support::Operator;
use crate::table::{Goal, Line, median};

/// All of them, in the order in which they are played.
pub(crate) const ALL: [&str; 5] = ["claimants", "grants", "moved", "regions", "connections"];

/// How often an operator is started anew for one figure.
const RESTARTS: usize = 3;

/// No task may keep the thread longer, in ms.
const STALL: f64 = 50.0;

/// Plays one of [`ALL`].
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

/// How long the thread was away while something went on: from outside and from inside.
#[derive(Clone, Copy, Default)]
struct Stall {
    outside: Answers,
    /// In ms.
    inside: f64,
}

impl Stall {
    async fn of(livez: Livez, operator: &Operator) -> Self {
        Self {
            outside: livez.ended().await,
            inside: longest_stall(operator).await,
        }
    }

    fn or(self, other: Self) -> Self {
        Self {
            outside: self.outside.or(other.outside),
            inside: self.inside.max(other.inside),
        }
    }
}

/// What a few restarts took.
#[derive(Clone, Copy)]
struct Restart {
    /// From the start until everything is looked at, in seconds.
    took: f64,
    cpu: f64,
    memory: f64,
    stall: Stall,
}

/// Restarts the operator a few times, each until the resources say what is expected.
async fn restarts(stage: &Stage, args: &[&str], expected: &[(&str, usize)]) -> Restart {
    let (mut took, mut cpu, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    let mut stall = Stall::default();
    for _ in 0..RESTARTS {
        let began = Instant::now();
        let operator = stage.operator_with(UNLIMITED, args).await;
        let livez = Livez::of(&operator);
        stage.settled(&operator, expected).await;
        took.push(began.elapsed().as_secs_f64());
        cpu.push(process::cpu(operator.pid()));
        memory.push(process::memory(operator.pid()).0);
        stall = stall.or(Stall::of(livez, &operator).await);
        stage.end(operator).await;
    }
    Restart {
        took: median(&took),
        cpu: median(&cpu),
        memory: median(&memory),
        stall,
    }
}

/// From a Secret's patch to the call, in ms, so many times for one user; the median. The first one opens
/// connections.
async fn rotations(stage: &Stage, crowd: &Crowd, name: &str, user: &str, times: usize) -> f64 {
    let mut took = Vec::new();
    for time in 0..=times {
        let began = Instant::now();
        crowd.rotate(name, &format!("Rotation{time}")).await;
        let at = stage.called(user, began).await;
        took.push((at - began).as_secs_f64() * 1e3);
        // What follows the call is over before the next one.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    median(&took[1..])
}

/// The lines of a stall.
fn stall_lines(scenario: &'static str, when: &str, with: Stall, without: Stall) -> [Line; 2] {
    let line = |what: String, measured, floor, goal| Line {
        scenario,
        what,
        unit: "ms",
        measured,
        floor: Some(floor),
        goal,
    };
    [
        line(
            format!("{when}: longest that a task kept the thread"),
            with.inside,
            without.inside,
            Goal::Most(STALL),
        ),
        line(
            format!("{when}: longest wait for /livez"),
            with.outside.longest,
            without.outside.longest,
            Goal::None,
        ),
    ]
}
