//! Each reason of the table is produced, explained by `doctor`, and ended by the commands that `doctor` prints. The
//! commands run in bash, with the real kubectl and the real command line of AWS.
//!
//! Where only something outside of the cluster and of AWS's interface can end a cause, the story ends the cause, and
//! says so. Where a command has a placeholder, the story fills in what a person would.

mod case;
mod cluster;
mod identity;
mod replies;
mod scene;
mod users;
mod waits;

use std::panic::AssertUnwindSafe;
use std::pin::Pin;

use futures::FutureExt;
use futures::future::join_all;

use scene::Scene;

type Story<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Three lives of one operator:
///
/// 1. The operator can't reach AWS, and then it can. It sets the passwords of the users at whom it will look.
/// 2. After others acted on these users, looks find that, a minute later. Meanwhile all other stories happen.
/// 3. A restart begins another look.
#[tokio::test(flavor = "multi_thread")]
async fn each_reason_is_explained_and_ends_by_the_printed_cure() {
    let (scene, _turn) = Scene::new().await;
    let scene = &scene;
    cluster_wide(scene);
    let (operator, port) = scene.cut_off().await;
    all(vec![
        Box::pin(identity::unreachable(scene, port)),
        Box::pin(identity::no_region(scene)),
    ])
    .await;
    users::set_all(scene).await;
    operator.terminate(crate::world::SOON).await;
    users::others_act(scene).await;

    let operator = scene.operator().await;
    let ((), disabled, corrected) = tokio::join!(
        all(stories(scene)),
        users::disabled(scene),
        users::reset_and_corrected(scene)
    );
    operator.terminate(crate::world::SOON).await;

    let _operator = scene.operator().await;
    tokio::join!(disabled.cured(), corrected.cured());
    scene.assert_complete(&replies::PASSWORDS);
}

/// All stories side by side. Panics after their end if one of them failed, so that all failures are told.
async fn all(stories: Vec<Story<'_>>) {
    let caught = stories
        .into_iter()
        .map(|story| AssertUnwindSafe(story).catch_unwind());
    let failed = join_all(caught).await.into_iter().filter(Result::is_err);
    assert_eq!(failed.count(), 0, "stories failed; see above");
}

/// The pools and their grants.
fn cluster_wide(scene: &Scene) {
    identity::prepare(scene);
    replies::prepare(scene);
    users::prepare(scene);
    waits::prepare(scene);
}

/// The stories of the second life that end in it.
fn stories(scene: &Scene) -> Vec<Story<'_>> {
    vec![
        Box::pin(waits::in_progress(scene)),
        Box::pin(waits::set(scene)),
        Box::pin(waits::applied_after_lost_reply(scene)),
        Box::pin(waits::internal_error(scene)),
        Box::pin(waits::throttled(scene)),
        Box::pin(waits::unhandled(scene)),
        Box::pin(waits::lost(scene)),
        Box::pin(waits::sessions(scene)),
        Box::pin(cluster::wrong_key(scene)),
        Box::pin(cluster::line_break(scene)),
        Box::pin(cluster::immutable(scene)),
        Box::pin(cluster::two_lines(scene)),
        Box::pin(cluster::no_secret(scene)),
        Box::pin(cluster::no_grant(scene)),
        Box::pin(cluster::two_grants(scene)),
        Box::pin(cluster::duplicate(scene)),
        Box::pin(replies::too_short(scene)),
        Box::pin(replies::parameter(scene)),
        Box::pin(replies::in_history(scene)),
        Box::pin(replies::not_confirmed(scene)),
        Box::pin(replies::user_is_disabled(scene)),
        Box::pin(replies::not_in_this_region(scene)),
        Box::pin(replies::no_pool(scene)),
        Box::pin(replies::wrong_pool(scene)),
        Box::pin(replies::no_user(scene)),
        Box::pin(replies::lost_and_temporary(scene)),
        Box::pin(identity::no_right(scene)),
        Box::pin(identity::expired(scene)),
        Box::pin(identity::no_trust(scene)),
        Box::pin(users::gone(scene)),
        Box::pin(users::recreated(scene)),
        Box::pin(users::unconfirmed(scene)),
        Box::pin(users::stranger(scene)),
        Box::pin(users::reset(scene)),
        Box::pin(users::federated(scene)),
        Box::pin(users::person(scene)),
        Box::pin(users::contested(scene)),
        Box::pin(users::expired(scene)),
    ]
}
