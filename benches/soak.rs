//! A long day in short: rotations, creations, deletions and cut watches, round after round. Afterwards the
//! operator may keep nothing of the objects that are gone.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::process;
use crate::scenarios::lines;
use crate::stage::{Crowd, Stage, UNLIMITED, at_once, number};
use crate::support::{ApiFault, Kind, Operator, Proxy, metrics};
use crate::table::{Goal, Line, median};

/// After this time memory may not grow. A tenth of the whole time, if that is less.
const WARM_UP: Duration = Duration::from_mins(1);

/// Longer than either side keeps an idle connection, and longer than a lost call may take to land.
const CONNECTIONS_LIVE: Duration = Duration::from_mins(3);

/// What the operator keeps in memory.
#[derive(Clone, Debug)]
struct OperatorMemory {
    /// Resident memory, in MB.
    memory: f64,
    tasks: f64,
    connections: f64,
    entries: BTreeMap<String, usize>,
}

pub(crate) async fn run(operator: &Path, resources: usize, time: Duration) -> Vec<Line> {
    let stage = Stage::set(operator.to_owned()).await;
    let proxy = Proxy::start(&stage.plane);
    let kubeconfig = proxy.kubeconfig(&stage.plane, "soak", stage.token());
    let crowd = stage.fill("soak", resources, false).await;
    let operator = stage.operator_in_sync().await;
    stage.end(operator).await;
    // A fresh operator, without any earlier work.
    let operator = stage.operator_by(&kubeconfig, UNLIMITED).await;
    stage.verified(&operator).await;
    let before = OperatorMemory::over(&operator, 10).await;
    let calls = stage.cognito.count();

    let (began, warm_up) = (Instant::now(), WARM_UP.min(time / 10));
    let mut days = Days {
        stage: &stage,
        operator: &operator,
        proxy: &proxy,
        crowd: &crowd,
        held: &before,
        played: 0,
        sets: 0,
    };
    // The memory after each round since the warm-up.
    let mut memory = Vec::new();
    while began.elapsed() < time {
        days.pass().await;
        let now = process::memory(operator.pid()).0;
        if began.elapsed() >= warm_up {
            memory.push(now);
        }
        if days.played.is_multiple_of(10) {
            let Days { played, sets, .. } = days;
            stage.say(&format!("{played} rounds, {sets} values set: {now:.1} MB"));
        }
    }
    let Days { played, sets, .. } = days;
    // Two readings of the memory differ by some hundred kilobytes, so compare medians.
    let few = memory.len().min(5);
    let (first, last) = (
        median(&memory[..few]),
        median(&memory[memory.len() - few..]),
    );
    let calls = stage.cognito.count() - calls;
    stage.say("waiting until it is at rest");
    let after = at_rest(&operator, &before).await;
    stage.say(&format!(
        "{:.1} MB, before it began {:.1}; it holds {after:?} and held {before:?}",
        after.memory, before.memory
    ));
    stage.end(operator).await;

    let more = |after: f64, before: f64| (after - before).max(0.0);
    let (tasks, connections) = (
        more(after.tasks, before.tasks),
        more(after.connections, before.connections),
    );
    let none = Some(0.0);
    let calls = (number(calls) - number(sets)).abs();
    lines(
        "soak",
        [
            ("rounds", "", number(played), None, Goal::None),
            ("values set", "", number(sets), None, Goal::None),
            (
                "calls that nobody asked for",
                "",
                calls,
                none,
                Goal::Nothing,
            ),
            (
                "memory at the end",
                "MB",
                last,
                Some(first),
                Goal::Times(1.05),
            ),
            ("tasks left behind", "", tasks, none, Goal::Nothing),
            (
                "connections left behind",
                "",
                connections,
                none,
                Goal::Nothing,
            ),
            (
                "entries left behind",
                "",
                number(after.more_than(&before)),
                none,
                Goal::Nothing,
            ),
        ],
    )
}

impl OperatorMemory {
    /// The maximum over an idle time in seconds, because some tasks and connections come and go.
    async fn over(operator: &Operator, seconds: u32) -> Self {
        let mut most = Self::by(operator).await;
        for _ in 0..seconds {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let now = Self::by(operator).await;
            most = Self {
                tasks: most.tasks.max(now.tasks),
                connections: most.connections.max(now.connections),
                ..now
            };
        }
        most
    }

    async fn by(operator: &Operator) -> Self {
        let scrape = operator.metrics().await;
        let value = |name: &str| metrics::value(&scrape, name, &[]).expect(name);
        let entries = scrape.lines().filter_map(|line| {
            let sample = line.strip_prefix("cognito_password_operator_entries{of=\"")?;
            let (of, value) = sample.split_once("\"} ")?;
            Some((of.to_owned(), value.parse().expect("a number")))
        });
        Self {
            memory: process::memory(operator.pid()).0,
            tasks: value("cognito_password_operator_tasks"),
            connections: value("process_open_fds"),
            entries: entries.collect(),
        }
    }

    /// The number of entries beyond those in `before`, summed over all kinds.
    fn more_than(&self, before: &Self) -> usize {
        let more = self.entries.iter().map(|(of, entries)| {
            let before = before.entries.get(of).copied().unwrap_or(0);
            entries.saturating_sub(before)
        });
        more.sum()
    }
}

/// The state once it is no greater than `before`, or else the state at the end of the time limit.
async fn at_rest(operator: &Operator, before: &OperatorMemory) -> OperatorMemory {
    let began = Instant::now();
    loop {
        let now = OperatorMemory::by(operator).await;
        let rests = now.more_than(before) == 0
            && now.tasks <= before.tasks
            && now.connections <= before.connections;
        if rests || began.elapsed() > CONNECTIONS_LIVE {
            return now;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

struct Days<'a> {
    stage: &'a Stage,
    operator: &'a Operator,
    proxy: &'a Proxy,
    crowd: &'a Crowd,
    /// The state before the first day.
    held: &'a OperatorMemory,
    played: usize,
    /// How many values were set.
    sets: usize,
}

impl Days<'_> {
    /// Plays one day: rotates a tenth of the resources, and creates and deletes a twentieth. Of every three
    /// days, the second cuts the watches midway, and the third also answers that their resourceVersion is too
    /// old.
    async fn pass(&mut self) {
        let Self { stage, crowd, .. } = *self;
        let day = self.played;
        let all = crowd.names.len();
        let rotated = (all / 10).max(1);
        let rotated: Vec<_> = (0..rotated)
            .map(|n| crowd.names[(day * rotated + n) % all].clone())
            .collect();
        let new: Vec<_> = (0..(all / 20).max(1))
            .map(|n| format!("soak-{day}-{n}"))
            .collect();
        let began = Instant::now();
        let (early, late) = rotated.split_at(rotated.len() / 2);
        let rotate = async |names: &[String]| {
            at_once(names, async |name: &String| {
                crowd.rotate(name, &format!("Day{day}")).await;
            })
            .await;
        };
        rotate(early).await;
        match day % 3 {
            1 => self.proxy.cut_watches(),
            2 => {
                self.proxy.next(Kind::Watch, ApiFault::Gone);
                self.proxy.cut_watches();
            }
            _ => {}
        }
        rotate(late).await;
        stage.make(crowd, &new, false).await;
        for name in rotated.iter().chain(&new) {
            stage
                .until("the value is set", async || {
                    let called = stage.cognito.called(name, began);
                    called.map(|_| ()).ok_or_else(|| name.clone())
                })
                .await;
        }
        stage.verified(self.operator).await;
        stage.delete(crowd, &new).await;
        stage
            .until("what is gone is forgotten", async || {
                let now = OperatorMemory::by(self.operator).await;
                let of =
                    |held: &OperatorMemory| ["resources", "secrets"].map(|of| held.entries[of]);
                let (now, before) = (of(&now), of(self.held));
                if now == before {
                    Ok(())
                } else {
                    Err(format!("{now:?}, not {before:?}"))
                }
            })
            .await;
        self.played += 1;
        self.sets += rotated.len() + new.len();
    }
}
