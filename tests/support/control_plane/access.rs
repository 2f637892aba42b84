//! The ways in: clients, kubectl, tokens and kubeconfigs.

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
    /// May do everything.
    pub(crate) fn kubeconfig_path(&self) -> PathBuf {
        self.kubeconfig("admin")
    }

    /// A new client of an administrator. Every test asks for its own: a client lives on the runtime
    /// that made it, and each test has its own runtime.
    pub(crate) async fn client(&self) -> kube::Client {
        client_for(&self.kubeconfig_path()).await
    }

    /// Runs kubectl as administrator from the checkout's root; panics with its stderr if it fails.
    pub(crate) fn kubectl(&self, args: &[&str]) -> String {
        self.try_kubectl(args, "")
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// The same with something to read from `-f -`.
    pub(crate) fn kubectl_stdin(&self, args: &[&str], stdin: &str) -> String {
        self.try_kubectl(args, stdin)
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// The same for what is meant to be refused: the error carries kubectl's stderr.
    pub(crate) fn try_kubectl(&self, args: &[&str], stdin: &str) -> Result<String, String> {
        let mut child = Command::new(tools::path(Tool::Kubectl))
            .args(args)
            .current_dir(tools::checkout())
            .env("KUBECONFIG", self.kubeconfig_path())
            // kubectl remembers by host and port what an API server offers: ours come and go.
            .env("KUBECACHEDIR", self.directory.join("kubectl-cache"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("could not start kubectl: {error}"))?;
        if let Some(mut pipe) = child.stdin.take() {
            // A kubectl that fails early doesn't read all of it; its stderr says why.
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

    /// A token for a service account (by `TokenRequest`), good for a day.
    pub(crate) fn token_for(&self, namespace: &str, service_account: &str) -> String {
        let args = ["create", "token", service_account, "--duration=24h", "-n"];
        let token = self.kubectl(&[&args[..], &[namespace]].concat());
        token.trim().to_owned()
    }

    /// Writes a kubeconfig that presents this token. `name` is the file's.
    pub(crate) fn kubeconfig_for_token(&self, name: &str, token: &str) -> PathBuf {
        self.kubeconfig_for_token_at(&self.url(), name, token)
    }

    /// The same that leads to this address: a proxy's.
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

/// A client as whoever this kubeconfig says.
pub(crate) async fn client_for(kubeconfig: &Path) -> kube::Client {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).expect("we wrote this kubeconfig");
    let config =
        kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    let mut config = config.expect("we wrote this kubeconfig");
    // The machine may be set up with one, and kube would send even loopback there.
    config.proxy_url = None;
    kube::Client::try_from(config).expect("TLS can be set up")
}

/// Who presents this certificate.
pub(super) fn user_of(pair: &Pair) -> Value {
    json!({ "client-certificate": pair.certificate, "client-key": pair.key })
}
