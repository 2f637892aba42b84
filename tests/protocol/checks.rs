//! The promises, checked at each step against the true state of the model.

use super::{
    cluster::{Resource, keyring, target},
    kstatus::ready,
    process::UNTIL_SENT,
    world::World,
};
use cognito_password_operator::{
    api::{AttemptOutcome, ConditionStatus, Reason},
    core::{
        credential::{fingerprint::Match, password::Password},
        protocol::{
            conclude::Conclusion,
            outcome::{Effect, Outcome},
            plan::Plan,
            quarantine::QUARANTINE,
            resend::ResendPolicy,
        },
    },
};
use jiff::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
};

/// A promise of the operator.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Promise {
    /// No call without an acknowledged attempt that names its value.
    I1,
    /// A different value only after the quarantine.
    I2,
    /// `synced` changes only on a 200 or by rule H, by the writer of the attempt.
    I3,
    /// Ready=True means that the user's password is the Secret's value. If another program has set the
    /// password since, Ready=True may be wrong until the next request is answered.
    I4,
    /// A refused value isn't sent again until something changes.
    I5,
    /// A call without a provable outcome stays an open attempt.
    I6,
    /// No call when in sync.
    Idle,
    /// The password becomes the Secret's value, or the condition says why not.
    Convergence,
    /// A request is answered by its outcome, and not earlier. An answer is never withdrawn.
    Answers,
    /// At rest nothing is read, written or called.
    Quiescence,
    /// The operator never reports the history's refusal as a refused value while that value is the user's
    /// password.
    NoFalseRefusal,
    /// No plaintext is printed.
    NoPlaintext,
    /// Conditions follow the rules of kstatus.
    Kstatus,
    /// No read and no call while no grant admits the resource.
    Granted,
    /// A look causes a set only if two looks of the process agree.
    I8,
    /// A sign-out is owed on record, and Ready isn't True, until Cognito has answered a sign-out. Ready=True of a
    /// set that revokes means that no earlier session is alive.
    I9,
    /// No user is set who may be a stranger, after looks have shown that, unless a person asked.
    Stranger,
    /// At most four corrections in seven days.
    Brake,
    /// Once looks have had time, Ready=True is true of the user too.
    Seen,
    /// A temporary value that may have been applied is sent again only after a request, or to a user whom an
    /// administrator created since.
    Once,
    /// The record gets a version of the Secret only if that version contains the recorded value.
    Verified,
}

/// A status write, by its reason.
pub enum Write<'a> {
    Report,
    Ahead(&'a Plan, &'a Password),
    /// The call was not made.
    Withdrawn(&'a Plan),
    Conclusion(&'a Conclusion, &'a Plan),
    /// The outcome of a sign-out.
    SignOut,
    /// A version of the Secret that was verified.
    Verified,
}

/// The knowledge of an observer who sees everything.
#[expect(
    clippy::struct_excessive_bools,
    reason = "separate facts, of which any may hold"
)]
#[derive(Clone, Default, Debug)]
pub struct Watch {
    pub reads: u32,
    pub writes: u32,
    pub calls: u32,
    pub sign_outs: u32,
    pub looks: u32,
    pub value_changes: u32,
    /// Whether nothing can show any more what was set before: a key was lost, or the resource was recreated.
    pub keys_lost: bool,
    /// Whether the resource was recreated, so that earlier values are not on record.
    pub made_anew: bool,
    /// Whether each process has written something.
    pub acted: [bool; 2],
    /// Values that were synced or attempted when an open attempt at another value was replaced. Nothing can
    /// show which of the values is the user's, and a history refuses both.
    pub doubted: BTreeSet<String>,
    /// Values that were sent, or may have been sent, before the latest attempt with another value, or with
    /// the same value as permanent instead of temporary.
    earlier: BTreeSet<String>,
    unanswered: Vec<SentValue>,
    latest: Option<(String, bool)>,
    pub refused: Option<RefusedValue>,
    /// Temporary values that may have been applied, each with the last request at that time.
    pub spent: BTreeMap<String, Option<String>>,
    /// The spent values before an attempt with another value, by the attempt's id.
    spent_before: BTreeMap<String, BTreeMap<String, Option<String>>>,
    /// The sets by another program.
    pub meddling: Meddling,
    /// Values that were sent after the first request.
    pub asked_for: BTreeSet<String>,
    /// Whether somebody did something to the user that looks show, or looks missed the user.
    pub user_changed: bool,
    /// Whether the set on record was inferred from the history, and owed a sign-out.
    pub inferred: bool,
    /// Whether the set on record owes a sign-out, and Cognito has not answered one that began since.
    pub owed: bool,
    /// The moment of the set on record, if sessions from before that moment were to be ended.
    pub revoked: Option<u32>,
    /// When the operator corrected the user.
    pub corrections: Vec<Timestamp>,
    /// Whether a process ended in the middle of a set.
    pub cut_off: bool,
    broken: Vec<(Promise, String)>,
}

/// Another program that sets the user's password, and the requests of a person who notices.
#[derive(Clone, Default, Debug)]
pub struct Meddling {
    /// The number of sets by the other program.
    pub times: u32,
    /// Whether one of these sets was to a value that a Secret has. Then nothing shows which set put the value
    /// into the history.
    pub with_values: bool,
    /// The last request since the last set by the other program.
    suspicion: Option<String>,
    /// Whether Ready=True answered that request.
    pub vouched: bool,
}

#[derive(Clone, Debug)]
struct SentValue {
    id: String,
    password: String,
    permanent: bool,
    started: Timestamp,
    at: Timestamp,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefusedValue {
    pub password: String,
    pub generation: i64,
    pub request: Option<String>,
    pub value_changes: u32,
}

/// The last request that is handled once this call is made.
fn request_of(plan: &Plan) -> Option<String> {
    let acted_on = plan.attempt.request.as_ref();
    acted_on
        .or(plan.ahead.last_handled_reconcile_at.as_ref())
        .cloned()
}

impl Watch {
    pub fn broken(&mut self, promise: Promise, how: String) {
        self.broken.push((promise, how));
    }

    pub fn first_broken(&self, promise: Promise) -> Option<&str> {
        let found = self.broken.iter().find(|(which, _)| *which == promise);
        found.map(|(_, how)| how.as_str())
    }

    pub fn promises_broken(&self) -> impl Iterator<Item = Promise> {
        self.broken.iter().map(|(which, _)| *which)
    }

    pub fn any_broken(&self) -> Option<&(Promise, String)> {
        self.broken.first()
    }

    pub fn printed(&mut self, thing: &impl Debug) {
        let printed = format!("{thing:?}");
        if printed.contains("PLAINTEXT") {
            self.broken(Promise::NoPlaintext, printed);
        }
    }

    /// Records a call; the outcome's `effect` is what the operator may conclude from the reply.
    pub fn called(&mut self, password: &str, plan: &Plan, outcome: &Outcome) {
        let no_user = outcome.verdict.reason == Reason::UserNotFound;
        let permanent = plan.kind == ResendPolicy::Permanent;
        if !permanent && matches!(outcome.effect, Effect::Applied | Effect::Unknown) && !no_user {
            self.spent.insert(password.to_owned(), request_of(plan));
        }
    }

    /// Records values that may be the user's password, or may have been.
    pub fn doubt(&mut self, doubted: impl Iterator<Item = String>) {
        self.doubted.extend(doubted);
        self.earlier.extend(self.doubted.iter().cloned());
    }

    /// Records an attempt with another value: a spent value may be set again after that attempt.
    pub fn attempts(&mut self, id: &str, password: &str, permanent: bool) {
        let before = self.spent.clone();
        self.spent
            .retain(|spent, _| !permanent && spent == password);
        self.spent_before.insert(id.to_owned(), before);
    }

    /// Whether this value was spent before an earlier attempt or request.
    pub fn spent_before(&self, password: &str) -> bool {
        self.spent_before
            .values()
            .any(|spent| spent.contains_key(password))
    }

    /// Undoes [`attempts`](Self::attempts), because the attempt made no call.
    pub fn did_not_attempt(&mut self, id: &str) {
        for (password, request) in self.spent_before.remove(id).into_iter().flatten() {
            self.spent.entry(password).or_insert(request);
        }
    }

    /// The resource was recreated, so its record is gone. Calls in flight remain: the operator's memory
    /// answers for these.
    pub fn forget(&mut self) {
        self.keys_lost = true;
        self.made_anew = true;
        self.refused = None;
        self.spent.clear();
        self.spent_before.clear();
        self.unanswered.clear();
        self.corrections.clear();
        self.obliges(false);
    }

    /// The spec asks for sign-outs, or no longer does. Then nothing is owed.
    pub fn obliges(&mut self, yes: bool) {
        if !yes {
            (self.owed, self.revoked) = (false, None);
        }
    }

    pub fn replied(&mut self, id: &str) {
        self.unanswered.retain(|sent| sent.id != id);
    }
}

impl Meddling {
    /// Another program has set the user's password. The condition may be wrong until the next request.
    pub fn happens(&mut self, with_a_value: bool) {
        self.times += 1;
        self.with_values |= with_a_value;
        self.suspicion = None;
        self.vouched = false;
    }

    /// A person requests a set.
    pub fn asks(&mut self, request: Option<String>) {
        if self.times > 0 && !self.vouched {
            self.suspicion = request;
        }
    }

    /// A request after a set by another program is answered. A refusal concerns only the value that was sent,
    /// or a missing value, and says nothing about the record.
    pub fn answers(&mut self, request: Option<&String>, ready: bool) {
        if self.suspicion.is_some() && self.suspicion.as_ref() == request {
            self.vouched = ready;
            self.suspicion = None;
        }
    }
}

impl World {
    /// Checks that a plan names its value and has a reason.
    pub fn check_plan(&mut self, seen: &Resource, plan: &Plan, value: &Password) {
        let status = seen.status();
        let compared = self.cluster.compare(seen, value);
        let ahead = plan.ahead.attempt.as_ref();
        let pending =
            ahead == Some(&plan.attempt) && plan.attempt.outcome == AttemptOutcome::Pending;
        let ids_differ = status
            .attempt
            .as_ref()
            .is_none_or(|before| before.id != plan.attempt.id);
        if !pending || !ids_differ {
            self.watch.broken(
                Promise::I1,
                format!("written ahead: {:?}", plan.ahead.attempt),
            );
        }
        let request = seen.requested_at.as_ref();
        let asked = request.is_some() && request != status.last_handled_reconcile_at.as_ref();
        let ready = ready(&status) == Some(ConditionStatus::True);
        if ready && compared.synced == Some(Match::Same) && !asked {
            self.watch
                .broken(Promise::Idle, "set although in sync".to_owned());
        }
    }

    pub fn check_granted(&mut self, what: &str) {
        if !self.cluster.granted {
            self.watch
                .broken(Promise::Granted, format!("{what} without a grant"));
        }
    }

    /// Checks that no other value is in flight.
    pub fn check_call(&mut self, plan: &Plan, value: &Password, permanent: bool) {
        self.watch.calls += 1;
        let password = value.expose().to_owned();
        let request = &request_of(plan);
        if self.cluster.resource.requested_at.is_some() {
            self.watch.asked_for.insert(password.clone());
        }
        let is_new_user = plan.corrects.is_some() && self.is_new_by_administrator(plan);
        if !permanent && !is_new_user && self.watch.spent.get(&password) == Some(request) {
            let how = format!("{password} was sent again by itself");
            self.watch.broken(Promise::Once, how);
        }
        if let Some(other) = self.watch.unanswered.iter().find(|sent| {
            (&sent.password, sent.permanent) != (&password, permanent)
                && (self.now.duration_since(sent.started) < QUARANTINE
                    || self.now.duration_since(sent.at) < QUARANTINE - UNTIL_SENT)
        }) {
            let age = self.now.duration_since(other.started);
            let how = format!(
                "{password} sent {age:?} after {} whose reply was lost",
                other.password
            );
            self.watch.broken(Promise::I2, how);
        }
        if let Some(latest) = self.watch.latest.replace((password.clone(), permanent))
            && latest != (password.clone(), permanent)
        {
            self.watch.earlier.insert(latest.0);
        }
        self.watch.unanswered.push(SentValue {
            id: plan.attempt.id.clone(),
            password,
            permanent,
            started: plan.attempt.started_at.0,
            at: self.now,
        });
    }

    /// Checks that Ready=True is true, now and as time passes.
    pub fn check_ready(&mut self) {
        let status = self.cluster.resource.status();
        self.check_sessions(&status);
        // The reason of a set that was inferred is not kept while a sign-out is owed.
        let inferred = status.ready_reason() == Some(Reason::AppliedAfterLostReply)
            || self.watch.inferred && status.ready_reason() == Some(Reason::PasswordSet);
        if ready(&status) != Some(ConditionStatus::True) || inferred && self.watch.made_anew {
            return;
        }
        let Some(synced) = status.synced.as_ref().filter(|_| status.attempt.is_none()) else {
            self.watch.broken(
                Promise::I4,
                "Ready with an open attempt, or with nothing set".to_owned(),
            );
            return;
        };
        let (current, permanent) = &self.cognito.current;
        let keyring = keyring(&self.cluster.keys);
        let current = Password::parse(current.as_bytes()).expect("the model's passwords are valid");
        if keyring
            .ring
            .compare(&synced.fingerprint, &target(), *permanent, &current)
            == Match::Different
            && (!self.cognito.foreign || self.watch.meddling.vouched)
            && !(inferred && self.watch.meddling.with_values)
        {
            let how = format!("Ready, but the user's password is {}", current.expose());
            self.watch.broken(Promise::I4, how);
        }
    }

    /// Whether the history can refuse this value although the value is the user's password, because nothing
    /// shows the difference. These are the residual risks.
    pub fn is_in_doubt(&self, password: &str) -> bool {
        self.watch.keys_lost
            || self.watch.meddling.with_values
            || self.watch.doubted.contains(password)
    }

    pub fn was_sent_earlier(&self, password: &str) -> bool {
        self.watch.earlier.contains(password)
    }
}
