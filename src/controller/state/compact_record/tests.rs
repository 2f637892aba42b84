use super::*;
use crate::{
    api::{Condition, ConditionStatus, ConditionType, Reason},
    core::condition::{
        verdict::Verdict,
        verified::{USER_SEEN, with_verified},
    },
};
use proptest::prelude::*;

// Boxed: a resource has many texts, and an unboxed strategy of all texts overflows a test's stack.
fn text() -> BoxedStrategy<String> {
    prop_oneof![
        "[0-9]{1,20}",
        "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
        "[0-9a-f]{8}\\.[0-9a-f]{64}",
        "PasswordSet|Ready|Stalled|password",
        "\\PC{0,40}",
    ]
    .boxed()
}

/// Any time that `jiff` can represent, with nanoseconds.
fn timestamp() -> impl Strategy<Value = Timestamp> {
    let seconds = Timestamp::MIN.as_second()..Timestamp::MAX.as_second();
    (seconds, 0..1_000_000_000_i32)
        .prop_filter_map("a time", |(second, nano)| Timestamp::new(second, nano).ok())
}

fn micro() -> impl Strategy<Value = MicroTime> {
    timestamp().prop_map(MicroTime)
}

fn maybe<T: std::fmt::Debug>(it: impl Strategy<Value = T>) -> impl Strategy<Value = Option<T>> {
    proptest::option::of(it)
}

fn synced() -> impl Strategy<Value = Synced> {
    (text(), text(), text(), micro(), maybe(micro())).prop_map(
        |(fingerprint, uid, version, at, answered_at)| Synced {
            fingerprint,
            secret_uid: uid,
            secret_resource_version: version,
            at,
            answered_at,
        },
    )
}

fn attempt() -> impl Strategy<Value = Attempt> {
    let outcome = prop_oneof![
        Just(AttemptOutcome::Pending),
        Just(AttemptOutcome::Unknown),
        Just(AttemptOutcome::UserNotFound),
        Just(AttemptOutcome::InHistory),
        Just(AttemptOutcome::Refused),
    ];
    let all = (text(), synced(), any::<i64>(), outcome, maybe(text()));
    all.prop_map(|(id, of, generation, outcome, request)| Attempt {
        id,
        fingerprint: of.fingerprint,
        generation,
        secret_uid: of.secret_uid,
        secret_resource_version: of.secret_resource_version,
        started_at: of.at,
        outcome,
        request,
    })
}

fn condition() -> impl Strategy<Value = Condition> {
    let status = prop_oneof![
        Just(ConditionStatus::True),
        Just(ConditionStatus::False),
        Just(ConditionStatus::Unknown),
    ];
    // Usual conditions, and what differs from them a little.
    let set = Verdict::new(Reason::PasswordSet);
    let (seen, seen_message) = USER_SEEN;
    let type_ = prop_oneof![
        text(),
        Just("Ready".to_owned()),
        Just("Verified".to_owned())
    ];
    let reason = prop_oneof![
        text(),
        Just(set.reason.as_str().to_owned()),
        Just(seen.to_owned())
    ];
    let message = prop_oneof![text(), Just(set.message), Just(seen_message.to_owned())];
    let words = (type_, reason, message);
    (words, status, maybe(any::<i64>()), timestamp()).prop_map(
        |((type_, reason, message), status, observed_generation, since)| Condition {
            type_,
            status,
            observed_generation,
            last_transition_time: Time(since),
            reason,
            message,
        },
    )
}

fn status() -> impl Strategy<Value = Status> {
    let failures = || {
        let failures = (any::<u32>(), micro(), maybe(text()));
        failures.prop_map(|(count, retry_at, request)| Failures {
            count,
            retry_at,
            request,
        })
    };
    let owed = (micro(), maybe(failures()));
    let owed = owed.prop_map(|(since, failures)| SignOutOwed { since, failures });
    let corrections = (any::<u32>(), micro()).prop_map(|(count, at)| Corrections { count, at });
    let of_users = (maybe(owed), maybe(corrections), maybe(text()));
    let lists = (
        proptest::collection::vec(text(), 0..30),
        proptest::collection::vec(condition(), 0..5),
    );
    let times = (maybe(any::<i64>()), maybe(text()), maybe(micro()));
    let unusable = maybe((text(), text()).prop_map(|(uid, version)| Unusable {
        secret_uid: uid,
        secret_resource_version: version,
    }));
    let records = (
        maybe(synced()),
        maybe(attempt()),
        unusable,
        maybe(failures()),
    );
    (times, records, lists, of_users).prop_map(
        |(
            (generation, handled, until),
            (synced, attempt, unusable, failures),
            (retired, conditions),
            (sign_out_owed, corrections, found_as),
        )| {
            Status {
                observed_generation: generation,
                last_handled_reconcile_at: handled,
                synced,
                attempt,
                quarantined_until: until,
                retired,
                unusable,
                failures,
                sign_out_owed,
                corrections,
                found_as,
                conditions,
            }
        },
    )
}

fn resource() -> impl Strategy<Value = CognitoUserPassword> {
    let metadata = (
        // The namespace of an object has no slash.
        ("[a-z0-9-]{1,20}", text(), maybe(text()), maybe(text())),
        (
            maybe(any::<i64>()),
            maybe(timestamp()),
            maybe(timestamp()),
            maybe(text()),
        ),
    );
    let drift = proptest::sample::select(vec![
        None,
        Some(Drift::Ignore),
        Some(Drift::Report),
        Some(Drift::Correct),
    ]);
    let federated = any::<bool>().prop_map(|allow| {
        if allow {
            FederatedUser::Allow
        } else {
            FederatedUser::Refuse
        }
    });
    let texts = (text(), text(), text(), text());
    let switches = (any::<bool>(), any::<bool>(), any::<bool>());
    let spec = (texts, switches, drift, federated);
    (metadata, spec, maybe(status())).prop_map(|(metadata, spec, status)| {
        let ((namespace, name, uid, version), (generation, created, deleted, request)) = metadata;
        let (texts, switches, drift, federated_user) = spec;
        let (pool, username, secret, key) = texts;
        let (permanent, suspend, revoke_sessions) = switches;
        CognitoUserPassword {
            metadata: ObjectMeta {
                namespace: Some(namespace),
                name: Some(name),
                uid,
                resource_version: version,
                generation,
                creation_timestamp: created.map(Time),
                deletion_timestamp: deleted.map(Time),
                annotations: request.map(|it| [(REQUESTED_AT.to_owned(), it)].into()),
                ..ObjectMeta::default()
            },
            spec: CognitoUserPasswordSpec {
                user_pool_id: pool,
                username,
                password_secret_ref: PasswordSecretRef { name: secret, key },
                permanent,
                suspend,
                drift,
                federated_user,
                revoke_sessions,
            },
            status,
        }
    })
}

proptest! {
    #[test]
    fn an_expanded_record_equals_the_packed_resource(resource in resource()) {
        let words = Interner::default();
        let packed = CompactRecord::of(&resource, &words);
        let (key, secret) = (Key::of(&resource), Key::of_secret(&resource));
        prop_assert_eq!(packed.resource(&key, &secret, &words), resource.clone());
        prop_assert_eq!(packed.sent(), sent(&resource));
        prop_assert!(packed == CompactRecord::of(&resource, &words), "two forms of the same resource");
    }
}

/// A resource in sync, as the operator writes its status. The texts have usual lengths.
fn resource_in_sync() -> CognitoUserPassword {
    let uid = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";
    let at = "2026-01-02T03:04:05.678901Z".parse().expect("a time");
    let answered_at = "2026-01-02T03:04:05Z".parse().expect("a time");
    let verdict = Verdict::new(Reason::PasswordSet);
    let ready = Condition {
        type_: ConditionType::Ready.as_str().to_owned(),
        status: ConditionStatus::True,
        observed_generation: Some(1),
        last_transition_time: Time(answered_at),
        reason: verdict.reason.as_str().to_owned(),
        message: verdict.message,
    };
    let status = Status {
        observed_generation: Some(1),
        synced: Some(Synced {
            fingerprint: format!("0a1b2c3d.{}", "5f".repeat(32)),
            secret_uid: uid.to_owned(),
            secret_resource_version: "1234567".to_owned(),
            at: MicroTime(at),
            answered_at: Some(MicroTime(answered_at)),
        }),
        conditions: vec![ready],
        ..Status::default()
    };
    let spec = CognitoUserPasswordSpec {
        user_pool_id: "eu-west-1_AbCdEf123".to_owned(),
        username: "ci-bot-of-team-a".to_owned(),
        password_secret_ref: PasswordSecretRef {
            name: "ci-bot-credentials".to_owned(),
            key: "password".to_owned(),
        },
        permanent: true,
        suspend: false,
        drift: None,
        federated_user: FederatedUser::Refuse,
        revoke_sessions: false,
    };
    let mut resource = CognitoUserPassword::new("ci-bot", spec);
    resource.metadata.namespace = Some("team-a".to_owned());
    resource.metadata.uid = Some(uid.to_owned());
    resource.metadata.resource_version = Some("1234568".to_owned());
    resource.metadata.creation_timestamp = Some(Time(answered_at));
    resource.metadata.generation = Some(1);
    resource.status = Some(status);
    resource
}

/// The number of bytes of the resource's record, after this change of the status.
fn bytes_after(resource: &CognitoUserPassword, change: impl FnOnce(&mut Status)) -> usize {
    let mut resource = resource.clone();
    change(resource.status.as_mut().expect("a status"));
    CompactRecord::of(&resource, &Interner::default())
        .bytes
        .len()
}

#[test]
fn a_resource_in_sync_takes_a_few_hundred_bytes() {
    let resource = resource_in_sync();
    let plain = bytes_after(&resource, |_| {});
    let all_retired = bytes_after(&resource, |status| {
        status.retired = vec!["0a1b2c3d.5f5f5f5f5f5f5f5f".to_owned(); 24];
    });
    assert!(plain <= 175, "{plain}");
    assert!(all_retired <= 530, "{all_retired}");
}

#[test]
fn what_a_look_leaves_takes_eight_bytes() {
    let resource = resource_in_sync();
    let plain = bytes_after(&resource, |_| {});
    let looked_at = bytes_after(&resource, |status| {
        let (reason, message) = USER_SEEN;
        let now = "2026-01-02T04:05:06Z".parse().expect("a time");
        status.found_as = Some("ci-bot-of-team-a".to_owned());
        status.conditions = with_verified(status, ConditionStatus::True, reason, message, 1, now);
    });
    assert!(looked_at - plain <= 8, "{plain}, {looked_at}");
}
