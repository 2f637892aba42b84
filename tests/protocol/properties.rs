//! The promises in random lives: any events in any order. Plain lives are without `drift` and `revokeSessions`.
//! Watched lives begin with these fields, and in them others reset, disable and recreate the user.

use super::{
    checks::Promise,
    cognito::{Act, Fault, LookResult, Newcomer, WEAK, text},
    kstatus::ready,
    world::{Event, World},
};
use cognito_password_operator::api::{ConditionStatus, ConditionType, Drift, Reason, Status};
use jiff::SignedDuration;
use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner},
};
use std::{
    num::NonZero,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

const CASES: u64 = 10_000;
/// One watched life for so many plain ones.
const PLAIN_PER_WATCHED: u64 = 4;
/// The number of batches, each with its own seed, independent of the machine.
const BATCHES: u64 = 16;
const EVENTS: usize = 36;
/// How many wakes of the operator the end of a life includes.
const RESTS: usize = 14;

impl World {
    /// Ends a life: no more faults, up-to-date watches, one process, and enough time.
    pub fn finish(&mut self) {
        self.cognito.faults.clear();
        self.lose_next_reply = false;
        if !matches!(self.cognito.look_result, LookResult::Lagging(_)) {
            self.cognito.look_result = LookResult::Lagging(60);
        }
        self.restart(1);
        self.sync(0);
        self.run(0);
        // Changes during a set are handled after the set.
        self.sync(0);
        let mut rest = self.run(0);
        rest = self.until_rest(rest);
        if self.cluster.resource.spec.drift.unwrap_or_default() != Drift::Ignore {
            self.look_around();
            rest = self.run(0);
            rest = self.until_rest(rest);
        }
        self.wait(SignedDuration::from_secs(60));
        self.check_end(rest.is_some());
        self.check_seen();
        let settled = ready(&self.cluster.resource.status()) == Some(ConditionStatus::True);
        // Without its key, a refused value is recognised only until the Secret's version changes.
        // A user who changed while the resource had no value is looked at before the next set.
        let status = self.cluster.resource.status();
        let about_user = status.ready_reason().is_some_and(Reason::is_about_user);
        let will_look = self.watch.user_changed && !settled && !about_user;
        if rest.is_none() && (settled || !self.watch.keys_lost) && !will_look {
            // In a copy: the world itself keeps its final state.
            let mut quiet = self.clone();
            quiet.check_quiet(settled);
            self.take_over_from(quiet);
        }
    }

    /// Lets the operator wake, a limited number of times. Returns the last wake, if the operator is not at rest.
    fn until_rest(&mut self, mut rest: Option<Duration>) -> Option<Duration> {
        // What a look found is said, a set may correct that, and a sign-out may follow.
        let spec = &self.cluster.resource.spec;
        let is_watched = spec.revoke_sessions || spec.drift.unwrap_or_default() != Drift::Ignore;
        let writes = if is_watched { 5 } else { 2 };
        for _ in 0..RESTS {
            let Some(wake) = rest else { break };
            let before = (self.watch.writes, self.watch.calls);
            self.note(|| format!("{wake:?} later"));
            self.wait(SignedDuration::try_from(wake).expect("a short wait"));
            self.sync(0);
            rest = self.run(0);
            if self.watch.writes > before.0 + writes || self.watch.calls > before.1 + 1 {
                self.watch.broken(
                    Promise::Quiescence,
                    "more than one try at a wake".to_owned(),
                );
            }
        }
        rest
    }

    fn check_end(&mut self, goes_on: bool) {
        let status = self.cluster.resource.status();
        if self.cluster.resource.spec.suspend {
            let generation = Some(self.cluster.resource.generation);
            let suspended = status.condition(ConditionType::Suspended);
            let said = suspended.is_some_and(|c| c.observed_generation == generation);
            if !said || status.observed_generation != generation {
                let how = format!("suspended, and says {}", self.summary(&status));
                self.watch.broken(Promise::Convergence, how);
            }
            return;
        }
        let reason = status.ready_reason();
        if !self.cluster.granted {
            if reason != Some(Reason::NotGranted) {
                let how = format!("ended with {reason:?} without a grant");
                self.watch.broken(Promise::Convergence, how);
            }
            return;
        }
        let (wanted, fits) = self.judge(&status, reason);
        if !fits {
            let how = format!("ended with {reason:?}, {wanted}; {}", self.summary(&status));
            let false_refusal = reason == Some(Reason::PasswordHistoryPolicyViolation);
            let promise = if false_refusal {
                Promise::NoFalseRefusal
            } else {
                Promise::Convergence
            };
            self.watch.broken(promise, how);
        }
        if goes_on && ready(&status) == Some(ConditionStatus::True) {
            self.watch
                .broken(Promise::Quiescence, "settled, and wakes".to_owned());
        }
    }

    /// Whether a final status is right.
    fn judge(&self, status: &Status, reason: Option<Reason>) -> (&'static str, bool) {
        // A user who may be a stranger is said before the Secret is read.
        if reason.is_some_and(Reason::is_about_user) {
            return ("nothing happened to the user", self.watch.user_changed);
        }
        let Some(secret) = &self.cluster.secret else {
            return ("the Secret is gone", reason == Some(Reason::SecretNotFound));
        };
        let spec = &self.cluster.resource.spec;
        if !secret
            .data
            .contains_key(spec.password_secret_ref.key.as_str())
        {
            return ("the key is gone", reason == Some(Reason::SecretKeyNotFound));
        }
        let Some(value) = self.cluster.value() else {
            return (
                "the value is invalid",
                reason == Some(Reason::InvalidSecretValue),
            );
        };
        let value = value.expose();
        let (current, permanent) = &self.cognito.current;
        let is_set = current == value && *permanent == spec.permanent;
        if self.cognito.user.is_none() && reason == Some(Reason::UserNotFound) {
            return ("there is no user", true);
        }
        if is_set && ready(status) == Some(ConditionStatus::True) {
            let synced = status.synced.as_ref().map(|s| &s.secret_uid);
            let of_this = synced.is_some()
                && status.observed_generation == Some(self.cluster.resource.generation);
            return ("it is set", of_this);
        }
        let inferred = reason == Some(Reason::AppliedAfterLostReply)
            || self.watch.inferred && reason == Some(Reason::PasswordSet);
        if inferred && self.watch.meddling.with_values {
            return ("in a history that somebody else wrote too", true);
        }
        if inferred && self.watch.made_anew && self.cognito.in_history(value) {
            return ("in a history that isn't on record", true);
        }
        if ready(status) == Some(ConditionStatus::True) && self.cognito.foreign {
            return (
                "somebody else has set it, and nobody asked",
                !self.watch.meddling.vouched,
            );
        }
        let is_about_history = matches!(
            reason,
            Some(
                Reason::OutcomeUnknown
                    | Reason::NotConfirmed
                    | Reason::PasswordHistoryPolicyViolation
            )
        );
        if is_about_history && self.watch.user_changed {
            return ("in the history of a user who is gone or was reset", true);
        }
        let in_doubt = self.is_in_doubt(value);
        match reason {
            Some(Reason::InvalidPassword) => ("refused by the policy", value == text(WEAK)),
            Some(Reason::OutcomeUnknown) if !spec.permanent => {
                let spent = self.watch.spent.contains_key(value) || self.watch.spent_before(value);
                let refused = self.cognito.in_history(value) && self.was_sent_earlier(value);
                let untold = self.watch.cut_off || self.watch.keys_lost || refused;
                ("it was never sent", spent || untold)
            }
            Some(Reason::NotConfirmed) => {
                let asked = self.watch.asked_for.contains(value);
                let refused = self.cognito.refused.contains(value);
                let doubt = asked || in_doubt || self.was_sent_earlier(value);
                ("nothing was in doubt", refused && doubt)
            }
            Some(Reason::PasswordHistoryPolicyViolation) if is_set => ("it is set", in_doubt),
            Some(Reason::OutcomeUnknown) if self.cognito.in_history(value) => {
                let asked = self.watch.asked_for.contains(value);
                let doubt = asked || in_doubt || self.was_sent_earlier(value);
                ("in the history", doubt)
            }
            Some(Reason::PasswordHistoryPolicyViolation) => {
                ("never in the history", self.cognito.refused.contains(value))
            }
            _ if is_set => ("it is set", false),
            _ => ("it could be set", false),
        }
    }

    /// Spurious events, a restart and changed metadata cause nothing.
    fn check_quiet(&mut self, settled: bool) {
        // The value may still need a signature by a new key, and a version may still need its record.
        self.run(0);
        self.record_verified(0);
        self.silent("at rest", |world| {
            world.run(0);
            world.wait(SignedDuration::from_hours(25));
            world.run(0);
        });
        self.silent("after more looks", |world| {
            for _ in 0..2 {
                world.pass(0);
                world.run(0);
                world.wait(SignedDuration::from_mins(15));
            }
        });
        self.silent("after a restart", |world| {
            world.restart(0);
            world.run(0);
        });
        // After a deviation, a moved version leads to looks, which end after this: see table_looks.rs.
        let status = self.cluster.resource.status();
        if status.ready_reason().is_some_and(Reason::is_about_user) {
            return;
        }
        let before = (self.watch.writes, self.watch.calls);
        self.cluster.touch();
        self.sync(0);
        self.run(0);
        self.restart(0);
        self.run(0);
        if (self.watch.writes, self.watch.calls) != before {
            let how = "writes or calls for a moved version".to_owned();
            self.watch.broken(Promise::Quiescence, how);
        }
        self.record_verified(0);
        if self.record_verified(0) {
            let how = "records the same version twice".to_owned();
            self.watch.broken(Promise::Quiescence, how);
        }
        self.silent("after a moved version was recorded", |world| {
            world.restart(0);
            world.run(0);
        });
        if settled {
            self.lose_keys_at_rest();
        }
    }

    /// Takes the broken promises and the trace of another world.
    fn take_over_from(&mut self, other: Self) {
        if other.watch.any_broken().is_some() {
            *self = other;
        }
    }

    /// Checks that nothing is read, written or called.
    fn silent(&mut self, when: &str, what: impl FnOnce(&mut Self)) {
        let counts = |world: &Self| {
            let watch = &world.watch;
            (watch.reads, watch.writes, watch.calls)
        };
        let before = counts(self);
        what(self);
        if counts(self) != before {
            let how = format!("{when}: {before:?} became {:?}", counts(self));
            self.watch.broken(Promise::Quiescence, how);
        }
    }

    /// The fingerprint keys are lost: the record is signed again, and nothing is set.
    fn lose_keys_at_rest(&mut self) {
        let before = (self.watch.writes, self.watch.calls);
        self.live_through(Event::LoseKeys);
        self.restart(0);
        self.run(0);
        let is_settled = ready(&self.cluster.resource.status()) == Some(ConditionStatus::True);
        let suspended = self.cluster.resource.spec.suspend;
        if !(is_settled || suspended)
            || self.watch.calls != before.1
            || self.watch.writes > before.0 + 1
        {
            let how = "a lost key costs more than a signature".to_owned();
            self.watch.broken(Promise::Quiescence, how);
        }
    }
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        3 => Just(Fault::LostBefore),
        4 => Just(Fault::LostAfter),
        4 => (1_u8..=24).prop_map(Fault::Late),
        1 => Just(Fault::Error500After),
        1 => Just(Fault::Error500Before),
        2 => Just(Fault::Throttled),
        2 => Just(Fault::NotSent),
        1 => Just(Fault::NoCredentials),
        2 => Just(Fault::Denied),
        1 => Just(Fault::UserNotFoundAfter),
        1 => Just(Fault::UserNotFoundBefore),
        1 => Just(Fault::Teapot),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => (0..=WEAK).prop_map(Event::Put),
        1 => (0..=WEAK).prop_map(Event::PutOther),
        2 => Just(Event::Touch),
        1 => Just(Event::Drop),
        1 => Just(Event::NoKey),
        2 => Just(Event::Invalid),
        2 => any::<bool>().prop_map(Event::Permanent),
        1 => any::<bool>().prop_map(Event::Suspend),
        1 => any::<bool>().prop_map(Event::Grant),
        1 => any::<bool>().prop_map(Event::Other),
        2 => Just(Event::Request),
        3 => Just(Event::UserChooses),
        3 => Just(Event::Meddle(9)),
        1 => (0..=WEAK).prop_map(Event::Meddle),
        8 => fault().prop_map(Event::Fault),
        2 => Just(Event::LoseReply),
        2 => (0_u8..2).prop_map(Event::Crash),
        14 => (0_u8..2).prop_map(Event::Step),
        14 => (0_u8..2).prop_map(Event::Run),
        4 => (0_u8..2).prop_map(Event::Record),
        4 => (1_u16..12).prop_map(Event::Wait),
        3 => (12_u16..400).prop_map(Event::Wait),
        1 => Just(Event::Wait(4_000)),
        1 => Just(Event::Recreate),
        1 => Just(Event::NewKey),
        1 => prop_oneof![Just(Event::DropOldKeys), Just(Event::LoseKeys)],
    ]
}

fn newcomer() -> impl Strategy<Value = Newcomer> {
    prop_oneof![
        3 => Just(Newcomer::ByAdministrator),
        1 => Just(Newcomer::Unconfirmed),
        2 => Just(Newcomer::SignedUp),
        1 => Just(Newcomer::Federated),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        5 => Just(Act::Reset),
        1 => Just(Act::Disable),
        1 => Just(Act::Enable),
        1 => Just(Act::Delete),
        4 => newcomer().prop_map(Act::Recreate),
        1 => Just(Act::Attribute),
        3 => Just(Act::SignIn),
    ]
}

fn look_result() -> impl Strategy<Value = LookResult> {
    prop_oneof![
        3 => Just(LookResult::Lagging(0)),
        4 => (1_u8..=60).prop_map(LookResult::Lagging),
        1 => Just(LookResult::Missed),
        1 => Just(LookResult::Denied),
        1 => Just(LookResult::Throttled),
    ]
}

fn drift() -> impl Strategy<Value = Drift> {
    prop_oneof![
        1 => Just(Drift::Ignore),
        2 => Just(Drift::Report),
        5 => Just(Drift::Correct),
    ]
}

/// An event of a watched life.
fn watched() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => event(),
        2 => act().prop_map(Event::Elsewhere),
        2 => (0_u8..2).prop_map(Event::Pass),
        1 => prop_oneof![
            4 => look_result().prop_map(Event::Looks),
            1 => drift().prop_map(Event::Drift),
            2 => any::<bool>().prop_map(Event::Revoke),
            1 => any::<bool>().prop_map(Event::Federated),
            1 => Just(Event::Days),
            2 => Just(Event::Fault(Fault::Twice)),
        ],
        2 => (61_u16..200).prop_map(Event::Wait),
        2 => Just(Event::Run(0)),
    ]
}

/// The lives of one kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lives {
    Plain,
    Watched,
}

impl Lives {
    fn events(self) -> BoxedStrategy<Vec<Event>> {
        let fields = (drift(), any::<bool>());
        match self {
            Self::Plain => proptest::collection::vec(event(), 0..EVENTS).boxed(),
            Self::Watched => (fields, proptest::collection::vec(watched(), 0..EVENTS))
                .prop_map(|((drift, revokes), events)| {
                    let fields = [Event::Drift(drift), Event::Revoke(revokes)];
                    fields.into_iter().chain(events).collect()
                })
                .boxed(),
        }
    }
}

/// A number from the environment.
pub fn setting(name: &str, usual: u64) -> u64 {
    let set = std::env::var(name).ok();
    set.map_or(usual, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text} is no number"))
    })
}

/// One batch of lives, with the same lives in the same order each time.
fn lives(
    kind: Lives,
    batch: u64,
    mut judge: impl FnMut(&World) -> Result<(), Promise>,
) -> Result<(), String> {
    let (seed, cases) = (
        setting("PROTOCOL_SEED", 0),
        setting("PROTOCOL_CASES", CASES),
    );
    let cases = match kind {
        Lives::Plain => cases,
        Lives::Watched => cases / PLAIN_PER_WATCHED,
    };
    let config = Config {
        cases: u32::try_from(cases.div_ceil(BATCHES)).unwrap_or(u32::MAX),
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..Config::default()
    };
    let mut bytes = [0x5a; 16];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..].copy_from_slice(&(!batch).to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::XorShift, &bytes);
    let history = prop_oneof![Just(None), Just(Some(2)), Just(Some(5)), Just(Some(24))];
    let lives = (history, kind.events());
    let judge = std::cell::RefCell::new(&mut judge);
    let judged = |history: Option<usize>, events: &[Event]| {
        let mut world = World::new(history, false);
        world.live(events);
        (*judge.borrow_mut())(&world)
    };
    let outcome = TestRunner::new_with_rng(config, rng).run(&lives, |(history, events)| {
        judged(history, &events).map_err(|promise| TestCaseError::fail(format!("{promise:?}")))
    });
    match outcome {
        Ok(()) => Ok(()),
        Err(TestError::Fail(_, (history, events))) => {
            let events = minimal(events, |events| judged(history, events).is_err());
            let promise = judged(history, &events).expect_err("it breaks still");
            let with = format!("with a history of {history:?}, PROTOCOL_SEED={seed}");
            Err(format!(
                "{promise:?}, {with}: {}",
                told(history, &events, promise)
            ))
        }
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
}

/// Removes every event that is not needed. proptest's shrinking is not enough: a smaller event may make
/// another event needless, and proptest does not try that event again.
pub fn minimal(mut events: Vec<Event>, breaks: impl Fn(&[Event]) -> bool) -> Vec<Event> {
    let mut at = 0;
    while at < events.len() {
        let mut fewer = events.clone();
        fewer.remove(at);
        if breaks(&fewer) {
            (events, at) = (fewer, 0);
        } else {
            at += 1;
        }
    }
    events
}

/// Describes a life step by step.
pub fn told(history: Option<usize>, events: &[Event], promise: Promise) -> String {
    let mut world = World::new(history, true);
    world.live(events);
    let how = world.watch.first_broken(promise).unwrap_or_default();
    format!("{how}{}  the events alone: {events:?}", world.trace())
}

/// A broken promise, its batch, and whether both processes had acted.
type BrokenPromise = (Promise, u64, bool);

/// The broken promises of all batches; the batches run on all cores.
fn broken(kind: Lives) -> &'static [BrokenPromise] {
    static PLAIN: OnceLock<Vec<BrokenPromise>> = OnceLock::new();
    static WATCHED: OnceLock<Vec<BrokenPromise>> = OnceLock::new();
    let found = match kind {
        Lives::Plain => &PLAIN,
        Lives::Watched => &WATCHED,
    };
    found.get_or_init(|| {
        let next = AtomicU64::new(0);
        let work = || {
            let mut broken = Vec::new();
            while let batch @ 0..BATCHES = next.fetch_add(1, Ordering::Relaxed) {
                let all = lives(kind, batch, |world| {
                    let both = world.watch.acted == [true; 2];
                    broken.extend(world.watch.promises_broken().map(|it| (it, batch, both)));
                    Ok(())
                });
                assert_eq!(all, Ok(()));
            }
            broken
        };
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
            let found = workers.into_iter().map(|it| it.join().expect("no panic"));
            found.flatten().collect()
        })
    })
}

/// Checks one promise in lives of one kind. All promises are checked in one pass; the life of a broken promise is
/// searched again and shrunk.
fn holds_in(kind: Lives, promise: Promise) {
    let Some((_, batch, _)) = broken(kind).iter().find(|(which, ..)| *which == promise) else {
        return;
    };
    let found = lives(kind, *batch, |world| {
        match world.watch.first_broken(promise) {
            Some(_) => Err(promise),
            None => Ok(()),
        }
    });
    panic!("{}", found.err().unwrap_or_default());
}

/// Checks one promise in plain lives, and then in watched lives.
fn holds(promise: Promise) {
    holds_in(Lives::Plain, promise);
    holds_in(Lives::Watched, promise);
}

#[test]
fn i1_no_call_without_an_acknowledged_attempt_that_names_its_value() {
    holds(Promise::I1);
}

#[test]
fn i2_a_different_value_is_sent_only_after_the_quarantine() {
    holds(Promise::I2);
}

#[test]
fn i3_what_is_synced_changes_only_by_the_writer_of_an_applied_attempt() {
    holds(Promise::I3);
}

#[test]
fn i4_ready_is_never_said_of_a_password_that_is_not_the_users() {
    holds(Promise::I4);
}

#[test]
fn i5_a_refused_value_is_not_sent_again_until_something_changes() {
    holds(Promise::I5);
}

#[test]
fn i6_an_attempt_with_an_unknown_outcome_stays_open() {
    holds(Promise::I6);
}

#[test]
fn i7_all_of_it_holds_with_two_processes_at_the_same_time() {
    for kind in [Lives::Plain, Lives::Watched] {
        let Some((promise, batch, _)) = broken(kind).iter().find(|(.., both)| *both) else {
            continue;
        };
        let found = lives(kind, *batch, |world| {
            match world.watch.first_broken(*promise) {
                Some(_) if world.watch.acted == [true; 2] => Err(*promise),
                Some(_) | None => Ok(()),
            }
        });
        panic!("{}", found.err().unwrap_or_default());
    }
}

#[test]
fn i8_a_look_leads_to_a_set_only_if_two_looks_agree() {
    holds(Promise::I8);
}

#[test]
fn i9_a_sign_out_is_owed_on_record_until_cognito_has_answered_it() {
    holds(Promise::I9);
}

#[test]
fn no_user_is_set_whom_looks_have_shown_to_be_a_stranger() {
    holds(Promise::Stranger);
}

#[test]
fn a_user_is_corrected_at_most_four_times_in_seven_days() {
    holds(Promise::Brake);
}

#[test]
fn once_looks_have_had_time_ready_is_true_of_the_user_too() {
    holds(Promise::Seen);
}

#[test]
fn a_request_is_answered_by_its_outcome_and_the_answer_stands() {
    holds(Promise::Answers);
}

#[test]
fn no_call_is_made_when_in_sync() {
    holds(Promise::Idle);
}

#[test]
fn the_password_becomes_what_the_secret_says_or_the_condition_says_why_not() {
    holds(Promise::Convergence);
}

#[test]
fn after_it_has_converged_nothing_is_read_written_or_called() {
    holds(Promise::Quiescence);
}

#[test]
fn a_recorded_version_of_the_secret_held_what_is_on_record() {
    holds(Promise::Verified);
}

#[test]
fn the_history_never_refuses_the_users_own_password_for_good() {
    holds(Promise::NoFalseRefusal);
}

#[test]
fn no_plaintext_is_printed() {
    holds(Promise::NoPlaintext);
}

#[test]
fn a_temporary_value_that_may_have_been_applied_is_sent_again_only_on_request() {
    holds(Promise::Once);
}

#[test]
fn a_resource_without_a_grant_causes_no_read_and_no_call() {
    holds(Promise::Granted);
}

#[test]
fn conditions_follow_kstatus() {
    holds(Promise::Kstatus);
}
