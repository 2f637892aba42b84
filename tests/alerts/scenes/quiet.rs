//! What happens on any day. No alert may fire.

use super::{Stage, bots};
use crate::installation::Installation;
use crate::support::OperatorBuilder;

/// Each pod is replaced by a new one, twice, while Secrets are rotated.
pub(super) async fn rollout(stage: Stage) -> Installation {
    let mut it = stage.pair().await;
    let users = bots(10);
    it.add_many(&users).await;
    it.wait_all_set(&users).await;
    for _ in 0..2 {
        for _ in 0..2 {
            it.add_replica(OperatorBuilder::leader_elect).await;
            it.replicas[2].wait_ready().await;
            it.remove_replica(0).await;
            it.until_scraped(2).await;
            it.leader().await;
            it.rotate("bot-1").await;
            it.world.wait("bot-1", "True", "PasswordSet").await;
        }
    }
    it
}

/// The leader's container ends without a word, and is restarted. Then the leader freezes: the standby waits for the
/// end of the Lease, and the leader ends when it goes on.
pub(super) async fn failover(stage: Stage) -> Installation {
    let mut it = stage.pair().await;
    let leader = it.leader().await;
    it.replicas[leader].kill();
    it.replicas[leader].begin().await;
    it.add("bot-1").await;
    it.world.wait("bot-1", "True", "PasswordSet").await;
    it.until_scraped(2).await;

    let leader = it.leader().await;
    it.replicas[leader].operator().pause();
    it.add("bot-2").await;
    it.world.wait("bot-2", "True", "PasswordSet").await;
    it.replicas[leader].operator().resume();
    it.until_scraped(2).await;
    it
}
