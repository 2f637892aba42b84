//! The status of a suspended resource, and its continuation after the suspension without a trace.

use super::scene::{Scene, applied, lost, not_sent, refused};
use cognito_password_operator::{
    api::{ConditionStatus, ConditionType, Reason},
    core::protocol::decision::Decision,
};
use rstest::rstest;

fn in_sync() -> Scene {
    Scene::settled()
}

fn waiting() -> Scene {
    let mut scene = Scene::settled();
    scene.put(1);
    scene.set(&refused("AccessDeniedException"));
    scene
}

fn retried() -> Scene {
    let mut scene = Scene::new();
    scene.set(&not_sent());
    scene
}

fn in_doubt() -> Scene {
    let mut scene = Scene::new();
    scene.set(&lost());
    scene
}

fn missing() -> Scene {
    let mut scene = Scene::settled();
    scene.cluster.secret = None;
    scene.report();
    scene
}

fn invalid() -> Scene {
    let mut scene = Scene::new();
    scene.set(&refused("InvalidPasswordException"));
    scene
}

fn not_confirmed() -> Scene {
    let mut scene = Scene::settled();
    scene.cluster.request();
    scene.set(&refused("PasswordHistoryPolicyViolationException"));
    scene
}

fn in_flight() -> Scene {
    let mut scene = Scene::settled();
    scene.put(1);
    let ahead = scene.plan().ahead;
    scene.write(&ahead);
    scene
}

#[rstest]
#[case(Scene::new(), false)]
#[case(in_sync(), false)]
#[case(waiting(), true)]
#[case(retried(), true)]
#[case(in_doubt(), true)]
#[case(missing(), true)]
#[case(invalid(), true)]
#[case(not_confirmed(), true)]
#[case(in_flight(), true)]
fn a_suspended_resource_reports_it_once_and_keeps_its_record(
    #[case] mut scene: Scene,
    #[case] unset: bool,
) {
    let before = scene.status();
    scene.cluster.change(|spec| spec.suspend = true);
    let Decision::Report(report) = scene.look() else {
        panic!("nothing is said");
    };
    assert_eq!(report.wake, None);
    scene.write(&report.status);
    let after = scene.status();
    assert_eq!(
        after.observed_generation,
        Some(scene.cluster.resource.generation)
    );
    let condition = |type_| after.condition(type_);
    let suspended = condition(ConditionType::Suspended).expect("it is said");
    assert_eq!(suspended.status, ConditionStatus::True);
    assert_eq!(
        condition(ConditionType::Ready),
        before.condition(ConditionType::Ready)
    );
    assert_eq!(condition(ConditionType::Reconciling), None);
    assert_eq!(condition(ConditionType::Stalled).is_some(), unset);
    if unset {
        // A program that shows the condition also shows the reason.
        let why = &before.conditions[0].message;
        let stalled = &condition(ConditionType::Stalled).expect("there").message;
        assert!(stalled.contains(why.trim_end_matches('.')), "{stalled}");
    }
    assert_eq!(
        (
            &after.synced,
            &after.attempt,
            &after.failures,
            &after.retired
        ),
        (
            &before.synced,
            &before.attempt,
            &before.failures,
            &before.retired
        )
    );

    // Only once, also after a restart or an event.
    scene.restart();
    assert_eq!(scene.look(), Decision::Leave);
    scene.put(3);
    scene.cluster.request();
    scene.later(4_000);
    assert_eq!(
        (scene.look(), scene.read()),
        (Decision::Leave, Decision::Leave)
    );

    // Once per generation.
    scene.cluster.change(|spec| spec.permanent = false);
    let Decision::Report(report) = scene.look() else {
        panic!("nothing is said of the new generation");
    };
    scene.write(&report.status);
    let since = |status: &cognito_password_operator::api::Status| {
        let condition = status.condition(ConditionType::Suspended);
        condition.map(|c| c.last_transition_time.clone())
    };
    assert_eq!(since(&scene.status()), since(&after));
    assert_eq!(scene.look(), Decision::Leave);
}

#[test]
fn a_resumed_resource_continues_where_the_suspension_began() {
    let mut scene = waiting();
    let suspend = |scene: &mut Scene, yes| scene.cluster.change(|spec| spec.suspend = yes);
    suspend(&mut scene, true);
    scene.report();
    scene.later(1_000);
    suspend(&mut scene, false);
    assert_eq!(scene.look(), Decision::Read);
    let ahead = scene.plan().ahead;
    assert_eq!(ahead.condition(ConditionType::Suspended), None);
    assert_eq!(ahead.condition(ConditionType::Stalled), None);
    scene.set(&refused("AccessDeniedException"));
    // The wait starts again: the resource could not continue while suspended.
    let waiting = (ConditionStatus::False, Reason::AccessDenied, true, false);
    assert_eq!(scene.said(), waiting);
    assert_eq!(scene.status().condition(ConditionType::Suspended), None);
    scene.later(400);
    scene.set(&applied());
    assert_eq!(scene.said().1, Reason::PasswordSet);

    let mut scene = in_sync();
    suspend(&mut scene, true);
    scene.report();
    suspend(&mut scene, false);
    assert_eq!(scene.report().verdict.reason, Reason::PasswordSet);
    assert_eq!(scene.status().conditions.len(), 1);
    assert_eq!(scene.look(), Decision::Stay { wake: None });
}

#[test]
fn a_resource_stalled_before_its_suspension_is_stalled_after_it() {
    let mut scene = waiting();
    scene.later(400);
    scene.set(&refused("AccessDeniedException"));
    let stalled = (ConditionStatus::False, Reason::AccessDenied, false, true);
    assert_eq!(scene.said(), stalled);
    scene.cluster.change(|spec| spec.suspend = true);
    scene.report();
    scene.cluster.change(|spec| spec.suspend = false);
    scene.set(&refused("AccessDeniedException"));
    assert_eq!(scene.said(), stalled);
}
