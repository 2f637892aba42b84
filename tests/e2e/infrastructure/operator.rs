//! The start of the operator. A script takes the operator's place, and reports its arguments and environment.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use crate::support::tools::{self, Tool};
use crate::support::{ControlPlane, Operator, eventually, metrics, operator, scratch};

const SOON: Duration = Duration::from_mins(2);

fn program(script: &str) -> PathBuf {
    let path = scratch("program").join("operator");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("a script can be written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700))
        .expect("it can be made executable");
    path
}

#[tokio::test]
async fn the_operator_runs_as_its_service_account_with_a_clean_environment() {
    let kubectl = tools::path(Tool::Kubectl);
    let script = format!(
        "env; echo \"args $*\"; {} auth whoami -o jsonpath='user {{.status.userInfo.username}}'; \
         echo; echo done; exec sleep 1000",
        kubectl.display()
    );
    let operator = Operator::builder(ControlPlane::shared())
        .binary(&program(&script))
        .cognito("http://127.0.0.1:1")
        .namespaces(&["one", "two"])
        .start()
        .await;
    eventually(SOON, async || {
        if operator.logs().ends_with("done\n") {
            Ok(())
        } else {
            Err(operator.logs())
        }
    })
    .await;

    let logs = operator.logs();
    let said = |line: &str| logs.lines().any(|other| other == line);
    assert!(said(&format!("user {}", operator::USER)), "{logs}");
    assert!(
        said("AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER=http://127.0.0.1:1"),
        "{logs}"
    );
    assert!(logs.contains("args run --listen 127.0.0.1:"), "{logs}");
    assert!(logs.contains("--watch-namespaces one,two"), "{logs}");
    assert!(logs.contains("AWS_ACCESS_KEY_ID="), "{logs}");
    assert!(
        !logs.contains("CARGO") && !logs.contains("HOME="),
        "a clean environment: {logs}"
    );
}

#[tokio::test]
#[should_panic(expected = "no such pool of luck")]
async fn an_operator_that_ends_before_it_is_ready_logs_the_cause() {
    let operator = Operator::builder(ControlPlane::shared())
        .binary(&program("echo no such pool of luck; exit 1"))
        .no_credentials()
        .start()
        .await;
    operator.wait_ready(SOON).await;
}

#[test]
fn a_metric_is_summed_over_the_labels_that_are_not_given() {
    let exposition = "\
# HELP calls Calls.
# TYPE calls counter
calls_total{pool=\"a\",code=\"OK\"} 3
calls_total{pool=\"b\",code=\"OK\"} 4 # {trace=\"x\"} 1
calls_total{pool=\"b\",code=\"with \\\"quotes\\\", and } braces\"} 5
calls_total_other 7
up 1
# EOF
";
    let value = |name, labels: &[(&str, &str)]| metrics::value(exposition, name, labels);
    assert_eq!(value("calls_total", &[]), Some(12.0));
    assert_eq!(value("calls_total", &[("code", "OK")]), Some(7.0));
    assert_eq!(
        value("calls_total", &[("code", "OK"), ("pool", "b")]),
        Some(4.0)
    );
    assert_eq!(
        value("calls_total", &[("code", "with \"quotes\", and } braces")]),
        Some(5.0)
    );
    assert_eq!(value("up", &[]), Some(1.0));
    assert_eq!(value("calls_total", &[("code", "none")]), None);
}
