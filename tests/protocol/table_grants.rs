//! The decisions while no grant admits the resource, and after a grant admits the resource again.

use super::scene::{Scene, refused};
use cognito_password_operator::{
    api::{ConditionStatus, ConditionType, Reason},
    core::protocol::{decision::Decision, observation::OlderResource},
};
use rstest::rstest;
use std::time::Duration;

fn revoke(scene: &mut Scene) {
    scene.cluster.granted = false;
    scene.say();
    assert_eq!(scene.said().1, Reason::NotGranted);
}

/// The set waits for a permit, and the status says so.
fn queue(scene: &mut Scene) {
    let waiting = scene.waiting_for_turn().expect("the grant is there");
    scene.write(&waiting.status);
    assert_eq!(scene.said().1, Reason::Progressing);
}

#[rstest]
#[case::new(Scene::new())]
#[case::waiting({ let mut s = Scene::new(); s.set(&refused("AccessDeniedException")); s })]
#[case::refused({ let mut s = Scene::new(); s.set(&refused("InvalidPasswordException")); s })]
fn a_resource_that_is_granted_again_is_set(#[case] mut scene: Scene) {
    revoke(&mut scene);
    scene.later(10);
    scene.cluster.granted = true;
    assert_eq!(scene.look(), Decision::Read);
    queue(&mut scene);
    scene.later(2);
    assert_eq!(scene.look(), Decision::Read);
    scene.plan();
}

/// The same as after a grant that names the Region, also if the same value was refused before.
#[rstest]
#[case::new(Scene::new())]
#[case::waiting({ let mut s = Scene::new(); s.set(&refused("AccessDeniedException")); s })]
#[case::refused({ let mut s = Scene::new(); s.set(&refused("InvalidPasswordException")); s })]
fn a_resource_without_a_region_is_stalled_until_a_grant_names_one(#[case] mut scene: Scene) {
    scene.cluster.in_no_region = true;
    scene.say();
    assert_eq!(scene.said().1, Reason::UnknownRegion);
    let stalled = scene.status().condition(ConditionType::Stalled).cloned();
    assert_eq!(stalled.map(|it| it.status), Some(ConditionStatus::True));
    scene.restart();
    scene.later(3_600);
    assert_eq!(scene.look(), Decision::Stay { wake: None });
    scene.cluster.in_no_region = false;
    assert_eq!(scene.look(), Decision::Read);
    queue(&mut scene);
    scene.plan();
}

#[test]
fn a_resource_without_a_grant_is_reported_stalled_after_5_minutes_and_not_retried() {
    let mut scene = Scene::settled();
    let synced = scene.status().synced;
    revoke(&mut scene);
    assert_eq!(scene.status().failures, None, "an event ends it");
    scene.later(120);
    scene.restart();
    let left = Some(Duration::from_mins(3));
    assert_eq!(scene.look(), Decision::Stay { wake: left }, "a restart");
    scene.later(180);
    assert_eq!(scene.say().wake, None);
    let stalled = (ConditionStatus::False, Reason::NotGranted, false, true);
    assert_eq!(scene.said(), stalled);
    for days in [0, 1, 100] {
        scene.later(days * 86_400);
        scene.restart();
        assert_eq!(scene.look(), Decision::Stay { wake: None });
    }
    assert_eq!(scene.status().synced, synced);
    scene.cluster.granted = true;
    assert_eq!(scene.look(), Decision::Read);
    assert_eq!(scene.report().verdict.reason, Reason::PasswordSet);
}

#[test]
fn a_suspended_resource_sets_its_user_again_after_a_rival_set_it_without_a_grant() {
    let mut scene = Scene::settled();
    scene.cluster.change(|spec| spec.suspend = true);
    scene.cluster.granted = false;
    scene.later(10);
    // Another resource, which is admitted, sets the user. This resource knows the rival's time.
    scene.rival_at = Some(scene.now);
    scene.later(1);
    if let Decision::Report(report) = scene.look() {
        scene.write(&report.status);
    }
    // The rival is deleted. This resource is admitted again and continues.
    scene.rival_at = None;
    scene.cluster.granted = true;
    scene.cluster.change(|spec| spec.suspend = false);
    scene.later(1);
    let decision = scene.read();
    assert!(matches!(decision, Decision::Set(_)), "{decision:?}");
}

#[test]
fn a_suspended_resource_sets_its_user_again_after_an_older_resource_managed_it() {
    let mut scene = Scene::settled();
    scene.cluster.change(|spec| spec.suspend = true);
    scene.later(10);
    // An older resource is admitted, and sets the user.
    scene.older = Some(OlderResource::OtherNamespace);
    if let Decision::Report(report) = scene.look() {
        scene.write(&report.status);
    }
    scene.older = None;
    scene.cluster.change(|spec| spec.suspend = false);
    scene.later(1);
    let decision = scene.read();
    assert!(matches!(decision, Decision::Set(_)), "{decision:?}");
}
