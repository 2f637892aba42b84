//! The metrics. Every label has a bounded set of values: a value from outside must be on a list, and all
//! other values are constants in the code. The types of the methods keep secrets out.

mod at_scrape;
mod process;
mod stalls;

pub use at_scrape::{LeadershipSample, MemorySample, RateLimiterSample, ResourcesSample};

use super::stall::StallMeter;
use crate::api::{Reason, aws_codes};
use at_scrape::ScrapeGauges;
use process::Process;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use stalls::Stalls;
use std::sync::Arc;
use std::time::Duration;

/// The media type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The operation that sets a password.
pub const SET: &str = "AdminSetUserPassword";
/// The operation that reads users.
pub const LIST_USERS: &str = "ListUsers";
/// The operation that revokes a user's sessions.
pub const SIGN_OUT: &str = "AdminUserGlobalSignOut";
/// The operation that reads the password policy of a pool.
pub const DESCRIBE_POOL: &str = "DescribeUserPool";

/// All operations: the values of the label `operation`.
const OPERATIONS: [&str; 4] = [SET, LIST_USERS, SIGN_OUT, DESCRIBE_POOL];

/// The code of a call that succeeded.
pub const OK: &str = "OK";
/// The code of a call that was provably not sent.
pub const NOT_SENT: &str = "NotSent";
/// The code of a call that was sent, or may have been sent, without a usable reply.
pub const NO_REPLY: &str = "NoReply";
/// The code for every error code that is not on the list below.
pub const OTHER: &str = "Other";

/// The codes that get a label value of their own: those in the table of reasons. Without this list, the server
/// that answers a call could create any number of series, each for ever.
fn known_codes() -> impl Iterator<Item = &'static str> {
    [OK, NOT_SENT, NO_REPLY].into_iter().chain(aws_codes())
}

fn known_code(code: &str) -> &'static str {
    known_codes().find(|known| *known == code).unwrap_or(OTHER)
}

/// The label for the operator's own identity.
const OWN_IDENTITY: &str = "operator";
/// The label for the roles that grants name.
const ROLE: &str = "role";

/// Seconds. The limit of a call is 5 s.
const CALL_BUCKETS: [f64; 9] = [0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0];
/// Seconds: from a decision in memory to a call with its status writes.
const RECONCILE_BUCKETS: [f64; 11] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 15.0,
];
/// Seconds: from an immediate set, over a wait for a permit, to one or two backoffs.
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
struct PlaceLabel {
    place: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct IdentityLabel {
    identity: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct RequestLabels {
    verb: &'static str,
    resource: &'static str,
    code_class: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct VersionLabel {
    version: &'static str,
}

/// All metrics of the process. Every method is cheap. Shared behind an `Arc`.
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
    unneeded_secret_access: Family<PlaceLabel, Gauge>,
    credential_failures: Family<IdentityLabel, Counter>,
    kubernetes_requests: Family<RequestLabels, Counter>,
    corrections: Family<ReasonLabel, Counter>,
    at_scrape: Arc<ScrapeGauges>,
    stalls: StallMeter,
}

impl Metrics {
    /// All metrics at zero. `version` is the operator's version, for `build_info`.
    #[must_use]
    pub fn new(version: &'static str) -> Self {
        let mut registry = Registry::default();
        // No prefix: every Prometheus client uses these names.
        registry.register_collector(Box::new(Process::starting_now()));

        let ours = registry.sub_registry_with_prefix("cognito_password_operator");

        let build_info = Family::<VersionLabel, Gauge>::default();
        build_info.get_or_create(&VersionLabel { version }).set(1);
        ours.register("build_info", "1, with the version as a label", build_info);

        let cognito_calls = calls_from_zero();
        ours.register(
            "cognito_calls",
            "Calls to Cognito, by the error code of the reply",
            cognito_calls.clone(),
        );
        let cognito_call_duration = Family::new_with_constructor(call_histogram as fn() -> _);
        ours.register_with_unit(
            "cognito_call_duration",
            "How long calls to Cognito took, whatever the reply",
            Unit::Seconds,
            cognito_call_duration.clone(),
        );

        let reconciles = reconciles_from_zero();
        ours.register("reconciles", "Reconciles, by result", reconciles.clone());
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
            "Time from the watch event of a Secret's change to the set of the password",
            Unit::Seconds,
            secret_change_to_set.clone(),
        );

        let watch_errors = watch_errors_from_zero();
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

        let unneeded_secret_access = Family::default();
        ours.register(
            "unneeded_secret_access",
            "1 if at the start the operator might read Secrets that it doesn't need, by where; 0 if not",
            unneeded_secret_access.clone(),
        );

        let credential_failures = credential_failures_from_zero();
        ours.register(
            "credential_failures",
            "Tries to get AWS credentials that failed, and calls that AWS refused for their credentials, by whose credentials",
            credential_failures.clone(),
        );
        let kubernetes_requests = Family::default();
        ours.register(
            "kubernetes_requests",
            "Requests to the API server, by verb, resource and class of the status code",
            kubernetes_requests.clone(),
        );

        let corrections = corrections_from_zero();
        ours.register(
            "corrections",
            "Sets of a password that somebody else had reset, by what a look found",
            corrections.clone(),
        );

        let at_scrape = Arc::new(ScrapeGauges::default());
        ours.register_collector(Box::new(Arc::clone(&at_scrape)));
        let stalls = StallMeter::new();
        ours.register_collector(Box::new(Stalls(stalls.clone())));

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
            unneeded_secret_access,
            credential_failures,
            kubernetes_requests,
            corrections,
            at_scrape,
            stalls,
        }
    }

    /// Counts one finished call to Cognito. `operation` is [`SET`], [`LIST_USERS`], [`SIGN_OUT`] or
    /// [`DESCRIBE_POOL`]. `code` is [`OK`], [`NOT_SENT`], [`NO_REPLY`] or AWS's error code. An unlisted code
    /// counts as [`OTHER`].
    pub fn cognito_call(&self, operation: &'static str, code: &str, took: Duration) {
        let code = known_code(code);
        self.cognito_calls
            .get_or_create(&CallLabels { operation, code })
            .inc();
        self.cognito_call_duration
            .get_or_create(&OperationLabel { operation })
            .observe(took.as_secs_f64());
    }

    /// Counts one finished reconcile.
    pub fn reconcile(&self, result: &'static str, took: Duration) {
        self.reconciles.get_or_create(&ResultLabel { result }).inc();
        self.reconcile_duration.observe(took.as_secs_f64());
    }

    /// Counts a panic in the work for one object, outside of a reconcile.
    pub fn panicked(&self) {
        let result = "panic";
        self.reconciles.get_or_create(&ResultLabel { result }).inc();
    }

    /// Records the time from the watch event of a Secret's change to the set of its password.
    pub fn secret_change_to_set(&self, took: Duration) {
        self.secret_change_to_set.observe(took.as_secs_f64());
    }

    /// Counts an error of a watch (`resources`, `secrets`, `grants`, `namespaces`).
    pub fn watch_error(&self, watch: &'static str) {
        self.watch_errors.get_or_create(&WatchLabel { watch }).inc();
    }

    /// Counts a resource that was skipped because it could not be decoded.
    pub fn undecodable_resource(&self) {
        self.undecodable_resources.inc();
    }

    /// Counts an Event on a resource that was not reported.
    pub fn lost_event(&self) {
        self.lost_events.inc();
    }

    /// Records whether the operator may read Secrets in this place (`all_namespaces`, `own_namespace`) that
    /// the operator does not need. An unknown place has no sample.
    pub fn unneeded_secret_access(&self, place: &'static str, is_unneeded: bool) {
        self.unneeded_secret_access
            .get_or_create(&PlaceLabel { place })
            .set(i64::from(is_unneeded));
    }

    /// Counts a failure of credentials: of a role that a grant names, or of the operator's own identity.
    pub fn credential_failure(&self, is_role: bool) {
        let identity = if is_role { ROLE } else { OWN_IDENTITY };
        self.credential_failures
            .get_or_create(&IdentityLabel { identity })
            .inc();
    }

    /// Counts a set that corrected what a look found.
    pub fn correction(&self, found: Reason) {
        let reason = found.as_str();
        self.corrections
            .get_or_create(&ReasonLabel { reason })
            .inc();
    }

    /// Counts a request to the API server that has ended. Each label is a constant of the caller.
    pub fn kubernetes_request(
        &self,
        verb: &'static str,
        resource: &'static str,
        code_class: &'static str,
    ) {
        let labels = RequestLabels {
            verb,
            resource,
            code_class,
        };
        self.kubernetes_requests.get_or_create(&labels).inc();
    }

    /// Sets the source of the gauges `resources`, `resources_suspended`, `oldest_suspended_seconds` and
    /// `oldest_unready_seconds`. Each scrape calls the source, so the source must be quick. The first source
    /// stays; later ones are ignored.
    pub fn measure_resources_with(
        &self,
        sample: impl Fn() -> ResourcesSample + Send + Sync + 'static,
    ) {
        let _ = self.at_scrape.resources.set(Box::new(sample));
    }

    /// Sets the source of the gauge `look_age_seconds`. As for
    /// [`measure_resources_with`](Self::measure_resources_with).
    pub fn measure_look_age_with(&self, age: impl Fn() -> Duration + Send + Sync + 'static) {
        let _ = self.at_scrape.look_age.set(Box::new(age));
    }

    /// Sets the source of the gauge `grants`: the number of grants by the reason of their Ready condition.
    /// Each scrape calls the source, so the source must be quick. The first source stays; later ones are
    /// ignored.
    pub fn count_grants_with(
        &self,
        count: impl Fn() -> Vec<(&'static str, u64)> + Send + Sync + 'static,
    ) {
        let _ = self.at_scrape.grants.set(Box::new(count));
    }

    /// Sets the source of the gauge `queue_length`. Each scrape calls the source, so the source must be
    /// quick. The first source stays; later ones are ignored.
    pub fn measure_queue_with(&self, length: impl Fn() -> u64 + Send + Sync + 'static) {
        let _ = self.at_scrape.queue_length.set(Box::new(length));
    }

    /// Sets the source of the gauges `budget_waiting` and `budget_rps`. Each scrape calls the source, so the
    /// source must be quick. The first source stays; later ones are ignored.
    pub fn measure_rate_limiters_with(
        &self,
        sample: impl Fn() -> RateLimiterSample + Send + Sync + 'static,
    ) {
        let _ = self.at_scrape.rate_limiters.set(Box::new(sample));
    }

    /// Sets the source of the gauge `leader` and the counters `leader_transitions` and `lease_failures`. Each
    /// scrape calls the source, so the source must be quick. The first source stays; later ones are ignored.
    pub fn measure_leadership_with(
        &self,
        sample: impl Fn() -> LeadershipSample + Send + Sync + 'static,
    ) {
        let _ = self.at_scrape.leadership.set(Box::new(sample));
    }

    /// Sets the source of the gauges `tasks` and `entries`. Each scrape calls the source, so the source must
    /// be quick. The first source stays; later ones are ignored.
    pub fn measure_memory_with(&self, sample: impl Fn() -> MemorySample + Send + Sync + 'static) {
        let _ = self.at_scrape.memory.set(Box::new(sample));
    }

    /// The meter behind the gauges `longest_stall_seconds` and `longest_stall_since_start_seconds` and the
    /// counter `stalls`. Wrap each task of the process with the meter's [`instrument`](StallMeter::instrument).
    #[must_use]
    pub fn stalls(&self) -> StallMeter {
        self.stalls.clone()
    }

    /// All metrics in the `OpenMetrics` text format; the media type is [`CONTENT_TYPE`].
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail. If it did, the text would have no `# EOF`, and the scraper would
        // refuse the text.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}

/// At zero from the start, as the calls: see [`calls_from_zero`].
fn corrections_from_zero() -> Family<ReasonLabel, Counter> {
    let corrections = Family::<ReasonLabel, Counter>::default();
    for reason in [Reason::PasswordReset, Reason::UserRecreated] {
        let reason = reason.as_str();
        drop(corrections.get_or_create(&ReasonLabel { reason }));
    }
    corrections
}

/// At zero from the start: a rate misses the first step of a counter that did not exist before.
fn watch_errors_from_zero() -> Family<WatchLabel, Counter> {
    let errors = Family::<WatchLabel, Counter>::default();
    for watch in ["resources", "secrets", "grants", "namespaces"] {
        drop(errors.get_or_create(&WatchLabel { watch }));
    }
    errors
}

/// At zero from the start: else the alert of the first panic would not fire.
fn reconciles_from_zero() -> Family<ResultLabel, Counter> {
    let reconciles = Family::<ResultLabel, Counter>::default();
    for result in ["ok", "queued", "conflict", "api_error", "panic"] {
        drop(reconciles.get_or_create(&ResultLabel { result }));
    }
    reconciles
}

fn credential_failures_from_zero() -> Family<IdentityLabel, Counter> {
    let failures = Family::<IdentityLabel, Counter>::default();
    for identity in [OWN_IDENTITY, ROLE] {
        drop(failures.get_or_create(&IdentityLabel { identity }));
    }
    failures
}

/// The counters of calls. Several replies are often lost at once, and refused looks are far apart: a series that
/// begins above zero has no increase for the alerts of lost replies and refused calls.
fn calls_from_zero() -> Family<CallLabels, Counter> {
    let calls = Family::<CallLabels, Counter>::default();
    for operation in OPERATIONS {
        for code in [
            OK,
            NO_REPLY,
            "InternalErrorException",
            "AccessDeniedException",
        ] {
            drop(calls.get_or_create(&CallLabels { operation, code }));
        }
    }
    calls
}

fn call_histogram() -> Histogram {
    Histogram::new(CALL_BUCKETS)
}

#[cfg(test)]
mod tests;
