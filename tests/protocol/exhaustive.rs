//! Every interleaving of two processes in a short scenario. People's actions come in their order. One call
//! that goes wrong, a crash of each process, a lost write and the passing of time come at any point. The
//! search is breadth first, so the first failure is as short as possible. `PROTOCOL_DEPTH` asks for longer
//! branches.

use super::{
    checks::Promise,
    cognito::Fault,
    process::Process,
    properties::{minimal, setting, told},
    world::{Event, Event::*, World},
};
use rstest::rstest;
use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
    num::NonZero,
    sync::atomic::{AtomicUsize, Ordering},
};

/// How many events a branch has after the events before the scenario.
const DEPTH: u64 = 4;

/// The faults of the call that goes wrong.
const FAULTS: [Fault; 6] = [
    Fault::LostBefore,
    Fault::LostAfter,
    Fault::Late(20),
    Fault::Throttled,
    Fault::Denied,
    Fault::UserNotFoundBefore,
];

/// A branch of the search.
#[derive(Clone)]
struct Branch {
    world: World,
    /// The events since the scenario began.
    path: Vec<Event>,
    /// The next actions of people, in this order.
    people: &'static [Event],
    /// Events that may each happen once, at any time.
    once: Vec<Event>,
}

impl Branch {
    fn new(
        history: Option<usize>,
        before: &[Event],
        people: &'static [Event],
        fault: Fault,
    ) -> Self {
        let mut world = World::new(history, false);
        for event in before {
            world.live_through(*event);
        }
        let once = vec![
            Fault(fault),
            Crash(0),
            Crash(1),
            LoseReply,
            Wait(6),
            Wait(31),
        ];
        Self {
            world,
            path: before.to_vec(),
            people,
            once,
        }
    }

    /// Every event that can happen next and makes a difference.
    fn next(&self) -> Vec<Self> {
        let processes = &self.world.processes;
        let any = |is: fn(&Process) -> bool| processes.iter().any(is);
        let fits = |event: &Event| match event {
            Crash(who) => processes[usize::from(*who)].is_busy(),
            Fault(_) => any(Process::is_about_to_call),
            LoseReply => any(Process::is_about_to_write),
            // A step while the watches lag; only the second process has such steps.
            Step(who) => !processes[usize::from(*who)].is_busy(),
            _ => true,
        };
        let people = self
            .people
            .first()
            .map(|event| (*event, &self.people[1..], None));
        let once = self.once.iter().enumerate();
        let once = once.map(|(at, event)| (*event, self.people, Some(at)));
        let steps = [Look(0), Look(1), Step(1)].map(|event| (event, self.people, None));
        let all = people.into_iter().chain(once).chain(steps);
        let branch = |(event, people, used): (Event, _, Option<usize>)| {
            let mut branch = self.clone();
            branch.people = people;
            if let Some(used) = used {
                branch.once.remove(used);
            }
            branch.path.push(event);
            branch.world.live_through(event);
            // The number of reads does not matter for the rest of the branch.
            branch.world.watch.reads = 0;
            branch
        };
        all.filter(|(event, ..)| fits(event)).map(branch).collect()
    }

    /// A hash of the state: equal for two branches with the same future.
    fn key(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        format!("{:?} {:?} {:?}", self.world, self.once, self.people).hash(&mut hasher);
        hasher.finish()
    }

    /// The first broken promise, now or after the end of the branch.
    fn broken(&self, in_the_end: bool) -> Option<Promise> {
        let first = |world: &World| world.watch.any_broken().map(|(promise, _)| *promise);
        if !in_the_end {
            return first(&self.world);
        }
        let mut world = self.world.clone();
        world.finish();
        first(&world)
    }
}

/// Searches, and describes the first branch that breaks a promise. Returns the number of branches. Only
/// branches of full length are run to their end: a promise that a shorter branch breaks at its end is broken
/// there too. The description omits events that are not needed.
fn search(history: Option<usize>, start: Branch, depth: u64) -> Result<usize, String> {
    let mut seen = HashSet::from([start.key()]);
    let mut branches = vec![start];
    for left in (0..depth).rev() {
        let mut longer = Vec::new();
        for branch in branches.iter().flat_map(Branch::next) {
            if !seen.insert(branch.key()) {
                continue;
            }
            if let Some(promise) = branch.broken(left == 0) {
                return Err(tell(history, branch.path, promise));
            }
            longer.push(branch);
        }
        branches = longer;
    }
    Ok(seen.len())
}

fn tell(history: Option<usize>, events: Vec<Event>, promise: Promise) -> String {
    let events = minimal(events, |events| {
        let mut world = World::new(history, false);
        world.live(events);
        world.watch.first_broken(promise).is_some()
    });
    let with = format!("with a history of {history:?}");
    format!("{promise:?}, {with}: {}", told(history, &events, promise))
}

#[rstest]
#[case::a_second_change(&[Run(0), Run(1), Put(1), Look(0), Look(0)], &[Put(2)])]
#[case::there_and_back(&[Run(0), Run(1), Put(1), Look(0), Look(0)], &[Put(0)])]
#[case::a_request(&[Run(0), Run(1), Request, Look(0), Look(0)], &[Put(1)])]
#[case::somebody_else(&[Run(0), Run(1), Meddle(9), Request, Look(0), Look(0)], &[Request, Put(1)])]
#[case::somebody_else_in_the_middle(&[Run(0), Run(1), Put(1), Look(0), Look(0)], &[Meddle(9), Request])]
#[case::somebody_else_of_a_temporary_one(&[Permanent(false), Look(0), Run(0), Meddle(9), Request, Look(0), Look(0)], &[Request, UserChooses])]
#[case::temporary(&[Permanent(false), Look(0), Look(0)], &[UserChooses, Put(1)])]
#[case::temporary_on_request(&[Permanent(false), Look(0), Run(0), Request, Look(0), Look(0)], &[UserChooses])]
fn every_interleaving_of(#[case] before: &'static [Event], #[case] people: &'static [Event]) {
    let depth = setting("PROTOCOL_DEPTH", DEPTH);
    let histories = [None, Some(5)];
    let scenarios: Vec<_> = histories
        .into_iter()
        .flat_map(|h| FAULTS.map(|f| (h, f)))
        .collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut count = 0;
        while let Some((history, fault)) = scenarios.get(next.fetch_add(1, Ordering::Relaxed)) {
            let start = Branch::new(*history, before, people, *fault);
            count += search(*history, start, depth)?;
        }
        Ok(count)
    };
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let found: Result<Vec<usize>, String> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .map(|it| it.join().expect("no panic"))
            .collect()
    });
    match found {
        Ok(counts) => assert!(counts.iter().sum::<usize>() > 1_000, "{counts:?}"),
        Err(how) => panic!("{how}"),
    }
}
