//! The promises, checked on every state that the API server showed. The checks run at the end of a drill,
//! because only then every version of every Secret is known.

use std::time::{Duration, Instant};

use crate::book::Book;
use crate::observer::{Attempt, ObservedState};
use crate::support::{Call, Outcome};

/// How long another value must wait for an open attempt.
const QUARANTINE: Duration = Duration::from_secs(30);

/// Everything that the drill saw of one user.
pub(crate) struct Evidence<'a> {
    pub(crate) user: &'a str,
    pub(crate) book: &'a Book,
    pub(crate) seen: &'a [ObservedState],
    pub(crate) calls: &'a [Call],
    /// The user's passwords, each with the time of its set.
    pub(crate) in_force: &'a [(Instant, String)],
    pub(crate) actors: Actors,
    /// How often the operator set the user again because looks found a deviation.
    pub(crate) corrections: usize,
}

/// The processes that may act at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Actors {
    /// One process, killed and started again.
    One,
    /// Two processes, of which one leads. The former leader, frozen or without its lease, may have made a
    /// call whose outcome is not on record. The next leader then makes the same call again.
    Led,
    /// Two processes that act at the same time. Each may take over an attempt that the other has just
    /// written, and send the same value again, any number of times.
    Both,
}

impl Evidence<'_> {
    /// Each broken promise, as a sentence.
    pub(crate) fn violations(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for (index, seen) in self.seen.iter().enumerate() {
            wrong.extend(self.of_one_state(index, seen));
            if let Some(next) = self.seen.get(index + 1).filter(|next| !next.after_gap) {
                wrong.extend(self.of_a_step(index, seen, next));
            }
        }
        wrong.extend(self.of_calls());
        wrong.extend(self.of_overlaps());
        wrong
    }

    fn of_one_state(&self, index: usize, seen: &ObservedState) -> Option<String> {
        if seen.leaks {
            return Some(format!("a password is in the status: {seen}"));
        }
        // No value repeats, so the history can only refuse a value that the operator itself has set.
        if seen.ready.1 == "PasswordHistoryPolicyViolation" && !self.is_in_doubt(index) {
            return Some(format!("a false refusal: {seen}"));
        }
        if !seen.says_ready() {
            return None;
        }
        if seen.attempt.as_ref().is_some_and(Attempt::is_open) {
            return Some(format!("Ready=True with an open attempt: {seen}"));
        }
        if seen.owed_since.is_some() {
            return Some(format!("Ready=True before the sign-out: {seen}"));
        }
        if !seen.of_generation {
            return None;
        }
        let value = seen
            .synced
            .as_ref()
            .and_then(|it| self.book.value_at(self.user, it));
        let Some(value) = value else {
            return Some(format!("Ready=True of a value that nobody wrote: {seen}"));
        };
        self.was_in_force(index, seen, &value)
            .err()
            .map(|why| format!("Ready=True of {value}, {why}: {seen}"))
    }

    /// Whether the record lost a set. Two processes act: one was frozen, and then recorded a set of long ago.
    /// That record replaced the record of the other process's later set, and the history can't restore that
    /// record. docs/design/accepted-risks.md names this risk, and the lease prevents it. A new value ends the
    /// doubt.
    fn is_in_doubt(&self, index: usize) -> bool {
        let taken_away =
            |states: &[ObservedState]| states[0].synced.is_some() && states[1].synced.is_none();
        self.actors == Actors::Both && self.seen[..index].windows(2).any(taken_away)
    }

    /// Whether a value was the user's password when a status said so. The drill sees a status some time after
    /// the write, and by then a newer value may be the password. The operator sends no value before the
    /// value's attempt is written. So a state that the drill saw later must name each newer value.
    fn was_in_force(&self, index: usize, seen: &ObservedState, value: &str) -> Result<(), String> {
        let until_then = self.in_force.iter().take_while(|(at, _)| *at <= seen.at);
        let values: Vec<&str> = until_then.map(|(_, value)| &**value).collect();
        let Some(place) = values.iter().rposition(|its| *its == value) else {
            return Err("which wasn't in force yet".to_owned());
        };
        for newer in &values[place + 1..] {
            let later = &self.seen[index + 1..];
            if !later.iter().any(|later| self.names(later, newer)) {
                return Err(format!("when {newer} was in force already"));
            }
        }
        Ok(())
    }

    fn names(&self, seen: &ObservedState, value: &str) -> bool {
        let attempted = seen.attempt.as_ref().map(|it| &it.version);
        [attempted, seen.synced.as_ref()]
            .into_iter()
            .flatten()
            .any(|version| self.book.value_at(self.user, version).as_deref() == Some(value))
    }

    /// An open attempt ends in one of four ways: its value is synced, a later plan takes the attempt over,
    /// another value replaces the attempt after the quarantine, or the attempt is withdrawn because no call
    /// was made.
    fn of_a_step(
        &self,
        index: usize,
        seen: &ObservedState,
        next: &ObservedState,
    ) -> Option<String> {
        let attempt = seen.attempt.as_ref().filter(|it| it.is_open())?;
        let value_at = |version: &String| self.book.value_at(self.user, version);
        let value = value_at(&attempt.version);
        // The attempt is withdrawn: no request was sent, or the API server did nothing with the request.
        let as_before = self.seen[..index]
            .iter()
            .any(|before| before.attempt == next.attempt && before.synced == next.synced);
        if as_before {
            return None;
        }
        let synced = next.synced.as_ref().and_then(value_at);
        // A status that replaces a doubtful attempt has no `synced`.
        let moved = next.synced.is_some() && next.synced != seen.synced;
        if moved && synced != value {
            return Some(format!(
                "another value than the attempt's is synced: {seen}; {next}"
            ));
        }
        match &next.attempt {
            None if synced == value => None,
            None => Some(format!("an open attempt was lost: {seen}; {next}")),
            Some(now) if now.id == attempt.id => None,
            Some(now) if value_at(&now.version) == value => None,
            Some(now) => {
                let waited = now.started.duration_since(attempt.started);
                let waited = Duration::try_from(waited).unwrap_or_default();
                (waited < QUARANTINE)
                    .then(|| format!("another value after only {waited:?}: {seen}; {next}"))
            }
        }
    }

    /// A process sends a value again only if the earlier call was lost, throttled or failed, if the calling
    /// process ended before the outcome was on record, or to correct a deviation.
    fn of_calls(&self) -> Option<String> {
        let answers = match self.actors {
            Actors::One => 1,
            Actors::Led => 2,
            Actors::Both => return None,
        };
        for (index, call) in self.calls.iter().enumerate() {
            let same = |other: &&Call| other.password == call.password;
            let before: Vec<_> = self.calls[..index].iter().filter(same).collect();
            let answered = before.iter().filter(|call| is_answered(call));
            let Some(first) = before.iter().find(|call| is_answered(call)) else {
                continue;
            };
            let between = |kill: &&Instant| **kill > first.arrived && **kill < call.arrived;
            let kills = self.book.kills().iter().filter(between).count();
            if answered.count() + 1 > answers + kills + self.corrections {
                let value = &call.password;
                return Some(format!(
                    "{value} was sent again (call {}) after an answer",
                    call.id
                ));
            }
        }
        None
    }

    /// I2: one call at a time. Several processes may send the same value at the same time, but never two
    /// values.
    fn of_overlaps(&self) -> Option<String> {
        for (index, call) in self.calls.iter().enumerate() {
            let overlaps = self.calls[..index].iter().find(|other| {
                let other_value = other.password != call.password;
                (self.actors == Actors::One || other_value) && !ended_before(other, call.arrived)
            });
            if let Some(other) = overlaps {
                return Some(format!(
                    "calls {} and {} at the same time",
                    other.id, call.id
                ));
            }
        }
        None
    }
}

/// Whether the caller learned the outcome of the call.
fn is_answered(call: &Call) -> bool {
    match &call.outcome {
        Outcome::Applied => true,
        Outcome::Refused(code) => code == "PasswordHistoryPolicyViolationException",
        Outcome::InFlight { .. } | Outcome::Lost { .. } => false,
    }
}

/// Whether the call ended before a moment. The server notices late that a client has given up a call, or was
/// killed.
fn ended_before(call: &Call, moment: Instant) -> bool {
    call.closed().is_some_and(|closed| closed <= moment)
}
