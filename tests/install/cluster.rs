//! A cluster with nodes and pods, and Helm as its user.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::support::{
    ControlPlane, scratch,
    tools::{self, Tool},
};

/// For durations that no test measures, on a busy machine.
pub(crate) const SOON: Duration = Duration::from_mins(3);

/// The release, and its namespace.
pub(crate) const NAME: &str = "cognito-password-operator";

pub(crate) struct Cluster {
    pub(crate) plane: ControlPlane,
    helm: Tool,
    home: PathBuf,
}

impl Cluster {
    /// A cluster whose namespace for the operator admits only what the Pod Security Standard `restricted`
    /// allows.
    pub(crate) async fn start(helm: Tool) -> Self {
        let plane = ControlPlane::start();
        plane.start_pods().await;
        let cluster = Self {
            plane,
            helm,
            home: scratch("helm"),
        };
        cluster.namespace(NAME);
        let label = "pod-security.kubernetes.io/enforce=restricted";
        cluster.plane.kubectl(&["label", "namespace", NAME, label]);
        cluster
    }

    pub(crate) fn namespace(&self, name: &str) {
        self.plane.kubectl(&["create", "namespace", name]);
    }

    /// Runs Helm as the cluster's administrator. Panics with Helm's words if Helm fails.
    pub(crate) fn helm(&self, args: &[&str]) -> String {
        self.helm_as(&self.plane.kubeconfig_path(), args)
            .unwrap_or_else(|said| panic!("{args:?}: {said}\n{}", self.state()))
    }

    /// Runs Helm with the identity of a kubeconfig.
    pub(crate) fn helm_as(&self, kubeconfig: &Path, args: &[&str]) -> Result<String, String> {
        let output = Command::new(tools::path(self.helm))
            .args(args)
            .current_dir(tools::checkout())
            .env("KUBECONFIG", kubeconfig)
            .env("HELM_CACHE_HOME", self.home.join("cache"))
            .env("HELM_CONFIG_HOME", self.home.join("config"))
            .env("HELM_DATA_HOME", self.home.join("data"))
            .output()
            .unwrap_or_else(|error| panic!("{:?} can't be started: {error}", self.helm));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            Ok(printed)
        } else {
            Err(said + &printed)
        }
    }

    /// `helm install` or `helm upgrade` of the chart in the operator's namespace, which waits for the pods.
    pub(crate) fn deploy(&self, verb: &str, more: &[&str]) -> String {
        let args = [
            verb,
            NAME,
            "charts/cognito-password-operator",
            "-n",
            NAME,
            "--wait",
            "--timeout=5m",
        ];
        self.helm(&[&args[..], more].concat())
    }

    pub(crate) fn uninstall(&self) {
        self.helm(&["uninstall", NAME, "-n", NAME, "--wait", "--timeout=5m"]);
    }

    /// An object as JSON; null if the object does not exist.
    pub(crate) fn object(&self, namespace: &str, name: &str) -> Value {
        let args = [
            "get",
            name,
            "-n",
            namespace,
            "-o",
            "json",
            "--ignore-not-found",
        ];
        let text = self.plane.kubectl(&args);
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// The names of all objects of some kinds, as `kind/name`, the newest versions of the CRDs included.
    pub(crate) fn names(&self, namespace: &str, kinds: &str) -> Vec<String> {
        let text = self
            .plane
            .kubectl(&["get", kinds, "-n", namespace, "-o", "name"]);
        text.lines().map(ToOwned::to_owned).collect()
    }

    /// The pods and events of the operator's namespace, for a failed test.
    fn state(&self) -> String {
        let get = |args: &[&str]| {
            self.plane
                .try_kubectl(args, "")
                .unwrap_or_else(|error| error)
        };
        get(&["get", "deployments,replicasets,pods", "-n", NAME])
            + &get(&["get", "events", "-n", NAME])
    }
}
