//! Who leads: what is to be done next about the Lease, from what was seen of it and the time on this
//! process's own monotonic clock.
//!
//! Why two never lead at once. Whoever holds it counts its time from *before* the write that got it
//! was sent. Whoever waits counts from *after* a read showed the record as it is now, and never
//! believes the times in it, which another machine's clock wrote. The write that takes it over is
//! for the version that was read, so that it fails if the holder has renewed meanwhile. And whoever
//! can't renew gives up [`RENEW_DEADLINE`] after its last renewal was sent, a third of a lease before
//! somebody else may begin: that much the two clocks may differ in speed.

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use crate::core::clock::micros;
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// For how long after its last renewal a holder is left alone.
pub const LEASE_DURATION: Duration = Duration::from_secs(LEASE_SECONDS as u64);
const LEASE_SECONDS: u16 = 15;

/// A holder that hasn't renewed for this long has lost it.
pub const RENEW_DEADLINE: Duration = Duration::from_secs(10);

/// Between two renewals, and between two tries of what failed.
pub const RETRY: Duration = Duration::from_secs(2);

/// How often one that doesn't hold it looks: after a release, this is how long nobody leads.
pub const LOOK: Duration = Duration::from_secs(1);

/// How long one request may take, a holder's and a candidate's alike: an API server that is slow shouldn't
/// cost the lease, nor keep a new leader from it. Half of [`RENEW_DEADLINE`], so that a request that hangs
/// leaves the holder time for another one.
const PATIENCE: Duration = Duration::from_secs(5);

/// A duration in the record that is longer than this was not written by an operator.
const DURATION_MAX: Duration = Duration::from_mins(5);

/// What client-go writes when it releases a lease.
const RELEASED_SECONDS: i32 = 1;

/// The record: a Lease's spec, with the version that it was read in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// The resourceVersion; none when it is to be made.
    pub version: Option<String>,
    /// `holderIdentity`; empty when nobody holds it.
    pub holder: String,
    /// `leaseDurationSeconds`.
    pub seconds: Option<i32>,
    /// `leaseTransitions`: how often the holder changed.
    pub transitions: i32,
    /// `acquireTime`, for people.
    pub acquired: Option<Timestamp>,
    /// `renewTime`, for people; here it only counts whether it moved.
    pub renewed: Option<Timestamp>,
}

impl Record {
    /// How long its holder is left alone. Less than our own duration can only be a person's edit:
    /// the holder itself goes on believing in what it wrote.
    fn duration(&self) -> Duration {
        let said = self.seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let said = Duration::from_secs(said.unwrap_or_default());
        if (LEASE_DURATION..=DURATION_MAX).contains(&said) {
            said
        } else {
            LEASE_DURATION
        }
    }

    /// Whether its holder gave it up. A name that somebody only removed proves nothing.
    fn is_released(&self) -> bool {
        self.holder.is_empty() && self.seconds == Some(RELEASED_SECONDS)
    }

    /// Whether it says no more than one that isn't there.
    fn is_blank(&self) -> bool {
        self.holder.is_empty() && self.seconds.is_none()
    }

    /// Whether nobody has renewed it in between. A label moves the version and says nothing.
    fn says_the_same(&self, other: &Self) -> bool {
        let Self { version, .. } = self;
        *self
            == Self {
                version: version.clone(),
                ..other.clone()
            }
    }
}

/// What is to be done now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Read the record.
    Read,
    /// Write this record: as a new one if it has no version, else in the place of that version.
    Write(Record),
    /// Nothing until the clock shows this.
    Wait(Duration),
    /// Stop acting at once: somebody else may lead, or does.
    Lost(Lost),
}

/// Why the lease is lost.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Lost {
    /// No renewal came through in time.
    #[error("it could not be renewed for {} s", RENEW_DEADLINE.as_secs())]
    NotRenewed,
    /// The record names somebody else.
    #[error("{0} holds it now")]
    Taken(String),
}

/// One that wants to lead, or does. All times but `wall` are on one monotonic clock.
#[derive(Debug)]
pub struct Elector {
    identity: String,
    held: Option<Held>,
    /// The last claim that was seen of somebody else.
    other: Option<Other>,
    next: Next,
    at: Duration,
    /// Whether the last write came too late: once is no reason to wait, twice is.
    conflicted: bool,
}

#[derive(Debug)]
struct Held {
    /// When the last renewal was sent.
    since: Duration,
    /// As it was written.
    record: Record,
}

#[derive(Debug)]
struct Other {
    record: Record,
    /// When it was first seen to say this.
    since: Duration,
    /// Whether its holder is known to be gone.
    dead: bool,
}

#[derive(Debug)]
enum Next {
    Read,
    Write(Record),
    Lost(Lost),
}

impl Elector {
    /// One that has seen nothing yet. The identity must be this process's alone.
    #[must_use]
    pub fn new(identity: String) -> Self {
        Self {
            identity,
            held: None,
            other: None,
            next: Next::Read,
            at: Duration::ZERO,
            conflicted: false,
        }
    }

    /// Until when it is held.
    #[must_use]
    pub fn held_until(&self) -> Option<Duration> {
        self.held.as_ref().map(|held| held.since + LEASE_DURATION)
    }

    /// Who else was seen to hold it last.
    #[must_use]
    pub fn other(&self) -> Option<&str> {
        let other = self.other.as_ref().filter(|_| self.held.is_none())?;
        Some(&other.record.holder)
    }

    /// How long a request that begins now may take. A holder's ends when the lease is lost, at the latest.
    #[must_use]
    pub fn patience(&self, now: Duration) -> Duration {
        let left = self.deadline().map(|deadline| deadline.saturating_sub(now));
        left.map_or(PATIENCE, |left| PATIENCE.min(left))
    }

    fn deadline(&self) -> Option<Duration> {
        self.held.as_ref().map(|held| held.since + RENEW_DEADLINE)
    }

    /// What is to be done now. `wall` is for those who read the record.
    #[must_use]
    pub fn step(&self, now: Duration, wall: Timestamp) -> Step {
        if self.deadline().is_some_and(|deadline| now >= deadline) {
            return Step::Lost(Lost::NotRenewed);
        }
        match &self.next {
            Next::Lost(lost) => Step::Lost(lost.clone()),
            Next::Read | Next::Write(_) if now < self.at => Step::Wait(self.at),
            Next::Read => Step::Read,
            Next::Write(record) => Step::Write(stamped(record.clone(), wall)),
        }
    }

    /// A read was answered at `now`, with the record or that there is none. `dead` is whether the
    /// holder that it names is known to be gone.
    pub fn read(&mut self, record: Option<Record>, now: Duration, dead: bool) {
        self.at = now;
        let lapsed = self.look(record.as_ref(), now, dead);
        self.next = match (record, &self.held) {
            // Ours: a reply was lost, or somebody changed something else about it.
            (Some(record), _) if record.holder == self.identity => {
                Next::Write(self.claim(record, None))
            }
            // Somebody removed it, or our name. Nobody else may have begun yet.
            (None, Some(held)) => Next::Write(Record {
                version: None,
                ..held.record.clone()
            }),
            (Some(record), Some(held)) if record.holder.is_empty() => {
                let ours = held.record.clone();
                Next::Write(self.claim(record, Some(ours)))
            }
            (Some(record), Some(_)) => Next::Lost(Lost::Taken(record.holder)),
            (_, None) if !lapsed => {
                self.at = now + LOOK;
                Next::Read
            }
            (Some(record), None) => {
                let transitions = record.transitions.max(0).saturating_add(1);
                let fresh = Record {
                    transitions,
                    acquired: None,
                    ..record.clone()
                };
                Next::Write(self.claim(record, Some(fresh)))
            }
            (None, None) => Next::Write(Record {
                version: None,
                holder: self.identity.clone(),
                seconds: Some(i32::from(LEASE_SECONDS)),
                transitions: 0,
                acquired: None,
                renewed: None,
            }),
        };
        if let Next::Lost(_) = self.next {
            self.held = None;
        }
    }

    /// Notes what others claim; answers whether it may be taken.
    fn look(&mut self, record: Option<&Record>, now: Duration, dead: bool) -> bool {
        match record {
            Some(record) if record.is_released() || record.holder == self.identity => {
                self.other = None;
                return true;
            }
            // Removed: whoever held it doesn't know that yet.
            None => {}
            Some(record) if record.is_blank() => {}
            Some(record) => match &mut self.other {
                Some(other) if other.record.says_the_same(record) => other.dead = dead,
                other => {
                    *other = Some(Other {
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

    /// Our claim in the place of `record`; what counts on is taken from `from`, if not from it.
    fn claim(&self, record: Record, from: Option<Record>) -> Record {
        let version = record.version.clone();
        Record {
            version,
            holder: self.identity.clone(),
            seconds: Some(i32::from(LEASE_SECONDS)),
            ..from.unwrap_or(record)
        }
    }

    /// A write that was sent at `sent` has succeeded, and this is what stands there now.
    pub fn wrote(&mut self, record: Record, sent: Duration) {
        self.next = Next::Write(record.clone());
        self.at = sent + RETRY;
        self.held = Some(Held {
            since: sent,
            record,
        });
        self.other = None;
        self.conflicted = false;
    }

    /// A write that was sent at `sent` came too late: somebody else has written, or removed it.
    pub fn conflicted(&mut self, sent: Duration) {
        self.next = Next::Read;
        self.at = if self.conflicted { sent + RETRY } else { sent };
        self.conflicted = true;
    }

    /// A request that was sent at `sent` failed. If it was a write, it may have been made.
    pub fn failed(&mut self, sent: Duration) {
        self.next = Next::Read;
        self.at = sent + RETRY;
    }

    /// Gives it up: the record that says so, if this is the one that holds it.
    #[must_use]
    pub fn release(&mut self, record: Record, wall: Timestamp) -> Option<Record> {
        self.held = None;
        self.next = Next::Read;
        let released = Record {
            holder: String::new(),
            seconds: Some(RELEASED_SECONDS),
            acquired: None,
            ..record
        };
        (record.holder == self.identity).then(|| stamped(released, wall))
    }

    /// The record as it stands, if that is known and it is ours.
    #[must_use]
    pub fn record(&self) -> Option<&Record> {
        match (&self.next, &self.held) {
            (Next::Write(record), Some(_)) => Some(record),
            (_, _) => None,
        }
    }
}

/// With the times in it. A renewal always moves `renewTime`, be the clock stopped: one that changed
/// nothing would be seen by nobody.
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
