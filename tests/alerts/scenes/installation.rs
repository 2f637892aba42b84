//! The installation itself is at fault: a replica that ends, rights and flags that are wrong.

use std::time::Duration;

use super::{Stage, bots};
use crate::installation::Installation;
use crate::support::prometheus::Series;
use crate::support::{OperatorBuilder, operator};

pub(super) async fn replica_down(stage: Stage) -> Installation {
    let mut it = stage.pair().await;
    let standby = 1 - it.leader().await;
    it.replicas[standby].kill();
    it.fires("ReplicaDown").await;
    it.replicas[standby].begin().await;
    it.resolves("ReplicaDown").await;
    it
}

/// Two replicas with `--leader-elect=false`.
pub(super) async fn two_leaders(stage: Stage) -> Installation {
    let mut it = Installation::with(stage.name, &stage.prometheus, |builder| builder).await;
    it.fires("TwoLeaders").await;
    it.restart_with(OperatorBuilder::leader_elect).await;
    it.resolves("TwoLeaders").await;
    it
}

/// The standby's container ends again and again, each time after it was scraped.
pub(super) async fn restarting(stage: Stage) -> Installation {
    let mut it = stage.pair().await;
    let standby = 1 - it.leader().await;
    let pod = it.replicas[standby].pod.clone();
    let started = format!(r#"process_start_time_seconds{{pod="{pod}"}}"#);
    let value = |series: &[Series]| series.first().map(Series::value);
    for _ in 0..5 {
        let before = value(&it.ask(&started).await);
        it.replicas[standby].kill();
        it.replicas[standby].begin().await;
        it.until("another start", &started, |series| {
            value(series).is_some_and(|now| Some(now) != before)
        })
        .await;
    }
    it.fires("Restarting").await;
    it.resolves("Restarting").await;
    it
}

/// Somebody has bound the role of deploy/all-namespaces/ to an operator that watches one namespace.
pub(super) async fn needless_rights(stage: Stage) -> Installation {
    let mut it = Installation::without_replicas(stage.name, &stage.prometheus).await;
    let plane = it.world.plane;
    let binding = it.home().to_owned();
    let account = format!("--serviceaccount={binding}:{}", operator::SERVICE_ACCOUNT);
    let role = "--clusterrole=cognito-password-operator";
    plane.kubectl(&["create", "clusterrolebinding", &binding, role, &account]);
    it.start(OperatorBuilder::leader_elect).await;
    it.fires("UnneededSecretAccess").await;
    plane.kubectl(&["delete", "clusterrolebinding", &binding]);
    // The operator asks for its rights at its start.
    it.restart_with(OperatorBuilder::leader_elect).await;
    it.resolves("UnneededSecretAccess").await;
    it
}

/// The leader is stopped again and again while it works, as a container that has used up its processor time. More
/// processor time means new pods.
pub(super) async fn stalls(stage: Stage) -> Installation {
    const STOPPED: Duration = Duration::from_millis(700);
    // No set waits for the rate limit, so that the operator always has work.
    let fast = |builder: OperatorBuilder<'static>| {
        let builder = builder.leader_elect();
        builder
            .arg("--cognito-rps=1000")
            .arg("--cognito-burst=1000")
    };
    let mut it = Installation::with(stage.name, &stage.prometheus, fast).await;
    let busy = bots(60);
    it.add_many(&busy).await;
    it.wait_all_set(&busy).await;
    let leader = it.leader().await;
    let mut number = 0;
    while it.replicas[leader].operator().metric(STALL, &[]).await < 0.6 {
        number += 1;
        for bot in &busy {
            it.world.request(bot, &format!("now-{number}")).await;
        }
        let operator = it.replicas[leader].operator();
        operator.pause();
        tokio::time::sleep(STOPPED).await;
        operator.resume();
    }
    it.fires("Stalls").await;
    it.restart_with(OperatorBuilder::leader_elect).await;
    it.resolves("Stalls").await;
    it
}

const STALL: &str = "cognito_password_operator_longest_stall_seconds";
