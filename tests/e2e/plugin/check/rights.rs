//! The same as people who lack rights.

use serde_json::json;

use super::super::plugin;
use super::{Report, person};
use crate::support::ControlPlane;
use crate::world::World;

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
    assert_eq!(report.status, 1, "nothing runs: {:#}", report.document);
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
