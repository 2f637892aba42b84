//! The API server fails for one installation.

use super::{Stage, bots};
use crate::installation::Installation;
use crate::support::{ApiFault, Kind};

pub(super) async fn no_leader(stage: Stage) -> Installation {
    let mut it = stage.pair().await;
    fail(&it, &[Kind::Lease]);
    it.fires("NoLeader").await;
    heal(&it);
    it.resolves("NoLeader").await;
    it
}

pub(super) async fn blind(stage: Stage) -> Installation {
    let mut it = stage.pair().await;
    fail(&it, &[Kind::Watch, Kind::List]);
    for replica in &it.replicas {
        replica.proxy.cut_watches();
    }
    it.fires("Blind").await;
    heal(&it);
    it.resolves("Blind").await;
    it
}

pub(super) async fn cannot_write(stage: Stage) -> Installation {
    let mut it = stage.pair().await;
    fail(&it, &[Kind::Attempt, Kind::Outcome, Kind::Report]);
    it.add_many(&bots(4)).await;
    it.fires("CannotWrite").await;
    heal(&it);
    it.resolves("CannotWrite").await;
    it.wait_all_set(&bots(4)).await;
    it
}

pub(super) async fn events_lost(stage: Stage) -> Installation {
    let mut it = stage.pair().await;
    fail(&it, &[Kind::Event]);
    it.add("bot").await;
    it.fires("EventsLost").await;
    heal(&it);
    it.resolves("EventsLost").await;
    it
}

/// Requests of these kinds fail, for both replicas.
fn fail(it: &Installation, kinds: &[Kind]) {
    for replica in &it.replicas {
        for kind in kinds {
            replica.proxy.always(*kind, ApiFault::InternalError);
        }
    }
}

fn heal(it: &Installation) {
    for replica in &it.replicas {
        replica.proxy.heal();
    }
}
