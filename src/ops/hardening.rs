//! Keeps the process's memory to itself: passwords are in it between the read and the call, and
//! the SDK's copies of them can't be wiped by us.

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, setrlimit};

/// What could not be hardened. To be logged; a container runtime that forbids it is no reason not
/// to start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Exposed {
    /// `prctl(PR_SET_DUMPABLE, 0)` failed.
    #[error("the process could not be made non-dumpable: {0}")]
    Dumpable(Errno),
    /// `setrlimit(RLIMIT_CORE, 0)` failed.
    #[error("the size limit of core files could not be set to 0: {0}")]
    CoreFile(Errno),
}

/// Makes the process non-dumpable (no core file, no `ptrace` and no `/proc/PID/mem` for others of
/// the same user, such as a debug container) and sets the limit of core files to 0, for good. To
/// be called before the first secret is read.
///
/// Both are tried, always. Returns what failed; empty is what one wants.
#[must_use = "what stays exposed should be logged"]
pub fn keep_memory_private() -> Vec<Exposed> {
    [not_dumpable(), no_core_file()]
        .into_iter()
        .filter_map(Result::err)
        .collect()
}

#[cfg(target_os = "linux")]
fn not_dumpable() -> Result<(), Exposed> {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(Exposed::Dumpable)
}

/// Elsewhere there is no such switch, and the limit of core files has to do.
#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "the same shape as on Linux")]
fn not_dumpable() -> Result<(), Exposed> {
    Ok(())
}

/// The second lock: where core files are piped to a program (`kernel.core_pattern`), the limit
/// alone stops nothing, and elsewhere it is all there is.
fn no_core_file() -> Result<(), Exposed> {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none).map_err(Exposed::CoreFile)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use rustix::process::{DumpableBehavior, dumpable_behavior};

    #[test]
    fn memory_is_kept_out_of_core_files_and_from_other_processes() {
        assert_eq!(keep_memory_private(), []);

        let behavior = dumpable_behavior().expect("prctl(PR_GET_DUMPABLE)");
        assert!(
            matches!(behavior, DumpableBehavior::NotDumpable),
            "{behavior:?}"
        );
        let limits = std::fs::read_to_string("/proc/self/limits").expect("/proc/self/limits");
        let core = limits
            .lines()
            .find_map(|line| line.strip_prefix("Max core file size"))
            .expect("a line for core files");
        let soft_and_hard: Vec<_> = core.split_whitespace().take(2).collect();
        assert_eq!(soft_and_hard, ["0", "0"], "{limits}");
    }

    #[test]
    fn hardening_twice_is_no_failure() {
        assert_eq!(keep_memory_private(), []);
        assert_eq!(keep_memory_private(), []);
    }

    #[test]
    fn a_failure_says_what_stays_exposed() {
        let message = Exposed::CoreFile(Errno::PERM).to_string();
        assert!(message.contains("core files"), "{message}");
        assert!(message.contains("not permitted"), "{message}");
    }
}
