//! A status that another program wrote, with every value that the CRD's schema allows. From any such status,
//! the operator writes only statuses that the API server accepts, makes progress, and ends with the value
//! set.

use super::scene::{Scene, applied, error, lost, not_sent, refused};
use cognito_password_operator::{
    api::{
        Attempt, AttemptOutcome, CONDITIONS_MAX, Condition, ConditionStatus, ConditionType,
        Corrections, Drift, Failures, REASONS, SignOutOwed, Status, Synced, Unusable, crds,
    },
    core::{
        look::{
            found::{Found, Look, LookKind},
            user::{User, UserState},
        },
        protocol::{
            conclude::{Conclusion, conclude},
            decision::Decision,
            outcome::classify,
            reply::Reply,
        },
    },
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::Value;
use std::sync::LazyLock;

/// The API server's schema of a status.
static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let crd = serde_json::to_value(&crds()[0]).expect("JSON");
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"].clone()
});

/// The first place where a value breaks its schema, as far as sizes and numbers go.
fn misfit(value: &Value, schema: &Value, path: &str) -> Option<String> {
    let more_than = |limit: &str, size: usize| {
        let limit = schema[limit].as_u64().unwrap_or(u64::MAX);
        u64::try_from(size).is_ok_and(|size| size > limit)
    };
    let int32 = schema["format"] == "int32";
    let fits = match value {
        Value::String(text) => !more_than("maxLength", text.chars().count()),
        Value::Array(items) => !more_than("maxItems", items.len()),
        Value::Number(number) => number.as_i64().is_some_and(|number| {
            let least = schema["minimum"].as_f64().unwrap_or(f64::NEG_INFINITY);
            #[allow(clippy::cast_precision_loss, reason = "the limits are small")]
            let enough = number as f64 >= least;
            enough && (!int32 || i32::try_from(number).is_ok())
        }),
        Value::Null | Value::Bool(_) | Value::Object(_) => true,
    };
    if !fits {
        return Some(format!("{path}: {value}"));
    }
    match value {
        Value::Array(items) => items
            .iter()
            .find_map(|item| misfit(item, &schema["items"], path)),
        Value::Object(fields) => fields.iter().find_map(|(name, value)| {
            misfit(
                value,
                &schema["properties"][name],
                &format!("{path}.{name}"),
            )
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

fn check(status: &Status) {
    let value = serde_json::to_value(status).expect("JSON");
    let misfit = misfit(&value, &SCHEMA, "status");
    assert!(misfit.is_none(), "the API server refuses {misfit:?}");
}

/// The scene's time, times close to it, and times far from it.
fn at() -> impl Strategy<Value = Timestamp> {
    let now = 1_800_000_000;
    let seconds = select(vec![
        -62_167_219_200, // the year 0
        0,
        now - 3_600,
        now - 29,
        now,
        now + 29,
        now + 31,
        now + 400_000_000,
        253_402_207_200, // the last time that can be parsed
    ]);
    seconds.prop_map(|second| Timestamp::from_second(second).expect("a time"))
}

/// A text for a field of at most this many characters.
// Boxed: a status has many such fields, and the strategies of all fields do not fit onto a test's stack.
fn text(most: usize) -> BoxedStrategy<String> {
    let hex = "[0-9a-f]{8}\\.[0-9a-f]{16,64}";
    prop_oneof![
        hex.prop_map(|text| text),
        "[a-z.]{0,20}".prop_map(|text| text),
        any::<String>(),
        Just("é".repeat(most)),
        Just(format!("{}.x", "k".repeat(most - 9))),
    ]
    .prop_map(move |text: String| text.chars().take(most).collect())
    .boxed()
}

fn synced() -> impl Strategy<Value = Synced> {
    (text(128), text(128), text(128), at(), option::of(at())).prop_map(
        |(fingerprint, secret_uid, secret_resource_version, at, answered_at)| Synced {
            fingerprint,
            secret_uid,
            secret_resource_version,
            at: MicroTime(at),
            answered_at: answered_at.map(MicroTime),
        },
    )
}

fn attempt() -> impl Strategy<Value = Attempt> {
    let outcome = select(vec![
        AttemptOutcome::Pending,
        AttemptOutcome::Unknown,
        AttemptOutcome::UserNotFound,
        AttemptOutcome::InHistory,
        AttemptOutcome::Refused,
    ]);
    let request = option::of(text(128));
    (text(64), synced(), any::<i64>(), outcome, request).prop_map(
        |(id, set, generation, outcome, request)| Attempt {
            id,
            fingerprint: set.fingerprint,
            generation,
            secret_uid: set.secret_uid,
            secret_resource_version: set.secret_resource_version,
            started_at: set.at,
            outcome,
            request,
        },
    )
}

fn condition(type_: String) -> impl Strategy<Value = Condition> {
    let status = select(vec![
        ConditionStatus::True,
        ConditionStatus::False,
        ConditionStatus::Unknown,
    ]);
    let reasons = REASONS.iter().map(|entry| entry.reason.as_str().to_owned());
    let reason = select(reasons.chain(["Whatever".to_owned()]).collect::<Vec<_>>());
    (status, option::of(0_i64..5), at(), reason, text(300)).prop_map(
        move |(status, observed_generation, at, reason, message)| Condition {
            type_: type_.clone(),
            status,
            observed_generation,
            last_transition_time: Time(at),
            reason,
            message,
        },
    )
}

fn conditions() -> impl Strategy<Value = Vec<Condition>> {
    let ours = ConditionType::ALL.map(|it| option::of(condition(it.as_str().to_owned())));
    let others = (0..16)
        .map(|number| condition(format!("Other{number}")))
        .collect::<Vec<_>>();
    (ours, option::of(others)).prop_map(|(ours, others)| {
        let others = others.into_iter().flatten();
        let all = ours.into_iter().flatten().chain(others);
        all.take(CONDITIONS_MAX).collect()
    })
}

fn status() -> impl Strategy<Value = Status> {
    let count = prop_oneof![1_u32..20, Just(i32::MAX.unsigned_abs())];
    let failures = (count, at(), option::of(text(128)));
    let failures = failures.prop_map(|(count, at, request)| Failures {
        count,
        retry_at: MicroTime(at),
        request,
    });
    let failures = failures.boxed();
    let times = (option::of(at()), option::of(failures.clone()));
    let count = prop_oneof![1_u32..6, Just(i32::MAX.unsigned_abs())];
    let of_looks = (
        option::of((at(), option::of(failures))),
        option::of((count, at())),
        option::of(text(128)),
    )
        .boxed();
    let records = (
        option::of(synced()),
        option::of(attempt()),
        vec(text(64), 0..=24),
        option::of(synced()),
    )
        .boxed();
    (
        option::of(any::<i64>()),
        option::of(text(128)),
        records,
        (times, of_looks),
        conditions(),
    )
        .prop_map(
            |(
                observed_generation,
                handled,
                (synced, attempt, retired, unusable),
                (times, (owed, corrections, found_as)),
                conditions,
            )| {
                Status {
                    observed_generation,
                    last_handled_reconcile_at: handled,
                    synced,
                    attempt,
                    quarantined_until: times.0.map(MicroTime),
                    retired,
                    unusable: unusable.map(|it| Unusable {
                        secret_uid: it.secret_uid,
                        secret_resource_version: it.secret_resource_version,
                    }),
                    failures: times.1,
                    sign_out_owed: owed.map(|(since, failures)| SignOutOwed {
                        since: MicroTime(since),
                        failures,
                    }),
                    corrections: corrections.map(|(count, at)| Corrections {
                        count,
                        at: MicroTime(at),
                    }),
                    found_as,
                    conditions,
                }
            },
        )
}

fn replies() -> impl Strategy<Value = Reply> {
    select(vec![
        applied(),
        lost(),
        not_sent(),
        refused("InvalidPasswordException"),
        refused("PasswordHistoryPolicyViolationException"),
        refused("UserNotFoundException"),
        refused("TooManyRequestsException"),
        error(500, None),
    ])
}

/// A lookup that finds the user in this state.
fn look(scene: &mut Scene, state: UserState) {
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

/// Decides, and carries out the decision. Returns whether there was a set.
fn step(scene: &mut Scene, reply: &Reply, beside: &Status) -> bool {
    let plan = match scene.read() {
        Decision::Leave | Decision::Stay { .. } | Decision::Read => return false,
        Decision::Look { .. } => {
            look(scene, UserState::Confirmed);
            return false;
        }
        Decision::SignOut(duty) => {
            let report = scene.sign_out(&duty, reply).expect("nobody else writes");
            check(&report.status);
            return false;
        }
        Decision::Report(report) => {
            check(&report.status);
            scene.write(&report.status);
            return false;
        }
        Decision::Set(plan) => plan,
    };
    check(&plan.ahead);
    scene.write(&plan.ahead);
    let uid = scene.cluster.resource.uid.clone();
    let conclude = |current: &Status| conclude(current, &plan, &classify(reply), &uid, scene.now);
    // Another program overwrites the status before the conclusion.
    match conclude(beside) {
        Conclusion::Record(recorded) => check(&recorded.status),
        Conclusion::Superseded(status) => status.iter().for_each(|status| check(status)),
    }
    match conclude(&plan.ahead) {
        Conclusion::Record(recorded) => {
            check(&recorded.status);
            scene.write(&recorded.status);
        }
        Conclusion::Superseded(status) => panic!("superseded: {status:?}"),
    }
    true
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_reconcile_from_any_forged_status_writes_valid_statuses_and_converges(
        forged in status(),
        beside in status(),
        rival_at in option::of(at()),
        permanent in any::<bool>(),
        (drift, revokes) in (select(vec![Drift::Ignore, Drift::Report, Drift::Correct]), any::<bool>()),
        states in vec(select(vec![
            UserState::Confirmed,
            UserState::ResetRequired,
            UserState::ForceChangePassword,
            UserState::Unconfirmed,
            UserState::ExternalProvider,
            UserState::Other,
        ]), 0..4),
        replies in vec(replies(), 0..4),
    ) {
        check(&forged);
        let mut scene = Scene::new();
        scene.cluster.change(|spec| {
            spec.permanent = permanent;
            spec.drift = Some(drift);
            spec.revoke_sessions = revokes && permanent;
        });
        scene.write(&forged);
        scene.rival_at = rival_at;
        let _ = scene.look();
        for (at, reply) in replies.iter().enumerate() {
            if let Some(state) = states.get(at) {
                look(&mut scene, *state);
            }
            step(&mut scene, reply, &beside);
            scene.later(60);
        }
        // From here on there are no faults, and a person requests a set.
        scene.rival_at = None;
        scene.cluster.change(|spec| spec.permanent = true);
        scene.cluster.request();
        let mut called = false;
        for _ in 0..9 {
            look(&mut scene, UserState::Confirmed);
            called |= step(&mut scene, &applied(), &beside);
            scene.later(3_700);
        }
        prop_assert!(called);
        prop_assert_eq!(scene.said().0, ConditionStatus::True);
        prop_assert_eq!(scene.attempt(), None);
    }
}
