//! The plugin of kubectl, and the commands for people and pods, against the real API server.

mod broken;
mod check;
mod cures;
mod doctor;
mod explain;
mod grants;
mod installation;
mod report;
mod rights;
mod set;
mod suspend;
mod wait;

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

use crate::support::tools::{self, Tool};
use crate::world::{SOON, World};

/// The plugin of kubectl.
pub(crate) const PLUGIN: &str = env!("CARGO_BIN_EXE_kubectl-cognito_password");

/// The operator's program.
pub(crate) const OPERATOR: &str = env!("CARGO_BIN_EXE_cognito-password-operator");

/// The exit status, standard output and standard error of the plugin.
pub(crate) async fn plugin(kubeconfig: &Path, args: &[&str]) -> (i32, String, String) {
    let output = command(PLUGIN, kubeconfig, args).output();
    read(output.await.expect("the plugin starts"))
}

/// The same on a terminal so wide that no line is broken.
pub(crate) async fn wide_plugin(kubeconfig: &Path, args: &[&str]) -> (i32, String, String) {
    let mut command = command(PLUGIN, kubeconfig, args);
    command.env("COLUMNS", WIDE);
    read(command.output().await.expect("the plugin starts"))
}

/// The columns of a terminal on which no line is broken.
pub(crate) const WIDE: &str = "10000";

/// A PATH with kubectl and its plugin.
pub(crate) fn path() -> String {
    let kubectl = tools::path(Tool::Kubectl);
    let folder = |of: &Path| of.parent().expect("a folder").display().to_string();
    let system = std::env::var("PATH").unwrap_or_default();
    let plugin = folder(Path::new(PLUGIN));
    [folder(&kubectl), plugin, system].join(":")
}

/// A command line that a cure printed: in bash, in the checkout, with kubectl and its plugin on the PATH.
pub(crate) fn bash(kubeconfig: &Path, line: &str) -> Command {
    let mut command = command("bash", kubeconfig, &["-euo", "pipefail", "-c", line]);
    command
        .current_dir(tools::checkout())
        .env("PATH", path())
        // Without a home, kubectl would keep its discovery in the checkout.
        .env("KUBECACHEDIR", kubeconfig.with_file_name("kubectl-cache"));
    command
}

/// Runs a command line that a cure printed.
pub(crate) async fn apply(kubeconfig: &Path, line: &str) {
    let output = bash(kubeconfig, line).output().await.expect("bash starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {errors}");
}

fn command(program: &str, kubeconfig: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .args(args)
        .env_clear()
        .env("KUBECONFIG", kubeconfig)
        .env("COLUMNS", "80")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

fn read(output: Output) -> (i32, String, String) {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    let status = output.status.code().expect("no signal ended the command");
    (status, text(output.stdout), text(output.stderr))
}

/// A command in the background, whose standard error is read line by line.
pub(crate) struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
    said: String,
}

impl Running {
    pub(crate) fn start(program: &str, kubeconfig: &Path, args: &[&str]) -> Self {
        let mut command = command(program, kubeconfig, args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        // Each line is read for itself.
        command.env("COLUMNS", WIDE);
        let mut child = command.spawn().expect("the command starts");
        let errors = child.stderr.take().expect("a pipe");
        Self {
            child,
            lines: BufReader::new(errors).lines(),
            said: String::new(),
        }
    }

    /// Returns when the command says this on standard error.
    pub(crate) async fn says(&mut self, text: &str) {
        let found = async {
            while let Some(line) = self.lines.next_line().await.expect("text") {
                self.said.push_str(&line);
                self.said.push('\n');
                if line.contains(text) {
                    return true;
                }
            }
            false
        };
        let found = tokio::time::timeout(SOON, found).await;
        assert_eq!(found, Ok(true), "no {text:?} in:\n{}", self.said);
    }

    pub(crate) fn pid(&self) -> i32 {
        let pid = self.child.id().expect("the command runs");
        i32::try_from(pid).expect("a pid")
    }

    /// The exit status, standard output, and all of standard error.
    pub(crate) async fn ended(mut self) -> (i32, String, String) {
        let ended = async {
            while let Some(line) = self.lines.next_line().await.expect("text") {
                self.said.push_str(&line);
                self.said.push('\n');
            }
            self.child.wait_with_output().await.expect("an end")
        };
        let ended = tokio::time::timeout(SOON, ended).await;
        let (status, stdout, _) = read(ended.expect("the command ends"));
        (status, stdout, self.said)
    }
}

/// A kubeconfig of a new service account with these rules of a Role in the world's namespace.
pub(crate) fn caller(world: &World<'_>, name: &str, rules: &Value) -> PathBuf {
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": { "name": name, "namespace": world.namespace },
        "rules": rules,
    });
    let create = ["create", "-f", "-"];
    world.plane.kubectl_stdin(&create, &role.to_string());
    bound(world, name, &["--role", name])
}

/// A kubeconfig of a new service account that has these cluster roles of deploy/admin in the world's namespace.
pub(crate) fn tenant(world: &World<'_>, name: &str, roles: &[&str]) -> PathBuf {
    let args: Vec<_> = roles
        .iter()
        .flat_map(|role| ["--clusterrole", role])
        .collect();
    bound(world, name, &args)
}

fn bound(world: &World<'_>, name: &str, roles: &[&str]) -> PathBuf {
    let namespace = &*world.namespace;
    world
        .plane
        .kubectl(&["create", "serviceaccount", name, "-n", namespace]);
    let account = format!("--serviceaccount={namespace}:{name}");
    // One binding binds one role.
    for (number, role) in roles.chunks(2).enumerate() {
        let binding = format!("{name}-{number}");
        let args = ["create", "rolebinding", &binding, "-n", namespace, &account];
        world.plane.kubectl(&[&args[..], role].concat());
    }
    let token = world.plane.token_for(namespace, name);
    world
        .plane
        .kubeconfig_for_token(&format!("{namespace}-{name}"), &token)
}

const EDIT: &[&str] = &[
    "cognito-password-operator-view",
    "cognito-password-operator-edit",
];

const VIEW: &[&str] = &["cognito-password-operator-view"];
