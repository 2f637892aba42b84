//! The sources of the gauges: what the metrics read from the state at each scrape.

use super::{
    context::{Context, lock},
    state::{grants::UNDECODABLE, health::HealthSummary},
};
use crate::{
    cognito::Cognito,
    core::{access::grant_status::GRANT_REASONS, schedule::rate_limit::Category},
    ops::metrics::{MemorySample, RateLimiterSample, ResourcesSample},
};
use jiff::Timestamp;
use std::{sync::Arc, time::Instant};
use tokio::runtime::Handle;

/// The reason under which grants count that have no status of this version.
const NO_REASON: &str = "Unknown";

/// Gives the metrics their sources, which read the state at each scrape.
pub(super) fn measure<C: Cognito>(context: &Arc<Context<C>>) {
    let queue = context.queue.clone();
    let length = move || count(queue.len());
    context.metrics.measure_queue_with(length);
    let permits = context.permits.clone();
    context
        .metrics
        .measure_rate_limiters_with(move || RateLimiterSample {
            waiting: count(permits.waiting(Category::UserAccountRecovery)),
            rps: permits.rate(Category::UserAccountRecovery),
        });
    let looks = context.looks.clone();
    context
        .metrics
        .measure_look_age_with(move || looks.oldest_pass());
    let index = context.index.clone();
    context.metrics.measure_resources_with(move || {
        let HealthSummary {
            by_reason,
            suspended,
            oldest_suspended,
            oldest_unready,
        } = HealthSummary::of(lock(&index).health(), Timestamp::now());
        ResourcesSample {
            by_reason,
            suspended,
            oldest_suspended,
            oldest_unready,
        }
    });
    let index = context.index.clone();
    let by_reason = move || count_by_reason(lock(&index).grant_reasons());
    context.metrics.count_grants_with(by_reason);
    context.metrics.measure_memory_with(memory_sample(context));
}

/// Counts the entries that this process keeps in memory. Captures the parts, not the context: the
/// context owns the metrics, and an `Arc` cycle would leak both.
fn memory_sample<C: Cognito>(
    context: &Context<C>,
) -> impl Fn() -> MemorySample + Send + Sync + use<C> {
    let (index, memory) = (context.index.clone(), context.memory.clone());
    let (queue, permits) = (context.queue.clone(), context.permits.clone());
    let (user_locks, credential_gate) =
        (context.user_locks.clone(), context.credential_gate.clone());
    let version_queue = context.version_queue.clone();
    let looks = context.looks.clone();
    let runtime = Handle::current().metrics();
    move || {
        let mut entries: Vec<_> = lock(&index).entries().collect();
        entries.extend(looks.entries());
        let [keys, rate_limiters] = permits.entries();
        entries.extend([
            ("budget", keys),
            ("budgets", rate_limiters),
            ("queue", queue.entries()),
            ("in_flight", user_locks.len(Instant::now())),
            ("memory", memory.len()),
            ("credentials", credential_gate.len()),
            ("verified", version_queue.len()),
        ]);
        MemorySample {
            tasks: count(runtime.num_alive_tasks()),
            entries: entries
                .into_iter()
                .map(|(of, entries)| (of, count(entries)))
                .collect(),
        }
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// Counts grants by reason. A reason that no operator of this version wrote counts as [`NO_REASON`].
fn count_by_reason<'a>(reasons: impl Iterator<Item = &'a str>) -> Vec<(&'static str, u64)> {
    let words = GRANT_REASONS.into_iter().chain([UNDECODABLE, NO_REASON]);
    let mut counts: Vec<_> = words.map(|word| (word, 0)).collect();
    let last = counts.len() - 1;
    for reason in reasons {
        let at = counts.iter().position(|(word, _)| *word == reason);
        counts[at.unwrap_or(last)].1 += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_of_a_grant_is_counted() {
        let reasons = [
            "Accepted",
            "",
            "InvalidSpec",
            "Accepted",
            "Undecodable",
            "x",
        ];
        assert_eq!(
            count_by_reason(reasons.into_iter()),
            [
                ("Accepted", 2),
                ("InvalidSpec", 1),
                ("InvalidCredentials", 0),
                ("Undecodable", 1),
                ("Unknown", 2)
            ]
        );
    }
}
