//! A sign-out that a set owes.

use super::{
    super::{
        panic_tests::scene::{Scene, lock, path, resource},
        reconcile::reconcile,
    },
    eventually, is_ready, key,
    pool::{Credentials, Pool},
    restarted, scene, status,
};
use crate::api::Reason;
use rstest::rstest;
use serde_json::json;

const BOT: &str = "bot";

/// More reconciles than one outcome needs.
const RECONCILES: usize = 30;

async fn with_bot(revoke_sessions: bool) -> Scene<Pool> {
    let mut bot = resource(BOT, 1);
    bot.spec.revoke_sessions = revoke_sessions;
    scene(Pool::default(), vec![bot]).await
}

/// Reconciles many times. Returns how often the status was written meanwhile.
async fn reconcile_often(scene: &Scene<Pool>) -> usize {
    let before = scene.api.writes(&path(BOT)).len();
    for _ in 0..RECONCILES {
        reconcile(&scene.context, &key(BOT)).await;
    }
    scene.api.writes(&path(BOT)).len() - before
}

#[rstest]
#[case::after_a_restart(true)]
#[case::after_a_recovery(false)]
#[tokio::test(start_paused = true)]
async fn without_credentials_a_sign_out_that_is_owed_writes_once(#[case] restarts: bool) {
    let scene = with_bot(true).await;
    reconcile(&scene.context, &key(BOT)).await;
    assert_eq!(scene.context.cognito.sets(), 1);
    assert!(status(&scene, BOT).sign_out_owed.is_some());
    let mut scene = restarted(scene, Pool::with(Credentials::Missing)).await;
    assert_eq!(reconcile_often(&scene).await, 1);
    let said = status(&scene, BOT).ready_reason();
    assert_eq!(said, Some(Reason::InvalidCredentials));
    // The new process may have credentials, so the new process tries once.
    if restarts {
        scene = restarted(scene, Pool::with(Credentials::Missing)).await;
    } else {
        scene.context.memory.recovered(&key(BOT));
    }
    assert_eq!(reconcile_often(&scene).await, 1);
    assert!(status(&scene, BOT).sign_out_owed.is_some());

    let (context, pool) = (&scene.context, &scene.context.cognito);
    assert_eq!(pool.sign_outs(), 0);
    pool.give(Credentials::Work);
    let gate = &context.credential_gate;
    eventually("an open gate", || gate.len() == 0).await;
    assert_eq!(reconcile_often(&scene).await, 1);
    assert_eq!((pool.sign_outs(), pool.sets()), (1, 0));
    assert!(is_ready(&scene, BOT));
}

/// Cognito's answer to a set comes after the spec has changed.
#[rstest]
#[case::on((false, true), None, (1, 1))]
#[case::off((true, false), None, (1, 0))]
// The changed spec asks for another set, which owes the only sign-out.
#[case::on_and_refused((false, true), Some("InvalidPasswordException"), (2, 1))]
#[tokio::test(start_paused = true)]
async fn a_set_owes_the_sign_out_that_the_spec_asks_for_when_the_answer_comes(
    #[case] (before, after): (bool, bool),
    #[case] refusal: Option<&'static str>,
    #[case] calls: (usize, usize),
) {
    let scene = with_bot(before).await;
    let pool = &scene.context.cognito;
    *lock(&pool.refuses_sets) = refusal;
    let held = pool.hold_sets();
    let setting = tokio::spawn({
        let context = scene.context.clone();
        async move { reconcile(&context, &key(BOT)).await }
    });
    eventually("the call", || pool.sets() == 1).await;
    scene.api.change(&path(BOT), |object| {
        object["spec"]["revokeSessions"] = json!(after);
        object["metadata"]["generation"] = json!(2);
    });
    drop(held);
    setting.await.expect("no panic");
    if refusal.is_some() {
        assert_eq!(status(&scene, BOT).sign_out_owed, None);
    }
    *lock(&pool.refuses_sets) = None;
    reconcile_often(&scene).await;
    let status = status(&scene, BOT);
    assert_eq!(status.sign_out_owed, None);
    assert_eq!(status.observed_generation, Some(2));
    assert_eq!((pool.sets(), pool.sign_outs()), calls);
}
