//! Corrections: sets that nobody asked for, because two looks agree on a drift, and their brakes.

use super::scene::{Scene, applied, refused};
use super::table_looks::{REST, add, agree, disabled, look, recreated, settled, user, verified};
use cognito_password_operator::{
    api::{ConditionStatus::*, Drift, Reason},
    core::{
        look::{
            found::{Found, LookKind, Looks},
            user::{User, UserState::*},
        },
        protocol::decision::Decision,
    },
};
use rstest::rstest;
use std::time::Duration;

/// The reset is said, corrected, and the user fits.
fn corrected(scene: &mut Scene) {
    let found = Found::User(user(scene, ResetRequired));
    agree(scene, &found);
    scene.say();
    assert_eq!(scene.said().1, Reason::PasswordReset);
    assert_eq!(scene.look(), Decision::Read);
    let recorded = scene.set(&applied());
    assert!(recorded.applied);
    assert_eq!(scene.said(), (True, Reason::PasswordSet, false, false));
    scene.looks = Looks::default();
}

#[test]
fn a_reset_password_is_set_again_by_correct() {
    let mut scene = settled(Drift::Correct);
    corrected(&mut scene);
    let corrections = scene.status().corrections.expect("one on record");
    assert_eq!(corrections.count, 1);
    let fits = user(&scene, Confirmed);
    scene.later(61);
    look(&mut scene, fits);
    scene.say();
    assert_eq!(verified(&scene), Some((True, "UserSeen".to_owned())));
}

#[test]
fn corrections_come_at_growing_intervals_and_the_fifth_is_contested() {
    let mut scene = settled(Drift::Correct);
    corrected(&mut scene);
    for (count, minutes) in [(1, 30), (2, 60), (3, 120)] {
        scene.later(120);
        let found = Found::User(user(&scene, ResetRequired));
        agree(&mut scene, &found);
        scene.say();
        assert_eq!(scene.said().1, Reason::PasswordReset);
        let Decision::Look { after, wake: None } = scene.look() else {
            panic!("{:?}", scene.look());
        };
        let passed = Duration::from_secs(181);
        assert!(after + passed + Duration::from_secs(1) >= Duration::from_secs(minutes * 60));
        assert_eq!(scene.status().corrections.expect("some").count, count);
        scene.later(i64::try_from(minutes).expect("a time") * 60);
        add(&mut scene, found, LookKind::Lookup);
        assert_eq!(scene.look(), Decision::Read);
        scene.set(&applied());
        scene.looks = Looks::default();
    }
    scene.later(24 * 3_600);
    let found = Found::User(user(&scene, ResetRequired));
    agree(&mut scene, &found);
    scene.say();
    assert_eq!(scene.said(), (False, Reason::Contested, false, true));
    scene.later(900);
    agree(&mut scene, &found);
    assert!(matches!(
        scene.look(),
        Decision::Stay { .. } | Decision::Look { .. }
    ));
    // A person's request ends it.
    scene.cluster.request();
    scene.set(&applied());
    assert_eq!(scene.said().1, Reason::PasswordSet);
}

#[test]
fn after_seven_quiet_days_corrections_begin_anew() {
    let mut scene = settled(Drift::Correct);
    corrected(&mut scene);
    scene.later(7 * 24 * 3_600 + 1);
    corrected(&mut scene);
    assert_eq!(scene.status().corrections.expect("one").count, 1);
}

#[test]
fn many_resets_in_one_pool_look_deliberate() {
    let mut scene = settled(Drift::Correct);
    scene.corrections_left = false;
    let found = Found::User(user(&scene, ResetRequired));
    agree(&mut scene, &found);
    let report = scene.say();
    assert!(report.verdict.message.contains("deliberate"), "{report:?}");
    assert_eq!(scene.said(), (False, Reason::PasswordReset, false, true));
    assert!(!matches!(scene.look(), Decision::Read));
}

#[rstest]
#[case::disabled(disabled)]
#[case::stranger(|s: &Scene| recreated(s, Confirmed))]
#[case::signed_up(|s: &Scene| recreated(s, Unconfirmed))]
#[case::unconfirmed(|s: &Scene| user(s, Unconfirmed))]
#[case::federated(|s: &Scene| user(s, ExternalProvider))]
fn correct_never_sets_these_users(#[case] found: fn(&Scene) -> User) {
    let mut scene = settled(Drift::Correct);
    let found = Found::User(found(&scene));
    agree(&mut scene, &found);
    scene.say();
    for _ in 0..5 {
        scene.later(3_600);
        agree(&mut scene, &found);
        let decision = scene.look();
        assert!(!matches!(decision, Decision::Read), "{decision:?}");
    }
}

#[test]
fn a_password_that_somebody_chose_after_the_reset_is_not_overwritten() {
    let mut scene = settled(Drift::Report);
    let found = Found::User(user(&scene, ResetRequired));
    agree(&mut scene, &found);
    scene.say();
    scene.later(900);
    let chosen = user(&scene, Confirmed);
    look(&mut scene, chosen);
    assert_eq!(scene.look(), REST);
    // Not by a change to Correct either.
    scene
        .cluster
        .change(|spec| spec.drift = Some(Drift::Correct));
    assert_eq!(scene.look(), Decision::Read);
    scene.report();
    assert_eq!(scene.said(), (False, Reason::PasswordReset, false, true));
    assert_eq!(scene.look(), REST);
}

#[test]
fn a_change_from_report_to_correct_looks_first_and_then_sets() {
    let mut scene = settled(Drift::Report);
    let found = Found::User(user(&scene, ResetRequired));
    agree(&mut scene, &found);
    scene.say();
    scene.looks = Looks::default();
    scene
        .cluster
        .change(|spec| spec.drift = Some(Drift::Correct));
    assert_eq!(scene.look(), Decision::Read);
    assert!(matches!(
        scene.read(),
        Decision::Look {
            after: Duration::ZERO,
            ..
        }
    ));
    agree(&mut scene, &found);
    assert_eq!(scene.look(), Decision::Read);
    assert!(scene.set(&applied()).applied);
}

#[test]
fn a_correction_that_cognito_throttled_is_not_counted_and_the_status_stays() {
    let mut scene = settled(Drift::Correct);
    let found = Found::User(user(&scene, ResetRequired));
    agree(&mut scene, &found);
    scene.say();
    let before = scene.status();
    let recorded = scene.set(&refused("TooManyRequestsException"));
    assert!(!recorded.applied);
    assert_eq!(scene.status(), before);
    assert_eq!(recorded.wake, Some(Duration::from_mins(1)));
    scene.later(61);
    add(&mut scene, found, LookKind::Lookup);
    assert_eq!(scene.look(), Decision::Read);
    assert!(scene.set(&applied()).applied);
}

#[test]
fn drift_under_a_history_is_not_taken_for_the_current_password() {
    let mut scene = settled(Drift::Correct);
    let found = Found::User(user(&scene, ResetRequired));
    agree(&mut scene, &found);
    scene.say();
    scene.set(&refused("PasswordHistoryPolicyViolationException"));
    assert_eq!(scene.said(), (Unknown, Reason::NotConfirmed, false, true));
}

#[test]
fn a_correction_that_cognito_refused_is_made_again_only_after_two_more_looks() {
    let mut scene = settled(Drift::Correct);
    let found = Found::User(user(&scene, ResetRequired));
    agree(&mut scene, &found);
    scene.say();
    let recorded = scene.set(&refused("AccessDeniedException"));
    assert!(!recorded.applied);
    assert_eq!(scene.said(), (False, Reason::PasswordReset, false, true));
    assert_eq!(scene.attempt(), None);
    let message = recorded.verdict.message.clone();
    assert!(message.contains("AccessDeniedException"), "{message}");
    // No record leads to the set, whatever time passes.
    scene.looks = Looks::default();
    scene.restart();
    scene.later(2 * 3_600);
    assert_eq!(scene.look(), REST);
    assert!(
        matches!(scene.read(), Decision::Stay { .. }),
        "{:?}",
        scene.read()
    );
    // Somebody else has recreated the user meanwhile.
    let stranger = Found::User(recreated(&scene, Confirmed));
    agree(&mut scene, &stranger);
    scene.say();
    assert_eq!(scene.said().1, Reason::UserRecreated);
    assert!(!matches!(scene.look(), Decision::Read));
}

#[test]
fn refused_corrections_come_at_intervals_and_are_not_contested() {
    let mut scene = settled(Drift::Correct);
    let found = Found::User(user(&scene, ResetRequired));
    agree(&mut scene, &found);
    scene.say();
    for _ in 0..6 {
        scene.set(&refused("AccessDeniedException"));
        assert_eq!(scene.status().corrections.expect("one").count, 1);
        let before = scene.status();
        scene.later(120);
        agree(&mut scene, &found);
        assert!(
            matches!(scene.look(), Decision::Look { .. }),
            "{:?}",
            scene.look()
        );
        assert_eq!(scene.status(), before, "the message stays");
        scene.later(30 * 60);
        agree(&mut scene, &found);
        assert_eq!(scene.look(), Decision::Read);
    }
    scene.set(&applied());
    assert_eq!(scene.said().1, Reason::PasswordSet);
    assert_eq!(scene.status().corrections.expect("two").count, 2);
}
