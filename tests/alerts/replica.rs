//! One pod of an installation: an operator behind a proxy of its own, restarted on the same port when the operator
//! ends.

use crate::support::{Exit, Operator, OperatorBuilder, Proxy, free_port};
use crate::world::SOON;

pub(crate) struct Replica {
    // Fields drop in this order: the operator before its proxy.
    operator: Option<Operator>,
    pub(crate) proxy: Proxy,
    builder: OperatorBuilder<'static>,
    pub(crate) pod: String,
    pub(crate) port: u16,
}

impl Replica {
    /// The replica need not be ready when this returns.
    pub(crate) async fn start(
        pod: String,
        proxy: Proxy,
        builder: OperatorBuilder<'static>,
    ) -> Self {
        let port = free_port();
        let mut replica = Self {
            operator: None,
            proxy,
            builder: builder.port(port),
            pod,
            port,
        };
        replica.begin().await;
        replica
    }

    /// Starts the operator, in the place of one that has ended.
    pub(crate) async fn begin(&mut self) {
        self.operator = None;
        self.operator = Some(self.builder.start().await);
    }

    pub(crate) async fn wait_ready(&self) {
        if let Some(operator) = &self.operator {
            operator.wait_ready(SOON).await;
        }
    }

    /// `kill -9`. The replica stays down until [`begin`](Self::begin).
    pub(crate) fn kill(&mut self) {
        if let Some(operator) = self.operator.take() {
            operator.kill();
        }
    }

    /// Ends the operator as a kubelet does, and starts an operator with other settings.
    pub(crate) async fn restart_with(&mut self, builder: OperatorBuilder<'static>) {
        if let Some(operator) = self.operator.take() {
            let exit = operator.terminate(SOON).await;
            assert!(exit.success(), "{exit:?}: {}", operator.logs());
        }
        self.builder = builder.port(self.port);
        self.begin().await;
    }

    /// Does what a kubelet does: starts an operator that has ended by itself. An operator may end by itself for one
    /// reason only: the operator has lost the Lease.
    pub(crate) async fn keep_running(&mut self) {
        let exit = self.operator.as_ref().and_then(Operator::exit);
        if let (Some(exit), Some(operator)) = (exit, &self.operator) {
            assert_eq!(exit, Exit::Code(3), "{}: {}", self.pod, operator.logs());
            self.begin().await;
        }
    }

    pub(crate) fn operator(&self) -> &Operator {
        self.operator.as_ref().expect("the replica runs")
    }

    /// The end of the log, for failure messages.
    pub(crate) fn log_tail(&self) -> String {
        let logs = self.operator.as_ref().map(Operator::logs);
        let logs = logs.unwrap_or_default();
        let lines: Vec<_> = logs.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }
}
