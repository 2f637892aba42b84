//! The world: actions of people, faults, and the clock.

use super::{
    checks::{Promise, Watch},
    cluster::Cluster,
    cognito::{Act, Cognito, Fault, LookResult, WEAK, text},
    process::{Next, Process},
};
use cognito_password_operator::{
    api::{Drift, FederatedUser, Status},
    core::protocol::decision::Decision,
};
use jiff::{SignedDuration, Timestamp};

/// An event. The processes are 0 and 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// The Secret gets this value.
    Put(u8),
    /// The Secret's other key gets this value.
    PutOther(u8),
    /// The Secret's metadata change.
    Touch,
    /// The Secret is deleted.
    Drop,
    /// The Secret loses its key.
    NoKey,
    /// The Secret's value can't be a password.
    Invalid,
    /// `spec.permanent`
    Permanent(bool),
    /// `spec.suspend`
    Suspend(bool),
    /// A grant admits the resource, or no longer does.
    Grant(bool),
    /// `spec.passwordSecretRef.key` is the other key.
    Other(bool),
    /// A new `requestedAt`
    Request,
    /// The resource is deleted and recreated.
    Recreate,
    /// The user signs in, and chooses a new password if required.
    UserChooses,
    /// Another program sets the user's password in Cognito: to this value if a Secret may have it, or else to
    /// a value that no Secret has.
    Meddle(u8),
    /// Somebody else does this to the user.
    Elsewhere(Act),
    /// `spec.drift`
    Drift(Drift),
    /// `spec.federatedUser: Allow`, or `Refuse`.
    Federated(bool),
    /// `spec.revokeSessions`, which needs `permanent: true`.
    Revoke(bool),
    /// A process looks at the users of the pool, if the last set is old enough.
    Pass(u8),
    /// What looks show from now on.
    Looks(LookResult),
    /// Eight days pass.
    Days,
    /// The fault of the next call without a fault.
    Fault(Fault),
    /// The reply to the next write of a status is lost.
    LoseReply,
    /// A process ends at its current step, and starts again.
    Crash(u8),
    /// One step of a process with the last state of its watches.
    Step(u8),
    /// One step of a process with up-to-date watches, except in the middle of a set.
    Look(u8),
    /// A process with up-to-date watches runs until it waits.
    Run(u8),
    /// A process with up-to-date watches records the versions that it has verified.
    Record(u8),
    /// This many seconds pass.
    Wait(u16),
    /// A new fingerprint key is added; the old keys stay.
    NewKey,
    /// The old fingerprint keys are removed.
    DropOldKeys,
    /// All fingerprint keys are lost, and a new key is made.
    LoseKeys,
}

/// The whole model.
#[derive(Clone, Debug)]
pub struct World {
    pub now: Timestamp,
    pub cluster: Cluster,
    pub cognito: Cognito,
    pub processes: [Process; 2],
    pub watch: Watch,
    pub lose_next_reply: bool,
    trace: Option<Vec<String>>,
}

impl World {
    pub fn new(history: Option<usize>, tracing: bool) -> Self {
        let cluster = Cluster::new();
        let now = Timestamp::from_second(1_800_000_000).expect("a time");
        let start = || Process::start(&cluster.resource, cluster.secret.as_ref(), now);
        Self {
            now,
            processes: [start(), start()],
            cluster,
            cognito: Cognito::new(history, now),
            watch: Watch::default(),
            lose_next_reply: false,
            trace: tracing.then(Vec::new),
        }
    }

    /// Plays the events. Then the faults stop, and the operator has time.
    pub fn live(&mut self, events: &[Event]) {
        for event in events {
            self.live_through(*event);
        }
        self.note(|| "the faults stop".to_owned());
        self.finish();
    }

    /// Plays one event.
    pub fn live_through(&mut self, event: Event) {
        self.note(|| format!("{event:?}"));
        self.happen(event);
        self.check_ready();
        self.check_owed();
    }

    #[expect(clippy::too_many_lines, reason = "one short arm for each event")]
    fn happen(&mut self, event: Event) {
        let cluster = &mut self.cluster;
        let value = cluster.value().map(|value| value.expose().to_owned());
        match event {
            Event::Put(value) => cluster.put("password", Some(text(value).into_bytes())),
            Event::PutOther(value) => cluster.put("other", Some(text(value).into_bytes())),
            Event::Touch => cluster.touch(),
            Event::Drop => cluster.secret = None,
            Event::NoKey => cluster.put("password", None),
            Event::Invalid => cluster.put("password", Some(b"PLAINTEXT\n".to_vec())),
            Event::Permanent(yes) => {
                cluster.change(|spec| {
                    spec.permanent = yes;
                    spec.revoke_sessions &= yes;
                });
                self.watch
                    .obliges(self.cluster.resource.spec.revoke_sessions);
            }
            Event::Revoke(yes) => {
                cluster.change(|spec| spec.revoke_sessions = yes && spec.permanent);
                self.watch
                    .obliges(self.cluster.resource.spec.revoke_sessions);
            }
            Event::Drift(drift) => {
                cluster.change(|spec| spec.drift = Some(drift));
                // Without looks, the record does not count corrections.
                if drift == Drift::Ignore {
                    self.watch.corrections.clear();
                }
            }
            Event::Federated(yes) => cluster.change(|spec| {
                spec.federated_user = if yes {
                    FederatedUser::Allow
                } else {
                    FederatedUser::Refuse
                };
            }),
            Event::Elsewhere(act) => {
                if self.cognito.act(act, self.now) {
                    self.watch.user_changed = true;
                    if self.cognito.foreign {
                        self.watch.meddling.happens(false);
                    }
                }
            }
            Event::Pass(who) => self.pass(usize::from(who)),
            Event::Looks(result) => {
                self.watch.user_changed |= result == LookResult::Missed;
                self.cognito.look_result = result;
            }
            Event::Days => self.wait(SignedDuration::from_hours(8 * 24)),
            Event::Suspend(yes) => cluster.change(|spec| spec.suspend = yes),
            Event::Grant(yes) => {
                cluster.granted = yes;
                self.watch.refused = None;
            }
            Event::Other(yes) => cluster.change(|spec| {
                let key = if yes { "other" } else { "password" };
                key.clone_into(&mut spec.password_secret_ref.key);
            }),
            Event::Request => {
                cluster.request();
                self.watch
                    .meddling
                    .asks(cluster.resource.requested_at.clone());
            }
            Event::Recreate => {
                cluster.recreate();
                self.cognito.lose_flying();
                self.watch.forget();
                for who in 0..self.processes.len() {
                    if self.processes[who].is_about_to_call() {
                        self.restart(who);
                    }
                }
            }
            Event::UserChooses => self.cognito.choose(self.now),
            Event::Meddle(value) => {
                let of_a_secret = value <= WEAK;
                let password = if of_a_secret {
                    text(value)
                } else {
                    format!(
                        "set by somebody else, {} before it",
                        self.watch.meddling.times
                    )
                };
                self.cognito.meddle(&password, self.now);
                self.watch.meddling.happens(of_a_secret);
            }
            Event::Fault(fault) => self.cognito.faults.push_back(fault),
            Event::LoseReply => self.lose_next_reply = true,
            Event::Crash(who) => self.restart(usize::from(who)),
            Event::Step(who) => {
                self.step(usize::from(who));
            }
            Event::Look(who) => {
                if !self.processes[usize::from(who)].is_busy() {
                    self.sync(usize::from(who));
                }
                self.step(usize::from(who));
            }
            Event::Run(who) => {
                self.sync(usize::from(who));
                self.run(usize::from(who));
            }
            Event::Record(who) => {
                if !self.processes[usize::from(who)].is_busy() {
                    self.sync(usize::from(who));
                }
                self.record_verified(usize::from(who));
            }
            Event::Wait(seconds) => self.wait(SignedDuration::from_secs(seconds.into())),
            Event::NewKey => {
                let number = cluster.resource.version + cluster.keys.len() as u64;
                let byte = u8::try_from(number % 250).unwrap_or(0) + 2;
                cluster.keys.push((format!("key-{number:09}"), byte));
            }
            Event::DropOldKeys => {
                self.watch.keys_lost |= cluster.keys.len() > 1;
                cluster.keys.drain(..cluster.keys.len() - 1);
            }
            Event::LoseKeys => {
                self.watch.keys_lost = true;
                cluster.keys = vec![("key-999999999".to_owned(), 255)];
            }
        }
        if self.cluster.value().map(|value| value.expose().to_owned()) != value {
            self.watch.value_changes += 1;
        }
    }

    /// The clock advances, and late requests land on the way.
    pub fn wait(&mut self, time: SignedDuration) {
        let until = self.now + time;
        while self.now < until {
            self.now = until.min(self.now + SignedDuration::from_secs(1));
            if self.cognito.land(self.now) {
                self.note(|| "a late request lands".to_owned());
                self.check_ready();
            }
            if !self.cognito.is_flying() {
                self.now = until;
            }
        }
        for who in 0..self.processes.len() {
            if self.processes[who].is_frozen(self.now, &self.cognito) {
                self.note(|| format!("P{who} would be frozen for longer than is promised for"));
                self.restart(who);
            }
        }
    }

    pub fn restart(&mut self, who: usize) {
        self.watch.cut_off |= self.processes[who].is_busy();
        let (resource, secret) = (&self.cluster.resource, self.cluster.secret.as_ref());
        self.processes[who] = Process::start(resource, secret, self.now);
    }

    pub fn sync(&mut self, who: usize) {
        self.processes[who].sync(&self.cluster.resource, self.cluster.secret.as_ref());
    }

    /// Runs a process until it waits.
    pub fn run(&mut self, who: usize) -> Option<std::time::Duration> {
        for _ in 0..40 {
            match self.step(who) {
                Next::Mid => {}
                Next::Again => self.sync(who),
                Next::Wait(wake) => match self.processes[who].until_look(self.now) {
                    Some(left) if left.is_zero() => {}
                    left => return wake.into_iter().chain(left).min(),
                },
            }
        }
        self.watch
            .broken(Promise::Convergence, "never comes to rest".to_owned());
        None
    }

    /// Adds a line to the trace of a failed test.
    pub fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(line());
        }
    }

    pub fn trace(&self) -> String {
        let lines = self.trace.iter().flatten();
        lines.fold(String::from("\n"), |text, line| text + "  " + line + "\n")
    }

    /// A status on one line, with values instead of fingerprints.
    pub fn summary(&self, status: &Status) -> String {
        if self.trace.is_none() {
            return String::new();
        }
        let name = |fingerprint: &str| {
            self.names(fingerprint)
                .map_or("?".to_owned(), |v| v.to_string())
        };
        let ready = status.conditions.first();
        format!(
            "{:?} {:?} synced={} attempt={} retired={:?} observed={:?} owed={} corrections={:?}",
            ready.map(|c| c.status),
            status.ready_reason(),
            status
                .synced
                .as_ref()
                .map_or("-".to_owned(), |s| name(&s.fingerprint)),
            status.attempt.as_ref().map_or("-".to_owned(), |a| {
                format!("{}:{:?}:{}", name(&a.fingerprint), a.outcome, a.id)
            }),
            status.retired.iter().map(|r| name(r)).collect::<Vec<_>>(),
            status.observed_generation,
            status.sign_out_owed.is_some(),
            status.corrections.as_ref().map(|it| it.count),
        )
    }
}

/// A short name of a decision.
pub fn brief(decision: &Decision) -> String {
    match decision {
        Decision::Leave => "leave".to_owned(),
        Decision::Stay { wake } => format!("stay {wake:?}"),
        Decision::Look { after, .. } => format!("look after {after:?}"),
        Decision::Read => "read".to_owned(),
        Decision::SignOut(duty) => format!("sign out since {}", duty.since.0),
        Decision::Report(report) => format!("report {:?}", report.verdict.reason),
        Decision::Set(plan) => format!(
            "set, inherited={} known_before={} equals_synced={}",
            plan.inherited,
            plan.known_before,
            plan.equals_synced()
        ),
    }
}
