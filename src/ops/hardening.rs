//! Keeps the process's memory private. Passwords are in memory between the read of a Secret and the call, and
//! the operator can't wipe the copies that the SDK makes.

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, setrlimit};

/// A kind of hardening that failed. The failure is logged, but the operator starts anyway: a container
/// runtime may forbid the system call.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HardeningFailure {
    /// `prctl(PR_SET_DUMPABLE, 0)` failed.
    #[error("the process could not be made non-dumpable: {0}")]
    Dumpable(Errno),
    /// `setrlimit(RLIMIT_CORE, 0)` failed.
    #[error("the size limit of core files could not be set to 0: {0}")]
    CoreFile(Errno),
}

/// Makes the process non-dumpable and sets the limit of core files to 0, for good. A non-dumpable process
/// writes no core file. Another process of the same user, such as a debug container, gets neither `ptrace`
/// nor `/proc/PID/mem`. Call this before the first secret is read.
///
/// Both steps are always tried. Returns the steps that failed; empty if both worked.
#[must_use = "each failure should be logged"]
pub fn keep_memory_private() -> Vec<HardeningFailure> {
    [not_dumpable(), no_core_file()]
        .into_iter()
        .filter_map(Result::err)
        .collect()
}

#[cfg(target_os = "linux")]
fn not_dumpable() -> Result<(), HardeningFailure> {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(HardeningFailure::Dumpable)
}

/// Other systems have no such switch. There the limit of core files is the only protection.
#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "the same shape as on Linux")]
fn not_dumpable() -> Result<(), HardeningFailure> {
    Ok(())
}

/// The second protection. On Linux the limit alone does not stop a core file that is piped to a program
/// (`kernel.core_pattern`). On other systems the limit is the only protection.
fn no_core_file() -> Result<(), HardeningFailure> {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none).map_err(HardeningFailure::CoreFile)
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
    fn hardening_can_be_repeated() {
        assert_eq!(keep_memory_private(), []);
        assert_eq!(keep_memory_private(), []);
    }

    #[test]
    fn a_failure_names_the_step_and_the_error() {
        let message = HardeningFailure::CoreFile(Errno::PERM).to_string();
        assert!(message.contains("core files"), "{message}");
        assert!(message.contains("not permitted"), "{message}");
    }
}
