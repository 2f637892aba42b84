//! One temporary directory for everything that this process starts.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Removes the directory when the pipe from the test process closes. Statics are never dropped, so no
/// destructor would remove it. The children, killed at the same time, may still create files, hence the
/// second `rm`.
const JANITOR: &str = r#"read -r _; sleep 1; rm -rf "$1"; sleep 5; rm -rf "$1""#;

static SCRATCH: LazyLock<Scratch> = LazyLock::new(Scratch::new);

struct Scratch {
    directory: PathBuf,
    _janitor: Option<Child>,
}

impl Scratch {
    fn new() -> Self {
        let directory = tempfile::Builder::new()
            .prefix("cognito-password-operator-")
            .tempdir()
            .expect("a temporary directory can be made")
            .keep();
        let keep = std::env::var_os("CPO_TEST_KEEP").is_some_and(|value| !value.is_empty());
        let janitor = (!keep).then(|| {
            use std::os::unix::process::CommandExt;
            Command::new("sh")
                .args(["-c", JANITOR, "janitor"])
                .arg(&directory)
                .current_dir("/")
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .process_group(0)
                .spawn()
                .expect("sh can be started")
        });
        if keep {
            eprintln!(
                "CPO_TEST_KEEP: logs and data stay in {}",
                directory.display()
            );
        }
        Self {
            directory,
            _janitor: janitor,
        }
    }
}

/// A new directory. The directory is removed with the test process, unless `CPO_TEST_KEEP` is set.
pub(crate) fn scratch(name: &str) -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(1);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let directory = SCRATCH.directory.join(format!("{name}-{number}"));
    std::fs::create_dir(&directory).expect("a fresh directory can be made");
    directory
}

/// Writes a file that only the current user may read (keys, tokens).
pub(crate) fn write_private(path: &Path, content: &str) {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(content.as_bytes()))
        .unwrap_or_else(|error| panic!("could not write {}: {error}", path.display()));
}

/// A short random suffix for names.
pub(crate) fn random_suffix() -> String {
    let number = getrandom::u32().expect("the system has randomness");
    format!("{number:08x}")
}
