//! The operator's identity in AWS: none, and a role that can't be assumed; and a Cognito that throttles.

use serde_json::{Value, json};

use super::super::installation::{Installation, NAME, all_commands, commands, finding};
use super::{FIRST, SECOND};
use crate::grants::wait_for_grant;
use crate::support::{ControlPlane, Fault, Operator};
use crate::world::{POOL, SOON};

const WRONG: &str = "arn:aws:iam::444455556666:role/wrong";
const RIGHT: &str = "arn:aws:iam::111122223333:role/right";

async fn started(it: &Installation<'_>, has_credentials: bool) -> Operator {
    let builder = it.world.cluster_wide().leader_elect();
    let builder = builder.env("POD_NAME", "pod-a");
    let operator = if has_credentials {
        builder.start().await
    } else {
        builder.no_credentials().start().await
    };
    operator.wait_ready(SOON).await;
    it.pods(&[("pod-a", &operator)]);
    operator
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_identity_a_wrong_role_and_throttling_are_named_and_cured() {
    let plane = ControlPlane::start();
    let it = Installation::on(&plane, "broken-identity").await;
    it.scale(1);
    let operator = without_credentials(&it).await;
    it.is_well("bot").await;
    with_a_wrong_role(&it).await;
    it.is_well("bot").await;
    throttled(&it).await;
    it.is_well("bot").await;
    it.assert_silent(&[FIRST, SECOND]);
    drop(operator);
}

/// The operator has no AWS credentials at all. Returns the operator that has some.
async fn without_credentials(it: &Installation<'_>) -> Operator {
    let world = &it.world;
    let operator = started(it, false).await;
    world.cognito.add_user(POOL, "bot");
    world.apply_secret("bot", "password", FIRST).await;
    world.apply_resource("bot", |_| ()).await;
    world.wait("bot", "False", "InvalidCredentials").await;

    let cause = "no AWS credentials";
    let said = it.doctor("bot").await;
    said.assert(
        1,
        &[
            "Ready=False InvalidCredentials",
            cause,
            "cure: give the operator's ServiceAccount a role by EKS Pod Identity",
            "more: kubectl cognito-password explain",
        ],
    );
    it.said(&["doctor", "-A"], 1, &["× InvalidCredentials 1:", "cure: "])
        .await;
    let words = ["× identity 1 resource waits because the operator", "cure: "];
    it.said(&["check"], 1, &words).await;

    // AWS gives the ServiceAccount a role, and the printed command makes new pods.
    let report = it.report("bot").await;
    assert_eq!(report["reason"], "InvalidCredentials", "{report:#}");
    let cure = commands(&report["cure"]);
    let restart = cure
        .iter()
        .find(|it| it.starts_with("kubectl rollout restart "));
    it.cure(restart.unwrap_or_else(|| panic!("{cure:#?}")))
        .await;
    let deployment = ["get", "deployment", NAME, "-n", NAME, "-o", "yaml"];
    let restarted = world.plane.kubectl(&deployment);
    assert!(
        restarted.contains("kubectl.kubernetes.io/restartedAt"),
        "{restarted}"
    );
    // The new pod gets its role from Pod Identity, and the operator in the pod its credentials.
    assert!(operator.terminate(SOON).await.success());
    let operator = started(it, true).await;
    world.wait_set("bot", FIRST).await;
    operator
}

/// The grant names a role that doesn't let the operator assume it.
async fn with_a_wrong_role(it: &Installation<'_>) {
    let world = &it.world;
    let words = format!(
        "User: arn:aws:sts::123456789012:assumed-role/op/x is not authorized to perform: \
         sts:AssumeRole on resource: {WRONG}"
    );
    world.cognito.refuse_role(WRONG, "AccessDenied", &words);
    world.cognito.allow_role(RIGHT, None);
    world.grant(|it| it["spec"]["roleArn"] = json!(WRONG)).await;
    world.cognito.add_user(POOL, "of-role");
    world.apply_secret("of-role", "password", SECOND).await;
    world.apply_resource("of-role", |_| ()).await;
    world.wait("of-role", "False", "InvalidCredentials").await;
    // The grant admits the other resource too.
    wait_for_grant(world, ("False", "InvalidCredentials", 2)).await;

    let grant = &*world.namespace;
    let named = format!("{}/of-role", world.namespace);
    let cause = format!("the grant {grant} is InvalidCredentials");
    let words = [
        "Ready=False InvalidCredentials",
        &cause,
        WRONG,
        "AccessDenied",
    ];
    it.said(&["doctor", &named], 1, &words).await;
    let words = ["× InvalidCredentials", &cause, "trust policy"];
    it.said(&["doctor", "-A"], 1, &words).await;
    let words = format!("× grants {grant} is not Ready, InvalidCredentials:");
    it.said(&["check"], 1, &[&words, WRONG]).await;

    // Of the ways to cure it, the one without AWS: the grant names the right role.
    let report = it.report("of-role").await;
    let link = finding(&report["chain"], "grant", "Failed");
    let cures = [all_commands(&link["cure"]), all_commands(&report["cure"])].concat();
    let begin = format!("kubectl patch cupg {grant} ");
    let patch = cures.iter().find(|it| it.starts_with(&begin));
    it.cure(&with_role(patch.unwrap_or_else(|| panic!("{cures:#?}"))))
        .await;
    world.wait_set("of-role", SECOND).await;
    wait_for_grant(world, ("True", "Accepted", 2)).await;
}

/// The command, with the role that a person fills in.
fn with_role(command: &str) -> String {
    assert!(command.contains("roleArn"), "{command}");
    assert!(command.contains("ROLE_ARN"), "{command}");
    command.replace("ROLE_ARN", RIGHT)
}

/// Cognito throttles all calls for a while.
async fn throttled(it: &Installation<'_>) {
    let world = &it.world;
    world.cognito.always(Fault::throttled());
    world.apply_secret("bot", "password", SECOND).await;
    world
        .wait_for("bot", "throttled", |it| {
            it.data["status"]["conditions"][0]["reason"] == "TooManyRequests"
        })
        .await;
    let named = format!("{}/bot", world.namespace);
    let words = [
        "TooManyRequests",
        "1 failure",
        "cure: wait: the operator tries again by itself",
        "--cognito-rps",
    ];
    it.said(&["doctor", &named], 1, &words).await;
    it.said(&["doctor", "-A"], 1, &["× TooManyRequests 1:", "cure: "])
        .await;
    it.said(&["check"], 0, &["1 TooManyRequests"]).await;
    let report = it.report("bot").await;
    assert_eq!(report["reason"], Value::from("TooManyRequests"));
    // The cure is to wait: the operator goes on by itself.
    world.cognito.heal();
    world.wait_set("bot", SECOND).await;
}
