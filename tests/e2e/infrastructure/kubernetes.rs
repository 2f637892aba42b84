//! The control plane.

use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Secret, ServiceAccount};
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::support::{AuditQuery, ControlPlane, client_for, describe, resources, wait_reason};

#[tokio::test]
async fn a_service_account_may_do_what_rbac_says_and_the_audit_log_tells() {
    let control_plane = ControlPlane::shared();
    let namespace = control_plane.new_namespace("infrastructure").await;
    let objects = json!({ "apiVersion": "v1", "kind": "List", "items": [
        { "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "reader" } },
        { "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "ours" },
          "stringData": { "password": "in-no-audit-log" } },
        { "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
          "metadata": { "name": "reader" },
          "rules": [{ "apiGroups": [""], "resources": ["secrets"], "verbs": ["get"] }] },
        { "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
          "metadata": { "name": "reader" },
          "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader" },
          "subjects": [{ "kind": "ServiceAccount", "name": "reader", "namespace": namespace }] },
    ]});
    let apply = ["apply", "-n", &namespace, "-f", "-"];
    control_plane.kubectl_stdin(&apply, &objects.to_string());

    let token = control_plane.token_for(&namespace, "reader");
    let kubeconfig = control_plane.kubeconfig_for_token(&namespace, &token);
    let reader = client_for(&kubeconfig).await;
    let mark = control_plane.audit_mark();
    let secrets: Api<Secret> = Api::namespaced(reader.clone(), &namespace);
    secrets.get("ours").await.expect("a role allows it");
    let refused = secrets.list(&ListParams::default()).await;
    let refused = refused.expect_err("no role allows it").to_string();
    assert!(refused.contains("forbidden"), "{refused}");

    let user = format!("system:serviceaccount:{namespace}:reader");
    let asked = AuditQuery::new()
        .since(mark)
        .user(&user)
        .resource("secrets");
    let gets = control_plane.audit(&asked.clone().verb("get").name("ours"));
    let [get] = &gets[..] else {
        panic!("one request is in the audit log: {gets:#?}");
    };
    assert_eq!(get["responseStatus"]["code"], 200);
    let lists = control_plane.audit(&asked.verb("list"));
    assert_eq!(lists.len(), 1, "{lists:#?}");
    assert_eq!(lists[0]["responseStatus"]["code"], 403);

    let everything = format!("{:?}", control_plane.audit_events());
    assert!(!everything.contains("in-no-audit-log"));
}

#[tokio::test]
async fn a_failed_kubectl_call_returns_its_output() {
    let control_plane = ControlPlane::shared();
    let error = control_plane
        .try_kubectl(&["get", "configmap", "nobody", "-n", "default"], "")
        .expect_err("there is none");
    assert!(error.contains("NotFound"), "{error}");
}

#[tokio::test]
async fn an_outage_keeps_the_data_and_the_controller_manager_does_its_work() {
    let control_plane = ControlPlane::start();
    let client = control_plane.client().await;
    let config_maps: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
    let object = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "kept" }, "data": { "key": "value" },
    });
    let parameters = PatchParams::apply("tests");
    config_maps
        .patch("kept", &parameters, &Patch::Apply(&object))
        .await
        .expect("the administrator may");

    let (etcd, api_server) = (control_plane.etcd_pid(), control_plane.api_server_pid());
    control_plane.stop_api_server();
    let outage = config_maps.get("kept").await;
    outage.expect_err("nobody answers");
    control_plane.start_api_server().await;
    assert_ne!(control_plane.api_server_pid(), api_server);
    assert_eq!(control_plane.etcd_pid(), etcd);
    let kept = config_maps.get("kept").await.expect("etcd kept it");
    assert_eq!(kept.data.unwrap_or_default()["key"], "value");

    // A deleted namespace goes, with all of its objects.
    control_plane.start_controller_manager().await;
    let namespace = control_plane.new_namespace("watched").await;
    let accounts: Api<ServiceAccount> = Api::namespaced(client, &namespace);
    let account: ServiceAccount =
        serde_json::from_value(json!({ "metadata": { "name": "one-more" } }))
            .expect("a service account");
    accounts
        .create(&PostParams::default(), &account)
        .await
        .expect("the administrator may");
    control_plane.kubectl(&["delete", "namespace", &namespace, "--timeout=2m"]);

    let pids = [etcd, control_plane.api_server_pid()];
    drop(control_plane);
    for pid in pids.into_iter().flatten() {
        assert!(!super::processes::exists(pid), "{pid} is gone");
    }
}

#[tokio::test]
async fn waiting_for_a_condition_survives_an_api_server_outage() {
    let control_plane = ControlPlane::start();
    control_plane.install("deploy/");
    let namespace = control_plane.new_namespace("waiting").await;
    let client = control_plane.client().await;
    let resource = json!({
        "apiVersion": "cognito-password-operator.io/v1alpha1",
        "kind": "CognitoUserPassword",
        "metadata": { "name": "ci-bot" },
        "spec": {
            "userPoolId": "eu-west-1_AbCdEf123",
            "username": "ci-bot",
            "passwordSecretRef": { "name": "ci-bot-credentials" },
        },
    });
    let create = ["create", "-n", &namespace, "-f", "-"];
    control_plane.kubectl_stdin(&create, &resource.to_string());

    let waiting = tokio::spawn({
        let (client, namespace) = (client.clone(), namespace.clone());
        async move {
            let ready = ("True", "PasswordSet");
            let deadline = Duration::from_mins(2);
            wait_reason(&client, (&namespace, "ci-bot"), ready, deadline).await
        }
    });
    control_plane.stop_api_server();
    control_plane.start_api_server().await;
    let condition = json!({
        "type": "Ready", "status": "True", "reason": "PasswordSet", "message": "Said by a test.",
        "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1,
    });
    let status = json!({ "status": { "observedGeneration": 1, "conditions": [condition] } });
    resources(&client, &namespace)
        .patch_status("ci-bot", &PatchParams::default(), &Patch::Merge(&status))
        .await
        .expect("the administrator may");

    let seen = waiting.await.expect("it is seen");
    let message = seen.data.pointer("/status/conditions/0/message");
    assert_eq!(message.and_then(Value::as_str), Some("Said by a test."));
    let described = describe(&client, &namespace, "ci-bot").await;
    assert!(described.contains("Said by a test."), "{described}");
    let writes = AuditQuery::new()
        .resource("cognitouserpasswords")
        .subresource("status");
    let writes = control_plane.audit(&writes.namespace(&namespace));
    assert_eq!(writes.len(), 1, "{writes:#?}");
    assert_eq!(
        writes[0].pointer("/requestObject/status/observedGeneration"),
        Some(&json!(1)),
        "the log has the body: {writes:#?}"
    );
}
