//! The plugin of kubectl as people get it: the archive and its checksum, krew's manifest, completion by kubectl, the
//! help, and the keys for k9s.
#![cfg(unix)]

#[path = "../support/mod.rs"]
mod support;

mod api;
mod archive;
mod completion;
mod dependencies;
mod ends;
mod help;
mod k9s;
mod krew;

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use support::tools::checkout;

/// The plugin of this test run. The archive has another build of the same code.
const PLUGIN: &str = env!("CARGO_BIN_EXE_kubectl-cognito_password");

const VERSION: &str = concat!("v", env!("CARGO_PKG_VERSION"));

fn read(path: &str) -> String {
    std::fs::read_to_string(checkout().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// A folder with the archive that `plugin/pack.py` made of a program, and what is beside the archive.
struct Packed {
    folder: tempfile::TempDir,
    archive: PathBuf,
}

impl Packed {
    /// Packs a program that runs [`PLUGIN`]. The plugin itself, with its debug information, would take minutes.
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let program = folder.path().join("program");
        Self::of(&program_at(&program), &platform())
    }

    /// Packs the program at this path.
    fn of(binary: &Path, platform: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let packed = Command::new("python3")
            .arg(checkout().join("plugin/pack.py"))
            .args([binary.as_os_str(), platform.as_ref()])
            .arg(folder.path())
            .env_remove("RELEASES")
            .output()
            .expect("python3 runs");
        assert!(packed.status.success(), "{}", text(&packed));
        let name = format!("kubectl-cognito_password-{VERSION}-{platform}.tar.gz");
        let archive = folder.path().join(name);
        Self { folder, archive }
    }

    /// A file beside the archive.
    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// Writes a program that runs [`PLUGIN`].
fn program_at(path: &Path) -> PathBuf {
    fs::write(path, format!("#!/bin/sh\nexec '{PLUGIN}' \"$@\"\n")).expect("a file");
    fs::set_permissions(path, Permissions::from_mode(0o700)).expect("its owner may");
    path.to_owned()
}

/// The platform of this test run, in krew's words.
fn platform() -> String {
    let system = match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    };
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("{system}-{architecture}")
}

/// What a program printed, for a failure's message.
fn text(output: &Output) -> String {
    format!(
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
