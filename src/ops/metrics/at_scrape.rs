//! The gauges that are computed at each scrape. A gauge that is incremented and decremented all along drifts.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct OfLabel {
    of: &'static str,
}

pub(super) type Source<T> = Box<dyn Fn() -> T + Send + Sync>;

/// The state of the rate limiters at a scrape.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct RateLimiterSample {
    /// How many sets wait for a permit.
    pub waiting: u64,
    /// The lowest rate of all rate limiters, in calls a second.
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
    pub(super) resources: OnceLock<Source<Vec<(&'static str, u64)>>>,
    pub(super) queue_length: OnceLock<Source<u64>>,
    pub(super) rate_limiters: OnceLock<Source<RateLimiterSample>>,
    pub(super) leads: OnceLock<Source<bool>>,
    pub(super) memory: OnceLock<Source<MemorySample>>,
}

impl fmt::Debug for ScrapeGauges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AtScrape")
            .field("resources", &self.resources.get().is_some())
            .field("queue_length", &self.queue_length.get().is_some())
            .field("rate_limiters", &self.rate_limiters.get().is_some())
            .field("leads", &self.leads.get().is_some())
            .field("memory", &self.memory.get().is_some())
            .finish()
    }
}

impl Collector for ScrapeGauges {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        if let Some(count) = self.resources.get() {
            // Summed up: a duplicate series fails the whole scrape.
            let mut by_reason = BTreeMap::<_, u64>::new();
            for (reason, resources) in count() {
                *by_reason.entry(reason).or_default() += resources;
            }
            let help = "Resources by the reason of their Ready condition";
            let label = |reason| ReasonLabel { reason };
            encode_family(&mut encoder, "resources", help, by_reason, label)?;
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
        if let Some(leads) = self.leads.get() {
            let help = "1 if this process may set passwords, 0 if it stands by";
            encode_gauge(&mut encoder, "leader", help, u64::from(leads()))?;
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

fn encode_gauge<N>(encoder: &mut DescriptorEncoder, name: &str, help: &str, value: N) -> fmt::Result
where
    ConstGauge<N>: EncodeMetric,
{
    let gauge = ConstGauge::new(value);
    gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
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
