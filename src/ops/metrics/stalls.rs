//! The metrics of the stall meter, read at each scrape.

use super::super::stall::StallMeter;
use super::at_scrape::{encode_counter, encode_seconds};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use std::fmt;

#[derive(Debug)]
pub(super) struct Stalls(pub(super) StallMeter);

impl Collector for Stalls {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let Self(meter) = self;
        let help =
            "The longest that one task kept the thread from all others, in the last five minutes";
        let recent = meter.longest_recent();
        encode_seconds(&mut encoder, "longest_stall", help, recent)?;
        let help = "The longest that one task kept the thread from all others, since the start";
        let longest = meter.longest();
        encode_seconds(&mut encoder, "longest_stall_since_start", help, longest)?;
        let help = "How often one task kept the thread from all others for more than 50 ms";
        encode_counter(&mut encoder, "stalls", help, meter.stalls())
    }
}
