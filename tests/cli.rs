//! The command line, run as a program. One line refuses a mistake, and says what is right. Every setting has
//! a flag, a variable and a line of help. No cluster is needed.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use support::{Exit, Process, Signal, Spec, eventually, scratch, tools};

const BINARY: &str = env!("CARGO_BIN_EXE_cognito-password-operator");
const SOON: Duration = Duration::from_mins(2);
const ENDPOINT: &str = "AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER";

/// Every flag of `run`, its variable, and the default, if the flag has one.
const FLAGS: [(&str, &str, &str); 13] = [
    (
        "--watch-namespaces",
        "CPO_WATCH_NAMESPACES",
        "default: all namespaces",
    ),
    (
        "--secret-selector",
        "CPO_SECRET_SELECTOR",
        "default: all Secrets",
    ),
    (
        "--operator-namespace",
        "CPO_OPERATOR_NAMESPACE",
        "default: POD_NAMESPACE",
    ),
    ("--ungranted", "CPO_UNGRANTED", "default: deny"),
    ("--cognito-rps", "CPO_COGNITO_RPS", "default: 10"),
    ("--cognito-burst", "CPO_COGNITO_BURST", "default: 10"),
    ("--drift", "CPO_DRIFT", "default: ignore"),
    ("--drift-interval", "CPO_DRIFT_INTERVAL", "default: 15m"),
    ("--leader-elect", "CPO_LEADER_ELECT", "default: true"),
    (
        "--lease-name",
        "CPO_LEASE_NAME",
        "default: cognito-password-operator",
    ),
    ("--listen", "CPO_LISTEN", "default: [::]:8080"),
    ("--log-format", "CPO_LOG_FORMAT", "default: text"),
    ("--log", "CPO_LOG", "default: info"),
];

type Env<'a> = &'a [(&'a str, &'a str)];

/// Runs the operator with no other environment variables than `env`.
fn run(args: &[&str], env: Env) -> Output {
    Command::new(BINARY)
        .args(args)
        .env_clear()
        .env("HOME", scratch("home"))
        .envs(env.iter().copied())
        .output()
        .expect("it can be started")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The one line on standard error. The error is what the program printed instead.
fn refusal(output: &Output) -> Result<String, String> {
    let said = text(&output.stderr);
    let one_line = said.ends_with('\n') && said.lines().count() == 1;
    if output.status.code() == Some(2) && output.stdout.is_empty() && one_line {
        Ok(said.trim_end().to_owned())
    } else {
        Err(format!("{output:?}"))
    }
}

#[test]
fn crd_prints_what_crds_holds() {
    let documents = ["cognitouserpasswords", "cognitouserpoolgrants"].map(|name| {
        let output = run(&["crd", name], &[]);
        assert!(output.status.success(), "{output:?}");
        assert!(output.stderr.is_empty(), "{output:?}");
        let path = tools::checkout().join(format!("crds/{name}.yaml"));
        let held = std::fs::read_to_string(path).expect("the checkout has it");
        assert_eq!(text(&output.stdout), held, "`make crds` writes it anew");
        let (_, document) = held.split_once("---\n").expect("a document");
        document.to_owned()
    });
    let all = run(&["crd"], &[]);
    let all = text(&all.stdout);
    let (_, printed) = all.split_once("---\n").expect("documents");
    assert_eq!(printed, documents.join("---\n"), "without a name, all");
}

/// Arguments, variables, and the words of the refusal.
type Case<'a> = (&'a [&'a str], Env<'a>, &'a [&'a str]);

/// The operator's own namespace, so that another setting is the first wrong one.
const OWN: (&str, &str) = ("POD_NAMESPACE", "operator");

const LEVELS: &str = "off, error, warn, info, debug, trace";
const LABEL: &str = "1 to 63 lower case letters";

/// Stands for a secret in a wrong place, which no output may show.
const MARKER: &str = "hunter2";

#[track_caller]
fn assert_refused(cases: &[Case]) {
    let mut wrong = Vec::new();
    for (args, env, words) in cases {
        let output = run(args, env);
        let line = match refusal(&output) {
            Ok(line) => line,
            Err(instead) => {
                wrong.push(format!("{args:?} {env:?}: not one line and 2: {instead}"));
                continue;
            }
        };
        let silent = words.iter().filter(|words| !line.contains(**words));
        let silent: Vec<_> = silent.collect();
        if !silent.is_empty() || !line.starts_with("error: ") || line.contains(MARKER) {
            wrong.push(format!("{args:?} {env:?}: {line:?} doesn't say {silent:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_wrong_flag_is_one_line_that_says_what_is_right() {
    assert_refused(&[
        (&["walk"], &[], &["'walk'", "--help"]),
        (&["run", "fast"], &[], &["'fast'", "run --help"]),
        (
            &["run", "--listen", "8080"],
            &[],
            &["--listen", "0.0.0.0:8080"],
        ),
        (&["run", "--listen", ":8080"], &[], &["0.0.0.0:8080"]),
        (
            &["run", "--listen"],
            &[],
            &["--listen", "a value is required"],
        ),
        (&["run", "--log-format", "xml"], &[], &["xml", "text, json"]),
        (&["run", "--log", "loud"], &[], &["loud", LEVELS]),
        (&["run", "--log", "inof"], &[], &["inof", LEVELS]),
        (
            &["run", "--watch-namespaces", "Team_A"],
            &[],
            &["Team_A", LABEL],
        ),
        (&["run", "--watch-namespaces", "a,,b"], &[], &[LABEL]),
        (
            &["run", "--watch-namespace", "a"],
            &[],
            &["--watch-namespaces"],
        ),
        (
            &["run", "--secret-selector", "team within (a)"],
            &[],
            &[
                "--secret-selector",
                "team within (a)",
                "password-operator=yes",
            ],
        ),
        (
            &["run", "--leader-elect=perhaps"],
            &[],
            &["perhaps", "true, false"],
        ),
        (
            &["run", "--operator-namespace", "Own!"],
            &[],
            &["Own!", LABEL],
        ),
        (
            &["run", "--ungranted=perhaps"],
            &[],
            &["perhaps", "deny, allow"],
        ),
        (
            &[
                "run",
                "--operator-namespace=own",
                "--watch-namespaces=team-a",
                "--ungranted=deny",
            ],
            &[],
            &[
                "--ungranted=deny",
                "--watch-namespaces",
                "--ungranted=allow",
            ],
        ),
        (&["crd", "--listen", "0.0.0.0:1"], &[], &["--listen"]),
        (
            &["crd", "pods"],
            &[],
            &["pods", "cognitouserpasswords, cognitouserpoolgrants"],
        ),
    ]);
}

const POOL_ARN: &str = "arn:aws:cognito-idp:eu-west-1:111122223333:userpool/eu-west-1_AbCdEf123";
const OTHER_POOL_ARN: &str =
    "arn:aws:cognito-idp:eu-west-1:111122223333:userpool/eu-west-1_GhIjKl456";
const ROLE_ARN: &str = "arn:aws:iam::111122223333:role/cognito-password-operator";

#[test]
fn check_refuses_a_wrong_setting_in_one_line() {
    let cases = [
        (&[][..], "set --operator-namespace or POD_NAMESPACE"),
        (
            &["--operator-namespace", "home", "--url", "https://x"],
            "must be a URL such as http://",
        ),
        (
            &["--operator-namespace", "home", "--url", "http://"],
            "must be a URL such as http://",
        ),
        (
            &["--operator-namespace", "home", "--wait", "soon"],
            "a time such as 30s, 5m, 1h30m or 90 is needed",
        ),
        (&["--pre", "--url", "http://x"], "cannot be used with"),
        (&["--operator-namespace", "Home"], "lower case"),
    ];
    for (args, words) in cases {
        let output = run(&[&["check"], args].concat(), &[]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains(words), "{args:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{args:?}: {said}");
        assert!(output.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn iam_policy_prints_one_json_document_and_nothing_else() {
    for args in [
        &["--pool-arn", POOL_ARN][..],
        &["--assume-role-arn", ROLE_ARN],
        &[
            "--pool-arn",
            POOL_ARN,
            "--assume-role-arn",
            ROLE_ARN,
            "--pod-identity",
        ],
        &[
            "--pool-arn",
            POOL_ARN,
            "--drift",
            "--revoke-sessions",
            "--temporary-expiry",
        ],
        &[
            "trust",
            "irsa",
            "--oidc-provider",
            "arn:aws:iam::111122223333:oidc-provider/x.example/1",
        ],
        &["trust", "pod-identity"],
        &[
            "trust",
            "operator",
            "--operator-role-arn",
            ROLE_ARN,
            "--external-id",
            "team-a/1",
        ],
    ] {
        let output = run(&[&["iam-policy"], args].concat(), &[]);
        assert!(output.status.success(), "{args:?}: {output:?}");
        assert!(output.stderr.is_empty(), "{args:?}: {output:?}");
        let document: serde_json::Value =
            serde_json::from_slice(&output.stdout).expect("one document");
        assert_eq!(document["Version"], "2012-10-17", "{args:?}");
        let statements = document["Statement"].as_array().expect("statements");
        assert!(!statements.is_empty(), "{args:?}");
    }
}

#[test]
fn pools_may_be_given_one_by_one_or_by_commas_and_their_order_does_not_matter() {
    let print = |args: &[&str]| text(&run(&[&["iam-policy"], args].concat(), &[]).stdout);
    let one_by_one = print(&["--pool-arn", POOL_ARN, "--pool-arn", OTHER_POOL_ARN]);
    let by_commas = format!("--pool-arn={OTHER_POOL_ARN},{POOL_ARN},{POOL_ARN}");
    assert_eq!(print(&[&by_commas]), one_by_one);
    assert!(one_by_one.contains(OTHER_POOL_ARN), "{one_by_one}");
}

/// The actions of the policy that `iam-policy` prints with these arguments, statement by statement.
fn actions(args: &[&str]) -> Vec<String> {
    let output = run(&[&["iam-policy"], args].concat(), &[]);
    assert!(output.status.success(), "{args:?}: {output:?}");
    let policy: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one document");
    let statements = policy["Statement"].as_array().expect("statements");
    let actions = statements.iter().map(|statement| {
        assert_eq!(
            statement["Resource"],
            serde_json::json!([POOL_ARN]),
            "{args:?}"
        );
        let actions = statement["Action"].as_array().expect("actions");
        assert_eq!(actions.len(), 1, "{args:?}: {statement}");
        actions[0].as_str().expect("a word").to_owned()
    });
    actions.collect()
}

#[test]
fn a_right_beside_setting_passwords_is_printed_only_with_its_switch() {
    let set = "cognito-idp:AdminSetUserPassword";
    assert_eq!(actions(&["--pool-arn", POOL_ARN]), [set]);
    let switches = [
        ("--drift", "cognito-idp:ListUsers"),
        ("--revoke-sessions", "cognito-idp:AdminUserGlobalSignOut"),
        ("--temporary-expiry", "cognito-idp:DescribeUserPool"),
    ];
    for (switch, action) in switches {
        assert_eq!(actions(&["--pool-arn", POOL_ARN, switch]), [set, action]);
    }
    let in_any_order = [
        "--temporary-expiry",
        "--revoke-sessions",
        "--drift",
        "--pool-arn",
        POOL_ARN,
    ];
    let all = switches.map(|(_, action)| action);
    assert_eq!(actions(&in_any_order), [&[set][..], &all].concat());
}

#[test]
fn a_policy_that_would_not_be_the_least_or_not_work_is_refused_in_one_line() {
    let pool = "arn:aws:cognito-idp:eu-west-1:111122223333:userpool/";
    assert_refused(&[
        (
            &["iam-policy", "--pool-arn", "eu-west-1_AbCdEf123"],
            &[],
            &["--pool-arn", "arn:aws:cognito-idp:", "iam-policy --help"],
        ),
        (
            &["iam-policy", "--pool-arn", &format!("{pool}*")],
            &[],
            &["the ARN of a user pool is needed"],
        ),
        (
            &["iam-policy", "--pool-arn", &format!("{POOL_ARN},")],
            &[],
            &["the ARN of a user pool is needed"],
        ),
        (
            &[
                "iam-policy",
                "--pool-arn",
                &format!("{pool}us-east-1_AbCdEf123"),
            ],
            &[],
            &["eu-west-1", "us-east-1"],
        ),
        (
            &[
                "iam-policy",
                "--pool-arn",
                &POOL_ARN.replace("eu-west-1", "cn-north-1"),
            ],
            &[],
            &["cn-north-1", "arn:aws-cn:"],
        ),
        (
            &[
                "iam-policy",
                "--assume-role-arn",
                "arn:aws:iam::111122223333:role/*",
            ],
            &[],
            &["--assume-role-arn", "the ARN of a role is needed"],
        ),
        (
            &["iam-policy", "--pod-identity"],
            &[],
            &["--pool-arn <ARN>"],
        ),
        (&["iam-policy", "--drift"], &[], &["--pool-arn <ARN>"]),
        (
            &["iam-policy", "--drift", "--assume-role-arn", ROLE_ARN],
            &[],
            &["--pool-arn <ARN>"],
        ),
        (
            &[
                "iam-policy",
                "--assume-role-arn",
                ROLE_ARN,
                "--revoke-sessions",
            ],
            &[],
            &["--pool-arn <ARN>"],
        ),
        (
            &[
                "iam-policy",
                "--temporary-expiry",
                "--assume-role-arn",
                ROLE_ARN,
            ],
            &[],
            &["--pool-arn <ARN>"],
        ),
        (
            &["iam-policy", "--revoke-session", "--pool-arn", POOL_ARN],
            &[],
            &["--revoke-sessions"],
        ),
        (
            &["iam-policy", "trust", "irsa"],
            &[],
            &["--oidc-provider <ARN>", "iam-policy trust irsa --help"],
        ),
        (
            &[
                "iam-policy",
                "trust",
                "irsa",
                "--oidc-provider",
                "https://x.example/1",
            ],
            &[],
            &["arn:aws:iam::111122223333:oidc-provider/"],
        ),
        (
            &["iam-policy", "trust", "pod-identity", "--namespace", "Own!"],
            &[],
            &["Own!", LABEL],
        ),
        (
            &[
                "iam-policy",
                "trust",
                "pod-identity",
                "--cluster-arn",
                "my-cluster",
            ],
            &[],
            &["arn:aws:eks:"],
        ),
        (
            &[
                "iam-policy",
                "trust",
                "operator",
                "--operator-role-arn",
                ROLE_ARN,
                "--external-id",
                "a b",
            ],
            &[],
            &["--external-id", "2 to 1224"],
        ),
        (&["iam-policy", "trust", "everybody"], &[], &["everybody"]),
    ]);
}

#[test]
fn a_wrong_or_missing_variable_is_one_line_that_says_what_is_right() {
    assert_refused(&[
        (
            &["run"],
            &[("CPO_LISTEN", "8080")],
            &["--listen", "0.0.0.0:8080"],
        ),
        (
            &["run"],
            &[("CPO_LOG_FORMAT", "xml")],
            &["xml", "text, json"],
        ),
        (&["run"], &[("CPO_LOG", "loud")], &["--log", LEVELS]),
        (
            &["run"],
            &[("CPO_DRIFT", "Report")],
            &["Report", "ignore, report, correct"],
        ),
        (
            &["run"],
            &[("CPO_DRIFT_INTERVAL", "4m59s")],
            &["--drift-interval", "from 5m to 168h"],
        ),
        (
            &["run"],
            &[("CPO_DRIFT_INTERVAL", "168h1s")],
            &["--drift-interval", "from 5m to 168h"],
        ),
        (
            &["run"],
            &[("CPO_DRIFT_INTERVAL", "15")],
            &["--drift-interval", "from 5m to 168h"],
        ),
        (
            &["run"],
            &[("CPO_WATCH_NAMESPACES", "Team_A")],
            &["Team_A", LABEL],
        ),
        (
            &["run"],
            &[OWN, ("CPO_SECRET_SELECTOR", "")],
            &["--secret-selector", "kubectl"],
        ),
        (
            &["run"],
            &[("CPO_OPERATOR_NAMESPACE", "Own!")],
            &["Own!", LABEL],
        ),
        (
            &["run"],
            &[("POD_NAMESPACE", "Own!")],
            &["POD_NAMESPACE", LABEL],
        ),
        (&["run"], &[], &["--operator-namespace", "POD_NAMESPACE"]),
        (
            &["run"],
            &[("POD_NAMESPACE", "")],
            &["--operator-namespace"],
        ),
    ]);
}

#[test]
fn no_api_server_to_be_found_is_one_line_without_what_a_kubeconfig_holds() {
    let files = scratch("kubeconfigs");
    let file = |name: &str, content: &str| {
        let path = files.join(name);
        std::fs::write(&path, content).expect("a file");
        path.to_string_lossy().into_owned()
    };
    let missing = files.join("missing").to_string_lossy().into_owned();
    let broken = file("broken", "users: [{ name: me, user: { token: hunter2 }\n");
    let mistyped = file("mistyped", "clusters: hunter2\n");
    let empty = file("empty", "");
    let words: &[&str] = &[
        "no API server is configured",
        "KUBECONFIG",
        "ServiceAccount",
    ];
    assert_refused(&[(&["run"], &[OWN], words)]);
    for path in [&missing, &broken, &mistyped, &empty] {
        assert_refused(&[(&["run"], &[OWN, ("KUBECONFIG", path)], words)]);
    }
    // The refusal names the missing file.
    let env = &[OWN, ("KUBECONFIG", &*missing)];
    assert_refused(&[(&["run"], env, &[&missing])]);
}

#[test]
fn an_endpoint_that_is_neither_https_nor_loopback_is_one_line_that_says_what_is_right() {
    let insecure = "neither HTTPS nor on this machine";
    let profile = scratch("profile").join("config");
    std::fs::write(
        &profile,
        "[default]\nendpoint_url = http://cognito.example\n",
    )
    .expect("a file");
    assert_refused(&[
        (
            &["run"],
            &[OWN, (ENDPOINT, "http://cognito.example:80")],
            &["http://cognito.example:80", insecure, ENDPOINT, "https://"],
        ),
        (
            &["run"],
            &[OWN, (ENDPOINT, "http://127.0.0.1.example")],
            &["http://127.0.0.1.example", insecure],
        ),
        (
            &["run"],
            &[OWN, ("AWS_ENDPOINT_URL", "http://10.0.0.1")],
            &["http://10.0.0.1", insecure],
        ),
        (
            &["run"],
            &[OWN, ("AWS_CONFIG_FILE", &profile.to_string_lossy())],
            &["http://cognito.example", insecure],
        ),
        (
            &["run"],
            &[OWN, (ENDPOINT, "http://me:hunter2@cognito.example")],
            &["http://cognito.example", insecure],
        ),
        (
            &["run"],
            &[
                OWN,
                (ENDPOINT, "http://127.0.0.1:5000"),
                ("HTTP_PROXY", "http://proxy.example:3128"),
            ],
            &["proxy", "NO_PROXY"],
        ),
        (
            &["run"],
            &[OWN, (ENDPOINT, "cognito")],
            &["the Cognito endpoint can't be used"],
        ),
    ]);
}

#[test]
fn a_ca_bundle_that_cannot_be_used_is_one_line_that_names_it() {
    const BUNDLE: &str = "AWS_CA_BUNDLE";
    let files = scratch("bundles");
    let file = |name: &str, content: &str| {
        let path = files.join(name);
        std::fs::write(&path, content).expect("a file");
        path.to_string_lossy().into_owned()
    };
    let missing = files.join("missing").to_string_lossy().into_owned();
    let folder = files.to_string_lossy().into_owned();
    let empty = file("empty", "");
    let text = file("text", "hunter2");
    let broken = file(
        "broken",
        "-----BEGIN CERTIFICATE-----\naHVudGVyMg==\n-----END CERTIFICATE-----\n",
    );
    for (path, why) in [
        (&missing, "can't be read"),
        (&folder, "can't be read"),
        (&empty, "has no certificate"),
        (&text, "has no certificate"),
        (&broken, "certificate number 1 can't be used"),
    ] {
        let env = &[OWN, (BUNDLE, &**path)];
        assert_refused(&[(&["run"], env, &[BUNDLE, path, why])]);
    }
}

#[test]
fn help_names_every_flag_its_variable_and_its_default() {
    let output = run(&["run", "--help"], &[]);
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
    let help = text(&output.stdout);
    let one_line = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for (flag, variable, default) in FLAGS {
        let takes_a_value = [" <", " [<"].map(|value| help.contains(&format!("{flag}{value}")));
        assert!(takes_a_value.contains(&true), "{flag}: {help}");
        assert!(
            help.contains(&format!("[env: {variable}=]")),
            "{variable}: {help}"
        );
        assert!(one_line.contains(default), "{flag}, {default}: {help}");
    }
    // Environment variables that also configure the operator.
    for word in [
        "KUBECONFIG",
        ENDPOINT,
        "IRSA",
        "Pod Identity",
        "/livez",
        "/readyz",
        "/metrics",
        "3 when the operator has lost its lease",
    ] {
        assert!(one_line.contains(word), "{word}: {help}");
    }
    // The list above names every flag.
    let flags = help
        .split_whitespace()
        .filter(|word| word.starts_with("--"));
    let flags: BTreeSet<_> = flags.collect();
    let known = FLAGS.iter().map(|(flag, ..)| *flag).chain(["--help"]);
    assert_eq!(flags, known.collect(), "{help}");

    let output = run(&["--help"], &[]);
    assert!(output.status.success(), "{output:?}");
    let help = text(&output.stdout);
    for command in ["run", "crd", "iam-policy"] {
        let named = help
            .lines()
            .any(|line| line.trim_start().starts_with(command));
        assert!(named, "{command}: {help}");
    }
    let output = run(&["--version"], &[]);
    let version = concat!(
        "cognito-password-operator ",
        env!("CARGO_PKG_VERSION"),
        "\n"
    );
    assert_eq!(text(&output.stdout), version);
    // Without arguments the operator prints the help.
    let output = run(&[], &[]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(text(&output.stderr).contains("Usage:"), "{output:?}");
}

#[test]
fn the_help_of_check_and_wait_is_about_check_and_wait() {
    for (command, words) in [
        ("check", "The namespaces that the operator watches"),
        ("wait", "The namespace of the resources"),
    ] {
        let output = run(&[command, "--help"], &[]);
        let help = text(&output.stdout);
        let one_line = help.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(one_line.contains(words), "{command}: {help}");
        for of_run in ["Watch these namespaces only", "Take part in the election"] {
            assert!(!one_line.contains(of_run), "{command}: {help}");
        }
        let parts = ["Usage:", "\nOptions:", "\nExit status: 0", "\nExample:"];
        let places = parts.map(|part| help.find(part));
        assert!(
            places.is_sorted() && places[0].is_some(),
            "{command}: {help}"
        );
        assert!(!places.contains(&None), "{command}: {help}");
    }
}

/// An operator with all settings and without an API server: enough to check the settings.
struct RunningOperator {
    process: Process,
    port: u16,
}

impl RunningOperator {
    fn start(args: &[&str], env: &BTreeMap<&str, String>, port: u16) -> Self {
        let log = scratch("run").join("log");
        let mut spec = Spec::new("operator", Path::new(BINARY), log)
            .clean_env()
            .env("KUBECONFIG", kubeconfig().to_string_lossy())
            .arg("run")
            .args(args.iter().copied());
        for (name, value) in env {
            spec = spec.env(*name, value);
        }
        Self {
            process: spec.spawn(),
            port,
        }
    }

    /// Waits until `/readyz` contains these words.
    async fn wait_readyz(&self, words: &str) {
        eventually(SOON, async || match readyz(self.port) {
            Ok(said) if said.contains(" 503 ") && said.contains(words) => Ok(()),
            said => Err(format!("{said:?}: {}", self.process.logs())),
        })
        .await;
    }

    async fn end(self) -> String {
        self.process.signal(Signal::TERM);
        let exit = self.process.ended(SOON).await;
        assert_eq!(exit, Ok(Exit::Code(0)), "{}", self.process.logs());
        self.process.logs()
    }
}

/// The whole answer, with status line and headers.
fn readyz(port: u16) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(SOON))?;
    stream.write_all(b"GET /readyz HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// A kubeconfig for an API server that does not exist.
fn kubeconfig() -> PathBuf {
    let path = scratch("kubeconfig").join("config");
    let content = r#"{
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{ "name": "test", "cluster": { "server": "https://127.0.0.1:1" } }],
        "users": [{ "name": "test", "user": { "token": "none" } }],
        "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test" } }]
    }"#;
    std::fs::write(&path, content).expect("a file");
    path
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

#[tokio::test]
async fn each_flag_works_by_its_variable_and_goes_before_it() {
    let (by_variable, by_flag) = (free_port(), free_port());
    let (listen, other_listen) = (
        format!("127.0.0.1:{by_variable}"),
        format!("127.0.0.1:{by_flag}"),
    );
    let env: BTreeMap<&str, String> = [
        ("CPO_WATCH_NAMESPACES", "team-a,team-b"),
        ("CPO_SECRET_SELECTOR", "password-operator=yes"),
        ("CPO_OPERATOR_NAMESPACE", "own"),
        ("CPO_UNGRANTED", "allow"),
        ("CPO_COGNITO_RPS", "2.5"),
        ("CPO_COGNITO_BURST", "4"),
        ("CPO_DRIFT", "report"),
        ("CPO_DRIFT_INTERVAL", "1h30m"),
        ("CPO_LEADER_ELECT", "false"),
        ("CPO_LEASE_NAME", "variable"),
        ("CPO_LISTEN", &listen),
        ("CPO_LOG_FORMAT", "json"),
        ("CPO_LOG", "info"),
        // The flag and its variable go before `POD_NAMESPACE`.
        ("POD_NAMESPACE", "pod"),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .into();
    for (_, variable, _) in FLAGS {
        assert!(env.contains_key(variable), "{variable} is tried here");
    }
    let operator = RunningOperator::start(&[], &env, by_variable);
    operator.wait_readyz("Secret own/").await;
    let log = operator.end().await;
    let lines: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .collect();
    let started = lines.iter().find(|line| line["message"] == "started");
    let started = started.unwrap_or_else(|| panic!("{log}"));
    assert_eq!(started["namespaces"], "team-a,team-b", "{started}");
    assert_eq!(started["ungranted"], "allow, without grants", "{started}");
    assert_eq!(
        started["secret_selector"], "password-operator=yes",
        "{started}"
    );
    assert_eq!(started["leader_elect"], false, "{started}");
    assert_eq!(started["lease_name"], "variable", "{started}");
    assert_eq!(started["listen"], *listen, "{started}");
    assert_eq!(started["cognito_rps"], 2.5, "{started}");
    assert_eq!(started["cognito_burst"], 4, "{started}");
    assert_eq!(started["drift"], "Report", "{started}");
    assert_eq!(started["drift_interval_s"], 5400, "{started}");

    // All namespaces, and a flag that contradicts the variable.
    let mut of_all = env.clone();
    of_all.remove("CPO_WATCH_NAMESPACES");
    let operator = RunningOperator::start(&["--ungranted=deny"], &of_all, by_variable);
    operator.wait_readyz("Secret own/").await;
    let log = operator.end().await;
    assert!(log.contains(r#""ungranted":"deny""#), "{log}");

    let flags = [
        "--watch-namespaces=team-c",
        "--secret-selector=team in (a,b)",
        "--operator-namespace=flag",
        "--cognito-rps=5",
        "--cognito-burst=6",
        "--drift=correct",
        "--drift-interval=168h",
        &*format!("--listen={other_listen}"),
        "--log-format=text",
        // Without a value the flag means `true`.
        "--leader-elect",
        "--lease-name=flag.lease",
        "--log=warn",
    ];
    let operator = RunningOperator::start(&flags, &env, by_flag);
    operator.wait_readyz("Secret flag/").await;
    let log = operator.end().await;
    assert!(log.contains("WARN") && !log.contains('{'), "text: {log}");
    assert!(!log.contains("INFO"), "warnings only: {log}");

    let flags = [&flags[..11], &["--log=debug"]].concat();
    let operator = RunningOperator::start(&flags, &env, by_flag);
    operator.wait_readyz("Secret flag/").await;
    let log = operator.end().await;
    for word in [
        "INFO",
        "team-c",
        "team in (a,b)",
        "cognito_rps=5",
        "cognito_burst=6",
        "drift=Correct",
        "drift_interval_s=604800",
        "leader_elect=true",
        "lease_name=\"flag.lease\"",
    ] {
        assert!(log.contains(word), "{word}: {log}");
    }
}

#[tokio::test]
async fn pod_namespace_is_the_operators_own_unless_it_is_told() {
    let port = free_port();
    let env = [
        ("POD_NAMESPACE", "pod".to_owned()),
        ("CPO_LISTEN", format!("127.0.0.1:{port}")),
        // Loopback may be plain HTTP.
        (ENDPOINT, "http://localhost:5000".to_owned()),
    ];
    let operator = RunningOperator::start(&[], &env.into(), port);
    operator.wait_readyz("Secret pod/").await;
    operator.end().await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_an_error_that_names_it() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let listen = taken.local_addr().expect("an address").to_string();
    let kubeconfig = kubeconfig();
    let env = [
        ("POD_NAMESPACE", "pod"),
        ("KUBECONFIG", &*kubeconfig.to_string_lossy()),
    ];
    let output = run(&["run", "--listen", &listen], &env);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = text(&output.stderr);
    assert!(
        said.contains(&listen) && said.lines().count() == 1,
        "{said}"
    );
}
