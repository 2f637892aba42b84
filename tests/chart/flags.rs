//! Each flag of `run` has a value in the chart, and the operator accepts the arguments that the chart
//! renders.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::{Value, json};

use crate::render::{args, objects};

const BINARY: &str = env!("CARGO_BIN_EXE_cognito-password-operator");

/// A flag of `run`, values that set the flag, and the argument that follows.
fn table() -> Vec<(&'static str, Value, &'static str)> {
    vec![
        (
            "--watch-namespaces",
            json!({ "watchNamespaces": ["team-a", "team-b"] }),
            "--watch-namespaces=team-a,team-b",
        ),
        (
            "--secret-selector",
            json!({ "secretSelector": "a=b,team in (c,d)" }),
            "--secret-selector=a=b,team in (c,d)",
        ),
        (
            "--ungranted",
            json!({ "ungranted": "allow" }),
            "--ungranted=allow",
        ),
        (
            "--cognito-rps",
            json!({ "cognitoRps": 0.5 }),
            "--cognito-rps=0.5",
        ),
        (
            "--cognito-burst",
            json!({ "cognitoBurst": 3 }),
            "--cognito-burst=3",
        ),
        (
            "--leader-elect",
            json!({ "leaderElect": false }),
            "--leader-elect=false",
        ),
        (
            "--lease-name",
            json!({ "leaseName": "another" }),
            "--lease-name=another",
        ),
        (
            "--listen",
            json!({ "listenAddress": "0.0.0.0", "port": 9000 }),
            "--listen=0.0.0.0:9000",
        ),
        (
            "--log-format",
            json!({ "log": { "format": "json" } }),
            "--log-format=json",
        ),
        (
            "--log",
            json!({ "log": { "level": "info,cognito_password_operator=debug" } }),
            "--log=info,cognito_password_operator=debug",
        ),
    ]
}

/// Flags without a value, with the reason.
const LEFT_OUT: [(&str, &str); 2] = [
    (
        "--operator-namespace",
        "the pod's own namespace, by POD_NAMESPACE",
    ),
    ("--help", "no setting"),
];

#[test]
fn each_flag_of_run_has_a_value_in_the_chart() {
    let help = Command::new(BINARY).args(["run", "--help"]).output();
    let help = String::from_utf8(help.expect("the operator can be started").stdout);
    let help = help.expect("the help is UTF-8");
    let flag = |line: &str| {
        let flag = line.trim_start().trim_start_matches("-h, ");
        let flag = flag
            .starts_with("--")
            .then(|| flag.split([' ', '[']).next());
        flag.flatten().map(ToOwned::to_owned)
    };
    let flags: BTreeSet<String> = help.lines().filter_map(flag).collect();
    let with_value = table().into_iter().map(|(flag, _, _)| flag.to_owned());
    let left_out = LEFT_OUT.into_iter().map(|(flag, _)| flag.to_owned());
    assert_eq!(flags, with_value.chain(left_out).collect());
}

#[test]
fn each_setting_becomes_its_flag_and_the_operator_accepts_the_command_line() {
    for (flag, settings, wanted) in table() {
        let alone = flag == "--leader-elect";
        let values = json!({ "settings": settings, "replicas": if alone { 1 } else { 2 } });
        let args = args(&objects(&values));
        assert_eq!(args, ["run", wanted], "{settings}");
        let output = Command::new(BINARY)
            .args(&args)
            .env_clear()
            .env("POD_NAMESPACE", "somewhere")
            .env("KUBECONFIG", "/nonexistent")
            .output()
            .expect("the operator can be started");
        let said = String::from_utf8_lossy(&output.stderr);
        // The command line is right if the only error is the missing API server.
        assert!(
            said.contains("no API server is configured"),
            "{args:?}: {said}"
        );
    }
}

#[test]
fn with_default_values_no_flag_is_given() {
    assert_eq!(args(&objects(&json!({}))), ["run"]);
}
