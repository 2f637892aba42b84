//! The record of the calls of other operations than `AdminSetUserPassword`.

use std::time::Duration;

use super::record::render_others;
use super::{FaultServer, Operation, OtherCall};

impl FaultServer {
    /// All calls of an operation in the order of their arrival. Empty for `AdminSetUserPassword`, whose calls
    /// are in [`calls`](Self::calls).
    pub(crate) fn calls_of(&self, operation: Operation) -> Vec<OtherCall> {
        self.shared
            .read(|state| state.record.others(operation).to_vec())
    }

    /// The calls of `ListUsers`: pages and lookups.
    pub(crate) fn list_calls(&self) -> Vec<OtherCall> {
        self.calls_of(Operation::ListUsers)
    }

    /// The calls of `AdminUserGlobalSignOut`.
    pub(crate) fn sign_outs(&self) -> Vec<OtherCall> {
        self.calls_of(Operation::AdminUserGlobalSignOut)
    }

    /// The number of calls of an operation, without a copy of all calls: for long runs.
    pub(crate) fn count_of(&self, operation: Operation) -> usize {
        self.shared
            .read(|state| state.record.others(operation).len())
    }

    /// Waits until `count` calls of an operation have arrived; the calls may not be answered yet. Panics after
    /// `deadline`.
    pub(crate) async fn wait_for_calls_of(
        &self,
        operation: Operation,
        count: usize,
        deadline: Duration,
    ) {
        let what = format!("{count} {}", operation.name());
        let enough = |calls: &[OtherCall]| calls.len() >= count;
        self.wait_until_of(operation, &what, deadline, enough).await;
    }

    /// Waits until the calls of an operation so far match `wanted`; checks whenever a call arrives or ends.
    /// Panics after `deadline`.
    pub(crate) async fn wait_until_of(
        &self,
        operation: Operation,
        what: &str,
        deadline: Duration,
        wanted: impl Fn(&[OtherCall]) -> bool,
    ) {
        let holds = || {
            self.shared
                .read(|state| wanted(state.record.others(operation)))
        };
        let mut changed = self.shared.changed.subscribe();
        let wait = tokio::time::timeout(deadline, changed.wait_for(|_| holds())).await;
        assert!(
            wait.is_ok(),
            "no {what} after {deadline:?}; {} so far: {}",
            operation.name(),
            render_others(&self.calls_of(operation))
        );
    }
}
