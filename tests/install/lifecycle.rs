//! Install, use, upgrade, rollback, uninstall, reinstall.

use serde_json::{Value, json};

use crate::cluster::{Cluster, NAME, SOON};
use crate::helm_test::helm_test;
use crate::support::{FaultServer, Operator, tools::Tool, wait_reason};

const POOL: &str = "eu-west-1_AbCdEf123";
const ROLE: &str = "arn:aws:iam::111122223333:role/cognito-password-operator";

fn grants() -> String {
    json!([{ "name": "team-a", "userPoolId": POOL, "usernames": ["ci-bot"], "namespaces": { "names": ["team-a"] } }]).to_string()
}

async fn a_release_lives(helm: Tool) {
    let cluster = Cluster::start(helm).await;
    cluster.namespace("team-a");

    // Install: Helm returns when both pods are ready.
    let said = cluster.deploy("install", &[]);
    assert!(said.contains("create-pod-identity-association"), "{said}");
    let deployment = cluster.object(NAME, "deployment/cognito-password-operator");
    assert_eq!(deployment["status"]["readyReplicas"], 2, "{deployment:#}");

    // The operator with exactly the chart's ServiceAccount and rights sets a password.
    let cognito = FaultServer::start();
    cognito.add_user(POOL, "ci-bot");
    let builder = Operator::builder(&cluster.plane)
        .manifests("")
        .cognito(cognito.url());
    let operator = builder.leader_elect().start().await;
    operator.wait_ready(SOON).await;
    // Helm makes grants once the API server serves the kind. Helm 4 waits until the operator has accepted the
    // grant.
    let grants = format!("grants={}", grants());
    cluster.deploy("upgrade", &["--set-json", &grants]);
    let secret = [
        "create",
        "secret",
        "generic",
        "ci-bot-credentials",
        "-n",
        "team-a",
        "--from-literal=password=First-Passw0rd",
    ];
    cluster.plane.kubectl(&secret);
    cluster
        .plane
        .kubectl_stdin(&["apply", "-f", "-"], &resource().to_string());
    let client = cluster.plane.client().await;
    wait_reason(&client, ("team-a", "ci-bot"), ("True", "PasswordSet"), SOON).await;
    assert_eq!(
        cognito.password_of(POOL, "ci-bot").as_deref(),
        Some("First-Passw0rd")
    );

    // `helm test`: the operator's own check. A right that is gone is named.
    let (tested, output) = helm_test(&cluster, &operator);
    let said = tested.unwrap_or_else(|why| panic!("{why}\n{output}"));
    assert!(said.contains("Succeeded"), "{said}");
    assert!(output.contains("has all 19 needed rights"), "{output}");
    let binding = cluster.object(NAME, "rolebinding/cognito-password-operator");
    let delete = ["delete", "rolebinding", NAME, "-n", NAME];
    cluster.plane.kubectl(&delete);
    let (tested, output) = helm_test(&cluster, &operator);
    cluster.plane.kubectl_stdin(
        &["create", "-f", "-"],
        &without_identity(binding).to_string(),
    );
    assert!(tested.is_err(), "{tested:?}\n{output}");
    assert!(
        output.contains("get,update leases.coordination.k8s.io/cognito-password-operator"),
        "{output}"
    );
    assert!(operator.terminate(SOON).await.success());

    // Upgrade: a role makes new pods. Rollback: the earlier pod template.
    let template = |cluster: &Cluster| {
        cluster.object(NAME, "deployment/cognito-password-operator")["spec"]["template"].clone()
    };
    let before = template(&cluster);
    cluster.deploy(
        "upgrade",
        &[
            "--set-json",
            &grants,
            "--set",
            &format!("aws.roleArn={ROLE}"),
        ],
    );
    let upgraded = template(&cluster);
    let annotation = &upgraded["metadata"]["annotations"]["eks.amazonaws.com/role-arn"];
    assert_eq!(annotation, ROLE, "{upgraded:#}");
    let account = cluster.object(NAME, "serviceaccount/cognito-password-operator");
    assert_eq!(
        account["metadata"]["annotations"]["eks.amazonaws.com/role-arn"],
        ROLE
    );
    cluster.helm(&["rollback", NAME, "2", "-n", NAME, "--wait", "--timeout=5m"]);
    assert_eq!(template(&cluster), before);

    // Uninstall: the CustomResourceDefinitions stay, and so do the users' resources.
    cluster.uninstall();
    assert_eq!(
        cluster.object(NAME, "deployment/cognito-password-operator"),
        Value::Null
    );
    let kept = cluster.object("team-a", "cup/ci-bot");
    assert_eq!(
        kept["status"]["conditions"][0]["reason"], "PasswordSet",
        "{kept:#}"
    );

    // Reinstall: the release takes the CustomResourceDefinitions over again.
    cluster.deploy("install", &[]);
    let again = cluster.object("team-a", "cup/ci-bot");
    assert_eq!(again["metadata"]["uid"], kept["metadata"]["uid"]);

    // Without `keep`, everything goes.
    cluster.deploy("upgrade", &["--set", "crds.keep=false"]);
    cluster.uninstall();
    let crds = cluster.names(NAME, "crd");
    assert!(
        crds.iter().all(|name| !name.contains("cognito")),
        "{crds:?}"
    );
}

/// The object, to be made again.
fn without_identity(mut object: Value) -> Value {
    let metadata = object["metadata"].as_object_mut().expect("metadata");
    metadata.retain(|name, _| ["name", "namespace", "labels", "annotations"].contains(&&**name));
    object
}

fn resource() -> Value {
    json!({
        "apiVersion": "cognito-password-operator.io/v1alpha1",
        "kind": "CognitoUserPassword",
        "metadata": { "name": "ci-bot", "namespace": "team-a" },
        "spec": {
            "userPoolId": POOL,
            "username": "ci-bot",
            "passwordSecretRef": { "name": "ci-bot-credentials" },
        },
    })
}

#[tokio::test]
async fn a_release_of_helm_4_is_installed_used_upgraded_rolled_back_uninstalled_and_installed_again()
 {
    a_release_lives(Tool::Helm).await;
}

#[tokio::test]
async fn a_release_of_helm_3_is_installed_used_upgraded_rolled_back_uninstalled_and_installed_again()
 {
    a_release_lives(Tool::Helm3).await;
}
