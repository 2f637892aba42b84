//! The promises of the image: a static binary that needs no other file, on a read-only file system; and
//! deploy/ names the image that `make image` builds.
#![cfg(target_os = "linux")]

use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// For durations that no test measures, on a busy machine.
const SOON: Duration = Duration::from_mins(2);

const BINARY: &str = env!("CARGO_BIN_EXE_cognito-password-operator");

/// The binary's path in the image; see image/Containerfile.
const IN_THE_IMAGE: &str = "/cognito-password-operator";

/// The path of the CA certificates in the image, which the image also names to the TLS library.
const CA_CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Where kubelet puts the service account's token and CA.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// `make test` builds as the image is built; a plain `cargo test` makes an ordinary binary.
fn is_static_build() -> bool {
    let is_static = cfg!(target_feature = "crt-static");
    if !is_static {
        not_tested(
            "what the image promises of the binary. This is an ordinary build: `make test`, or \
             `cargo --config .cargo/static.toml test`.",
        );
    }
    is_static
}

/// Writes past the test harness, which would hide the notice.
fn not_tested(what: &str) {
    let notice = format!("\nNOT TESTED: {what}\n\n");
    let _ = std::io::stderr().write_all(notice.as_bytes());
}

#[test]
fn the_binary_has_neither_interpreter_nor_dynamic_section() {
    const PT_DYNAMIC: u32 = 2;
    const PT_INTERP: u32 = 3;

    if !is_static_build() {
        return;
    }
    let segments = segments(Path::new(BINARY));

    assert!(
        !segments.contains(&PT_INTERP),
        "{BINARY} asks for a dynamic loader: it was linked without +crt-static"
    );
    assert!(
        !segments.contains(&PT_DYNAMIC),
        "{BINARY} has a dynamic section: it was linked as a static-pie, without \
         relocation-model=static"
    );
}

#[test]
fn it_runs_where_there_is_no_other_file_and_none_can_be_written() {
    let Some(sandbox) = Sandbox::find() else {
        return;
    };
    let root = Root::with_the_binary();

    for flag in ["--version", "--help"] {
        let output = sandbox
            .command(&root, &[flag])
            .output()
            .expect("it can be started");
        assert!(output.status.success(), "{flag}: {}", describe(&output));
        assert!(!output.stdout.is_empty(), "{flag} says nothing");
    }
}

#[test]
fn without_a_cluster_it_says_so_and_ends() {
    let Some(sandbox) = Sandbox::find() else {
        return;
    };
    let root = Root::with_the_binary();
    let listen = format!("127.0.0.1:{}", free_port());

    let mut running = RunningOperator::start(
        sandbox
            .command(&root, &["run", "--listen", &listen])
            .env("POD_NAMESPACE", "cognito-password-operator"),
    );
    let status = running.wait(SOON);
    let said = running.said();

    assert!(
        status.code().is_some_and(|code| code != 0),
        "ended with {status}, not with an exit code of its own; it said:\n{said}"
    );
    assert!(!said.contains("panicked"), "it panicked:\n{said}");
    assert!(!said.trim().is_empty(), "it ended without a word");
}

#[test]
fn it_lives_and_ends_well_in_a_pods_file_system() {
    let Some(sandbox) = Sandbox::find() else {
        return;
    };
    let root = Root::with_the_binary();
    root.add_what_a_pod_has();
    let port = free_port();

    // No API server listens at the address. The operator must run all the same.
    let mut running = RunningOperator::start(
        sandbox
            .command(&root, &["run", "--listen", &format!("127.0.0.1:{port}")])
            .env("SSL_CERT_FILE", CA_CERTIFICATES)
            .env("POD_NAMESPACE", "cognito-password-operator")
            .env("KUBERNETES_SERVICE_HOST", "127.0.0.1")
            .env("KUBERNETES_SERVICE_PORT", free_port().to_string()),
    );
    running.wait_for_answer(port, "/livez", 200);
    running.wait_for_answer(port, "/readyz", 503);

    running.terminate();
    let status = running.wait(SOON);
    assert!(
        status.success(),
        "SIGTERM ended it with {status}; it said:\n{}",
        running.said()
    );
}

#[test]
fn deploy_names_the_image_that_make_image_builds() {
    let version = env!("CARGO_PKG_VERSION");
    let name = env!("CARGO_PKG_NAME");
    for (file, lines) in [
        (
            "deploy/kustomization.yaml",
            &[format!("newName: {name}"), format!("newTag: {version}")][..],
        ),
        (
            "deploy/watch-namespaces/kustomization.yaml",
            &[format!("newName: {name}"), format!("newTag: {version}")][..],
        ),
        (
            "deploy/base/kustomization.yaml",
            &[format!("app.kubernetes.io/version: {version}")][..],
        ),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let text = fs::read_to_string(&path).expect("deploy/ is part of the checkout");
        for line in lines {
            assert!(
                text.lines().any(|found| found.trim() == line),
                "{file} lacks the line `{line}`"
            );
        }
    }
}

/// The types of an ELF file's program headers, which tell what the kernel does before the first instruction.
fn segments(path: &Path) -> Vec<u32> {
    let file = File::open(path).expect("the binary can be read");
    let bytes = |offset: u64, length: usize| {
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, offset)
            .expect("the headers are whole");
        bytes
    };
    // Least significant byte first, as in the little-endian files asserted below.
    let number = |offset: u64, length: usize| {
        bytes(offset, length)
            .iter()
            .rev()
            .fold(0_u64, |number, byte| number << 8 | u64::from(*byte))
    };

    assert_eq!(
        bytes(0, 6),
        b"\x7fELF\x02\x01",
        "a 64-bit little-endian ELF file"
    );
    let (table, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    assert!(count > 0, "a program has segments");
    (0..count)
        .map(|index| number(table + index * size, 4))
        .map(|kind| u32::try_from(kind).expect("four bytes were read"))
        .collect()
}

/// Ways to run a program with a directory as its read-only root. Machines allow different ways: root may
/// mount, an ordinary user may mount in a new user namespace, and root in a container may at least chroot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sandbox {
    /// A mount namespace, which this command makes. The root is mounted read-only.
    Mounts(&'static [&'static str]),
    /// The image's user, in a root that belongs to another user.
    User,
}

impl Sandbox {
    const ALL: [Self; 3] = [
        Self::Mounts(&["unshare", "--mount"]),
        Self::Mounts(&["unshare", "--user", "--map-root-user", "--mount"]),
        Self::User,
    ];

    /// Mounts the first argument read-only, checks the mount, and executes the other arguments.
    const READ_ONLY: &'static str = r#"
        set -e
        mount --bind "$1" "$1"
        mount -o remount,bind,ro "$1"
        if touch "$1/written" 2>/dev/null; then echo "$1 can still be written" >&2; exit 1; fi
        shift
        exec "$@"
    "#;

    /// The first way that works on this machine. Without any, the tests can show nothing: a notice says so,
    /// past the test harness, which hides the output of a passing test. The binary does not fail for that.
    fn find() -> Option<Self> {
        let probe = Root::empty();
        let works = |sandbox: &Self| {
            let command = sandbox
                .chroot(probe.path(), Path::new("/"), "true", &[])
                .output();
            command.is_ok_and(|output| output.status.success())
        };
        if !is_static_build() {
            return None;
        }
        let found = Self::ALL.into_iter().find(works);
        if found.is_none() {
            not_tested(
                "whether the binary runs in an empty, read-only root. This machine allows neither a \
                 mount namespace nor a chroot; root may, or a user who may make user namespaces.",
            );
        }
        found
    }

    /// The binary in its root, with an empty environment.
    fn command(self, root: &Root, args: &[&str]) -> Command {
        self.chroot(root.path(), root.path(), IN_THE_IMAGE, args)
    }

    /// Runs a program. `read_only` is the directory that must be read-only, `root` is the root of the
    /// program.
    fn chroot(self, read_only: &Path, root: &Path, program: &str, args: &[&str]) -> Command {
        let mut words: Vec<&Path> = Vec::new();
        match self {
            Self::Mounts(unshare) => {
                words.extend(unshare.iter().map(Path::new));
                words.extend(["sh", "-c", Self::READ_ONLY, "sh"].map(Path::new));
                words.extend([read_only, Path::new("chroot")]);
            }
            Self::User => words.extend(["chroot", "--userspec=65532:65532"].map(Path::new)),
        }
        words.extend([root, Path::new(program)]);
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .args(args)
            .env_clear()
            // unshare, mount and chroot are found by `PATH`.
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            // No AWS identity, wherever the tests run.
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }
}

/// A root directory made by the test.
#[derive(Debug)]
struct Root(tempfile::TempDir);

impl Root {
    /// In the target directory, where the binary can be linked rather than copied.
    fn empty() -> Self {
        let directory = tempfile::Builder::new()
            .prefix("root-")
            .permissions(Permissions::from_mode(0o755))
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .expect("the target directory can be written");
        Self(directory)
    }

    fn with_the_binary() -> Self {
        let root = Self::empty();
        let binary = root.at(IN_THE_IMAGE);
        fs::hard_link(BINARY, &binary)
            .or_else(|_| fs::copy(BINARY, &binary).map(drop))
            .expect("the binary can be linked or copied");
        root
    }

    /// Adds the other files of the image, and the files that kubelet mounts.
    fn add_what_a_pod_has(&self) {
        let ca = rcgen::generate_simple_self_signed(["kubernetes".to_owned()])
            .expect("a certificate can be made")
            .cert
            .pem();
        self.add(CA_CERTIFICATES, &ca);
        self.add(&format!("{SERVICE_ACCOUNT}/ca.crt"), &ca);
        self.add(&format!("{SERVICE_ACCOUNT}/token"), "not-a-token");
        self.add(&format!("{SERVICE_ACCOUNT}/namespace"), "a-namespace");
    }

    fn add(&self, file: &str, content: &str) {
        let file = self.at(file);
        fs::create_dir_all(file.parent().expect("a file is in a directory"))
            .and_then(|()| fs::write(&file, content))
            .expect("files can be made");
    }

    /// The path outside of the root for a path inside.
    fn at(&self, inside: &str) -> PathBuf {
        self.path().join(inside.trim_start_matches('/'))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

/// A started operator. A drop kills the operator.
#[derive(Debug)]
struct RunningOperator {
    child: Child,
    output: PathBuf,
    _directory: tempfile::TempDir,
}

impl RunningOperator {
    /// Starts the operator with a file for its output: an unread pipe would block the operator once the pipe
    /// is full.
    fn start(command: &mut Command) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let output = directory.path().join("output");
        let file = File::create(&output).expect("a file can be made");
        let child = command
            .stdout(file.try_clone().expect("a file can be shared"))
            .stderr(file)
            .spawn()
            .expect("it can be started");
        Self {
            child,
            output,
            _directory: directory,
        }
    }

    fn said(&self) -> String {
        let bytes = fs::read(&self.output).expect("its output can be read");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn wait(&mut self, at_most: Duration) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return status;
            }
            assert!(
                started.elapsed() < at_most,
                "still running after {at_most:?}; it said:\n{}",
                self.said()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn wait_for_answer(&mut self, port: u16, path: &str, wanted: u16) {
        let started = Instant::now();
        loop {
            let answer = get(port, path);
            if answer.as_ref().is_ok_and(|status| *status == wanted) {
                return;
            }
            let ended = self.child.try_wait().expect("it is our child");
            assert!(
                ended.is_none() && started.elapsed() < SOON,
                "GET {path}: {answer:?} instead of {wanted}; ended: {ended:?}; it said:\n{}",
                self.said()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// unshare, sh and chroot become each other without a fork: the child is the operator.
    fn terminate(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("it can be signalled");
    }
}

impl Drop for RunningOperator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The status of an HTTP/1.1 answer.
fn get(port: u16, path: &str) -> Result<u16, String> {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(SOON))?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = ask().map_err(|error| error.to_string())?;
    answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .ok_or(answer)
}

/// A free port. Another program could only take the port by bad luck.
fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .expect("loopback has a free port")
        .port()
}

fn describe(output: &Output) -> String {
    format!(
        "{} (signal: {:?}); stdout:\n{}\nstderr:\n{}",
        output.status,
        output.status.signal(),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
