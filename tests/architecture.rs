//! Checks the imports between the modules of `src`: which folder may import which, no circle between files,
//! and the names that the core and the two ports may use.

#[path = "architecture/imports.rs"]
mod imports;

use imports::{File, files};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::Path,
};

/// Each folder or file of `src` with rules of its own, and the modules that its files may import. A file
/// belongs to the innermost entry of the list. No entry imports an entry below itself.
const ROOMS: &[(&str, &[&str])] = &[
    ("api", &[]),
    // Three small files that need nothing: the clock's resolution, legible text, and words for ages and counts.
    ("core", &[]),
    ("core::names", &["core"]),
    ("core::credential", &["core::names"]),
    ("core::condition", &["api", "core"]),
    (
        "core::access",
        &[
            "api",
            "core",
            "core::condition",
            "core::credential",
            "core::names",
        ],
    ),
    ("core::schedule", &["core"]),
    ("core::look", &["api"]),
    (
        "core::protocol",
        &[
            "api",
            "core",
            "core::access",
            "core::condition",
            "core::credential",
            "core::look",
            "core::names",
            "core::schedule",
        ],
    ),
    (
        "core::checkup",
        &["api", "core", "core::access", "core::names"],
    ),
    (
        "core::ask",
        &[
            "api",
            "core",
            "core::checkup",
            "core::protocol",
            "core::schedule",
        ],
    ),
    (
        "core::grants",
        &[
            "api",
            "core",
            "core::access",
            "core::checkup",
            "core::names",
        ],
    ),
    (
        "core::explain",
        &["api", "core::access", "core::checkup", "core::condition"],
    ),
    ("core::report", &["core", "core::checkup"]),
    (
        "core::doctor",
        &[
            "api",
            "core",
            "core::access",
            "core::checkup",
            "core::credential",
            "core::names",
            "core::protocol",
        ],
    ),
    ("ops", &["api"]),
    (
        "cognito",
        &[
            "core",
            "core::access",
            "core::credential",
            "core::look",
            "core::names",
            "core::protocol",
        ],
    ),
    ("cluster::client", &["core"]),
    (
        "cluster::election",
        &["api", "cluster::client", "core::schedule"],
    ),
    (
        "cluster::watch",
        &["api", "cluster::client", "core::protocol"],
    ),
    (
        "cluster",
        &[
            "api",
            "cluster::client",
            "cluster::election",
            "cluster::watch",
            "core",
            "core::access",
            "core::ask",
            "core::checkup",
            "core::credential",
            "core::grants",
            "core::doctor",
            "core::names",
            "core::protocol",
        ],
    ),
    (
        "controller::state",
        &[
            "api",
            "cluster::watch",
            "core::access",
            "core::condition",
            "core::look",
            "core::names",
            "core::protocol",
        ],
    ),
    ("controller::isolate", &["ops"]),
    (
        "controller::schedule",
        &[
            "cognito",
            "controller::isolate",
            "controller::state",
            "core::access",
            "core::credential",
            "core::names",
            "core::protocol",
            "core::schedule",
            "ops",
        ],
    ),
    (
        "controller::context",
        &[
            "api",
            "cluster",
            "cluster::election",
            "cognito",
            "controller::isolate",
            "controller::schedule",
            "controller::state",
            "core::access",
            "core::credential",
            "core::schedule",
            "ops",
        ],
    ),
    (
        "controller::calls",
        &[
            "api",
            "cognito",
            "controller::context",
            "controller::schedule",
            "core::protocol",
            "ops",
        ],
    ),
    (
        "controller::reconcile",
        &[
            "api",
            "cluster",
            "cluster::client",
            "cognito",
            "controller::calls",
            "controller::context",
            "controller::schedule",
            "controller::state",
            "core::access",
            "core::condition",
            "core::credential",
            "core::look",
            "core::names",
            "core::protocol",
            "core::schedule",
            "ops",
        ],
    ),
    (
        "controller::look",
        &[
            "api",
            "cluster",
            "cognito",
            "controller::calls",
            "controller::context",
            "controller::isolate",
            "controller::reconcile",
            "controller::schedule",
            "controller::state",
            "core::access",
            "core::condition",
            "core::credential",
            "core::look",
            "core::names",
            "core::protocol",
            "core::schedule",
            "ops",
        ],
    ),
    (
        "controller::report",
        &[
            "api",
            "cluster",
            "cluster::client",
            "cognito",
            "controller::context",
            "controller::isolate",
            "controller::reconcile",
            "controller::schedule",
            "controller::state",
            "core::access",
            "core::protocol",
        ],
    ),
    (
        "controller::watch",
        &[
            "api",
            "cluster",
            "cluster::watch",
            "cognito",
            "controller::context",
            "controller::isolate",
            "controller::reconcile",
            "controller::schedule",
            "controller::state",
            "core::protocol",
            "ops",
        ],
    ),
    (
        "controller::measure",
        &[
            "cognito",
            "controller::context",
            "controller::state",
            "core::access",
            "core::schedule",
            "ops",
        ],
    ),
    (
        "controller",
        &[
            "cluster::watch",
            "cognito",
            "controller::context",
            "controller::look",
            "controller::measure",
            "controller::reconcile",
            "controller::report",
            "controller::schedule",
            "controller::state",
            "controller::watch",
            "ops",
        ],
    ),
    (
        "run",
        &[
            "api",
            "cluster",
            "cluster::client",
            "cluster::election",
            "cluster::watch",
            "cognito",
            "controller",
            "controller::context",
            "core::access",
            "core::credential",
            "ops",
        ],
    ),
    (
        "command",
        &[
            "api",
            "cluster",
            "cluster::client",
            "core::ask",
            "core::checkup",
            "core",
            "core::access",
            "core::checkup",
            "core::explain",
            "core::grants",
            "core::names",
            "core::report",
            "core::doctor",
        ],
    ),
    (
        "cli",
        &[
            "api",
            "cluster",
            "command",
            "core::access",
            "core::schedule",
            "ops",
            "run",
        ],
    ),
    ("main", &["cli"]),
    ("plugin", &["cli"]),
    ("lib", &[]),
];

/// Names that the core may not use: I/O, a runtime, a clock, randomness.
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

fn room(module: &str) -> &'static str {
    let holds = |room: &str| module == room || module.starts_with(&format!("{room}::"));
    let rooms = ROOMS.iter().map(|(room, _)| *room);
    let innermost = rooms
        .filter(|room| holds(room))
        .max_by_key(|room| room.len());
    innermost.unwrap_or_else(|| panic!("{module} is in no room"))
}

/// The entries that the files of an entry import, each with one importing file.
fn imports() -> BTreeMap<&'static str, BTreeMap<&'static str, String>> {
    let mut found: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
    for file in files() {
        let from = room(&file.module);
        for import in &file.imports {
            let to = room(import);
            if from != to {
                let path = file.path.display().to_string();
                found.entry(from).or_default().insert(to, path);
            }
        }
    }
    found
}

#[test]
fn a_room_imports_only_what_the_map_allows() {
    let mut found = imports();
    for (room, allowed) in ROOMS {
        if let Some(found) = found.get_mut(room) {
            found.retain(|import, _| !allowed.contains(import));
        }
    }
    found.retain(|_, imports| !imports.is_empty());
    assert!(found.is_empty(), "not on the map: {found:#?}");
}

#[test]
fn the_map_says_no_more_than_there_is() {
    let found = imports();
    for (room, allowed) in ROOMS {
        for import in *allowed {
            let is_imported = found
                .get(room)
                .is_some_and(|found| found.contains_key(import));
            assert!(is_imported, "no file of {room} imports {import}");
        }
    }
}

#[test]
fn no_room_imports_one_that_is_listed_below_it() {
    let place = |room: &str| ROOMS.iter().position(|(other, _)| *other == room);
    for (room, allowed) in ROOMS {
        for import in *allowed {
            assert!(
                place(import) < place(room),
                "{import} is listed below {room}"
            );
        }
    }
}

#[test]
fn no_file_imports_itself_by_way_of_others() {
    let files = files();
    let circles: Vec<_> = files
        .iter()
        .filter_map(|file| way_back(&files, &file.module))
        .map(|way| way.join(" -> "))
        .collect();
    assert!(circles.is_empty(), "{circles:#?}");
}

/// The shortest path over imports from a module back to the same module.
fn way_back(files: &[File], module: &str) -> Option<Vec<String>> {
    let imports: BTreeMap<&str, &BTreeSet<String>> = files
        .iter()
        .map(|file| (file.module.as_str(), &file.imports))
        .collect();
    let mut ways = VecDeque::from([vec![module.to_owned()]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        let last = way.last()?.as_str();
        for next in imports.get(last).into_iter().copied().flatten() {
            let mut way = way.clone();
            way.push(next.clone());
            if next == module {
                return Some(way);
            }
            if seen.insert(next.clone()) {
                ways.push_back(way);
            }
        }
    }
    None
}

#[test]
fn the_core_does_no_io_and_reads_no_clock() {
    for file in files().iter().filter(|file| file.path.starts_with("core")) {
        for word in NOT_IN_CORE {
            assert!(
                !file.code.contains(word),
                "{} has `{word}` in it",
                file.path.display()
            );
        }
    }
}

#[test]
fn only_the_door_to_aws_knows_the_sdk() {
    for file in files() {
        let is_door =
            file.path.starts_with("cognito/aws") || file.path == Path::new("cognito/aws.rs");
        let imports = ["use aws_", "aws_sdk_", "aws_config::", "aws_smithy_"];
        let knows = imports.iter().any(|import| file.code.contains(import));
        let is_log = file.path == Path::new("ops/logging.rs"); // names them to cap their log
        assert!(
            is_door || is_log || !knows,
            "{} imports the SDK",
            file.path.display()
        );
    }
}

#[test]
fn status_has_one_writer() {
    let patches =
        |file: &File| file.code.contains("patch_status") || file.code.contains("replace_status");
    let writers: Vec<_> = files()
        .into_iter()
        .filter(patches)
        .map(|file| file.path)
        .collect();
    assert_eq!(writers, [Path::new("cluster/status.rs")]);
}
