//! Two leaders: two pods that both say they lead, two pods without an election, and two operators that act for the
//! same namespace.

use serde_json::{Value, json};

use super::super::installation::{Installation, NAME, commands, finding};
use super::FIRST;
use crate::support::{ControlPlane, Operator};
use crate::world::SOON;

/// The namespace of another operator.
const OTHER: &str = "second";

#[tokio::test(flavor = "multi_thread")]
async fn two_leaders_are_named_and_one_goes() {
    let plane = ControlPlane::start();
    let it = Installation::on(&plane, "broken-leaders").await;
    let builder = it.world.cluster_wide().leader_elect();
    let first = builder.env("POD_NAME", "pod-a").start().await;
    first.wait_ready(SOON).await;
    it.scale(1);
    it.pods(&[("pod-a", &first)]);
    it.world.in_sync("bot", FIRST).await;
    it.is_well("bot").await;

    let second = another(&it).await;
    two_pods_lead(&it, (&first, &second)).await;
    two_operators_act(&it, (&first, &second)).await;
    assert!(first.terminate(SOON).await.success());
    without_an_election(&it).await;
    it.assert_silent(&[FIRST]);
}

/// An operator with a Lease of its own, in another namespace.
async fn another(it: &Installation<'_>) -> Operator {
    let plane = it.plane();
    plane.kubectl(&["create", "namespace", OTHER]);
    plane.kubectl(&["create", "serviceaccount", NAME, "-n", OTHER]);
    let rules = include_str!("../../../../deploy/base/rbac.yaml");
    let rules = rules.replace(
        &format!("namespace: {NAME}"),
        &format!("namespace: {OTHER}"),
    );
    plane.kubectl_stdin(&["apply", "-f", "-"], &rules);
    let account = format!("--serviceaccount={OTHER}:{NAME}");
    let role = format!("--clusterrole={NAME}");
    plane.kubectl(&["create", "clusterrolebinding", OTHER, &role, &account]);
    let kubeconfig = plane.kubeconfig_for_token("second", &plane.token_for(OTHER, NAME));
    let builder = it.world.cluster_wide().leader_elect().home(OTHER);
    let builder = builder.kubeconfig(&kubeconfig).env("POD_NAME", "pod-b");
    let operator = builder.start().await;
    operator.wait_ready(SOON).await;
    operator
}

/// Two pods of the Deployment lead at once, each by another Lease, as after a change of the Lease in the middle of
/// a rollout.
async fn two_pods_lead(it: &Installation<'_>, (first, second): (&Operator, &Operator)) {
    it.scale(2);
    it.pods(&[("pod-a", first), ("pod-b", second)]);
    let named = format!("{}/bot", it.world.namespace);
    let words = ["× operator 2 pods lead at once: pod-a, pod-b", "cure: "];
    it.said(&["doctor", &named], 1, &words).await;
    it.said(&["doctor", "-A"], 1, &words).await;
    it.said(
        &["check"],
        1,
        &["× leader 2 lead at once: pod-a, pod-b", "cure: "],
    )
    .await;
    let report = it.report("bot").await;
    let link = finding(&report["chain"], "operator", "Failed");
    for command in commands(&link["cure"]) {
        it.cure(&command).await;
    }
    // The old pod ends.
    it.scale(1);
    it.pods(&[("pod-a", first)]);
    it.is_well("bot").await;
}

/// A second installation in another namespace watches all namespaces too.
async fn two_operators_act(it: &Installation<'_>, (first, second): (&Operator, &Operator)) {
    let plane = it.plane();
    let deployment = ["get", "deployment", NAME, "-n", NAME, "-o", "json"];
    let mut copy: Value = serde_json::from_str(&plane.kubectl(&deployment)).expect("JSON");
    let labels = &copy["metadata"]["labels"];
    copy["metadata"] = json!({ "name": NAME, "namespace": OTHER, "labels": labels });
    plane.kubectl_stdin(&["create", "-f", "-"], &copy.to_string());
    it.pods_of((OTHER, NAME), &[("pod-b", second)]);
    it.proxy
        .play_pods(&[("pod-a", first.port()), ("pod-b", second.port())]);

    let named = format!("{}/bot", it.world.namespace);
    let both = [format!("{NAME}/{NAME}"), format!("{OTHER}/{NAME}")];
    let words = ["operators act for", &both[0], &both[1], "cure: "];
    it.said(&["doctor", &named], 1, &words).await;
    let words = ["operators act for", &both[0], &both[1], "cure: "];
    it.said(&["doctor", "-A"], 1, &words).await;
    let words = [
        "× operator",
        &both[0],
        &both[1],
        "both watch all namespaces",
        "cure: ",
    ];
    it.said(&["check"], 1, &words).await;

    let report = it.report("bot").await;
    let link = finding(&report["chain"], "operator", "Failed");
    for command in commands(&link["cure"]) {
        assert!(
            command.contains(&format!(" -n {OTHER}")),
            "the usual one stays: {command}"
        );
        it.cure(&command).await;
    }
    // The controllers delete the pod.
    if plane
        .try_kubectl(&["get", "deployment", NAME, "-n", OTHER], "")
        .is_ok()
    {
        it.pods_of((OTHER, NAME), &[]);
    }
    assert!(second.terminate(SOON).await.success());
    it.is_well("bot").await;
}

/// Two pods of a Deployment without an election.
async fn without_an_election(it: &Installation<'_>) {
    let args = json!([{
        "op": "replace",
        "path": "/spec/template/spec/containers/0/args",
        "value": ["run", "--leader-elect=false"],
    }]);
    let patch = ["patch", "deployment", NAME, "-n", NAME, "--type=json", "-p"];
    let args = args.to_string();
    it.plane().kubectl(&[&patch[..], &[&args]].concat());
    it.scale(2);
    let one = it.world.cluster_wide().start().await;
    let two = it.world.cluster_wide().start().await;
    one.wait_ready(SOON).await;
    two.wait_ready(SOON).await;
    it.pods(&[("pod-a", &one), ("pod-b", &two)]);

    let named = format!("{}/bot", it.world.namespace);
    let words = ["× operator", "2 pods", "--leader-elect=false", "cure: "];
    it.said(&["doctor", &named], 1, &words).await;
    it.said(&["doctor", "-A"], 1, &words).await;
    let words = [
        "2 pods act without an election",
        "--leader-elect=false",
        "cure: ",
    ];
    it.said(&["check"], 1, &words).await;

    let report = it.report("bot").await;
    let link = finding(&report["chain"], "operator", "Failed");
    for command in commands(&link["cure"]) {
        it.cure(&command).await;
    }
    // The controllers end one pod.
    assert!(two.terminate(SOON).await.success());
    it.pods(&[("pod-a", &one)]);
    it.is_well("bot").await;
}
