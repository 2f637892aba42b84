//! The end: what to try next. With `HOLD=1`, the addresses and commands to try.

use std::path::Path;

use tokio::signal::unix::{SignalKind, signal};

use crate::Step;
use crate::say::Say;
use crate::stage::{NAMESPACE, Stage, shell_line};
use crate::support::tools::{self, Tool};

pub(crate) fn is_wanted() -> bool {
    std::env::var("HOLD").is_ok_and(|value| !["", "0"].contains(&value.as_str()))
}

pub(crate) fn what_next(say: &Say) {
    say.gap();
    say.line("All of this really happened, and is gone now. What to try next:");
    say.gap();
    say.output(
        "HOLD=1 make demo        the same, and it stays up for you to play with\n\
         make test               proves all this, and more\n\
         docs/install.md         how to install the operator in a cluster of yours\n\
         docs/reasons.md         every reason, its meaning and its cure\n\
         docs/multi-tenancy.md   which team may manage which user",
    );
}

/// Says how to play, and waits for Ctrl-C or SIGTERM.
pub(crate) async fn hold(say: &mut Say, stage: &Stage) -> Step {
    say.chapter("Yours to play with, until you press Ctrl-C here");
    say.line("In another terminal:");
    say.gap();
    let kubeconfig = stage.plane.kubeconfig_path();
    say.output(&shell_line(
        "export",
        &[&assignment("KUBECONFIG", &kubeconfig)],
    ));
    say.output(&shell_line(
        "alias",
        &[&assignment("kubectl", &tools::path(Tool::Kubectl))],
    ));
    say.gap();
    let rotate = r#"{"stringData":{"password":"your-Own-Passw0rd"}}"#;
    let ideas: [&[&str]; 4] = [
        &["get", "cup", "-o", "wide"],
        &["patch", "secret", "ci-bot-credentials", "-p", rotate],
        &["get", "cup", "ci-bot", "-o", "yaml"],
        &["get", "events"],
    ];
    for idea in ideas {
        let args = [&["-n", NAMESPACE], idea].concat();
        say.output(&shell_line("kubectl", &args));
    }
    say.output(&shell_line("kubectl", &["get", "cupg", "-o", "wide"]));
    say.output(&format!("curl {}/metrics", stage.operator.url()));
    if let Some(metrics) = &stage.metrics {
        let url = metrics.prometheus.url();
        say.gap();
        say.line(&format!(
            "Prometheus is at {url}. Built from its Go module, Prometheus has no web pages, but"
        ));
        say.line(
            "answers all queries; CPO_PROMETHEUS=/path/to/prometheus takes a release with pages.",
        );
        say.gap();
        let query = "query=sum by (reason) (cognito_password_operator_resources)";
        let args = [
            "--get",
            "--data-urlencode",
            query,
            &format!("{url}/api/v1/query"),
        ];
        say.output(&shell_line("curl", &args));
        say.output(&shell_line("curl", &[&format!("{url}/api/v1/alerts")]));
    }
    say.gap();
    say.line(&format!(
        "Cognito (moto) is at {}, the pool is {}. To sign in as ci-bot:",
        stage.moto.url(),
        stage.pool
    ));
    say.gap();
    say.output(&sign_in(stage, "ci-bot", "your-Own-Passw0rd"));
    until_asked_to_end().await;
    say.gap();
    say.line("Everything is stopped and removed.");
    Ok(())
}

/// The request of an application that signs a user in, as one command.
fn sign_in(stage: &Stage, user: &str, password: &str) -> String {
    let body = serde_json::json!({
        "AuthFlow": "USER_PASSWORD_AUTH",
        "ClientId": stage.application,
        "AuthParameters": { "USERNAME": user, "PASSWORD": password },
    });
    let args = [
        "-H",
        "X-Amz-Target: AWSCognitoIdentityProviderService.InitiateAuth",
        "-H",
        "Content-Type: application/x-amz-json-1.1",
        "-d",
        &body.to_string(),
        &stage.moto.url(),
    ];
    shell_line("curl", &args)
}

fn assignment(name: &str, path: &Path) -> String {
    format!("{name}={}", path.display())
}

async fn until_asked_to_end() {
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => terminate.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        // If Ctrl-C can't be handled, `ctrl_c` returns an error at once, and the demo ends.
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated => {}
    }
}
