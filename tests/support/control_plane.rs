//! A real Kubernetes API server with its etcd, on loopback, for tests and the demo.
//!
//! There is no kubelet, so pods don't run. Everything else is real: RBAC, CRDs with their CEL rules,
//! server-side apply, tokens, admission. A test starts the controller manager only if the test needs deleted
//! namespaces to go or owned objects to be collected, and the scheduler and kwok only if Deployments must
//! become available.

mod access;
mod servers;

use std::collections::HashSet;
use std::future::Future;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, OnceLock};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::api::{Api, ObjectMeta, PostParams};
use serde_json::Value;

use super::audit::{self, AuditQuery, Mark, Version};
use super::certificates::Certificates;
use super::ports::free_port;
use super::process::{Process, Signal, lock};
use super::scratch::{random_suffix, scratch, write_private};
use super::wait::eventually;

pub(crate) use access::client_for;

/// On two busy cores the API server needs 3 to 10 s. Four API servers on one busy core need minutes.
const START_DEADLINE: Duration = Duration::from_mins(5);

#[derive(Debug)]
pub(crate) struct ControlPlane {
    // Fields drop in this order: clients before servers, so that no client logs a lost server.
    pods: OnceLock<[Process; 2]>,
    controller_manager: OnceLock<Process>,
    api_server: Mutex<Option<Process>>,
    etcd: Mutex<Option<Process>>,
    etcd_ports: [u16; 2],
    port: u16,
    directory: PathBuf,
    certificates: Certificates,
    /// The manifests that were applied.
    installed: Mutex<HashSet<String>>,
    /// How much of the audit log [`new_versions`](Self::new_versions) has read.
    versions_read: Mutex<u64>,
}

impl ControlPlane {
    /// Starts a control plane for one test, which may stop or fill it. Other tests use [`shared`].
    ///
    /// [`shared`]: Self::shared
    pub(crate) fn start() -> Self {
        let directory = scratch("control-plane");
        let certificates = Certificates::generate(&directory);
        let etcd_ports = [free_port(), free_port()];
        let control_plane = Self {
            pods: OnceLock::new(),
            controller_manager: OnceLock::new(),
            api_server: Mutex::new(None),
            etcd: Mutex::new(Some(servers::etcd(&directory, etcd_ports))),
            etcd_ports,
            port: free_port(),
            directory,
            certificates,
            installed: Mutex::default(),
            versions_read: Mutex::default(),
        };
        write_private(&control_plane.audit_policy(), audit::POLICY);
        control_plane
            .write_kubeconfig("admin", &access::user_of(&control_plane.certificates.admin));
        // The caller may run inside of a runtime or without any.
        on_a_runtime_of_its_own(|| control_plane.start_api_server());
        control_plane
    }

    /// The control plane that most tests share. Each test has namespaces of its own.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: LazyLock<ControlPlane> = LazyLock::new(ControlPlane::start);
        &SHARED
    }

    pub(crate) fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// Creates a namespace with a unique name.
    pub(crate) async fn new_namespace(&self, prefix: &str) -> String {
        let name = format!("{prefix}-{}", random_suffix());
        let namespace = Namespace {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                ..ObjectMeta::default()
            },
            ..Namespace::default()
        };
        Api::all(self.client().await)
            .create(&PostParams::default(), &namespace)
            .await
            .unwrap_or_else(|error| panic!("could not create namespace {name}: {error}"));
        name
    }

    /// Applies `deploy/` or one of its variants, each once per control plane, and waits until the CRDs are
    /// served. The API server must accept the manifests without a warning. Empty: a test has installed otherwise.
    pub(crate) fn install(&self, manifests: &str) {
        let mut installed = lock(&self.installed);
        if !manifests.is_empty() && !installed.contains(manifests) {
            self.kubectl(&["apply", "--warnings-as-errors", "-k", manifests]);
            let wait = ["wait", "--for=condition=Established", "--timeout=2m"];
            self.kubectl(&[&wait[..], &["crd", "--all"]].concat());
            installed.insert(manifests.to_owned());
        }
    }

    /// For tests that need deleted namespaces to go, owned objects to be collected, or roles to be
    /// aggregated.
    pub(crate) async fn start_controller_manager(&self) {
        self.start_controllers(&[]).await;
    }

    /// For tests that need Deployments to become available: the controllers that make pods, a scheduler, a node,
    /// and kwok, which says that the pods run.
    pub(crate) async fn start_pods(&self) {
        let more = [
            "deployment-controller",
            "replicaset-controller",
            "disruption-controller",
        ];
        self.start_controllers(&more).await;
        let node = r#"{ "apiVersion": "v1", "kind": "Node", "metadata": { "name": "node", "labels": {
            "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64", "kubernetes.io/hostname": "node" } } }"#;
        self.kubectl_stdin(&["apply", "-f", "-"], node);
        self.pods
            .get_or_init(|| [self.spawn_scheduler(), self.spawn_kwok()]);
        self.kubectl(&["wait", "node/node", "--for=condition=Ready", "--timeout=5m"]);
    }

    async fn start_controllers(&self, more: &[&str]) {
        let client = self.client().await;
        self.controller_manager
            .get_or_init(|| self.spawn_controller_manager(more));
        // The default service account is the first visible work of the controller manager.
        let accounts: Api<ServiceAccount> = Api::namespaced(client, "default");
        eventually(START_DEADLINE, async || {
            match accounts.get("default").await {
                Ok(_) => Ok(()),
                Err(error) => Err(format!(
                    "the controller manager made no default service account: {error}\n{}",
                    self.controller_manager
                        .get()
                        .map(Process::log_tail)
                        .unwrap_or_default()
                )),
            }
        })
        .await;
    }

    /// Simulates an outage: SIGKILL. Connections break, and etcd keeps the data.
    pub(crate) fn stop_api_server(&self) {
        drop(lock(&self.api_server).take());
    }

    /// Starts the API server (again), with the same port and data. Returns when the API server is ready.
    pub(crate) async fn start_api_server(&self) {
        lock(&self.api_server).get_or_insert_with(|| self.spawn_api_server());
        let started = Instant::now();
        loop {
            let not_ready = match self.ask_readyz().await {
                Ok(()) => return,
                Err(error) => error,
            };
            let (ended, log) = match &*lock(&self.api_server) {
                Some(process) => (process.exit(), process.log_tail()),
                None => panic!("the API server was stopped while it was being waited for"),
            };
            assert!(
                ended.is_none() && started.elapsed() < START_DEADLINE,
                "the API server is not ready ({not_ready}); ended: {ended:?}; its log:\n{log}\n\
                 etcd's log:\n{}",
                lock(&self.etcd)
                    .as_ref()
                    .map(Process::log_tail)
                    .unwrap_or_default()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Stops the API server's answers, but keeps the connections: worse than an outage for a client without
    /// timeouts. [`resume_api_server`](Self::resume_api_server) ends the freeze.
    pub(crate) fn freeze_api_server(&self) {
        if let Some(process) = &*lock(&self.api_server) {
            process.pause();
        }
    }

    pub(crate) fn resume_api_server(&self) {
        if let Some(process) = &*lock(&self.api_server) {
            process.signal(Signal::CONT);
        }
    }

    /// Kills etcd with SIGKILL; the data stays. The API server fails every request until [`start_etcd`].
    ///
    /// [`start_etcd`]: Self::start_etcd
    pub(crate) fn stop_etcd(&self) {
        drop(lock(&self.etcd).take());
    }

    /// Starts etcd (again), with the same ports and data. The API server reconnects by itself.
    pub(crate) fn start_etcd(&self) {
        lock(&self.etcd).get_or_insert_with(|| servers::etcd(&self.directory, self.etcd_ports));
    }

    pub(crate) fn etcd_pid(&self) -> Option<i32> {
        lock(&self.etcd).as_ref().map(Process::pid)
    }

    pub(super) fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    pub(crate) fn api_server_pid(&self) -> Option<i32> {
        lock(&self.api_server).as_ref().map(Process::pid)
    }

    /// All events of the audit log, as [`audit::POLICY`] selects them.
    pub(crate) fn audit_events(&self) -> Vec<Value> {
        self.audit(&AuditQuery::new())
    }

    pub(crate) fn audit(&self, query: &AuditQuery) -> Vec<Value> {
        query.run(&self.audit_log())
    }

    /// The current mark, for [`AuditQuery::since`].
    pub(crate) fn audit_mark(&self) -> Mark {
        audit::mark(&self.audit_log())
    }

    /// The raw log lines of service accounts' requests since the mark, if the line contains one of these
    /// names.
    pub(crate) fn audit_lines(&self, since: Mark, names: &[&str]) -> Vec<u8> {
        audit::lines(&self.audit_log(), since, names)
    }

    /// Every version of the operator's resources that the API server stored since this was last asked.
    pub(crate) fn new_versions(&self) -> Vec<Version> {
        let mut read = lock(&self.versions_read);
        let (versions, offset) = audit::versions(&self.audit_log(), *read);
        *read = offset;
        versions
    }

    fn audit_log(&self) -> PathBuf {
        self.directory.join("audit.log")
    }

    fn audit_policy(&self) -> PathBuf {
        self.directory.join("audit-policy.yaml")
    }

    async fn ask_readyz(&self) -> Result<(), String> {
        let request = hyper::Request::get("/readyz")
            .body(Vec::new())
            .expect("the request is well-formed");
        let client = self.client().await;
        let asked = client.request_text(request);
        match tokio::time::timeout(Duration::from_secs(20), asked).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("no answer within 20 s".to_owned()),
        }
    }
}

/// Runs a future to its end, on a new thread with its own runtime.
pub(super) fn on_a_runtime_of_its_own<F: Future<Output = ()>>(future: impl FnOnce() -> F + Send) {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime can be made")
                .block_on(future());
        });
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    });
}
