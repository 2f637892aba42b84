//! The election as a part of the process. The process becomes a candidate once it could do the work. The
//! process exits if it loses a lease that it had won.

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

/// How long the release of the lease may take. With the 8 s for the reconciles under way, a shutdown stays
/// within about 10 s even if the release hangs.
const RELEASE_MAX: Duration = Duration::from_millis(1_500);

/// The exit status of a process that has lost the lease.
const LOST_LEASE: i32 = 3;

/// A process that will take part in the election.
pub(super) struct Candidate {
    handle: LeadershipHandle,
}

impl Candidate {
    /// The candidate, and the result of the election for readers. No candidate if the settings ask for no
    /// election.
    pub(super) fn of(settings: &Settings) -> (Option<Self>, Leadership) {
        if !settings.leader_elect {
            return (None, Leadership::always());
        }
        let (handle, leadership) = Leadership::elected();
        (Some(Self { handle }), leadership)
    }

    /// Takes part in the election. If the process loses the lease, the process exits here: the next leader
    /// takes over the work under way.
    pub(super) fn join_election(
        self,
        client: &Client,
        settings: &Settings,
        readiness: &Readiness,
        stalls: &StallMeter,
    ) -> Result<ElectionTask, StartError> {
        let holder =
            Holder::of_this_process(settings.pod_name.as_deref(), settings.pod_uid.as_deref())
                .map_err(|error| {
                    StartError::Failed(format!("the random source failed: {error}"))
                })?;
        let namespace = &settings.operator_namespace;
        let place = (&**namespace, &*settings.lease_name);
        let name = format!("{}/{}", place.0, place.1);
        let election = Election::new(
            client.clone(),
            place,
            served_scope(settings),
            holder,
            self.handle,
        );
        let check = readiness.check("lease");
        // A process that stands by is ready, and so is a process that does not know yet whether it leads.
        check.pass();
        let (release, released) = watch::channel(false);
        let election = tokio::spawn(stalls.instrument(async move {
            let set_failure = |why: Option<&str>| match why {
                Some(why) => check.fail(format!("Lease {name}: {why}")),
                None => check.pass(),
            };
            let election = election.run(wait_until_true(released), set_failure);
            match AssertUnwindSafe(election).catch_unwind().await {
                Ok(End::Released) => return,
                Ok(End::Lost(lost)) => error!(%lost, "lost the Lease; this process ends"),
                Err(_) => error!("the election panicked; this process ends"),
            }
            std::process::exit(LOST_LEASE);
        }));
        Ok(ElectionTask { release, election })
    }
}

/// What this process serves as the leader: written into the Lease, for another installation that uses the
/// same Lease by mistake.
fn served_scope(settings: &Settings) -> String {
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

/// The election that this process takes part in.
pub(super) struct ElectionTask {
    release: watch::Sender<bool>,
    election: JoinHandle<()>,
}

impl ElectionTask {
    /// Releases the lease, if this process is the holder.
    pub(super) async fn release(self) {
        self.release.send_replace(true);
        let left = tokio::time::timeout(RELEASE_MAX, self.election).await;
        if left.is_err() {
            warn!(
                "the Lease could not be released in time, so the next leader waits until the Lease expires"
            );
        }
    }
}

/// Waits until the flag is true, or until its sender is dropped.
pub(super) async fn wait_until_true(mut flag: watch::Receiver<bool>) {
    // An error means that the sender is dropped. The wait is over then too.
    let _ = flag.wait_for(|flag| *flag).await;
}
