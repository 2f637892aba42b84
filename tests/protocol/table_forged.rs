//! What an attacker can achieve by writing statuses without a key: little, as docs/forged-status.md explains.

use super::{
    cluster::{keyring, password, target},
    scene::{Scene, applied},
};
use cognito_password_operator::{
    api::{
        Attempt, AttemptOutcome, Condition, ConditionStatus, ConditionType, Corrections, Drift,
        Failures, REASONS, Reason, SignOutOwed, Status, Synced, Unusable,
    },
    core::{
        look::{
            found::{Found, Look, LookKind},
            user::{User, UserState},
        },
        protocol::decision::Decision,
    },
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use proptest::{collection::vec, option, prelude::*, sample::select};
use std::time::Duration;

const REST: Decision = Decision::Stay { wake: None };

/// Fingerprints that an attacker can make up: with an unknown key id, or with the id of an existing key.
fn fingerprints() -> Vec<String> {
    let id = signed(0).split('.').next().unwrap_or_default().to_owned();
    ["deadbeef", &id]
        .map(|id| format!("{id}.{}", "0".repeat(64)))
        .into()
}

/// The fingerprint of a value by the operator's key.
fn signed(value: u8) -> String {
    let keys = keyring(&Scene::new().cluster.keys);
    let signed = keys.ring.sign(&target(), true, &password(value));
    signed.as_str().to_owned()
}

fn now() -> Timestamp {
    Scene::new().now
}

fn times() -> impl Strategy<Value = MicroTime> {
    (-100_000_i64..100_000).prop_map(|s| MicroTime(now() + SignedDuration::from_secs(s)))
}

fn conditions() -> impl Strategy<Value = Vec<Condition>> {
    let status = select(vec![
        ConditionStatus::True,
        ConditionStatus::False,
        ConditionStatus::Unknown,
    ]);
    let words: Vec<_> = REASONS.iter().map(|entry| entry.word).collect();
    let types = select(vec!["Ready", "Stalled", "Reconciling", "Verified"]);
    let one = (types, status, 0_i64..3, select(words));
    let made = |(type_, status, generation, word): (&str, _, _, &str)| Condition {
        type_: type_.to_owned(),
        status,
        observed_generation: Some(generation),
        last_transition_time: Time(now()),
        reason: word.to_owned(),
        message: "All is well.".to_owned(),
    };
    vec(one.prop_map(made), 0..4)
}

/// Any status that the schema allows, with one of these versions of the Secret.
fn statuses(versions: &[(String, String)]) -> impl Strategy<Value = Status> + use<> {
    let outcome = select(vec![
        AttemptOutcome::Pending,
        AttemptOutcome::Unknown,
        AttemptOutcome::UserNotFound,
        AttemptOutcome::InHistory,
        AttemptOutcome::Refused,
    ]);
    let said = || (select(fingerprints()), select(versions.to_vec()), times());
    let synced =
        said().prop_map(
            |(fingerprint, (secret_uid, secret_resource_version), at)| Synced {
                fingerprint,
                secret_uid,
                secret_resource_version,
                at,
                answered_at: None,
            },
        );
    let attempt = (said(), 0_i64..3, outcome).prop_map(
        |((fingerprint, (uid, version), started_at), generation, outcome)| Attempt {
            id: "forged".to_owned(),
            fingerprint,
            generation,
            secret_uid: uid,
            secret_resource_version: version,
            started_at,
            outcome,
            request: None,
        },
    );
    let failures = (1_u32.., times()).prop_map(|(count, retry_at)| Failures {
        count,
        retry_at,
        request: None,
    });
    let parts = (
        option::of(0_i64..3),
        option::of(synced),
        option::of(attempt),
        option::of(times()),
        vec(select(fingerprints()), 0..3),
        (option::of(failures), option::of(select(versions.to_vec()))),
        conditions(),
    );
    parts.prop_map(
        |(
            generation,
            synced,
            attempt,
            quarantined_until,
            retired,
            (failures, unusable),
            conditions,
        )| Status {
            observed_generation: generation,
            last_handled_reconcile_at: None,
            synced,
            attempt,
            quarantined_until,
            retired,
            unusable: unusable.map(|(secret_uid, secret_resource_version)| Unusable {
                secret_uid,
                secret_resource_version,
            }),
            failures,
            conditions,
            ..Status::default()
        },
    )
}

fn version(scene: &Scene) -> (String, String) {
    let version = &scene.cluster.secret.as_ref().expect("there is one").version;
    (version.uid.clone(), version.resource_version.clone())
}

fn another_version() -> (String, String) {
    ("another".to_owned(), "1".to_owned())
}

proptest! {
    #[test]
    fn no_forged_status_admits_a_resource_without_a_grant(
        status in statuses(&[version(&Scene::new()), another_version()]),
        was_read in any::<bool>(),
    ) {
        let mut scene = Scene::new();
        scene.cluster.granted = false;
        scene.with_status(|it| *it = status);
        let decision = if was_read { scene.read() } else { scene.look() };
        let Decision::Report(report) = decision else {
            panic!("{decision:?}");
        };
        prop_assert_eq!(report.verdict.reason, Reason::NotGranted);
    }

    /// The process has not tried the value, and the status does not name the current version of the Secret.
    #[test]
    fn no_forged_status_delays_a_set_by_more_than_an_hour(
        status in statuses(&[another_version()])
    ) {
        let mut scene = Scene::new();
        scene.with_status(|it| *it = status);
        let latest = scene.now + SignedDuration::from_secs(3_660);
        let plan = loop {
            let decision = match scene.look() {
                Decision::Read => scene.read(),
                seen => seen,
            };
            let wake = match decision {
                Decision::Set(plan) => break plan,
                Decision::Stay { wake } => wake,
                Decision::Report(report) => {
                    let said = report.status != scene.status();
                    scene.write(&report.status);
                    report.wake.or(said.then_some(Duration::ZERO))
                }
                other => panic!("{other:?}"),
            };
            let wake = wake.expect("it goes on by itself");
            scene.now += SignedDuration::try_from(wake).expect("a short one");
            prop_assert!(scene.now <= latest, "{:?}", wake);
        };
        prop_assert_eq!(&plan.attempt.fingerprint, &signed(0));
    }
}

/// Writes what an attacker can write who knows the current version of the Secret.
fn forge_synced(scene: &mut Scene, fingerprint: &str) {
    let at = MicroTime(scene.now);
    let (secret_uid, secret_resource_version) = version(scene);
    let ready = Condition {
        type_: "Ready".to_owned(),
        status: ConditionStatus::True,
        observed_generation: Some(1),
        last_transition_time: Time(scene.now),
        reason: "PasswordSet".to_owned(),
        message: String::new(),
    };
    scene.with_status(|status| {
        *status = Status {
            observed_generation: Some(1),
            synced: Some(Synced {
                fingerprint: fingerprint.to_owned(),
                secret_uid,
                secret_resource_version,
                at,
                answered_at: None,
            }),
            conditions: vec![ready],
            ..Status::default()
        };
    });
}

#[test]
fn a_forged_status_with_the_secrets_version_hides_a_value_until_the_secret_changes() {
    for fingerprint in fingerprints() {
        let mut scene = Scene::new();
        forge_synced(&mut scene, &fingerprint);
        match scene.look() {
            // The id names an existing key, so the operator checks no further.
            REST => {}
            // The key does not exist, so the value is signed again, with a warning.
            Decision::Read => {
                let report = scene.report();
                assert!(report.signed_again, "{report:?}");
                assert_eq!(scene.look(), REST);
            }
            other => panic!("{other:?}"),
        }
        let mut asked = Scene::new();
        forge_synced(&mut asked, &fingerprint);
        asked.cluster.request();
        assert_eq!(asked.look(), Decision::Read);
        asked.plan();
        scene.put(1);
        assert_eq!(scene.look(), Decision::Read);
        assert_eq!(scene.plan().attempt.fingerprint, signed(1));
    }
}

/// A resource with `drift: Correct` and `revokeSessions`, with value 0 set an hour ago.
fn watched() -> Scene {
    let mut scene = Scene::new();
    scene.set(&applied());
    scene.cluster.change(|spec| {
        spec.drift = Some(Drift::Correct);
        spec.revoke_sessions = true;
    });
    scene.report();
    scene.later(3_600);
    scene
}

/// Two lookups that find the user in this state.
fn agree(scene: &mut Scene, state: UserState) {
    for _ in 0..2 {
        scene.later(61);
        let user = User {
            username: "ci-bot".to_owned(),
            sub: None,
            state,
            enabled: true,
            created: None,
            modified: None,
        };
        scene.looks.add(Look {
            found: Found::User(user),
            begun: scene.now,
            kind: LookKind::Lookup,
        });
    }
}

proptest! {
    /// Whatever is forged beside a true `synced`: no status is a look.
    #[test]
    fn no_forged_text_leads_to_a_correction(
        status in statuses(&[another_version()]),
        corrections in option::of((1_u32..9, times())),
        found_as in option::of("[a-z]{1,9}"),
    ) {
        let mut scene = watched();
        let synced = scene.status().synced;
        scene.with_status(|it| {
            *it = Status {
                synced,
                attempt: None,
                corrections: corrections.map(|(count, at)| Corrections { count, at }),
                found_as,
                ..status
            };
        });
        for _ in 0..4 {
            let decision = match scene.look() {
                Decision::Read => scene.read(),
                seen => seen,
            };
            match decision {
                Decision::Report(report) => scene.write(&report.status),
                Decision::Set(plan) => panic!("{plan:?}"),
                _ => {}
            }
            scene.later(1_000);
        }
    }

    #[test]
    fn no_forged_wait_delays_a_sign_out_by_more_than_an_hour(
        count in 1_u32..=i32::MAX.unsigned_abs(),
        retry_at in times(),
    ) {
        let mut scene = watched();
        let since = MicroTime(scene.now);
        scene.with_status(|it| {
            let failures = Some(Failures { count, retry_at, request: None });
            it.sign_out_owed = Some(SignOutOwed { since, failures });
        });
        let wake = match scene.look() {
            Decision::SignOut(_) => Duration::ZERO,
            Decision::Stay { wake } => wake.expect("it goes on by itself"),
            other => panic!("{other:?}"),
        };
        prop_assert!(wake <= Duration::from_hours(1), "{wake:?}");
        scene.now += SignedDuration::try_from(wake).expect("a short wait");
        prop_assert!(matches!(scene.look(), Decision::SignOut(_)), "{:?}", scene.look());
    }
}

#[test]
fn a_forged_sign_out_costs_one_sign_out_or_nothing() {
    let mut scene = watched();
    let since = MicroTime(scene.now);
    let owed = SignOutOwed {
        since,
        failures: None,
    };
    scene.with_status(|it| it.sign_out_owed = Some(owed.clone()));
    let duty = scene.duty();
    assert!(scene.sign_out(&duty, &applied()).expect("the same").done);
    assert_eq!(scene.look(), REST);

    let mut scene = Scene::settled();
    scene.with_status(|it| it.sign_out_owed = Some(owed));
    assert_eq!(scene.look(), REST);
}

#[test]
fn forged_corrections_brake_for_seven_days_and_none_are_one_more() {
    let mut scene = watched();
    let at = MicroTime(scene.now);
    scene.with_status(|it| it.corrections = Some(Corrections { count: 9, at }));
    agree(&mut scene, UserState::ResetRequired);
    scene.say();
    assert_eq!(scene.said().1, Reason::Contested);
    scene.later(7 * 24 * 3_600);
    agree(&mut scene, UserState::ResetRequired);
    scene.say();
    assert_eq!(scene.said().1, Reason::PasswordReset);
    assert_eq!(scene.look(), Decision::Read);
    assert_eq!(scene.plan().attempt.fingerprint, signed(0));
    scene.with_status(|it| it.corrections = None);
    assert_eq!(scene.look(), Decision::Read);
}

#[test]
fn a_forged_verified_is_a_text_until_the_next_look() {
    let mut scene = watched();
    let verified = Condition {
        type_: "Verified".to_owned(),
        status: ConditionStatus::False,
        observed_generation: Some(1),
        last_transition_time: Time(scene.now),
        reason: "UserGone".to_owned(),
        message: String::new(),
    };
    scene.with_status(|it| it.conditions.push(verified));
    assert_eq!(scene.look(), REST);
    agree(&mut scene, UserState::Confirmed);
    scene.say();
    let status = scene.status();
    let said = status.condition(ConditionType::Verified).expect("a look");
    assert_eq!(said.status, ConditionStatus::True);
    assert_eq!(scene.said().0, ConditionStatus::True);
}
