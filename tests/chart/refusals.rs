//! Wrong values are refused, by Helm 4, with a sentence that names the value and says what is right.

use serde_json::{Value, json};

use crate::render::{RELEASE, template, template_by};
use crate::support::tools::Tool;

/// Values that the schema refuses, for a type, a name or a range; and words of the refusal.
fn schema() -> Vec<(Value, &'static [&'static str])> {
    vec![
        (json!({ "replica": 2 }), &["replica", "not allowed"]),
        (
            json!({ "settings": { "watchNamespace": "a" } }),
            &["/settings", "watchNamespace", "not allowed"],
        ),
        (
            json!({ "settings": { "watchNamespaces": "team-a" } }),
            &["/settings/watchNamespaces", "want array"],
        ),
        (
            json!({ "settings": { "cognitoRps": 0 } }),
            &["/settings/cognitoRps", "want 0.01"],
        ),
        (
            json!({ "settings": { "cognitoRps": 10001 } }),
            &["/settings/cognitoRps", "want 10"],
        ),
        (
            json!({ "settings": { "cognitoBurst": 0 } }),
            &["/settings/cognitoBurst", "want 1"],
        ),
        (
            json!({ "settings": { "cognitoBurst": 1.5 } }),
            &["/settings/cognitoBurst", "want integer"],
        ),
        (
            json!({ "settings": { "ungranted": "yes" } }),
            &["/settings/ungranted", "'deny'", "'allow'"],
        ),
        (
            json!({ "settings": { "leaderElect": "true" } }),
            &["/settings/leaderElect", "want boolean"],
        ),
        (
            json!({ "settings": { "port": 70000 } }),
            &["/settings/port", "want 65,535"],
        ),
        (
            json!({ "settings": { "log": { "format": "xml" } } }),
            &["/settings/log/format", "'json'"],
        ),
        (
            json!({ "networkPolicy": { "flavor": "calico" } }),
            &["/networkPolicy/flavor", "'cilium'"],
        ),
        (
            json!({ "networkPolicy": { "egress": { "dns": { "ports": ["dns"] } } } }),
            &["/networkPolicy/egress/dns/ports/0", "want integer"],
        ),
        (
            json!({ "image": "cognito-password-operator:1" }),
            &["/image", "want object"],
        ),
        (
            json!({ "image": { "pullPolicy": "always" } }),
            &["/image/pullPolicy", "'Always'"],
        ),
        (
            json!({ "podLabels": { "a": 1 } }),
            &["/podLabels/a", "want null or string"],
        ),
        (
            json!({ "grants": [{ "name": "team-a" }] }),
            &["/grants/0", "missing", "userPoolId"],
        ),
        (
            json!({ "extraEnv": [{ "nam": "a" }] }),
            &["/extraEnv/0", "name"],
        ),
    ]
}

/// Values that the schema lets through and the chart refuses: patterns, and values that don't go together.
fn sentences() -> Vec<(Value, &'static [&'static str])> {
    let grant = |pool: &str| json!({ "grants": [{ "name": "team-a", "userPoolId": pool, "usernames": ["ci-bot"], "namespaces": { "names": ["team-a"] } }] });
    vec![
        (
            json!({ "settings": { "watchNamespaces": ["Team-A"] } }),
            &[
                "settings.watchNamespaces",
                "\"Team-A\" is no name of a namespace",
            ],
        ),
        (
            json!({ "settings": { "watchNamespaces": ["a"], "ungranted": "deny" } }),
            &["settings.ungranted: deny needs grants"],
        ),
        (
            json!({ "settings": { "leaseName": "A_b" } }),
            &["settings.leaseName: \"A_b\" is no name of a Lease"],
        ),
        (
            json!({ "settings": { "listenAddress": "localhost" } }),
            &["settings.listenAddress: \"localhost\" is no address"],
        ),
        (
            json!({ "settings": { "leaderElect": false } }),
            &[
                "replicas: without settings.leaderElect",
                "set replicas to 1",
            ],
        ),
        (
            json!({ "aws": { "roleArn": "my-role" } }),
            &["aws.roleArn: \"my-role\" is no ARN of an IAM role, such as arn:aws:iam::"],
        ),
        (
            json!({ "aws": { "roleArn": "arn:aws:iam::111122223333:role/a" }, "serviceAccount": { "create": false } }),
            &["aws.roleArn: the chart annotates only a ServiceAccount that the chart makes"],
        ),
        (
            json!({ "aws": { "region": "Ireland" } }),
            &["aws.region: \"Ireland\" is no name of an AWS Region"],
        ),
        (
            json!({ "aws": { "endpoints": { "cognito": "cognito:443" } } }),
            &["aws.endpoints.cognito: \"cognito:443\" is no URL"],
        ),
        (
            json!({ "aws": { "endpoints": { "sts": "sts" } } }),
            &["aws.endpoints.sts: \"sts\" is no URL"],
        ),
        (
            json!({ "proxy": { "https": "proxy:3128" } }),
            &["proxy.https: \"proxy:3128\" is no URL of a proxy"],
        ),
        (
            json!({ "image": { "digest": "sha256:12" } }),
            &["image.digest: \"sha256:12\" is no digest"],
        ),
        (
            json!({ "image": { "repository": "me/operator:1.2" } }),
            &["image.repository: \"me/operator:1.2\" is no name of a repository"],
        ),
        (
            grant("pool"),
            &["grants: the userPoolId of team-a, \"pool\", is no user pool id"],
        ),
        (
            json!({ "settings": { "watchNamespaces": ["team-a"] }, "grants": grant("eu-west-1_AbCdEf123")["grants"] }),
            &["grants: an operator with settings.watchNamespaces doesn't read grants"],
        ),
        (
            json!({ "metrics": { "serviceMonitor": { "enabled": true }, "podMonitor": { "enabled": true } } }),
            &["metrics: a ServiceMonitor and a PodMonitor would scrape each pod twice"],
        ),
        (
            json!({ "metrics": { "serviceMonitor": { "enabled": true } }, "service": { "enabled": false } }),
            &["metrics.serviceMonitor: a ServiceMonitor needs the Service"],
        ),
        (
            json!({ "metrics": { "prometheusRule": { "rules": { "Throttled": { "enabled": false } } } } }),
            &[
                "Throttled is no alert of this chart",
                "CognitoPasswordOperatorThrottled",
            ],
        ),
    ]
}

#[test]
fn a_wrong_value_is_refused_with_words_that_say_what_is_right() {
    for (values, words) in schema().into_iter().chain(sentences()) {
        let refusal = template(&values).expect_err(&values.to_string());
        for word in words {
            assert!(refusal.contains(word), "{values}: no {word:?} in {refusal}");
        }
    }
}

#[test]
fn all_sentences_are_said_at_once() {
    let values =
        json!({ "aws": { "region": "Ireland", "roleArn": "my-role" }, "proxy": { "https": "x" } });
    let refusal = template(&values).expect_err("three values are wrong");
    for value in ["aws.region:", "aws.roleArn:", "proxy.https:"] {
        assert!(refusal.contains(value), "{refusal}");
    }
}

#[test]
fn an_umbrella_chart_may_hand_down_global_values_and_enabled() {
    let values = json!({ "enabled": true, "global": { "anything": { "at": ["all"] } } });
    template(&values).expect("global is open");
}

#[test]
fn names_of_a_release_that_are_long_still_make_names_of_objects() {
    let release = "a-release-with-a-name-as-long-as-helm-allows-at-all-53";
    let release = &release[..53];
    let text = template_by(Tool::Helm, release, &json!({})).expect("the release has a name");
    for object in crate::render::documents(&text) {
        let name = object["metadata"]["name"]
            .as_str()
            .expect("an object has a name");
        let is_crd = object["kind"] == "CustomResourceDefinition";
        assert!(is_crd || name.len() <= 63, "{name}");
        assert!(!name.ends_with('-') && !name.contains("--"), "{name}");
    }
    assert!(RELEASE.len() < 53);
}
