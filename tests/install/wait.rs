//! Helm 4 waits for a `CognitoUserPassword` in a chart of a team. Helm returns once the password is set, and
//! fails if Cognito refuses the password.

use std::fs;
use std::path::PathBuf;

use crate::cluster::{Cluster, SOON};
use crate::support::{Fault, FaultServer, Operator, scratch, tools::Tool};

const POOL: &str = "eu-west-1_AbCdEf123";

/// A chart of a team with one resource and its Secret.
fn teams_chart(user: &str) -> PathBuf {
    let chart = scratch("team");
    fs::create_dir(chart.join("templates")).expect("the scratch folder can be written");
    let write = |path: &str, text: String| {
        fs::write(chart.join(path), text).expect("the scratch folder can be written");
    };
    write(
        "Chart.yaml",
        format!("apiVersion: v2\nname: {user}\nversion: 1.0.0\n"),
    );
    write(
        "templates/all.yaml",
        format!(
            "apiVersion: cognito-password-operator.io/v1alpha1\nkind: CognitoUserPassword\nmetadata:\n  name: {user}\nspec:\n  userPoolId: {POOL}\n  username: {user}\n  passwordSecretRef:\n    name: {user}\n---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: {user}\nstringData:\n  password: First-Passw0rd\n"
        ),
    );
    chart
}

#[tokio::test]
async fn helm_4_waits_until_the_password_is_set_and_fails_when_cognito_refuses_it() {
    let cluster = Cluster::start(Tool::Helm).await;
    cluster.namespace("team-a");
    cluster.deploy("install", &["--set", "settings.ungranted=allow"]);
    let cognito = FaultServer::start();
    cognito.add_user(POOL, "set");
    cognito.add_user(POOL, "refused");
    let refusal = Fault::error(
        "InvalidPasswordException",
        "Password did not conform with policy",
    );
    cognito.always_for((POOL, "refused"), refusal);
    let builder = Operator::builder(&cluster.plane)
        .manifests("")
        .cognito(cognito.url());
    let operator = builder.arg("--ungranted=allow").start().await;
    operator.wait_ready(SOON).await;

    let install = |user: &str| {
        let chart = teams_chart(user).to_string_lossy().into_owned();
        let args = [
            "install",
            user,
            &chart,
            "-n",
            "team-a",
            "--wait",
            "--timeout=5m",
        ];
        cluster.helm_as(&cluster.plane.kubeconfig_path(), &args)
    };
    install("set").unwrap_or_else(|said| panic!("{said}"));
    assert_eq!(
        cognito.password_of(POOL, "set").as_deref(),
        Some("First-Passw0rd")
    );
    let said = install("refused").expect_err("the password is refused");
    assert!(
        said.contains("CognitoUserPassword") && said.contains("Failed"),
        "{said}"
    );
}
