//! Runs the operator as a process, with the rights of its own service account: a right that deploy/ lacks
//! fails a test.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::control_plane::ControlPlane;
use super::leaks::Remains;
use super::ports::free_port;
use super::process::{Exit, Process, Signal, Spec};
use super::scratch::{random_suffix, scratch};
use super::{http, metrics};

/// The namespace and the service account in deploy/.
pub(crate) const NAMESPACE: &str = "cognito-password-operator";
pub(crate) const SERVICE_ACCOUNT: &str = "cognito-password-operator";
/// The name of the service account in the API server's audit log.
pub(crate) const USER: &str =
    "system:serviceaccount:cognito-password-operator:cognito-password-operator";

/// How to start the operator. One builder may start many operators: after a crash, or for two replicas.
#[derive(Clone, Debug)]
pub(crate) struct OperatorBuilder<'a> {
    control_plane: &'a ControlPlane,
    binary: Option<PathBuf>,
    kubeconfig: Option<PathBuf>,
    manifests: String,
    env: Vec<(String, String)>,
    args: Vec<String>,
    credentials: bool,
    leader_elect: bool,
    home: String,
    port: Option<u16>,
    grace: Duration,
    remains: Arc<Remains>,
}

impl OperatorBuilder<'_> {
    /// The program to run; needed only outside of tests, where cargo does not provide the path.
    pub(crate) fn binary(mut self, binary: &Path) -> Self {
        self.binary = Some(binary.to_owned());
        self
    }

    /// Uses another identity than the service account.
    pub(crate) fn kubeconfig(mut self, kubeconfig: &Path) -> Self {
        self.kubeconfig = Some(kubeconfig.to_owned());
        self
    }

    /// What the operators of this builder leave behind.
    pub(crate) fn remains(&self) -> &Arc<Remains> {
        &self.remains
    }

    /// Installs other manifests than `deploy/`.
    pub(crate) fn manifests(mut self, manifests: &str) -> Self {
        manifests.clone_into(&mut self.manifests);
        self
    }

    /// Watches only these namespaces; the default is all.
    pub(crate) fn namespaces(self, namespaces: &[&str]) -> Self {
        self.arg("--watch-namespaces").arg(namespaces.join(","))
    }

    /// The URL of Cognito and STS: moto's or the fault server's.
    pub(crate) fn cognito(self, url: impl Into<String>) -> Self {
        let url = url.into();
        self.env("AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER", &url)
            .env("AWS_ENDPOINT_URL_STS", url)
    }

    pub(crate) fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    pub(crate) fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Runs without any AWS credentials.
    pub(crate) fn no_credentials(mut self) -> Self {
        self.credentials = false;
        self
    }

    /// Elects a leader, as deploy/ does. Without an election, operators of many tests can run side by side.
    pub(crate) fn leader_elect(mut self) -> Self {
        self.leader_elect = true;
        self
    }

    /// Another namespace for the Lease and the fingerprint keys than that of `deploy/`.
    pub(crate) fn home(mut self, namespace: &str) -> Self {
        namespace.clone_into(&mut self.home);
        self
    }

    /// Serves probes and metrics on this port, as the containers of one pod do. The default is a new port for
    /// each operator.
    pub(crate) fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// How long a dropped operator may take to shut down before SIGKILL.
    pub(crate) fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Installs the manifests if the control plane does not have them yet, and starts the operator. The
    /// operator may not be ready when this returns: see [`Operator::wait_ready`].
    #[allow(
        clippy::unused_async,
        reason = "may have to wait for the API server some day"
    )]
    pub(crate) async fn start(&self) -> Operator {
        self.control_plane.install(&self.manifests);
        let kubeconfig = self.kubeconfig.clone().unwrap_or_else(|| {
            let token = self.control_plane.token_for(NAMESPACE, SERVICE_ACCOUNT);
            let name = format!("operator-{}", random_suffix());
            self.control_plane.kubeconfig_for_token(&name, &token)
        });
        let binary = self.binary.clone().unwrap_or_else(|| {
            option_env!("CARGO_BIN_EXE_cognito-password-operator")
                .map(PathBuf::from)
                .expect("outside of cargo's tests `binary` says where the operator is")
        });
        let port = self.port.unwrap_or_else(free_port);
        let credentials: &[(&str, &str)] = if self.credentials {
            &[
                ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
                ("AWS_SECRET_ACCESS_KEY", "test-secret-access-key"),
            ]
        } else {
            &[("AWS_EC2_METADATA_DISABLED", "true")]
        };
        let mut spec = Spec::new("operator", &binary, scratch("operator").join("log"))
            .clean_env()
            .grace(self.grace)
            .env("KUBECONFIG", kubeconfig.display().to_string());
        for (name, value) in credentials {
            spec = spec.env(*name, *value);
        }
        for (name, value) in &self.env {
            spec = spec.env(name, value);
        }
        let process = spec
            .arg("run")
            .arg("--listen")
            .arg(format!("127.0.0.1:{port}"))
            .args(["--operator-namespace", &self.home, "--log-format", "json"])
            .args((!self.leader_elect).then_some("--leader-elect=false"))
            .args(self.args.iter().cloned())
            .spawn();
        let number = self.remains.add(process.pid(), port, process.log_path());
        Operator {
            process,
            port,
            remains: Arc::clone(&self.remains),
            number,
        }
    }
}

/// A started operator. A drop sends SIGTERM, and SIGKILL after the grace period.
#[derive(Debug)]
pub(crate) struct Operator {
    process: Process,
    port: u16,
    remains: Arc<Remains>,
    /// This operator's number in `remains`.
    number: usize,
}

impl Operator {
    pub(crate) fn builder(control_plane: &ControlPlane) -> OperatorBuilder<'_> {
        OperatorBuilder {
            control_plane,
            binary: None,
            kubeconfig: None,
            manifests: "deploy/".to_owned(),
            env: Vec::new(),
            args: Vec::new(),
            credentials: true,
            leader_elect: false,
            home: NAMESPACE.to_owned(),
            port: None,
            grace: Duration::from_secs(5),
            remains: Arc::default(),
        }
    }

    pub(crate) fn pid(&self) -> i32 {
        self.process.pid()
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Waits until `/readyz` answers 200. Panics with the log if the operator ends or takes too long.
    pub(crate) async fn wait_ready(&self, deadline: Duration) {
        let started = Instant::now();
        loop {
            let answer = self.try_get("/readyz").await;
            if let Ok((200, _)) = answer {
                return;
            }
            let exit = self.process.exit();
            assert!(
                exit.is_none() && started.elapsed() < deadline,
                "the operator is not ready after {:?} (/readyz: {answer:?}, ended: {exit:?}); \
                 its log:\n{}",
                started.elapsed(),
                self.process.log_tail()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// GET on the operator's own server; returns status and body.
    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        self.try_get(path).await.unwrap_or_else(|error| {
            panic!("{error}; the operator's log:\n{}", self.process.log_tail())
        })
    }

    /// GET on an operator that may not answer.
    pub(crate) async fn try_get(&self, path: &str) -> Result<(u16, String), String> {
        http::get(self.port, path).await
    }

    pub(crate) async fn metrics(&self) -> String {
        let (status, body) = self.get("/metrics").await;
        assert_eq!(status, 200, "GET /metrics: {body}");
        body
    }

    /// The sum of all samples of a metric with these labels; zero if there are none.
    pub(crate) async fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        metrics::value(&self.metrics().await, name, labels).unwrap_or(0.0)
    }

    /// Everything that the operator wrote to stdout and stderr.
    pub(crate) fn logs(&self) -> String {
        self.process.logs()
    }

    /// The exit status, if the operator has ended.
    pub(crate) fn exit(&self) -> Option<Exit> {
        self.process.exit()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        if [Signal::TERM, Signal::INT].contains(&signal) {
            self.look();
        }
        self.process.signal(signal);
    }

    /// Records the operator's answers for the search for leaks. Not used before SIGKILL, which must be
    /// immediate.
    fn look(&self) {
        if self.process.is_running() && !self.process.is_stopped() {
            self.remains.look(self.number);
        }
    }

    /// Sends SIGSTOP; the process has stopped when this returns. [`resume`](Self::resume) continues it.
    pub(crate) fn pause(&self) {
        self.process.pause();
    }

    pub(crate) fn resume(&self) {
        self.process.signal(Signal::CONT);
    }

    /// Sends SIGKILL; the process is gone when this returns.
    pub(crate) fn kill(&self) {
        self.process.kill();
    }

    /// Sends SIGTERM and waits. Panics with the log if the process still runs after `deadline`.
    pub(crate) async fn terminate(&self, deadline: Duration) -> Exit {
        self.signal(Signal::TERM);
        self.ended(deadline).await
    }

    /// Waits for the operator to end by itself.
    pub(crate) async fn ended(&self, deadline: Duration) -> Exit {
        self.process
            .ended(deadline)
            .await
            .unwrap_or_else(|error| panic!("{error}"))
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.look();
        self.remains.ended(self.number);
    }
}
