//! A panic in the work for one object stops that object only, wherever the panic happens. The names of
//! the tests say where. The tests of `cluster/events.rs` cover a panic in the report of an Event. The
//! tests of `cluster/watch` cover a panic in reading an object.

mod access;
mod loops;
pub(super) mod scene;

use super::{
    reconcile::{reconcile, triage},
    reconcile_and_requeue,
    state::key::Key,
};
use crate::cluster::watch::lean_object::{DecodeError, LeanObject, UserRef};
use kube::runtime::watcher::Event;
use scene::{
    Scene, deleted_resource, listed_resource, resource, resource_event, rival, secret, secret_name,
};
use std::{cell::RefCell, fmt::Display, time::Duration};

thread_local! {
    /// The place and the key at which [`panic_at`] panics.
    static PANIC: RefCell<Option<(&'static str, Key)>> = const { RefCell::new(None) };
}

/// Panics if a test has injected a panic at this place for this key.
pub(super) fn panic_at(place: &'static str, key: &impl Display) {
    let wanted = PANIC.with_borrow(Clone::clone);
    let is_here = wanted.is_some_and(|(at, bad)| at == place && bad.to_string() == key.to_string());
    assert!(!is_here, "a test wants this panic");
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
async fn a_panic_in_indexing_a_resource_keeps_its_claim_and_stops_no_other_resource() {
    for place in ["index", "index, half-way"] {
        inject(place);
        let mut scene = Scene::without_grants();
        let (bad, young) = (rival("bad", 1, "bot"), rival("young", 2, "bot"));
        scene
            .list(vec![bad.clone(), young.clone(), resource("good", 3)])
            .await;
        assert_eq!(scene.panics(), 1, "{place}");
        assert_eq!(scene.readiness.failures(), [""; 0], "{place}");
        assert_eq!(scene.due(), [key("good"), key("young")], "{place}");
        let manager = |scene: &Scene| {
            let claim = crate::controller::state::claims::Claim::of(&young).expect("a user");
            scene.context.index().older(&key("young"), &claim).cloned()
        };
        assert_eq!(manager(&scene), Some(key("bad")), "{place}");
        assert!(!scene.context.index().has_resource(&key("bad")));
        // A relist that shows the resource keeps the claim.
        scene
            .handle([resource_event(Event::Init), listed_resource(bad.clone())])
            .await;
        scene
            .handle([
                listed_resource(young.clone()),
                resource_event(Event::InitDone),
            ])
            .await;
        assert_eq!(manager(&scene), Some(key("bad")), "{place}");
        // The next event of the resource repairs the index.
        heal();
        scene.handle([listed_resource(bad.clone())]).await;
        assert_eq!(scene.due(), [key("bad")], "{place}");
        assert_eq!(manager(&scene), Some(key("bad")), "{place}");
        // A resource that was indexed before is no longer reconciled with the former spec.
        inject(place);
        let mut moved = bad.clone();
        moved.metadata.resource_version = Some("2".to_owned());
        scene.handle([listed_resource(moved)]).await;
        assert!(!scene.context.index().has_resource(&key("bad")));
        assert_eq!(manager(&scene), Some(key("bad")), "{place}");
        heal();
        scene.handle([deleted_resource(bad)]).await;
        assert_eq!(manager(&scene), None, "{place}");
    }
}

#[tokio::test]
async fn a_panic_in_indexing_an_undecodable_resource_keeps_its_claim() {
    let mut scene = Scene::without_grants();
    let (bad, young) = (rival("bad", 1, "bot"), rival("young", 2, "bot"));
    scene.list(vec![bad.clone(), young.clone()]).await;
    inject("keep claim");
    let unreadable = DecodeError {
        error: String::new(),
        metadata: bad.metadata,
        user: Some(UserRef {
            user_pool_id: bad.spec.user_pool_id,
            username: bad.spec.username,
        }),
    };
    scene
        .handle([resource_event(Event::Apply(LeanObject(Err(unreadable))))])
        .await;
    assert_eq!(scene.panics(), 1);
    let claim = crate::controller::state::claims::Claim::of(&young).expect("a user");
    let index = scene.context.index();
    assert_eq!(index.older(&key("young"), &claim), Some(&key("bad")));
    assert!(!index.has_resource(&key("bad")), "it is reconciled");
}

#[tokio::test]
async fn a_resource_whose_removal_panics_is_removed_by_the_next_list() {
    let mut scene = listed().await;
    inject("remove");
    scene
        .handle([resource_event(Event::Init), resource_event(Event::InitDone)])
        .await;
    assert_eq!(scene.panics(), 1);
    assert!(scene.context.index().has_resource(&key("bad")));
    assert!(!scene.context.index().has_resource(&key("good")));
    heal();
    scene
        .handle([resource_event(Event::Init), resource_event(Event::InitDone)])
        .await;
    assert!(!scene.context.index().has_resource(&key("bad")));
    let claims = |(of, entries)| of == "claims" && entries > 0;
    assert!(!scene.context.index().entries().any(claims));
}

#[tokio::test]
async fn the_resources_of_a_secret_whose_indexing_panics_are_reconciled_by_a_read() {
    let mut scene = listed().await;
    scene
        .handle([
            secret(Event::Apply(secret_name("bad", 1))),
            secret(Event::Apply(secret_name("good", 1))),
        ])
        .await;
    assert_eq!(scene.due(), [key("bad"), key("good")]);
    inject("secret");
    scene
        .handle([
            secret(Event::Apply(secret_name("bad", 2))),
            secret(Event::Apply(secret_name("good", 2))),
        ])
        .await;
    assert_eq!(scene.panics(), 1);
    assert_eq!(scene.due(), [key("bad"), key("good")]);
    assert_eq!(scene.context.index().secret(&key("bad")), None);
    assert!(scene.context.index().secret(&key("good")).is_some());
}

#[tokio::test]
async fn a_panic_in_removing_a_secret_does_not_end_the_list() {
    let mut scene = listed().await;
    for name in ["bad", "good"] {
        scene
            .handle([secret(Event::Apply(secret_name(name, 1)))])
            .await;
    }
    scene.due();
    inject("remove secret");
    scene
        .handle([secret(Event::Init), secret(Event::InitDone)])
        .await;
    assert_eq!(scene.panics(), 1);
    assert_eq!(scene.due(), [key("good")]);
    assert_eq!(scene.context.index().secret(&key("good")), None);
}

#[tokio::test]
async fn a_panic_in_triage_stops_no_other_resource_and_triage_is_repeated() {
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
async fn a_reconcile_that_panics_is_repeated_after_a_growing_pause() {
    for place in ["unpack", "decide"] {
        let scene = listed().await;
        let context = &scene.context;
        inject(place);
        let mut taken = vec![context.queue.take().await, context.queue.take().await];
        taken.sort();
        assert_eq!(taken, [key("bad"), key("good")]);
        // An event during the reconcile asks for another decision afterwards.
        context.queue.push(key("bad"));
        let slot = context.slots.take().await;
        reconcile_and_requeue(context.clone(), key("bad"), slot).await;
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
async fn a_panic_in_finding_stale_resources_stops_no_other_user() {
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
        scene
            .handle([deleted_resource(rival(name, created, user))])
            .await;
    }
    scene.due();
    while scene.context.index().has_stale() {
        scene.event_handler.triage_stale().await;
    }
    assert_eq!(scene.panics(), 1);
    let due = scene.due();
    assert!(due.contains(&key("two-39")), "{due:?}");
    // After another change of the manager, all resources of the user are triaged, also the one that
    // panicked.
    heal();
    scene
        .handle([deleted_resource(rival("bad", 1, "one"))])
        .await;
    scene.due();
    while scene.context.index().has_stale() {
        scene.event_handler.triage_stale().await;
    }
    assert!(scene.due().contains(&key("one-39")));
}
