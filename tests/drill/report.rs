//! The result of a drill: a row of the table at the end.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use crate::say::time;

#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) drill: &'static str,
    pub(crate) changes: usize,
    pub(crate) calls: usize,
    pub(crate) sets: usize,
    pub(crate) lost: usize,
    pub(crate) kills: usize,
    /// By kind: Cognito's, then the API server's.
    pub(crate) faults: BTreeMap<String, usize>,
    pub(crate) states: usize,
    pub(crate) converged_after: Option<Duration>,
    pub(crate) violations: Vec<String>,
    /// The facts for finding the cause of a failure.
    pub(crate) evidence: String,
}

impl Report {
    pub(crate) fn of_a_panic(drill: &'static str, said: String) -> Self {
        Self {
            drill,
            violations: vec![said],
            ..Self::default()
        }
    }
}

pub(crate) fn table(reports: &[Report]) -> String {
    let mut text = format!(
        "{:<11}{:>10}{:>8}{:>7}{:>7}{:>7}{:>8}{:>8}{:>11}{:>12}\n",
        "",
        "rotations",
        "calls",
        "sets",
        "lost",
        "kills",
        "faults",
        "states",
        "converged",
        "violations"
    );
    for report in reports {
        let converged = report.converged_after.map_or("no".to_owned(), time);
        let faults: usize = report.faults.values().sum();
        writeln!(
            text,
            "{:<11}{:>10}{:>8}{:>7}{:>7}{:>7}{:>8}{:>8}{:>11}{:>12}",
            report.drill,
            report.changes,
            report.calls,
            report.sets,
            report.lost,
            report.kills,
            faults,
            report.states,
            converged,
            report.violations.len()
        )
        .expect("a String takes everything");
    }
    let mut faults: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, count) in reports.iter().flat_map(|report| &report.faults) {
        *faults.entry(name).or_default() += count;
    }
    text.push_str("\nfaults: ");
    let faults: Vec<_> = faults
        .iter()
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    text + &faults.join(", ")
}
