//! Hostile input: objects and answers that are meant to stop other tenants, or to reach other tenants' users.

mod anything;
mod generated;
mod metadata;
mod model;
mod no_schema;
mod words;

use std::fs;

use crate::support::Operator;

/// The process's highest memory use so far, in MB.
fn peak(operator: &Operator) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", operator.pid()));
    let status = status.expect("it runs");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = peak.and_then(|peak| peak.trim().strip_suffix(" kB"));
    let kilobytes: u64 = kilobytes.and_then(|it| it.parse().ok()).expect("a number");
    kilobytes / 1_000
}

/// Checks that the operator still runs, is ready, has not panicked, and stays within the deployment's memory
/// limit.
async fn assert_unharmed(operator: &Operator) {
    assert_eq!(operator.exit(), None);
    let (status, body) = operator.get("/readyz").await;
    assert_eq!(status, 200, "{body}");
    let log = operator.logs();
    let panic = log.lines().find(|line| line.contains("panicked"));
    assert_eq!(panic, None);
    let peak = peak(operator);
    assert!(peak < 200, "{peak} MB, and the limit is 256 MiB");
}

/// Checks that a message is legible and has at most `most` bytes.
fn assert_legible(message: &str, most: usize) {
    assert!(message.len() <= most, "{} bytes", message.len());
    let marks = [
        '\u{200b}', '\u{200e}', '\u{200f}', '\u{202e}', '\u{2066}', '\u{feff}',
    ];
    let unseen = |c: char| c.is_control() || marks.contains(&c);
    assert!(!message.contains(unseen), "{message:?}");
}
