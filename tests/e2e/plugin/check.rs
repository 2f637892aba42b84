//! `check` and `version`: what the commands find in an empty cluster, in a good installation, and in broken ones,
//! and that the cures cure.

mod rights;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{apply, plugin};
use crate::support::{ControlPlane, eventually, free_port, operator, scratch};
use crate::world::{SOON, World};

const NAME: &str = operator::NAMESPACE;
const HOME: [&str; 2] = ["-n", NAME];

/// The output of a command, as JSON: each finding's subject, level and text, and the commands of the cures.
struct Report {
    status: i32,
    document: Value,
}

impl Report {
    async fn of(kubeconfig: &Path, args: &[&str]) -> Self {
        let (status, said, errors) = plugin(kubeconfig, &[args, &["-o", "json"]].concat()).await;
        assert_eq!(errors, "", "{said}");
        let document: Value = serde_json::from_str(&said).expect("JSON");
        assert_eq!(
            document["apiVersion"],
            "cli.cognito-password-operator.io/v1alpha1"
        );
        assert_eq!(document["exitStatus"], json!(status), "{document:#}");
        Self { status, document }
    }

    fn findings(&self) -> &[Value] {
        let findings = self.document["findings"].as_array();
        findings.expect("findings")
    }

    /// The texts of the findings on a subject, with these levels.
    fn texts(&self, subject: &str, level: &str) -> Vec<&str> {
        let fits = |it: &&Value| it["subject"] == subject && it["level"] == level;
        let found = self.findings().iter().filter(fits);
        found.filter_map(|it| it["text"].as_str()).collect()
    }

    /// The only text of a finding on a subject with this level.
    fn text(&self, subject: &str, level: &str) -> &str {
        match self.texts(subject, level).as_slice() {
            [text] => text,
            other => panic!("{subject} {level}: {other:?} in {:#}", self.document),
        }
    }

    /// The commands that cure the findings on a subject.
    fn commands(&self, subject: &str) -> Vec<&str> {
        let found = self.findings().iter().filter(|it| it["subject"] == subject);
        let commands = found.filter_map(|it| it["cure"]["commands"].as_array());
        commands.flatten().filter_map(Value::as_str).collect()
    }

    fn subjects(&self, level: &str) -> Vec<&str> {
        let found = self.findings().iter().filter(|it| it["level"] == level);
        found.filter_map(|it| it["subject"].as_str()).collect()
    }
}

/// Runs the commands of a cure, as an administrator in the checkout.
async fn cure(admin: &Path, report: &Report, subject: &str) {
    let commands = report.commands(subject);
    assert!(
        !commands.is_empty(),
        "no cure of {subject}: {:#}",
        report.document
    );
    for command in commands {
        apply(admin, command).await;
    }
}

/// A kubeconfig of a new `ServiceAccount` with the rights of a `ClusterRole` in the whole cluster, or in one
/// namespace, or without any right.
fn person(plane: &ControlPlane, name: &str, role: Option<(&str, Option<&str>)>) -> PathBuf {
    plane.kubectl(&["create", "serviceaccount", name, "-n", "default"]);
    if let Some((role, namespace)) = role {
        let (role, subject) = (
            format!("--clusterrole={role}"),
            format!("--serviceaccount=default:{name}"),
        );
        match namespace {
            None => plane.kubectl(&["create", "clusterrolebinding", name, &role, &subject]),
            Some(namespace) => plane.kubectl(&[
                "create",
                "rolebinding",
                name,
                &role,
                &subject,
                "-n",
                namespace,
            ]),
        };
    }
    let token = plane.token_for("default", name);
    plane.kubeconfig_for_token(name, &token)
}

/// Does what a kubelet and the controllers would do: two pods of the Deployment that are ready.
fn make_ready(plane: &ControlPlane) {
    let deployment = ["get", "deployment", NAME, "-n", NAME, "-o", "json"];
    let deployment: Value = serde_json::from_str(&plane.kubectl(&deployment)).expect("JSON");
    let template = &deployment["spec"]["template"];
    for name in ["pod-a", "pod-b"] {
        let mut pod = template.clone();
        pod["apiVersion"] = "v1".into();
        pod["kind"] = "Pod".into();
        pod["metadata"]["name"] = name.into();
        pod["metadata"]["namespace"] = NAME.into();
        plane.kubectl_stdin(&["create", "-f", "-"], &pod.to_string());
    }
    let status = json!({ "status": { "replicas": 2, "readyReplicas": 2, "availableReplicas": 2 } });
    let (patch, status) = (
        ["patch", "deployment", NAME, "--subresource=status"],
        status.to_string(),
    );
    plane.kubectl(&[&patch[..], &HOME, &["--type=merge", "-p", &status]].concat());
}

#[tokio::test]
async fn an_empty_cluster_can_be_checked_before_an_installation() {
    let plane = ControlPlane::start();
    let admin = plane.kubeconfig_path();
    let report = Report::of(&admin, &["check", "--pre"]).await;
    assert_eq!(report.status, 0, "{:#}", report.document);
    assert_eq!(report.document["kind"], "Check");
    let subjects = ["kubernetes", "crds", "rights", "namespace", "operator"];
    assert_eq!(report.subjects("Well"), subjects, "{:#}", report.document);
    assert_eq!(report.text("crds", "Well"), "not installed yet");

    let report = Report::of(&admin, &["check"]).await;
    assert_eq!(report.status, 1, "{:#}", report.document);
    let text = report.text("operator", "Failed");
    assert_eq!(text, "no Deployment of the operator is found");
    assert!(
        report
            .text("crds", "Failed")
            .contains("lacks cognitouserpasswords")
    );
    let report = Report::of(&admin, &["version"]).await;
    assert_eq!(
        (report.status, report.document["operators"].clone()),
        (1, json!([]))
    );

    let nobody = person(&plane, "nobody", None);
    let report = Report::of(&nobody, &["check", "--pre"]).await;
    assert_eq!(report.status, 1, "{:#}", report.document);
    let texts = report.texts("rights", "Failed");
    assert!(
        texts[0].contains("you may not get,create,patch namespaces -A"),
        "{texts:?}"
    );
    assert!(
        texts[1].contains("rights that you lack: get,list,watch"),
        "{texts:?}"
    );
    assert_eq!(
        report.subjects("Unknown"),
        ["namespace", "operator"],
        "{:#}",
        report.document
    );

    // The cure of no installation is an installation.
    cure(&admin, &Report::of(&admin, &["check"]).await, "operator").await;
    plane.kubectl(&[
        "wait",
        "crd",
        "--all",
        "--for=condition=Established",
        "--timeout=2m",
    ]);
    let report = Report::of(&admin, &["check", "--pre"]).await;
    assert_eq!(report.status, 0, "{:#}", report.document);
    assert!(
        report
            .text("crds", "Well")
            .contains("already there, with the schemas")
    );
    assert!(
        report
            .text("namespace", "Well")
            .contains("Pod Security level restricted")
    );
    assert!(
        report
            .text("operator", "Warning")
            .contains("watches all namespaces")
    );
    let report = Report::of(&admin, &["check", "--pre", "--operator-namespace", "other"]).await;
    assert_eq!(report.status, 1, "{:#}", report.document);
    assert!(
        report
            .text("operator", "Failed")
            .contains("set the same passwords")
    );
}

#[tokio::test]
async fn without_an_api_server_there_is_one_line() {
    let server = format!("http://127.0.0.1:{}", free_port());
    let kubeconfig = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{ "name": "test", "cluster": { "server": server } }],
        "users": [{ "name": "test", "user": {} }],
        "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test" } }],
    });
    let path = scratch("no-api-server").join("kubeconfig");
    std::fs::write(&path, kubeconfig.to_string()).expect("a file");
    for args in [&["check"][..], &["check", "--pre"]] {
        let report = Report::of(&path, args).await;
        assert_eq!(report.status, 3, "{:#}", report.document);
        let text = report.text("kubernetes", "Unknown");
        assert!(text.contains("refused"), "{text}");
        assert_eq!(report.findings().len(), 1, "{:#}", report.document);
    }
}

/// An administrator's view of an installation whose operator answers at an address.
struct View {
    plane: ControlPlane,
    admin: PathBuf,
}

impl View {
    async fn check(&self, args: &[&str]) -> Report {
        Report::of(&self.admin, &[&["check"], args].concat()).await
    }

    async fn version(&self) -> Report {
        Report::of(&self.admin, &["version"]).await
    }

    fn deployment(&self) -> Value {
        let deployment = ["get", "deployment", NAME, "-n", NAME, "-o", "json"];
        serde_json::from_str(&self.plane.kubectl(&deployment)).expect("JSON")
    }
}

#[tokio::test]
async fn an_administrator_sees_all_of_an_installation_and_each_fault_has_a_cure() {
    let plane = ControlPlane::start();
    let admin = plane.kubeconfig_path();
    let view = View { plane, admin };
    let world = World::on(&view.plane, "plugin-check").await;
    nothing_runs(&view).await;
    make_ready(&view.plane);
    let builder = world.cluster_wide().leader_elect();
    let running = builder.env("POD_NAME", "pod-a").start().await;
    running.wait_ready(SOON).await;
    world.in_sync("bot", "First-Passw0rd").await;
    let url = running.url();
    all_is_well(&view, &["--url", &url, "--wait", "2m"]).await;
    rights_are_gone(&view, &["--url", &url]).await;
    a_crd_is_older(&view, &["--url", &url]).await;
    two_share_a_lease(&view, &["--url", &url]).await;
    running.kill();
    the_lease_runs_out(&view).await;
}

async fn nothing_runs(view: &View) {
    let report = view.check(&[]).await;
    assert_eq!(report.status, 1, "{:#}", report.document);
    let text = report.text("operator", "Failed");
    assert!(text.ends_with("0 of 2 pods ready"), "{text}");
    let text = report.text("leader", "Failed");
    assert_eq!(text, "there is no Lease: no pod has led yet");
    let unknown = report.subjects("Unknown");
    assert_eq!(unknown, ["network"], "{:#}", report.document);
}

async fn all_is_well(view: &View, args: &[&str]) {
    let report = eventually(SOON, async || {
        let report = view.check(args).await;
        // The operator writes the status of grants later.
        if report.status == 0 && !report.texts("grants", "Well").is_empty() {
            Ok(report)
        } else {
            Err(format!("{:#}", report.document))
        }
    });
    let report = report.await;
    let subjects = [
        "kubernetes",
        "crds",
        "operator",
        "operator",
        "leader",
        "rights",
        "network",
        "identity",
        "grants",
        "resources",
    ];
    assert_eq!(report.subjects("Well"), subjects, "{:#}", report.document);
    let warned = report.subjects("Warning");
    assert_eq!(warned, ["metrics"], "{:#}", report.document);
    let text = report.text("leader", "Well");
    assert!(text.starts_with("pod-a leads"), "{text}");
    let text = report.text("rights", "Well");
    assert!(text.ends_with("has all 19 needed rights"), "{text}");
    assert_eq!(report.text("resources", "Well"), "1 Ready");

    let scrape = [
        "service/cognito-password-operator-metrics",
        "prometheus.io/scrape=true",
    ];
    let annotate = [&["annotate"], &scrape[..], &HOME].concat();
    view.plane.kubectl(&annotate);
    let (status, said, _) = plugin(&view.admin, &[&["check"], args].concat()).await;
    assert_eq!(status, 0, "{said}");
    for line in said.lines() {
        assert!(line.starts_with(['✓', ' ']), "{said}");
        assert!(line.chars().count() <= 80, "{said}");
    }
    let report = view.version().await;
    assert_eq!(report.status, 0, "{:#}", report.document);
    assert_eq!(report.document["operators"][0]["skew"], "Same");
    assert_eq!(report.document["crds"][1]["schema"], "Same");

    // Through the API server, the pods are not reached: no kubelet runs them.
    let report = view.check(&[]).await;
    assert_eq!(report.status, 3, "{:#}", report.document);
    let unknown = report.subjects("Unknown");
    assert_eq!(unknown, ["network", "network"], "{:#}", report.document);
}

async fn rights_are_gone(view: &View, args: &[&str]) {
    let delete = [&["delete", "rolebinding", NAME][..], &HOME].concat();
    view.plane.kubectl(&delete);
    view.plane.kubectl(&["delete", "clusterrolebinding", NAME]);
    let report = view.check(args).await;
    assert_eq!(report.status, 1, "{:#}", report.document);
    let text = report.text("rights", "Failed");
    assert!(text.contains("lacks 19 of 19 needed rights"), "{text}");
    cure(&view.admin, &report, "rights").await;
    let report = view.check(&[args, &["--wait", "2m"]].concat()).await;
    assert_eq!(report.status, 0, "{:#}", report.document);
}

async fn a_crd_is_older(view: &View, args: &[&str]) {
    let crd = "crd/cognitouserpasswords.cognito-password-operator.io";
    let field = "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties/foundAs";
    let patch = json!([{ "op": "remove", "path": field }]).to_string();
    let patch = ["patch", crd, "--type=json", "-p", &patch];
    view.plane.kubectl(&patch);
    let report = view.check(args).await;
    assert_eq!(report.status, 1, "{:#}", report.document);
    let text = report.text("crds", "Failed");
    assert!(text.ends_with("lacks status.foundAs"), "{text}");
    let report = view.version().await;
    assert_eq!(report.status, 1, "{:#}", report.document);
    let crd = &report.document["crds"][0];
    assert_eq!(crd["schema"], "Older");
    assert_eq!(crd["difference"]["missing"], json!(["status.foundAs"]));
    cure(&view.admin, &report, "crds").await;
    let report = view.version().await;
    assert_eq!(report.status, 0, "{:#}", report.document);
}

async fn two_share_a_lease(view: &View, args: &[&str]) {
    let mut second = view.deployment();
    let labels = &second["metadata"]["labels"];
    second["metadata"] = json!({ "name": "second", "namespace": NAME, "labels": labels });
    second["spec"]["template"]["spec"]["containers"][0]["image"] = "operator:0.9.0".into();
    let create = ["create", "-f", "-"];
    view.plane.kubectl_stdin(&create, &second.to_string());
    let report = view.check(args).await;
    assert_eq!(report.status, 1, "{:#}", report.document);
    let texts = report.texts("operator", "Failed");
    let wanted = "share the Lease cognito-password-operator";
    assert!(texts[0].contains(wanted), "{texts:?}");
    let report = view.version().await;
    let skew = &report.document["operators"][1]["skew"];
    assert_eq!(skew, "ThisIsOlder", "{:#}", report.document);
    let delete = [&["delete", "deployment", "second"][..], &HOME].concat();
    view.plane.kubectl(&delete);
}

async fn the_lease_runs_out(view: &View) {
    let old = json!({ "spec": { "renewTime": "2026-01-01T00:00:00.000000Z" } }).to_string();
    let patch = ["patch", "lease", NAME, "--type=merge", "-p", &old];
    view.plane.kubectl(&[&patch[..], &HOME].concat());
    let report = view.check(&["--operator-namespace", NAME]).await;
    assert_eq!(report.status, 1, "{:#}", report.document);
    let text = report.text("leader", "Failed");
    assert!(text.contains("pod-a held the Lease"), "{text}");
}
