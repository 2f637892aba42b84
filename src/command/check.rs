//! The composition root of `check`: gathers the facts about an installation, judges them, and prints the
//! findings.

use super::{
    http_get::http_get,
    output::{layout, write_line},
};
use crate::{
    api::KEY_SECRET,
    cluster::{connect, infer_config, inspect::installation as inspect},
    core::checkup::{
        finding::{Finding, Level, exit_status},
        judge::{Facts, judge},
        right::{Installation, needed},
    },
};
use jiff::Timestamp;
use kube::Client;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// The pause before the next try, while `--wait` lasts.
const PAUSE: Duration = Duration::from_secs(1);

/// What to check.
#[derive(Debug)]
pub struct Settings {
    /// The operator's own namespace.
    pub operator_namespace: String,
    /// The watched namespaces; empty for all.
    pub watch_namespaces: Vec<String>,
    /// The Lease of the election. None without an election.
    pub lease_name: Option<String>,
    /// The address of the operator's port, such as `http://cognito-password-operator:8080`.
    pub url: Option<String>,
    /// How long to try again while something fails or is unknown.
    pub wait: Duration,
}

/// Checks until all is well, or until the wait is over. Prints the findings of the last try on standard output.
/// Returns the exit status: 0, 1 if something failed, 3 if something could not be found out.
#[must_use]
pub fn main(settings: &Settings) -> u8 {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let findings = match runtime {
        Ok(runtime) => runtime.block_on(check(settings)),
        Err(error) => vec![unreachable(&error.to_string())],
    };
    print(&findings);
    exit_status(&findings)
}

async fn check(settings: &Settings) -> Vec<Finding> {
    let began = Instant::now();
    let client = match client().await {
        Ok(client) => client,
        Err(why) => return vec![unreachable(&why)],
    };
    loop {
        let findings = judge(&gather(settings, &client).await);
        if exit_status(&findings) == 0 || began.elapsed() >= settings.wait {
            return findings;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn client() -> Result<Client, String> {
    connect(infer_config().await?, Arc::new(|_| ()))
}

async fn gather(settings: &Settings, client: &Client) -> Facts {
    let installation = Installation {
        namespace: settings.operator_namespace.clone(),
        key_secret: KEY_SECRET,
        watched: settings.watch_namespaces.clone(),
        lease: settings.lease_name.clone(),
    };
    let mut rights = Vec::new();
    for right in needed(&installation) {
        let answer = inspect::has_right(client, &right).await;
        rights.push((right, answer));
    }
    let lease = match &settings.lease_name {
        Some(name) => {
            let namespace = &settings.operator_namespace;
            Some(inspect::lease(client, namespace, name, Timestamp::now()).await)
        }
        None => None,
    };
    let (mut readyz, mut metrics) = (None, None);
    if let Some(url) = &settings.url {
        let url = url.trim_end_matches('/');
        readyz = Some(http_get(&format!("{url}/readyz")).await);
        metrics = Some(http_get(&format!("{url}/metrics")).await);
    }
    Facts {
        kubernetes: inspect::kubernetes_version(client).await,
        kinds: inspect::served_kinds(client).await,
        rights,
        lease,
        readyz,
        metrics,
    }
}

fn unreachable(why: &str) -> Finding {
    Finding::new(
        "kubernetes",
        Level::Unknown,
        format!("no API server to ask: {why}"),
    )
}

fn print(findings: &[Finding]) {
    // An error here has no remedy: standard output is gone.
    let _ = write_line(&layout().findings(findings));
}
