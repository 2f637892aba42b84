//! Finds the programs for the tests: from environment variables first, then from the scripts that build or
//! install the programs. So a plain `cargo test` works on a new machine, but the first run is slow.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use super::process::lock;

const BUILD: &str = "tests/tools/build.sh";
const MOTO: &str = "tests/moto/install.sh";

/// A program for the tests, or a folder of manifests. The scripts print these names, each with a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Tool {
    ArgocdLua,
    /// The command line of AWS.
    Aws,
    Etcd,
    ExternalSecrets,
    ExternalSecretsCrds,
    GrafanaOperatorCrds,
    Helm,
    Helm3,
    HelmDocs,
    HelmUnittest,
    Krew,
    Kstatus,
    KubeApiserver,
    KubeControllerManager,
    KubeScheduler,
    KubeStateMetrics,
    Kubectl,
    KustomizeController,
    KustomizeControllerCrds,
    Kwok,
    MotoServer,
    Prometheus,
    PrometheusOperatorCrds,
    Promtool,
    SourceControllerCrds,
    ValidateKrewManifest,
}

impl Tool {
    fn variable(self) -> &'static str {
        match self {
            Tool::ArgocdLua => "CPO_ARGOCD_LUA",
            Tool::Aws => "CPO_AWS",
            Tool::Etcd => "CPO_ETCD",
            Tool::ExternalSecrets => "CPO_EXTERNAL_SECRETS",
            Tool::ExternalSecretsCrds => "CPO_EXTERNAL_SECRETS_CRDS",
            Tool::GrafanaOperatorCrds => "CPO_GRAFANA_OPERATOR_CRDS",
            Tool::Helm => "CPO_HELM",
            Tool::Helm3 => "CPO_HELM3",
            Tool::HelmDocs => "CPO_HELM_DOCS",
            Tool::HelmUnittest => "CPO_HELM_UNITTEST",
            Tool::Krew => "CPO_KREW",
            Tool::Kstatus => "CPO_KSTATUS",
            Tool::KubeApiserver => "CPO_KUBE_APISERVER",
            Tool::KubeControllerManager => "CPO_KUBE_CONTROLLER_MANAGER",
            Tool::KubeScheduler => "CPO_KUBE_SCHEDULER",
            Tool::KubeStateMetrics => "CPO_KUBE_STATE_METRICS",
            Tool::Kubectl => "CPO_KUBECTL",
            Tool::KustomizeController => "CPO_KUSTOMIZE_CONTROLLER",
            Tool::KustomizeControllerCrds => "CPO_KUSTOMIZE_CONTROLLER_CRDS",
            Tool::Kwok => "CPO_KWOK",
            Tool::MotoServer => "CPO_MOTO_SERVER",
            Tool::Prometheus => "CPO_PROMETHEUS",
            Tool::PrometheusOperatorCrds => "CPO_PROMETHEUS_OPERATOR_CRDS",
            Tool::Promtool => "CPO_PROMTOOL",
            Tool::SourceControllerCrds => "CPO_SOURCE_CONTROLLER_CRDS",
            Tool::ValidateKrewManifest => "CPO_VALIDATE_KREW_MANIFEST",
        }
    }

    /// The script that provides the tool, and the script's arguments. Tools that are always used together are
    /// built together.
    fn script(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Tool::Etcd | Tool::KubeApiserver | Tool::Kubectl => {
                (BUILD, &["kube-apiserver", "etcd", "kubectl"])
            }
            Tool::ExternalSecrets | Tool::ExternalSecretsCrds => {
                (BUILD, &["external-secrets", "external-secrets-crds"])
            }
            Tool::KustomizeController
            | Tool::KustomizeControllerCrds
            | Tool::SourceControllerCrds => (
                BUILD,
                &[
                    "kustomize-controller",
                    "kustomize-controller-crds",
                    "source-controller-crds",
                ],
            ),
            Tool::Krew | Tool::ValidateKrewManifest => (BUILD, &["krew", "validate-krew-manifest"]),
            Tool::Aws | Tool::MotoServer => (MOTO, &[]),
            Tool::ArgocdLua => (BUILD, &["argocd-lua"]),
            Tool::GrafanaOperatorCrds => (BUILD, &["grafana-operator-crds"]),
            Tool::Helm => (BUILD, &["helm"]),
            Tool::Helm3 => (BUILD, &["helm3"]),
            Tool::HelmDocs => (BUILD, &["helm-docs"]),
            Tool::HelmUnittest => (BUILD, &["helm-unittest"]),
            Tool::Kstatus => (BUILD, &["kstatus"]),
            Tool::KubeControllerManager => (BUILD, &["kube-controller-manager"]),
            Tool::KubeScheduler => (BUILD, &["kube-scheduler"]),
            Tool::KubeStateMetrics => (BUILD, &["kube-state-metrics"]),
            Tool::Kwok => (BUILD, &["kwok"]),
            Tool::Prometheus => (BUILD, &["prometheus"]),
            Tool::PrometheusOperatorCrds => (BUILD, &["prometheus-operator-crds"]),
            Tool::Promtool => (BUILD, &["promtool"]),
        }
    }
}

/// The root of the checkout, with manifests and scripts.
pub(crate) fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The path of a tool. Panics with one plain sentence if the tool is missing.
pub(crate) fn path(tool: Tool) -> PathBuf {
    static FOUND: Mutex<Option<HashMap<String, PathBuf>>> = Mutex::new(None);

    if let Some(path) = std::env::var_os(tool.variable()).map(PathBuf::from) {
        assert!(
            path.exists(),
            "{} is {}, where there is nothing",
            tool.variable(),
            path.display()
        );
        return path;
    }
    let mut found = lock(&FOUND);
    let found = found.get_or_insert_default();
    if !found.contains_key(tool.variable()) {
        let (script, args) = tool.script();
        found.extend(run(script, args));
    }
    found.get(tool.variable()).cloned().unwrap_or_else(|| {
        let (script, _) = tool.script();
        panic!("{script} did not say where {} is", tool.variable())
    })
}

/// Runs a script. Its progress goes to stderr; its NAME=PATH lines are returned.
fn run(script: &str, args: &[&str]) -> HashMap<String, PathBuf> {
    let output = Command::new("bash")
        .arg(checkout().join(script))
        .args(args)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .unwrap_or_else(|error| panic!("could not run {script} with bash: {error}"));
    assert!(
        output.status.success(),
        "{script} failed; it says why above"
    );
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, path)| (name.to_owned(), PathBuf::from(path)))
        .collect()
}
