//! Checks alerts, pages, metrics and reasons against one another, in both directions. promtool tests the
//! alerts: `make alerts`.

use std::collections::BTreeSet;
use std::fs;

use cognito_password_operator::{api::REASONS, core::access::grant_status::GRANT_REASONS};
use serde_json::{Value, json};

use crate::render::objects;
use crate::support::tools;

fn read(path: &str) -> String {
    let file = tools::checkout().join(path);
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{path} can't be read: {error}"))
}

/// The alerts for the platform team, and those for the teams.
const FILES: [&str; 2] = ["monitoring/rules.yaml", "monitoring/tenant-rules.yaml"];

/// The rules that are alerts.
fn alerts() -> Vec<Value> {
    let alerts: Vec<Value> = FILES.iter().flat_map(|file| alerts_of(file)).collect();
    assert!(alerts.len() > 20, "{} alerts", alerts.len());
    alerts
}

fn alerts_of(file: &str) -> Vec<Value> {
    let rules: Value = serde_saphyr::from_str(&read(file)).expect("the rules are YAML");
    let groups = rules["groups"].as_array().expect("groups").clone();
    let rules = groups
        .iter()
        .filter_map(|group| group["rules"].as_array().cloned());
    rules
        .flatten()
        .filter(|rule| rule["alert"].is_string())
        .collect()
}

fn text<'a>(rule: &'a Value, pointer: &str) -> &'a str {
    rule.pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_else(|| panic!("no {pointer} in {rule:#}"))
}

#[test]
fn each_alert_has_its_page_and_each_page_its_alert() {
    let names: BTreeSet<String> = alerts()
        .iter()
        .map(|rule| text(rule, "/alert").to_owned())
        .collect();
    let folder = tools::checkout().join("docs/runbooks");
    let pages: BTreeSet<String> = fs::read_dir(folder)
        .expect("the folder can be read")
        .map(|entry| entry.expect("the folder can be read").file_name())
        .map(|name| name.to_string_lossy().trim_end_matches(".md").to_owned())
        .collect();
    assert_eq!(names, pages);
    let monitoring = read("docs/monitoring.md");
    for name in names {
        let page = read(&format!("docs/runbooks/{name}.md"));
        let headings: Vec<_> = page.lines().filter(|line| line.starts_with('#')).collect();
        let title = format!("# {name}");
        let wanted = [
            &title,
            "## Meaning",
            "## Impact",
            "## Diagnosis",
            "## Mitigation",
        ];
        assert_eq!(headings, wanted, "{name}");
        assert!(
            page.contains("\nkubectl ") || page.contains("\n  kubectl "),
            "{name}: no command for the diagnosis"
        );
        assert!(
            monitoring.contains(&format!("(runbooks/{name}.md)")),
            "{name} isn't in docs/monitoring.md"
        );
    }
}

#[test]
fn each_alert_says_what_how_bad_and_where_to_read_on() {
    for rule in alerts() {
        let name = text(&rule, "/alert");
        let prefixes = ["CognitoPasswordOperator", "CognitoUserPassword"];
        assert!(prefixes.iter().any(|it| name.starts_with(it)), "{name}");
        let severity = text(&rule, "/labels/severity");
        assert!(
            ["critical", "warning", "info"].contains(&severity),
            "{name}: {severity}"
        );
        let summary = text(&rule, "/annotations/summary");
        assert!(
            !summary.contains("{{") && summary.ends_with('.'),
            "{name}: {summary}"
        );
        assert!(
            text(&rule, "/annotations/description").ends_with('.'),
            "{name}"
        );
        let page = text(&rule, "/annotations/runbook_url");
        assert_eq!(page, format!("docs/runbooks/{name}.md"));
    }
}

/// The reasons in the matchers of an expression.
fn reasons_in(expression: &str) -> BTreeSet<&str> {
    let matchers = ["reason=\"", "reason=~\"", "reason!~\""];
    let after = matchers
        .iter()
        .flat_map(|matcher| expression.split(matcher).skip(1));
    let patterns = after.filter_map(|rest| rest.split('"').next());
    patterns.flat_map(|pattern| pattern.split('|')).collect()
}

/// The expression of an alert that the chart renders with these values.
fn rendered(alert: &str, mut values: Value) -> String {
    values["metrics"] = json!({ "prometheusRule": { "enabled": true } });
    let objects = objects(&values);
    let rule = objects.iter().find(|it| it["kind"] == "PrometheusRule");
    let groups = rule.expect("a PrometheusRule")["spec"]["groups"].as_array();
    let mut rules = groups
        .into_iter()
        .flatten()
        .filter_map(|it| it["rules"].as_array())
        .flatten();
    let found = rules.find(|it| it["alert"] == *alert).expect(alert);
    text(found, "/expr").to_owned()
}

#[test]
fn the_chart_fits_alerts_to_the_settings() {
    let replicas = |count: u8| {
        rendered(
            "CognitoPasswordOperatorReplicaDown",
            json!({ "replicas": count }),
        )
    };
    assert!(replicas(3).ends_with("< 3"), "{}", replicas(3));
    let interval = |text: &str| {
        let settings = json!({ "settings": { "driftInterval": text } });
        rendered("CognitoPasswordOperatorNotLooking", settings)
    };
    let default = rendered("CognitoPasswordOperatorNotLooking", json!({}));
    assert!(default.ends_with("> 4 * 900"), "{default}");
    for (text, seconds) in [("5m", 300), ("1h30m", 5400), ("168h", 604_800)] {
        let expression = interval(text);
        assert!(
            expression.ends_with(&format!("> 4 * {seconds}")),
            "{expression}"
        );
    }
}

/// The words of an expression.
fn words(expression: &str) -> impl Iterator<Item = &str> {
    expression.split(|letter: char| !letter.is_alphanumeric() && letter != '_')
}

#[test]
fn each_alert_for_teams_has_namespace_and_name_of_its_resource() {
    let alerts = alerts_of("monitoring/tenant-rules.yaml");
    assert!(!alerts.is_empty());
    for rule in alerts {
        let expression = text(&rule, "/expr");
        let aggregation = "by (cluster, namespace, name)";
        assert!(expression.contains(aggregation), "{expression}");
        let description = text(&rule, "/annotations/description");
        let which = "CognitoUserPassword {{ $labels.name }} in {{ $labels.namespace }} ";
        assert!(description.starts_with(which), "{description}");
    }
}

#[test]
fn each_metric_and_each_reason_of_an_alert_exists() {
    let metrics = read("docs/metrics.md");
    let reasons: BTreeSet<&str> = REASONS
        .iter()
        .map(|entry| entry.word)
        .chain(GRANT_REASONS)
        .chain(["Unknown", "Undecodable"])
        .collect();
    for rule in alerts() {
        let expression = text(&rule, "/expr");
        for word in words(expression).filter(|word| word.starts_with("cognito_password_operator_"))
        {
            let metric = word.trim_end_matches("_bucket").trim_end_matches("_count");
            // tests/docs.rs compares the table of this page with the metrics of the code.
            assert!(metrics.contains(&format!("| `{metric}` |")), "{metric}");
        }
        for reason in reasons_in(expression) {
            assert!(reasons.contains(reason), "{reason} in {expression}");
        }
    }
}

#[test]
fn each_reason_that_somebody_must_act_on_fires_an_alert() {
    use cognito_password_operator::api::Class;
    let expressions: Vec<String> = alerts()
        .iter()
        .map(|rule| text(rule, "/expr").to_owned())
        .collect();
    // This alert fires for every reason except the named ones.
    let others = expressions
        .iter()
        .find(|it| it.contains("reason!~"))
        .expect("an alert for all others");
    for entry in REASONS.iter().filter(|entry| entry.class != Class::Settled) {
        let is_named = |expression: &String| reasons_in(expression).contains(entry.word);
        let alone = expressions
            .iter()
            .filter(|it| !it.contains("reason!~"))
            .any(is_named);
        // The metrics of calls show throttling, and `Progressing` is no failure.
        let elsewhere = ["Progressing", "TooManyRequests"].contains(&entry.word);
        assert!(
            alone || !is_named(others) || elsewhere,
            "{} fires nothing",
            entry.word
        );
    }
}
