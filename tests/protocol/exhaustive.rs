//! Every interleaving of two processes in a short scenario. People's actions come in their order. One call
//! that goes wrong, a crash of each process, a lost write and the passing of time come at any point. The
//! search is breadth first, so the first failure is as short as possible. `PROTOCOL_DEPTH` asks for longer
//! branches.

use super::{
    checks::Promise,
    cognito::{Act, Fault, Newcomer},
    process::Process,
    properties::{minimal, setting, told},
    world::{Event, Event::*, World},
};
use cognito_password_operator::api::Drift;
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

/// The faults of scenarios with sign-outs or looks.
const FAULTS_WATCHED: [Fault; 3] = [Fault::LostAfter, Fault::Late(20), Fault::Denied];

/// The events before a scenario in which value 0 is set, and the user's password is reset. One look has shown that.
const RESET: [Event; 7] = [
    Drift(Drift::Correct),
    Run(0),
    Wait(61),
    Elsewhere(Act::Reset),
    Pass(0),
    Run(0),
    Wait(61),
];

/// The events before a scenario in which value 0 is set, and the next value is about to be recorded as set. The
/// user has a session.
const OWES: [Event; 8] = [
    Revoke(true),
    Run(0),
    Elsewhere(Act::SignIn),
    Run(1),
    Put(1),
    Look(0),
    Look(0),
    Look(0),
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
        also: &[Event],
        fault: Fault,
    ) -> Self {
        let mut world = World::new(history, false);
        for event in before {
            world.live_through(*event);
        }
        let usual = [
            Fault(fault),
            Crash(0),
            Crash(1),
            LoseReply,
            Wait(6),
            Wait(31),
        ];
        let once = usual.into_iter().chain(also.iter().copied()).collect();
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
            Fault(_) => any(Process::is_about_to_call) || any(Process::is_about_to_sign_out),
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
    let count = search_all(&[None, Some(5)], &FAULTS, before, people, &[]);
    assert!(count > 1_000, "{count}");
}

#[rstest]
#[case::a_reset(&RESET, &[Look(0)], &[Elsewhere(Act::Reset), Wait(61)])]
#[case::a_stranger_after_a_reset(&RESET, &[Look(0), Elsewhere(Act::Recreate(Newcomer::SignedUp))], &[Pass(0), Wait(61)])]
#[case::a_new_value_after_a_reset(&RESET, &[Put(1)], &[Elsewhere(Act::SignIn), Wait(61)])]
#[case::a_set_that_owes(&OWES, &[Elsewhere(Act::SignIn)], &[])]
#[case::a_value_while_owing(&OWES, &[Look(0), Put(2)], &[Elsewhere(Act::SignIn)])]
#[case::a_field_taken_away(&OWES, &[Revoke(false), Revoke(true)], &[])]
fn every_interleaving_with_looks_or_sign_outs_of(
    #[case] before: &'static [Event],
    #[case] people: &'static [Event],
    #[case] also: &'static [Event],
) {
    let count = search_all(&[None], &FAULTS_WATCHED, before, people, also);
    assert!(count > 500, "{count}");
}

/// Searches one scenario with each of these histories and faults. Returns the number of branches.
fn search_all(
    histories: &[Option<usize>],
    faults: &[Fault],
    before: &'static [Event],
    people: &'static [Event],
    also: &'static [Event],
) -> usize {
    let depth = setting("PROTOCOL_DEPTH", DEPTH);
    let scenarios: Vec<_> = histories
        .iter()
        .flat_map(|h| faults.iter().map(|f| (*h, *f)))
        .collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut count = 0;
        while let Some((history, fault)) = scenarios.get(next.fetch_add(1, Ordering::Relaxed)) {
            let start = Branch::new(*history, before, people, also, *fault);
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
        Ok(counts) => counts.iter().sum(),
        Err(how) => panic!("{how}"),
    }
}
