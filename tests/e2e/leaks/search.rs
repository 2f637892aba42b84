//! The search at the end of every world finds every planted value, in every place and spelling.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;

use k8s_openapi::ByteString;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::super::world::{SOON, World};
use super::marker;
use crate::support::{
    Spec, client_for, eventually, operator, resources, scratch, search, spellings,
};

/// The planted texts, by the name of their spelling.
fn planted(secret: &str) -> BTreeMap<String, String> {
    let spellings = spellings(secret.as_bytes()).into_iter();
    let readable = |text| String::from_utf8(text).expect("UTF-8");
    spellings
        .map(|(name, text)| (name, readable(text)))
        .collect()
}

fn found(text: &[u8], secret: &str) -> BTreeSet<String> {
    let found = search(
        &[("text", text.to_vec())],
        &[secret.as_bytes().to_vec()].into(),
    );
    found.into_iter().map(|leak| leak.spelling).collect()
}

#[test]
fn the_search_finds_every_spelling_wherever_it_stands() {
    let secret = marker("found");
    for (name, spelling) in planted(&secret) {
        let found = found(format!("before{spelling}after").as_bytes(), &secret);
        assert!(found.contains(&name), "{name} in {spelling}: {found:?}");
    }
    let json_log = json!({ "message": format!("{secret:?}") }).to_string();
    let bytes = format!("{:?}", secret.as_bytes());
    let nested = json!({ "body": json!({ "Password": secret }).to_string() }).to_string();
    for text in [&secret, &json_log, &bytes, &nested] {
        assert!(!found(text.as_bytes(), &secret).is_empty(), "{text}");
    }
    for padding in ["", "x", "xy", "xyz"] {
        let around = format!("{padding}{secret}{padding}").into_bytes();
        let encoded = json!(ByteString(around)).to_string();
        assert!(found(encoded.as_bytes(), &secret).contains("base64"));
    }
    let other: Vec<_> = planted(&marker("found")).into_values().collect();
    assert_eq!(found(other.concat().as_bytes(), &secret), [].into());
}

#[test]
#[should_panic(expected = "too short to be looked for")]
fn the_search_rejects_a_marker_that_is_too_short() {
    search(&[], &[b"short".to_vec()].into());
}

/// The spellings that are planted in each place. In some places the whole content is encoded once more.
const SPELLINGS: [&str; 11] = [
    "plain",
    "JSON",
    "debug",
    "bytes",
    "base64",
    "base64url",
    "URL",
    "url",
    "hex",
    "HEX",
    "decimal list",
];

/// The planted text for a place, with a value of its own for each spelling.
struct Plant {
    place: &'static str,
    /// The spelling, the value, and the value in that spelling.
    values: Vec<(&'static str, String, String)>,
}

impl Plant {
    fn new(world: &World<'_>, place: &'static str) -> Self {
        let values = SPELLINGS.into_iter().filter_map(|spelling| {
            let value = marker("it");
            world.leaks.note(value.as_bytes());
            // A value may look the same in two spellings; then one of them is left out.
            let text = planted(&value).remove(spelling)?;
            Some((spelling, value, text))
        });
        Self {
            place,
            values: values.collect(),
        }
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        self.values.iter().map(|(_, _, text)| &**text)
    }

    fn text(&self) -> String {
        self.texts().collect::<Vec<_>>().join(" ")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_planted_in_any_place_in_any_spelling_is_found() {
    let mut world = World::new("planted").await;
    let (plane, namespace) = (world.plane, world.namespace.clone());
    let in_the = |place| Plant::new(&world, place);

    // A process like an operator's, and a server that serves secret values.
    let [log, environment, command_line] = ["log", "environment", "command line"].map(in_the);
    let directory = scratch("planted");
    let log_and_wait = "import os, signal
print(os.environ['LOGGED'], flush=True)
signal.pause()";
    let process = Spec::new("planted", Path::new("python3"), directory.join("log"))
        .args(["-c", log_and_wait])
        .arg(command_line.text())
        .env("LOGGED", log.text())
        .env("PLANTED", environment.text())
        .spawn();
    let written = || process.logs().contains('\n').then_some(());
    eventually(SOON, async || {
        written().ok_or_else(|| "nothing is logged".to_owned())
    })
    .await;
    let [metrics, readiness] = ["metrics", "readiness"].map(in_the);
    let port = serve([("/metrics", metrics.text()), ("/readyz", readiness.text())]);
    let remains = world.builder().remains().clone();
    remains.add(process.pid(), port, process.log_path());

    let mut plants = vec![log, environment, command_line, metrics, readiness];
    plants.extend(plant_in_resources(&world).await);

    let [event, lease, secret] = ["events", "leases", "the operator's Secrets"].map(in_the);
    let name = json!({ "name": namespace });
    let annotated =
        |plant: &Plant| json!({ "name": namespace, "annotations": { "planted": plant.text() } });
    let objects = [
        (
            &*namespace,
            json!({
                "apiVersion": "v1", "kind": "Event", "metadata": name, "message": event.text(),
                "involvedObject": { "namespace": namespace },
            }),
        ),
        (
            operator::NAMESPACE,
            json!({
                "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": annotated(&lease),
            }),
        ),
        (
            operator::NAMESPACE,
            json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": annotated(&secret),
            }),
        ),
    ];
    for (namespace, object) in &objects {
        plane.kubectl_stdin(&["create", "-n", namespace, "-f", "-"], &object.to_string());
    }

    let leaks = world.leaks.found();
    for (namespace, object) in &objects {
        plane.kubectl_stdin(&["delete", "-n", namespace, "-f", "-"], &object.to_string());
    }
    plants.extend([event, lease, secret]);
    let mut missed = Vec::new();
    for plant in plants {
        for (spelling, value, _) in plant.values {
            if !leaks
                .iter()
                .any(|leak| leak.place == plant.place && leak.value == value)
            {
                missed.push(format!("{spelling} in {}", plant.place));
            }
        }
    }
    assert_eq!(missed, [""; 0]);
}

/// Otherwise the search might find nothing because nothing is searched.
#[tokio::test(flavor = "multi_thread")]
async fn the_search_covers_everything_that_an_operator_leaves() {
    // The operator leads, which needs a control plane without other operators.
    let (world, _turn) = World::alone("left").await;
    let operator = world.builder().leader_elect().start().await;
    operator.wait_ready(SOON).await;
    world.in_sync("bot", &marker("left")).await;
    world.fence_events().await;
    let running = world.leaks.places();
    drop(operator);
    let mut wanted = vec![
        ("log", r#""level":"DEBUG""#),
        ("metrics", "cognito_password_operator_cognito_calls_total"),
        ("readiness", "ok"),
        ("command line", "--watch-namespaces"),
        ("requests", r#""requestObject":{"#),
        ("requests", "PasswordSet"),
        ("resources", "managedFields"),
        ("events", "PasswordSet"),
        ("leases", "holderIdentity"),
        ("the operator's Secrets", "key-1"),
    ];
    // Only root may read the environment of a process that hides its memory.
    if rustix::process::geteuid().is_root() {
        wanted.push(("environment", "LOG_SIGNABLE_BODY=true"));
    }
    for places in [running, world.leaks.places()] {
        for (name, text) in &wanted {
            let found = places.iter().filter(|(place, _)| place == name);
            let mut texts = found.map(|(_, text)| String::from_utf8_lossy(text));
            assert!(
                texts.any(|place| place.contains(text)),
                "no {text} in {name}"
            );
        }
    }
}

/// Plants texts where an operator may write, with its rights, and where only other users may write.
async fn plant_in_resources(world: &World<'_>) -> [Plant; 4] {
    let (plane, namespace) = (world.plane, &*world.namespace);
    let token = plane.token_for(operator::NAMESPACE, operator::SERVICE_ACCOUNT);
    let kubeconfig = plane.kubeconfig_for_token(&format!("planted-{namespace}"), &token);
    let theirs = resources(&client_for(&kubeconfig).await, namespace);
    let (status, request) = (
        Plant::new(world, "resources"),
        Plant::new(world, "requests"),
    );
    world.apply_resource("bot", |_| ()).await;
    // The second write replaces the first in the resource, so only the log of requests has the first text.
    for text in [request.text(), status.text()] {
        let condition = json!({
            "type": "Ready", "status": "False", "reason": "Planted", "message": text,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        });
        let change = json!({ "status": { "conditions": [condition] } });
        let (by, change) = (PatchParams::default(), Patch::Merge(change));
        let patched = theirs.patch_status("bot", &by, &change).await;
        patched.expect("the operator may");
    }
    let annotation = Plant::new(world, "resources");
    let change = json!({ "metadata": { "annotations": { "planted": annotation.text() } } });
    world.patch_resource("bot", change).await;
    // A manager's name has 128 characters at most.
    let mut manager = Plant::new(world, "resources");
    manager
        .values
        .retain(|(spelling, ..)| *spelling != "decimal list");
    for text in manager.texts() {
        let change = json!({
            "apiVersion": "cognito-password-operator.io/v1alpha1", "kind": "CognitoUserPassword",
            "metadata": { "labels": { "planted": "here" } },
        });
        let by = PatchParams::apply(text).force();
        let all = resources(&world.client, namespace);
        let patched = all.patch("bot", &by, &Patch::Apply(change)).await;
        patched.expect("the administrator may");
    }
    [status, request, annotation, manager]
}

/// Answers one request for each path, and ignores any other content of the request.
fn serve(answers: [(&'static str, String); 2]) -> u16 {
    let server = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = server.local_addr().expect("it is bound").port();
    std::thread::spawn(move || {
        for mut stream in server.incoming().take(answers.len()).flatten() {
            let mut request = [0; 1024];
            let length = stream.read(&mut request).unwrap_or_default();
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            let answer = answers.iter().find(|(path, _)| request.contains(path));
            let body = answer.map(|(_, text)| &**text).unwrap_or_default();
            // A client that gets too little notices by itself.
            let _ = write!(stream, "HTTP/1.0 200 OK\r\n\r\n{body}");
        }
    });
    port
}
