//! First sets wait for one lookup, but not for a `ListUsers` that does not answer.

use super::{eventually, is_ready, looked_at, pool::Pool, run, scene, status};
use crate::api::{ConditionStatus, ConditionType, Drift, Reason};
use std::sync::atomic::Ordering;

/// More users than hanging lookups serve in a minute: two lookups are under way, and each takes 5 s.
const USERS: usize = 60;

#[tokio::test(start_paused = true)]
async fn first_sets_wait_neither_for_a_hanging_lookup_nor_for_its_permit() {
    let names: Vec<_> = (0..USERS).map(|n| format!("bot-{n:02}")).collect();
    let resources = names.iter().map(|name| looked_at(name, Drift::Report));
    let scene = scene(Pool::default(), resources.collect()).await;
    let pool = &scene.context.cognito;
    pool.hangs.store(true, Ordering::Relaxed);
    let _running = run(&scene);
    for name in &names {
        eventually(name, || is_ready(&scene, name)).await;
    }
    assert_eq!(pool.sets(), USERS);
    let lookups = pool.lookups();
    assert!(lookups > 0, "the guard asks for a look");
    assert!(lookups < USERS, "each set waited for a lookup of its own");
    let verified = |name: &String| {
        let status = status(&scene, name);
        let condition = status.condition(ConditionType::Verified);
        condition.is_none_or(|it| {
            it.status == ConditionStatus::Unknown && it.reason == Reason::Unreachable.as_str()
        })
    };
    assert!(names.iter().all(verified), "nobody looked");
}
