//! An operator behind a proxy of its own. A drill kills and restarts the operator.

use std::time::Duration;

use crate::book::MARKER;
use crate::scene::Scene;
use crate::support::{Exit, Operator, OperatorBuilder, Proxy};

/// The limit for an operator to become ready under all faults.
const PATIENCE: Duration = Duration::from_mins(5);

pub(crate) struct Replica {
    // Fields drop in this order: the operator before the servers that the operator uses.
    operator: Option<Operator>,
    pub(crate) proxy: Proxy,
    builder: OperatorBuilder<'static>,
    /// The first letters of the access keys of all processes of this replica.
    name: &'static str,
    /// How many processes were started so far.
    processes: usize,
    /// The last lines in the log of the previous process.
    earlier: String,
    leaked: bool,
}

impl Replica {
    /// Starts a replica. The operator is ready when this returns.
    pub(crate) async fn start(
        scene: &Scene,
        name: &'static str,
        adjust: impl FnOnce(OperatorBuilder<'static>) -> OperatorBuilder<'static>,
    ) -> Self {
        let proxy = Proxy::start(scene.world.plane);
        let identity = format!("{name}-{}", scene.world.namespace);
        let kubeconfig = proxy.kubeconfig(scene.world.plane, &identity, &scene.token);
        let mut replica = Self {
            operator: None,
            proxy,
            builder: adjust(scene.builder().kubeconfig(&kubeconfig)),
            name,
            processes: 0,
            earlier: String::new(),
            leaked: false,
        };
        replica.begin().await;
        replica.wait_ready().await;
        replica
    }

    /// Sends SIGKILL. When this returns, the process is gone and the scene has noted the kill.
    pub(crate) fn kill(&mut self, scene: &Scene) {
        if let Some(operator) = self.operator.take() {
            operator.kill();
            scene.book.ended();
            self.keep(&operator);
        }
    }

    /// Sends SIGTERM, and waits until the operator has ended.
    pub(crate) async fn end(mut self) {
        if let Some(operator) = self.operator.take() {
            let exit = operator.terminate(PATIENCE).await;
            assert!(exit.success(), "{exit:?}: {}", operator.logs());
            self.keep(&operator);
            assert!(!self.leaked, "a password is in its log");
        }
    }

    /// Waits until the operator ends by itself, because the operator has lost its lease. The operator ends at
    /// once, so the outcomes of its last calls may not be on record.
    pub(crate) async fn lost_the_lease(&mut self, scene: &Scene) {
        if let Some(operator) = self.operator.take() {
            let exit = operator.ended(PATIENCE).await;
            assert_eq!(exit, Exit::Code(3), "{}", operator.logs());
            scene.book.ended();
            self.keep(&operator);
        }
    }

    fn keep(&mut self, operator: &Operator) {
        let logs = operator.logs();
        self.leaked |= logs.contains(MARKER);
        self.earlier = tail(&logs);
    }

    /// Starts the next process; the process may not be ready when this returns. Each process has an access
    /// key of its own, by which the drill tells the calls of the processes apart.
    pub(crate) async fn begin(&mut self) {
        self.processes += 1;
        let key = format!("AKIA{}{:04}", self.name.to_uppercase(), self.processes);
        let builder = self.builder.clone().env("AWS_ACCESS_KEY_ID", key);
        self.operator = Some(builder.start().await);
    }

    pub(crate) async fn wait_ready(&self) {
        self.operator().wait_ready(PATIENCE).await;
    }

    pub(crate) fn operator(&self) -> &Operator {
        self.operator.as_ref().expect("it was started again")
    }

    /// Whether the operator leads, by its own metric.
    pub(crate) async fn leads(&self) -> bool {
        let metric = "cognito_password_operator_leader";
        self.operator().metric(metric, &[]).await > 0.5
    }

    /// Whether the log or the metrics of the operator contain a password, or the log of any earlier process
    /// did.
    pub(crate) async fn leaks(&self) -> bool {
        let operator = self.operator();
        self.leaked || operator.logs().contains(MARKER) || operator.metrics().await.contains(MARKER)
    }

    pub(crate) fn log_tail(&self) -> String {
        let logs = self.operator.as_ref().map(Operator::logs);
        let now = tail(&logs.unwrap_or_default());
        if self.earlier.is_empty() {
            return now;
        }
        format!("{}\n(ended, and started again)\n{now}", self.earlier)
    }
}

fn tail(logs: &str) -> String {
    let lines: Vec<_> = logs.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}
