//! The main job: the password of the user is what the Secret says, from the moment the resource is
//! applied, and again when the Secret changes.

use crate::support::{ControlPlane, Moto, Operator, SignIn, wait_reason};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn a_secrets_value_becomes_the_password_and_again_when_it_changes() {
    let plane = ControlPlane::shared();
    let moto = Moto::shared().await;
    let client = plane.client().await;
    let namespace = plane.new_namespace("main-job").await;
    let (pool, app) = moto.create_pool("main-job", 8).await;
    moto.create_user(&pool, "ci-bot").await;
    let mut operator = Operator::builder(plane)
        .namespaces(&[&namespace])
        .cognito(&moto.url())
        .start()
        .await;
    operator.wait_ready(SOON).await;
    plane.kubectl(&[
        "create",
        "secret",
        "generic",
        "creds",
        "-n",
        &namespace,
        "--from-literal=password=First-Passw0rd",
    ]);
    plane.kubectl_stdin(
        &["apply", "-n", &namespace, "-f", "-"],
        &format!(
            "apiVersion: cognito-password-operator.io/v1alpha1
kind: CognitoUserPassword
metadata: {{ name: ci-bot }}
spec:
  userPoolId: {pool}
  username: ci-bot
  passwordSecretRef: {{ name: creds }}
"
        ),
    );
    wait_reason(
        &client,
        (&namespace, "ci-bot"),
        ("True", "PasswordSet"),
        SOON,
    )
    .await;
    assert_eq!(
        moto.sign_in(&pool, &app, "ci-bot", "First-Passw0rd").await,
        SignIn::Ok
    );
    println!(
        "{}",
        plane.kubectl(&["get", "cup", "-n", &namespace, "-o", "wide"])
    );
    println!(
        "{}",
        plane.kubectl(&["get", "cup", "-n", &namespace, "-o", "yaml"])
    );
    println!("{}", plane.kubectl(&["get", "events", "-n", &namespace]));
    println!("{}", operator.metrics().await);
    println!("{}", operator.terminate(SOON).await.success());
    println!("{}", operator.logs());
}
