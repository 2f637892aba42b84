//! What waits for something that pauses or hangs keeps nothing that others need, and doesn't make up
//! for it afterwards.

use std::time::Duration;

use futures::future::join_all;

use super::world::{POOL, SOON, World};
use crate::support::{Call, Fault, Hold, Kind, Moment, OperatorBuilder, Outcome};

/// The operator's own limits, unless it is told others.
const RPS: usize = 10;
const BURST: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn after_a_pause_no_second_sees_more_calls_than_are_allowed() {
    let world = World::new("pause").await;
    let (proxy, kubeconfig) = world.proxy();
    let names: Vec<_> = (0..60).map(|n| format!("bot-{n}")).collect();
    join_all(names.iter().map(|name| async {
        world.cognito.add_user(POOL, name);
        world.apply_secret(name, "password", "Passw0rd-1").await;
        world.apply_resource(name, |_| ()).await;
    }))
    .await;
    let mut holds: Vec<_> = (0..BURST)
        .map(|_| proxy.hold(Kind::Attempt, Moment::Before))
        .collect();
    let builder = world.builder().kubeconfig(&kubeconfig);
    let _operator = builder.start().await;
    // As many turns as there are tokens are out, and each waits for the API server.
    let held = join_all(holds.iter_mut().map(Hold::caught)).await;
    // The bucket fills up by the time that passes, and by nothing else.
    tokio::time::sleep(Duration::from_secs(2)).await;
    for held in held {
        held.let_go();
    }
    for name in &names {
        world.wait_set(name, "Passw0rd-1").await;
    }
    // A call arrives between its turn and its end, and all that lies in between is counted.
    let mut arrived: Vec<_> = (world.cognito.calls().iter())
        .map(|call| call.arrived)
        .collect();
    arrived.sort();
    for (index, first) in arrived.iter().enumerate() {
        let second = arrived[index..]
            .iter()
            .take_while(|at| **at - *first < Duration::from_secs(1))
            .count();
        assert!(second <= RPS + BURST, "{second} calls in one second");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn regions_that_hang_leave_places_and_turns_to_the_next_one() {
    let world = World::new("hanging").await;
    let regions = ["eu-west-1", "eu-west-2", "eu-west-3", "eu-north-1"];
    let pools = regions.map(|region| format!("{region}_Hangs"));
    for pool in &pools {
        for n in 0..16 {
            let name = format!("{}-{n}", pool.to_lowercase().replace('_', "-"));
            world.cognito.add_user(pool, &name);
            world.cognito.always_for((pool, &name), Fault::HangBefore);
            world.apply_secret(&name, "password", "Passw0rd-1").await;
            world
                .apply_resource(&name, |it| it["spec"]["userPoolId"] = pool.as_str().into())
                .await;
        }
    }
    let limits = ["--cognito-rps=1000", "--cognito-burst=1000"];
    let builder = limits
        .into_iter()
        .fold(world.builder(), OperatorBuilder::arg);
    let operator = builder.start().await;
    operator.wait_ready(SOON).await;
    // More than there are places for reconciles.
    let hang = |calls: &[Call]| {
        let in_flight = |call: &&Call| matches!(call.outcome, Outcome::InFlight { .. });
        calls.iter().filter(in_flight).count() >= 48
    };
    world
        .cognito
        .wait_until("calls that hang", SOON, hang)
        .await;
    let next = "us-east-1_Works";
    world.cognito.add_user(next, "next");
    world.apply_secret("next", "password", "Passw0rd-1").await;
    world
        .apply_resource("next", |it| it["spec"]["userPoolId"] = next.into())
        .await;
    world
        .cognito
        .wait_for_password((next, "next"), "Passw0rd-1", SOON)
        .await;
    world.cognito.heal();
    world.cognito.release();
}
