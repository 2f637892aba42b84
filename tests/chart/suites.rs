//! The chart's own suites of tests, charts/*/tests, by helm-unittest.

use crate::render::{chart, run};
use crate::support::tools::Tool;

#[test]
fn the_charts_suites_pass() {
    let chart = chart().to_string_lossy().into_owned();
    let said =
        run(Tool::HelmUnittest, &["--strict", &chart]).unwrap_or_else(|said| panic!("{said}"));
    assert!(said.contains("Test Suites:"), "{said}");
}

#[test]
fn helm_lint_finds_nothing() {
    let chart = chart().to_string_lossy().into_owned();
    let said =
        run(Tool::Helm, &["lint", "--strict", &chart]).unwrap_or_else(|said| panic!("{said}"));
    assert!(said.contains("0 chart(s) failed"), "{said}");
}
