//! What is decided where nobody may act, and once somebody may again.

use super::scene::{Scene, refused};
use cognito_password_operator::{api::Reason, core::decide::Decision};
use rstest::rstest;

fn say(scene: &mut Scene) {
    match scene.look() {
        Decision::Report(report) => scene.write(&report.status),
        other => panic!("wanted a report, got {other:?}"),
    }
}

fn revoke(scene: &mut Scene) {
    scene.cluster.granted = false;
    say(scene);
    assert_eq!(scene.said().1, Reason::NotGranted);
}

/// The set waits for its turn in the budget, and says so.
fn queue(scene: &mut Scene) {
    let waiting = scene.waiting_for_turn().expect("the grant is there");
    scene.write(&waiting.status);
    assert_eq!(scene.said().1, Reason::Progressing);
}

#[rstest]
#[case::new(Scene::new())]
#[case::waiting({ let mut s = Scene::new(); s.set(&refused("AccessDeniedException")); s })]
#[case::refused({ let mut s = Scene::new(); s.set(&refused("InvalidPasswordException")); s })]
fn whoever_is_granted_is_set_in_its_turn(#[case] mut scene: Scene) {
    revoke(&mut scene);
    scene.later(10);
    scene.cluster.granted = true;
    assert_eq!(scene.look(), Decision::Read);
    queue(&mut scene);
    scene.later(2);
    assert_eq!(scene.look(), Decision::Read);
    scene.plan();
}
