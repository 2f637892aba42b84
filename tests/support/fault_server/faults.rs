//! The faults of calls, and the rules which call gets which fault.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::super::random::Random;
use super::model::Key;
use super::operation::Operation;

/// What happens to a call. "Applied" means that the call has its effect, as a call without a fault: the password
/// is set if users and policy allow that, the sessions end, or the page is read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fault {
    /// No fault: lets a call pass within a sequence of faults.
    None,
    /// Not applied; the answer is this error.
    Error(Failure),
    /// Applied, but the answer is this error.
    ErrorAfter(Failure),
    /// Not applied; the connection is closed without a reply.
    DropBefore,
    /// Applied; the connection is closed without a reply.
    DropAfter,
    /// No reply until the client closes the connection (then not applied) or until the release (then
    /// applied).
    HangBefore,
    /// Applied; no reply until the client closes the connection or until the release.
    HangAfter,
    /// Never a reply; applied after this time, but not before the client has closed the connection.
    LandLate(Duration),
    /// A reply that is not from Cognito: some HTML with this HTTP status (200, 502).
    Garbage { status: u16, applied: bool },
    /// A reply without its second half.
    Truncated { applied: bool },
    /// Applied and answered after this time, if the client is still connected.
    Latency(Duration),
}

/// An error reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) status: u16,
    /// None: a body without `__type`, as from a proxy between the operator and Cognito.
    pub(crate) code: Option<String>,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(status: u16, code: &str, message: &str) -> Self {
        Self {
            status,
            code: Some(code.to_owned()),
            message: message.to_owned(),
        }
    }
}

impl Fault {
    /// A client error with this code. Cognito answers every client error with HTTP 400, also throttling and
    /// missing rights.
    pub(crate) fn error(code: &str, message: &str) -> Self {
        Fault::Error(Failure::new(400, code, message))
    }

    pub(crate) fn throttled() -> Self {
        Self::error("TooManyRequestsException", "Rate exceeded")
    }

    pub(crate) fn access_denied() -> Self {
        Self::denied(Operation::AdminSetUserPassword)
    }

    /// The caller has no right to this operation.
    pub(crate) fn denied(operation: Operation) -> Self {
        Fault::Error(denial(operation))
    }

    /// A server error: the caller can't know whether the call was applied.
    pub(crate) fn internal_error() -> Self {
        Fault::Error(internal())
    }

    pub(crate) fn internal_error_after() -> Self {
        Fault::ErrorAfter(internal())
    }

    /// The name of the kind of fault.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Fault::None => "none",
            Fault::Error(failure) if failure.status >= 500 => "500 before",
            Fault::Error(_) => "throttled or refused",
            Fault::ErrorAfter(_) => "500 after",
            Fault::DropBefore => "dropped before",
            Fault::DropAfter => "dropped after",
            Fault::HangBefore => "hangs before",
            Fault::HangAfter => "hangs after",
            Fault::LandLate(_) => "lands late",
            Fault::Garbage { .. } | Fault::Truncated { .. } => "garbage",
            Fault::Latency(_) => "latency",
        }
    }
}

fn internal() -> Failure {
    Failure::new(500, "InternalErrorException", "Something went wrong")
}

/// The answer to a caller without the right to this operation.
pub(super) fn denial(operation: Operation) -> Failure {
    let message = format!(
        "User: arn:aws:iam::123456789012:user/test is not authorized to perform: {} on resource: *",
        operation.action()
    );
    Failure::new(400, "AccessDeniedException", &message)
}

/// The rules which call of an operation gets which fault. Scripted faults go before permanent faults, faults
/// for one user go before faults for a pool and for all users, and random faults come last.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pub(super) next: VecDeque<Fault>,
    pub(super) next_for: HashMap<Key, VecDeque<Fault>>,
    pub(super) always: Option<Fault>,
    pub(super) always_for: HashMap<Key, Fault>,
    /// By pool.
    pub(super) always_in: HashMap<String, Fault>,
    chance: Option<Chance>,
}

#[derive(Debug)]
struct Chance {
    random: Random,
    faults: Vec<(Fault, f64)>,
}

impl Faults {
    pub(super) fn set_chance(&mut self, seed: u64, faults: Vec<(Fault, f64)>) {
        self.chance = Some(Chance {
            random: Random::new(seed),
            faults,
        });
    }

    /// The fault for a call that arrives now.
    pub(super) fn take(&mut self, key: &Key) -> Fault {
        let scripted = self
            .next_for
            .get_mut(key)
            .and_then(VecDeque::pop_front)
            .or_else(|| self.next.pop_front());
        scripted
            .or_else(|| self.always_for.get(key).cloned())
            .or_else(|| self.always_in.get(&key.pool).cloned())
            .or_else(|| self.always.clone())
            .or_else(|| self.chance.as_mut().and_then(Chance::draw))
            .unwrap_or(Fault::None)
    }
}

impl Chance {
    fn draw(&mut self) -> Option<Fault> {
        self.random.pick(&self.faults).cloned()
    }
}

/// The rate limit of an operation.
#[derive(Debug, Default)]
pub(super) struct Limit {
    pub(super) calls_per_second: Option<usize>,
    recent: VecDeque<Instant>,
}

impl Limit {
    /// Throttles on arrival: a throttled call has no other effect.
    pub(super) fn throttle(&mut self, now: Instant) -> Result<(), Failure> {
        let Some(limit) = self.calls_per_second else {
            return Ok(());
        };
        let window = Duration::from_secs(1);
        while let Some(first) = self.recent.front()
            && now.duration_since(*first) >= window
        {
            self.recent.pop_front();
        }
        if self.recent.len() >= limit {
            let message = "Rate exceeded";
            return Err(Failure::new(400, "TooManyRequestsException", message));
        }
        self.recent.push_back(now);
        Ok(())
    }
}
