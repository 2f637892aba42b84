//! The operator lacks rights: each rule of its `ClusterRole` is taken away.

use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::api::Api;
use serde_json::json;

use super::super::installation::{Installation, NAME, commands, finding};
use super::{FIRST, SECOND};
use crate::support::ControlPlane;

#[tokio::test(flavor = "multi_thread")]
async fn each_rule_that_the_operator_lacks_is_named_and_given_back() {
    let plane = ControlPlane::start();
    let it = Installation::on(&plane, "broken-rights").await;
    let _operator = it.start(FIRST).await;

    let api: Api<ClusterRole> = Api::all(it.world.client.clone());
    let role = api.get(NAME).await.expect("deploy/ has one");
    let rules = role.rules.expect("it has rules");
    assert_eq!(rules.len(), 7, "{rules:#?}");
    for (number, rule) in rules.iter().enumerate() {
        // The cure of the rule before gave the right by a role of its own.
        plane.kubectl(&["apply", "-k", "deploy/all-namespaces/"]);
        it.is_well("bot").await;
        let removal = json!([{ "op": "remove", "path": format!("/rules/{number}") }]);
        let removal = removal.to_string();
        plane.kubectl(&["patch", "clusterrole", NAME, "--type=json", "-p", &removal]);
        let of_secrets = rule.resources == Some(vec!["secrets".to_owned()]);
        if of_secrets {
            it.world.apply_secret("bot", "password", SECOND).await;
        }
        lacks(&it, &rule.verbs, rule.resources.as_deref().expect("a kind")).await;
        if of_secrets {
            it.world.wait_set("bot", SECOND).await;
        }
        it.is_well("bot").await;
    }
    it.assert_silent(&[FIRST, SECOND]);
}

/// What is lacking is named everywhere, and the command that doctor prints leads to the command that cures it.
async fn lacks(it: &Installation<'_>, verbs: &[String], kinds: &[String]) {
    let (kind, subresource) = match kinds[0].split_once('/') {
        Some((kind, subresource)) => (kind, format!(" --subresource={subresource}")),
        None => (&*kinds[0], String::new()),
    };
    let verbs = verbs.join(",");
    let may_not = format!("may not {verbs} {kind}");
    let account = format!("ServiceAccount {NAME}/{NAME}");
    let named = format!("{}/bot", it.world.namespace);
    let words = ["× rights", &account, &may_not, &subresource, "cure: "];
    it.said(&["doctor", &named], 1, &words).await;
    it.said(&["doctor", "-A"], 1, &words).await;
    it.said(&["check"], 1, &words).await;

    let report = it.report("bot").await;
    let link = finding(&report["chain"], "rights", "Failed");
    for command in commands(&link["cure"]) {
        if !command.starts_with("kubectl cognito-password check ") {
            it.cure(&command).await;
            continue;
        }
        // This command finds what is wrong, and so ends with 1; its findings have the commands that cure.
        let output = it.shell(&format!("{command} -o json")).await;
        assert_eq!(output.status.code(), Some(1), "{command}");
        let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let found = finding(&document["findings"], "rights", "Failed");
        for command in commands(&found["cure"]) {
            it.cure(&command).await;
        }
    }
}
