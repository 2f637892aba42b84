//! One process of the operator: the loop around the core, one step at a time, so that any event can happen
//! between two steps. `tried` comes from the conclusions of the process, and a restart clears `tried`. A restart
//! also clears what looks at the user found.

use super::{
    checks::{Promise, Write},
    cluster::{Cluster, Resource, Secret},
    cognito::Cognito,
    world::World,
};
use cognito_password_operator::{
    api::{Class, ConditionType, Drift, Reason, Status},
    core::{
        credential::password::Password,
        look::found::{Look, Looks},
        protocol::{
            conclude::{Conclusion, conclude, withdraw},
            decide::decide,
            decision::{Decision, Duty, Report},
            obligation::conclude_sign_out,
            observation::{DecisionBasis, Observation, OlderResource, SecretState},
            outcome::{Effect, Outcome, classify},
            plan::Plan,
            reply::Reply,
            sign_out::{SignOutOutcome, classify_sign_out},
            version::verified,
        },
    },
};
use jiff::{SignedDuration, Timestamp};
use std::{rc::Rc, time::Duration};

/// The longest time between a decision and its call, which the lease and the timeouts of the process
/// guarantee. A process that is frozen for longer is a residual risk that the documents name.
pub const UNTIL_SENT: SignedDuration = SignedDuration::from_secs(5);
/// The longest time between a reply and its record. A longer time is a residual risk too if the pool has a
/// history.
const UNTIL_CONCLUDED: SignedDuration = SignedDuration::from_secs(25);

/// The knowledge of one process.
#[derive(Clone, Debug)]
pub struct Process {
    pub resource: Resource,
    /// The resource of the decision: the status writes of a set are conditional on this version.
    decided_on: Resource,
    secret: Option<Secret>,
    tried: Option<DecisionBasis>,
    phase: Phase,
    /// When the process started.
    pub since: Timestamp,
    /// What looks found, of the resource with this uid.
    pub looks: (String, Looks),
    /// When the lookup is due that was asked for.
    pub asked: Option<Timestamp>,
    /// All looks that succeeded, for the checks.
    pub seen: Vec<Look>,
}

#[derive(Clone, Debug)]
enum Phase {
    Idle,
    Planned(Box<Plan>, DecisionBasis, Rc<Password>),
    /// The attempt may or may not be on record, so no call follows.
    Unacknowledged(Box<Plan>),
    Acknowledged(Box<Plan>, DecisionBasis, Rc<Password>),
    Sent(Box<Plan>, DecisionBasis, Outcome),
    SigningOut(Box<Duty>),
    SignedOut(Box<Duty>, SignOutOutcome),
}

/// Why a status write may not have been made.
enum WriteFailure {
    /// Another writer came first.
    Conflict,
    /// The reply was lost.
    Perhaps,
}

/// When the process continues.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// In the middle of a set.
    Mid,
    /// At once: another writer came first.
    Again,
    /// After the wake of the decision, or at the next event.
    Wait(Option<Duration>),
}

impl Process {
    /// A process that has just listed the resource and the Secret.
    pub fn start(resource: &Resource, secret: Option<&Secret>, now: Timestamp) -> Self {
        Self {
            resource: resource.clone(),
            decided_on: resource.clone(),
            secret: secret.cloned(),
            tried: None,
            phase: Phase::Idle,
            since: now,
            looks: (String::new(), Looks::default()),
            asked: None,
            seen: Vec::new(),
        }
    }

    /// The watches catch up.
    pub fn sync(&mut self, resource: &Resource, secret: Option<&Secret>) {
        self.resource = resource.clone();
        self.secret = secret.cloned();
    }

    /// Whether the process is in the middle of a set or a sign-out.
    pub fn is_busy(&self) -> bool {
        !matches!(self.phase, Phase::Idle)
    }

    /// Whether the process is about to write a status.
    pub fn is_about_to_write(&self) -> bool {
        matches!(
            self.phase,
            Phase::Planned(..) | Phase::Sent(..) | Phase::SignedOut(..)
        )
    }

    /// Whether the process is about to sign the user out.
    pub fn is_about_to_sign_out(&self) -> bool {
        matches!(self.phase, Phase::SigningOut(_))
    }

    /// What looks found, as a decision gets it.
    fn found(&self) -> Looks {
        let looks_at = self.resource.spec.drift.unwrap_or_default() != Drift::Ignore;
        if looks_at && self.looks.0 == self.resource.uid {
            self.looks.1.clone()
        } else {
            Looks::default()
        }
    }

    /// Asks for a lookup; one that was asked for already comes at the earlier of both times.
    fn ask(&mut self, after: Duration, now: Timestamp) {
        let after = SignedDuration::try_from(after).expect("a short time");
        let at = now + after;
        self.asked = Some(self.asked.map_or(at, |asked| asked.min(at)));
    }

    /// Time until the lookup that was asked for.
    pub fn until_look(&self, now: Timestamp) -> Option<Duration> {
        let left = self.asked?.duration_since(now);
        Some(Duration::try_from(left).unwrap_or_default())
    }

    /// Whether the process has an attempt on record but has not made the call.
    pub fn is_about_to_call(&self) -> bool {
        matches!(self.phase, Phase::Acknowledged(..))
    }

    /// Whether the process has been frozen for longer than the promises allow.
    pub fn is_frozen(&self, now: Timestamp, cognito: &Cognito) -> bool {
        let age = |plan: &Plan| now.duration_since(plan.attempt.started_at.0);
        match &self.phase {
            Phase::Idle
            | Phase::Unacknowledged(_)
            | Phase::SigningOut(_)
            | Phase::SignedOut(..) => false,
            Phase::Planned(plan, ..) | Phase::Acknowledged(plan, ..) => age(plan) > UNTIL_SENT,
            Phase::Sent(plan, ..) => cognito.history.is_some() && age(plan) > UNTIL_CONCLUDED,
        }
    }
}

/// The facts behind a decision.
pub struct Facts<'a> {
    pub resource: &'a Resource,
    pub secret: SecretState,
    pub tried: Option<&'a DecisionBasis>,
    pub recovered: bool,
    pub older: Option<OlderResource>,
    pub rival_at: Option<Timestamp>,
    pub looks: Looks,
    pub corrections_left: bool,
}

impl Facts<'_> {
    /// Returns the decision, the basis to remember, and the observation in printed form.
    pub fn decide(
        &self,
        cluster: &Cluster,
        now: Timestamp,
        id: &str,
    ) -> (Decision, DecisionBasis, String) {
        let status = self.resource.status();
        let observed = self.observed(cluster, &status);
        let printed = format!("{observed:?}");
        (decide(&observed, now, id), observed.tried(), printed)
    }

    pub fn observed<'a>(&'a self, cluster: &Cluster, status: &'a Status) -> Observation<'a> {
        Observation {
            uid: &self.resource.uid,
            generation: self.resource.generation,
            deleting: false,
            spec: &self.resource.spec,
            requested_at: self.resource.requested_at.as_deref(),
            status,
            admission: cluster.admission(),
            older: self.older.clone(),
            rival_at: self.rival_at,
            newest_signed: cluster.newest_signed(status),
            secret: self.secret.clone(),
            tried: self.tried,
            recovered: self.recovered,
            drift: self.resource.spec.drift.unwrap_or_default(),
            looks: self.looks.clone(),
            corrections_left: self.corrections_left,
        }
    }
}

impl World {
    /// One step of one process.
    pub fn step(&mut self, who: usize) -> Next {
        match std::mem::replace(&mut self.processes[who].phase, Phase::Idle) {
            Phase::Idle => {
                self.look_up(who);
                self.look(who)
            }
            Phase::Planned(plan, tried, value) => self.write_ahead(who, plan, tried, value),
            Phase::Unacknowledged(plan) => self.withdraw(who, &plan),
            Phase::Acknowledged(plan, tried, value) => self.call(who, plan, tried, &value),
            Phase::Sent(plan, tried, outcome) => self.conclude(who, &plan, tried, &outcome),
            Phase::SigningOut(duty) => self.sign_out(who, duty),
            Phase::SignedOut(duty, outcome) => self.record_sign_out(who, &duty, &outcome),
        }
    }

    fn decide(&mut self, who: usize, secret: SecretState) -> (Decision, DecisionBasis) {
        let process = &self.processes[who];
        // Unique among the attempts on record, and the same in equal states.
        let id = format!("{:06}-{who}", process.resource.version);
        let facts = Facts {
            resource: &process.resource,
            secret,
            tried: process.tried.as_ref(),
            recovered: false,
            older: None,
            rival_at: None,
            looks: process.found(),
            corrections_left: true,
        };
        let (decision, tried, printed) = facts.decide(&self.cluster, self.now, &id);
        self.watch.printed(&printed);
        self.watch.printed(&decision);
        (decision, tried)
    }

    fn look(&mut self, who: usize) -> Next {
        self.processes[who].decided_on = self.processes[who].resource.clone();
        let process = &self.processes[who];
        let seen = process.secret.as_ref();
        let hint = seen.map_or(SecretState::NotSeen, |s| {
            SecretState::Seen(s.version.clone())
        });
        let unread = !self.cluster.granted || process.resource.spec.suspend;
        match self.decide(who, hint).0 {
            Decision::Leave => Next::Wait(None),
            Decision::Stay { wake } => {
                if wake.is_none() && self.is_at_rest(who) {
                    self.processes[who].looks.1 = Looks::default();
                }
                Next::Wait(wake)
            }
            Decision::Look { after, wake } => {
                self.processes[who].ask(after, self.now);
                Next::Wait(wake)
            }
            Decision::Read => self.look_closely(who),
            Decision::SignOut(duty) => {
                self.processes[who].phase = Phase::SigningOut(duty);
                Next::Mid
            }
            // A report without a read, or a report that a wait has become stalled, or what a look found.
            Decision::Report(report)
                if unread || self.only_stalls(who, &report) || self.only_says(who, &report) =>
            {
                match self.write(who, &report.status, &Write::Report) {
                    Ok(()) => Next::Wait(report.wake),
                    Err(_) => Next::Again,
                }
            }
            decision @ (Decision::Report(_) | Decision::Set(_)) => {
                self.watch
                    .broken(Promise::I1, format!("decided unread: {decision:?}"));
                Next::Wait(None)
            }
        }
    }

    /// Whether a report repeats the status before, except that the wait has become stalled.
    fn only_stalls(&self, who: usize, report: &Report) -> bool {
        let before = self.processes[who].resource.status();
        let after = Status {
            observed_generation: before.observed_generation,
            conditions: before.conditions.clone(),
            ..report.status.clone()
        };
        let reason = before.ready_reason();
        before == after
            && reason == report.status.ready_reason()
            && reason.map(Reason::class) == Some(Class::Waiting)
    }

    /// Whether a report only says what looks found: the record of sets stays.
    fn only_says(&self, who: usize, report: &Report) -> bool {
        let resource = &self.processes[who].resource;
        let (before, after) = (resource.status(), &report.status);
        let left_over = before.found_as.is_some()
            || before.corrections.is_some()
            || before.condition(ConditionType::Verified).is_some();
        (left_over || resource.spec.drift.unwrap_or_default() != Drift::Ignore)
            && before.synced == after.synced
            && before.attempt == after.attempt
            && before.retired == after.retired
    }

    /// Whether the process needs no memory beyond the status.
    fn is_at_rest(&self, who: usize) -> bool {
        let process = &self.processes[who];
        if process.resource.spec.drift.unwrap_or_default() == Drift::Ignore {
            return false;
        }
        let seen = process.secret.as_ref();
        let facts = Facts {
            resource: &process.resource,
            secret: seen.map_or(SecretState::NotSeen, |s| {
                SecretState::Seen(s.version.clone())
            }),
            tried: process.tried.as_ref(),
            recovered: false,
            older: None,
            rival_at: None,
            looks: process.found(),
            corrections_left: true,
        };
        let status = process.resource.status();
        facts.observed(&self.cluster, &status).is_at_rest()
    }

    /// A process at rest records the versions that it has verified. Returns whether there was something to
    /// write.
    pub fn record_verified(&mut self, who: usize) -> bool {
        let process = &mut self.processes[who];
        if process.is_busy() {
            return false;
        }
        process.decided_on = process.resource.clone();
        let process = &self.processes[who];
        let seen = process.secret.as_ref();
        let facts = Facts {
            resource: &process.resource,
            secret: seen.map_or(SecretState::NotSeen, |s| {
                SecretState::Seen(s.version.clone())
            }),
            tried: process.tried.as_ref(),
            recovered: false,
            older: None,
            rival_at: None,
            looks: process.found(),
            corrections_left: true,
        };
        let status = process.resource.status();
        let observed = facts.observed(&self.cluster, &status);
        let Some(status) = verified(&observed, self.now) else {
            return false;
        };
        self.note(|| format!("P{who} records what it has verified"));
        // The write has no retry: the next event repeats the whole step.
        let _ = self.write(who, &status, &Write::Verified);
        true
    }

    fn look_closely(&mut self, who: usize) -> Next {
        self.watch.reads += 1;
        self.check_granted("reads the Secret");
        let (fact, value) = self.cluster.read(&self.processes[who].resource);
        let (decision, tried) = self.decide(who, fact.clone());
        self.note(|| format!("P{who} read -> {}", super::world::brief(&decision)));
        match decision {
            Decision::Leave => Next::Wait(None),
            Decision::Stay { wake } => {
                self.processes[who].tried = Some(tried);
                Next::Wait(wake)
            }
            Decision::Look { after, wake } => {
                self.processes[who].tried = Some(tried);
                self.processes[who].ask(after, self.now);
                Next::Wait(wake)
            }
            Decision::SignOut(duty) => {
                self.processes[who].tried = Some(tried);
                self.processes[who].phase = Phase::SigningOut(duty);
                Next::Mid
            }
            Decision::Read => {
                self.watch
                    .broken(Promise::Convergence, "reads in a circle".to_owned());
                Next::Wait(None)
            }
            Decision::Report(report) => self.report(who, &report, tried, fact),
            Decision::Set(plan) => {
                if let Some(value) = value {
                    self.processes[who].phase = Phase::Planned(plan, tried, Rc::new(value));
                    Next::Mid
                } else {
                    self.watch
                        .broken(Promise::I1, "a set without a value".to_owned());
                    Next::Wait(None)
                }
            }
        }
    }

    /// One call of `AdminUserGlobalSignOut`. A late one does no harm, so the process may have been frozen for any
    /// time.
    fn sign_out(&mut self, who: usize, duty: Box<Duty>) -> Next {
        if !self.cluster.granted {
            return Next::Again;
        }
        self.check_granted("signs out");
        self.watch.sign_outs += 1;
        let reply = self.cognito.sign_out(self.now);
        self.note(|| format!("P{who} signs out -> {reply:?}"));
        let outcome = classify_sign_out(&reply);
        self.watch.printed(&outcome);
        let is_answered = match &reply {
            Reply::Success { .. } => true,
            Reply::ServiceError(error) => error.code.as_deref() == Some("UserNotFoundException"),
            Reply::NotSent { .. } | Reply::NoReply { .. } => false,
        };
        if is_answered {
            // The call began after every write so far.
            self.watch.owed = false;
        }
        self.processes[who].phase = Phase::SignedOut(duty, outcome);
        self.check_ready();
        Next::Mid
    }

    /// Records the outcome of a sign-out. A result that is not recorded is forgotten: the record still owes the
    /// sign-out.
    fn record_sign_out(&mut self, who: usize, duty: &Duty, outcome: &SignOutOutcome) -> Next {
        let uid = self.processes[who].decided_on.uid.clone();
        loop {
            let current = self.processes[who].decided_on.status();
            let Some(report) = conclude_sign_out(&current, duty, outcome, &uid, self.now) else {
                return Next::Again;
            };
            self.watch.printed(&report);
            match self.write(who, &report.status, &Write::SignOut) {
                Ok(()) => return Next::Wait(report.wake),
                Err(WriteFailure::Perhaps) => return Next::Again,
                Err(WriteFailure::Conflict) => {}
            }
            self.processes[who].decided_on = self.cluster.resource.clone();
            if self.processes[who].decided_on.uid != uid {
                return Next::Again;
            }
        }
    }

    fn report(
        &mut self,
        who: usize,
        report: &Report,
        tried: DecisionBasis,
        fact: SecretState,
    ) -> Next {
        if self.write(who, &report.status, &Write::Report).is_err() {
            return Next::Again;
        }
        self.processes[who].tried = Some(tried);
        // A second decision on the same facts must not report anything new. The second decision compares with
        // the status just written.
        let fact = match fact {
            SecretState::Value(..) => self.cluster.read(&self.processes[who].resource).0,
            fact => fact,
        };
        if let (Decision::Report(again), _) = self.decide(who, fact)
            && again.status != self.processes[who].resource.status()
        {
            self.watch
                .broken(Promise::Quiescence, format!("reports twice: {again:?}"));
        }
        Next::Wait(report.wake)
    }

    fn write_ahead(
        &mut self,
        who: usize,
        plan: Box<Plan>,
        tried: DecisionBasis,
        value: Rc<Password>,
    ) -> Next {
        self.check_plan(&self.processes[who].decided_on.clone(), &plan, &value);
        self.check_correction(who, &plan);
        match self.write(who, &plan.ahead, &Write::Ahead(&plan, &value)) {
            Ok(()) => {}
            Err(WriteFailure::Conflict) => return Next::Again,
            Err(WriteFailure::Perhaps) => {
                self.processes[who].phase = Phase::Unacknowledged(plan);
                return Next::Mid;
            }
        }
        self.processes[who].phase = Phase::Acknowledged(plan, tried, value);
        Next::Mid
    }

    fn withdraw(&mut self, who: usize, plan: &Plan) -> Next {
        let uid = self.processes[who].decided_on.uid.clone();
        self.processes[who].decided_on = self.cluster.resource.clone();
        if self.processes[who].decided_on.uid != uid {
            return Next::Again;
        }
        let current = self.cluster.resource.status();
        match withdraw(&current, plan) {
            Some(status) if self.write(who, &status, &Write::Withdrawn(plan)).is_err() => {
                self.processes[who].phase = Phase::Unacknowledged(Box::new(plan.clone()));
                Next::Mid
            }
            Some(_) | None => Next::Again,
        }
    }

    fn call(
        &mut self,
        who: usize,
        plan: Box<Plan>,
        tried: DecisionBasis,
        value: &Password,
    ) -> Next {
        if !self.cluster.granted {
            self.processes[who].phase = Phase::Unacknowledged(plan);
            return Next::Mid;
        }
        let permanent = self.processes[who].decided_on.spec.permanent;
        self.check_granted("calls");
        self.check_call(&plan, value, permanent);
        self.check_stranger(who, &plan);
        let reply = self.cognito.call(value.expose(), permanent, self.now);
        self.note(|| format!("P{who} sends {} -> {reply:?}", value.expose()));
        if !matches!(reply, Reply::NoReply { .. }) {
            self.watch.replied(&plan.attempt.id);
        }
        let outcome = classify(&reply);
        self.watch.printed(&outcome);
        self.watch.called(value.expose(), &plan, &outcome);
        let may_be_set = matches!(outcome.effect, Effect::Applied | Effect::Unknown);
        if plan.corrects.is_some() && may_be_set {
            self.check_count_of_corrections();
        }
        self.processes[who].phase = Phase::Sent(plan, tried, outcome);
        self.check_ready();
        Next::Mid
    }

    fn conclude(
        &mut self,
        who: usize,
        plan: &Plan,
        tried: DecisionBasis,
        outcome: &Outcome,
    ) -> Next {
        let uid = self.processes[who].decided_on.uid.clone();
        loop {
            let current = self.processes[who].decided_on.status();
            // No two sets are recorded in the same microsecond.
            let version = self.processes[who].decided_on.version;
            let micros = i64::try_from(version).expect("a small number");
            let now = self.now + SignedDuration::from_micros(micros - 10_000);
            let conclusion = conclude(&current, plan, outcome, &uid, now);
            self.watch.printed(&conclusion);
            let (status, next) = match &conclusion {
                Conclusion::Record(recorded) => (&recorded.status, Next::Wait(recorded.wake)),
                Conclusion::Superseded(Some(status)) => (&**status, Next::Again),
                Conclusion::Superseded(None) => return Next::Again,
            };
            if self
                .write(who, status, &Write::Conclusion(&conclusion, plan))
                .is_ok()
            {
                self.processes[who].tried = Some(tried);
                return next;
            }
            // After a conflict or a lost reply: read again, conclude again.
            self.processes[who].decided_on = self.cluster.resource.clone();
            if self.processes[who].decided_on.uid != uid {
                return Next::Again;
            }
        }
    }

    /// A conditional status write. A lost reply is a failure for the process.
    fn write(&mut self, who: usize, status: &Status, write: &Write) -> Result<(), WriteFailure> {
        let read = self.processes[who].decided_on.clone();
        if status == &read.status() {
            return Ok(());
        }
        let before = self.cluster.resource.status();
        let Ok(written) = self.cluster.write(&read, status) else {
            self.note(|| format!("P{who} writes: conflict"));
            return Err(WriteFailure::Conflict);
        };
        self.watch.writes += 1;
        self.watch.acted[who] = true;
        let summary = self.summary(status);
        self.note(|| format!("P{who} writes {summary}"));
        self.check_write(&before, status, write);
        self.check_ready();
        self.check_owed();
        if std::mem::take(&mut self.lose_next_reply) {
            self.note(|| format!("P{who} never hears of it"));
            return Err(WriteFailure::Perhaps);
        }
        // The process knows its own writes at once, before the watches show the writes.
        self.processes[who].decided_on = written.clone();
        self.processes[who].resource = written;
        Ok(())
    }
}
