//! The script for measurements on AWS, with a command `aws` that answers in AWS's place: whose account the script
//! uses, and that nothing stays.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const ACCOUNT: &str = "111122223333";

/// Answers `sts get-caller-identity` and `cognito-idp create-user-pool`; refuses every other call but
/// `delete-user-pool`. Writes each operation into the file `calls`.
const AWS: &str = r#"#!/bin/sh
echo "$1 $2" >>"$CALLS"
case $2 in
  get-caller-identity) echo 111122223333 ;;
  create-user-pool) echo '{"UserPool": {"Id": "eu-west-1_AbCdEf123"}}' ;;
  delete-user-pool) ;;
  *) printf '\nAn error occurred (InternalErrorException) when calling the X operation: no\n' >&2; exit 254 ;;
esac
"#;

struct Scene {
    folder: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let aws = folder.path().join("aws");
        fs::write(&aws, AWS).expect("the folder can be written");
        fs::set_permissions(&aws, fs::Permissions::from_mode(0o755)).expect("the file is ours");
        // The script only asks whether jq is there, and calls jq once before the first refusal.
        let jq = folder.path().join("jq");
        fs::write(&jq, "#!/bin/sh\necho eu-west-1_AbCdEf123\n").expect("a file");
        fs::set_permissions(&jq, fs::Permissions::from_mode(0o755)).expect("the file is ours");
        Self { folder }
    }

    fn calls_file(&self) -> PathBuf {
        self.folder.path().join("calls")
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/aws/facts.sh");
        Command::new("bash")
            .arg(script)
            .args(arguments)
            .env_clear()
            .env(
                "PATH",
                format!("{}:/usr/bin:/bin", self.folder.path().display()),
            )
            .env("TMPDIR", self.folder.path())
            .env("CALLS", self.calls_file())
            .env("AWS_REGION", "eu-west-1")
            .output()
            .expect("bash can be started")
    }

    /// The operations that the script has called.
    fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.calls_file()).unwrap_or_default();
        calls.lines().map(str::to_owned).collect()
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn without_the_accounts_id_the_script_names_the_account_and_makes_nothing() {
    let scene = Scene::new();
    let output = scene.run(&[]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let hint = format!("--yes-this-account {ACCOUNT}");
    assert!(stderr(&output).contains(&hint), "{output:?}");
    assert_eq!(scene.calls(), ["sts get-caller-identity"]);
}

#[test]
fn with_credentials_of_another_account_the_script_makes_nothing() {
    let scene = Scene::new();
    let output = scene.run(&["--yes-this-account", "444455556666"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(stderr(&output).contains(ACCOUNT), "{output:?}");
    assert_eq!(scene.calls(), ["sts get-caller-identity"]);
}

#[test]
fn after_a_failure_the_script_deletes_its_pool_and_its_files() {
    let scene = Scene::new();
    let output = scene.run(&["--yes-this-account", ACCOUNT]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(
        stderr(&output).contains("InternalErrorException: no"),
        "{output:?}"
    );
    let wanted = [
        "sts get-caller-identity",
        "cognito-idp create-user-pool",
        "cognito-idp create-user-pool-client",
        "cognito-idp delete-user-pool",
    ];
    assert_eq!(scene.calls(), wanted);
    // Requests with passwords were in a folder of the script's own.
    let left = fs::read_dir(scene.folder.path()).expect("the folder is there");
    let mut left: Vec<_> = left
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["aws", "calls", "jq"]);
}
