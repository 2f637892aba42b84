//! The status of objects for Flux and Helm, by the real kstatus: `tests/tools/kstatus`.

use std::io::Write;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use super::tools::{self, Tool};

/// The result of kstatus for an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) enum Kstatus {
    InProgress,
    Current,
    Failed,
    Terminating,
    NotFound,
    Unknown,
}

/// The verdicts of one object: by the library of Flux and Helm, and by the library of kubectl's kin.
#[derive(Debug, Deserialize)]
struct Verdicts {
    flux: Verdict,
    sigs: Verdict,
}

#[derive(Debug, Deserialize)]
struct Verdict {
    status: Kstatus,
}

/// The kstatus of each object, in the same order. Panics if the two libraries disagree.
pub(crate) fn kstatus_of(objects: &[impl Serialize]) -> Vec<Kstatus> {
    let mut lines = Vec::new();
    for object in objects {
        serde_json::to_writer(&mut lines, object).expect("an object is JSON");
        lines.push(b'\n');
    }
    let mut child = Command::new(tools::path(Tool::Kstatus))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap_or_else(|error| panic!("could not start kstatus: {error}"));
    let mut stdin = child.stdin.take().expect("stdin is a pipe");
    // Both pipes have a limited capacity, so one thread writes while the other reads.
    let writer = std::thread::spawn(move || stdin.write_all(&lines));
    let output = child.wait_with_output().expect("kstatus was started");
    assert!(output.status.success(), "kstatus failed; see above");
    let written = writer.join().expect("writing doesn't panic");
    written.expect("kstatus reads all objects");
    let text = String::from_utf8(output.stdout).expect("kstatus prints JSON");
    let verdicts = text.lines().map(|line| {
        let verdicts: Verdicts = serde_json::from_str(line)
            .unwrap_or_else(|error| panic!("kstatus printed {line}: {error}"));
        assert_eq!(
            verdicts.flux.status, verdicts.sigs.status,
            "the two libraries disagree"
        );
        verdicts.flux.status
    });
    let verdicts: Vec<_> = verdicts.collect();
    assert_eq!(verdicts.len(), objects.len(), "one verdict per object");
    verdicts
}
