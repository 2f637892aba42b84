//! An installation of `deploy/watch-namespaces/`: the operator has Roles in the watched namespaces and in its
//! own namespace, and no other right.

use std::collections::BTreeSet;

use crate::rights::{AT_HOME, WATCHED, rights, set};
use crate::support::{client_for, eventually, operator};
use crate::world::{POOL, SOON, World, line};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ListParams};
use tokio::sync::MutexGuard;

pub(crate) const OVERLAY: &str = "deploy/watch-namespaces/";

/// A world with this installation, in the namespace that the overlay watches, and a world in an unwatched
/// namespace.
pub(crate) async fn installed() -> (World<'static>, World<'static>, MutexGuard<'static, ()>) {
    let (elsewhere, turn) = World::alone("elsewhere").await;
    let plane = elsewhere.plane;
    let mut world = elsewhere.neighbour("unused").await;
    "team-a".clone_into(&mut world.namespace);
    plane.kubectl(&["delete", "-k", "deploy/all-namespaces/"]);
    plane.kubectl_stdin(
        &["apply", "-f", "-"],
        r#"{ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "team-a" } }"#,
    );
    plane.install(OVERLAY);
    // The API server applies changed rights after a moment.
    eventually(SOON, async || {
        let there = rights(&world, "team-a").await;
        let elsewhere = rights(&elsewhere, &elsewhere.namespace).await;
        if there.is_empty() || !elsewhere.is_empty() {
            return Err(format!("{there:?}, and elsewhere {elsewhere:?}"));
        }
        Ok(())
    })
    .await;
    (world, elsewhere, turn)
}

#[tokio::test]
async fn a_namespaced_operator_sets_passwords_in_watched_namespaces_and_touches_no_other() {
    let (world, elsewhere, _turn) = installed().await;
    elsewhere.cognito.add_user(POOL, "stranger");
    elsewhere
        .apply_secret("stranger", "password", "First-Passw0rd")
        .await;
    elsewhere.apply_resource("stranger", |_| ()).await;
    let mark = world.mark();
    let builder = world.builder().manifests(OVERLAY).leader_elect();
    let operator = builder.start().await;
    operator.wait_ready(SOON).await;
    world.in_sync("bot", "First-Passw0rd").await;
    world
        .apply_secret("bot", "password", "Second-Passw0rd")
        .await;
    world.wait_set("bot", "Second-Passw0rd").await;
    world.delete_secret("bot").await;
    world.wait("bot", "False", "SecretNotFound").await;
    world.fence().await;
    assert!(operator.terminate(SOON).await.success());

    elsewhere.assert_calls("stranger", &[]).await;
    let status = elsewhere.status("stranger").await;
    assert_eq!(status["conditions"], serde_json::Value::Null, "{status}");
    for request in world.requests(mark) {
        let code = &request["responseStatus"]["code"];
        assert!(code != 401 && code != 403, "{request:#}");
        let namespace = request.pointer("/objectRef/namespace");
        let namespace = namespace.and_then(|namespace| namespace.as_str());
        let asked = [Some("team-a"), Some(operator::NAMESPACE)].contains(&namespace);
        assert!(asked, "{} in {namespace:?}", line(&request));
    }
    world.delete_resource("bot").await;
}

#[tokio::test]
async fn a_namespaced_operator_has_no_right_beyond_these_and_none_in_other_namespaces() {
    let (world, elsewhere, _turn) = installed().await;
    assert_eq!(rights(&world, "team-a").await, set(&WATCHED));
    assert_eq!(rights(&world, operator::NAMESPACE).await, set(&AT_HOME));
    for namespace in [&*elsewhere.namespace, "default", "kube-system"] {
        let rights = rights(&world, namespace).await;
        assert_eq!(rights, BTreeSet::new(), "{namespace}");
    }
    // The API server's answer to a request with this token.
    let plane = world.plane;
    let token = plane.token_for(operator::NAMESPACE, operator::SERVICE_ACCOUNT);
    let client = client_for(&plane.kubeconfig_for_token("intruder", &token)).await;
    elsewhere
        .apply_secret("stranger", "password", "First-Passw0rd")
        .await;
    let there: Api<Secret> = Api::namespaced(client.clone(), &elsewhere.namespace);
    let everywhere: Api<Secret> = Api::all(client);
    let all = ListParams::default();
    for refused in [
        there.get("stranger").await.map(drop),
        there.list(&all).await.map(drop),
        everywhere.list(&all).await.map(drop),
    ] {
        let forbidden = matches!(&refused, Err(kube::Error::Api(status)) if status.code == 403);
        assert!(forbidden, "{refused:?}");
    }
}

#[tokio::test]
async fn a_user_with_rights_in_the_operators_namespaces_only_can_install_it() {
    let (world, elsewhere, _turn) = installed().await;
    let plane = world.plane;
    for namespace in ["team-a", operator::NAMESPACE] {
        // The ServiceAccount stays, because its tokens would go too.
        let kinds = "deployments,services,poddisruptionbudgets,roles,rolebindings";
        plane.kubectl(&["delete", kinds, "--all", "-n", namespace]);
        let binding = ["create", "rolebinding", "installer", "-n", namespace];
        let to = ["--clusterrole=cluster-admin", "--user=installer"];
        plane.kubectl(&[&binding[..], &to].concat());
    }
    let as_installer = |args: &[&str]| {
        let args = [args, &["--as=installer"]].concat();
        plane.try_kubectl(&args, "")
    };
    eventually(SOON, async || as_installer(&["apply", "-k", OVERLAY])).await;
    eventually(SOON, async || {
        let there = rights(&world, "team-a").await;
        let lags = || format!("{there:?}");
        (there == set(&WATCHED)).then_some(()).ok_or_else(lags)
    })
    .await;
    // No right across the cluster, and no right in another namespace.
    for elsewhere in [
        &["get", "secrets", "-n", &elsewhere.namespace][..],
        &["get", "customresourcedefinitions"],
        &["apply", "-k", "deploy/all-namespaces/"],
    ] {
        let refused = as_installer(elsewhere).expect_err("it is forbidden");
        assert!(refused.contains("forbidden"), "{refused}");
    }
    for namespace in ["team-a", operator::NAMESPACE] {
        plane.kubectl(&["delete", "rolebinding", "installer", "-n", namespace]);
    }
}
