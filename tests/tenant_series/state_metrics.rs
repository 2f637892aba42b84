//! kube-state-metrics as a process.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use crate::support::tools::{self, Tool};
use crate::support::{ControlPlane, Process, Spec, free_port, http, metrics, scratch};

/// A series: name and labels, without the labels that every series of kube-state-metrics has.
pub(crate) type Series = (String, BTreeMap<String, String>);

#[derive(Debug)]
pub(crate) struct StateMetrics {
    process: Process,
    port: u16,
}

impl StateMetrics {
    /// Starts kube-state-metrics with the rights of docs/monitoring.md and no others.
    pub(crate) fn start(plane: &ControlPlane) -> Self {
        let name = "kube-state-metrics";
        plane.kubectl(&["create", "serviceaccount", name, "-n", "default"]);
        // The chart of kube-state-metrics adds this rule by itself.
        let definitions = json!({
            "apiGroups": ["apiextensions.k8s.io"],
            "resources": ["customresourcedefinitions"],
            "verbs": ["list", "watch"],
        });
        let mut rules = rules_of_the_page();
        rules.push(definitions);
        let role = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": { "name": name },
            "rules": rules,
        });
        plane.kubectl_stdin(&["create", "-f", "-"], &role.to_string());
        let account = format!("--serviceaccount=default:{name}");
        let role = format!("--clusterrole={name}");
        plane.kubectl(&["create", "clusterrolebinding", name, &role, &account]);
        let kubeconfig = plane.kubeconfig_for_token(name, &plane.token_for("default", name));
        let config = tools::checkout().join("monitoring/kube-state-metrics.yaml");
        let port = free_port();
        let log = scratch(name).join("log");
        let process = Spec::new(name, &tools::path(Tool::KubeStateMetrics), log)
            .arg(format!("--kubeconfig={}", kubeconfig.display()))
            .arg(format!(
                "--custom-resource-state-config-file={}",
                config.display()
            ))
            .arg("--custom-resource-state-only=true")
            .arg("--host=127.0.0.1")
            .arg(format!("--port={port}"))
            .arg("--telemetry-host=127.0.0.1")
            .arg(format!("--telemetry-port={}", free_port()))
            .spawn();
        Self { process, port }
    }

    /// The page that Prometheus scrapes.
    pub(crate) async fn page(&self) -> Result<String, String> {
        match http::get(self.port, "/metrics").await {
            Ok((200, page)) => Ok(page),
            Ok((status, page)) => Err(format!("{status}: {page}")),
            Err(error) => Err(format!("{error}\n{}", self.log())),
        }
    }

    /// The series of the page, each with its value. Panics if a series is there twice: Prometheus refuses such a page.
    pub(crate) async fn series(&self) -> Result<BTreeMap<Series, f64>, String> {
        let page = self.page().await?;
        let mut found = BTreeMap::new();
        for (name, labels, value) in metrics::samples(&page) {
            let own = |(label, _): &(String, String)| !label.starts_with("customresource_");
            let series = (name.to_owned(), labels.into_iter().filter(own).collect());
            let before = found.insert(series.clone(), value);
            assert!(before.is_none(), "{series:?} is there twice:\n{page}");
        }
        Ok(found)
    }

    pub(crate) fn log(&self) -> String {
        self.process.log_tail()
    }
}

/// `rbac.extraRules` in the values that docs/monitoring.md shows.
fn rules_of_the_page() -> Vec<Value> {
    let page = fs::read_to_string(tools::checkout().join("docs/monitoring.md")).expect("the page");
    let blocks = page.split("```yaml\n").skip(1);
    let blocks = blocks.filter_map(|rest| rest.split("```").next());
    let block = blocks
        .into_iter()
        .find(|block| block.contains("extraRules"))
        .expect("values of kube-state-metrics in docs/monitoring.md");
    let values: Value = serde_saphyr::from_str(block).expect("the values are YAML");
    let rules = &values["kube-state-metrics"]["rbac"]["extraRules"];
    rules.as_array().expect("rules").clone()
}
