//! Panics in indexing grants and namespaces, and in judging resources.

use super::{
    heal, inject, inject_cluster_wide, key,
    scene::{Aws, Scene, grant, grant_for, grants, is_admitted, labelled, namespace, resource},
};
use crate::{cluster::watch::WatchEvent, core::access::grant::UngrantedPolicy};
use kube::runtime::watcher::Event;

/// A complete list of the namespaces `bad` and `team-a`.
fn namespaces() -> [WatchEvent; 4] {
    [
        namespace(Event::Init),
        namespace(Event::InitApply(labelled("bad", "a"))),
        namespace(Event::InitApply(labelled("team-a", "a"))),
        namespace(Event::InitDone),
    ]
}

/// The watch event that changes the grant `bad` to this pattern of usernames.
fn changed_grant(username: &str) -> [WatchEvent; 1] {
    [grant(Event::Apply(grant_for("bad", username)))]
}

/// A scene with the resources `bad` and `good`, each admitted by a grant of the same name.
async fn listed() -> Scene {
    let mut scene = Scene::with(Some(UngrantedPolicy::Deny), Aws::default());
    scene.handle(namespaces()).await;
    scene.handle(grants(&["bad", "good"])).await;
    scene
        .list(vec![resource("bad", 1), resource("good", 2)])
        .await;
    scene
}

fn admitted(scene: &Scene) -> [bool; 2] {
    ["bad", "good"].map(|name| is_admitted(scene, name))
}

#[tokio::test]
async fn a_grant_whose_indexing_panics_admits_nothing_and_other_grants_do() {
    inject_cluster_wide("grant");
    let mut scene = listed().await;
    assert_eq!(scene.panics(), 1);
    assert_eq!(scene.readiness.failures(), [""; 0]);
    assert_eq!(admitted(&scene), [false, true]);
    // An indexed grant whose change panics no longer admits what the grant admitted before.
    heal();
    scene.handle(changed_grant("bad")).await;
    assert_eq!(
        admitted(&scene),
        [true, true],
        "its next event repairs the index"
    );
    for place in ["grant", "forget grant"] {
        inject_cluster_wide(place);
        scene.handle(changed_grant("b*")).await;
        assert_eq!(admitted(&scene), [false, true], "{place}");
        heal();
        scene.handle(changed_grant("bad")).await;
        assert_eq!(admitted(&scene), [true, true], "{place}");
    }
}

#[tokio::test]
async fn a_grant_whose_removal_panics_admits_nothing_and_other_grants_do() {
    let mut scene = listed().await;
    inject_cluster_wide("forget grant");
    scene
        .handle([grant(Event::Delete(grant_for("bad", "bad")))])
        .await;
    assert_eq!(scene.panics(), 1);
    assert_eq!(admitted(&scene), [false, true]);
    heal();
    scene.handle(grants(&["bad", "good"])).await;
    assert_eq!(admitted(&scene), [true, true]);
    // The same for a relist that does not show the grant.
    inject_cluster_wide("forget grant");
    scene.handle(grants(&["good"])).await;
    assert_eq!(scene.panics(), 2);
    assert_eq!(admitted(&scene), [false, true]);
}

#[tokio::test]
async fn a_panic_in_indexing_a_namespace_stops_no_other_namespace() {
    let mut scene = Scene::with(Some(UngrantedPolicy::Deny), Aws::default());
    inject_cluster_wide("namespace");
    scene.handle(namespaces()).await;
    scene.handle(grants(&["good"])).await;
    scene.list(vec![resource("good", 2)]).await;
    assert_eq!(scene.panics(), 1);
    assert_eq!(scene.readiness.failures(), [""; 0]);
    assert!(is_admitted(&scene, "good"));
}

#[tokio::test]
async fn a_panic_in_judging_a_resource_stops_no_other_resource() {
    for place in ["judge", "concerned"] {
        let mut scene = listed().await;
        inject(place);
        // The change concerns both resources, and the one that panics comes first.
        let all = grant(Event::Apply(grant_for("all", "*")));
        scene.handle([all]).await;
        let counts = |scene: &Scene, grant: &str| {
            let mut index = scene.context.index();
            index.grants().admitted_count(grant)
        };
        let (panics, let_in) = if place == "judge" { (1, 1) } else { (0, 2) };
        assert_eq!(scene.panics(), panics, "{place}");
        assert_eq!(counts(&scene, "all"), let_in, "{place}");
        assert_eq!(admitted(&scene), [true, true], "claims stay: {place}");
    }
}

#[tokio::test]
async fn a_new_resource_whose_judging_panics_is_not_admitted_and_others_are() {
    inject("judge");
    let scene = listed().await;
    assert!(scene.panics() > 0);
    assert_eq!(admitted(&scene), [false, true]);
    assert_eq!(scene.readiness.failures(), [""; 0]);
    assert_eq!(scene.due(), [key("good")]);
}
