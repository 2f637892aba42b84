//! No password is anywhere but in its Secret and in Cognito: not in the log however much of it is
//! asked for, not in events, status, metrics or requests, in no spelling, and not in a core file.

#[cfg(target_os = "linux")]
mod memory;

use k8s_openapi::ByteString;
use serde_json::{Value, json};

use super::world::{POOL, SOON, World};
use crate::support::{Exit, Fault, Mark, Operator, condition};

/// Every way in which a program may write it down, by name.
fn spellings(secret: &str) -> Vec<(&'static str, String)> {
    let bytes = secret.as_bytes();
    let each = |write: &dyn Fn(&u8) -> String, between: &str| {
        let written: Vec<_> = bytes.iter().map(write).collect();
        written.join(between)
    };
    let json_of = |text: &str| {
        let quoted = json!(text).to_string();
        quoted[1..quoted.len() - 1].to_owned()
    };
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let url = each(
        &|byte| match *byte {
            byte if unreserved(byte) => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        },
        "",
    );
    let mut found = vec![
        ("plain", secret.to_owned()),
        ("JSON", json_of(secret)),
        ("JSON in JSON", json_of(&json_of(secret))),
        ("debug", secret.escape_debug().to_string()),
        ("debug in JSON", json_of(&secret.escape_debug().to_string())),
        ("bytes", bytes.escape_ascii().to_string()),
        ("bytes in JSON", json_of(&bytes.escape_ascii().to_string())),
        ("hex", each(&|byte| format!("{byte:02x}"), "")),
        ("HEX", each(&|byte| format!("{byte:02X}"), "")),
        ("decimal list", each(&u8::to_string, ", ")),
        ("short decimal list", each(&u8::to_string, ",")),
        ("URL", url.clone()),
        ("url", url.to_lowercase()),
    ];
    // Wherever it stands in what was encoded: the groups of three bytes that are all its own.
    for start in 0..3 {
        let whole = (bytes.len() - start) / 3 * 3;
        let base64 = json!(ByteString(bytes[start..start + whole].to_vec()));
        let base64 = base64.as_str().expect("a string").to_owned();
        found.push(("base64url", base64.replace('+', "-").replace('/', "_")));
        found.push(("base64", base64));
    }
    found
}

/// Where it stands in a text, as words for a failure's message.
fn find(text: &str, secret: &str) -> Vec<String> {
    let hit = |(spelling, needle): (&str, String)| {
        let at = text.find(&needle)?;
        let mut from = at.saturating_sub(200);
        while !text.is_char_boundary(from) {
            from -= 1;
        }
        let around: String = text[from..].chars().take(400 + needle.len()).collect();
        Some(format!("{spelling}: ..{around}.."))
    };
    spellings(secret).into_iter().filter_map(hit).collect()
}

/// Like no other text, and different in every spelling.
fn marker(of: &str) -> String {
    let random = getrandom::u64().expect("the system has randomness");
    format!("Mark\"{of}\\{random:016x}+é/%>0")
}

#[test]
fn the_search_finds_every_spelling_wherever_it_stands() {
    let secret = marker("found");
    let json_log = json!({ "message": format!("{secret:?}") }).to_string();
    let bytes = format!("{:?}", secret.as_bytes());
    let nested = json!({ "body": json!({ "Password": secret }).to_string() }).to_string();
    for text in [&secret, &json_log, &bytes, &nested] {
        assert!(!find(text, &secret).is_empty(), "{text}");
    }
    for padding in ["", "x", "xy", "xyz"] {
        let around = format!("{padding}{secret}{padding}").into_bytes();
        let encoded = json!(ByteString(around)).to_string();
        assert!(!find(&encoded, &secret).is_empty(), "{encoded}");
    }
    let other = marker("found");
    let others: String = spellings(&other).into_iter().map(|(_, it)| it).collect();
    assert_eq!(find(&others, &secret), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_password_is_in_logs_events_resources_metrics_or_requests() {
    let world = World::new("leaks").await;
    world.cognito.set_history(5);
    let mark = world.mark();
    let operator = world
        .builder()
        .arg("--log")
        .arg("trace")
        .env("RUST_LOG", "trace")
        .env("RUST_BACKTRACE", "full")
        // Makes the SDK's signer print the body at TRACE.
        .env("LOG_SIGNABLE_BODY", "true")
        .start()
        .await;
    operator.wait_ready(SOON).await;
    let [first, second, refused, escaped, invalid, lost, unknown] = [
        "first", "second", "refused", "escaped", "invalid", "lost", "unknown",
    ]
    .map(marker);

    world.in_sync("main", &first).await;
    // Where `kubectl apply` leaves it.
    let last_applied = json!({ "stringData": { "password": first } }).to_string();
    let annotation = "kubectl.kubernetes.io/last-applied-configuration";
    let change = json!({ "metadata": { "annotations": { annotation: last_applied } } });
    world.patch_secret("main", change).await;
    world.apply_secret("main", "password", &second).await;
    world.wait_set("main", &second).await;

    // An AWS that echoes what it refuses, as it is or as JSON.
    let echoes = [
        ("refused", &refused, refused.clone()),
        ("escaped", &escaped, json!(escaped).to_string()),
    ];
    for (name, value, echo) in echoes {
        world.cognito.add_user(POOL, name);
        let words = format!("Value '{echo}' at 'password' failed to satisfy constraint");
        let fault = Fault::error("InvalidParameterException", &words);
        world.cognito.always_for((POOL, name), fault);
        world.apply_secret(name, "password", value).await;
        world.apply_resource(name, |_| ()).await;
        let stalled = world.wait(name, "False", "InvalidParameter").await;
        let message = condition(&stalled, "Ready").map(|ready| ready["message"].to_string());
        let message = message.unwrap_or_default();
        assert!(
            message.contains("[password]"),
            "AWS's other words stay: {message}"
        );
    }

    let newline = format!("{invalid}\n");
    world.apply_secret("invalid", "password", &newline).await;
    world.apply_resource("invalid", |_| ()).await;
    world.wait("invalid", "False", "InvalidSecretValue").await;

    let losses = [
        ("lost", &lost, Fault::DropAfter, "AppliedAfterLostReply"),
        ("unknown", &unknown, Fault::internal_error(), "PasswordSet"),
    ];
    for (name, value, fault, reason) in losses {
        world.cognito.add_user(POOL, name);
        world.cognito.next_for((POOL, name), [fault]);
        world.apply_secret(name, "password", value).await;
        world.apply_resource(name, |_| ()).await;
        world.wait(name, "True", reason).await;
    }
    world.fence().await;

    let places = places(&world, operator, mark).await;
    let mut leaks = Vec::new();
    for secret in [
        &first, &second, &refused, &escaped, &invalid, &lost, &unknown,
    ] {
        for (place, text) in &places {
            leaks.extend(
                find(text, secret)
                    .into_iter()
                    .map(|hit| format!("{place}: {hit}")),
            );
        }
    }
    assert!(leaks.is_empty(), "{}", leaks.join("\n\n"));
}

/// All that anybody else can read, by name; the operator has ended by then.
async fn places(world: &World<'_>, operator: Operator, since: Mark) -> Vec<(&'static str, String)> {
    let (namespace, kubectl) = (&*world.namespace, |args: &[&str]| world.plane.kubectl(args));
    let objects = |kind: &str| {
        let get = ["get", kind, "-n", namespace, "-o", "json"];
        kubectl(&[&get[..], &["--show-managed-fields"]].concat())
    };
    let environ = std::fs::read(format!("/proc/{}/environ", operator.pid()));
    let environ = environ.unwrap_or_default();
    let places = vec![
        ("metrics", operator.metrics().await),
        ("readiness", operator.get("/readyz").await.1),
        (
            "environment",
            String::from_utf8_lossy(&environ).into_owned(),
        ),
        ("resources", objects("cup")),
        ("events", objects("events")),
        ("new events", objects("events.events.k8s.io")),
        ("requests", json!(world.requests(since)).to_string()),
        ("log", {
            let exit = operator.terminate(SOON).await;
            assert_eq!(exit, Exit::Code(0), "{}", operator.logs());
            operator.logs()
        }),
    ];
    // What is searched is what was meant.
    let text_of = |place: &str| {
        let found = places.iter().find(|(name, _)| *name == place);
        found.map(|(_, text)| text.as_str()).unwrap_or_default()
    };
    assert!(text_of("log").contains("\"DEBUG\""), "{}", text_of("log"));
    assert!(text_of("events").contains("InvalidSecretValue"));
    assert!(text_of("resources").contains("managedFields"));
    assert!(text_of("requests").contains("\"requestObject\""));
    places
}

/// A status is what its readers may see: everything in it that isn't words is keyed.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_password_has_another_fingerprint_for_another_user() {
    let world = World::new("fingerprints").await;
    let _operator = world.operator().await;
    let fingerprint = |resource: &kube::api::DynamicObject| {
        let synced = resource.data.pointer("/status/synced/fingerprint");
        synced
            .and_then(Value::as_str)
            .map(str::to_owned)
            .expect("it is set")
    };
    let one = fingerprint(&world.in_sync("one", "The-same-Passw0rd").await);
    let two = fingerprint(&world.in_sync("two", "The-same-Passw0rd").await);
    assert_ne!(one, two);
}
