//! A team without any cluster-wide right installs the operator for its own namespaces.

use crate::cluster::{Cluster, NAME, SOON};
use crate::support::{Operator, tools::Tool};

async fn a_team_installs_the_operator_for_its_namespace(helm: Tool) {
    let cluster = Cluster::start(helm).await;
    let plane = &cluster.plane;
    let admin = [
        "install",
        "admin",
        "charts/cognito-password-operator",
        "--set",
        "operator.enabled=false",
        "--wait",
    ];
    cluster.helm(&admin);
    let crds = cluster.names(NAME, "crd");
    assert_eq!(
        crds.iter().filter(|name| name.contains("cognito")).count(),
        2,
        "{crds:?}"
    );

    // The installer may do everything in two namespaces, and nothing else.
    cluster.namespace("team-a");
    plane.kubectl(&["create", "serviceaccount", "installer", "-n", "team-a"]);
    for namespace in ["team-a", NAME] {
        let user = "--serviceaccount=team-a:installer";
        plane.kubectl(&[
            "create",
            "rolebinding",
            "installer",
            "--clusterrole=cluster-admin",
            user,
            "-n",
            namespace,
        ]);
    }
    let token = plane.token_for("team-a", "installer");
    let kubeconfig = plane.kubeconfig_for_token("installer", &token);
    let install = [
        "install",
        NAME,
        "charts/cognito-password-operator",
        "-n",
        NAME,
        "--wait",
        "--timeout=5m",
        "--set",
    ];
    let watched = "settings.watchNamespaces={team-a}";
    let refused = cluster.helm_as(&kubeconfig, &[&install[..], &[watched]].concat());
    let refused = refused.expect_err("CustomResourceDefinitions are cluster-wide");
    assert!(refused.contains("customresourcedefinitions"), "{refused}");
    let values = format!("{watched},crds.enabled=false");
    let said = cluster
        .helm_as(&kubeconfig, &[&install[..], &[&values]].concat())
        .unwrap_or_else(|said| panic!("{said}"));
    assert!(said.contains("watches team-a"), "{said}");

    // The operator gets ready with exactly these rights.
    let builder = Operator::builder(plane)
        .manifests("")
        .namespaces(&["team-a"]);
    let operator = builder.leader_elect().start().await;
    operator.wait_ready(SOON).await;
    assert!(operator.terminate(SOON).await.success());
}

#[tokio::test]
async fn with_helm_4_a_team_installs_the_operator_for_its_namespace() {
    a_team_installs_the_operator_for_its_namespace(Tool::Helm).await;
}

#[tokio::test]
async fn with_helm_3_a_team_installs_the_operator_for_its_namespace() {
    a_team_installs_the_operator_for_its_namespace(Tool::Helm3).await;
}
