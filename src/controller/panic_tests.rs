//! A panic in the work for one object stops that object only, wherever the panic happens. The names of
//! the tests say where. The tests of `cluster/events.rs` cover a panic in the report of an Event. The
//! tests of `cluster/watch` cover a panic in reading an object.

mod access;
mod loops;
mod scene;

use super::{
    reconcile::{reconcile, triage},
    reconcile_and_requeue,
    state::key::Key,
};
use crate::cluster::watch::lean_object::{DecodeError, LeanObject, UserNamed};
use kube::runtime::watcher::Event;
use scene::{Scene, gone, named, resource, rival, secret, there, told};
use std::{cell::RefCell, time::Duration};

thread_local! {
    /// The place and the key at which [`panic_at`] panics.
    static PANIC: RefCell<Option<(&'static str, Key)>> = const { RefCell::new(None) };
}

/// Panics if a test has injected a panic at this place for this key.
pub(super) fn panic_at(place: &'static str, key: &Key) {
    let wanted = PANIC.with_borrow(Clone::clone);
    assert!(
        wanted != Some((place, key.clone())),
        "a test wants this panic"
    );
}

/// Makes this place panic at `team-a/bad`.
fn inject(place: &'static str) {
    PANIC.set(Some((place, key("bad"))));
}

/// Makes this place panic at the object `bad`, which is in no namespace.
fn inject_cluster_wide(place: &'static str) {
    PANIC.set(Some((place, Key::new("", "bad"))));
}

/// Removes the injected panic.
fn heal() {
    PANIC.set(None);
}

fn key(name: &str) -> Key {
    Key::new("team-a", name)
}

/// A scene with the resources `bad` and `good`, each for a user of its own.
async fn listed() -> Scene {
    let mut scene = Scene::without_grants();
    scene
        .list(vec![resource("bad", 1), resource("good", 2)])
        .await;
    scene
}

#[tokio::test]
async fn where_indexing_a_resource_panics_it_keeps_its_claim_and_the_others_are_followed() {
    for place in ["index", "index, half-way"] {
        inject(place);
        let mut scene = Scene::without_grants();
        let (bad, young) = (rival("bad", 1, "bot"), rival("young", 2, "bot"));
        scene
            .list(vec![bad.clone(), young.clone(), resource("good", 3)])
            .await;
        assert_eq!(scene.panics(), 1, "{place}");
        assert_eq!(scene.readiness.failing(), [""; 0], "{place}");
        assert_eq!(scene.due(), [key("good"), key("young")], "{place}");
        let manager = |scene: &Scene| {
            let claim = crate::controller::state::claims::Claim::of(&young).expect("a user");
            scene.context.index().older(&key("young"), &claim).cloned()
        };
        assert_eq!(manager(&scene), Some(key("bad")), "{place}");
        assert!(!scene.context.index().has_resource(&key("bad")));
        // A relist that shows the resource keeps the claim.
        scene.follow([told(Event::Init), there(bad.clone())]).await;
        scene
            .follow([there(young.clone()), told(Event::InitDone)])
            .await;
        assert_eq!(manager(&scene), Some(key("bad")), "{place}");
        // The next event of the resource repairs the index.
        heal();
        scene.follow([there(bad.clone())]).await;
        assert_eq!(scene.due(), [key("bad")], "{place}");
        assert_eq!(manager(&scene), Some(key("bad")), "{place}");
        // A resource that was indexed before is no longer reconciled with the former spec.
        inject(place);
        let mut moved = bad.clone();
        moved.metadata.resource_version = Some("2".to_owned());
        scene.follow([there(moved)]).await;
        assert!(!scene.context.index().has_resource(&key("bad")));
        assert_eq!(manager(&scene), Some(key("bad")), "{place}");
        heal();
        scene.follow([gone(bad)]).await;
        assert_eq!(manager(&scene), None, "{place}");
    }
}

#[tokio::test]
async fn where_indexing_an_unreadable_resource_panics_it_keeps_its_claim() {
    let mut scene = Scene::without_grants();
    let (bad, young) = (rival("bad", 1, "bot"), rival("young", 2, "bot"));
    scene.list(vec![bad.clone(), young.clone()]).await;
    inject("keep claim");
    let unreadable = DecodeError {
        error: String::new(),
        metadata: bad.metadata,
        user: Some(UserNamed {
            user_pool_id: bad.spec.user_pool_id,
            username: bad.spec.username,
        }),
    };
    scene
        .follow([told(Event::Apply(LeanObject(Err(unreadable))))])
        .await;
    assert_eq!(scene.panics(), 1);
    let claim = crate::controller::state::claims::Claim::of(&young).expect("a user");
    let index = scene.context.index();
    assert_eq!(index.older(&key("young"), &claim), Some(&key("bad")));
    assert!(!index.has_resource(&key("bad")), "it is reconciled");
}

#[tokio::test]
async fn where_removing_a_resource_panics_the_list_goes_on_and_the_next_one_removes_it() {
    let mut scene = listed().await;
    inject("remove");
    scene
        .follow([told(Event::Init), told(Event::InitDone)])
        .await;
    assert_eq!(scene.panics(), 1);
    assert!(scene.context.index().has_resource(&key("bad")));
    assert!(!scene.context.index().has_resource(&key("good")));
    heal();
    scene
        .follow([told(Event::Init), told(Event::InitDone)])
        .await;
    assert!(!scene.context.index().has_resource(&key("bad")));
    let claims = |(of, entries)| of == "claims" && entries > 0;
    assert!(!scene.context.index().entries().any(claims));
}

#[tokio::test]
async fn where_indexing_a_secret_panics_its_resources_are_reconciled_by_a_read() {
    let mut scene = listed().await;
    scene
        .follow([
            secret(Event::Apply(named("bad", 1))),
            secret(Event::Apply(named("good", 1))),
        ])
        .await;
    assert_eq!(scene.due(), [key("bad"), key("good")]);
    inject("secret");
    scene
        .follow([
            secret(Event::Apply(named("bad", 2))),
            secret(Event::Apply(named("good", 2))),
        ])
        .await;
    assert_eq!(scene.panics(), 1);
    assert_eq!(scene.due(), [key("bad"), key("good")]);
    assert_eq!(scene.context.index().secret(&key("bad")), None);
    assert!(scene.context.index().secret(&key("good")).is_some());
}

#[tokio::test]
async fn where_removing_a_secret_panics_the_list_goes_on() {
    let mut scene = listed().await;
    for name in ["bad", "good"] {
        scene.follow([secret(Event::Apply(named(name, 1)))]).await;
    }
    scene.due();
    inject("remove secret");
    scene
        .follow([secret(Event::Init), secret(Event::InitDone)])
        .await;
    assert_eq!(scene.panics(), 1);
    assert_eq!(scene.due(), [key("good")]);
    assert_eq!(scene.context.index().secret(&key("good")), None);
}

#[tokio::test]
async fn where_a_first_decision_panics_the_others_are_decided_on_and_it_is_tried_again() {
    inject("decide");
    let scene = listed().await;
    assert_eq!(scene.panics(), 1);
    assert_eq!(scene.due(), [key("good")]);
    assert_eq!(scene.context.queue.entries(), 1, "it is tried again");
    // A process that becomes leader triages all resources like this.
    let known = scene.context.index().resources();
    triage::triage_all(&scene.context, known).await;
    assert_eq!(scene.panics(), 2);
    assert_eq!(scene.due(), [key("good")]);
    assert_eq!(scene.context.queue.entries(), 1, "it is tried again");
}

#[tokio::test]
async fn where_a_reconcile_or_the_decision_after_it_panics_it_is_tried_again_later() {
    for place in ["unpack", "decide"] {
        let scene = listed().await;
        let context = &scene.context;
        inject(place);
        let mut taken = vec![context.queue.take().await, context.queue.take().await];
        taken.sort();
        assert_eq!(taken, [key("bad"), key("good")]);
        // An event during the reconcile asks for another decision afterwards.
        context.queue.push(key("bad"));
        let held = context.slots.take().await;
        reconcile_and_requeue(context.clone(), key("bad"), held).await;
        assert_eq!(scene.panics(), 2, "{place}");
        assert_eq!(context.queue.entries(), 2, "it is tried again");
        assert_eq!(context.queue.len(), 0, "but not at once");
        // The same without an event during the reconcile.
        triage::triage_all(context, [key("good")]).await;
        let wake = reconcile(context, &key("bad")).await;
        assert!(wake.expect("another try") >= Duration::from_secs(3));
        let mut later = wake;
        for _ in 0..6 {
            later = reconcile(context, &key("bad")).await;
        }
        assert!(wake < later, "{wake:?} and then {later:?}");
    }
}

#[tokio::test]
async fn where_the_sweep_of_one_user_panics_other_users_are_swept_and_the_user_is_later() {
    let mut scene = Scene::without_grants();
    let crowd = |of: &'static str, bad: bool| {
        let name = move |n: i64| match n {
            1 if bad => "bad".to_owned(),
            n => format!("{of}-{n:02}"),
        };
        (0..40).map(move |n| rival(&name(n), n, of))
    };
    scene
        .list(crowd("one", true).chain(crowd("two", false)).collect())
        .await;
    scene.due();
    inject("stale");
    for (name, created, user) in [("one-00", 0, "one"), ("two-00", 0, "two")] {
        scene.follow([gone(rival(name, created, user))]).await;
    }
    scene.due();
    while scene.context.index().has_stale() {
        scene.follower.ask_stale().await;
    }
    assert_eq!(scene.panics(), 1);
    let due = scene.due();
    assert!(due.contains(&key("two-39")), "{due:?}");
    // After another change of the manager, all resources of the user are triaged, also the one that
    // panicked.
    heal();
    scene.follow([gone(rival("bad", 1, "one"))]).await;
    scene.due();
    while scene.context.index().has_stale() {
        scene.follower.ask_stale().await;
    }
    assert!(scene.due().contains(&key("one-39")));
}
