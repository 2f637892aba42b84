//! The process has a password in memory between the read and the call. No other process can read that memory.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use serde_json::json;

use super::super::closed_port::ClosedPort;
use super::super::world::{SOON, World};
use super::marker;
use super::parts::{HELD, Parts};
use crate::support::{Exit, Process, Signal, Spec, eventually, scratch, search};

/// The kernel makes the files in /proc owned by root for a process that other processes may not inspect
/// (proc(5): `PR_SET_DUMPABLE`), although the process belongs to another user.
#[tokio::test(flavor = "multi_thread")]
async fn processes_of_the_same_user_cannot_read_the_operators_memory_and_no_core_file_is_written() {
    // A directory that a user without rights can enter.
    let directory = tempfile::Builder::new()
        .prefix("cognito-password-operator-open-")
        .permissions(std::fs::Permissions::from_mode(0o755))
        .tempdir()
        .expect("a temporary directory");
    let binary = directory.path().join("operator");
    std::fs::copy(env!("CARGO_BIN_EXE_cognito-password-operator"), &binary).expect("a copy");
    let closed_port = ClosedPort::reserve();
    let kubeconfig = directory.path().join("kubeconfig");
    let nowhere = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{ "name": "test", "cluster": {
            "server": format!("https://{}", closed_port.address()), "insecure-skip-tls-verify": true,
        } }],
        "users": [{ "name": "test", "user": { "token": "none" } }],
        "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test" } }],
    });
    std::fs::write(&kubeconfig, nowhere.to_string()).expect("a file");
    let port = ClosedPort::reserve().address().port();

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
    // A process without the operator's precautions, for comparison.
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
    // No process of the same user can raise the limit again.
    let raise = "import resource, sys
pid = int(sys.argv[1])
print('it may look:', resource.prlimit(pid, resource.RLIMIT_CORE), flush=True)
resource.prlimit(pid, resource.RLIMIT_CORE, (-1, -1))";
    let raise = as_nobody("raise", Path::new("/usr/bin/env"))
        .args(["python3", "-c", raise, &operator.pid().to_string()])
        .spawn();
    let raised = raise.ended(SOON).await;
    assert_eq!(raised, Ok(Exit::Code(1)), "{}", raise.logs());
    for said in ["it may look: (0, 0)", "PermissionError"] {
        assert!(raise.logs().contains(said), "{}", raise.logs());
    }
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", operator.pid()));
    let limits = limits.expect("it runs");
    let core = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max core file size"));
    let core: Vec<_> = core.into_iter().flat_map(str::split_whitespace).collect();
    assert_eq!(core[..2], ["0", "0"], "{limits}");

    operator.signal(Signal::TERM);
    let exit = operator.ended(SOON).await;
    assert_eq!(exit, Ok(Exit::Code(0)), "{}", operator.logs());
}

/// A process has a password in two forms: as base64, in the reply of the API server, of which libraries have
/// copies; and as plain text, only in the operator's own type. (The parts here have no SDK with further
/// copies.)
#[tokio::test(flavor = "multi_thread")]
async fn after_the_call_no_memory_of_the_process_holds_the_password() {
    let world = World::new("zeroized").await;
    // A password of the maximum length, which no later allocation overwrites completely.
    let part = marker("");
    let value = part.repeat(256 / part.chars().count());
    world.apply_secret(HELD, "password", &value).await;
    world.apply_resource(HELD, |_| ()).await;
    let parts = Parts::start(&world);
    let values = [part.into_bytes()].into();
    let held = || {
        let memory = memory_of(&parts.process);
        let mut found = search(&[("memory", memory)], &values);
        found.retain(|leak| !leak.spelling.starts_with("base64"));
        let found = found.iter().map(ToString::to_string);
        found.collect::<Vec<_>>()
    };
    eventually(SOON, async || {
        let logs = parts.process.logs();
        let is_called = logs.contains("calling AdminSetUserPassword");
        is_called.then_some(()).ok_or(logs)
    })
    .await;
    assert_ne!(held(), [""; 0], "it is needed for the call");
    parts.release();
    world.wait(HELD, "True", "PasswordSet").await;
    assert_eq!(held(), [""; 0]);
}

/// All writable memory of the process.
fn memory_of(process: &Process) -> Vec<u8> {
    let of = |file: &str| format!("/proc/{}/{file}", process.pid());
    let maps = std::fs::read_to_string(of("maps")).expect("it runs");
    let mut memory = File::open(of("mem")).expect("this one hides nothing");
    let mut read = Vec::new();
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let address = |text: &str| u64::from_str_radix(text, 16).expect("an address");
        let range = line.split(' ').next().unwrap_or_default().split_once('-');
        let (from, to) = range.expect("from-to");
        let (from, to) = (address(from), address(to));
        memory.seek(SeekFrom::Start(from)).expect("a place in it");
        // The process goes on running, so a range may be gone by now.
        let _ = (&mut memory).take(to - from).read_to_end(&mut read);
    }
    read
}

/// Runs a program as a user other than root, whoever runs the tests.
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
