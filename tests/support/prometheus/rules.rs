//! The rules of monitoring/rules.yaml, with shorter durations: what takes half an hour in a cluster takes a minute
//! here. Nothing else changes.

use std::fs;

use serde_json::Value;

use super::super::tools;

/// How long a condition must last until its alert fires. The shortest is longer than a failover takes (15 s).
const FOR: [(&str, &str); 6] = [
    ("2m", "35s"),
    ("5m", "40s"),
    ("10m", "45s"),
    ("15m", "50s"),
    ("30m", "60s"),
    ("1h", "75s"),
];

/// The time that a rate or an increase covers. The shortest is longer than the longest pause between two tries of
/// a watch (10 s).
const WINDOWS: [(&str, &str); 6] = [
    ("5m", "30s"),
    ("15m", "45s"),
    ("30m", "60s"),
    ("1h", "90s"),
    ("6h", "120s"),
    ("1d", "60s"),
];

/// The rules as they ship.
pub(crate) fn shipped() -> Value {
    let file = tools::checkout().join("monitoring/rules.yaml");
    let text = fs::read_to_string(file).expect("the rules can be read");
    serde_saphyr::from_str(&text).expect("the rules are YAML")
}

/// The rules with shorter durations.
pub(crate) fn shortened() -> Value {
    let mut rules = shipped();
    for rule in rules_of(&mut rules) {
        if let Some(lasting) = rule.get_mut("for") {
            *lasting = shorter(&FOR, text(lasting)).into();
        }
        let expression = &mut rule["expr"];
        *expression = with_windows(text(expression), |window| shorter(&WINDOWS, window)).into();
    }
    rules
}

/// The rules without the durations that [`shortened`] may change.
pub(crate) fn without_durations(mut rules: Value) -> Value {
    for rule in rules_of(&mut rules) {
        if let Some(lasting) = rule.get_mut("for") {
            *lasting = "".into();
        }
        let expression = &mut rule["expr"];
        *expression = with_windows(text(expression), |_| "").into();
    }
    rules
}

fn rules_of(rules: &mut Value) -> impl Iterator<Item = &mut Value> {
    let groups = rules["groups"].as_array_mut().expect("groups of rules");
    let lists = groups.iter_mut().map(|group| group["rules"].as_array_mut());
    lists.flat_map(|rules| rules.expect("rules"))
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

/// Replaces what is between square brackets.
fn with_windows<'a>(expression: &'a str, new: impl Fn(&'a str) -> &'a str) -> String {
    let mut parts = expression.split('[');
    let first = parts.next().unwrap_or_default().to_owned();
    let others = parts.map(|part| {
        let (window, rest) = part.split_once(']').expect("a bracket is closed");
        format!("[{}]{rest}", new(window))
    });
    std::iter::once(first).chain(others).collect()
}

fn shorter(table: &[(&str, &'static str)], duration: &str) -> &'static str {
    let row = table.iter().find(|(long, _)| *long == duration);
    let (_, short) = row.unwrap_or_else(|| {
        panic!("{duration} has no row in tests/support/prometheus/rules.rs: {table:?}")
    });
    short
}
