//! The result of a command for each resource: a line for people, and an entry of JSON and YAML for programs.

use super::{
    exit::{Exit, Failure},
    output::{layout, write_line},
};
use crate::{
    cluster::inspect::observed::Sight,
    core::ask::{awaited::Words, owner::Owner},
};
use serde::Serialize;
use std::io::Write;

/// What became of a resource.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub(super) enum State {
    /// `wait`: the condition is met.
    Met,
    /// `set --wait`: the password is set.
    Answered,
    /// `set`: the operator was asked.
    Asked,
    /// `set --dry-run`: the operator would be asked.
    WouldBeAsked,
    /// `set`: the operator wasn't asked.
    Spared,
    /// `suspend`
    Suspended,
    /// `resume`
    Resumed,
    /// `suspend` and `resume`: the resource was as wanted.
    Unchanged,
    /// The resource needs a person.
    Failed,
    /// The time is over.
    TimedOut,
    /// `wait --fail-fast`: another resource ended the wait.
    Waiting,
    /// There is no such resource.
    NotFound,
    /// The caller lacks a right.
    Denied,
    /// The API server can't be asked, or refused.
    Unknown,
}

/// The result for one resource.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) state: State,
    /// One word.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) reason: String,
    /// One line.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) message: String,
    /// The tool that may take a change back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) owner: Option<Owner>,
    #[serde(skip)]
    pub(super) exit: Exit,
}

/// The entries as a field of the document for programs.
#[derive(Serialize)]
pub(super) struct Entries<'a> {
    pub(super) resources: &'a [Entry],
}

impl Entry {
    pub(super) fn new(namespace: &str, name: &str, state: State) -> Self {
        let exit = match state {
            State::Met
            | State::Answered
            | State::Asked
            | State::WouldBeAsked
            | State::Spared
            | State::Suspended
            | State::Resumed
            | State::Unchanged => Exit::Well,
            State::Failed | State::TimedOut | State::Waiting | State::NotFound => Exit::Found,
            State::Denied | State::Unknown => Exit::Unknown,
        };
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            state,
            reason: String::new(),
            message: String::new(),
            owner: None,
            exit,
        }
    }

    pub(super) fn message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    pub(super) fn words(mut self, words: Words) -> Self {
        self.reason = words.reason;
        self.message = words.message;
        self
    }

    /// The entry for a resource that could not be read or written. None for a resource that could.
    pub(super) fn of_sight(namespace: &str, name: &str, sight: &Sight) -> Option<Self> {
        match sight {
            Sight::Present(_) => None,
            Sight::Absent => Some(Self::new(namespace, name, State::NotFound)),
            Sight::Denied(right) => Some(
                Self::new(namespace, name, State::Denied).message(format!("you may not {right}")),
            ),
            Sight::Failed(why) => Some(Self::new(namespace, name, State::Unknown).message(why)),
        }
    }

    /// The line for people: namespace, name, and what became of the resource.
    pub(super) fn line(&self) -> String {
        let state = match self.state {
            State::Met => "condition met",
            State::Answered => "set",
            State::Asked => "asked",
            State::WouldBeAsked => "would be asked",
            State::Spared => "not asked",
            State::Suspended => "suspended",
            State::Resumed => "resumed",
            State::Unchanged => "unchanged",
            State::Failed => "failed",
            State::TimedOut => "timed out",
            State::Waiting => "not waited for",
            State::NotFound => "not found",
            State::Denied => "not allowed",
            State::Unknown => "unknown",
        };
        let parts = [state, &self.reason, &self.message];
        let parts: Vec<_> = parts.into_iter().filter(|it| !it.is_empty()).collect();
        format!("{}/{}: {}", self.namespace, self.name, parts.join(": "))
    }

    /// Prints the line: on standard output if all is well, else on standard error.
    pub(super) fn print(&self) -> Result<(), Failure> {
        match self.exit {
            Exit::Well => print_line(&layout().entry(&self.line())),
            Exit::Found | Exit::Unknown => {
                say(&self.line());
                Ok(())
            }
        }
    }
}

/// The exit status of all: 1 if a resource failed, else 3 if something is unknown.
pub(super) fn exit_of(entries: &[Entry]) -> Exit {
    Exit::worst(entries.iter().map(|it| it.exit))
}

/// Prints a line on standard output.
pub(super) fn print_line(line: &str) -> Result<(), Failure> {
    write_line(line).map_err(|error| Failure::Unknown(format!("the output failed: {error}")))
}

/// Prints a line on standard error, as kubectl does with what isn't the result.
pub(super) fn say(line: &str) {
    // An error here has no remedy: standard error is gone.
    let _ = writeln!(anstream::stderr().lock(), "{}", layout().entry(line));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_that_failed_outweighs_what_is_unknown() {
        let entry = |state| Entry::new("team-a", "ci-bot", state);
        let cases: [(&[State], Exit); 5] = [
            (&[], Exit::Well),
            (&[State::Met, State::Spared, State::Unchanged], Exit::Well),
            (&[State::Met, State::Denied], Exit::Unknown),
            (&[State::TimedOut, State::Unknown], Exit::Found),
            (&[State::NotFound, State::Asked], Exit::Found),
        ];
        for (states, exit) in cases {
            let entries: Vec<_> = states.iter().copied().map(entry).collect();
            assert_eq!(exit_of(&entries), exit, "{states:?}");
        }
    }

    #[test]
    fn states_are_upper_camel_case_for_programs() {
        let state = serde_json::to_value(State::WouldBeAsked).expect("JSON");
        assert_eq!(state, "WouldBeAsked");
    }

    #[test]
    fn a_line_names_the_resource_first() {
        let words = Words {
            reason: "InvalidPassword".to_owned(),
            message: "too short".to_owned(),
        };
        let entry = Entry::new("team-a", "ci-bot", State::TimedOut).words(words);
        let line = "team-a/ci-bot: timed out: InvalidPassword: too short";
        assert_eq!(entry.line(), line);
        let entry = Entry::new("team-a", "ci-bot", State::NotFound);
        assert_eq!(entry.line(), "team-a/ci-bot: not found");
    }
}
