//! Each flag of `run` has a value in the chart, and the operator accepts the arguments that the chart
//! renders.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::{Value, json};

use crate::render::{args, objects, template};

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
        ("--drift", json!({ "drift": "report" }), "--drift=report"),
        (
            "--drift-interval",
            json!({ "driftInterval": "1h30m" }),
            "--drift-interval=1h30m",
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

/// Whether the operator accepts a flag. The next thing that is missing is an API server.
fn is_accepted(flag: &str, text: &str) -> bool {
    let output = Command::new(BINARY)
        .args(["run", &format!("{flag}={text}")])
        .env_clear()
        .env("POD_NAMESPACE", "somewhere")
        .env("KUBECONFIG", "/nonexistent")
        .output()
        .expect("the operator can be started");
    String::from_utf8_lossy(&output.stderr).contains("no API server is configured")
}

/// A flag, texts for the flag, and the settings that give a text to the flag.
type Texts<'a> = (&'a str, &'a [&'a str], fn(&str) -> Value);

/// Texts for `--drift-interval`. The operator also accepts "90 minutes", "PT90M" and spaces. The chart computes with the
/// value, and takes one form.
const INTERVALS: [&str; 20] = [
    "5m", "4m", "0m", "0h5m", "1h30m", "1h90m", "90m", "015m", "168h", "167h60m", "169h", "10080m",
    "10081m", "15", "m", "h", "30m1h", "-15m", "1h30", "ten",
];

#[test]
fn the_chart_refuses_a_text_exactly_if_the_operator_does() {
    let selectors = [
        "a=b",
        " a == b , c!=d ",
        "team in (a, b),!legacy,ours",
        "team notin(a)",
        "team notin (a)",
        "example.com/team=A_1.x",
        "empty=",
        "in in (in)",
        "a=b,",
        "a,x > 5",
        "a=b=c",
        "team in (a,b",
        "team in (a) b",
        "team in a",
        "-a=b",
        "a=b-",
        "Example.com/a=b",
        "a/b/c=d",
        "! a",
        "team in ()",
        ",",
        "a b",
        "a=(b)",
    ];
    let levels = [
        "info",
        "INFO",
        "off",
        "3",
        "6",
        "loud",
        "info,cognito_password_operator=debug",
        "a::b=trace, warn",
        "cognito_password_operator=",
        ",,info",
        "info,,",
        ",",
        "inof",
        "a=b=warn",
        "=debug",
        "[reconcile]=debug",
        "a[b{c}]=trace",
        "a[b=info",
        "*=info",
        "a=5",
        "a=7",
    ];
    let leases = ["a", "a.b", "a-b.c", "a..b", "-a", "a-", "A", "a_b", "1"];
    let addresses = [
        "[::]",
        "0.0.0.0",
        "10.1.2.3",
        "[fd00::1]",
        "[fd00:0:0:0:0:0:0:1]",
        "::",
        "localhost",
        "256.0.0.1",
        "1.2.3",
        "[::1::2]",
        "[12345::]",
    ];
    let namespaces = ["a", "1", "a-b", "A", "a.b", "-a", "a_b", ""];
    let table: [Texts; 6] = [
        (
            "--drift-interval",
            &INTERVALS,
            |text| json!({ "driftInterval": text }),
        ),
        (
            "--secret-selector",
            &selectors,
            |text| json!({ "secretSelector": text }),
        ),
        ("--log", &levels, |text| json!({ "log": { "level": text } })),
        ("--lease-name", &leases, |text| json!({ "leaseName": text })),
        (
            "--listen",
            &addresses,
            |text| json!({ "listenAddress": text }),
        ),
        (
            "--watch-namespaces",
            &namespaces,
            |text| json!({ "watchNamespaces": [text] }),
        ),
    ];
    for (flag, texts, settings) in table {
        for text in texts {
            let port = if flag == "--listen" { ":8080" } else { "" };
            let of_operator = is_accepted(flag, &format!("{text}{port}"));
            let of_chart = template(&json!({ "settings": settings(text) }));
            assert_eq!(
                of_chart.is_ok(),
                of_operator,
                "{flag}={text:?}: {of_chart:?}"
            );
        }
    }
}

#[test]
fn a_flag_with_a_value_is_refused_as_a_further_argument_or_variable() {
    for (flag, _, _) in table() {
        let refusal = template(&json!({ "extraArgs": [format!("{flag}=a")] })).expect_err(flag);
        let words = format!("extraArgs: {flag} has a value of its own: set settings.");
        assert!(refusal.contains(&words), "{refusal}");
        let variable = format!("CPO{}", flag[1..].replace('-', "_").to_uppercase());
        let values = json!({ "extraEnv": [{ "name": variable, "value": "a" }] });
        let refusal = template(&values).expect_err(&variable);
        let words = format!("extraEnv: {variable} has a value of its own: set settings.");
        assert!(refusal.contains(&words), "{refusal}");
    }
}
