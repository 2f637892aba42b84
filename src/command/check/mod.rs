//! `check`: gathers the facts about an installation, or about a cluster before an installation, and prints what
//! [`crate::core::checkup`] finds in the facts.
//!
//! A person asks by the plugin and sees everything that the person may see. The operator's own program asks as the
//! operator, in a pod of `helm test`, and sees what the operator may see.

#![allow(
    clippy::doc_markdown,
    rustdoc::broken_intra_doc_links,
    reason = "the docs of the arguments are the help text"
)]

mod before;
pub(super) mod installation;
mod settings;

pub use settings::Settings;

use super::{
    exit::{Exit, Failure},
    following::span,
    object_names,
    output::OutputArgs,
    session::Session,
};
use crate::{
    api::FIELD_MANAGER,
    cluster::{connect, infer_config, inspect::installation as inspect},
    core::checkup::{
        finding::{Finding, Level, exit_status},
        judge::judge,
        pre,
    },
};
use clap::Args;
use kube::Client;
use serde::Serialize;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// The pause before the next try, while `--wait` lasts.
const PAUSE: Duration = Duration::from_secs(1);

/// The arguments of the plugin's command.
#[derive(Args, Debug)]
pub struct CheckArgs {
    /// Say what can be known before an installation: the version of Kubernetes, whether you may create what an
    /// installation needs, CRDs and operators that are there already, and the namespace
    #[arg(long)]
    pre: bool,

    /// Check again while something fails or is unknown, for at most this long, such as 2m
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = span)]
    wait: Duration,

    /// The operator's own namespace [default: all operators that can be found; with --pre
    /// cognito-password-operator]
    #[arg(long, value_name = "NAMESPACE", value_parser = object_names::namespace)]
    operator_namespace: Option<String>,

    /// With --pre: the namespaces that the operator will watch, separated by commas [default: all namespaces]
    #[arg(
        long,
        value_name = "NAMESPACES",
        value_delimiter = ',',
        requires = "pre"
    )]
    watch_namespaces: Vec<String>,

    /// The address of the operator's port, such as http://localhost:8080 [default: each pod's, through the API
    /// server]
    #[arg(long, value_name = "URL", value_parser = http_url, conflicts_with = "pre")]
    url: Option<String>,

    #[command(flatten)]
    output: OutputArgs,
}

/// The content of the output for programs.
#[derive(Serialize)]
struct Found<'a> {
    findings: &'a [Finding],
}

/// Checks as a person.
///
/// # Errors
/// Standard output is closed.
pub async fn check(args: &CheckArgs, session: &Session) -> Result<Exit, Failure> {
    let client = &session.client;
    let own = args.operator_namespace.as_deref();
    let check = async || {
        if args.pre {
            let own = own.unwrap_or(FIELD_MANAGER);
            return pre::judge(&before::facts(client, own, &args.watch_namespaces).await);
        }
        let places = (own, &*session.namespace);
        judge(&installation::of_person(client, places, args.url.as_deref()).await)
    };
    let findings = repeated(args.wait, async || match unreachable(client).await {
        Some(finding) => vec![finding],
        None => check().await,
    });
    print(&findings.await, args.output)
}

/// Checks as the operator, until all is well, or until the wait is over.
///
/// # Errors
/// Standard output is closed, or the runtime can't be made.
pub fn main(settings: &Settings) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| Failure::Unknown(error.to_string()))?;
    let findings = runtime.block_on(of_operator(settings));
    print(&findings, settings.output)
}

async fn of_operator(settings: &Settings) -> Vec<Finding> {
    let client = match client().await {
        Ok(client) => client,
        Err(why) => return vec![Finding::new("kubernetes", Level::Unknown, why)],
    };
    let check = async || {
        if settings.pre {
            let (own, watched) = (&settings.operator_namespace, &settings.watch_namespaces);
            return pre::judge(&before::facts(&client, own, watched).await);
        }
        judge(&installation::of_operator(&client, settings).await)
    };
    repeated(settings.wait, async || match unreachable(&client).await {
        Some(finding) => vec![finding],
        None => check().await,
    })
    .await
}

/// The only finding if the API server doesn't answer: every further request would wait in vain.
async fn unreachable(client: &Client) -> Option<Finding> {
    inspect::kubernetes_version(client).await.err()?;
    let why = inspect::served_kinds(client).await.err()?;
    Some(Finding::new("kubernetes", Level::Unknown, why))
}

async fn client() -> Result<Client, String> {
    connect(infer_config().await?, Arc::new(|_| ()))
}

/// Checks until nothing fails and nothing is unknown, or until the wait is over.
async fn repeated(wait: Duration, check: impl AsyncFn() -> Vec<Finding>) -> Vec<Finding> {
    let began = Instant::now();
    loop {
        let findings = check().await;
        if exit_status(&findings) == 0 || began.elapsed() >= wait {
            return findings;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn print(findings: &[Finding], output: OutputArgs) -> Result<Exit, Failure> {
    let found = Found { findings };
    output.print("Check", exit(findings), &found, |layout| {
        layout.findings(findings)
    })
}

/// How a command ends that found this.
pub(super) fn exit(findings: &[Finding]) -> Exit {
    match exit_status(findings) {
        0 => Exit::Well,
        1 => Exit::Found,
        _ => Exit::Unknown,
    }
}

/// A URL of plain HTTP.
///
/// # Errors
/// The text is no such URL.
pub fn http_url(text: &str) -> Result<String, String> {
    let is_http = text
        .strip_prefix("http://")
        .is_some_and(|rest| !rest.is_empty());
    if is_http && text.parse::<http::Uri>().is_ok() {
        Ok(text.to_owned())
    } else {
        Err("must be a URL such as http://cognito-password-operator:8080".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn found(level: Level) -> Vec<Finding> {
        vec![Finding::new("rights", level, "text".to_owned())]
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_repeats_until_all_is_well() {
        let tries = Cell::new(0);
        let findings = repeated(Duration::from_hours(1), async || {
            tries.set(tries.get() + 1);
            found(match tries.get() {
                1 => Level::Failed,
                2 => Level::Unknown,
                _ => Level::Warning,
            })
        });
        assert_eq!(findings.await, found(Level::Warning));
        assert_eq!(tries.get(), 3);
    }

    #[tokio::test]
    async fn without_a_wait_one_try_counts() {
        let tries = Cell::new(0);
        let findings = repeated(Duration::ZERO, async || {
            tries.set(tries.get() + 1);
            found(Level::Failed)
        });
        assert_eq!(findings.await, found(Level::Failed));
        assert_eq!(tries.get(), 1);
    }
}
