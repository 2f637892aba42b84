//! A call from its arrival to its end: its fault, its effect, and its line in the record.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::watch;

use super::faults::{Failure, Fault, denial};
use super::record::{Call, OtherCall, Outcome};
use super::reply::{Reply, failed, garbage, succeeded, truncated};
use super::request::{Asked, Entry};
use super::service::ConnectionDrop;
use super::{Shared, State};

/// Who sent a call: parts of the headers and of the signature.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) user_agent: String,
    pub(super) access_key: String,
    pub(super) region: String,
}

/// A call in flight. If this value is dropped before the call has ended, the client has closed the
/// connection.
pub(super) struct InFlight {
    shared: Arc<Shared>,
    id: u64,
    asked: Asked,
    fault: Fault,
    /// The refusal of a caller without the right, or of too many calls.
    admitted: Result<(), Failure>,
    released: watch::Receiver<u64>,
}

impl InFlight {
    pub(super) fn begin(shared: Arc<Shared>, asked: Asked, caller: Caller) -> Self {
        // Subscribe before the call is recorded: a test that sees the call may release it at once.
        let released = shared.released.subscribe();
        let arrived = Instant::now();
        let operation = asked.operation();
        let (id, fault, admitted) = shared.update(|state| {
            let faults = state.faults.entry(operation).or_default();
            let fault = faults.take(&asked.key());
            let id = record(state, &asked, &fault, (arrived, caller));
            let admitted = if state.denied.contains(&operation) {
                Err(denial(operation))
            } else {
                let limit = state.limits.entry(operation).or_default();
                limit.throttle(arrived)
            };
            (id, fault, admitted)
        });
        Self {
            shared,
            id,
            asked,
            fault,
            admitted,
            released,
        }
    }

    pub(super) async fn run(mut self) -> Result<Reply, ConnectionDrop> {
        if let Err(failure) = self.admitted.clone() {
            return Ok(self.refused(&failure));
        }
        match std::mem::replace(&mut self.fault, Fault::None) {
            Fault::None => Ok(self.plain()),
            Fault::Latency(duration) => {
                tokio::time::sleep(duration).await;
                Ok(self.plain())
            }
            Fault::Error(failure) => Ok(self.refused(&failure)),
            Fault::ErrorAfter(failure) => {
                let applied = self.apply().is_ok();
                self.end(Outcome::Lost { applied });
                Ok(failed(&failure))
            }
            Fault::DropBefore => Err(self.lost(false)),
            Fault::DropAfter => {
                let applied = self.apply().is_ok();
                Err(self.lost(applied))
            }
            Fault::HangBefore => {
                self.hang().await;
                Ok(self.plain())
            }
            Fault::HangAfter => {
                let result = self.apply();
                self.hang().await;
                Ok(self.reply(result))
            }
            Fault::LandLate(duration) => {
                let (shared, id) = (Arc::clone(&self.shared), self.id);
                let asked = self.asked.clone();
                let mut changed = shared.changed.subscribe();
                tokio::spawn(async move {
                    tokio::time::sleep(duration).await;
                    let gone = || shared.read(|state| state.record.is_abandoned(id));
                    // An error means that the server has ended, and this task ends with the server.
                    let _ = changed.wait_for(|_| gone()).await;
                    // Ignore a refusal: the client is gone.
                    let _ = shared.update(|state| apply(state, id, &asked));
                });
                std::future::pending().await
            }
            Fault::Garbage { status, applied } => {
                let applied = applied && self.apply().is_ok();
                self.end(Outcome::Lost { applied });
                Ok(garbage(status))
            }
            Fault::Truncated { applied } => {
                let applied = applied && self.apply().is_ok();
                self.end(Outcome::Lost { applied });
                Ok(truncated())
            }
        }
    }

    /// Answers like a server without faults.
    fn plain(&self) -> Reply {
        let result = self.apply();
        self.reply(result)
    }

    fn reply(&self, result: Result<Value, Failure>) -> Reply {
        match result {
            Ok(answer) => {
                self.end(Outcome::Applied);
                succeeded(&answer)
            }
            Err(failure) => self.refused(&failure),
        }
    }

    fn refused(&self, failure: &Failure) -> Reply {
        self.end(Outcome::Refused(failure.code.clone().unwrap_or_default()));
        failed(failure)
    }

    fn lost(&self, applied: bool) -> ConnectionDrop {
        self.end(Outcome::Lost { applied });
        ConnectionDrop
    }

    async fn hang(&mut self) {
        // An error means that the server has ended, and this task ends with the server.
        let _ = self.released.changed().await;
    }

    fn apply(&self) -> Result<Value, Failure> {
        self.shared
            .update(|state| apply(state, self.id, &self.asked))
    }

    fn end(&self, outcome: Outcome) {
        self.shared
            .update(|state| state.record.ended(self.id, outcome));
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let id = self.id;
        if self.shared.read(|state| state.record.is_in_flight(id)) {
            self.shared.update(|state| state.record.closed(id));
        }
    }
}

/// Adds the call to the record. Returns the id of the call.
fn record(
    state: &mut State,
    asked: &Asked,
    fault: &Fault,
    (arrived, caller): (Instant, Caller),
) -> u64 {
    let Caller {
        user_agent,
        access_key,
        region,
    } = caller;
    let (id, ended, abandoned) = (0, None, false);
    let (outcome, fault) = (Outcome::InFlight { applied: false }, fault.clone());
    match asked.entry() {
        Entry::Set {
            key,
            password,
            permanent,
        } => state.record.arrived(Call {
            id,
            arrived,
            ended,
            pool: key.pool.clone(),
            username: key.username.clone(),
            password: password.to_owned(),
            permanent,
            outcome,
            fault,
            abandoned,
            user_agent,
            access_key,
            region,
        }),
        Entry::Other { pool, subject } => state.record.other_arrived(OtherCall {
            id,
            arrived,
            ended,
            operation: asked.operation(),
            pool: pool.to_owned(),
            subject,
            outcome,
            fault,
            abandoned,
            user_agent,
            access_key,
            region,
        }),
    }
}

/// Lets the call have its effect, and marks the call as applied.
fn apply(state: &mut State, id: u64, asked: &Asked) -> Result<Value, Failure> {
    let answer = asked.apply(&mut state.model)?;
    state.record.applied(id);
    Ok(answer)
}
