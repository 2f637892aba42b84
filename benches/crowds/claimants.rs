//! Thousands of resources claim the user of another namespace's resource. A crowd without a grant is older
//! than that resource; a crowd with a grant is newer. The floor is as many resources with a user each.

use std::path::Path;
use std::time::{Duration, Instant};

use kube::api::DeleteParams;
use serde_json::{Value, json};

use super::{Restart, Stall, StallWatch, restarts, rotations};
use crate::given;
use crate::process;
use crate::scenarios::lines;
use crate::stage::{Crowd, GRANT, POOL, Stage, UNLIMITED, at_once, resource};
use crate::support::Operator;
use crate::table::{Goal, Line, median};

const USER: &str = "shared";

const ROTATIONS: usize = 30;

/// The resources that the grant always admits, the oldest first.
const OWNERS: [&str; 4] = ["first", "second", "third", "fourth"];

/// The users that the crowd claims.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whom {
    /// Each resource claims a user of its own.
    Own,
    /// All resources claim the same user, which another resource manages.
    Shared,
}

/// The results beside one crowd.
struct Measurements {
    /// Seconds from the first creation until the last resource has its condition.
    made: f64,
    while_made: Stall,
    /// Milliseconds.
    rotation: f64,
    restart: Restart,
    /// Milliseconds from the deletion of the managing resource until the next resource's value is set.
    takeover: f64,
    /// Seconds from the change of the grant until every resource has its condition, for both directions.
    grant: f64,
    /// Of the operator that ran through everything except the restarts.
    at_runtime: Stall,
    memory: f64,
}

pub(super) async fn run(operator: &Path) -> Vec<Line> {
    let outside = given("CLAIMANTS").unwrap_or(10_000);
    let inside = given("DUPLICATES").unwrap_or(2_000);
    let mut all = Vec::new();
    for (scenario, count, granted) in [
        ("claimants", outside, false),
        ("claimants, granted", inside, true),
    ] {
        if count == 0 {
            continue;
        }
        let without = measure(operator, count, granted, Whom::Own).await;
        let with = measure(operator, count, granted, Whom::Shared).await;
        all.extend(compared(scenario, count, &with, &without));
    }
    all
}

fn compared(
    scenario: &'static str,
    count: usize,
    with: &Measurements,
    without: &Measurements,
) -> Vec<Line> {
    let time = |what: String, unit, with: f64, without: f64| {
        (what, unit, with, Some(without), Goal::Times(1.3))
    };
    let mut all = lines(
        scenario,
        [
            time(
                format!("{count} for one user made, until all say so"),
                "s",
                with.made,
                without.made,
            ),
            time(
                "Secret patch to Cognito call for that user, p50".to_owned(),
                "ms",
                with.rotation,
                without.rotation,
            ),
            time(
                "start until all are looked at".to_owned(),
                "s",
                with.restart.took,
                without.restart.took,
            ),
            time(
                "CPU of that".to_owned(),
                "s",
                with.restart.cpu,
                without.restart.cpu,
            ),
            time(
                "managing resource deleted, until the next one's call".to_owned(),
                "ms",
                with.takeover,
                without.takeover,
            ),
            time(
                "grant withdrawn and given again, until all is set".to_owned(),
                "s",
                with.grant,
                without.grant,
            ),
            time(
                "memory after it all".to_owned(),
                "MB",
                with.memory,
                without.memory,
            ),
        ],
    );
    let (restart, floor) = (with.restart.stall, without.restart.stall);
    all.extend(
        with.while_made
            .lines(scenario, "while made", without.while_made),
    );
    all.extend(restart.lines(scenario, "at a restart", floor));
    all.extend(
        with.at_runtime
            .lines(scenario, "at these changes", without.at_runtime),
    );
    all
}

/// Measures with the crowd in a namespace of its own, which the grant admits or does not admit.
async fn measure(program: &Path, count: usize, granted: bool, whom: Whom) -> Measurements {
    let stage = Stage::set(program.to_owned()).await;
    let (owner, mut crowd) = (stage.crowd("owner").await, stage.crowd("crowd").await);
    let mut names = vec![owner.namespace.clone()];
    names.extend(granted.then(|| crowd.namespace.clone()));
    let granted_to = json!({ "names": names });
    stage.grant(GRANT, &json!(["*"]), &granted_to).await;
    crowd.names = (0..count).map(|n| format!("claimant-{n}")).collect();
    let user_of = |name: &str| match whom {
        Whom::Own => name.to_owned(),
        Whom::Shared => USER.to_owned(),
    };
    // The crowd's Secret does not exist, so no claimant sets anything. The owners are older than an admitted
    // crowd.
    let says = match (granted, whom) {
        (false, _) => "NotGranted",
        (true, Whom::Own) => "SecretNotFound",
        (true, Whom::Shared) => "DuplicateUser",
    };
    let waiting = OWNERS.len() - 1;
    let everybody = match says {
        "DuplicateUser" => vec![(says, count + waiting), ("PasswordSet", 1)],
        _ => vec![
            (says, count),
            ("DuplicateUser", waiting),
            ("PasswordSet", 1),
        ],
    };
    if granted {
        make_owners(&stage, &owner).await;
    }

    let running = stage.operator_with(UNLIMITED, &[]).await;
    stage.settled(&running, &[]).await;
    let watching = StallWatch::now(&running).await;
    let began = Instant::now();
    at_once(&crowd.names, async |name: &String| {
        let claimant = resource(name, POOL, &user_of(name), "nothing");
        crowd.make_resource(&claimant).await;
    })
    .await;
    stage.say(&format!("{count} made"));
    let so_far = [(says, count)];
    let so_far = if granted { &everybody[..] } else { &so_far };
    stage.settled(&running, so_far).await;
    let made = began.elapsed().as_secs_f64();
    let while_made = watching.ended(&running).await;
    stage.say(&format!("all of them say {says}"));
    if !granted {
        make_owners(&stage, &owner).await;
    }
    stage.settled(&running, &everybody).await;
    stage.end(running).await;
    let restart = restarts(&stage, &[], &everybody).await;
    stage.say(&format!("restarts: {:.3} s", restart.took));

    let running = stage.operator_with(UNLIMITED, &[]).await;
    stage.settled(&running, &everybody).await;
    let watching = StallWatch::now(&running).await;
    let rotation = rotations(&stage, &owner, OWNERS[0], USER, ROTATIONS).await;
    stage.say(&format!("rotation: {rotation:.2} ms"));
    stage.settled(&running, &everybody).await;
    let grant = regrant(&stage, &running, &granted_to, count, &everybody).await;
    stage.say(&format!("grant: {grant:.3} s"));
    let takeover = take_over(&stage, &owner).await;
    stage.say(&format!("takeover: {takeover:.2} ms"));
    let memory = process::memory(running.pid()).0;
    let at_runtime = watching.ended(&running).await;
    stage.end(running).await;
    Measurements {
        made,
        while_made,
        rotation,
        restart,
        takeover,
        grant,
        at_runtime,
        memory,
    }
}

/// Makes the resource that manages the user, and the resources that take over. Pauses between two resources,
/// because creation times have whole seconds.
async fn make_owners(stage: &Stage, owner: &Crowd) {
    for name in OWNERS {
        owner.make_secret(name).await;
        let made = resource(name, POOL, USER, name);
        owner.make_resource(&made).await;
        tokio::time::sleep(Duration::from_millis(1_100)).await;
    }
    stage.say("the granted ones made");
}

/// Removes all namespaces from the grant for a moment.
async fn regrant(
    stage: &Stage,
    operator: &Operator,
    granted_to: &Value,
    count: usize,
    everybody: &[(&str, usize)],
) -> f64 {
    let mut took = Vec::new();
    for _ in 0..3 {
        let began = Instant::now();
        let nobody = json!({ "names": ["nobody"] });
        stage.grant(GRANT, &json!(["*"]), &nobody).await;
        stage
            .settled(operator, &[("NotGranted", count + OWNERS.len())])
            .await;
        stage.grant(GRANT, &json!(["*"]), granted_to).await;
        stage.settled(operator, everybody).await;
        took.push(began.elapsed().as_secs_f64());
    }
    median(&took)
}

/// Deletes the managing resource, so that the next oldest sets its own value; repeats this along the owners.
async fn take_over(stage: &Stage, owner: &Crowd) -> f64 {
    let mut took = Vec::new();
    for gone in &OWNERS[..OWNERS.len() - 1] {
        let began = Instant::now();
        let deleted = owner.resources.delete(gone, &DeleteParams::default()).await;
        deleted.expect("it can be deleted");
        let at = stage.called(USER, began).await;
        took.push((at - began).as_secs_f64() * 1e3);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    median(&took)
}
