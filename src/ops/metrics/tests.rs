use super::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

const P: &str = "cognito_password_operator";

/// The samples by name and labels. Fails on a text that a scraper would refuse.
fn samples(metrics: &Metrics) -> BTreeMap<String, f64> {
    let text = metrics.encode();
    assert!(text.ends_with("# EOF\n"), "{text}");
    let mut samples = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').expect("a sample");
        let value = value.parse().expect("a number");
        let known = samples.insert(series.to_owned(), value);
        assert!(known.is_none(), "{series} is there twice:\n{text}");
    }
    samples
}

fn sample(metrics: &Metrics, series: &str) -> Option<f64> {
    samples(metrics).get(&format!("{P}_{series}")).copied()
}

#[track_caller]
fn assert_sample(metrics: &Metrics, series: &str, expected: f64) {
    let value =
        sample(metrics, series).unwrap_or_else(|| panic!("no {series} in:\n{}", metrics.encode()));
    assert!(
        (value - expected).abs() < 1e-9,
        "{series} is {value}, not {expected}:\n{}",
        metrics.encode()
    );
}

#[test]
fn calls_are_counted_by_operation_and_code() {
    let metrics = Metrics::new("1.2.3");
    metrics.cognito_call(SET, OK, Duration::from_millis(80));
    metrics.cognito_call(SET, OK, Duration::from_millis(120));
    metrics.cognito_call(SET, "InvalidPasswordException", Duration::from_millis(40));
    let calls = |code| format!("cognito_calls_total{{operation=\"{SET}\",code=\"{code}\"}}");
    assert_sample(&metrics, &calls("OK"), 2.0);
    assert_sample(&metrics, &calls("InvalidPasswordException"), 1.0);
    let duration = "cognito_call_duration_seconds";
    let of_set = format!("{{operation=\"{SET}\"}}");
    assert_sample(&metrics, &format!("{duration}_count{of_set}"), 3.0);
    assert_sample(&metrics, &format!("{duration}_sum{of_set}"), 0.24);
    let below = |le| format!("{duration}_bucket{{le=\"{le}\",operation=\"{SET}\"}}");
    assert_sample(&metrics, &below("0.1"), 2.0);
    assert_sample(&metrics, &below("+Inf"), 3.0);
}

#[test]
fn counters_of_alerts_are_zero_before_the_first_failure() {
    let metrics = Metrics::new("1.2.3");
    for result in ["ok", "queued", "conflict", "api_error", "panic"] {
        assert_sample(
            &metrics,
            &format!("reconciles_total{{result=\"{result}\"}}"),
            0.0,
        );
    }
    for watch in ["resources", "secrets", "grants", "namespaces"] {
        assert_sample(
            &metrics,
            &format!("watch_errors_total{{watch=\"{watch}\"}}"),
            0.0,
        );
    }
    for operation in [
        "AdminSetUserPassword",
        "ListUsers",
        "AdminUserGlobalSignOut",
        "DescribeUserPool",
    ] {
        for code in [OK, NO_REPLY, "InternalErrorException"] {
            let calls = format!("cognito_calls_total{{operation=\"{operation}\",code=\"{code}\"}}");
            assert_sample(&metrics, &calls, 0.0);
        }
    }
    for counter in ["undecodable_resources_total", "lost_events_total"] {
        assert_sample(&metrics, counter, 0.0);
    }
}

#[test]
fn unknown_codes_share_one_series() {
    let metrics = Metrics::new("1.2.3");
    for n in 0..1000 {
        metrics.cognito_call(SET, &format!("Code{n}\"}} 1\n"), Duration::ZERO);
    }
    metrics.cognito_call(SET, "", Duration::ZERO);
    metrics.cognito_call(SET, "ok", Duration::ZERO);
    let other = format!("cognito_calls_total{{operation=\"{SET}\",code=\"Other\"}}");
    assert_sample(&metrics, &other, 1002.0);
    let series = samples(&metrics);
    let calls: Vec<_> = series
        .iter()
        .filter(|(series, value)| series.contains("calls_total") && **value > 0.0)
        .collect();
    assert_eq!(calls.len(), 1, "{calls:?}");
}

#[test]
fn every_known_code_keeps_its_name_and_is_listed_once() {
    let codes: Vec<_> = known_codes().collect();
    for code in &codes {
        assert_eq!(known_code(code), *code);
    }
    let distinct: BTreeSet<_> = codes.iter().collect();
    assert_eq!((distinct.len(), codes.len()), (48, 48));
}

#[test]
fn reconciles_are_counted_and_timed() {
    let metrics = Metrics::new("1.2.3");
    metrics.reconcile("settled", Duration::from_millis(3));
    metrics.reconcile("stalled", Duration::from_millis(7));
    metrics.reconcile("settled", Duration::from_millis(5));
    assert_sample(&metrics, "reconciles_total{result=\"settled\"}", 2.0);
    assert_sample(&metrics, "reconciles_total{result=\"stalled\"}", 1.0);
    assert_sample(&metrics, "reconcile_duration_seconds_count", 3.0);
    assert_sample(&metrics, "reconcile_duration_seconds_sum", 0.015);
}

#[test]
fn the_time_from_a_secrets_change_to_the_set_is_measured() {
    let metrics = Metrics::new("1.2.3");
    metrics.secret_change_to_set(Duration::from_millis(300));
    let bucket = |le| format!("secret_change_to_set_seconds_bucket{{le=\"{le}\"}}");
    assert_sample(&metrics, &bucket("0.25"), 0.0);
    assert_sample(&metrics, &bucket("0.5"), 1.0);
}

#[test]
fn counters_of_failures_are_zero_from_the_start() {
    let metrics = Metrics::new("1.2.3");
    assert_sample(&metrics, "watch_errors_total{watch=\"resources\"}", 0.0);
    assert_sample(&metrics, "watch_errors_total{watch=\"secrets\"}", 0.0);
    assert_sample(&metrics, "undecodable_resources_total", 0.0);
    assert_sample(&metrics, "lost_events_total", 0.0);
    metrics.watch_error("secrets");
    metrics.undecodable_resource();
    metrics.lost_event();
    assert_sample(&metrics, "watch_errors_total{watch=\"secrets\"}", 1.0);
    assert_sample(&metrics, "undecodable_resources_total", 1.0);
    assert_sample(&metrics, "lost_events_total", 1.0);
}

#[test]
fn rights_have_a_sample_once_they_are_known() {
    let metrics = Metrics::new("1.2.3");
    let of = |place| format!("unneeded_secret_access{{place=\"{place}\"}}");
    assert_eq!(sample(&metrics, &of("own_namespace")), None);
    metrics.unneeded_secret_access("own_namespace", true);
    assert_sample(&metrics, &of("own_namespace"), 1.0);
    assert_eq!(sample(&metrics, &of("all_namespaces")), None);
    metrics.unneeded_secret_access("all_namespaces", false);
    assert_sample(&metrics, &of("all_namespaces"), 0.0);
}

fn resources(by_reason: Vec<(&'static str, u64)>) -> ResourcesSample {
    ResourcesSample {
        by_reason,
        suspended: 4,
        oldest_suspended: Duration::from_hours(2),
        oldest_unready: vec![
            ("waiting", Duration::from_secs(90)),
            ("stalled", Duration::ZERO),
        ],
    }
}

#[test]
fn resources_are_counted_at_each_scrape() {
    let metrics = Metrics::new("1.2.3");
    assert_eq!(sample(&metrics, "resources{reason=\"PasswordSet\"}"), None);
    let asked = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&asked);
    metrics.measure_resources_with(move || {
        let asked = counter.fetch_add(1, Ordering::Relaxed);
        resources(vec![("PasswordSet", 10 + asked), ("Unknown", 3)])
    });
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    assert_sample(&metrics, "resources{reason=\"PasswordSet\"}", 10.0);
    assert_sample(&metrics, "resources{reason=\"PasswordSet\"}", 11.0);
    assert_sample(&metrics, "resources{reason=\"Unknown\"}", 3.0);
    assert_sample(&metrics, "resources_suspended", 4.0);
    assert_sample(&metrics, "oldest_suspended_seconds", 7200.0);
    assert_sample(&metrics, "oldest_unready_seconds{class=\"waiting\"}", 90.0);
    assert_sample(&metrics, "oldest_unready_seconds{class=\"stalled\"}", 0.0);
}

#[test]
fn grants_are_counted_at_each_scrape() {
    let metrics = Metrics::new("1.2.3");
    assert_eq!(sample(&metrics, "grants{reason=\"Accepted\"}"), None);
    metrics.count_grants_with(|| vec![("Accepted", 2), ("InvalidSpec", 0), ("Accepted", 1)]);
    assert_sample(&metrics, "grants{reason=\"Accepted\"}", 3.0);
    assert_sample(&metrics, "grants{reason=\"InvalidSpec\"}", 0.0);
}

#[test]
fn failures_of_credentials_are_counted_by_identity() {
    let metrics = Metrics::new("1.2.3");
    let of = |identity| format!("credential_failures_total{{identity=\"{identity}\"}}");
    assert_sample(&metrics, &of("operator"), 0.0);
    metrics.credential_failure(true);
    metrics.credential_failure(true);
    metrics.credential_failure(false);
    assert_sample(&metrics, &of("role"), 2.0);
    assert_sample(&metrics, &of("operator"), 1.0);
}

#[test]
fn requests_to_the_api_server_are_counted() {
    let metrics = Metrics::new("1.2.3");
    metrics.kubernetes_request("get", "secrets", "2xx");
    metrics.kubernetes_request("get", "secrets", "2xx");
    metrics.kubernetes_request("get", "secrets", "none");
    let of = |class| {
        format!(
            "kubernetes_requests_total{{verb=\"get\",resource=\"secrets\",code_class=\"{class}\"}}"
        )
    };
    assert_sample(&metrics, &of("2xx"), 2.0);
    assert_sample(&metrics, &of("none"), 1.0);
}

#[test]
fn a_reason_counted_twice_is_one_series() {
    let metrics = Metrics::new("1.2.3");
    metrics.measure_resources_with(|| {
        resources(vec![("Unknown", 1), ("NotGranted", 5), ("Unknown", 2)])
    });
    assert_sample(&metrics, "resources{reason=\"Unknown\"}", 3.0);
}

#[test]
fn the_queue_is_measured_at_each_scrape() {
    let metrics = Metrics::new("1.2.3");
    assert_eq!(sample(&metrics, "queue_length"), None);
    metrics.measure_queue_with(|| 42);
    assert_sample(&metrics, "queue_length", 42.0);
    metrics.measure_queue_with(|| 7);
    assert_sample(&metrics, "queue_length", 42.0);
}

#[test]
fn the_rate_limiters_are_measured_at_each_scrape() {
    let metrics = Metrics::new("1.2.3");
    let (waiting, rps) = (3, 2.5);
    metrics.measure_rate_limiters_with(move || RateLimiterSample { waiting, rps });
    assert_sample(&metrics, "budget_waiting", 3.0);
    assert_sample(&metrics, "budget_rps", 2.5);
}

#[test]
fn leadership_is_measured_at_each_scrape() {
    let metrics = Metrics::new("1.2.3");
    let leads = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let asked = leads.clone();
    metrics.measure_leadership_with(move || LeadershipSample {
        leads: asked.load(Ordering::Relaxed),
        transitions: 7,
        failures: 2,
    });
    assert_sample(&metrics, "leader", 0.0);
    leads.store(true, Ordering::Relaxed);
    assert_sample(&metrics, "leader", 1.0);
    assert_sample(&metrics, "leader_transitions_total", 7.0);
    assert_sample(&metrics, "lease_failures_total", 2.0);
}

#[test]
fn tasks_and_entries_are_counted_at_each_scrape() {
    let metrics = Metrics::new("1.2.3");
    assert_eq!(sample(&metrics, "tasks"), None);
    metrics.measure_memory_with(|| MemorySample {
        tasks: 12,
        entries: vec![("resources", 3), ("secrets", 0)],
    });
    assert_sample(&metrics, "tasks", 12.0);
    assert_sample(&metrics, "entries{of=\"resources\"}", 3.0);
    assert_sample(&metrics, "entries{of=\"secrets\"}", 0.0);
}

#[tokio::test]
async fn stalls_are_exported() {
    let metrics = Metrics::new("1.2.3");
    assert_sample(&metrics, "stalls_total", 0.0);
    assert_sample(&metrics, "longest_stall_seconds", 0.0);
    let busy = async { std::thread::sleep(Duration::from_millis(60)) };
    metrics.stalls().instrument(busy).await;
    assert_sample(&metrics, "stalls_total", 1.0);
    for gauge in ["longest_stall_seconds", "longest_stall_since_start_seconds"] {
        let longest = sample(&metrics, gauge).expect("a gauge");
        assert!(longest >= 0.06, "{gauge}: {longest}");
    }
}

#[test]
fn version_and_start_time_are_exported() {
    let metrics = Metrics::new("1.2.3");
    assert_sample(&metrics, "build_info{version=\"1.2.3\"}", 1.0);
    let started = samples(&metrics)["process_start_time_seconds"];
    assert!(started > 1.7e9, "{started}");
}

#[test]
fn every_metric_has_a_type_and_a_help_text() {
    let metrics = Metrics::new("1.2.3");
    metrics.cognito_call(SET, OK, Duration::from_millis(80));
    metrics.reconcile("settled", Duration::from_millis(3));
    metrics.measure_resources_with(|| resources(vec![("Unknown", 1)]));
    metrics.count_grants_with(|| vec![("Accepted", 1)]);
    metrics.kubernetes_request("get", "secrets", "2xx");
    metrics.measure_queue_with(|| 1);
    metrics.measure_leadership_with(|| LeadershipSample {
        leads: true,
        transitions: 1,
        failures: 0,
    });
    metrics.measure_memory_with(|| MemorySample {
        tasks: 1,
        entries: vec![("resources", 1)],
    });
    let text = metrics.encode();
    let names_after = |word: &str| -> BTreeSet<String> {
        let prefix = format!("# {word} ");
        text.lines()
            .filter_map(|line| line.strip_prefix(&prefix))
            .filter_map(|line| line.split(' ').next())
            .map(str::to_owned)
            .collect()
    };
    let types = names_after("TYPE");
    assert_eq!(types, names_after("HELP"), "{text}");
    let expected: BTreeSet<String> = [
        "build_info",
        "cognito_calls",
        "cognito_call_duration_seconds",
        "reconciles",
        "reconcile_duration_seconds",
        "secret_change_to_set_seconds",
        "watch_errors",
        "undecodable_resources",
        "lost_events",
        "resources",
        "resources_suspended",
        "oldest_suspended_seconds",
        "oldest_unready_seconds",
        "grants",
        "credential_failures",
        "kubernetes_requests",
        "queue_length",
        "leader",
        "leader_transitions",
        "lease_failures",
        "tasks",
        "entries",
        "longest_stall_seconds",
        "longest_stall_since_start_seconds",
        "stalls",
    ]
    .iter()
    .map(|name| format!("{P}_{name}"))
    .chain(
        [
            "process_start_time_seconds",
            "process_cpu_seconds",
            "process_resident_memory_bytes",
            "process_open_fds",
        ]
        .map(str::to_owned),
    )
    .collect();
    assert_eq!(types, expected, "{text}");
}
