//! FAULTS: every kind of fault of Cognito's, together.

use std::time::Duration;

use crate::checks::Actors;
use crate::judge::judge;
use crate::replica::Replica;
use crate::report::Report;
use crate::scene::Scene;
use crate::settings::Settings;
use crate::support::{ControlPlane, Fault};

/// The faults of a call.
pub(crate) fn kinds() -> [Fault; 8] {
    [
        Fault::DropBefore,
        Fault::DropAfter,
        Fault::HangBefore,
        Fault::HangAfter,
        Fault::internal_error_after(),
        Fault::Garbage {
            status: 200,
            applied: true,
        },
        Fault::throttled(),
        Fault::Latency(Duration::from_millis(700)),
    ]
}

pub(crate) async fn drill(settings: Settings) -> Report {
    let users = if settings.is_long() { 32 } else { 16 };
    let size = (users, settings.count(56, 16));
    let scene = Scene::set("faults", ControlPlane::shared(), settings, size).await;
    let replica = Replica::start(&scene, "a", |builder| builder).await;
    let seed = scene.random(1).next();
    scene
        .world
        .cognito
        .chance(seed, kinds().map(|fault| (fault, 0.1)));
    scene
        .say
        .line("each of 8 kinds of fault meets one call in ten");
    scene.play(async {}).await;
    judge(&scene, &[&replica], Actors::One).await
}
