//! The dashboard: its form, and its panels against the metrics. `make alerts` decodes the dashboard by
//! Grafana's own types.

use std::collections::BTreeSet;
use std::fs;

use cognito_password_operator::api::REASONS;
use serde_json::Value;

use crate::support::tools;

/// Metrics without a panel, with the reason.
const WITHOUT_PANEL: [(&str, &str); 1] = [(
    "cognito_password_operator_longest_stall_since_start_seconds",
    "a bound for tests; the panel shows the last five minutes",
)];

fn dashboard() -> Value {
    let file = tools::checkout().join("monitoring/dashboards/cognito-password-operator.json");
    let text = fs::read_to_string(file).expect("the dashboard can be read");
    serde_json::from_str(&text).expect("the dashboard is JSON")
}

fn panels(dashboard: &Value) -> &Vec<Value> {
    dashboard["panels"].as_array().expect("there are panels")
}

/// The queries of all panels and annotations.
fn queries(dashboard: &Value) -> Vec<String> {
    let targets = panels(dashboard)
        .iter()
        .filter_map(|panel| panel["targets"].as_array());
    let annotations = dashboard["annotations"]["list"]
        .as_array()
        .expect("annotations");
    targets
        .flatten()
        .chain(annotations)
        .map(|target| target["expr"].as_str().expect("a query").to_owned())
        .collect()
}

#[test]
fn the_dashboard_can_be_imported_anywhere() {
    let dashboard = dashboard();
    assert_eq!(dashboard["uid"], "cognito-password-operator");
    assert_eq!(dashboard["editable"], false);
    assert!(dashboard["id"].is_null() && dashboard["__inputs"].is_null());
    let variables = dashboard["templating"]["list"]
        .as_array()
        .expect("variables");
    let names: Vec<_> = variables
        .iter()
        .map(|it| it["name"].as_str().unwrap_or_default())
        .collect();
    assert_eq!(
        names,
        ["datasource", "cluster", "namespace", "job", "instance"]
    );
    for panel in panels(&dashboard)
        .iter()
        .filter(|panel| panel["targets"].is_array())
    {
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{panel:#}");
        for target in panel["targets"].as_array().expect("queries") {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{target:#}");
        }
    }
}

#[test]
fn each_panel_says_what_it_shows_and_has_a_place_of_its_own() {
    let dashboard = dashboard();
    let (mut ids, mut places) = (BTreeSet::new(), BTreeSet::new());
    for panel in panels(&dashboard) {
        assert!(
            ids.insert(panel["id"].as_u64().expect("an id")),
            "{panel:#}"
        );
        let number = |name: &str| panel["gridPos"][name].as_u64().expect("a place");
        for x in number("x")..number("x") + number("w") {
            assert!(x < 24, "{panel:#}");
            for y in number("y")..number("y") + number("h") {
                assert!(
                    places.insert((x, y)),
                    "two panels are at {x}, {y}: {}",
                    panel["title"]
                );
            }
        }
        assert!(!panel["title"].as_str().expect("a title").is_empty());
        if panel["type"] != "row" {
            let words = panel["description"].as_str().unwrap_or_default();
            assert!(words.ends_with('.'), "{}: {words}", panel["title"]);
        }
        if panel["targets"].is_array() {
            assert!(
                panel["fieldConfig"]["defaults"]["unit"].is_string(),
                "{}",
                panel["title"]
            );
        }
    }
}

#[test]
fn each_query_selects_by_the_variables_and_by_no_fixed_interval_of_a_rate() {
    for query in queries(&dashboard()) {
        for variable in ["cluster", "namespace", "job", "instance"] {
            let selectors = query.matches('{').count();
            let selected = query
                .matches(&format!("{variable}=~\"${variable}\""))
                .count();
            assert_eq!(selectors, selected, "{query}");
        }
        for fixed in ["[5m]", "[1m]", "[15m]"] {
            assert!(!query.contains(fixed), "{query}");
        }
    }
}

/// The metrics of docs/metrics.md; tests/docs.rs compares that page with the code.
fn metrics() -> BTreeSet<String> {
    let page = fs::read_to_string(tools::checkout().join("docs/metrics.md")).expect("the page");
    let name = |line: &str| {
        line.strip_prefix("| `")
            .and_then(|rest| rest.split('`').next().map(str::to_owned))
    };
    let names = page.lines().filter_map(name);
    names
        .filter(|name| {
            name.starts_with("cognito_password_operator_") || name.starts_with("process_")
        })
        .collect()
}

#[test]
fn each_metric_has_a_panel_and_each_panel_a_metric() {
    let mut shown = BTreeSet::new();
    for query in queries(&dashboard()) {
        let words = query.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
        let ours = |word: &&str| {
            word.starts_with("cognito_password_operator_") || word.starts_with("process_")
        };
        shown.extend(
            words
                .filter(ours)
                .map(|word| word.trim_end_matches("_bucket").to_owned()),
        );
    }
    let without = WITHOUT_PANEL.iter().map(|(metric, _)| (*metric).to_owned());
    let all: BTreeSet<String> = shown.into_iter().chain(without).collect();
    assert_eq!(all, metrics());
}

#[test]
fn each_reason_in_a_query_exists() {
    for query in queries(&dashboard()) {
        let matchers = query
            .split("reason")
            .skip(1)
            .filter_map(|rest| rest.strip_prefix("=~\"").or(rest.strip_prefix("!~\"")));
        for pattern in matchers.filter_map(|rest| rest.split('"').next()) {
            for reason in pattern.split('|') {
                assert!(
                    REASONS.iter().any(|entry| entry.word == reason),
                    "{reason} in {query}"
                );
            }
        }
    }
}
