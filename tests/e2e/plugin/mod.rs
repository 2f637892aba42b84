//! The plugin of kubectl, and the commands for people and pods, against the real API server.

mod explain;
mod grants;
mod report;

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use tokio::process::Command;

use crate::world::World;

/// The plugin of kubectl.
pub(crate) const PLUGIN: &str = env!("CARGO_BIN_EXE_kubectl-cognito_password");

/// The exit status, standard output and standard error of the plugin.
pub(crate) async fn plugin(kubeconfig: &Path, args: &[&str]) -> (i32, String, String) {
    let output = command(PLUGIN, kubeconfig, args).output();
    read(output.await.expect("the plugin starts"))
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

const VIEW: &[&str] = &["cognito-password-operator-view"];
