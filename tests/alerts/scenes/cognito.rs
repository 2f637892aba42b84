//! Cognito, IAM and the network fail. New resources meet the fault: the objective of `SlowToSet` counts changed
//! Secrets only.

use super::{Stage, bots};
use crate::closed_port::ClosedPort;
use crate::installation::Installation;
use crate::support::{Fault, OperatorBuilder};
use crate::world::POOL;

pub(super) async fn no_identity(stage: Stage) -> Installation {
    let mut it = stage.pair().await;
    let refusal = "The security token included in the request is invalid.";
    let fault = Fault::error("UnrecognizedClientException", refusal);
    it.world.cognito.always(fault);
    refused(&mut it, "InvalidCredentials").await;
    it.fires("NoIdentity").await;
    mend(&mut it).await;
    it.resolves("NoIdentity").await;
    it
}

pub(super) async fn access_denied(stage: Stage) -> Installation {
    let mut it = stage.pair().await;
    it.world.cognito.always(Fault::access_denied());
    refused(&mut it, "AccessDenied").await;
    it.fires("AccessDenied").await;
    mend(&mut it).await;
    it.resolves("AccessDenied").await;
    it
}

pub(super) async fn unreachable(stage: Stage) -> Installation {
    let mut it = Installation::without_replicas(stage.name, &stage.prometheus).await;
    let port = ClosedPort::reserve();
    let url = format!("http://{}", port.address());
    it.start(|builder| builder.leader_elect().cognito(&url))
        .await;
    refused(&mut it, "Unreachable").await;
    it.fires("Unreachable").await;
    port.forward(it.world.cognito.url().as_str());
    mend(&mut it).await;
    it.resolves("Unreachable").await;
    it
}

pub(super) async fn throttled(stage: Stage) -> Installation {
    let mut it = stage.pair().await;
    it.world.cognito.always(Fault::throttled());
    for bot in bots(4) {
        it.add(&bot).await;
    }
    it.fires("Throttled").await;
    it.world.cognito.heal();
    it.resolves("Throttled").await;
    it.wait_all_set(&bots(4)).await;
    it
}

pub(super) async fn replies_lost(stage: Stage) -> Installation {
    let mut it = stage.pair().await;
    let lost = bots(6);
    // The first call of each; the second one is answered.
    for bot in &lost {
        it.world.cognito.next_for((POOL, bot), [Fault::DropAfter]);
    }
    it.add_many(&lost).await;
    it.fires("RepliesLost").await;
    it.wait_all_set(&lost).await;
    it.resolves("RepliesLost").await;
    it
}

pub(super) async fn outcome_unknown(stage: Stage) -> Installation {
    let mut it = stage.pair().await;
    it.world.cognito.always(Fault::DropBefore);
    it.add("bot").await;
    it.world.wait("bot", "Unknown", "OutcomeUnknown").await;
    it.fires("OutcomeUnknown").await;
    it.fires("RepliesLost").await;
    it.world.cognito.heal();
    it.world.wait("bot", "True", "PasswordSet").await;
    it.resolves("OutcomeUnknown").await;
    it.resolves("RepliesLost").await;
    it
}

/// A mass import with a limit that is too low for it.
pub(super) async fn rate_limited(stage: Stage) -> Installation {
    let one = |builder: OperatorBuilder<'static>| with_limit(builder.leader_elect(), 1);
    let mut it = Installation::with(stage.name, &stage.prometheus, one).await;
    let imported = bots(400);
    it.add_many(&imported).await;
    it.fires("RateLimited").await;
    it.restart_with(|builder| with_limit(builder.leader_elect(), 200))
        .await;
    it.wait_all_set(&imported).await;
    it.resolves("RateLimited").await;
    it
}

/// A mass rotation with a limit that is too low for the objective: most of the sets wait for more than 5 s.
pub(super) async fn slow_to_set(stage: Stage) -> Installation {
    let two = |builder: OperatorBuilder<'static>| with_limit(builder.leader_elect(), 2);
    let mut it = Installation::with(stage.name, &stage.prometheus, two).await;
    let rotated = bots(40);
    it.add_many(&rotated).await;
    it.wait_all_set(&rotated).await;
    for bot in &rotated {
        it.rotate(bot).await;
    }
    it.fires("SlowToSet").await;
    it.wait_all_set(&rotated).await;
    it.resolves("SlowToSet").await;
    it
}

fn with_limit(builder: OperatorBuilder<'static>, rps: usize) -> OperatorBuilder<'static> {
    builder
        .arg(format!("--cognito-rps={rps}"))
        .arg(format!("--cognito-burst={rps}"))
}

/// A new resource is not set, for this reason.
async fn refused(it: &mut Installation, reason: &str) {
    it.add("bot").await;
    it.world.wait("bot", "False", reason).await;
}

/// The fault ends, and a new value in the Secret is set.
async fn mend(it: &mut Installation) {
    it.world.cognito.heal();
    it.rotate("bot").await;
    it.world.wait("bot", "True", "PasswordSet").await;
}
