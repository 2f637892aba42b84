//! The Job that makes a user: the container's script, with a command `aws` that says what AWS would say.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use super::{accepted, objects, only};
use crate::support::scratch;

/// Runs the script of the Job. `aws` stands for the AWS CLI: lines of a shell script. Returns the output, and the
/// arguments that `aws` got.
fn run(aws: &str) -> (Output, String) {
    let objects = objects("user-job.yaml");
    let template = &only(&objects, "Job")["spec"]["template"];
    let container = &template["spec"]["containers"][0];
    let command = container["command"].as_array().expect("a command");
    let words: Vec<&str> = command.iter().filter_map(|word| word.as_str()).collect();
    let [shell, "-c", script] = words[..] else {
        panic!("{words:?}");
    };
    let folder = scratch("user-job");
    let arguments = folder.join("arguments");
    let fake = folder.join("aws");
    let lines = format!("#!/bin/sh\necho \"$@\" >'{}'\n{aws}\n", arguments.display());
    fs::write(&fake, lines).expect("the scratch folder can be written");
    fs::set_permissions(&fake, fs::Permissions::from_mode(0o755)).expect("the file is ours");
    let environment = container["env"].as_array().expect("an environment");
    let environment = environment.iter().map(|it| {
        let text = |field: &str| it[field].as_str().expect("text").to_owned();
        (text("name"), text("value"))
    });
    let output = Command::new(format!("/bin/{shell}"))
        .args(["-c", script])
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", folder.display()))
        .envs(environment)
        .output()
        .expect("there is a shell");
    let arguments = fs::read_to_string(arguments).expect("the script calls aws");
    (output, arguments)
}

#[test]
fn the_job_makes_the_user_without_a_message_and_without_a_password() {
    let (output, arguments) = run("echo '{}'");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        arguments.trim(),
        "cognito-idp admin-create-user --user-pool-id eu-west-1_AbCdEf123 --username ci-bot \
         --message-action SUPPRESS"
    );
}

#[test]
fn the_job_succeeds_if_the_user_exists_and_fails_for_every_other_refusal() {
    let refusal = |code: &str| {
        let words = "when calling the AdminCreateUser operation";
        format!("echo 'An error occurred ({code}) {words}: ...' >&2; exit 254")
    };
    let (exists, _) = run(&refusal("UsernameExistsException"));
    assert!(exists.status.success(), "{exists:?}");
    let (denied, _) = run(&refusal("AccessDeniedException"));
    assert_eq!(denied.status.code(), Some(1), "{denied:?}");
    // The Job's log has AWS's words.
    let told = String::from_utf8_lossy(&denied.stderr);
    assert!(told.contains("AccessDeniedException"), "{told}");
}

#[tokio::test]
async fn the_api_server_accepts_the_job() {
    for object in objects("user-job.yaml") {
        accepted(object).await;
    }
}
