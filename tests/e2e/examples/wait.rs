//! The examples with `wait`: the API server accepts the objects, and the Role is enough for the commands of the
//! containers, run with the service account's token.

use std::path::PathBuf;

use serde_json::Value;

use super::{accepted, at, objects, only};
use crate::plugin::{OPERATOR, Running};
use crate::support::Fault;
use crate::world::{POOL, World};

const FILE: &str = "wait-for-password.yaml";
const NAME: &str = "ci-bot";

/// Creates the service account with its role and binding in the world's namespace. Returns a kubeconfig with a
/// token of the service account that the pods have.
fn install(world: &World<'_>) -> PathBuf {
    let namespace = &*world.namespace;
    let mut objects = objects(FILE);
    for object in &mut objects {
        object["metadata"]["namespace"] = namespace.into();
        if object["kind"] == "RoleBinding" {
            object["subjects"][0]["namespace"] = namespace.into();
        }
        if object["kind"] != "Deployment" {
            world
                .plane
                .kubectl_stdin(&["create", "-f", "-"], &object.to_string());
        }
    }
    let account = at(
        only(&objects, "Deployment"),
        "spec.template.spec.serviceAccountName",
    );
    let token = world
        .plane
        .token_for(namespace, account.as_str().expect("a name"));
    world
        .plane
        .kubeconfig_for_token(&format!("{namespace}-{NAME}"), &token)
}

/// Runs a container's arguments. In a pod, the namespace is the pod's.
fn run(world: &World<'_>, container: &Value, kubeconfig: &std::path::Path) -> Running {
    let args = container["args"].as_array().expect("arguments");
    let args = args.iter().map(|arg| arg.as_str().expect("text"));
    let args: Vec<_> = args.chain(["-n", &world.namespace]).collect();
    Running::start(OPERATOR, kubeconfig, &args)
}

fn init_container() -> Value {
    let objects = objects(FILE);
    let deployment = only(&objects, "Deployment");
    at(deployment, "spec.template.spec.initContainers")[0].clone()
}

fn job_container() -> Value {
    let objects = objects("handshake-job.yaml");
    at(only(&objects, "Job"), "spec.template.spec.containers")[0].clone()
}

#[tokio::test]
async fn a_new_pod_waits_while_cognito_refuses_the_value_and_starts_with_the_next() {
    let world = World::new("example-wait").await;
    let kubeconfig = install(&world);
    let _operator = world.operator().await;
    world.in_sync(NAME, "First-Passw0rd").await;
    let (status, stdout, stderr) = run(&world, &init_container(), &kubeconfig).ended().await;
    assert_eq!(status, 0, "{stdout}{stderr}");

    let weak = Fault::error("InvalidPasswordException", "Password not long enough");
    world.cognito.always_for((POOL, NAME), weak);
    world.apply_secret(NAME, "password", "Weak-Passw0rd").await;
    world.wait(NAME, "False", "InvalidPassword").await;
    let mut pod = run(&world, &init_container(), &kubeconfig);
    pod.says("waiting for Ready: InvalidPassword").await;
    // The pods that run have a password that is in force.
    let log = world.cognito.password_log(POOL, NAME);
    assert_eq!(log.last().map(|it| &*it.1), Some("First-Passw0rd"));
    world.cognito.heal();
    world.apply_secret(NAME, "password", "Third-Passw0rd").await;
    let (status, _, stderr) = pod.ended().await;
    assert_eq!(status, 0, "{stderr}");
}

#[test]
fn an_old_pod_ends_only_when_a_new_one_is_ready_and_reloader_watches_the_secret() {
    let objects = objects(FILE);
    let deployment = only(&objects, "Deployment");
    let strategy = at(deployment, "spec.strategy.rollingUpdate");
    assert_eq!(strategy["maxUnavailable"], 0);
    let pod = at(deployment, "spec.template.spec");
    let secret = &pod["containers"][0]["env"][0]["valueFrom"]["secretKeyRef"]["name"];
    let reload = &deployment["metadata"]["annotations"]["secret.reloader.stakater.com/reload"];
    assert!(secret.is_string());
    assert_eq!(reload, secret);
    // The names of the other example.
    let bot = super::objects("ci-bot.yaml");
    let bot = only(&bot, "CognitoUserPassword");
    assert_eq!(at(bot, "spec.passwordSecretRef.name"), secret);
    let named = &only(&objects, "Role")["rules"][0]["resourceNames"][0];
    assert_eq!(named, &bot["metadata"]["name"]);
    assert_eq!(&init_container()["args"][1], named);
}

#[tokio::test]
async fn a_pipeline_waits_for_the_answer_to_its_own_request() {
    let world = World::new("example-handshake").await;
    let kubeconfig = install(&world);
    let operator = world.operator().await;
    world.in_sync(NAME, "First-Passw0rd").await;
    operator.kill();

    // No operator runs, so Ready is about the former value.
    world
        .apply_secret(NAME, "password", "Second-Passw0rd")
        .await;
    world.request(NAME, "pipeline-1").await;
    let mut job = run(&world, &job_container(), &kubeconfig);
    job.says("RequestOpen: the operator hasn't answered the request pipeline-1 yet")
        .await;
    let _operator = world.operator().await;
    let (status, _, stderr) = job.ended().await;
    assert_eq!(status, 0, "{stderr}");
    let log = world.cognito.password_log(POOL, NAME);
    assert_eq!(log.last().map(|it| &*it.1), Some("Second-Passw0rd"));

    // A refused value fails the pipeline, with the reason.
    let weak = Fault::error("InvalidPasswordException", "Password not long enough");
    world.cognito.always_for((POOL, NAME), weak);
    world.apply_secret(NAME, "password", "Weak-Passw0rd").await;
    world.request(NAME, "pipeline-2").await;
    let (status, _, stderr) = run(&world, &job_container(), &kubeconfig).ended().await;
    assert_eq!(status, 1, "{stderr}");
    assert!(stderr.contains("failed: InvalidPassword: "), "{stderr}");
}

#[tokio::test]
async fn the_api_server_accepts_the_objects() {
    for file in [FILE, "handshake-job.yaml"] {
        for object in objects(file) {
            accepted(object).await;
        }
    }
}
