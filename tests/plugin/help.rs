//! The help of each command, which is the plugin's manual.

use super::{PLUGIN, text};
use std::process::Command;

/// The help of a command, for a terminal of 80 columns.
fn help(words: &[String]) -> String {
    let printed = Command::new(PLUGIN)
        .args(words)
        .arg("--help")
        .env_clear()
        .env("COLUMNS", "80")
        .output()
        .expect("the plugin runs");
    assert!(printed.status.success(), "{words:?}: {}", text(&printed));
    String::from_utf8(printed.stdout).expect("text")
}

/// The commands that a help lists.
fn listed(help: &str) -> Vec<String> {
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    commands
        .take_while(|line| line.starts_with("  "))
        // A continued line is indented further.
        .filter_map(|line| line.strip_prefix("  ").filter(|it| !it.starts_with(' ')))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

/// Every command, as the words that call it.
fn commands() -> Vec<Vec<String>> {
    let mut open = vec![Vec::new()];
    let mut found = Vec::new();
    while let Some(words) = open.pop() {
        let inner = listed(&help(&words));
        open.extend(inner.into_iter().map(|name| [&words[..], &[name]].concat()));
        found.push(words);
    }
    found
}

#[test]
fn every_command_says_how_it_ends_and_shows_itself_in_80_columns() {
    let commands = commands();
    assert!(commands.len() > 1, "{commands:?}");
    for words in commands {
        let help = help(&words);
        for line in help.lines() {
            // clap never breaks the usage.
            let fits = line.chars().count() <= 80 || line.starts_with("Usage:");
            assert!(fits, "{words:?}: {line}");
        }
        let order = ["Usage:", "\nOptions:", "\nExit status:", "\nExample"];
        let places = order.map(|part| help.find(part));
        let places: Vec<_> = places.into_iter().flatten().collect();
        assert!(places.is_sorted(), "{words:?}: {order:?}:\n{help}");
        // A group of commands has no exit status of its own.
        let is_group = !listed(&help).is_empty() && !words.is_empty();
        assert!(
            is_group || help.contains("Exit status: 0"),
            "{words:?} doesn't say its exit status:\n{help}"
        );
        let call = format!("kubectl cognito-password {}", words.join(" "));
        let asks_a_cluster = !matches!(
            words.first().map(String::as_str),
            Some("explain" | "completion" | "crd" | "iam-policy")
        );
        assert_eq!(
            help.contains("--kubeconfig"),
            asks_a_cluster,
            "{words:?}:\n{help}"
        );
        let shown = help.lines().filter(|line| !line.starts_with("Usage:"));
        assert!(
            words.is_empty() || is_group || shown.clone().any(|line| line.contains(&call)),
            "{words:?} has no example:\n{help}"
        );
    }
}
