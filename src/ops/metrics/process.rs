//! The metrics of the process itself, under the names that every Prometheus client uses. A value that `/proc`
//! does not have is left out.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;
use rustix::time::{ClockId, clock_gettime};
use std::fmt;
use std::fs;
use std::time::{Duration, SystemTime};

/// Computes the metrics at each scrape.
#[derive(Debug)]
pub(super) struct Process {
    /// The start time, as the time since 1970.
    started: Duration,
}

impl Process {
    /// Takes the current time as the start time.
    pub(super) fn starting_now() -> Self {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Self {
            started: since_epoch.unwrap_or_default(),
        }
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let encoder = &mut encoder;
        let started = ConstGauge::new(self.started.as_secs_f64());
        let name = ("process_start_time", Some(&Unit::Seconds));
        let help = "When the process started, in Unix time";
        encode(encoder, name, help, &started)?;
        let name = ("process_cpu", Some(&Unit::Seconds));
        let help = "Processor time that the process has used";
        encode(encoder, name, help, &ConstCounter::new(cpu_seconds()))?;
        if let Some(resident) = resident_bytes() {
            let name = ("process_resident_memory", Some(&Unit::Bytes));
            let help = "Memory that the process has resident";
            encode(encoder, name, help, &ConstGauge::new(resident))?;
        }
        if let Some(open) = open_fds() {
            let name = ("process_open_fds", None);
            let help = "File descriptors that the process has open";
            encode(encoder, name, help, &ConstGauge::new(open))?;
        }
        Ok(())
    }
}

fn encode(
    encoder: &mut DescriptorEncoder,
    (name, unit): (&str, Option<&Unit>),
    help: &str,
    metric: &impl EncodeMetric,
) -> fmt::Result {
    metric.encode(encoder.encode_descriptor(name, help, unit, metric.metric_type())?)
}

fn cpu_seconds() -> f64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(used).unwrap_or_default().as_secs_f64()
}

/// Not from `/proc/self/statm`, which counts pages of a size that would need another call.
fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

fn open_fds() -> Option<u64> {
    let open = fs::read_dir("/proc/self/fd").ok()?.count();
    // Minus the descriptor of the directory that is being read.
    u64::try_from(open.saturating_sub(1)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn an_open_file_is_counted_until_it_is_closed() {
        // Other tests open and close files meanwhile; 1,000 is more than all of their files together.
        const FILES: usize = 1_000;
        let before = open_fds().expect("there is /proc");
        let files: Vec<_> = (0..FILES)
            .map(|_| File::open("/dev/null").expect("it can be opened"))
            .collect();
        let open = open_fds().expect("there is /proc");
        drop(files);
        let after = open_fds().expect("there is /proc");
        let half = FILES as u64 / 2;
        assert!(open > before + half, "{before}, then {open}");
        assert!(after < open - half, "{open}, then {after}");
    }

    #[test]
    fn memory_that_is_written_to_is_resident() {
        const BYTES: usize = 64 << 20;
        let before = resident_bytes().expect("there is /proc");
        let memory = vec![1_u8; BYTES];
        let resident = resident_bytes().expect("there is /proc");
        assert!(std::hint::black_box(memory).iter().all(|byte| *byte == 1));
        assert!(
            resident > before + BYTES as u64 / 2,
            "{before}, then {resident}"
        );
    }

    #[test]
    fn work_takes_processor_time() {
        let before = cpu_seconds();
        let mut sum = 0_u64;
        while cpu_seconds() - before < 0.01 {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(sum > 0);
    }
}
