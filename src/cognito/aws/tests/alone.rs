//! Runs a test in a process of its own, because the SDK reads the environment of the process.

/// The variable that lets an ignored test run. The value is input for the test, such as the path of a file
/// that the test may write.
pub(super) const ALONE: &str = "TEST_RUNS_ALONE_WITH_FILE";

/// Runs an ignored test of this module alone, in a process with no other environment.
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
    let message = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    let passed = output.status.success() && message.contains("1 passed");
    assert!(passed, "{message}");
}
