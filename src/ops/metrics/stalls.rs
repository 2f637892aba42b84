//! The metrics of the stall meter, read at each scrape.

use super::super::stall::StallMeter;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;
use std::fmt;

#[derive(Debug)]
pub(super) struct Stalls(pub(super) StallMeter);

impl Collector for Stalls {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let Self(meter) = self;
        let longest = ConstGauge::new(meter.longest_recent().as_secs_f64());
        longest.encode(encoder.encode_descriptor(
            "longest_stall",
            "The longest that one task kept the thread from all others, in the last five minutes",
            Some(&Unit::Seconds),
            longest.metric_type(),
        )?)?;
        let longest = ConstGauge::new(meter.longest().as_secs_f64());
        longest.encode(encoder.encode_descriptor(
            "longest_stall_since_start",
            "The longest that one task kept the thread from all others, since the start",
            Some(&Unit::Seconds),
            longest.metric_type(),
        )?)?;
        let stalls = ConstCounter::new(meter.stalls());
        stalls.encode(encoder.encode_descriptor(
            "stalls",
            "How often one task kept the thread from all others for more than 50 ms",
            None,
            stalls.metric_type(),
        )?)
    }
}
