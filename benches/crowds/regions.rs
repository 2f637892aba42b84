//! Two cases of Regions: invented Regions, while pools without a grant are open to all namespaces, and
//! Regions that never answer. The floor is a rotation without these Regions.

use std::path::Path;
use std::time::{Duration, Instant};

use super::{StallWatch, rotations};
use crate::cognito::HANGING;
use crate::given;
use crate::process;
use crate::scenarios::lines;
use crate::stage::{Stage, UNLIMITED, at_once, resource};
use crate::support::Operator;
use crate::table::{Goal, Line};

const ROTATIONS: usize = 30;

/// The number of Regions that hang, and the number of resources in each.
const HANGING_REGIONS: usize = 4;
const HANGING_EACH: usize = 40;

pub(super) async fn run(operator: &Path) -> Vec<Line> {
    let count = given("REGIONS").unwrap_or(1_500);
    let stage = Stage::set(operator.to_owned()).await;
    let good = stage.fill("good", 1, false).await;
    let name = good.names[0].clone();
    let running = stage.operator_with(UNLIMITED, &["--ungranted=allow"]).await;
    stage.verified(&running).await;
    let watching = StallWatch::now(&running).await;
    let floor = rotations(&stage, &good, &name, &name, ROTATIONS).await;
    let without = watching.ended(&running).await;
    let before = at_rest(&running).await;
    stage.say(&format!("{before:.1} MB, a rotation {floor:.2} ms"));

    let mut made = stage.crowd("made-up").await;
    made.names = (0..count).map(|n| format!("made-{n}")).collect();
    let watching = StallWatch::now(&running).await;
    at_once(&made.names, async |name: &String| {
        made.make_secret(name).await;
        let pool = format!("eu-{}-1_abc", name.replace('-', ""));
        let resource = resource(name, &pool, name, name);
        made.make_resource(&resource).await;
    })
    .await;
    stage.settled(&running, &[("PasswordSet", count + 1)]).await;
    let with = process::memory(running.pid()).0;
    let rotation = rotations(&stage, &good, &name, &name, ROTATIONS).await;
    let made_up = watching.ended(&running).await;
    stage.say(&format!(
        "{with:.1} MB with {count} Regions, a rotation {rotation:.2} ms"
    ));
    at_once(&made.names, async |name: &String| {
        made.delete(name).await;
    })
    .await;
    stage.verified(&running).await;
    let after = at_rest(&running).await;
    stage.say(&format!("{after:.1} MB after that"));

    hang(&stage).await;
    let watching = StallWatch::now(&running).await;
    let beside_hanging = rotations(&stage, &good, &name, &name, ROTATIONS).await;
    let hung = watching.ended(&running).await;
    stage.say(&format!(
        "a rotation {beside_hanging:.2} ms beside hanging Regions"
    ));
    running.kill();

    let mut all = lines(
        "regions",
        [
            (
                format!("memory with {count} made-up Regions"),
                "MB",
                with,
                Some(before),
                Goal::None,
            ),
            (
                "more than before, once their resources are gone".to_owned(),
                "MB",
                after - before,
                None,
                Goal::Most(5.0),
            ),
            (
                "Secret patch to Cognito call in a good Region, p50".to_owned(),
                "ms",
                rotation,
                Some(floor),
                Goal::Times(1.3),
            ),
            (
                format!(
                    "the same beside {HANGING_REGIONS} hanging Regions of {HANGING_EACH} resources each"
                ),
                "ms",
                beside_hanging,
                Some(floor),
                Goal::Times(1.3),
            ),
        ],
    );
    all.extend(made_up.lines("regions", "while made", without));
    all.extend(hung.lines("regions", "beside hanging ones", without));
    all
}

/// The operator's memory after an idle time: the allocator returns free memory after 10 s.
async fn at_rest(operator: &Operator) -> f64 {
    tokio::time::sleep(Duration::from_secs(25)).await;
    process::memory(operator.pid()).0
}

/// Makes the resources in the hanging Regions. Returns when their first calls have begun.
async fn hang(stage: &Stage) {
    let mut hanging = stage.crowd("hanging").await;
    hanging.names = (0..HANGING_REGIONS * HANGING_EACH)
        .map(|n| format!("hanging-{n}"))
        .collect();
    let letters = ["a", "b", "c", "d"];
    let began = Instant::now();
    at_once(&hanging.names, async |name: &String| {
        hanging.make_secret(name).await;
        let number: usize = name[8..].parse().expect("a number");
        let region = letters[number % HANGING_REGIONS];
        let pool = format!("eu-{HANGING}{region}-1_abc");
        let resource = resource(name, &pool, name, name);
        hanging.make_resource(&resource).await;
    })
    .await;
    stage
        .until("the hanging ones are called for", async || {
            let first = &hanging.names[0];
            let called = stage.cognito.called(first, began);
            called.map(|_| ()).ok_or_else(String::new)
        })
        .await;
}
