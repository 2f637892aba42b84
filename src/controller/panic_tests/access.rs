//! Panics in indexing grants and namespaces, and in judging resources.

use super::{
    heal, inject, inject_cluster_wide, key,
    scene::{Aws, Scene, grant, is_admitted, labelled, letting_in, namespace, resource},
};
use crate::core::access::grant::UngrantedPolicy;
use kube::runtime::watcher::Event;

/// A scene with the resources `bad` and `good`, each admitted by a grant of the same name.
async fn listed() -> Scene {
    let mut scene = Scene::with(Some(UngrantedPolicy::Deny), Aws::default());
    let listed = [
        namespace(Event::Init),
        namespace(Event::InitApply(labelled("bad", "a"))),
        namespace(Event::InitApply(labelled("team-a", "a"))),
        namespace(Event::InitDone),
        grant(Event::Init),
        grant(Event::InitApply(letting_in("bad", "bad"))),
        grant(Event::InitApply(letting_in("good", "good"))),
        grant(Event::InitDone),
    ];
    scene.follow(listed).await;
    scene
        .list(vec![resource("bad", 1), resource("good", 2)])
        .await;
    scene
}

fn admitted(scene: &Scene) -> [bool; 2] {
    ["bad", "good"].map(|name| is_admitted(scene, name))
}

#[tokio::test]
async fn where_indexing_a_grant_panics_it_lets_nobody_in_and_the_others_do() {
    inject_cluster_wide("grant");
    let mut scene = listed().await;
    assert_eq!(scene.panics(), 1);
    assert_eq!(scene.readiness.failing(), [""; 0]);
    assert_eq!(admitted(&scene), [false, true]);
    // An indexed grant whose change panics no longer admits what the grant admitted before.
    heal();
    scene
        .follow([grant(Event::Apply(letting_in("bad", "bad")))])
        .await;
    assert_eq!(admitted(&scene), [true, true], "its next event heals it");
    for place in ["grant", "forget grant"] {
        inject_cluster_wide(place);
        scene
            .follow([grant(Event::Apply(letting_in("bad", "b*")))])
            .await;
        assert_eq!(admitted(&scene), [false, true], "{place}");
        heal();
        scene
            .follow([grant(Event::Apply(letting_in("bad", "bad")))])
            .await;
        assert_eq!(admitted(&scene), [true, true], "{place}");
    }
}

#[tokio::test]
async fn where_removing_a_grant_panics_it_lets_nobody_in_and_the_others_do() {
    let mut scene = listed().await;
    inject_cluster_wide("forget grant");
    scene
        .follow([grant(Event::Delete(letting_in("bad", "bad")))])
        .await;
    assert_eq!(scene.panics(), 1);
    assert_eq!(admitted(&scene), [false, true]);
    heal();
    let again = [
        grant(Event::Init),
        grant(Event::InitApply(letting_in("bad", "bad"))),
        grant(Event::InitApply(letting_in("good", "good"))),
        grant(Event::InitDone),
    ];
    scene.follow(again).await;
    assert_eq!(admitted(&scene), [true, true]);
    // The same for a relist that does not show the grant.
    inject_cluster_wide("forget grant");
    let without = [
        grant(Event::Init),
        grant(Event::InitApply(letting_in("good", "good"))),
        grant(Event::InitDone),
    ];
    scene.follow(without).await;
    assert_eq!(scene.panics(), 2);
    assert_eq!(admitted(&scene), [false, true]);
}

#[tokio::test]
async fn where_indexing_a_namespace_panics_nobody_is_let_in_there_and_others_are() {
    let mut scene = Scene::with(Some(UngrantedPolicy::Deny), Aws::default());
    inject_cluster_wide("namespace");
    let listed = [
        namespace(Event::Init),
        namespace(Event::InitApply(labelled("bad", "a"))),
        namespace(Event::InitApply(labelled("team-a", "a"))),
        namespace(Event::InitDone),
        grant(Event::Init),
        grant(Event::InitApply(letting_in("good", "good"))),
        grant(Event::InitDone),
    ];
    scene.follow(listed).await;
    scene.list(vec![resource("good", 2)]).await;
    assert_eq!(scene.panics(), 1);
    assert_eq!(scene.readiness.failing(), [""; 0]);
    assert!(is_admitted(&scene, "good"));
}

#[tokio::test]
async fn where_judging_a_resource_panics_the_others_are_judged() {
    for place in ["judge", "concerned"] {
        let mut scene = listed().await;
        inject(place);
        // The change concerns both resources, and the one that panics comes first.
        let all = grant(Event::Apply(letting_in("all", "*")));
        scene.follow([all]).await;
        let counts = |scene: &Scene, grant: &str| {
            let mut index = scene.context.index();
            index.grants().lets_in(grant)
        };
        let (panics, let_in) = if place == "judge" { (1, 1) } else { (0, 2) };
        assert_eq!(scene.panics(), panics, "{place}");
        assert_eq!(counts(&scene, "all"), let_in, "{place}");
        assert_eq!(admitted(&scene), [true, true], "claims stay: {place}");
    }
}

#[tokio::test]
async fn where_a_new_resource_cannot_be_judged_it_is_not_let_in_and_others_are() {
    inject("judge");
    let scene = listed().await;
    assert!(scene.panics() > 0);
    assert_eq!(admitted(&scene), [false, true]);
    assert_eq!(scene.readiness.failing(), [""; 0]);
    assert_eq!(scene.due(), [key("good")]);
}
