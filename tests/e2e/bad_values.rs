//! The operator never sends a value that Cognito's own pattern refuses. The status says what is wrong with
//! the value, and how to make a good one.

use kube::api::DynamicObject;

use super::events::wait_for_one_event;
use super::kstatus::{Kstatus, kstatus, violations};
use super::world::{POOL, World};
use crate::support::condition;

const GOOD: &str = "Good-Passw0rd";

/// The resource's name, the value, and words of the message.
type Case = (&'static str, Vec<u8>, &'static [&'static str]);

fn bad_values() -> Vec<Case> {
    vec![
        // `echo Passw0rd-1 | base64`.
        (
            "trailing-newline",
            b"Passw0rd-1\n".to_vec(),
            &["ends with a line break", "`printf %s`, not `echo`"],
        ),
        (
            "windows-newline",
            b"Passw0rd-1\r\n".to_vec(),
            &["ends with a line break", "`printf %s`, not `echo`"],
        ),
        (
            "inner-newline",
            b"Passw0rd\n-1".to_vec(),
            &["a line break", "`printf %s`"],
        ),
        (
            "leading-space",
            b" Passw0rd-1".to_vec(),
            &["begins with white space", "`printf %s`"],
        ),
        (
            "trailing-space",
            b"Passw0rd-1 ".to_vec(),
            &["ends with white space", "`printf %s`, not `echo`"],
        ),
        (
            "trailing-tab",
            b"Passw0rd-1\t".to_vec(),
            &["ends with white space"],
        ),
        (
            "no-break-space",
            "Passw0rd-1\u{a0}".into(),
            &["ends with white space"],
        ),
        (
            "byte-order-mark",
            "\u{feff}Passw0rd-1".into(),
            &["byte order mark", "`printf %s`"],
        ),
        ("nul", b"Passw0rd\0-1".to_vec(), &["a NUL character"]),
        ("empty", Vec::new(), &["the value is empty"]),
        ("one-character", b"P".to_vec(), &["at least two"]),
        (
            "too-long",
            "ü".repeat(257).into(),
            &["longer than 256 characters"],
        ),
        (
            "not-utf-8",
            b"Passw\xff\xferd".to_vec(),
            &["not valid UTF-8"],
        ),
        (
            "utf-16",
            b"\xff\xfeP\0a\0s\0s\0".to_vec(),
            &["not valid UTF-8"],
        ),
    ]
}

fn message(resource: &DynamicObject) -> &str {
    condition(resource, "Ready")
        .and_then(|ready| ready["message"].as_str())
        .unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_cannot_be_a_password_stalls_with_advice_and_without_a_call() {
    let world = World::new("bad-values").await;
    let cases = bad_values();
    for (name, value, _) in &cases {
        world.cognito.add_user(POOL, name);
        world.apply_secret(name, "password", value).await;
        world.apply_resource(name, |_| ()).await;
    }
    let _operator = world.operator().await;
    let mut wrong = Vec::new();
    for (name, value, wanted) in &cases {
        let stalled = world.wait(name, "False", "InvalidSecretValue").await;
        assert_eq!(violations(&stalled), [""; 0], "{name}");
        assert_eq!(kstatus(&stalled), Kstatus::Failed, "{name}");
        assert!(stalled.data["status"]["attempt"].is_null(), "{name}");
        let said = message(&stalled);
        let named = format!("key password of the Secret {name} ");
        let whole = said.contains(&named) && said.contains("didn't call Cognito");
        if !whole || !wanted.iter().all(|words| said.contains(words)) {
            wrong.push(format!("{name}: {said}"));
        }
        let value = String::from_utf8_lossy(value);
        if value.len() > 1 && said.contains(value.trim()) {
            wrong.push(format!("{name}: the value is in {said}"));
        }
        assert_eq!(
            wait_for_one_event(&world, name, "InvalidSecretValue").await,
            said
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    world.fence().await;
    for (name, ..) in &cases {
        let calls = world.cognito.calls_for(POOL, name);
        assert!(calls.is_empty(), "{name}: {calls:#?}");
    }

    for (name, ..) in &cases {
        world.apply_secret(name, "password", GOOD.as_bytes()).await;
        let healed = world.wait_set(name, GOOD).await;
        assert_eq!(kstatus(&healed), Kstatus::Current, "{name}");
        assert_eq!(world.cognito.calls_for(POOL, name).len(), 1, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unusual_values_are_sent_as_they_are() {
    let world = World::new("good-values").await;
    let longest = "ü".repeat(256);
    let cases = [
        ("longest", &*longest),
        ("two-characters", "ab"),
        ("inner-spaces", "correct horse battery"),
        ("quotes", r#"a"b\c'd`e$f"#),
        ("json", r#"{"password":"x"}"#),
        ("unicode", "Pässwörd-密码-🔑"),
        ("control-characters", "a\u{1}b\u{7f}c\td-e-f"),
        ("percent", "a%0A%20&b=c+d"),
    ];
    for (name, value) in &cases {
        world.cognito.add_user(POOL, name);
        world.apply_secret(name, "password", value.as_bytes()).await;
        world.apply_resource(name, |_| ()).await;
    }
    let _operator = world.operator().await;
    for (name, value) in &cases {
        world.wait_set(name, value).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_becomes_invalid_is_reported_and_the_password_stays() {
    let world = World::new("turns-bad").await;
    let _operator = world.operator().await;
    world.in_sync("bot", GOOD).await;
    world
        .apply_secret("bot", "password", format!("{GOOD}\n").as_bytes())
        .await;
    let stalled = world.wait("bot", "False", "InvalidSecretValue").await;
    assert_eq!(violations(&stalled), [""; 0]);
    world.fence().await;
    // The operator knows that this value is set, and calls nothing.
    world.apply_secret("bot", "password", GOOD.as_bytes()).await;
    let healed = world.wait_set("bot", GOOD).await;
    assert_eq!(kstatus(&healed), Kstatus::Current);
    assert_eq!(world.cognito.calls_for(POOL, "bot").len(), 1);
}
