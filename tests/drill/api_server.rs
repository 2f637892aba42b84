//! API SERVER: stopped, frozen, without etcd, cut off, and with wrong answers.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use crate::checks::Actors;
use crate::judge::judge;
use crate::replica::Replica;
use crate::report::Report;
use crate::say::time;
use crate::scene::Scene;
use crate::settings::Settings;
use crate::support::{ApiFault, ControlPlane, Kind};

/// Longer than the operator waits for an answer.
const TOO_LONG: Duration = Duration::from_secs(6);

/// Wrong answers and lost replies, each with this probability for every request to which the fault applies.
pub(crate) fn chances(probability: f64) -> [(ApiFault, f64); 8] {
    [
        ApiFault::Gone,
        ApiFault::Conflict,
        ApiFault::TooManyRequests,
        ApiFault::InternalError,
        ApiFault::InternalErrorAfter,
        ApiFault::Delay(Duration::from_millis(300)),
        ApiFault::DropBefore,
        ApiFault::DropAfter,
    ]
    .map(|fault| (fault, probability))
}

#[derive(Clone, Copy, Debug)]
enum Act {
    CutWatches,
    /// A watch is cut. The next watch gets the error that its resourceVersion is too old.
    Gone,
    GoneLater,
    StopApiServer,
    StopEtcd,
    FreezeApiServer,
    BlackHole,
}

const ACTS: [Act; 7] = [
    Act::CutWatches,
    Act::Gone,
    Act::GoneLater,
    Act::StopApiServer,
    Act::StopEtcd,
    Act::FreezeApiServer,
    Act::BlackHole,
];

pub(crate) async fn drill(settings: Settings) -> Report {
    static PLANE: LazyLock<ControlPlane> = LazyLock::new(ControlPlane::start);
    let size = (12, settings.count(60, 40));
    let scene = Scene::set("api-server", &PLANE, settings, size).await;
    // A low limit for many users: after a pause, more sets are due than the limit allows in a second.
    let scene = scene.with_grants().with_limits(3, 3);
    let replica = Replica::start(&scene, "a", |builder| builder).await;
    let mut random = scene.random(1);
    replica.proxy.chance(random.next(), chances(0.03));
    scene
        .say
        .line("8 kinds of fault meet 3 requests in a hundred each");
    scene
        .play(async {
            for _ in 0..settings.count(1, 1).min(3) {
                let mut acts = ACTS;
                random.shuffle(&mut acts);
                for act in acts {
                    scene.after_rotations(3 + random.below(5)).await;
                    let began = Instant::now();
                    let told = perform(act, &scene, &replica).await;
                    scene
                        .say
                        .line(&format!("{told} ({})", time(began.elapsed())));
                }
            }
        })
        .await;
    judge(&scene, &[&replica], Actors::One).await
}

async fn perform(act: Act, scene: &Scene, replica: &Replica) -> &'static str {
    let (plane, proxy) = (scene.world.plane, &replica.proxy);
    match act {
        Act::CutWatches => {
            proxy.cut_watches();
            "all watches are cut"
        }
        Act::Gone => {
            proxy.next(Kind::Watch, ApiFault::Gone);
            proxy.cut_watches();
            "all watches are cut, one gets a 410 when it comes back"
        }
        Act::GoneLater => {
            proxy.next(Kind::Watch, ApiFault::GoneLater);
            proxy.cut_watches();
            "all watches are cut, one is begun and told that it is too old"
        }
        Act::StopApiServer => {
            plane.stop_api_server();
            plane.start_api_server().await;
            "the API server was killed and started again"
        }
        Act::StopEtcd => {
            plane.stop_etcd();
            tokio::time::sleep(Duration::from_secs(2)).await;
            plane.start_etcd();
            plane.start_api_server().await;
            "etcd was killed and started again"
        }
        Act::FreezeApiServer => {
            plane.freeze_api_server();
            tokio::time::sleep(TOO_LONG).await;
            plane.resume_api_server();
            "the API server was frozen and thawed"
        }
        Act::BlackHole => {
            proxy.black_hole();
            tokio::time::sleep(TOO_LONG).await;
            proxy.restore();
            "the operator was cut off from the API server"
        }
    }
}
