//! promtool tests the alerts for teams on invented series. They have the labels that kube-state-metrics gives.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::Value;

use crate::state_metrics::Series;
use crate::support::{metrics, tools};

/// Labels that Prometheus adds.
const OF_PROMETHEUS: [&str; 3] = ["job", "instance", "cluster"];

/// Panics unless each series in monitoring/tenant-rules.test.yaml has the labels of some series that
/// kube-state-metrics made.
pub(crate) fn assert_labels_of_the_tests(made: &BTreeMap<Series, f64>) {
    let kinds: BTreeSet<(&str, BTreeSet<&str>)> = made
        .keys()
        .map(|(name, labels)| (name.as_str(), labels.keys().map(String::as_str).collect()))
        .collect();
    let file = tools::checkout().join("monitoring/tenant-rules.test.yaml");
    let text = fs::read_to_string(file).expect("the tests can be read");
    let tests: Value = serde_saphyr::from_str(&text).expect("the tests are YAML");
    let mut count = 0;
    for test in tests["tests"].as_array().expect("tests") {
        for series in test["input_series"].as_array().expect("series") {
            let series = series["series"].as_str().expect("a series");
            let line = format!("{} 1", series.replace(", ", ","));
            let Some((name, labels, _)) = metrics::samples(&line).next() else {
                panic!("no series: {series}");
            };
            if name == "up" {
                continue;
            }
            let labels = labels.iter().map(|(label, _)| label.as_str());
            let own = labels.filter(|label| !OF_PROMETHEUS.contains(label));
            let kind = (name, own.collect());
            assert!(kinds.contains(&kind), "{series} isn't among {kinds:#?}");
            count += 1;
        }
    }
    assert!(count > 20, "{count} series");
}
