//! Imports point inward only: what decides knows of no network, no clock and no SDK.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Each room, and the rooms that it may import.
const ROOMS: [(&str, &[&str]); 8] = [
    ("api", &[]),
    ("core", &["api"]),
    ("ops", &[]),
    ("cognito", &["core"]),
    ("cluster", &["api", "core"]),
    ("controller", &["api", "cluster", "cognito", "core", "ops"]),
    ("run", &["cluster", "cognito", "controller", "core", "ops"]),
    ("cli", &["api", "cluster", "core", "ops", "run"]),
];

/// What the core may not even name: I/O, a runtime, a clock, randomness.
const NOT_IN_CORE: &[&str] = &[
    "kube::",
    "k8s_openapi::api::",
    "aws_config",
    "aws_sdk",
    "aws_smithy",
    "tokio",
    "futures",
    "axum",
    "hyper",
    "tracing",
    "getrandom",
    "async ",
    ".await",
    "Timestamp::now",
    "Instant",
    "SystemTime",
    "std::env",
    "std::fs",
    "std::io",
    "std::net",
    "std::process",
    "std::thread",
    "static mut",
];

struct Source {
    room: String,
    path: PathBuf,
    /// Without comments.
    code: String,
}

fn sources() -> Vec<Source> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![src.clone()];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of src") {
            let path = entry.expect("an entry of src").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let inner = path.strip_prefix(&src).expect("below src").to_path_buf();
            let first = inner.iter().next().expect("a name").to_string_lossy();
            let text = fs::read_to_string(&path).expect("a source file");
            sources.push(Source {
                room: first.trim_end_matches(".rs").to_owned(),
                path: inner,
                code: without_comments(&text),
            });
        }
    }
    assert!(sources.len() > 30, "where is the code?");
    sources
}

fn without_comments(text: &str) -> String {
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// The rooms that follow a `crate::`, groups included.
fn imported(code: &str) -> BTreeSet<String> {
    let mut rooms = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => rooms.extend(heads(group)),
            None => rooms.extend(head(rest)),
        }
    }
    rooms
}

fn head(path: &str) -> Option<String> {
    let end = path.find(|c: char| !c.is_alphanumeric() && c != '_');
    let name = &path[..end.unwrap_or(path.len())];
    (!name.is_empty()).then(|| name.to_owned())
}

/// The first names of a group, up to its closing brace.
fn heads(group: &str) -> Vec<String> {
    let mut heads = Vec::new();
    let mut depth = 0;
    let mut begins = true;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => begins = true,
            c if begins && !c.is_whitespace() => {
                heads.extend(head(&group[at..]));
                begins = false;
            }
            _ => {}
        }
    }
    heads
}

#[test]
fn imports_are_read_as_rust_reads_them() {
    let code = "use crate::{\n api::{A, b::C}, core::x,\n};\nuse crate::ops;\nfn f() { crate::cognito::g() }";
    let rooms: Vec<_> = imported(code).into_iter().collect();
    assert_eq!(rooms, ["api", "cognito", "core", "ops"]);
}

#[test]
fn imports_point_inward_only() {
    for source in sources() {
        let Some((_, allowed)) = ROOMS.iter().find(|(room, _)| *room == source.room) else {
            let outside = ["lib", "main"].contains(&source.room.as_str());
            assert!(outside, "{} is in no room", source.path.display());
            continue;
        };
        for room in imported(&source.code) {
            assert!(
                room == source.room || allowed.contains(&room.as_str()),
                "{} imports {room}, but {} may import {allowed:?} only",
                source.path.display(),
                source.room,
            );
        }
    }
}

#[test]
fn the_core_does_no_io_and_reads_no_clock() {
    for source in sources().iter().filter(|source| source.room == "core") {
        for word in NOT_IN_CORE {
            assert!(
                !source.code.contains(word),
                "{} has `{word}` in it",
                source.path.display()
            );
        }
    }
}

#[test]
fn only_the_door_to_aws_knows_the_sdk() {
    for source in sources() {
        let door =
            source.path.starts_with("cognito/aws") || source.path == Path::new("cognito/aws.rs");
        let imports = ["use aws_", "aws_sdk_", "aws_config::", "aws_smithy_"];
        let knows = imports.iter().any(|import| source.code.contains(import));
        let log = source.path == Path::new("ops/logging.rs"); // names them to cap their log
        assert!(
            door || log || !knows,
            "{} imports the SDK",
            source.path.display()
        );
    }
}

#[test]
fn status_has_one_writer() {
    let writers: Vec<_> = sources()
        .into_iter()
        .filter(|source| {
            source.code.contains("patch_status") || source.code.contains("replace_status")
        })
        .map(|source| source.path)
        .collect();
    assert_eq!(writers, [Path::new("cluster/status.rs")]);
}
