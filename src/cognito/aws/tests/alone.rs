//! The SDK reads the environment of the process: such a test has a process of its own.

/// Tells an ignored test that it runs alone, and which file it may write.
pub(super) const ALONE: &str = "TEST_RUNS_ALONE_WITH_FILE";

/// Runs an ignored test of this module alone, in a process with this environment and nothing else.
pub(super) fn run_alone(module: &str, test: &str, environment: &[(&str, &str)]) {
    let this = std::env::current_exe().expect("this test binary");
    let name = format!("{module}::{test}");
    let (_, name) = name.split_once("::").expect("the crate's name first");
    let output = std::process::Command::new(this)
        .args(["--ignored", "--exact", name])
        .env_clear()
        .envs(environment.iter().copied())
        .output()
        .expect("a child process");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    let passed = output.status.success() && said.contains("1 passed");
    assert!(passed, "{said}");
}
