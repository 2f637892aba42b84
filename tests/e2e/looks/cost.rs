//! What looks cost: pages of 60 users, or single users where that is cheaper, and no write at rest.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{
    FIRST, SECOND, add_user, all, backdate, start, wait_passes, wait_ready, wait_verified,
};
use crate::support::{OtherCall, Subject};
use crate::world::World;

/// A pool of service accounts only, in which 600 users are 10 pages.
const OWN_POOL: &str = "eu-west-1_OwnPool";
const RESOURCES: usize = 600;
const PAGES: usize = 10;

/// A pool of 6,000 people with three service accounts among them.
const BIG_POOL: &str = "eu-west-1_BigPool";
const PEOPLE: usize = 6_000;
const BOTS: [&str; 3] = ["zz-bot-0", "zz-bot-1", "zz-bot-2"];

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_costs_pages_of_60_or_single_users_and_writes_nothing_at_rest() {
    let world = World::new("look-cost").await;
    let cognito = &world.cognito;
    let names: Vec<_> = (0..RESOURCES)
        .map(|number| format!("bot-{number:03}"))
        .collect();
    for number in 0..PEOPLE {
        cognito.add_user(BIG_POOL, &format!("person-{number:04}"));
    }
    world.apply_secret("shared", "password", FIRST).await;
    let own = names.iter().map(|name| (OWN_POOL, &**name));
    let big = BOTS.iter().map(|name| (BIG_POOL, *name));
    let users: Vec<_> = own.chain(big).collect();
    for batch in users.chunks(50) {
        all(batch.iter().map(async |(pool, name)| {
            add_user(&world, (pool, name));
            let change = |resource: &mut Value| {
                resource["spec"]["userPoolId"] = json!(pool);
                resource["spec"]["passwordSecretRef"]["name"] = json!("shared");
            };
            world.apply_resource(name, change).await;
        }))
        .await;
    }
    // The mode comes from the flag. Without the flag, nobody looks.
    let operator = start(&world, &[]).await;
    for (_, name) in &users {
        wait_ready(&world, name, "True", "PasswordSet").await;
    }
    assert_eq!(cognito.list_calls().len(), 0);
    drop(operator);
    for batch in users.chunks(50) {
        let ago = SignedDuration::from_hours(1);
        all(batch
            .iter()
            .map(|user| backdate(&world, user.1, *user, ago)))
        .await;
    }

    // The first pass writes that the users were seen.
    let operator = start(&world, &["--drift=report"]).await;
    wait_passes(&operator, &[OWN_POOL, BIG_POOL]).await;
    for (_, name) in &users {
        wait_verified(&world, name, "True", "UserSeen").await;
    }
    assert_eq!(calls(&world, OWN_POOL), (PAGES, 0));
    assert_eq!(calls(&world, BIG_POOL), (BOTS.len(), BOTS.len()));
    drop(operator);

    // At rest, a pass writes nothing.
    let mark = world.mark();
    let operator = start(&world, &["--drift=report"]).await;
    wait_passes(&operator, &[OWN_POOL, BIG_POOL]).await;
    world.fence().await;
    assert_eq!(calls(&world, OWN_POOL), (2 * PAGES, 0));
    assert_eq!(calls(&world, BIG_POOL), (2 * BOTS.len(), 2 * BOTS.len()));
    let writes = world.status_writes(mark);
    assert!(writes.is_empty(), "{writes:#?}");
    assert_eq!(cognito.call_count(), users.len() + 2, "the fence's two");

    // The operator still works.
    world.apply_secret("shared", "password", SECOND).await;
    wait_ready(&world, BOTS[0], "True", "PasswordSet").await;
}

/// The pages and the lookups in this pool so far.
fn calls(world: &World<'_>, pool: &str) -> (usize, usize) {
    let calls: Vec<OtherCall> = world.cognito.list_calls();
    let calls = calls.iter().filter(|call| call.pool == pool);
    let (pages, lookups): (Vec<_>, Vec<_>) =
        calls.partition(|call| matches!(call.subject, Subject::Page { .. }));
    (pages.len(), lookups.len())
}
