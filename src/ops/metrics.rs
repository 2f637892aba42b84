//! The metrics. Every label has a bounded set of values: what comes from outside is held against
//! a list first, the rest is fixed in the program text. Nothing that could be a secret has a way in
//! by type.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

/// The media type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The code of a call that succeeded.
pub const OK: &str = "OK";
/// The code of a call that provably never left.
pub const NOT_SENT: &str = "NotSent";
/// The code of a call that left, or may have, and got no usable reply.
pub const NO_REPLY: &str = "NoReply";
/// What a code becomes that is in no list here.
pub const OTHER: &str = "Other";

/// The codes that get a label of their own: every other is one more series for ever, chosen by
/// whoever answers the call.
const CODES: [&str; 48] = [
    OK,
    NOT_SENT,
    NO_REPLY,
    // AdminSetUserPassword's own.
    "InternalErrorException",
    "InvalidParameterException",
    "InvalidPasswordException",
    "NotAuthorizedException",
    "OperationNotEnabledException",
    "PasswordHistoryPolicyViolationException",
    "ResourceNotFoundException",
    "TooManyRequestsException",
    "UserNotFoundException",
    // Rights.
    "AccessDenied",
    "AccessDeniedException",
    "OptInRequired",
    // Credentials and clock.
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "IncompleteSignatureException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidIdentityToken",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
    // Throttling, as the SDK's retry classifier knows it.
    "BandwidthLimitExceeded",
    "EC2ThrottledException",
    "LimitExceededException",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TransactionInProgressException",
    // The service's own trouble, and requests it can't read.
    "InternalFailure",
    "InternalServerError",
    "ServiceUnavailable",
    "SerializationException",
    "ValidationException",
];

fn known_code(code: &str) -> &'static str {
    CODES
        .into_iter()
        .find(|known| *known == code)
        .unwrap_or(OTHER)
}

/// Seconds. The call's own limit is 5 s.
const CALL_BUCKETS: [f64; 9] = [0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0];
/// Seconds: from a look at the store to a call with its status writes.
const RECONCILE_BUCKETS: [f64; 11] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 15.0,
];
/// Seconds: from moments, through a wait for the budget, to a backoff or two.
const CHANGE_TO_SET_BUCKETS: [f64; 12] = [
    0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0,
];

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct CallLabels {
    operation: &'static str,
    code: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct OperationLabel {
    operation: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct WatchLabel {
    watch: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct VersionLabel {
    version: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

/// All metrics of the process. Cheap to write to from anywhere; shared behind an `Arc`.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    cognito_calls: Family<CallLabels, Counter>,
    cognito_call_duration: Family<OperationLabel, Histogram>,
    reconciles: Family<ResultLabel, Counter>,
    reconcile_duration: Histogram,
    secret_change_to_set: Histogram,
    watch_errors: Family<WatchLabel, Counter>,
    undecodable_resources: Counter,
    lost_events: Counter,
    at_scrape: Arc<AtScrape>,
}

impl Metrics {
    /// All at zero. `version` is the operator's, for `build_info`.
    #[must_use]
    pub fn new(version: &'static str) -> Self {
        let mut registry = Registry::default();
        // The one name without our prefix: every Prometheus client calls it so.
        registry.register_with_unit(
            "process_start_time",
            "When the process started, in Unix time",
            Unit::Seconds,
            start_time(),
        );

        let ours = registry.sub_registry_with_prefix("cognito_password_operator");

        let build_info = Family::<VersionLabel, Gauge>::default();
        build_info.get_or_create(&VersionLabel { version }).set(1);
        ours.register("build_info", "1, with the version as a label", build_info);

        let cognito_calls = Family::default();
        ours.register(
            "cognito_calls",
            "Calls to Cognito, by what came of them",
            cognito_calls.clone(),
        );
        let cognito_call_duration = Family::new_with_constructor(call_histogram as fn() -> _);
        ours.register_with_unit(
            "cognito_call_duration",
            "How long calls to Cognito took, whatever came of them",
            Unit::Seconds,
            cognito_call_duration.clone(),
        );

        let reconciles = Family::default();
        ours.register(
            "reconciles",
            "Reconciles, by what they ended with",
            reconciles.clone(),
        );
        let reconcile_duration = Histogram::new(RECONCILE_BUCKETS);
        ours.register_with_unit(
            "reconcile_duration",
            "How long reconciles took",
            Unit::Seconds,
            reconcile_duration.clone(),
        );
        let secret_change_to_set = Histogram::new(CHANGE_TO_SET_BUCKETS);
        ours.register_with_unit(
            "secret_change_to_set",
            "From the moment a Secret's change was seen to the moment its password was set",
            Unit::Seconds,
            secret_change_to_set.clone(),
        );

        let watch_errors = Family::<WatchLabel, Counter>::default();
        // At zero from the start: a rate can't see a counter's first step out of nothing.
        for watch in ["resources", "secrets", "grants", "namespaces"] {
            drop(watch_errors.get_or_create(&WatchLabel { watch }));
        }
        ours.register(
            "watch_errors",
            "Errors of watches on the API server, by watch",
            watch_errors.clone(),
        );
        let undecodable_resources = Counter::default();
        ours.register(
            "undecodable_resources",
            "Resources that were skipped because they could not be decoded",
            undecodable_resources.clone(),
        );
        let lost_events = Counter::default();
        ours.register(
            "lost_events",
            "Events that were not reported, because the API server failed or too many waited",
            lost_events.clone(),
        );

        let at_scrape = Arc::new(AtScrape::default());
        ours.register_collector(Box::new(Arc::clone(&at_scrape)));

        Self {
            registry,
            cognito_calls,
            cognito_call_duration,
            reconciles,
            reconcile_duration,
            secret_change_to_set,
            watch_errors,
            undecodable_resources,
            lost_events,
            at_scrape,
        }
    }

    /// One call to Cognito is over. `code` is [`OK`], [`NOT_SENT`], [`NO_REPLY`] or AWS's error
    /// code; one that isn't known here counts as [`OTHER`].
    pub fn cognito_call(&self, operation: &'static str, code: &str, took: Duration) {
        let code = known_code(code);
        self.cognito_calls
            .get_or_create(&CallLabels { operation, code })
            .inc();
        self.cognito_call_duration
            .get_or_create(&OperationLabel { operation })
            .observe(took.as_secs_f64());
    }

    /// One reconcile is over.
    pub fn reconcile(&self, result: &'static str, took: Duration) {
        self.reconciles.get_or_create(&ResultLabel { result }).inc();
        self.reconcile_duration.observe(took.as_secs_f64());
    }

    /// A Secret's change has reached Cognito, so long after it was seen.
    pub fn secret_change_to_set(&self, took: Duration) {
        self.secret_change_to_set.observe(took.as_secs_f64());
    }

    /// A watch (`resources`, `secrets`, `grants`, `namespaces`) reported an error.
    pub fn watch_error(&self, watch: &'static str) {
        self.watch_errors.get_or_create(&WatchLabel { watch }).inc();
    }

    /// A resource was skipped because it could not be decoded.
    pub fn undecodable_resource(&self) {
        self.undecodable_resources.inc();
    }

    /// An event on a resource was not reported.
    pub fn lost_event(&self) {
        self.lost_events.inc();
    }

    /// Where the gauge `resources` comes from: the number of resources by the reason of their Ready
    /// condition, `Unknown` if they have none yet. Asked at each scrape, so it must be quick. Set
    /// once; a later one is ignored.
    pub fn count_resources_with(
        &self,
        count: impl Fn() -> Vec<(&'static str, u64)> + Send + Sync + 'static,
    ) {
        let _ = self.at_scrape.resources.set(Box::new(count)); // the first stays
    }

    /// Where the gauge `queue_length` comes from. Asked at each scrape, so it must be quick. Set
    /// once; a later one is ignored.
    pub fn measure_queue_with(&self, length: impl Fn() -> u64 + Send + Sync + 'static) {
        let _ = self.at_scrape.queue_length.set(Box::new(length)); // the first stays
    }

    /// Where the gauges `budget_waiting` and `budget_rps` come from. Asked at each scrape, so it must
    /// be quick. Set once; a later one is ignored.
    pub fn measure_budget_with(&self, budget: impl Fn() -> BudgetNow + Send + Sync + 'static) {
        let _ = self.at_scrape.budget.set(Box::new(budget)); // the first stays
    }

    /// Where the gauge `leader` comes from. Asked at each scrape, so it must be quick. Set once; a
    /// later one is ignored.
    pub fn tell_leader_with(&self, leads: impl Fn() -> bool + Send + Sync + 'static) {
        let _ = self.at_scrape.leads.set(Box::new(leads)); // the first stays
    }

    /// All metrics in the `OpenMetrics` text format, see [`CONTENT_TYPE`].
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to a String doesn't fail. If it did, the text would end without its `# EOF`, and
        // the scraper would refuse it.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}

fn call_histogram() -> Histogram {
    Histogram::new(CALL_BUCKETS)
}

fn start_time() -> Gauge<f64, AtomicU64> {
    let gauge = Gauge::default();
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    gauge.set(since_epoch.unwrap_or_default().as_secs_f64());
    gauge
}

type Source<T> = Box<dyn Fn() -> T + Send + Sync>;

/// The budget of calls, as it is now.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct BudgetNow {
    /// How many sets wait for their turn.
    pub waiting: u64,
    /// How many calls a second are made at most.
    pub rps: f64,
}

/// What is looked up when somebody asks, instead of being kept up to date all along: a gauge that
/// is counted up and down drifts.
#[derive(Default)]
struct AtScrape {
    resources: OnceLock<Source<Vec<(&'static str, u64)>>>,
    queue_length: OnceLock<Source<u64>>,
    budget: OnceLock<Source<BudgetNow>>,
    leads: OnceLock<Source<bool>>,
}

impl fmt::Debug for AtScrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AtScrape")
            .field("resources", &self.resources.get().is_some())
            .field("queue_length", &self.queue_length.get().is_some())
            .field("budget", &self.budget.get().is_some())
            .field("leads", &self.leads.get().is_some())
            .finish()
    }
}

impl Collector for AtScrape {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        if let Some(count) = self.resources.get() {
            // Summed up: a series that is there twice fails the whole scrape.
            let mut by_reason = BTreeMap::<_, u64>::new();
            for (reason, resources) in count() {
                *by_reason.entry(reason).or_default() += resources;
            }
            let mut family = encoder.encode_descriptor(
                "resources",
                "Resources by the reason of their Ready condition",
                None,
                ConstGauge::new(0_u64).metric_type(),
            )?;
            for (reason, resources) in by_reason {
                ConstGauge::new(resources)
                    .encode(family.encode_family(&ReasonLabel { reason })?)?;
            }
        }
        if let Some(length) = self.queue_length.get() {
            let help = "Resources that are to be looked at";
            encode_gauge(&mut encoder, "queue_length", help, length())?;
        }
        if let Some(budget) = self.budget.get() {
            let BudgetNow { waiting, rps } = budget();
            let help = "Sets that wait for their turn in the budget";
            encode_gauge(&mut encoder, "budget_waiting", help, waiting)?;
            let help =
                "Calls a second that the budget allows at present, where it allows the fewest";
            encode_gauge(&mut encoder, "budget_rps", help, rps)?;
        }
        if let Some(leads) = self.leads.get() {
            let help = "1 if this process may set passwords, 0 if it stands by";
            encode_gauge(&mut encoder, "leader", help, u64::from(leads()))?;
        }
        Ok(())
    }
}

fn encode_gauge<N>(encoder: &mut DescriptorEncoder, name: &str, help: &str, value: N) -> fmt::Result
where
    ConstGauge<N>: EncodeMetric,
{
    let gauge = ConstGauge::new(value);
    gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::sync::atomic::Ordering;

    const P: &str = "cognito_password_operator";

    /// The samples by name and labels. Fails on what a scraper would fail on.
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
        let value = sample(metrics, series)
            .unwrap_or_else(|| panic!("no {series} in:\n{}", metrics.encode()));
        assert!(
            (value - expected).abs() < 1e-9,
            "{series} is {value}, not {expected}:\n{}",
            metrics.encode()
        );
    }

    const SET: &str = "AdminSetUserPassword";

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
    fn codes_from_outside_make_no_series_of_their_own() {
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
            .keys()
            .filter(|series| series.contains("calls_total"))
            .collect();
        assert_eq!(calls.len(), 1, "{calls:?}");
    }

    #[test]
    fn every_known_code_keeps_its_name_and_is_listed_once() {
        for code in CODES {
            assert_eq!(known_code(code), code);
        }
        assert_eq!(BTreeSet::from(CODES).len(), CODES.len());
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
    fn what_fails_is_counted_from_the_start() {
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
    fn resources_are_counted_when_somebody_asks() {
        let metrics = Metrics::new("1.2.3");
        assert_eq!(sample(&metrics, "resources{reason=\"PasswordSet\"}"), None);
        let asked = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&asked);
        metrics.count_resources_with(move || {
            let asked = counter.fetch_add(1, Ordering::Relaxed);
            vec![("PasswordSet", 10 + asked), ("Unknown", 3)]
        });
        assert_eq!(asked.load(Ordering::Relaxed), 0);
        assert_sample(&metrics, "resources{reason=\"PasswordSet\"}", 10.0);
        assert_sample(&metrics, "resources{reason=\"PasswordSet\"}", 11.0);
        assert_sample(&metrics, "resources{reason=\"Unknown\"}", 3.0);
    }

    #[test]
    fn a_reason_counted_twice_is_one_series() {
        let metrics = Metrics::new("1.2.3");
        metrics.count_resources_with(|| vec![("Unknown", 1), ("NotGranted", 5), ("Unknown", 2)]);
        assert_sample(&metrics, "resources{reason=\"Unknown\"}", 3.0);
    }

    #[test]
    fn the_queue_is_measured_when_somebody_asks() {
        let metrics = Metrics::new("1.2.3");
        assert_eq!(sample(&metrics, "queue_length"), None);
        metrics.measure_queue_with(|| 42);
        assert_sample(&metrics, "queue_length", 42.0);
        metrics.measure_queue_with(|| 7);
        assert_sample(&metrics, "queue_length", 42.0);
    }

    #[test]
    fn the_budget_is_measured_when_somebody_asks() {
        let metrics = Metrics::new("1.2.3");
        let (waiting, rps) = (3, 2.5);
        metrics.measure_budget_with(move || BudgetNow { waiting, rps });
        assert_sample(&metrics, "budget_waiting", 3.0);
        assert_sample(&metrics, "budget_rps", 2.5);
    }

    #[test]
    fn whether_it_leads_is_told_when_somebody_asks() {
        let metrics = Metrics::new("1.2.3");
        let leads = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let asked = leads.clone();
        metrics.tell_leader_with(move || asked.load(Ordering::Relaxed));
        assert_sample(&metrics, "leader", 0.0);
        leads.store(true, Ordering::Relaxed);
        assert_sample(&metrics, "leader", 1.0);
    }

    #[test]
    fn version_and_start_are_told() {
        let metrics = Metrics::new("1.2.3");
        assert_sample(&metrics, "build_info{version=\"1.2.3\"}", 1.0);
        let started = samples(&metrics)["process_start_time_seconds"];
        assert!(started > 1.7e9, "{started}");
    }

    #[test]
    fn every_metric_has_a_type_and_a_help_and_every_sample_its_metric() {
        let metrics = Metrics::new("1.2.3");
        metrics.cognito_call(SET, OK, Duration::from_millis(80));
        metrics.reconcile("settled", Duration::from_millis(3));
        metrics.count_resources_with(|| vec![("Unknown", 1)]);
        metrics.measure_queue_with(|| 1);
        metrics.tell_leader_with(|| true);
        let text = metrics.encode();
        let told = |word: &str| -> BTreeSet<String> {
            let prefix = format!("# {word} ");
            text.lines()
                .filter_map(|line| line.strip_prefix(&prefix))
                .filter_map(|line| line.split(' ').next())
                .map(str::to_owned)
                .collect()
        };
        let types = told("TYPE");
        assert_eq!(types, told("HELP"), "{text}");
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
            "queue_length",
            "leader",
        ]
        .iter()
        .map(|name| format!("{P}_{name}"))
        .chain(["process_start_time_seconds".to_owned()])
        .collect();
        assert_eq!(types, expected, "{text}");
    }
}
