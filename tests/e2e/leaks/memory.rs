//! A password is in the process's memory between the read and the call: nobody else gets at it.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::super::gate::Gate;
use super::super::world::SOON;
use crate::support::{Exit, Process, Signal, Spec, eventually, scratch};

/// Owned by root although the process is somebody else's: so the kernel marks who may not be looked
/// at (proc(5): `PR_SET_DUMPABLE`).
#[tokio::test(flavor = "multi_thread")]
async fn others_of_the_same_user_cant_read_its_memory_and_there_is_no_core_file() {
    // Where a user without rights gets at it.
    let directory = tempfile::Builder::new()
        .prefix("cognito-password-operator-open-")
        .permissions(std::fs::Permissions::from_mode(0o755))
        .tempdir()
        .expect("a temporary directory");
    let binary = directory.path().join("operator");
    std::fs::copy(env!("CARGO_BIN_EXE_cognito-password-operator"), &binary).expect("a copy");
    let gate = Gate::closed();
    let kubeconfig = directory.path().join("kubeconfig");
    let nowhere = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{ "name": "test", "cluster": {
            "server": format!("https://{}", gate.address()), "insecure-skip-tls-verify": true,
        } }],
        "users": [{ "name": "test", "user": { "token": "none" } }],
        "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test" } }],
    });
    std::fs::write(&kubeconfig, nowhere.to_string()).expect("a file");
    let port = Gate::closed().address().port();

    let started = |process: &Process| {
        let started = process.logs().contains("started");
        started.then_some(()).ok_or_else(|| process.logs())
    };
    let operator = as_nobody("operator", &binary)
        .args(["run", "--operator-namespace", "nowhere", "--listen"])
        .arg(format!("127.0.0.1:{port}"))
        .clean_env()
        .env("KUBECONFIG", kubeconfig.to_string_lossy())
        .spawn();
    eventually(SOON, async || started(&operator)).await;
    // The same without the operator's precautions.
    let other = as_nobody("other", Path::new("/bin/sh"))
        .args(["-c", "echo started; exec sleep 1000"])
        .spawn();
    eventually(SOON, async || started(&other)).await;

    let user = |process: &Process| {
        let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid()));
        let status = status.expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("Uid:"));
        let id = line.and_then(|line| line.split_whitespace().next());
        id.and_then(|id| id.parse::<u32>().ok()).expect("a user id")
    };
    let owner = |process: &Process, file: &str| {
        let path = format!("/proc/{}/{file}", process.pid());
        std::fs::metadata(path).expect("it runs").uid()
    };
    for file in ["mem", "environ", "maps", "fd"] {
        assert_ne!(user(&operator), 0);
        assert_eq!(owner(&operator, file), 0, "{file} is nobody's to read");
        assert_eq!(owner(&other, file), user(&other), "{file}: as is usual");
    }
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", operator.pid()));
    let limits = limits.expect("it runs");
    let core = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max core file size"));
    let core: Vec<_> = core.into_iter().flat_map(str::split_whitespace).collect();
    assert_eq!(core[..2], ["0", "0"], "{limits}");

    operator.signal(Signal::TERM);
    let exit = operator.ended(Duration::from_secs(10)).await;
    assert_eq!(exit, Ok(Exit::Code(0)), "{}", operator.logs());
}

/// As a user who isn't root, whoever runs the tests.
fn as_nobody(name: &str, program: &Path) -> Spec {
    const DROP: &str = "import os, sys
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
os.execv(sys.argv[1], sys.argv[1:])";
    Spec::new(name, Path::new("python3"), scratch(name).join("log"))
        .args(["-c", DROP])
        .arg(program.to_string_lossy())
}
