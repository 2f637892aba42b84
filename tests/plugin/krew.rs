//! krew's manifest: krew's own check of manifests, an installation by krew, and the rules that only reviewers of
//! krew's index check.

use super::{Packed, VERSION, platform, program_at, read, text};
use crate::support::tools::{Tool, checkout, path};
use serde_json::Value;
use std::{fs, process::Command};

/// krew's platforms of the plugin.
const PLATFORMS: [&str; 4] = ["linux-amd64", "linux-arm64", "darwin-amd64", "darwin-arm64"];

fn manifest(packed: &Packed) -> Value {
    let text = fs::read_to_string(packed.file("cognito-password.yaml")).expect("a manifest");
    serde_saphyr::from_str(&text).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

fn platform_of(entry: &Value) -> String {
    let labels = &entry["selector"]["matchLabels"];
    let part = |name: &str| labels[name].as_str().expect("a label").to_owned();
    format!("{}-{}", part("os"), part("arch"))
}

/// Checks by krew's own program, which krew's index runs for each change.
fn validate(packed: &Packed) {
    let checked = Command::new(path(Tool::ValidateKrewManifest))
        .args(["-skip-install", "-manifest"])
        .arg(packed.file("cognito-password.yaml"))
        .output()
        .expect("the check runs");
    assert!(checked.status.success(), "{}", text(&checked));
}

#[test]
fn the_manifest_names_only_what_was_built_with_its_checksum() {
    let packed = Packed::new();
    validate(&packed);
    let manifest = manifest(&packed);
    assert_eq!(manifest["metadata"]["name"], "cognito-password");
    assert_eq!(manifest["spec"]["version"], VERSION);
    let platforms = manifest["spec"]["platforms"].as_array().expect("a list");
    let [built] = &platforms[..] else {
        panic!("one was built: {platforms:?}");
    };
    assert_eq!(platform_of(built), platform());
    assert_eq!(built["bin"], "kubectl-cognito_password");
    let name = packed
        .archive
        .file_name()
        .expect("a name")
        .to_string_lossy();
    let uri = built["uri"].as_str().expect("a URL");
    assert!(
        uri.starts_with("https://") && uri.ends_with(&format!("/{VERSION}/{name}")),
        "{uri}"
    );
    let checksum = fs::read_to_string(packed.file(&format!("{name}.sha256"))).expect("a checksum");
    assert_eq!(built["sha256"].as_str(), checksum.split(' ').next());
}

#[test]
fn with_all_four_archives_the_manifest_has_all_four() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let program = program_at(&folder.path().join("program"));
    let packed = Packed::of(&program, PLATFORMS[0]);
    for platform in &PLATFORMS[1..] {
        let name = format!("kubectl-cognito_password-{VERSION}-{platform}.tar.gz");
        fs::write(packed.file(&name), platform).expect("a file");
    }
    let again = Command::new("python3")
        .arg(checkout().join("plugin/pack.py"))
        .args([program.as_os_str(), PLATFORMS[0].as_ref()])
        .arg(packed.folder.path())
        .env("RELEASES", "https://dl.example.org/cpo/")
        .output()
        .expect("python3 runs");
    assert!(again.status.success(), "{}", text(&again));
    validate(&packed);
    let manifest = manifest(&packed);
    let platforms = manifest["spec"]["platforms"].as_array().expect("a list");
    let named: Vec<_> = platforms.iter().map(platform_of).collect();
    assert_eq!(named, PLATFORMS);
    for (entry, platform) in platforms.iter().zip(PLATFORMS) {
        let url = format!(
            "https://dl.example.org/cpo/{VERSION}/kubectl-cognito_password-{VERSION}-{platform}.tar.gz"
        );
        assert_eq!(entry["uri"], url);
    }
}

#[test]
fn the_descriptions_follow_krews_naming_and_style_guides() {
    let packed = Packed::new();
    let manifest = manifest(&packed);
    let said = |field: &str| manifest["spec"][field].as_str().expect("text").to_owned();
    let short = said("shortDescription");
    assert!(short.chars().count() <= 50, "{short}");
    let needless = ["Kubernetes", "kubectl", "plugin"];
    assert!(
        needless.iter().all(|word| !short.contains(word)) && !short.ends_with('.'),
        "{short}"
    );
    // Examples belong into --help.
    let description = said("description");
    assert!(
        !description.contains("kubectl cognito-password"),
        "{description}"
    );
    for line in description.lines().chain(said("caveats").lines()) {
        assert!(line.chars().count() <= 80, "{line}");
    }
    assert!(said("homepage").starts_with("https://"));
    // Nothing of the template is left over.
    let text = fs::read_to_string(packed.file("cognito-password.yaml")).expect("a manifest");
    assert!(!text.contains("{{") && !text.contains('#'), "{text}");
    assert!(read(".krew.yaml").contains("{{ .TagName }}"));
}

#[test]
fn krew_installs_the_archive_and_kubectl_finds_the_plugin() {
    let packed = Packed::new();
    let root = packed.file("krew");
    let installed = Command::new(path(Tool::Krew))
        .arg("install")
        .arg(format!(
            "--manifest={}",
            packed.file("cognito-password.yaml").display()
        ))
        .arg(format!("--archive={}", packed.archive.display()))
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .env("HOME", packed.folder.path())
        .env("KREW_ROOT", &root)
        .output()
        .expect("krew runs");
    assert!(installed.status.success(), "{}", text(&installed));
    let said = Command::new(path(Tool::Kubectl))
        .args(["cognito-password", "--version"])
        .env_clear()
        .env("HOME", packed.folder.path())
        .env("PATH", root.join("bin"))
        .output()
        .expect("kubectl runs");
    let version = format!("kubectl-cognito_password {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(
        String::from_utf8_lossy(&said.stdout),
        version,
        "{}",
        text(&said)
    );
}
