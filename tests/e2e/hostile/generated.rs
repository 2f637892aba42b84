//! Hostile objects, generated from a seed.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::model::NAME_LABEL;
use crate::support::Random;
use crate::world::{POOL, REQUESTED_AT};

/// The pieces of names and globs: special characters, look-alikes, and invisible characters.
const PIECES: &[&str] = &[
    "ci-",
    "bot",
    "ci",
    "a",
    "A",
    "*",
    "?",
    "＊",
    "∗",
    "⁎",
    "？",
    "с",
    "é",
    "e\u{301}",
    "ß",
    "ẞ",
    "İ",
    "ı",
    "日本",
    "🦀",
    "[a-z]",
    "{a,b}",
    "\\",
    ".",
    "/",
    "..",
    "%2f",
    "\"",
    "'",
    "$(id)",
    "{}",
    "<b>",
    "\u{1f468}\u{200d}\u{1f4bb}",
    "\u{202e}",
    "\u{200b}",
    "\u{feff}",
    "\u{2066}",
    "\u{e0041}",
    " ",
    "\n",
    "\0",
    "\u{a0}",
];

/// The number of pieces, from the first, that the schema accepts.
const TAKEN: usize = 32;

const POOLS: &[&str] = &[
    POOL,
    POOL,
    POOL,
    "eu-west-1_AbCdEf124",
    "eu-west-1_abcdef123",
    "a_b_C9",
    "us-gov-west-1_x",
    "-_0",
    "eu-west-1_AbCdEf123\u{200b}",
    "eu-west-1_",
    "../../eu-west-1_A",
];

/// Pools whose Region can't be part of a host name, so the operator sends nothing.
pub(super) const NOWHERE: [&str; 2] = ["a_b_C9", "-_0"];

/// The Secrets that resources refer to. The first three have a value that can be set.
pub(super) const SECRETS: [&str; 6] = ["good", "many-keys", "large", "too-long", "binary", "none"];

fn one_of<'a>(random: &mut Random, of: &[&'a str]) -> &'a str {
    of[random.below(of.len())]
}

fn pool(random: &mut Random) -> &'static str {
    // Mostly a pool that the schema accepts.
    let most = if random.chance(0.9) {
        POOLS.len() - 3
    } else {
        POOLS.len()
    };
    one_of(random, &POOLS[..most])
}

fn name(random: &mut Random) -> String {
    let most = if random.chance(0.85) {
        TAKEN
    } else {
        PIECES.len()
    };
    let count = 1 + random.below(4);
    let mut name: String = (0..count)
        .map(|_| one_of(random, &PIECES[..most]))
        .collect();
    match random.below(20) {
        0 => name.extend(std::iter::repeat_n(
            'é',
            128_usize.saturating_sub(name.chars().count()),
        )),
        1 => name.extend(std::iter::repeat_n('a', 129)),
        _ => {}
    }
    name
}

/// A glob that may match this name, or a look-alike.
fn glob(random: &mut Random, name: &str) -> String {
    match random.below(7) {
        0 => "*a".repeat(63) + "b",
        1 => name.chars().take(2).chain(['*']).collect(),
        2 => format!("*{name}"),
        3 => name.replace('a', "а").replace('-', "\u{2010}"),
        4 => {
            let some = name
                .chars()
                .map(|c| if random.chance(0.3) { '?' } else { c });
            some.collect()
        }
        _ => name.to_owned(),
    }
}

/// Unnecessary metadata, up to the API server's limit.
fn metadata(random: &mut Random, name: &str) -> Value {
    let mut metadata = Map::new();
    metadata.insert("name".to_owned(), name.into());
    let mut annotations = Map::new();
    match random.below(8) {
        0 => drop(annotations.insert("a".to_owned(), "x".repeat(200_000).into())),
        1 => drop(annotations.insert(REQUESTED_AT.to_owned(), "\u{202e}x".repeat(60_000).into())),
        2 => drop(annotations.insert(REQUESTED_AT.to_owned(), "no\nw".into())),
        // Refused: more than 256 KiB.
        3 => drop(annotations.insert("a".to_owned(), "x".repeat(300_000).into())),
        _ => {}
    }
    metadata.insert("annotations".to_owned(), annotations.into());
    if random.chance(0.2) {
        let labels = (0..1_000).map(|number| (format!("label-{number}"), json!("x".repeat(63))));
        metadata.insert("labels".to_owned(), labels.collect::<Map<_, _>>().into());
    }
    if random.chance(0.2) {
        let owner = json!({
            "apiVersion": "v1", "kind": "Secret", "name": "nobody",
            "uid": "../\u{202e}", "controller": true, "blockOwnerDeletion": true,
        });
        metadata.insert("ownerReferences".to_owned(), json!([owner]));
    }
    if random.chance(0.1) {
        metadata.insert("finalizers".to_owned(), json!(["example.com/hold"]));
    }
    if random.chance(0.2) {
        metadata.insert("generation".to_owned(), json!(-7));
        metadata.insert("resourceVersion".to_owned(), json!(""));
        metadata.insert("uid".to_owned(), json!("mine"));
        metadata.insert(
            "creationTimestamp".to_owned(),
            json!("1970-01-01T00:00:00Z"),
        );
    }
    metadata.into()
}

pub(super) fn resource(random: &mut Random, object_name: &str) -> Value {
    let most = if random.chance(0.6) { 3 } else { SECRETS.len() };
    let secret = one_of(random, &SECRETS[..most]);
    let mut object = json!({
        "apiVersion": "cognito-password-operator.io/v1alpha1",
        "kind": "CognitoUserPassword",
        "metadata": metadata(random, object_name),
        "spec": {
            "userPoolId": pool(random),
            "username": name(random),
            "passwordSecretRef": { "name": secret },
            "permanent": random.chance(0.8),
        },
    });
    if random.chance(0.1) {
        object["spec"]["namespace"] = "kube-system".into();
        object["status"] = json!({ "observedGeneration": 1 });
    }
    object
}

/// A harmless resource, and its grant.
pub(super) fn plain(name: &str, namespace: &str) -> (Value, Value) {
    let mut random = Random::new(0);
    let mut resource = resource(&mut random, name);
    resource["metadata"] = json!({ "name": name });
    resource["spec"]["userPoolId"] = POOL.into();
    resource["spec"]["username"] = name.into();
    resource["spec"]["passwordSecretRef"]["name"] = SECRETS[0].into();
    resource["spec"]["permanent"] = true.into();
    let mut grant = grant(&mut random, namespace, &resource, (namespace, namespace));
    grant["metadata"] = json!({ "name": namespace });
    grant["spec"]["userPoolId"] = POOL.into();
    grant["spec"]["usernames"] = json!([name]);
    grant["spec"]["namespaces"] = json!({ "names": [namespace] });
    (resource, grant)
}

/// A grant, mostly one that could be meant for this user of this namespace.
pub(super) fn grant(
    random: &mut Random,
    object_name: &str,
    meant: &Value,
    (named, other): (&str, &str),
) -> Value {
    let named = if random.chance(0.8) { named } else { other };
    let listed =
        |operator: &str| json!([{ "key": NAME_LABEL, "operator": operator, "values": [named] }]);
    let namespaces = match random.below(8) {
        0 => json!({ "selector": { "matchLabels": { NAME_LABEL: named } } }),
        1 => json!({ "selector": { "matchExpressions": listed("In") } }),
        2 => json!({ "names": ["nobody"], "selector": { "matchExpressions": listed("In") } }),
        3 => json!({ "names": [named], "selector": { "matchLabels": { NAME_LABEL: "nobody" } } }),
        // Refused: wildcards, and the names of no namespaces.
        4 => json!({ "names": [format!("{named}*")] }),
        5 => json!({ "names": [format!("{named}\u{200b}")] }),
        _ => json!({ "names": [named] }),
    };
    let user = meant["spec"]["username"].as_str().unwrap_or_default();
    let user = if random.chance(0.8) {
        user.to_owned()
    } else {
        name(random)
    };
    let usernames: Vec<_> = (0..=random.below(2)).map(|_| glob(random, &user)).collect();
    let pool = if random.chance(0.8) {
        meant["spec"]["userPoolId"].clone()
    } else {
        pool(random).into()
    };
    json!({
        "apiVersion": "cognito-password-operator.io/v1alpha1",
        "kind": "CognitoUserPoolGrant",
        "metadata": metadata(random, object_name),
        "spec": {
            "userPoolId": pool,
            "usernames": usernames,
            "namespaces": namespaces,
        },
    })
}

/// A random status; the schema accepts most of them.
pub(super) fn status(random: &mut Random) -> Value {
    let times = [
        "0000-01-01T00:00:00Z",
        "1970-01-01T00:00:00Z",
        "2999-12-31T23:59:59.999999Z",
        // The operator can't read such a status, and leaves the resource alone.
        "9999-12-31T23:59:59Z",
    ];
    let most = if random.chance(0.9) { 3 } else { 4 };
    let at = times[random.below(most)];
    let mut fingerprint = format!("{:08x}.", random.next() >> 32);
    for _ in 0..random.below(6) {
        write!(fingerprint, "{:016x}", random.next()).expect("a String takes everything");
    }
    if random.chance(0.3) {
        fingerprint = format!("{}.\u{202e}", "k".repeat(100));
    }
    let outcome = one_of(random, &["Pending", "Unknown", "UserNotFound", "Refused"]);
    let kind = one_of(random, &["Ready", "Reconciling", "Stalled"]);
    let reason = one_of(
        random,
        &["PasswordSet", "NotGranted", "InvalidPassword", "Whatever"],
    );
    let condition = |kind: &str| {
        json!({
            "type": kind, "status": "True", "reason": reason, "observedGeneration": 1,
            "lastTransitionTime": at, "message": "\u{202e}x".repeat(1_000),
        })
    };
    let others = (0..random.below(15)).map(|number| condition(&format!("Other{number}")));
    let conditions: Vec<_> = others.chain([condition(kind)]).collect();
    let generation = [i64::MIN, -1, 0, 1, i64::MAX][random.below(5)];
    let count = [1, 7, i32::MAX][random.below(3)];
    let all = json!({
        "observedGeneration": generation,
        "lastHandledReconcileAt": "\u{202e}x".repeat(random.below(64)),
        "synced": {
            "fingerprint": fingerprint, "secretUid": "", "secretResourceVersion": "\n", "at": at,
        },
        "attempt": {
            "id": "é".repeat(random.below(64)), "fingerprint": fingerprint,
            "generation": i64::MIN, "secretUid": "x".repeat(128), "secretResourceVersion": "",
            "startedAt": at, "outcome": outcome,
        },
        "quarantinedUntil": at,
        "retired": vec![fingerprint.chars().take(64).collect::<String>(); random.below(25)],
        "failures": { "count": count, "retryAt": at },
        "conditions": conditions,
    });
    let Value::Object(all) = all else {
        return Value::Null;
    };
    all.into_iter()
        .filter(|_| random.chance(0.6))
        .collect::<Map<_, _>>()
        .into()
}
