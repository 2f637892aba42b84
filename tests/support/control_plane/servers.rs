//! The servers and their flags.

use std::path::Path;

use super::super::ports::free_port;
use super::super::process::{Process, Spec};
use super::super::tools::{self, Tool};
use super::ControlPlane;
use super::access::user_of;

impl ControlPlane {
    pub(super) fn spawn_api_server(&self) -> Process {
        let certificates = &self.certificates;
        let issuer = "https://kubernetes.default.svc";
        self.spec("kube-apiserver", Tool::KubeApiserver)
            .arg(format!("--etcd-servers={}", loopback(self.etcd_ports[0])))
            .arg("--bind-address=127.0.0.1")
            .arg("--advertise-address=127.0.0.1")
            .arg(format!("--secure-port={}", self.port))
            .arg("--endpoint-reconciler-type=none")
            .arg(flag("cert-dir", &self.directory))
            .arg(flag("tls-cert-file", &certificates.server.certificate))
            .arg(flag("tls-private-key-file", &certificates.server.key))
            .arg(flag("client-ca-file", &certificates.ca))
            .arg(format!("--service-account-issuer={issuer}"))
            .arg(format!("--api-audiences={issuer}"))
            .arg(flag(
                "service-account-key-file",
                &certificates.service_account_public_key,
            ))
            .arg(flag(
                "service-account-signing-key-file",
                &certificates.service_account_key,
            ))
            .arg("--authorization-mode=RBAC")
            .arg("--service-cluster-ip-range=10.0.0.0/24")
            .arg("--disable-admission-plugins=ServiceAccount,TaintNodesByCondition")
            .arg("--allow-privileged=true")
            .arg(flag("audit-policy-file", &self.audit_policy()))
            .arg(flag("audit-log-path", &self.audit_log()))
            // In megabytes: one file without rotation, whatever a test logs.
            .arg("--audit-log-maxsize=100000")
            .spawn()
    }

    /// Starts the controller manager with the controllers for namespaces, owned objects and aggregated roles, and
    /// with `more`.
    pub(super) fn spawn_controller_manager(&self, more: &[&str]) -> Process {
        let controllers = [
            "garbage-collector-controller",
            "namespace-controller",
            "clusterrole-aggregation-controller",
            "serviceaccount-controller",
        ];
        let controllers = [&controllers[..], more].concat().join(",");
        let user = user_of(&self.certificates.controller_manager);
        let kubeconfig = self.write_kubeconfig("controller-manager", &user);
        self.spec("kube-controller-manager", Tool::KubeControllerManager)
            .arg(flag("kubeconfig", &kubeconfig))
            // Each controller uses the rights of its own service account, as in a real cluster.
            .arg("--use-service-account-credentials=true")
            .arg("--leader-elect=false")
            .arg("--bind-address=127.0.0.1")
            .arg(format!("--secure-port={}", free_port()))
            .arg(format!("--controllers={controllers}"))
            .spawn()
    }

    pub(super) fn spawn_scheduler(&self) -> Process {
        self.spec("kube-scheduler", Tool::KubeScheduler)
            .arg(flag("kubeconfig", &self.kubeconfig_path()))
            .arg("--leader-elect=false")
            .arg("--bind-address=127.0.0.1")
            .arg(format!("--secure-port={}", free_port()))
            .spawn()
    }

    /// Starts kwok, which says of every node that the node is ready, and of every pod on a node that the pod runs.
    pub(super) fn spawn_kwok(&self) -> Process {
        self.spec("kwok", Tool::Kwok)
            .arg(flag("kubeconfig", &self.kubeconfig_path()))
            .arg("--manage-all-nodes=true")
            .arg(flag(
                "config",
                &tools::checkout().join("tests/tools/kwok/stages.yaml"),
            ))
            .arg(format!("--server-address=127.0.0.1:{}", free_port()))
            .spawn()
    }

    fn spec(&self, name: &str, tool: Tool) -> Spec {
        let log = self.directory.join(format!("{name}.log"));
        Spec::new(name, &tools::path(tool), log)
    }
}

/// Starts etcd. `ports` are for clients and for peers; there are no peers.
pub(super) fn etcd(directory: &Path, ports: [u16; 2]) -> Process {
    let [client, peer] = ports.map(loopback);
    let log = directory.join("etcd.log");
    Spec::new("etcd", &tools::path(Tool::Etcd), log)
        .arg("--name=default")
        .arg(flag("data-dir", &directory.join("etcd")))
        .arg(format!("--listen-client-urls={client}"))
        .arg(format!("--advertise-client-urls={client}"))
        .arg(format!("--listen-peer-urls={peer}"))
        .arg(format!("--initial-advertise-peer-urls={peer}"))
        .arg(format!("--initial-cluster=default={peer}"))
        // The data is thrown away, so etcd need not wait for the disk.
        .arg("--unsafe-no-fsync")
        .arg("--quota-backend-bytes=4294967296")
        .arg("--log-level=warn")
        .spawn()
}

fn flag(name: &str, path: &Path) -> String {
    format!("--{name}={}", path.display())
}

fn loopback(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}
