//! How the commands end without a cluster, or with one that says little: the exit status, and the words.

use super::{
    PLUGIN,
    api::{Answers, Api},
    text,
};
use rstest::rstest;
use std::{
    path::Path,
    process::{Command, Output},
};

fn plugin(kubeconfig: Option<&Path>, home: &Path, words: &str) -> Output {
    let mut command = Command::new(PLUGIN);
    command
        .args(words.split_whitespace())
        .env_clear()
        .env("HOME", home)
        .env("COLUMNS", "80");
    if let Some(file) = kubeconfig {
        command.env("KUBECONFIG", file);
    }
    command.output().expect("the plugin runs")
}

fn with(api: &Api, words: &str) -> Output {
    let kubeconfig = api.kubeconfig();
    let folder = kubeconfig.parent().expect("a folder").to_owned();
    plugin(Some(&kubeconfig), &folder, words)
}

/// A kubeconfig that is named and isn't there is a wrong command line, and so is a context. No kubeconfig at all is
/// no mistake of the caller's.
#[rstest]
#[case::none(None, "check", 3, "no API server is configured")]
#[case::of_the_variable(Some("gone"), "check", 2, "gone")]
#[case::of_the_flag(None, "check --kubeconfig gone", 2, "gone")]
#[case::context(Some("good"), "check --context nonsense", 2, "no context nonsense")]
#[case::context_without_a_kubeconfig(None, "check --context nonsense", 2, "kubeconfig")]
#[case::bad(Some("bad"), "check", 2, "the kubeconfig is not valid")]
fn a_kubeconfig_that_is_named_must_be_there(
    #[case] file: Option<&str>,
    #[case] words: &str,
    #[case] status: i32,
    #[case] said: &str,
) {
    let home = tempfile::tempdir().expect("a temporary folder");
    let good = std::fs::read(Api::silent().kubeconfig()).expect("a kubeconfig");
    std::fs::write(home.path().join("good"), good).expect("a file");
    std::fs::write(home.path().join("bad"), "clusters: [a: b: c]").expect("a file");
    let file = file.map(|name| home.path().join(name));
    let output = plugin(file.as_deref(), home.path(), words);
    let printed = text(&output);
    assert_eq!(output.status.code(), Some(status), "{printed}");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        error.starts_with("error: ") && error.contains(said),
        "{printed}"
    );
    assert_eq!(error.lines().count(), 1, "{printed}");
}

/// Each request takes its whole time limit, so a command makes few of them: the second number.
#[rstest]
#[case("version", 1)]
#[case("check", 2)]
#[case("grants test --user a --pool eu-west-1_a", 1)]
#[case("grants who --user a --pool eu-west-1_a", 1)]
#[case("grants diff --delete a", 1)]
#[case("report -o /dev/null/none.tar.gz", 1)]
#[case("set a", 1)]
#[case("set --all", 1)]
#[case("suspend a b c", 1)]
#[case("doctor a", 1)]
#[case("doctor a b c", 1)]
#[case("doctor -A", 1)]
#[case("wait a --timeout 0", 1)]
fn an_api_server_that_never_answers_is_not_asked_again_and_again(
    #[case] words: &str,
    #[case] requests: usize,
) {
    let api = Api::silent();
    let output = with(&api, words);
    let printed = text(&output);
    assert_eq!(output.status.code(), Some(3), "{printed}");
    let asked = api.asked();
    assert!(asked.len() <= requests, "{words}: {asked:#?}");
    let said = printed.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("didn't answer within 5 s"), "{printed}");
    for line in printed.lines().filter(|it| !it.starts_with("error: ")) {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

const VERSION: (&str, &str) = (
    "/version",
    r#"{"major":"1","minor":"33","gitVersion":"v1.33.0","gitCommit":"","gitTreeState":"","buildDate":"","goVersion":"","compiler":"","platform":""}"#,
);
const YES: (&str, &str) = (
    "selfsubjectaccessreviews",
    r#"{"apiVersion":"authorization.k8s.io/v1","kind":"SelfSubjectAccessReview","metadata":{},"spec":{},"status":{"allowed":true}}"#,
);
const GROUPS: (&str, &str) = (
    "/apis ",
    r#"{"apiVersion":"v1","kind":"APIGroupList","groups":[]}"#,
);
const NOTHING: &str = r#"{"apiVersion":"v1","kind":"List","metadata":{},"items":[]}"#;
const BARE: Answers = &[
    VERSION,
    YES,
    ("/deployments", NOTHING),
    ("/api/v1/namespaces?", NOTHING),
];

/// An API server without the CRDs: each command says so, and how to install them.
#[rstest]
#[case("grants test --user a --pool eu-west-1_a", 3)]
#[case("grants who --user a --pool eu-west-1_a", 3)]
#[case("grants diff --delete a", 3)]
#[case("set a", 3)]
#[case("set --all", 3)]
#[case("suspend a --reason x", 3)]
#[case("resume --all", 3)]
#[case("wait a --timeout 0", 3)]
fn without_the_crds_each_command_says_how_to_install_them(
    #[case] words: &str,
    #[case] status: i32,
) {
    let output = with(&Api::answering(BARE), words);
    let printed = text(&output);
    assert_eq!(output.status.code(), Some(status), "{printed}");
    let said = printed.split_whitespace().collect::<Vec<_>>().join(" ");
    let has_words = said.contains("the operator's CRDs aren't installed");
    assert!(
        has_words && said.contains("kubectl apply --server-side"),
        "{printed}"
    );
    assert!(!said.contains("not found"), "{printed}");
}

#[test]
fn the_caller_acts_as_the_user_the_groups_and_the_uid_that_the_flags_name() {
    let api = Api::answering(BARE);
    with(&api, "version --as alice --as-uid 7 --as-group devs");
    let asked = api.asked();
    let heads = [
        "impersonate-user: alice",
        "impersonate-uid: 7",
        "impersonate-group: devs",
    ];
    for head in heads {
        assert!(
            asked.iter().all(|it| it.contains(head)),
            "{head}: {asked:#?}"
        );
    }
    assert!(!asked.is_empty());
}

const SERVED: Answers = &[
    VERSION,
    YES,
    ("/cognitouserpasswords?", NOTHING),
    ("/cognitouserpoolgrants?", NOTHING),
    ("/deployments", NOTHING),
    (
        "/apis/cognito-password-operator.io/v1alpha1",
        r#"{"apiVersion":"v1","kind":"APIResourceList","groupVersion":"cognito-password-operator.io/v1alpha1","resources":[{"name":"cognitouserpasswords","singularName":"","namespaced":true,"kind":"CognitoUserPassword","verbs":[]}]}"#,
    ),
    (
        "/apis",
        r#"{"apiVersion":"v1","kind":"APIGroupList","groups":[{"name":"cognito-password-operator.io","versions":[{"groupVersion":"cognito-password-operator.io/v1alpha1","version":"v1alpha1"}]}]}"#,
    ),
];

#[rstest]
#[case("doctor -n nowhere", "the namespace nowhere doesn't exist")]
#[case(
    "doctor --pool eu-west-1_Typo",
    "no resource names the pool eu-west-1_Typo"
)]
fn a_place_that_is_not_there_is_found_out(#[case] words: &str, #[case] said: &str) {
    let output = with(&Api::answering(SERVED), words);
    let printed = text(&output);
    assert_eq!(output.status.code(), Some(1), "{printed}");
    let lines = printed.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(lines.contains(said), "{printed}");
}

const RESOURCE: (&str, &str) = (
    "cognitouserpasswords/ci-bot",
    r#"{"apiVersion":"cognito-password-operator.io/v1alpha1","kind":"CognitoUserPassword","metadata":{"namespace":"team-a","name":"ci-bot","generation":1},"spec":{"userPoolId":"eu-west-1_a","username":"ci-bot","passwordSecretRef":{"name":"s"}}}"#,
);

#[rstest]
#[case("set ci-bot --dry-run --operator-namespace home")]
#[case("grants test --user a --pool eu-west-1_a --operator-namespace home")]
#[case("grants who --user a --pool eu-west-1_a --operator-namespace home")]
#[case("grants diff --delete a --operator-namespace home")]
#[case("version --operator-namespace home")]
fn the_operators_settings_are_read_where_the_caller_says(#[case] words: &str) {
    let api = Api::answering(&[VERSION, YES, RESOURCE, GROUPS]);
    with(&api, words);
    let asked = api.asked();
    let mut deployments = asked.iter().filter(|it| it.contains("/deployments"));
    let there = "get /apis/apps/v1/namespaces/home/deployments";
    assert!(deployments.clone().count() > 0, "{asked:#?}");
    assert!(deployments.all(|it| it.starts_with(there)), "{asked:#?}");
}
