//! Answers kubectl, which completes the arguments of a plugin: `kubectl_complete-cognito_password` asks with the
//! words of the command line, of which the last may be unfinished or empty.
//!
//! Pure: which names fit is found out by [`crate::command::names`].

use crate::{api::REASONS, command::names::Names};
use clap::{Arg, Command, ValueHint};
use std::fmt::Write;

/// The first argument of a question. Not a command: no help and no script of a shell shows this word.
pub(super) const QUESTION: &str = "__complete";

/// The directives of cobra, by which kubectl tells the shell whether file names fit too.
const NO_FILES: &str = ":4";
const FILES: &str = ":0";

/// What may stand in the place of the last word.
#[derive(PartialEq, Eq, Debug, Default)]
pub(super) struct Completion {
    /// Words of the command line itself, each with a line of help, which may be empty.
    pub(super) words: Vec<(String, String)>,
    /// Names that only a cluster or a kubeconfig knows.
    pub(super) names: Option<Names>,
    /// Whether the name of a file fits.
    pub(super) files: bool,
    /// The words before which say where to look: the global flags, as `--long=value`.
    pub(super) connection: Vec<String>,
    /// What each candidate begins with: the last word so far.
    begin: String,
    /// What stands before each value: `--flag=`, or nothing.
    before: String,
}

impl Completion {
    /// The answer in kubectl's form: a candidate a line, its help after a tab, and the directive.
    pub(super) fn answer(&self, names: Vec<String>) -> String {
        let names = names.into_iter().map(|name| (name, String::new()));
        let mut answer = String::new();
        for (word, help) in self.words.iter().cloned().chain(names) {
            let word = format!("{}{word}", self.before);
            if !word.starts_with(&self.begin) || word.contains(char::is_control) {
                continue;
            }
            let separator = if help.is_empty() { "" } else { "\t" };
            let _ = writeln!(answer, "{word}{separator}{help}");
        }
        answer.push_str(if self.files { FILES } else { NO_FILES });
        answer
    }

    /// Takes the values of an argument as candidates.
    fn values_of(&mut self, arg: &Arg) {
        let values = arg.get_possible_values();
        self.words = values
            .iter()
            .filter(|value| !value.is_hide_set())
            .map(|value| (value.get_name().to_owned(), first_line(value.get_help())))
            .collect();
        if arg.get_long().is_none() && named(arg, &["REASON"]) {
            let reasons = REASONS.iter().map(|entry| entry.word.to_owned());
            self.words.extend(reasons.map(|word| (word, String::new())));
        }
        self.names = names_of(arg);
        let hints = [ValueHint::FilePath, ValueHint::AnyPath];
        self.files = hints.contains(&arg.get_value_hint()) || named(arg, &["FILE"]);
    }
}

/// Finds what may stand in the place of the last of `words`, which follow the program's name.
pub(super) fn complete(mut cli: Command, words: &[String]) -> Completion {
    // Global flags become flags of each command.
    cli.build();
    let (last, before) = match words.split_last() {
        Some((last, before)) => (last.as_str(), before),
        None => ("", words),
    };
    let mut found = Completion {
        begin: last.to_owned(),
        ..Completion::default()
    };
    let (mut command, mut positionals, mut only_positionals) = (&cli, 0, false);
    let mut open: Option<&Arg> = None;
    for word in before {
        if let Some(arg) = open.take() {
            found.connects(arg, word);
        } else if only_positionals || !word.starts_with('-') || word == "-" {
            match command.find_subcommand(word) {
                Some(inner) if positionals == 0 && !only_positionals => command = inner,
                _ => positionals += 1,
            }
        } else if word == "--" {
            only_positionals = true;
        } else if let Some((arg, value)) = flag(command, word) {
            match value {
                Some(value) => found.connects(arg, value),
                None if takes_value(arg) => open = Some(arg),
                None => {}
            }
        }
    }
    if let Some(arg) = open {
        found.values_of(arg);
    } else if last.starts_with('-') && !only_positionals {
        match (last.split_once('='), flag(command, last)) {
            (Some((name, _)), Some((arg, _))) => {
                found.values_of(arg);
                found.before = format!("{name}=");
            }
            _ => found.words = flags(command),
        }
    } else {
        if let Some(arg) = positional(command, positionals) {
            found.values_of(arg);
        }
        if positionals == 0 && !only_positionals {
            let commands = command.get_subcommands().filter(|it| !it.is_hide_set());
            let commands =
                commands.map(|it| (it.get_name().to_owned(), first_line(it.get_about())));
            found
                .words
                .extend(commands.filter(|(name, _)| name != "help"));
        }
    }
    found
}

impl Completion {
    /// Remembers a global flag, which says where to look for names.
    fn connects(&mut self, arg: &Arg, value: &str) {
        if let (true, Some(long)) = (arg.is_global_set(), arg.get_long()) {
            self.connection.push(format!("--{long}={value}"));
        }
    }
}

/// The flag that a word names, and the flag's value, if the word has the value too.
fn flag<'a, 'w>(command: &'a Command, word: &'w str) -> Option<(&'a Arg, Option<&'w str>)> {
    if let Some(long) = word.strip_prefix("--") {
        let (name, value) = match long.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (long, None),
        };
        let is_meant = |arg: &&Arg| {
            let aliases = arg.get_all_aliases().unwrap_or_default();
            arg.get_long() == Some(name) || aliases.contains(&name)
        };
        return Some((command.get_arguments().find(is_meant)?, value));
    }
    let rest = word.strip_prefix('-')?;
    let short = rest.chars().next()?;
    let arg = command
        .get_arguments()
        .find(|arg| arg.get_short() == Some(short))?;
    let value = &rest[short.len_utf8()..];
    let value = value.strip_prefix('=').unwrap_or(value);
    Some((arg, Some(value).filter(|it| !it.is_empty())))
}

/// Whether the next word is the flag's value.
fn takes_value(arg: &Arg) -> bool {
    arg.get_action().takes_values() && arg.get_num_args().is_none_or(|it| it.min_values() > 0)
}

/// The positional argument at this place. The last one may take any number of words.
fn positional(command: &Command, place: usize) -> Option<&Arg> {
    let all: Vec<_> = command.get_positionals().collect();
    let last = all.last().copied();
    let many = |arg: &&Arg| arg.get_num_args().is_some_and(|it| it.max_values() > 1);
    all.get(place).copied().or_else(|| last.filter(many))
}

fn flags(command: &Command) -> Vec<(String, String)> {
    let flags = command.get_arguments().filter(|arg| !arg.is_hide_set());
    flags
        .filter_map(|arg| Some((format!("--{}", arg.get_long()?), first_line(arg.get_help()))))
        .collect()
}

/// Which names an argument takes: by the word that the help has for its value.
fn names_of(arg: &Arg) -> Option<Names> {
    match arg.get_long() {
        Some("context") => Some(Names::Contexts),
        _ if named(arg, &["NAMESPACE"]) => Some(Names::Namespaces),
        None if named(arg, &["NAME", "NAMES"]) => Some(Names::Resources),
        _ => None,
    }
}

fn named(arg: &Arg, words: &[&str]) -> bool {
    let names = arg.get_value_names().unwrap_or_default();
    names.iter().any(|name| words.contains(&name.as_str()))
}

fn first_line(help: Option<&clap::builder::StyledStr>) -> String {
    let help = help.map(ToString::to_string).unwrap_or_default();
    help.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
