//! An installation by kustomize becomes a release.

use crate::cluster::{Cluster, NAME};
use crate::support::tools::Tool;

async fn a_release_adopts_an_installation_by_kustomize(helm: Tool) {
    let cluster = Cluster::start(helm).await;
    cluster.plane.install("deploy/");
    let kinds = "deployments,serviceaccounts,roles,rolebindings,services,networkpolicies,poddisruptionbudgets";
    let uid = |cluster: &Cluster| {
        let deployment = cluster.object(NAME, "deployment/cognito-password-operator");
        deployment["metadata"]["uid"].clone()
    };
    let (before, names) = (uid(&cluster), cluster.names(NAME, kinds));
    cluster.deploy("install", &["--take-ownership"]);
    assert_eq!(uid(&cluster), before, "the Deployment was not made anew");
    assert_eq!(cluster.names(NAME, kinds), names, "nothing is there twice");
    let deployment = cluster.object(NAME, "deployment/cognito-password-operator");
    let labels = &deployment["metadata"]["labels"];
    assert_eq!(labels["app.kubernetes.io/managed-by"], "Helm", "{labels}");
}

#[tokio::test]
async fn helm_4_adopts_an_installation_by_kustomize() {
    a_release_adopts_an_installation_by_kustomize(Tool::Helm).await;
}

#[tokio::test]
async fn helm_3_adopts_an_installation_by_kustomize() {
    a_release_adopts_an_installation_by_kustomize(Tool::Helm3).await;
}
