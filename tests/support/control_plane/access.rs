//! Access to the control plane: clients, kubectl, tokens and kubeconfigs.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};

use super::super::certificates::Pair;
use super::super::scratch::write_private;
use super::super::tools::{self, Tool};
use super::ControlPlane;

impl ControlPlane {
    /// The kubeconfig of the administrator, who may do everything.
    pub(crate) fn kubeconfig_path(&self) -> PathBuf {
        self.kubeconfig("admin")
    }

    /// A new client of the administrator. Every test needs its own client: a client lives on the runtime that
    /// made it, and each test has its own runtime.
    pub(crate) async fn client(&self) -> kube::Client {
        client_for(&self.kubeconfig_path()).await
    }

    /// Runs kubectl as administrator in the root of the checkout. Panics with kubectl's stderr if kubectl
    /// fails.
    pub(crate) fn kubectl(&self, args: &[&str]) -> String {
        self.try_kubectl(args, "")
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// Runs kubectl with this standard input, for `-f -`.
    pub(crate) fn kubectl_stdin(&self, args: &[&str], stdin: &str) -> String {
        self.try_kubectl(args, stdin)
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// Runs kubectl for a request that may be refused: the error contains kubectl's stderr.
    pub(crate) fn try_kubectl(&self, args: &[&str], stdin: &str) -> Result<String, String> {
        let mut child = Command::new(tools::path(Tool::Kubectl))
            .args(args)
            .current_dir(tools::checkout())
            .env("KUBECONFIG", self.kubeconfig_path())
            // kubectl caches the discovery of an API server by host and port, and test servers reuse ports.
            .env("KUBECACHEDIR", self.directory.join("kubectl-cache"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("could not start kubectl: {error}"))?;
        if let Some(mut pipe) = child.stdin.take() {
            // A kubectl that fails early does not read all of its input; its stderr has the reason.
            let _ = pipe.write_all(stdin.as_bytes());
        }
        let output = child
            .wait_with_output()
            .map_err(|error| format!("could not wait for kubectl: {error}"))?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            let stderr = String::from_utf8_lossy(&output.stderr);
            Err(format!("kubectl {}: {stderr}", args.join(" ")))
        }
    }

    /// A token of a service account from `TokenRequest`, valid for a day.
    pub(crate) fn token_for(&self, namespace: &str, service_account: &str) -> String {
        let args = ["create", "token", service_account, "--duration=24h", "-n"];
        let token = self.kubectl(&[&args[..], &[namespace]].concat());
        token.trim().to_owned()
    }

    /// Writes a kubeconfig with this token. `name` is the name of the file.
    pub(crate) fn kubeconfig_for_token(&self, name: &str, token: &str) -> PathBuf {
        self.kubeconfig_for_token_at(&self.url(), name, token)
    }

    /// Writes a kubeconfig with this token and another address, such as a proxy's.
    pub(crate) fn kubeconfig_for_token_at(&self, url: &str, name: &str, token: &str) -> PathBuf {
        self.write_kubeconfig_at(url, name, &json!({ "token": token }))
    }

    pub(super) fn kubeconfig(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.kubeconfig"))
    }

    pub(super) fn write_kubeconfig(&self, name: &str, user: &Value) -> PathBuf {
        self.write_kubeconfig_at(&self.url(), name, user)
    }

    fn write_kubeconfig_at(&self, url: &str, name: &str, user: &Value) -> PathBuf {
        let cluster = json!({
            "server": url,
            "certificate-authority": self.certificates.ca,
        });
        let kubeconfig = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{ "name": "test", "cluster": cluster }],
            "users": [{ "name": "test", "user": user }],
            "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test" } }],
        });
        let path = self.kubeconfig(name);
        write_private(&path, &kubeconfig.to_string());
        path
    }
}

/// A client with the identity of this kubeconfig.
pub(crate) async fn client_for(kubeconfig: &Path) -> kube::Client {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).expect("we wrote this kubeconfig");
    let config =
        kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    let mut config = config.expect("we wrote this kubeconfig");
    // The machine may have a proxy configured, and kube would send even loopback requests to the proxy.
    config.proxy_url = None;
    kube::Client::try_from(config).expect("TLS can be set up")
}

/// The user of a kubeconfig that presents this certificate.
pub(super) fn user_of(pair: &Pair) -> Value {
    json!({ "client-certificate": pair.certificate, "client-key": pair.key })
}
