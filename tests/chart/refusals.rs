//! Wrong values are refused, by Helm 4, with a sentence that names the value and says what is right.

use serde_json::json;

use crate::render::{RELEASE, chart, read, template, template_by};
use crate::sentences::{self, Refusal};
use crate::support::tools::Tool;

/// Values that the schema refuses, for a type, a name or a range; and words of the refusal.
fn schema() -> Vec<Refusal> {
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
            json!({ "settings": { "drift": "Report" } }),
            &["/settings/drift", "'report'", "'correct'"],
        ),
        (
            json!({ "settings": { "driftInterval": 15 } }),
            &["/settings/driftInterval", "want string"],
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

#[test]
fn a_wrong_value_is_refused_with_words_that_say_what_is_right() {
    for (values, words) in schema().into_iter().chain(sentences::all()) {
        let refusal = template(&values).expect_err(&values.to_string());
        for word in words {
            assert!(refusal.contains(word), "{values}: no {word:?} in {refusal}");
        }
    }
}

/// What the CRD of grants refuses, the chart refuses before it makes anything.
#[test]
fn a_grant_that_the_api_server_would_refuse_is_refused_by_the_chart() {
    let table = [
        ("name", json!("Team"), "\"Team\" is no name of a grant"),
        (
            "usernames",
            json!(["a b"]),
            "a username of team-a, \"a b\", has white space",
        ),
        (
            "namespaces",
            json!({ "names": ["team-*"] }),
            "\"team-*\", of team-a, is no name of a namespace",
        ),
        (
            "roleArn",
            json!("arn:aws:iam::1:role/passwords"),
            "the roleArn of team-a, \"arn:aws:iam::1:role/passwords\", is no ARN",
        ),
        (
            "externalId",
            json!("a b"),
            "the externalId of team-a, \"a b\", must consist of",
        ),
        (
            "externalId",
            json!("ours"),
            "the externalId of team-a is for assuming a role: set roleArn too",
        ),
        (
            "region",
            json!("Ireland"),
            "the region of team-a, \"Ireland\", is no name of an AWS Region",
        ),
    ];
    for (field, value, words) in table {
        let mut grant = sentences::grant("eu-west-1_AbCdEf123");
        grant[field] = value;
        let refusal = template(&json!({ "grants": [grant] })).expect_err(words);
        assert!(
            refusal.contains(&format!("\ngrants: {words}")),
            "{field}: {refusal}"
        );
    }
}

#[test]
fn a_file_renders_nothing_before_the_values_are_checked() {
    for entry in std::fs::read_dir(chart().join("templates")).expect("the folder can be read") {
        let name = entry.expect("the folder can be read").file_name();
        let name = name.to_string_lossy();
        if !name.starts_with('_') {
            let text = read(&format!("templates/{name}"));
            assert!(
                text.starts_with("{{- include \"cpo.validate\" . "),
                "{name}"
            );
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
