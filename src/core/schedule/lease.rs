//! The elector: decides the next step about the Lease, from the records that were read and from the time on
//! this process's own monotonic clock.
//!
//! Two processes never lead at once, for four reasons:
//!
//! - The holder counts the lease from *before* the renewal was sent.
//! - A candidate counts the lease from *after* a read showed the current record. A candidate ignores the
//!   times in the record, because another machine's clock wrote these times.
//! - A candidate takes the Lease by a write for the version that was read. The write fails if the holder has
//!   renewed meanwhile.
//! - A holder that cannot renew gives up [`RENEW_DEADLINE`] after the last renewal was sent. A third of the
//!   lease is left until a candidate may begin. The speeds of the two clocks may differ by that much.

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use crate::core::clock::micros;
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// How long candidates leave a holder alone after the last renewal.
pub const LEASE_DURATION: Duration = Duration::from_secs(LEASE_SECONDS as u64);
const LEASE_SECONDS: u16 = 15;

/// A holder that has not renewed for this long has lost the Lease.
pub const RENEW_DEADLINE: Duration = Duration::from_secs(10);

/// The time between two renewals, and between two tries after a failure.
pub const RETRY: Duration = Duration::from_secs(2);

/// How often a candidate reads the Lease. After a release, no process leads for this long.
pub const READ_INTERVAL: Duration = Duration::from_secs(1);

/// The timeout of one request, for holders and candidates alike. A slow API server must neither cost the
/// Lease nor keep a new leader from the Lease. The timeout is half of [`RENEW_DEADLINE`], so that the holder
/// has time for another request after one that hangs.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// No operator writes a longer duration into the record, so a longer duration is ignored.
const DURATION_MAX: Duration = Duration::from_mins(5);

/// The duration that client-go writes when client-go releases a Lease.
const RELEASED_SECONDS: i32 = 1;

/// The record: the spec of the Lease, with the resourceVersion of the read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// The resourceVersion; none for a Lease that is to be created.
    pub version: Option<String>,
    /// `holderIdentity`; empty if the Lease has no holder.
    pub holder: String,
    /// `leaseDurationSeconds`.
    pub seconds: Option<i32>,
    /// `leaseTransitions`: how often the holder changed.
    pub transitions: i32,
    /// `acquireTime`, for people.
    pub acquired: Option<Timestamp>,
    /// `renewTime`, for people. The elector only checks whether `renewTime` has changed.
    pub renewed: Option<Timestamp>,
}

impl Record {
    /// How long a candidate leaves the holder alone. A duration below [`LEASE_DURATION`] can only be a
    /// person's edit, and the holder goes on believing in the duration that the holder wrote.
    fn duration(&self) -> Duration {
        let said = self.seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let said = Duration::from_secs(said.unwrap_or_default());
        if (LEASE_DURATION..=DURATION_MAX).contains(&said) {
            said
        } else {
            LEASE_DURATION
        }
    }

    /// Whether the holder released the Lease. An empty holder alone proves no release: a person may have
    /// removed the name.
    fn is_released(&self) -> bool {
        self.holder.is_empty() && self.seconds == Some(RELEASED_SECONDS)
    }

    /// Whether the Lease names no holder and no duration, which is the same as no Lease.
    fn is_blank(&self) -> bool {
        self.holder.is_empty() && self.seconds.is_none()
    }

    /// Whether the holder has not renewed between the two records. The version does not count: a label
    /// changes the version too.
    fn is_same_claim(&self, other: &Self) -> bool {
        let Self { version, .. } = self;
        *self
            == Self {
                version: version.clone(),
                ..other.clone()
            }
    }
}

/// The next step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Read the record.
    Read,
    /// Write this record: create the Lease if the record has no version, else replace that version.
    Write(Record),
    /// Do nothing until the clock shows this time.
    Wait(Duration),
    /// Stop acting at once: another process leads or may lead.
    Lost(LossReason),
}

/// Why the Lease is lost.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LossReason {
    /// No renewal succeeded in time.
    #[error("the Lease could not be renewed for {} s", RENEW_DEADLINE.as_secs())]
    NotRenewed,
    /// The record names another holder.
    #[error("{0} holds the Lease now")]
    Taken(String),
}

/// The election of one process, as candidate or as holder. All times but `wall` are on one monotonic clock.
#[derive(Debug)]
pub struct Elector {
    identity: String,
    held: Option<Tenure>,
    /// The last claim of another process that a read showed.
    other: Option<OtherClaim>,
    next: NextStep,
    at: Duration,
    /// Whether the last write conflicted. The elector reads at once after one conflict, and waits after two
    /// in a row.
    conflicted: bool,
}

#[derive(Debug)]
struct Tenure {
    /// When the last renewal was sent.
    since: Duration,
    /// The record as the API server returned it after the last renewal.
    record: Record,
}

#[derive(Debug)]
struct OtherClaim {
    record: Record,
    /// When a read first showed this claim.
    since: Duration,
    /// Whether the holder is known to be gone.
    dead: bool,
}

#[derive(Debug)]
enum NextStep {
    Read,
    Write(Record),
    Lost(LossReason),
}

impl Elector {
    /// Creates an elector that has read nothing yet. No other process may have the same identity.
    #[must_use]
    pub fn new(identity: String) -> Self {
        Self {
            identity,
            held: None,
            other: None,
            next: NextStep::Read,
            at: Duration::ZERO,
            conflicted: false,
        }
    }

    /// The end of the lease; none if this process does not hold the Lease.
    #[must_use]
    pub fn held_until(&self) -> Option<Duration> {
        self.held.as_ref().map(|held| held.since + LEASE_DURATION)
    }

    /// The last other holder that a read showed; none while this process holds the Lease.
    #[must_use]
    pub fn other(&self) -> Option<&str> {
        let other = self.other.as_ref().filter(|_| self.held.is_none())?;
        Some(&other.record.holder)
    }

    /// The timeout of a request that begins now. A holder's request ends at the latest when the Lease is
    /// lost.
    #[must_use]
    pub fn patience(&self, now: Duration) -> Duration {
        let left = self.deadline().map(|deadline| deadline.saturating_sub(now));
        left.map_or(REQUEST_TIMEOUT, |left| REQUEST_TIMEOUT.min(left))
    }

    fn deadline(&self) -> Option<Duration> {
        self.held.as_ref().map(|held| held.since + RENEW_DEADLINE)
    }

    /// The next step at `now`. The record shows `wall` to people.
    #[must_use]
    pub fn step(&self, now: Duration, wall: Timestamp) -> Step {
        if self.deadline().is_some_and(|deadline| now >= deadline) {
            return Step::Lost(LossReason::NotRenewed);
        }
        match &self.next {
            NextStep::Lost(lost) => Step::Lost(lost.clone()),
            NextStep::Read | NextStep::Write(_) if now < self.at => Step::Wait(self.at),
            NextStep::Read => Step::Read,
            NextStep::Write(record) => Step::Write(stamped(record.clone(), wall)),
        }
    }

    /// Takes the answer of a read at `now`: the record, or none if there is no Lease. `dead`: the holder in
    /// the record is known to be gone.
    pub fn read(&mut self, record: Option<Record>, now: Duration, dead: bool) {
        self.at = now;
        let lapsed = self.observe(record.as_ref(), now, dead);
        self.next = match (record, &self.held) {
            // The Lease is ours: the reply to a write was lost, or a person changed another field.
            (Some(record), _) if record.holder == self.identity => {
                NextStep::Write(self.claim(record, None))
            }
            // A person removed the Lease or our name. No other process may have begun to lead yet.
            (None, Some(held)) => NextStep::Write(Record {
                version: None,
                ..held.record.clone()
            }),
            (Some(record), Some(held)) if record.holder.is_empty() => {
                let ours = held.record.clone();
                NextStep::Write(self.claim(record, Some(ours)))
            }
            (Some(record), Some(_)) => NextStep::Lost(LossReason::Taken(record.holder)),
            (_, None) if !lapsed => {
                self.at = now + READ_INTERVAL;
                NextStep::Read
            }
            (Some(record), None) => {
                let transitions = record.transitions.max(0).saturating_add(1);
                let fresh = Record {
                    transitions,
                    acquired: None,
                    ..record.clone()
                };
                NextStep::Write(self.claim(record, Some(fresh)))
            }
            (None, None) => NextStep::Write(Record {
                version: None,
                holder: self.identity.clone(),
                seconds: Some(i32::from(LEASE_SECONDS)),
                transitions: 0,
                acquired: None,
                renewed: None,
            }),
        };
        if let NextStep::Lost(_) = self.next {
            self.held = None;
        }
    }

    /// Records the claim of another process. Returns whether the Lease may be taken.
    fn observe(&mut self, record: Option<&Record>, now: Duration, dead: bool) -> bool {
        match record {
            Some(record) if record.is_released() || record.holder == self.identity => {
                self.other = None;
                return true;
            }
            // The Lease was removed, and the holder does not know that yet. So the claim on record still
            // counts.
            None => {}
            Some(record) if record.is_blank() => {}
            Some(record) => match &mut self.other {
                Some(other) if other.record.is_same_claim(record) => other.dead = dead,
                other => {
                    *other = Some(OtherClaim {
                        record: record.clone(),
                        since: now,
                        dead,
                    });
                }
            },
        }
        self.other
            .as_ref()
            .is_none_or(|other| other.dead || now >= other.since + other.record.duration())
    }

    /// Our claim, with the version of `record`. All other fields come from `from`, or from `record` without
    /// `from`.
    fn claim(&self, record: Record, from: Option<Record>) -> Record {
        let version = record.version.clone();
        Record {
            version,
            holder: self.identity.clone(),
            seconds: Some(i32::from(LEASE_SECONDS)),
            ..from.unwrap_or(record)
        }
    }

    /// Takes the success of a write that was sent at `sent`. `record` is the Lease that the API server
    /// returned.
    pub fn wrote(&mut self, record: Record, sent: Duration) {
        self.next = NextStep::Write(record.clone());
        self.at = sent + RETRY;
        self.held = Some(Tenure {
            since: sent,
            record,
        });
        self.other = None;
        self.conflicted = false;
    }

    /// Takes the conflict of a write that was sent at `sent`: the Lease has been written or removed since the
    /// read.
    pub fn conflicted(&mut self, sent: Duration) {
        self.next = NextStep::Read;
        self.at = if self.conflicted { sent + RETRY } else { sent };
        self.conflicted = true;
    }

    /// Takes the failure of a request that was sent at `sent`. A failed write may have been made all the
    /// same.
    pub fn failed(&mut self, sent: Duration) {
        self.next = NextStep::Read;
        self.at = sent + RETRY;
    }

    /// Gives the Lease up. Returns the record that releases the Lease, if `record` names this process.
    #[must_use]
    pub fn release(&mut self, record: Record, wall: Timestamp) -> Option<Record> {
        self.held = None;
        self.next = NextStep::Read;
        let released = Record {
            holder: String::new(),
            seconds: Some(RELEASED_SECONDS),
            acquired: None,
            ..record
        };
        (record.holder == self.identity).then(|| stamped(released, wall))
    }

    /// The record that the next renewal writes. None if this process does not hold the Lease, or must read
    /// first.
    #[must_use]
    pub fn record(&self) -> Option<&Record> {
        match (&self.next, &self.held) {
            (NextStep::Write(record), Some(_)) => Some(record),
            (_, _) => None,
        }
    }
}

/// Puts the times into the record. A renewal always changes `renewTime`, even if the clock stands still:
/// candidates only notice a record that changes.
fn stamped(record: Record, wall: Timestamp) -> Record {
    let wall = micros(wall);
    let moved = if record.renewed == Some(wall) {
        wall.checked_add(SignedDuration::from_micros(1)).ok()
    } else {
        Some(wall)
    };
    Record {
        acquired: record.acquired.or(Some(wall)),
        renewed: moved,
        ..record
    }
}
