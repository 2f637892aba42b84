//! `check` and `version`: what the commands find in an empty cluster, in a good installation, and in broken ones,
//! and that the cures cure.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::plugin;
use crate::support::{ControlPlane, eventually, operator};
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
fn cure(plane: &ControlPlane, report: &Report, subject: &str) {
    let commands = report.commands(subject);
    assert!(
        !commands.is_empty(),
        "no cure of {subject}: {:#}",
        report.document
    );
    for command in commands {
        let words: Vec<_> = command.split(' ').collect();
        assert_eq!(words[0], "kubectl", "{command}");
        plane.kubectl(&words[1..]);
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
        (0, json!([]))
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
    cure(&plane, &Report::of(&admin, &["check"]).await, "operator");
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
async fn an_administrator_sees_all_of_an_installation_and_each_fault_has_a_cure() {
    let plane = ControlPlane::start();
    let world = World::on(&plane, "plugin-check").await;
    let admin = plane.kubeconfig_path();

    // Nothing runs yet.
    let report = Report::of(&admin, &["check"]).await;
    assert_eq!(report.status, 1, "{:#}", report.document);
    assert!(
        report
            .text("operator", "Failed")
            .ends_with("0 of 2 pods ready")
    );
    assert_eq!(
        report.text("leader", "Failed"),
        "there is no Lease: no pod has led yet"
    );
    assert_eq!(
        report.subjects("Unknown"),
        ["network"],
        "{:#}",
        report.document
    );

    make_ready(&plane);
    let running = world
        .cluster_wide()
        .leader_elect()
        .env("POD_NAME", "pod-a")
        .start()
        .await;
    running.wait_ready(SOON).await;
    world.in_sync("bot", "First-Passw0rd").await;
    let url = running.url();
    let with_url = ["check", "--url", &url, "--wait", "2m"];
    eventually(SOON, async || {
        let report = Report::of(&admin, &with_url).await;
        // The operator writes the status of grants later.
        let texts = report.texts("grants", "Well");
        if report.status == 0 && !texts.is_empty() {
            Ok(())
        } else {
            Err(format!("{:#}", report.document))
        }
    })
    .await;
    let report = Report::of(&admin, &with_url).await;
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
    assert_eq!(
        report.subjects("Warning"),
        ["metrics"],
        "{:#}",
        report.document
    );
    assert!(report.text("leader", "Well").starts_with("pod-a leads"));
    assert!(
        report
            .text("rights", "Well")
            .ends_with("has all 19 needed rights")
    );
    assert_eq!(report.text("resources", "Well"), "1 Ready");
    let scrape = [
        "service/cognito-password-operator-metrics",
        "prometheus.io/scrape=true",
    ];
    plane.kubectl(&[&["annotate"], &scrape[..], &HOME].concat());
    let (status, said, _) = plugin(&admin, &with_url).await;
    assert_eq!(status, 0, "{said}");
    assert!(
        said.lines().all(|line| line.starts_with(['✓', ' '])),
        "{said}"
    );
    assert!(
        said.lines().all(|line| line.chars().count() <= 80),
        "{said}"
    );
    let report = Report::of(&admin, &["version"]).await;
    assert_eq!(report.status, 0, "{:#}", report.document);
    assert_eq!(report.document["operators"][0]["skew"], "same");
    assert_eq!(report.document["crds"][1]["schema"], "same");

    // Through the API server, the pods are not reached: no kubelet runs them.
    let report = Report::of(&admin, &["check"]).await;
    assert_eq!(report.status, 3, "{:#}", report.document);
    assert_eq!(
        report.subjects("Unknown"),
        ["network", "network"],
        "{:#}",
        report.document
    );

    // Rights.
    plane.kubectl(&[&["delete", "rolebinding", NAME][..], &HOME].concat());
    plane.kubectl(&["delete", "clusterrolebinding", NAME]);
    let report = Report::of(&admin, &with_url[..3]).await;
    assert_eq!(report.status, 1, "{:#}", report.document);
    assert!(
        report
            .text("rights", "Failed")
            .contains("lacks 19 of 19 needed rights")
    );
    cure(&plane, &report, "rights");
    let report = Report::of(&admin, &with_url).await;
    assert_eq!(report.status, 0, "{:#}", report.document);

    // A CRD of another version.
    let crd = "crd/cognitouserpasswords.cognito-password-operator.io";
    let path = "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties/foundAs";
    let patch = json!([{ "op": "remove", "path": path }]).to_string();
    plane.kubectl(&["patch", crd, "--type=json", "-p", &patch]);
    let report = Report::of(&admin, &with_url[..3]).await;
    assert_eq!(report.status, 1, "{:#}", report.document);
    let text = report.text("crds", "Failed");
    assert!(text.ends_with("lacks status.foundAs"), "{text}");
    let report = Report::of(&admin, &["version"]).await;
    assert_eq!(report.status, 1, "{:#}", report.document);
    assert_eq!(report.document["crds"][0]["schema"], "older");
    assert_eq!(
        report.document["crds"][0]["difference"]["missing"],
        json!(["status.foundAs"])
    );
    cure(&plane, &report, "crds");
    let report = Report::of(&admin, &["version"]).await;
    assert_eq!(report.status, 0, "{:#}", report.document);

    // Two installations with one Lease.
    let deployment = ["get", "deployment", NAME, "-n", NAME, "-o", "json"];
    let deployment: Value = serde_json::from_str(&plane.kubectl(&deployment)).expect("JSON");
    let mut second = deployment.clone();
    second["metadata"] =
        json!({ "name": "second", "namespace": NAME, "labels": deployment["metadata"]["labels"] });
    second["spec"]["template"]["spec"]["containers"][0]["image"] = "operator:0.9.0".into();
    plane.kubectl_stdin(&["create", "-f", "-"], &second.to_string());
    let report = Report::of(&admin, &with_url[..3]).await;
    assert_eq!(report.status, 1, "{:#}", report.document);
    let texts = report.texts("operator", "Failed");
    assert!(
        texts[0].contains("share the Lease cognito-password-operator"),
        "{texts:?}"
    );
    let report = Report::of(&admin, &["version"]).await;
    assert_eq!(
        report.document["operators"][1]["skew"], "thisIsOlder",
        "{:#}",
        report.document
    );
    plane.kubectl(&[&["delete", "deployment", "second"][..], &HOME].concat());

    // The leader is gone, and the Lease runs out.
    running.kill();
    let old = json!({ "spec": { "renewTime": "2026-01-01T00:00:00.000000Z" } }).to_string();
    let patch = ["patch", "lease", NAME, "--type=merge", "-p", &old];
    plane.kubectl(&[&patch[..], &HOME].concat());
    let report = Report::of(&admin, &["check", "--operator-namespace", NAME]).await;
    assert_eq!(report.status, 1, "{:#}", report.document);
    assert!(
        report
            .text("leader", "Failed")
            .contains("pod-a held the Lease")
    );
}

#[tokio::test]
async fn a_missing_right_is_one_line_and_never_the_end() {
    let plane = ControlPlane::start();
    let world = World::on(&plane, "plugin-check").await;
    let tenant = person(
        &plane,
        "tenant",
        Some(("cognito-password-operator-view", Some(&world.namespace))),
    );
    let (status, said, errors) = plugin(&tenant, &["check"]).await;
    assert_eq!((status, errors.as_str()), (3, ""), "{said}");
    assert!(!said.contains('×'), "{said}");
    for subject in ["crds", "operator", "grants", "resources"] {
        let found = said
            .lines()
            .filter(|line| line.starts_with(&format!("? {subject} ")));
        assert_eq!(found.count(), 1, "{subject}:\n{said}");
    }
    assert!(
        said.contains("you may not list deployments.apps -A"),
        "{said}"
    );
    assert!(said.starts_with("✓ kubernetes  version 1."), "{said}");

    let (status, said, _) = plugin(&tenant, &["version"]).await;
    assert_eq!(status, 3, "{said}");
    assert!(said.starts_with("✓ client    version "), "{said}");

    // Somebody who may read everything, and may not ask for the rights of others.
    let reader = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": { "name": "reader" },
        "rules": [{ "apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list"] }],
    });
    plane.kubectl_stdin(&["create", "-f", "-"], &reader.to_string());
    let reader = person(&plane, "reader", Some(("reader", None)));
    let report = Report::of(&reader, &["check"]).await;
    assert_eq!(
        report.status,
        1,
        "nothing runs: {:#}",
        report.document
    );
    let text = report.text("rights", "Unknown");
    assert!(
        text.ends_with("you may not create subjectaccessreviews.authorization.k8s.io -A"),
        "{text}"
    );
    assert!(
        report
            .text("operator", "Failed")
            .ends_with("0 of 2 pods ready")
    );
    assert!(report.text("crds", "Well").contains("with the schemas of"));

    // With each of these rights taken from an administrator, the rest is still found.
    for (group, resource, subject) in [
        ("apps", "deployments", "operator"),
        ("coordination.k8s.io", "leases", "leader"),
        ("", "pods", "network"),
        ("", "services", "metrics"),
        ("apiextensions.k8s.io", "customresourcedefinitions", "crds"),
        (
            "cognito-password-operator.io",
            "cognitouserpoolgrants",
            "grants",
        ),
        (
            "cognito-password-operator.io",
            "cognitouserpasswords",
            "resources",
        ),
    ] {
        let all = [
            ("apps", "deployments"),
            ("coordination.k8s.io", "leases"),
            ("", "pods"),
            ("", "pods/proxy"),
            ("", "services"),
            ("apiextensions.k8s.io", "customresourcedefinitions"),
            ("cognito-password-operator.io", "cognitouserpoolgrants"),
            ("cognito-password-operator.io", "cognitouserpasswords"),
        ];
        let others = all.into_iter().filter(|it| *it != (group, resource));
        let rules = others.map(|(group, resource)| {
            json!({ "apiGroups": [group], "resources": [resource], "verbs": ["get", "list"] })
        });
        let role = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": { "name": format!("without-{resource}") },
            "rules": rules.collect::<Vec<_>>(),
        });
        plane.kubectl_stdin(&["create", "-f", "-"], &role.to_string());
        let name = format!("without-{resource}");
        let kubeconfig = person(&plane, &name, Some((&name, None)));
        let report = Report::of(&kubeconfig, &["check"]).await;
        let text = report.texts(subject, "Unknown");
        assert_eq!(text.len(), 1, "without {resource}: {:#}", report.document);
        assert!(text[0].contains("you may not"), "{text:?}");
        assert!(text[0].contains(resource), "{text:?}");
        let well = report.subjects("Well");
        assert!(
            well.contains(&"kubernetes"),
            "without {resource}: {:#}",
            report.document
        );
    }
}
