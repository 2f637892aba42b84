//! CRDs of an older version, a kind that is not served, and no CRDs at all.

use serde_json::{Value, json};

use super::super::installation::{Installation, commands, finding};
use super::{FIRST, SECOND};
use crate::support::{ControlPlane, Operator};

const KIND: &str = "cognitouserpasswords.cognito-password-operator.io";

/// The words of a command that meets no resources at all.
const NOT_INSTALLED: [&str; 2] = [
    "the operator's CRDs aren't installed",
    "kubectl cognito-password crd | kubectl apply --server-side --force-conflicts -f -",
];

#[tokio::test(flavor = "multi_thread")]
async fn old_missing_and_unserved_crds_are_named_and_the_printed_command_applies_them() {
    let plane = ControlPlane::start();
    let it = Installation::on(&plane, "broken-crds").await;
    let operator = it.start(FIRST).await;
    fields_are_missing(&it).await;
    no_kind_is_served(&it).await;
    no_crd_is_there(&it, &operator).await;
    it.assert_silent(&[FIRST, SECOND]);
}

/// The command of the finding on the CRDs, of `doctor -A`.
async fn command(it: &Installation<'_>) -> String {
    let said = it.run(&["doctor", "-A", "-o", "json"]).await;
    let document = said.json();
    let found = finding(&document["findings"], "crds", "Failed");
    let [command] = &*commands(&found["cure"]) else {
        panic!("{found:#}");
    };
    command.clone()
}

/// An older version of the CRDs, installed by Helm.
async fn fields_are_missing(it: &Installation<'_>) {
    let plane = it.plane();
    let crd = plane.kubectl(&["get", "crd", KIND, "-o", "json"]);
    let mut crd: Value = serde_json::from_str(&crd).expect("JSON");
    let schema = "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties";
    let fields = crd.pointer_mut(schema).and_then(Value::as_object_mut);
    let gone = fields.expect("fields").remove("foundAs");
    assert!(gone.is_some(), "no such field");
    crd["metadata"] = json!({ "name": KIND });
    let apply = [
        "apply",
        "--server-side",
        "--force-conflicts",
        "--field-manager=helm",
        "-f",
        "-",
    ];
    plane.kubectl_stdin(&apply, &crd.to_string());

    let named = format!("{}/bot", it.world.namespace);
    let words = ["× crds", "older", "status.foundAs", "cure: "];
    it.said(&["doctor", &named], 1, &words).await;
    it.said(&["doctor", "-A"], 1, &words).await;
    let words = ["× crds cognitouserpasswords is older than", words[2]];
    it.said(&["check"], 1, &words).await;
    let command = command(it).await;
    it.cure(&command).await;
    it.is_well("bot").await;
}

/// The CRD is there, and the version is not served.
async fn no_kind_is_served(it: &Installation<'_>) {
    let unserved = json!([{ "op": "replace", "path": "/spec/versions/0/served", "value": false }]);
    let unserved = unserved.to_string();
    it.plane()
        .kubectl(&["patch", "crd", KIND, "--type=json", "-p", &unserved]);

    let named = format!("{}/bot", it.world.namespace);
    it.said(&["doctor", &named], 1, &NOT_INSTALLED).await;
    let words = ["× crds", "doesn't serve cognitouserpasswords of", "cure: "];
    it.said(&["doctor", "-A"], 1, &words).await;
    it.said(&["check"], 1, &["× crds", "lacks cognitouserpasswords"])
        .await;
    let command = command(it).await;
    it.cure(&command).await;
    it.is_well("bot").await;
}

/// Somebody deleted the CRDs, and so all resources.
async fn no_crd_is_there(it: &Installation<'_>, operator: &Operator) {
    it.plane().kubectl(&["delete", "-k", "crds/"]);
    let named = format!("{}/bot", it.world.namespace);
    it.said(&["doctor", &named], 1, &NOT_INSTALLED).await;
    let words = ["× crds", "the CRDs are not installed", "cure: "];
    it.said(&["doctor", "-A"], 1, &words).await;
    let words = ["× crds", "lacks cognitouserpasswords", "cure: "];
    it.said(&["check"], 1, &words).await;
    let command = command(it).await;
    it.cure(&command).await;
    // The resources must be made again; the operator goes on without a restart.
    it.plane().kubectl(&[
        "wait",
        "crd",
        "--all",
        "--for=condition=Established",
        "--timeout=2m",
    ]);
    it.world.grant(|_| ()).await;
    it.world.apply_secret("bot", "password", SECOND).await;
    it.world.apply_resource("bot", |_| ()).await;
    it.world.wait_set("bot", SECOND).await;
    assert_eq!(operator.exit(), None);
    it.is_well("bot").await;
}
