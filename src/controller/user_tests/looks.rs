//! Passes over the users of a pool, and lookups of single users.

use super::{
    super::panic_tests::scene::lock,
    age, eventually, is_ready, is_verified, key, looked_at,
    pool::{Call, Pool},
    run, says, scene, settle, show, status,
};
use crate::api::{ConditionStatus, ConditionType, Drift, Reason};
use std::{sync::atomic::Ordering, time::Duration};

#[tokio::test(start_paused = true)]
async fn a_refused_filter_ends_the_lookup_of_one_user_and_not_the_pass() {
    // A pass looks users up in the order of their names.
    let names = ["a-good", "b-refused", "c-good", "d-good"];
    let resources = names.map(|name| looked_at(name, Drift::Report));
    let mut scene = scene(Pool::default(), resources.to_vec()).await;
    settle(&mut scene, &names).await;
    *lock(&scene.context.cognito.refused_filter) = Some("b-refused");
    let _running = run(&scene);
    eventually("the refusal", || {
        let (type_, reason) = (ConditionType::Verified, Reason::InvalidParameter);
        let status = status(&scene, "b-refused");
        says(&status, type_, ConditionStatus::Unknown, reason)
    })
    .await;
    for name in ["a-good", "c-good", "d-good"] {
        eventually(name, || is_verified(&scene, name)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn passes_read_the_validity_of_temporary_passwords_once_in_six_hours() {
    let mut temporary = looked_at("temporary", Drift::Report);
    temporary.spec.permanent = false;
    let pool = Pool::default();
    pool.are_new.store(true, Ordering::Relaxed);
    let mut scene = scene(pool, vec![temporary]).await;
    settle(&mut scene, &["temporary"]).await;
    age(&mut scene, "temporary", 48).await;
    let pool = &scene.context.cognito;
    assert_eq!(pool.count(|call| *call == Call::Policy), 0);
    let _running = run(&scene);
    // A pass each 15 minutes.
    let passes = || pool.count(|call| *call == Call::Page);
    eventually("passes", || passes() == 20).await;
    assert_eq!(pool.count(|call| *call == Call::Policy), 1);
    assert!(is_verified(&scene, "temporary"));
}

/// The key of a resource that was created anew names another user.
#[tokio::test(start_paused = true)]
async fn a_lookup_that_is_asked_for_during_another_one_is_made_afterwards() {
    let mut scene = scene(Pool::default(), vec![looked_at("bot", Drift::Report)]).await;
    let running = run(&scene);
    eventually("a set", || is_ready(&scene, "bot")).await;
    drop(running);
    show(&mut scene, "bot").await;
    let _running = run(&scene);
    let pool = &scene.context.cognito;
    let before = pool.lookups();
    pool.hangs.store(true, Ordering::Relaxed);
    let ask = || scene.context.looks.ask(&key("bot"), Duration::ZERO);
    ask();
    eventually("a lookup", || pool.lookups() == before + 1).await;
    ask();
    // The second ask is taken while the first lookup hangs.
    tokio::time::sleep(Duration::from_secs(1)).await;
    pool.hangs.store(false, Ordering::Relaxed);
    eventually("another lookup", || pool.lookups() == before + 2).await;
}
