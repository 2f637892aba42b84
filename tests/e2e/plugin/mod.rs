//! The plugin of kubectl, as people with different rights run the plugin.

mod check;
mod doctor;

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

/// The plugin of kubectl.
pub(crate) const PLUGIN: &str = env!("CARGO_BIN_EXE_kubectl-cognito_password");

/// The exit status, standard output and standard error of the plugin.
pub(crate) async fn plugin(kubeconfig: &Path, args: &[&str]) -> (i32, String, String) {
    let output = Command::new(PLUGIN)
        .args(args)
        .env_clear()
        .env("KUBECONFIG", kubeconfig)
        .env("COLUMNS", "80")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = output.await.expect("the plugin starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    let status = output.status.code().expect("no signal ended the command");
    (status, text(output.stdout), text(output.stderr))
}
