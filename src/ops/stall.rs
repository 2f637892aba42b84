//! The stall meter: how long one task blocks the runtime's only thread.
//!
//! While a task computes between two `await`s, all other tasks wait: the probes, the renewal of the lease,
//! every reconcile. The meter times each poll of the tasks that are wrapped with [`StallMeter::instrument`]. The
//! meter has no timer, so an idle process stays idle.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

/// A poll that takes longer than this counts as a stall.
pub const STALL: Duration = Duration::from_millis(50);

/// The recent past is divided into parts of this length.
const PART: Duration = Duration::from_mins(1);

/// How many parts are kept, with the current one: the last five to six minutes.
const PARTS: usize = 6;

/// Records how long polls take. Clones share the records. A record costs a few atomic operations, and no
/// lock.
#[derive(Clone, Debug)]
pub struct StallMeter {
    origin: Instant,
    records: Arc<Records>,
}

/// The records.
#[derive(Debug, Default)]
struct Records {
    /// One word per recent part: the number of the part in the upper half, and the longest poll of the part
    /// in microseconds in the lower half. The word of a later part is always greater. So one `fetch_max` both
    /// starts a new part and raises the longest poll.
    recent: [AtomicU64; PARTS],
    /// The longest poll since the start, in microseconds.
    longest: AtomicU64,
    /// How many polls took longer than [`STALL`].
    stalls: AtomicU64,
}

impl Default for StallMeter {
    fn default() -> Self {
        Self::new()
    }
}

impl StallMeter {
    /// A meter that has recorded nothing.
    #[must_use]
    pub fn new() -> Self {
        Self {
            origin: Instant::now(),
            records: Arc::default(),
        }
    }

    /// Wraps a future so that each of its polls is recorded. Wrap each spawned task once, at the outermost
    /// level: a watched future within a watched future counts twice.
    pub fn instrument<F: Future>(&self, future: F) -> MeteredFuture<F> {
        MeteredFuture {
            future: Box::pin(future),
            meter: self.clone(),
        }
    }

    /// The longest poll of the last five to six minutes.
    #[must_use]
    pub fn longest_recent(&self) -> Duration {
        self.longest_recent_at(Instant::now())
    }

    /// The longest poll since the meter was made.
    #[must_use]
    pub fn longest(&self) -> Duration {
        Duration::from_micros(self.records.longest.load(Ordering::Relaxed))
    }

    /// How many polls took longer than [`STALL`].
    #[must_use]
    pub fn stalls(&self) -> u64 {
        self.records.stalls.load(Ordering::Relaxed)
    }

    /// Records a poll that took `took` and ended at `now`.
    fn record(&self, took: Duration, now: Instant) {
        let micros = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        let part = self.part(now);
        let word = (u64::from(part) << 32) | u64::from(micros);
        self.records.recent[slot(part)].fetch_max(word, Ordering::Relaxed);
        self.records
            .longest
            .fetch_max(u64::from(micros), Ordering::Relaxed);
        if took > STALL {
            self.records.stalls.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn longest_recent_at(&self, now: Instant) -> Duration {
        let newest = u64::from(self.part(now));
        let micros = self.records.recent.iter().filter_map(|word| {
            let word = word.load(Ordering::Relaxed);
            let (part, micros) = (word >> 32, word & u64::from(u32::MAX));
            (part + PARTS as u64 > newest).then_some(micros)
        });
        Duration::from_micros(micros.max().unwrap_or_default())
    }

    /// The number of the part of `now`. A `u32` of minutes lasts eight thousand years.
    fn part(&self, now: Instant) -> u32 {
        let parts = now.saturating_duration_since(self.origin).as_secs() / PART.as_secs();
        u32::try_from(parts).unwrap_or(u32::MAX)
    }
}

/// The index of a part in `recent`.
fn slot(part: u32) -> usize {
    part as usize % PARTS
}

/// A future whose polls are recorded; made by [`StallMeter::instrument`].
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct MeteredFuture<F> {
    future: Pin<Box<F>>,
    meter: StallMeter,
}

impl<F: Future> Future for MeteredFuture<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let began = Instant::now();
        let polled = self.future.as_mut().poll(cx);
        let now = Instant::now();
        self.meter.record(now.duration_since(began), now);
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_longest_poll_is_remembered_for_five_minutes_and_forgotten_after_six() {
        let meter = StallMeter::new();
        let start = meter.origin;
        meter.record(70 * MS, start + 59 * SECOND);
        meter.record(20 * MS, start + 61 * SECOND);
        for after in [59, 60, 200, 359] {
            let longest = meter.longest_recent_at(start + after * SECOND);
            assert_eq!(longest, 70 * MS, "after {after} s");
        }
        assert_eq!(meter.longest_recent_at(start + 360 * SECOND), 20 * MS);
        assert_eq!(
            meter.longest_recent_at(start + 420 * SECOND),
            Duration::ZERO
        );
        assert_eq!(meter.longest(), 70 * MS);
    }

    #[test]
    fn a_new_part_replaces_the_record_of_the_old_part_in_its_slot() {
        let meter = StallMeter::new();
        meter.record(900 * MS, meter.origin);
        let later = meter.origin + PART * u32::try_from(PARTS).expect("few");
        meter.record(3 * MS, later);
        assert_eq!(meter.longest_recent_at(later), 3 * MS);
    }

    #[test]
    fn polls_over_50_ms_are_counted() {
        let meter = StallMeter::new();
        let same = meter.clone();
        for took in [MS, 50 * MS, 51 * MS, SECOND] {
            same.record(took, meter.origin);
        }
        assert_eq!(meter.stalls(), 2);
    }

    #[test]
    fn a_poll_longer_than_the_meter_can_record_counts_as_the_maximum() {
        let meter = StallMeter::new();
        meter.record(Duration::MAX, meter.origin);
        let most = Duration::from_micros(u64::from(u32::MAX));
        assert_eq!(meter.longest_recent_at(meter.origin), most);
        assert_eq!(meter.longest(), most);
    }

    /// The longest poll among the records in the parts that are kept.
    fn longest_of(records: &[(u64, u64)], now: u64) -> Duration {
        let oldest = (now / 60).saturating_sub(PARTS as u64 - 1);
        let recent = records.iter().filter(|(at, _)| at / 60 >= oldest);
        Duration::from_micros(recent.map(|(_, took)| *took).max().unwrap_or_default())
    }

    proptest! {
        #[test]
        fn the_longest_recent_poll_is_found(
            mut records in prop::collection::vec((0_u64..1_500, 0_u64..2_000_000), 0..60),
            idle in 0_u64..900,
        ) {
            records.sort_unstable();
            let meter = StallMeter::new();
            for (at, took) in &records {
                meter.record(Duration::from_micros(*took), meter.origin + Duration::from_secs(*at));
            }
            let now = records.last().map_or(0, |(at, _)| *at) + idle;
            let longest = meter.longest_recent_at(meter.origin + Duration::from_secs(now));
            prop_assert_eq!(longest, longest_of(&records, now));
        }
    }

    #[tokio::test]
    async fn only_the_time_within_polls_is_recorded() {
        let meter = StallMeter::new();
        let busy = async {
            // Longer than the work below, but the thread is free during this sleep.
            tokio::time::sleep(300 * MS).await;
            let began = Instant::now();
            while began.elapsed() < 60 * MS {
                std::hint::spin_loop();
            }
            "done"
        };
        assert_eq!(meter.instrument(busy).await, "done");
        assert_eq!(meter.stalls(), 1);
        assert!(meter.longest() >= 60 * MS, "{:?}", meter.longest());
        assert_eq!(meter.longest_recent(), meter.longest());
    }
}
