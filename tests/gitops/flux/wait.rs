//! A `Kustomization` is ready when the passwords are set, and fails when Cognito refuses one.

use std::time::Duration;

use serde_json::{Value, json};

use super::controller::{Flux, kustomization, resource, secret};
use crate::cluster::{Cluster, POOL, SOON};
use crate::support::{Fault, wait_reason};

const FIRST: &str = "First-Passw0rd";
const SECOND: &str = "Second-Passw0rd";

/// Longer than an apply and Flux's first health check take, shorter than the operator waits for a reply.
const SLOW: Fault = Fault::Latency(Duration::from_secs(2));

#[tokio::test]
async fn with_wait_a_kustomization_is_ready_when_the_password_is_set() {
    let cluster = Cluster::start().await;
    let _operator = cluster.operator("deploy/").await;
    cluster.add_team();
    cluster.cognito.add_user(POOL, "ci-bot");
    let flux = Flux::start(&cluster);
    flux.add_repository("fleet");
    flux.publish_files(
        "fleet",
        "1",
        &[("ci-bot.yaml", resource("ci-bot", &json!({})))],
    );

    // No Secret: the resource waits, and Flux says so when the Kustomization's own time is over.
    cluster.apply(&kustomization(
        "team-a",
        &json!({ "wait": true, "timeout": "5s" }),
    ));
    let message = flux.failed("team-a", "1").await;
    let words = "timeout waiting for: [CognitoUserPassword/team-a/ci-bot status: 'InProgress']";
    assert!(message.ends_with(words), "{message}");
    assert_eq!(cluster.cognito.call_count(), 0);

    // The Secret, and a slow Cognito: when Flux says that the Kustomization is ready, the password is set.
    cluster.cognito.next([SLOW]);
    cluster.apply(&kustomization("team-a", &json!({ "wait": true })));
    flux.waits("team-a").await;
    cluster.apply_secret("team-a", "ci-bot", FIRST);
    flux.ready("team-a", "1").await;
    let password = cluster.cognito.password_of(POOL, "ci-bot");
    assert_eq!(password.as_deref(), Some(FIRST));

    // A changed spec in Git is waited for as well.
    cluster.cognito.next([SLOW]);
    let temporary = resource("ci-bot", &json!({ "permanent": false }));
    flux.publish_files("fleet", "2", &[("ci-bot.yaml", temporary)]);
    flux.ready("team-a", "2").await;
    assert_eq!(cluster.cognito.is_permanent(POOL, "ci-bot"), Some(false));
}

#[tokio::test]
async fn a_refused_password_fails_the_kustomization_at_once() {
    let cluster = Cluster::start().await;
    let _operator = cluster.operator("deploy/").await;
    cluster.add_team();
    cluster.cognito.add_user(POOL, "ci-bot");
    let words = "Password did not conform with policy: Password not long enough";
    let refusal = Fault::error("InvalidPasswordException", words);
    cluster.cognito.always_for((POOL, "ci-bot"), refusal);
    let flux = Flux::start(&cluster);
    flux.add_repository("fleet");
    let files = |password: &str| {
        [
            ("ci-bot.yaml", resource("ci-bot", &json!({}))),
            ("secret.yaml", secret("ci-bot", password)),
        ]
    };
    flux.publish_files("fleet", "1", &files("short"));

    // Long before the timeout of 30 minutes. Flux names the resource, and the resource has Cognito's words.
    cluster.apply(&kustomization("team-a", &json!({ "wait": true })));
    let message = flux.failed("team-a", "1").await;
    let told = "failed early due to stalled resources: \
                [CognitoUserPassword/team-a/ci-bot status: 'Failed']";
    assert!(message.ends_with(told), "{message}");
    let refused = ("False", "InvalidPassword");
    let resource = wait_reason(&cluster.client, ("team-a", "ci-bot"), refused, SOON).await;
    let said = resource.data["status"].to_string();
    assert!(said.contains(words), "{said}");

    // A better password in Git.
    cluster.cognito.heal();
    flux.publish_files("fleet", "2", &files(SECOND));
    flux.ready("team-a", "2").await;
    let password = cluster.cognito.password_of(POOL, "ci-bot");
    assert_eq!(password.as_deref(), Some(SECOND));
}

/// With kustomize's generator, another password is another name of the Secret, and so another spec.
#[tokio::test]
async fn a_rotation_by_a_generated_secret_is_waited_for() {
    let cluster = Cluster::start().await;
    let _operator = cluster.operator("deploy/").await;
    cluster.add_team();
    cluster.cognito.add_user(POOL, "ci-bot");
    let flux = Flux::start(&cluster);
    flux.add_repository("fleet");
    let reference = include_str!("../../../deploy/kustomize/name-reference.yaml");
    let generator = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": ["ci-bot.yaml"],
        "secretGenerator": [{ "name": "ci-bot", "namespace": "team-a", "files": ["password"] }],
        "configurations": ["name-reference.yaml"],
    });
    let files = |password: &str| {
        [
            ("ci-bot.yaml", resource("ci-bot", &json!({}))),
            ("kustomization.yaml", generator.to_string()),
            ("name-reference.yaml", reference.to_owned()),
            ("password", password.to_owned()),
        ]
    };
    cluster.apply(&kustomization("team-a", &json!({ "wait": true })));
    for (revision, password) in [("1", FIRST), ("2", SECOND)] {
        cluster.cognito.next([SLOW]);
        flux.publish_files("fleet", revision, &files(password));
        flux.ready("team-a", revision).await;
        let set = cluster.cognito.password_of(POOL, "ci-bot");
        assert_eq!(set.as_deref(), Some(password));
    }
}

#[tokio::test]
async fn health_checks_name_what_a_kustomization_waits_for() {
    let cluster = Cluster::start().await;
    let _operator = cluster.operator("deploy/").await;
    cluster.add_team();
    cluster.cognito.add_user(POOL, "ci-bot");
    cluster.cognito.add_user(POOL, "nightly");
    let refusal = Fault::error("InvalidPasswordException", "Password not long enough");
    cluster.cognito.always_for((POOL, "nightly"), refusal);
    let flux = Flux::start(&cluster);
    flux.add_repository("fleet");
    let files = [
        ("ci-bot.yaml", resource("ci-bot", &json!({}))),
        ("nightly.yaml", resource("nightly", &json!({}))),
        ("secrets.yaml", secret("ci-bot", FIRST)),
        ("nightly-secret.yaml", secret("nightly", "short")),
    ];
    flux.publish_files("fleet", "1", &files);
    let checked = |name: &str| {
        let check = json!({
            "apiVersion": "cognito-password-operator.io/v1alpha1",
            "kind": "CognitoUserPassword",
            "name": name,
            "namespace": "team-a",
        });
        kustomization("team-a", &json!({ "healthChecks": [check] }))
    };
    cluster.apply(&checked("ci-bot"));
    flux.ready("team-a", "1").await;
    let password = cluster.cognito.password_of(POOL, "ci-bot");
    assert_eq!(password.as_deref(), Some(FIRST));

    cluster.apply(&checked("nightly"));
    let message = flux.failed("team-a", "1").await;
    let told = "failed early due to stalled resources: \
                [CognitoUserPassword/team-a/nightly status: 'Failed']";
    assert!(message.ends_with(told), "{message}");
}

#[tokio::test]
async fn a_suspended_resource_does_not_hold_up_a_rollout() {
    let cluster = Cluster::start().await;
    let _operator = cluster.operator("deploy/").await;
    cluster.add_team();
    cluster.cognito.add_user(POOL, "ci-bot");
    cluster.cognito.add_user(POOL, "nightly");
    let flux = Flux::start(&cluster);
    flux.add_repository("fleet");
    let (active, suspended) = (json!({}), json!({ "suspend": true }));
    let files = |spec: &Value| {
        [
            ("ci-bot.yaml", resource("ci-bot", spec)),
            ("secret.yaml", secret("ci-bot", FIRST)),
        ]
    };
    cluster.apply(&kustomization("team-a", &json!({ "wait": true })));
    flux.publish_files("fleet", "1", &files(&active));
    flux.ready("team-a", "1").await;

    // One that was set is suspended. One that was never reconciled is suspended from its start, without a Secret.
    let [first, second] = files(&suspended);
    let new = ("nightly.yaml", resource("nightly", &suspended));
    flux.publish_files("fleet", "2", &[first, second, new]);
    flux.ready("team-a", "2").await;
    for name in ["ci-bot", "nightly"] {
        let row = cluster.plane.kubectl(&[
            "get",
            "cup",
            name,
            "-n",
            "team-a",
            "-o",
            "jsonpath={.spec.suspend} {.status.observedGeneration} {.metadata.generation}",
        ]);
        let [suspend, observed, generation] = row.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{row}")
        };
        assert_eq!((suspend, observed), ("true", generation), "{name}");
    }
    assert_eq!(cluster.cognito.call_count(), 1);
}
