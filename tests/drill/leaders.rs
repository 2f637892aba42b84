//! LEADERS: two operators with an election, and then two without, which both act. One operator is frozen and
//! thawed, cut off from the API server, killed.

use std::time::Duration;

use crate::checks::Actors;
use crate::judge::judge;
use crate::replica::Replica;
use crate::report::Report;
use crate::scene::Scene;
use crate::settings::Settings;
use crate::support::{ControlPlane, OperatorBuilder, Random, eventually};

/// Longer than a lease lasts, and than a standby needs to notice the end of the lease.
const PAST_THE_LEASE: Duration = Duration::from_secs(18);

/// With an election.
pub(crate) async fn drill(settings: Settings) -> Report {
    let scene = scene("leaders", settings).await;
    let mut pair = pair(&scene, OperatorBuilder::leader_elect).await;
    let mut random = scene.random(1);
    scene
        .play(async {
            for _ in 0..settings.count(1, 1).min(3) {
                let leader = leader(&scene, &mut pair, &mut random).await;
                leader.operator().pause();
                scene.say.line("the leader is frozen");
                tokio::time::sleep(PAST_THE_LEASE).await;
                scene.after_sets(3).await;
                leader.operator().resume();
                leader.lost_the_lease(&scene).await;
                scene.say.line("the other acts; thawed, it ends at once");
                leader.begin().await;
                leader.wait_ready().await;

                let leader = self::leader(&scene, &mut pair, &mut random).await;
                leader.proxy.black_hole();
                scene.say.line("the leader is cut off from the API server");
                leader.lost_the_lease(&scene).await;
                scene.after_sets(3).await;
                leader.proxy.restore();
                scene
                    .say
                    .line("it ended at its deadline, and the other acts");
                leader.begin().await;
                leader.wait_ready().await;

                let leader = self::leader(&scene, &mut pair, &mut random).await;
                leader.kill(&scene);
                scene.after_sets(3).await;
                scene.say.line("the leader is killed, and the other acts");
                leader.begin().await;
                leader.wait_ready().await;
            }
        })
        .await;
    judge(&scene, &pair.each_ref(), Actors::Led).await
}

/// Without an election. The election spares calls; safety doesn't depend on the election.
pub(crate) async fn both_act(settings: Settings) -> Report {
    let scene = scene("both-act", settings).await;
    let mut pair = pair(&scene, |builder| builder).await;
    let mut random = scene.random(1);
    scene
        .play(async {
            for _ in 0..settings.count(1, 1).min(3) {
                let one = either(&scene, &mut pair, &mut random).await;
                one.operator().pause();
                scene.say.line("one of two that both act is frozen");
                tokio::time::sleep(PAST_THE_LEASE).await;
                one.operator().resume();
                scene.say.line("it is thawed");

                let one = either(&scene, &mut pair, &mut random).await;
                one.proxy.black_hole();
                scene.say.line("one is cut off from the API server");
                tokio::time::sleep(PAST_THE_LEASE).await;
                one.proxy.restore();
                scene.say.line("it can reach it again");

                let one = either(&scene, &mut pair, &mut random).await;
                one.kill(&scene);
                scene.say.line("one is killed");
                scene.after_sets(3).await;
                one.begin().await;
                one.wait_ready().await;
            }
        })
        .await;
    // A user in doubt needs a new value.
    scene.rotate_all().await;
    // Two processes that both act take over each other's attempts, and then wait for a quarantine. That would
    // disturb the silence, so one process ends.
    let [one, other] = pair;
    other.end().await;
    judge(&scene, &[&one], Actors::Both).await
}

async fn scene(drill: &'static str, settings: Settings) -> Scene {
    let size = (10, settings.count(40, 40));
    Scene::set(drill, ControlPlane::shared(), settings, size).await
}

async fn pair(
    scene: &Scene,
    adjust: fn(OperatorBuilder<'static>) -> OperatorBuilder<'static>,
) -> [Replica; 2] {
    [
        Replica::start(scene, "a", adjust).await,
        Replica::start(scene, "b", adjust).await,
    ]
}

/// One of the two operators, in the middle of a set.
async fn either<'a>(
    scene: &Scene,
    pair: &'a mut [Replica; 2],
    random: &mut Random,
) -> &'a mut Replica {
    scene.after_sets(5 + random.below(5)).await;
    let one = &mut pair[random.below(2)];
    one.proxy.steps(random.next() % 10).await;
    one
}

/// The leader, in the middle of a set.
async fn leader<'a>(
    scene: &Scene,
    pair: &'a mut [Replica; 2],
    random: &mut Random,
) -> &'a mut Replica {
    scene.after_sets(5 + random.below(5)).await;
    let leader = eventually(Duration::from_mins(3), async || {
        for (index, one) in pair.iter().enumerate() {
            if one.leads().await {
                return Ok(index);
            }
        }
        Err("nobody leads".to_owned())
    })
    .await;
    pair[leader].proxy.steps(random.next() % 10).await;
    &mut pair[leader]
}
