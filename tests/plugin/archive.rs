//! The archive: its files, and that the same binary makes the same bytes.

use super::{PLUGIN, Packed, VERSION, platform, program_at};
use crate::support::tools::checkout;
use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fs::{self, File, Permissions},
    io::Read,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Command,
    time::SystemTime,
};
use tar::Archive;

/// Each file's mode and content, by name.
fn files(archive: &Path) -> BTreeMap<String, (u32, Vec<u8>)> {
    let mut files = BTreeMap::new();
    let file = File::open(archive).expect("the archive exists");
    for entry in Archive::new(GzDecoder::new(file)).entries().expect("a tar") {
        let mut entry = entry.expect("an entry");
        let header = entry.header();
        assert!(header.entry_type().is_file(), "{header:?}");
        let numbers = (header.uid().ok(), header.gid().ok(), header.mtime().ok());
        assert_eq!(numbers, (Some(0), Some(0), Some(0)), "{header:?}");
        let names = (header.username(), header.groupname());
        assert_eq!(names, (Ok(Some("")), Ok(Some(""))), "{header:?}");
        let mode = header.mode().expect("a mode");
        let name = entry.path().expect("a path").display().to_string();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("a whole file");
        files.insert(name, (mode, content));
    }
    files
}

#[test]
fn it_has_the_program_its_license_and_what_completes_its_arguments() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let program = program_at(&folder.path().join("program"));
    let packed = Packed::of(&program, &platform());
    let mut files = files(&packed.archive);
    for (name, mode, content) in [
        ("kubectl-cognito_password", 0o755, &program),
        (
            "kubectl_complete-cognito_password",
            0o755,
            &checkout().join("plugin/kubectl_complete-cognito_password"),
        ),
        ("LICENSE", 0o644, &checkout().join("LICENSE")),
        ("README.md", 0o644, &checkout().join("plugin/README.md")),
    ] {
        let found = files.remove(name).unwrap_or_else(|| panic!("no {name}"));
        assert_eq!(found.0, mode, "{name}");
        assert!(
            found.1 == fs::read(content).expect("a file"),
            "{name} isn't {content:?}"
        );
    }
    for (shell, name) in [
        ("bash", "kubectl-cognito_password.bash"),
        ("fish", "kubectl-cognito_password.fish"),
        ("zsh", "_kubectl-cognito_password"),
    ] {
        let printed = Command::new(PLUGIN)
            .args(["completion", shell])
            .output()
            .expect("the plugin runs");
        assert!(!printed.stdout.is_empty(), "{shell}");
        let found = files.remove(&format!("completion/{name}")).expect(name);
        assert_eq!(found, (0o644, printed.stdout), "{name}");
    }
    assert!(
        files.is_empty(),
        "not documented: {:?}",
        files.keys().collect::<Vec<_>>()
    );
}

#[test]
fn the_same_binary_makes_the_same_bytes_and_its_checksum_is_beside_it() {
    let one = Packed::new();
    // Another name, another time, and other rights.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let program = program_at(&folder.path().join("another program"));
    let mode = Permissions::from_mode(0o555);
    fs::set_permissions(&program, mode).expect("its owner may");
    let long_ago = File::options().read(true).open(&program).expect("a file");
    long_ago
        .set_modified(SystemTime::UNIX_EPOCH)
        .expect("its owner may");
    let two = Packed::of(&program, &platform());
    let bytes = fs::read(&one.archive).expect("an archive");
    assert!(bytes == fs::read(&two.archive).expect("an archive"));

    let name = format!("kubectl-cognito_password-{VERSION}-{}.tar.gz", platform());
    let digest = Sha256::digest(&bytes);
    let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let digits = digits.filter_map(|digit| char::from_digit(digit.into(), 16));
    let digest: String = digits.collect();
    let beside = fs::read_to_string(two.file(&format!("{name}.sha256"))).expect("a checksum");
    assert_eq!(beside, format!("{digest}  {name}\n"));
}
