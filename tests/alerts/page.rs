//! The live page of metrics, by `promtool check metrics`.
//!
//! The operator serves `OpenMetrics`, and Prometheus has parsed that page at each scrape. promtool reads the older text
//! format only, which differs in two points: a counter is declared with `_total`, and UNIT and EOF don't exist.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use crate::replica::Replica;
use crate::say;
use crate::support::tools::{self, Tool};

/// What promtool says of the pages of these replicas.
pub(crate) async fn problems(replicas: &[Replica]) -> Vec<String> {
    let mut problems = Vec::new();
    for replica in replicas {
        let page = in_text_format(&replica.operator().metrics().await);
        if let Err(said) = check(&page) {
            problems.push(format!("promtool check metrics: {said}\n{page}"));
        } else {
            let lines = page.lines().count();
            say::line(
                "page",
                &format!("promtool checked {lines} lines of {}", replica.pod),
            );
        }
    }
    problems
}

fn in_text_format(page: &str) -> String {
    let counters: BTreeSet<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let line_in_text_format = |line: &str| {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("EOF" | "UNIT"), ..) => None,
            (Some("#"), Some(what), Some(name), Some(rest)) if counters.contains(name) => {
                Some(format!("# {what} {name}_total {rest}\n"))
            }
            _ => Some(format!("{line}\n")),
        }
    };
    page.lines().filter_map(line_in_text_format).collect()
}

fn check(page: &str) -> Result<(), String> {
    let mut promtool = Command::new(tools::path(Tool::Promtool))
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let stdin = promtool.stdin.take();
    (stdin.expect("stdin was piped"))
        .write_all(page.as_bytes())
        .map_err(|error| error.to_string())?;
    let output = promtool
        .wait_with_output()
        .map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() && said.is_empty() {
        Ok(())
    } else {
        Err(format!("{}: {said}", output.status))
    }
}
