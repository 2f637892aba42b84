//! kubectl completes the plugin's arguments by the helper program, and the scripts for shells are well formed.

use super::{PLUGIN, text};
use crate::support::tools::{Tool, checkout, path};
use rstest::rstest;
use std::{fs, os::unix::fs::symlink, process::Command};

/// The program that kubectl asks.
const HELPER: &str = "kubectl_complete-cognito_password";

/// The answer of kubectl to the words after `kubectl`. `helped`: the helper program is on the PATH.
fn complete(words: &[&str], helped: bool) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let bin = folder.path().join("bin");
    fs::create_dir(&bin).expect("a folder");
    symlink(PLUGIN, bin.join("kubectl-cognito_password")).expect("a link");
    if helped {
        let program = checkout().join("plugin").join(HELPER);
        symlink(program, bin.join(HELPER)).expect("a link");
    }
    let kubeconfig = folder.path().join("config");
    let config = "{apiVersion: v1, kind: Config, contexts: [{name: staging, context: {cluster: c, user: u}}]}";
    fs::write(&kubeconfig, config).expect("a kubeconfig");
    let answer = Command::new(path(Tool::Kubectl))
        .arg("__complete")
        .args(words)
        .env_clear()
        .env("HOME", folder.path())
        .env("KUBECONFIG", &kubeconfig)
        .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
        .output()
        .expect("kubectl runs");
    assert!(answer.status.success(), "{}", text(&answer));
    String::from_utf8(answer.stdout).expect("text")
}

#[rstest]
#[case::a_command(&["cognito-password", "comple"], "completion\tPrint the script by which a shell completes commands and flags\n:4\n")]
#[case::a_value(&["cognito-password", "completion", "z"], "zsh\n:4\n")]
#[case::a_context(&["cognito-password", "completion", "--context", ""], "staging\n:4\n")]
#[case::a_file(&["cognito-password", "completion", "--kubeconfig", ""], ":0\n")]
fn kubectl_completes_the_arguments(#[case] words: &[&str], #[case] answer: &str) {
    assert_eq!(complete(words, true), answer);
}

#[test]
fn without_the_helper_kubectl_knows_nothing_of_the_arguments() {
    let answer = complete(&["cognito-password", "comple"], false);
    assert_eq!(answer, ":0\n", "so the test above shows the helper");
}

#[test]
fn bash_reads_its_script_and_completes_by_it() {
    let script = Command::new(PLUGIN)
        .args(["completion", "bash"])
        .output()
        .expect("the plugin runs");
    let script = String::from_utf8(script.stdout).expect("text");
    let ask = r#"
        COMP_WORDS=(kubectl-cognito_password comple); COMP_CWORD=1
        function_of=$(complete -p kubectl-cognito_password | sed 's/.*-F \([^ ]*\).*/\1/')
        "$function_of" kubectl-cognito_password comple kubectl-cognito_password
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let answer = Command::new("bash")
        .args(["--norc", "-c", &format!("{script}\n{ask}")])
        .output()
        .expect("bash runs");
    assert_eq!(
        String::from_utf8_lossy(&answer.stdout),
        "completion\n",
        "{}",
        text(&answer)
    );
}
