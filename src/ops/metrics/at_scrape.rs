//! The gauges that are computed at each scrape. A gauge that is incremented and decremented all along drifts.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct ClassLabel {
    class: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct OfLabel {
    of: &'static str,
}

pub(super) type Source<T> = Box<dyn Fn() -> T + Send + Sync>;

/// The resources at a scrape.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ResourcesSample {
    /// The number of resources, by the reason of their Ready condition.
    pub by_reason: Vec<(&'static str, u64)>,
    /// The number of suspended resources.
    pub suspended: u64,
    /// How long the resource that has been suspended for longest has been suspended.
    pub oldest_suspended: Duration,
    /// How long the resource that has not been Ready for longest has not been Ready, by class.
    pub oldest_unready: Vec<(&'static str, Duration)>,
}

/// The election at a scrape.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LeadershipSample {
    /// Whether this process may set passwords.
    pub leads: bool,
    /// How often the Lease has changed its holder, by the Lease.
    pub transitions: u64,
    /// How many of this process's requests for the Lease have failed.
    pub failures: u64,
}

/// The state of the rate limiters of sets at a scrape.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct RateLimiterSample {
    /// How many sets wait for a permit.
    pub waiting: u64,
    /// The lowest rate of the rate limiters of sets, in calls a second.
    pub rps: f64,
}

/// What the process keeps in memory at a scrape.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemorySample {
    /// The number of live tasks.
    pub tasks: u64,
    /// The number of entries, by the kind of entry.
    pub entries: Vec<(&'static str, u64)>,
}

/// The source of each gauge. A gauge without a source has no sample.
#[derive(Default)]
pub(super) struct ScrapeGauges {
    pub(super) resources: OnceLock<Source<ResourcesSample>>,
    pub(super) grants: OnceLock<Source<Vec<(&'static str, u64)>>>,
    pub(super) queue_length: OnceLock<Source<u64>>,
    pub(super) rate_limiters: OnceLock<Source<RateLimiterSample>>,
    pub(super) leadership: OnceLock<Source<LeadershipSample>>,
    pub(super) memory: OnceLock<Source<MemorySample>>,
    pub(super) look_age: OnceLock<Source<Duration>>,
}

impl fmt::Debug for ScrapeGauges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AtScrape")
            .field("resources", &self.resources.get().is_some())
            .field("grants", &self.grants.get().is_some())
            .field("queue_length", &self.queue_length.get().is_some())
            .field("rate_limiters", &self.rate_limiters.get().is_some())
            .field("leadership", &self.leadership.get().is_some())
            .field("memory", &self.memory.get().is_some())
            .field("look_age", &self.look_age.get().is_some())
            .finish()
    }
}

impl Collector for ScrapeGauges {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        if let Some(resources) = self.resources.get() {
            encode_resources(&mut encoder, resources())?;
        }
        if let Some(grants) = self.grants.get() {
            let help = "Grants by the reason of their Ready condition";
            encode_family(&mut encoder, "grants", help, summed(grants()), reason_label)?;
        }
        if let Some(length) = self.queue_length.get() {
            let help = "Resources in the work queue";
            encode_gauge(&mut encoder, "queue_length", help, length())?;
        }
        if let Some(rate_limiters) = self.rate_limiters.get() {
            let RateLimiterSample { waiting, rps } = rate_limiters();
            let help = "Sets that wait for a permit of the rate limiter";
            encode_gauge(&mut encoder, "budget_waiting", help, waiting)?;
            let help = "Calls a second that the rate limiter allows at present, in the slowest account and Region";
            encode_gauge(&mut encoder, "budget_rps", help, rps)?;
        }
        if let Some(leadership) = self.leadership.get() {
            let LeadershipSample {
                leads,
                transitions,
                failures,
            } = leadership();
            let help = "1 if this process may set passwords, 0 if it stands by";
            encode_gauge(&mut encoder, "leader", help, u64::from(leads))?;
            let help = "How often the Lease has changed its holder, as the Lease says";
            encode_counter(&mut encoder, "leader_transitions", help, transitions)?;
            let help = "Reads and writes of the Lease that failed";
            encode_counter(&mut encoder, "lease_failures", help, failures)?;
        }
        if let Some(age) = self.look_age.get() {
            let help = "How long ago the operator began to look at the users of a pool, in the pool for which that is longest; 0 without any";
            encode_seconds(&mut encoder, "look_age", help, age())?;
        }
        if let Some(memory) = self.memory.get() {
            let MemorySample { tasks, entries } = memory();
            let help = "Tokio tasks that are alive";
            encode_gauge(&mut encoder, "tasks", help, tasks)?;
            let help = "Entries that the controller holds in memory, by kind";
            encode_family(&mut encoder, "entries", help, entries, |of| OfLabel { of })?;
        }
        Ok(())
    }
}

fn encode_resources(
    encoder: &mut DescriptorEncoder<'_>,
    resources: ResourcesSample,
) -> fmt::Result {
    let help = "Resources by the reason of their Ready condition";
    let by_reason = summed(resources.by_reason);
    encode_family(encoder, "resources", help, by_reason, reason_label)?;
    let help = "Resources with spec.suspend";
    encode_gauge(encoder, "resources_suspended", help, resources.suspended)?;
    let help =
        "For how long the resource has been suspended that was suspended first; 0 without any";
    encode_seconds(
        encoder,
        "oldest_suspended",
        help,
        resources.oldest_suspended,
    )?;
    let mut family = encoder.encode_descriptor(
        "oldest_unready",
        "For how long the resource has not been Ready that stopped being Ready first, by the class of its reason; 0 without any",
        Some(&Unit::Seconds),
        ConstGauge::new(0.0).metric_type(),
    )?;
    for (class, age) in resources.oldest_unready {
        let age = ConstGauge::new(age.as_secs_f64());
        age.encode(family.encode_family(&ClassLabel { class })?)?;
    }
    Ok(())
}

/// The values by label, each label once: a duplicate series fails the whole scrape.
fn summed(values: Vec<(&'static str, u64)>) -> BTreeMap<&'static str, u64> {
    let mut by_label = BTreeMap::new();
    for (label, value) in values {
        *by_label.entry(label).or_default() += value;
    }
    by_label
}

const fn reason_label(reason: &'static str) -> ReasonLabel {
    ReasonLabel { reason }
}

pub(super) fn encode_counter(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: u64,
) -> fmt::Result {
    let counter = ConstCounter::new(value);
    counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)
}

fn encode_gauge<N>(encoder: &mut DescriptorEncoder, name: &str, help: &str, value: N) -> fmt::Result
where
    ConstGauge<N>: EncodeMetric,
{
    let gauge = ConstGauge::new(value);
    gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
}

/// A gauge of a time, whose name ends in `_seconds`.
pub(super) fn encode_seconds(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    time: Duration,
) -> fmt::Result {
    let gauge = ConstGauge::new(time.as_secs_f64());
    let seconds = Some(&Unit::Seconds);
    gauge.encode(encoder.encode_descriptor(name, help, seconds, gauge.metric_type())?)
}

fn encode_family<L: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (&'static str, u64)>,
    label: impl Fn(&'static str) -> L,
) -> fmt::Result {
    let type_ = ConstGauge::new(0_u64).metric_type();
    let mut family = encoder.encode_descriptor(name, help, None, type_)?;
    for (of, value) in values {
        ConstGauge::new(value).encode(family.encode_family(&label(of))?)?;
    }
    Ok(())
}
