//! Every query of the dashboard has an answer on the Prometheus of the scenes, in which everything has happened that
//! the panels show.

use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::say;
use crate::support::{Prometheus, tools};

/// Queries without an answer: a part of the query, and the reason.
const WITHOUT_ANSWER: &[(&str, &str)] = &[];

/// What Grafana's variables become. The interval is what Grafana computes: four times the interval of the scrapes,
/// and here somewhat more, for a busy machine.
const VARIABLES: [(&str, &str); 5] = [
    ("$cluster", ".*"),
    ("$namespace", ".*"),
    ("$job", ".*"),
    ("$instance", ".*"),
    ("$__rate_interval", "10s"),
];

/// The queries that have no answer, or an answer although the list above exempts them.
pub(crate) async fn problems(prometheus: &Prometheus, since: SystemTime) -> Vec<String> {
    let file = tools::checkout().join("monitoring/dashboards/cognito-password-operator.json");
    let text = std::fs::read_to_string(file).expect("the dashboard can be read");
    let dashboard: Value = serde_json::from_str(&text).expect("the dashboard is JSON");
    let mut problems = Vec::new();
    let queries = queries(&dashboard);
    for query in &queries {
        let expression = substituted(query);
        let step = Duration::from_secs(5);
        let answer = prometheus.query_since(&expression, since, step).await;
        let has_values = answer.as_ref().is_ok_and(|series| {
            let mut samples = series.iter().flat_map(|series| &series.samples);
            samples.any(|(_, value)| value.is_finite())
        });
        let exempt = WITHOUT_ANSWER.iter().find(|(part, _)| query.contains(part));
        match (has_values, exempt) {
            (true, None) | (false, Some(_)) => {}
            (false, None) => problems.push(format!("no values: {expression}: {answer:?}")),
            (true, Some((part, _))) => problems.push(format!("{part} is exempt, but has values")),
        }
    }
    problems.extend(variables_without_values(&dashboard, prometheus).await);
    let count = queries.len();
    say::line(
        "dashboard",
        &format!("{count} queries, {} without an answer", problems.len()),
    );
    problems
}

fn queries(dashboard: &Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels
        .iter()
        .filter_map(|panel| panel["targets"].as_array());
    let annotations = dashboard["annotations"]["list"].as_array();
    let queries = targets.chain(annotations).flatten();
    queries
        .map(|target| target["expr"].as_str().expect("a query").to_owned())
        .collect()
}

fn substituted(query: &str) -> String {
    let replace = |query: String, (name, value): &(&str, &str)| query.replace(name, value);
    VARIABLES.iter().fold(query.to_owned(), replace)
}

/// The lists of the variables, which Grafana asks for as `label_values(SELECTOR, LABEL)`.
async fn variables_without_values(dashboard: &Value, prometheus: &Prometheus) -> Vec<String> {
    let variables = dashboard["templating"]["list"]
        .as_array()
        .expect("variables");
    let mut problems = Vec::new();
    for query in variables
        .iter()
        .filter_map(|it| it["query"]["query"].as_str())
    {
        let inner = query
            .strip_prefix("label_values(")
            .and_then(|it| it.strip_suffix(')'));
        let (selector, label) = inner
            .and_then(|it| it.rsplit_once(", "))
            .expect("label_values");
        match prometheus.label_values(label, &substituted(selector)).await {
            Ok(values) if !values.is_empty() => {}
            answer => problems.push(format!("no values of the variable {label}: {answer:?}")),
        }
    }
    problems
}
