//! What follows from looks at the user: what the status says, and when. `table_corrections` has the sets by which
//! the operator corrects a drift, and `table_guard` the first sets.

use super::scene::{Scene, applied};
use cognito_password_operator::{
    api::{Class, ConditionStatus::*, ConditionType, Drift, FederatedUser, Reason},
    core::{
        look::{
            found::{Found, Look, LookFailure, LookKind, Looks, Validity},
            user::{User, UserState, UserState::*},
        },
        protocol::decision::Decision,
    },
};
use jiff::SignedDuration;
use rstest::rstest;
use std::time::Duration;

pub const REST: Decision = Decision::Stay { wake: None };

/// A resource with this drift and value 0 set, ten minutes ago.
pub fn settled(drift: Drift) -> Scene {
    let mut scene = Scene::new();
    scene.cluster.change(|spec| spec.drift = Some(drift));
    look_at(&mut scene, Confirmed);
    scene.set(&applied());
    scene.looks = Looks::default();
    scene.later(600);
    scene
}

/// A user that was created long before the scene.
pub fn user(scene: &Scene, state: UserState) -> User {
    User {
        username: "ci-bot".to_owned(),
        sub: None,
        state,
        enabled: true,
        created: Some(scene.now - SignedDuration::from_hours(24 * 60)),
        modified: None,
    }
}

pub fn disabled(scene: &Scene) -> User {
    User {
        enabled: false,
        ..user(scene, Confirmed)
    }
}

/// A user that was created five minutes ago.
pub fn recreated(scene: &Scene, state: UserState) -> User {
    User {
        created: Some(scene.now - SignedDuration::from_mins(5)),
        ..user(scene, state)
    }
}

/// A lookup now that finds the user in this state.
pub fn look_at(scene: &mut Scene, state: UserState) {
    let found = user(scene, state);
    look(scene, found);
}

/// A lookup now.
pub fn look(scene: &mut Scene, user: User) {
    add(scene, Found::User(user), LookKind::Lookup);
}

pub fn add(scene: &mut Scene, found: Found, kind: LookKind) {
    let begun = scene.now;
    scene.looks.add(Look { found, begun, kind });
}

/// Two lookups that found the same, a minute apart.
pub fn agree(scene: &mut Scene, found: &Found) {
    add(scene, found.clone(), LookKind::Sweep);
    scene.later(61);
    add(scene, found.clone(), LookKind::Lookup);
}

pub fn verified(
    scene: &Scene,
) -> Option<(cognito_password_operator::api::ConditionStatus, String)> {
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
    scene.with_status(|status| status.found_as = None);
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
#[case::before(Validity::Unreadable, 7 * 24, false)]
#[case::after(Validity::Unreadable, 7 * 24 + 2, true)]
#[case::long(Validity::Days(30), 29 * 24, false)]
#[case::long_over(Validity::Days(30), 30 * 24 + 2, true)]
#[case::short(Validity::Days(1), 26, true)]
fn an_expired_temporary_password_is_said(
    #[case] validity: Validity,
    #[case] hours: i64,
    #[case] is_expired: bool,
) {
    let mut scene = temporary(Drift::Correct);
    scene.later(hours * 3_600 - 600);
    let found = Found::User(user(&scene, ForceChangePassword));
    agree(&mut scene, &found);
    scene.looks.validity = validity;
    let report = scene.say();
    if is_expired {
        assert_eq!(
            scene.said(),
            (False, Reason::TemporaryPasswordExpired, false, true)
        );
        let guesses = report.verdict.message.contains("Cognito's default");
        assert_eq!(
            guesses,
            validity == Validity::Unreadable,
            "{}",
            report.verdict.message
        );
    } else {
        assert_eq!(scene.said().1, Reason::PasswordSet);
    }
    assert!(!matches!(scene.look(), Decision::Read), "never set again");
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
        at: scene.now,
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
    let mut scene = super::table_guard::new(Drift::Report);
    let found = Found::User(disabled(&scene));
    add(&mut scene, found.clone(), LookKind::Lookup);
    scene.set(&applied());
    scene.later(61);
    agree(&mut scene, &found);
    scene.say();
    assert_eq!(scene.said().1, Reason::UserDisabled);
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

#[test]
fn what_a_look_found_outlives_every_other_reason() {
    let mut scene = settled(Drift::Report);
    let found = Found::User(user(&scene, ResetRequired));
    agree(&mut scene, &found);
    scene.say();
    scene.looks = Looks::default();
    scene.restart();
    // The grant goes and comes back.
    scene.cluster.granted = false;
    scene.say();
    scene.cluster.granted = true;
    scene.report();
    assert_eq!(scene.said(), (False, Reason::PasswordReset, false, true));
    // The Secret goes, and comes back with the same value.
    let secret = scene.cluster.secret.take();
    scene.report();
    assert_eq!(scene.said().1, Reason::SecretNotFound);
    scene.cluster.secret = secret;
    scene.report();
    assert_eq!(scene.said(), (False, Reason::PasswordReset, false, true));
    assert_eq!(scene.look(), REST);
}

#[test]
fn both_looks_at_an_expired_password_begin_after_the_expiry() {
    let mut scene = temporary(Drift::Report);
    let found = Found::User(user(&scene, ForceChangePassword));
    scene.looks.validity = Validity::Days(7);
    scene.later(7 * 24 * 3_600);
    add(&mut scene, found.clone(), LookKind::Lookup);
    scene.later(3_600);
    add(&mut scene, found.clone(), LookKind::Lookup);
    assert!(matches!(
        scene.look(),
        Decision::Look { .. } | Decision::Report(_)
    ));
    assert_ne!(scene.said().1, Reason::TemporaryPasswordExpired);
    scene.later(61);
    add(&mut scene, found, LookKind::Lookup);
    scene.say();
    assert_eq!(scene.said().1, Reason::TemporaryPasswordExpired);
}

#[test]
fn without_looks_a_wait_for_a_look_ends() {
    let mut scene = settled(Drift::Report);
    let found = Found::User(disabled(&scene));
    agree(&mut scene, &found);
    scene.say();
    scene
        .cluster
        .change(|spec| spec.drift = Some(Drift::Ignore));
    scene.looks = Looks::default();
    scene.report();
    assert_eq!(scene.said(), (True, Reason::PasswordSet, false, false));
}

#[test]
fn a_federated_user_is_ready_once_the_spec_allows_it() {
    let mut scene = settled(Drift::Report);
    let found = Found::User(user(&scene, ExternalProvider));
    agree(&mut scene, &found);
    scene.say();
    assert_eq!(scene.said().1, Reason::FederatedUser);
    let allow = FederatedUser::Allow;
    scene.cluster.change(|spec| spec.federated_user = allow);
    scene.report();
    assert_eq!(scene.said(), (True, Reason::PasswordSet, false, false));
}

#[test]
fn a_deviation_that_the_status_says_costs_no_more_lookups() {
    let mut scene = settled(Drift::Report);
    let found = Found::User(disabled(&scene));
    agree(&mut scene, &found);
    scene.say();
    scene.later(900);
    add(&mut scene, found, LookKind::Sweep);
    assert!(matches!(
        scene.look(),
        Decision::Stay { .. } | Decision::Report(_)
    ));
}
