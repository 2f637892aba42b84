//! TOGETHER: seven kinds of fault of Cognito's at 8 % each, the API server's, and `kill -9`.

use std::time::Instant;

use crate::api_server::chances;
use crate::checks::Actors;
use crate::faults::kinds;
use crate::judge::judge;
use crate::replica::Replica;
use crate::report::Report;
use crate::say::time;
use crate::scene::Scene;
use crate::settings::Settings;
use crate::support::ControlPlane;

pub(crate) async fn drill(settings: Settings) -> Report {
    let users = if settings.is_long() { 96 } else { 24 };
    let size = (users, settings.count(60, 100));
    let scene = Scene::set("together", ControlPlane::shared(), settings, size).await;
    // Cognito throttles one call in twelve. With the default limits, the operator would lower its rate to a
    // few calls a second, and the drill would test little else.
    let scene = scene.with_limits(100, 100);
    let mut replica = Replica::start(&scene, "a", |builder| builder).await;
    let mut random = scene.random(1);
    // Spreads the kills over the rotations.
    let spread = if settings.is_long() { 18 } else { 8 };
    // Without latency, which is no fault.
    let kinds = kinds().into_iter().take(7).map(|fault| (fault, 0.08));
    scene.world.cognito.chance(random.next(), kinds);
    replica.proxy.chance(random.next(), chances(0.02));
    scene
        .say
        .line("7 kinds of fault meet 8 calls in a hundred each, 8 meet 2 requests each");
    scene
        .play(async {
            for number in 1..=settings.count(8, 10) {
                scene.after_rotations(random.below(spread)).await;
                replica.proxy.steps(random.next() % 16).await;
                if random.chance(0.3) {
                    replica.proxy.cut_watches();
                }
                replica.kill(&scene);
                let killed = Instant::now();
                replica.begin().await;
                replica.wait_ready().await;
                let took = time(killed.elapsed());
                let changes = scene.book.changes();
                scene.say.line(&format!(
                    "{changes} rotations, kill {number}; ready again after {took}"
                ));
            }
        })
        .await;
    judge(&scene, &[&replica], Actors::One).await
}
