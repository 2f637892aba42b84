//! What follows from looks at the user: drift, the guard of a first set, and the brakes of corrections.

use super::scene::{Scene, applied, refused};
use cognito_password_operator::{
    api::{Class, ConditionStatus::*, ConditionType, Drift, FederatedUser, Reason},
    core::{
        look::{
            found::{Found, Look, LookFailure, LookKind, Looks},
            user::{User, UserState, UserState::*},
        },
        protocol::decision::Decision,
    },
};
use jiff::SignedDuration;
use rstest::rstest;
use std::time::Duration;

const REST: Decision = Decision::Stay { wake: None };

/// A resource with this drift and value 0 set, ten minutes ago.
fn settled(drift: Drift) -> Scene {
    let mut scene = Scene::new();
    scene.cluster.change(|spec| spec.drift = Some(drift));
    look_at(&mut scene, Confirmed);
    scene.set(&applied());
    scene.looks = Looks::default();
    scene.later(600);
    scene
}

/// A user that was created long before the scene.
fn user(scene: &Scene, state: UserState) -> User {
    User {
        username: "ci-bot".to_owned(),
        sub: None,
        state,
        enabled: true,
        created: Some(scene.now - SignedDuration::from_hours(24 * 60)),
        modified: None,
    }
}

fn disabled(scene: &Scene) -> User {
    User {
        enabled: false,
        ..user(scene, Confirmed)
    }
}

/// A user that was created five minutes ago.
fn recreated(scene: &Scene, state: UserState) -> User {
    User {
        created: Some(scene.now - SignedDuration::from_mins(5)),
        ..user(scene, state)
    }
}

/// A lookup now that finds the user in this state.
fn look_at(scene: &mut Scene, state: UserState) {
    let found = user(scene, state);
    look(scene, found);
}

/// A lookup now.
fn look(scene: &mut Scene, user: User) {
    add(scene, Found::User(user), LookKind::Lookup);
}

fn add(scene: &mut Scene, found: Found, kind: LookKind) {
    let begun = scene.now;
    scene.looks.add(Look { found, begun, kind });
}

/// Two lookups that found the same, a minute apart.
fn agree(scene: &mut Scene, found: &Found) {
    add(scene, found.clone(), LookKind::Sweep);
    scene.later(61);
    add(scene, found.clone(), LookKind::Lookup);
}

fn verified(scene: &Scene) -> Option<(cognito_password_operator::api::ConditionStatus, String)> {
    let status = scene.status();
    let condition = status.condition(ConditionType::Verified)?;
    Some((condition.status, condition.reason.clone()))
}

#[test]
fn a_user_as_the_set_left_it_is_verified_once_and_then_nothing_is_written() {
    let mut scene = settled(Drift::Report);
    assert_eq!(scene.look(), REST, "no look yet");
    let found = user(&scene, Confirmed);
    add(&mut scene, Found::User(found.clone()), LookKind::Sweep);
    scene.say();
    assert_eq!(verified(&scene), Some((True, "UserSeen".to_owned())));
    assert_eq!(scene.said(), (True, Reason::PasswordSet, false, false));
    assert_eq!(scene.status().found_as.as_deref(), Some("ci-bot"));
    for _ in 0..3 {
        scene.later(900);
        add(&mut scene, Found::User(found.clone()), LookKind::Sweep);
        assert_eq!(scene.look(), REST);
    }
    scene.looks = Looks::default();
    assert_eq!(scene.look(), REST, "a restart");
}

#[test]
fn a_look_within_a_minute_of_the_set_does_not_count() {
    let mut scene = settled(Drift::Correct);
    scene.set_again();
    scene.later(59);
    let reset = user(&scene, ResetRequired);
    add(&mut scene, Found::User(reset.clone()), LookKind::Lookup);
    assert_eq!(scene.look(), REST);
    scene.later(2);
    add(&mut scene, Found::User(reset), LookKind::Lookup);
    assert!(matches!(scene.look(), Decision::Look { .. }));
}

#[rstest]
#[case::disabled(disabled, Reason::UserDisabled, Class::Waiting)]
#[case::reset(|s: &Scene| user(s, ResetRequired), Reason::PasswordReset, Class::Stalled)]
#[case::forced(|s: &Scene| user(s, ForceChangePassword), Reason::PasswordReset, Class::Stalled)]
#[case::recreated(|s: &Scene| recreated(s, ForceChangePassword), Reason::UserRecreated, Class::Stalled)]
#[case::stranger(|s: &Scene| recreated(s, Confirmed), Reason::UserRecreated, Class::Stalled)]
#[case::signed_up(|s: &Scene| recreated(s, Unconfirmed), Reason::UserRecreated, Class::Stalled)]
#[case::unconfirmed(|s: &Scene| user(s, Unconfirmed), Reason::UserUnconfirmed, Class::Stalled)]
#[case::federated(|s: &Scene| user(s, ExternalProvider), Reason::FederatedUser, Class::Stalled)]
fn a_deviation_is_said_after_the_second_look_and_never_set_by_report(
    #[case] found: fn(&Scene) -> User,
    #[case] reason: Reason,
    #[case] class: Class,
) {
    let mut scene = settled(Drift::Report);
    let found = Found::User(found(&scene));
    add(&mut scene, found.clone(), LookKind::Sweep);
    let Decision::Look { after, wake: None } = scene.look() else {
        panic!("{:?}", scene.look());
    };
    assert!(after <= Duration::from_mins(1));
    assert_eq!(scene.said().1, Reason::PasswordSet, "one look says nothing");
    scene.later(61);
    add(&mut scene, found, LookKind::Lookup);
    scene.say();
    let stalled = class == Class::Stalled;
    assert_eq!(scene.said(), (False, reason, !stalled, stalled));
    assert_eq!(verified(&scene), Some((False, reason.as_str().to_owned())));
    assert!(scene.status().synced.is_some(), "the record stays");
    // Neither the record nor a restart ends what the look found.
    scene.looks = Looks::default();
    scene.restart();
    let wakes = matches!(scene.look(), Decision::Stay { wake } if wake.is_none() != (class == Class::Waiting));
    assert!(wakes, "{:?}", scene.look());
    scene.cluster.touch();
    let before = scene.status();
    let decision = if reason.may_be_a_stranger() {
        scene.look()
    } else {
        scene.read()
    };
    assert!(
        !matches!(decision, Decision::Set(_) | Decision::Report(_)),
        "metadata: {decision:?}"
    );
    assert_eq!(scene.status(), before);
}

#[rstest]
#[case::disabled(disabled, true)]
#[case::reset(|s: &Scene| user(s, ResetRequired), true)]
#[case::recreated(|s: &Scene| recreated(s, ForceChangePassword), true)]
#[case::stranger(|s: &Scene| recreated(s, Confirmed), false)]
#[case::signed_up(|s: &Scene| recreated(s, Unconfirmed), false)]
#[case::unconfirmed(|s: &Scene| user(s, Unconfirmed), false)]
#[case::federated(|s: &Scene| user(s, ExternalProvider), false)]
fn another_value_ends_a_deviation_unless_the_user_may_be_a_stranger(
    #[case] found: fn(&Scene) -> User,
    #[case] is_set: bool,
) {
    let mut scene = settled(Drift::Report);
    let found = Found::User(found(&scene));
    agree(&mut scene, &found);
    scene.say();
    let reason = scene.said().1;
    scene.looks = Looks::default();
    scene.later(3_600);
    scene.put(1);
    if is_set {
        if reason.may_be_a_stranger() {
            add(&mut scene, found, LookKind::Lookup);
        }
        scene.set(&applied());
        assert_eq!(scene.said(), (True, Reason::PasswordSet, false, false));
        assert_eq!(verified(&scene), None);
        return;
    }
    // The operator looks before it sets a user who may be a stranger, and doesn't set.
    assert!(matches!(
        scene.look(),
        Decision::Look {
            after: Duration::ZERO,
            ..
        }
    ));
    add(&mut scene, found, LookKind::Lookup);
    assert!(matches!(
        scene.look(),
        Decision::Stay { wake: None } | Decision::Look { .. }
    ));
    assert!(
        !matches!(scene.read(), Decision::Set(_)),
        "{:?}",
        scene.read()
    );
    assert_eq!(scene.said().1, reason);
    // A person's request does.
    if reason != Reason::FederatedUser {
        scene.cluster.request();
        scene.set(&applied());
        assert_eq!(scene.said().1, Reason::PasswordSet);
    }
}

#[test]
fn a_second_look_that_is_old_or_a_page_leads_to_another_lookup() {
    for (kind, late) in [(LookKind::Sweep, 0), (LookKind::Lookup, 121)] {
        let mut scene = settled(Drift::Correct);
        let found = Found::User(user(&scene, ResetRequired));
        add(&mut scene, found.clone(), LookKind::Sweep);
        scene.later(61);
        add(&mut scene, found, kind);
        scene.later(late);
        let again = Decision::Look {
            after: Duration::ZERO,
            wake: None,
        };
        assert_eq!(scene.look(), again);
    }
}

#[test]
fn looks_that_disagree_lead_to_nothing() {
    let mut scene = settled(Drift::Correct);
    let reset = user(&scene, ResetRequired);
    look(&mut scene, reset.clone());
    scene.later(61);
    let fits = user(&scene, Confirmed);
    look(&mut scene, fits);
    scene.say();
    assert_eq!(scene.said().1, Reason::PasswordSet);
    scene.later(61);
    look(&mut scene, reset);
    assert!(matches!(scene.look(), Decision::Look { .. }));
}

#[test]
fn a_disabled_user_is_ready_again_once_a_look_finds_the_user_enabled() {
    let mut scene = settled(Drift::Correct);
    let found = Found::User(disabled(&scene));
    agree(&mut scene, &found);
    scene.say();
    assert_eq!(scene.said().1, Reason::UserDisabled);
    scene.later(900);
    let enabled = user(&scene, Confirmed);
    look(&mut scene, enabled);
    scene.say();
    assert_eq!(scene.said(), (True, Reason::PasswordSet, false, false));
    assert_eq!(verified(&scene), Some((True, "UserSeen".to_owned())));
    assert_eq!(scene.look(), REST);
}

#[test]
fn a_waiting_deviation_stalls_after_five_minutes_and_writes_nothing_more() {
    let mut scene = settled(Drift::Report);
    let found = Found::User(disabled(&scene));
    agree(&mut scene, &found);
    scene.say();
    assert_eq!(scene.status().failures, None, "a look ends the wait");
    scene.later(301);
    scene.looks = Looks::default();
    scene.say();
    assert_eq!(scene.said(), (False, Reason::UserDisabled, false, true));
    scene.later(3_600);
    assert_eq!(scene.look(), REST);
}

#[test]
fn a_user_that_was_never_found_by_this_name_says_nothing_about_ready() {
    let mut scene = settled(Drift::Correct);
    agree(&mut scene, &Found::NotFound);
    scene.say();
    assert_eq!(scene.said(), (True, Reason::PasswordSet, false, false));
    assert_eq!(verified(&scene), Some((Unknown, "NotSeen".to_owned())));
    assert_eq!(scene.look(), REST);
}

#[test]
fn a_user_that_was_found_before_is_gone_and_recreated_if_a_new_one_comes() {
    let mut scene = settled(Drift::Correct);
    let found = user(&scene, Confirmed);
    look(&mut scene, found);
    scene.say();
    scene.later(900);
    agree(&mut scene, &Found::NotFound);
    scene.say();
    assert_eq!(scene.said(), (False, Reason::UserGone, true, false));
    scene.later(900);
    let stranger = Found::User(recreated(&scene, Confirmed));
    agree(&mut scene, &stranger);
    scene.say();
    assert_eq!(scene.said(), (False, Reason::UserRecreated, false, true));
    scene.later(900);
    agree(&mut scene, &stranger);
    assert!(
        !matches!(scene.look(), Decision::Read),
        "a stranger is never set"
    );
}

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

/// A resource with a temporary password, set ten minutes ago.
fn temporary(drift: Drift) -> Scene {
    let mut scene = Scene::new();
    scene.cluster.change(|spec| {
        spec.drift = Some(drift);
        spec.permanent = false;
    });
    look_at(&mut scene, ForceChangePassword);
    scene.set(&applied());
    scene.looks = Looks::default();
    scene.later(600);
    scene
}

#[rstest]
#[case::as_set(ForceChangePassword)]
#[case::chosen(Confirmed)]
fn a_temporary_password_that_waits_or_was_replaced_by_the_user_is_fine(#[case] state: UserState) {
    let mut scene = temporary(Drift::Correct);
    let found = Found::User(user(&scene, state));
    agree(&mut scene, &found);
    scene.say();
    assert_eq!(scene.said().1, Reason::PasswordSet);
    assert_eq!(verified(&scene).expect("a condition").0, True);
}

#[rstest]
#[case::reset(|s: &Scene| user(s, ResetRequired), Reason::PasswordReset)]
#[case::disabled(disabled, Reason::UserDisabled)]
#[case::stranger(|s: &Scene| recreated(s, Confirmed), Reason::UserRecreated)]
fn a_temporary_password_is_only_said(#[case] found: fn(&Scene) -> User, #[case] reason: Reason) {
    let mut scene = temporary(Drift::Correct);
    let found = Found::User(found(&scene));
    agree(&mut scene, &found);
    scene.say();
    assert_eq!(scene.said().1, reason);
    scene.later(900);
    agree(&mut scene, &found);
    assert!(!matches!(scene.look(), Decision::Read));
}

#[test]
fn a_user_that_an_administrator_made_anew_gets_the_temporary_password_again() {
    let mut scene = temporary(Drift::Correct);
    let found = Found::User(recreated(&scene, ForceChangePassword));
    agree(&mut scene, &found);
    scene.say();
    assert_eq!(scene.said().1, Reason::UserRecreated);
    assert_eq!(scene.look(), Decision::Read);
    assert!(scene.set(&applied()).applied);
    assert_eq!(scene.said().1, Reason::PasswordSet);
}

#[rstest]
#[case::before(None, 7 * 24, false)]
#[case::after(None, 7 * 24 + 2, true)]
#[case::long(Some(30), 29 * 24, false)]
#[case::long_over(Some(30), 30 * 24 + 2, true)]
#[case::short(Some(1), 26, true)]
fn an_expired_temporary_password_is_said(
    #[case] validity: Option<u32>,
    #[case] hours: i64,
    #[case] is_expired: bool,
) {
    let mut scene = temporary(Drift::Correct);
    scene.later(hours * 3_600 - 600);
    let found = Found::User(user(&scene, ForceChangePassword));
    agree(&mut scene, &found);
    scene.looks.validity_days = validity;
    let report = scene.say();
    if is_expired {
        assert_eq!(
            scene.said(),
            (False, Reason::TemporaryPasswordExpired, false, true)
        );
        let guesses = report.verdict.message.contains("Cognito's default");
        assert_eq!(guesses, validity.is_none(), "{}", report.verdict.message);
    } else {
        assert_eq!(scene.said().1, Reason::PasswordSet);
    }
    assert!(!matches!(scene.look(), Decision::Read), "never set again");
}

fn new(drift: Drift) -> Scene {
    let mut scene = Scene::new();
    scene.cluster.change(|spec| spec.drift = Some(drift));
    scene
}

#[test]
fn a_first_set_waits_for_one_lookup() {
    let mut scene = new(Drift::Report);
    let look_now = Decision::Look {
        after: Duration::ZERO,
        wake: None,
    };
    assert_eq!(scene.look(), look_now);
    look_at(&mut scene, ForceChangePassword);
    assert_eq!(scene.look(), Decision::Read);
    assert!(scene.set(&applied()).applied);
}

#[test]
fn without_drift_a_first_set_waits_for_nothing() {
    let mut scene = new(Drift::Ignore);
    assert_eq!(scene.look(), Decision::Read);
    scene.set(&applied());
    assert_eq!(scene.status().synced.expect("set").answered_at, None);
}

#[test]
fn a_lookup_that_finds_nobody_or_fails_does_not_hold_the_set_back() {
    let mut scene = new(Drift::Report);
    add(&mut scene, Found::NotFound, LookKind::Lookup);
    assert_eq!(scene.look(), Decision::Read);
    let mut scene = new(Drift::Report);
    scene.looks.fail(LookFailure {
        reason: Reason::AccessDenied,
        words: "no".to_owned(),
    });
    assert_eq!(scene.look(), Decision::Read);
    scene.set(&applied());
    scene.later(61);
    scene.say();
    assert_eq!(scene.said(), (True, Reason::PasswordSet, false, false));
    assert_eq!(verified(&scene), Some((Unknown, "AccessDenied".to_owned())));
}

#[rstest]
#[case::unconfirmed(Unconfirmed, Reason::UserUnconfirmed, true)]
#[case::federated(ExternalProvider, Reason::FederatedUser, false)]
fn the_guard_refuses_a_first_set(
    #[case] state: UserState,
    #[case] reason: Reason,
    #[case] request_overrides: bool,
) {
    let mut scene = new(Drift::Report);
    look_at(&mut scene, state);
    scene.say();
    assert_eq!(scene.said(), (False, reason, false, true));
    // Sticky: no value, restart or later look sets this user.
    scene.put(1);
    assert_eq!(scene.look(), REST);
    scene.looks = Looks::default();
    scene.restart();
    assert_eq!(scene.look(), REST);
    scene.later(3_600);
    look_at(&mut scene, Confirmed);
    assert_eq!(scene.look(), REST);
    scene.cluster.request();
    scene.looks = Looks::default();
    assert!(matches!(scene.look(), Decision::Look { .. }));
    look_at(&mut scene, state);
    if request_overrides {
        assert_eq!(scene.look(), Decision::Read);
        assert!(scene.set(&applied()).applied);
    } else {
        scene.say();
        assert_eq!(scene.said().1, reason);
        scene
            .cluster
            .change(|spec| spec.federated_user = FederatedUser::Allow);
        assert_eq!(scene.look(), Decision::Read);
        assert!(scene.set(&applied()).applied);
    }
}

#[test]
fn the_retry_after_user_not_found_sets_no_stranger() {
    let mut scene = new(Drift::Report);
    add(&mut scene, Found::NotFound, LookKind::Lookup);
    scene.set(&refused("UserNotFoundException"));
    scene.until_due();
    assert!(matches!(scene.look(), Decision::Look { .. }), "a new look");
    let stranger = User {
        created: Some(scene.now),
        ..user(&scene, Confirmed)
    };
    look(&mut scene, stranger);
    scene.say();
    assert_eq!(scene.said(), (False, Reason::UserRecreated, false, true));
    scene.cluster.request();
    assert_eq!(scene.look(), Decision::Read);
    assert!(scene.set(&applied()).applied);
}

#[test]
fn the_retry_after_user_not_found_sets_whom_an_administrator_created() {
    let mut scene = new(Drift::Report);
    add(&mut scene, Found::NotFound, LookKind::Lookup);
    scene.set(&refused("UserNotFoundException"));
    scene.until_due();
    let created = User {
        created: Some(scene.now),
        ..user(&scene, ForceChangePassword)
    };
    look(&mut scene, created);
    assert_eq!(scene.look(), Decision::Read);
    assert!(scene.set(&applied()).applied);
}

#[test]
fn ignore_drops_what_looks_left_but_not_what_they_found() {
    let mut scene = settled(Drift::Report);
    let fits = user(&scene, Confirmed);
    look(&mut scene, fits);
    scene.say();
    scene
        .cluster
        .change(|spec| spec.drift = Some(Drift::Ignore));
    scene.looks = Looks::default();
    scene.read();
    scene.report();
    assert_eq!(verified(&scene), None);
    assert_eq!(scene.status().found_as, None);
    assert_eq!(scene.said(), (True, Reason::PasswordSet, false, false));
    assert_eq!(scene.look(), REST);

    let mut scene = settled(Drift::Report);
    let found = Found::User(user(&scene, ResetRequired));
    agree(&mut scene, &found);
    scene.say();
    scene
        .cluster
        .change(|spec| spec.drift = Some(Drift::Ignore));
    scene.report();
    assert_eq!(scene.said(), (False, Reason::PasswordReset, false, true));
}

#[test]
fn looks_that_fail_do_not_come_as_fast_as_they_fail() {
    let mut scene = settled(Drift::Report);
    let found = Found::User(user(&scene, ResetRequired));
    add(&mut scene, found, LookKind::Sweep);
    scene.later(61);
    scene.looks.fail(LookFailure {
        reason: Reason::AccessDenied,
        words: "no".to_owned(),
    });
    scene.say();
    assert_eq!(verified(&scene), Some((Unknown, "AccessDenied".to_owned())));
    let Decision::Look { after, .. } = scene.look() else {
        panic!("{:?}", scene.look());
    };
    assert_eq!(after, Duration::from_mins(1));
}

#[test]
fn a_look_from_before_the_set_hides_no_later_ones() {
    let mut scene = new(Drift::Report);
    let found = Found::User(disabled(&scene));
    add(&mut scene, found.clone(), LookKind::Lookup);
    scene.set(&applied());
    scene.later(61);
    agree(&mut scene, &found);
    scene.say();
    assert_eq!(scene.said().1, Reason::UserDisabled);
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

/// Value 1 was refused by IAM, and then a stranger registered the name.
#[rstest]
#[case::retry(false)]
#[case::another_value(true)]
fn a_set_after_a_stranger_came_is_held_back(#[case] another: bool) {
    let mut scene = settled(Drift::Report);
    if another {
        scene.later(600);
    } else {
        scene.put(1);
        scene.set(&refused("AccessDeniedException"));
        scene.until_due();
        scene.later(1);
    }
    let stranger = Found::User(recreated(&scene, Confirmed));
    agree(&mut scene, &stranger);
    if another {
        scene.put(1);
    }
    // The looks are known, and the status does not say so yet.
    assert!(
        !matches!(scene.read(), Decision::Set(_)),
        "{:?}",
        scene.read()
    );
    scene.later(1_000);
    assert!(
        !matches!(scene.read(), Decision::Set(_)),
        "{:?}",
        scene.read()
    );
    scene.cluster.request();
    add(&mut scene, stranger, LookKind::Lookup);
    scene.set(&applied());
    assert_eq!(scene.said().1, Reason::PasswordSet);
}

#[test]
fn a_restart_reads_no_secret_whose_metadata_moved_after_a_deviation() {
    let mut scene = settled(Drift::Report);
    let found = Found::User(user(&scene, ResetRequired));
    agree(&mut scene, &found);
    scene.say();
    scene.cluster.touch();
    assert_eq!(scene.look(), Decision::Read);
    assert_eq!(scene.read(), REST);
    assert!(scene.record_verified());
    assert!(!scene.record_verified());
    scene.restart();
    scene.looks = Looks::default();
    assert_eq!(scene.look(), REST);
}

#[test]
fn a_disabled_user_who_signed_up_is_not_set_by_another_value() {
    let mut scene = settled(Drift::Report);
    let user = User {
        enabled: false,
        ..user(&scene, Unconfirmed)
    };
    let found = Found::User(user);
    agree(&mut scene, &found);
    scene.put(1);
    assert!(
        !matches!(scene.read(), Decision::Set(_)),
        "{:?}",
        scene.read()
    );
    scene.say();
    assert_eq!(scene.said().1, Reason::UserUnconfirmed);
}

#[test]
fn a_forged_time_of_a_set_is_no_panic() {
    // The year 0, and the last time that can be parsed.
    for second in [-62_167_219_200, 253_402_207_200] {
        let at = jiff::Timestamp::from_second(second).expect("a time");
        let mut scene = settled(Drift::Report);
        let found = Found::User(recreated(&scene, Confirmed));
        agree(&mut scene, &found);
        scene.say();
        scene.with_status(|status| {
            let synced = status.synced.as_mut().expect("set");
            synced.answered_at = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime(
                at,
            ));
        });
        scene.put(1);
        scene.read();
    }
}
