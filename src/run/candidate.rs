//! The election as a part of the process: a candidate stands once it could do the work, and whoever
//! loses what it had won ends the process.

use super::settings::{Settings, StartError};
use crate::{
    cluster::{
        Leadership, LeadershipHandle,
        election::{
            holder::Holder,
            lease::{Election, End},
        },
    },
    ops::{health::Readiness, stall::StallMeter},
};
use futures::FutureExt;
use kube::Client;
use std::{panic::AssertUnwindSafe, time::Duration};
use tokio::{sync::watch, task::JoinHandle};
use tracing::{error, warn};

/// How long a release of the lease may take at the end. Whatever hangs, the process ends within 10 s.
const RELEASE_MAX: Duration = Duration::from_millis(1_500);

/// What a process ends with that has lost the lease.
const LOST_LEASE: i32 = 3;

/// One that will stand for election.
pub(super) struct Candidate {
    held: LeadershipHandle,
}

impl Candidate {
    /// And where it is told what came of it. None where there is no election.
    pub(super) fn of(settings: &Settings) -> (Option<Self>, Leadership) {
        if !settings.leader_elect {
            return (None, Leadership::always());
        }
        let (held, leadership) = Leadership::elected();
        (Some(Self { held }), leadership)
    }

    /// Stands for election. Who loses what they had won doesn't come back from here: whatever is
    /// under way in this process is somebody else's business now.
    pub(super) fn stand(
        self,
        client: &Client,
        settings: &Settings,
        readiness: &Readiness,
        stalls: &StallMeter,
    ) -> Result<Candidacy, StartError> {
        let holder = Holder::this(settings.pod_name.as_deref(), settings.pod_uid.as_deref())
            .map_err(|error| StartError::Failed(format!("the random source failed: {error}")))?;
        let namespace = &settings.operator_namespace;
        let place = (&**namespace, &*settings.lease_name);
        let name = format!("{}/{}", place.0, place.1);
        let election = Election::new(client.clone(), place, serves(settings), holder, self.held);
        let check = readiness.check("lease");
        // Not to lead is no ailment, and not to know yet isn't either.
        check.pass();
        let (leave, asked) = watch::channel(false);
        let election = tokio::spawn(stalls.watch(async move {
            let ailing = |why: Option<&str>| match why {
                Some(why) => check.fail(format!("Lease {name}: {why}")),
                None => check.pass(),
            };
            let election = election.run(is_true(asked), ailing);
            match AssertUnwindSafe(election).catch_unwind().await {
                Ok(End::Left) => return,
                Ok(End::Lost(lost)) => error!(%lost, "lost the lease; this process ends"),
                Err(_) => error!("the election panicked; this process ends"),
            }
            std::process::exit(LOST_LEASE);
        }));
        Ok(Candidacy { leave, election })
    }
}

/// What this process serves when it leads, for another installation that meets its Lease.
fn serves(settings: &Settings) -> String {
    let mut namespaces = settings.watch_namespaces.clone();
    namespaces.sort();
    namespaces.dedup();
    let namespaces = if namespaces.is_empty() {
        "all namespaces".to_owned()
    } else {
        format!("the namespaces {}", namespaces.join(","))
    };
    match &settings.rules.secret_selector {
        Some(selector) => format!("{namespaces}, Secrets with {selector}"),
        None => namespaces,
    }
}

/// An election that this process stands for.
pub(super) struct Candidacy {
    leave: watch::Sender<bool>,
    election: JoinHandle<()>,
}

impl Candidacy {
    /// Releases the lease, if it is held.
    pub(super) async fn leave(self) {
        self.leave.send_replace(true);
        let left = tokio::time::timeout(RELEASE_MAX, self.election).await;
        if left.is_err() {
            warn!("the lease could not be released in time; it lapses");
        }
    }
}

/// Waits until a flag is raised, or until nobody is left who could raise it.
pub(super) async fn is_true(mut flag: watch::Receiver<bool>) {
    // An error says that the sender is gone, and with it what was waited for.
    let _ = flag.wait_for(|flag| *flag).await;
}
