//! Elects one of several operators by a Lease. [`crate::core::schedule::lease`] decides. This module reads
//! and writes the Lease, and reports the result to [`crate::cluster::Leadership`].

use super::{
    holder::Holder,
    leadership::{LeadershipHandle, clock},
};
use crate::{
    api::FIELD_MANAGER,
    cluster::{CallError, client::call::call_within},
    core::schedule::lease::{Elector, LEASE_DURATION, LossReason, Record, Step},
};
use futures::FutureExt;
use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{Api, Client, api::PostParams};
use std::{future::Future, pin::pin, time::Duration};
use tracing::{debug, info, warn};

/// The annotation with what the Lease's holder serves. A candidate recognises by this annotation an
/// installation that serves something else.
const SERVES: &str = "cognito-password-operator.io/serves";

/// How an election ended for this process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum End {
    /// The process led and must stop at once.
    Lost(LossReason),
    /// The process was asked to leave. The Lease is released; a Lease whose release failed lapses.
    Released,
}

/// This process in the election: candidate, then leader, until the process loses or releases the Lease.
pub struct Election {
    leases: Api<Lease>,
    /// The Lease's name.
    name: String,
    holder: Holder,
    /// What this process serves as leader.
    serves: String,
    elector: Elector,
    handle: LeadershipHandle,
    /// The Lease as last read or written. Fields that the operator doesn't use are written back unchanged.
    lease: Lease,
    failure: Option<Failure>,
    other_holder: String,
    /// Why the Lease seems to belong to another installation, if so.
    foreign_lease: Option<String>,
}

struct Failure {
    why: String,
    since: Duration,
}

impl Election {
    /// An election by the Lease with this name in this namespace. `serves` goes into the Lease's annotation.
    /// `handle` receives the time at which the lease ends.
    #[must_use]
    pub fn new(
        client: Client,
        (namespace, name): (&str, &str),
        serves: String,
        holder: Holder,
        handle: LeadershipHandle,
    ) -> Self {
        Self {
            leases: Api::namespaced(client, namespace),
            name: name.to_owned(),
            serves,
            elector: Elector::new(holder.identity().to_owned()),
            holder,
            handle,
            lease: Lease::default(),
            failure: None,
            other_holder: String::new(),
            foreign_lease: None,
        }
    }

    /// Runs until the process loses the lease, or until `shutdown` completes and the release has been tried.
    /// `set_failure` receives a reason in two cases:
    ///
    /// - Requests for the Lease have failed for at least as long as a lease lasts.
    /// - The holder is another installation that serves something else.
    ///
    /// `set_failure` receives `None` once neither case holds.
    pub async fn run(
        mut self,
        shutdown: impl Future<Output = ()>,
        set_failure: impl Fn(Option<&str>),
    ) -> End {
        let mut shutdown = pin!(shutdown);
        while shutdown.as_mut().now_or_never().is_none() {
            let now = clock();
            match self.elector.step(now, Timestamp::now()) {
                Step::Lost(lost) => {
                    self.handle.set_lease_end(None);
                    return End::Lost(lost);
                }
                Step::Wait(until) => tokio::select! {
                    () = &mut shutdown => break,
                    () = tokio::time::sleep(until.saturating_sub(now)) => {}
                },
                Step::Read => tokio::select! {
                    () = &mut shutdown => break,
                    () = self.read(now, &set_failure) => {}
                },
                // `shutdown` doesn't cancel a write, because the release depends on the result of the write.
                Step::Write(record) => self.write(record, now, &set_failure).await,
            }
        }
        self.release().await;
        End::Released
    }

    async fn read(&mut self, now: Duration, set_failure: &impl Fn(Option<&str>)) {
        let patience = self.elector.patience(now);
        match call_within(patience, self.leases.get_opt(&self.name)).await {
            Ok(lease) => {
                self.lease = lease.clone().unwrap_or_default();
                let record = lease.as_ref().map(record_of);
                let transitions = record.as_ref().map_or(0, |record| record.transitions);
                self.handle.set_transitions(transitions);
                let outlived = |record: &Record| self.holder.has_outlived(&record.holder);
                let dead = record.as_ref().is_some_and(outlived);
                self.elector.read(record, clock(), dead);
                // If a write comes next, the write must succeed too before the Lease counts as accessible
                // again.
                if let Step::Wait(_) = self.elector.step(clock(), Timestamp::now()) {
                    self.clear_failure(set_failure);
                }
                let other_holder = self.elector.other().unwrap_or_default();
                if other_holder != self.other_holder {
                    other_holder.clone_into(&mut self.other_holder);
                    info!(
                        holder = other_holder,
                        dead, "another process holds the Lease"
                    );
                }
                let foreign_lease = self.foreign_lease();
                if foreign_lease != self.foreign_lease {
                    if let Some(why) = &foreign_lease {
                        warn!(why, "this operator waits for another installation's Lease");
                    }
                    set_failure(foreign_lease.as_deref());
                    self.foreign_lease = foreign_lease;
                }
            }
            Err(error) => {
                self.elector.failed(now);
                self.record_failure(
                    &format!("the Lease can't be read: {error}"),
                    now,
                    set_failure,
                );
            }
        }
    }

    async fn write(&mut self, record: Record, sent: Duration, set_failure: &impl Fn(Option<&str>)) {
        let lease = self.lease_of(&record);
        let removable = record.version.is_some();
        let patience = self.elector.patience(sent);
        match call_within(patience, self.put(&lease)).await {
            Ok(lease) => {
                let leads = self.elector.held_until().is_some();
                self.elector.wrote(record_of(&lease), sent);
                self.handle.set_lease_end(self.elector.held_until());
                self.handle.set_transitions(record.transitions);
                self.lease = lease;
                if self.foreign_lease.take().is_some() {
                    set_failure(None);
                }
                self.clear_failure(set_failure);
                if !leads {
                    let transitions = record.transitions;
                    info!(
                        identity = self.holder.identity(),
                        transitions, "this process leads"
                    );
                }
            }
            // Another client has written or removed the Lease. No set begins before the next read shows who
            // holds the Lease.
            Err(error)
                if error == CallError::Conflict || (removable && error == CallError::NotFound) =>
            {
                debug!(%error, "another process wrote the Lease first");
                self.handle.set_lease_end(None);
                self.elector.conflicted(sent);
            }
            Err(error) => {
                self.elector.failed(sent);
                self.record_failure(
                    &format!("the Lease can't be written: {error}"),
                    sent,
                    set_failure,
                );
            }
        }
    }

    /// Gives up the lease, so that a candidate needn't wait. A failed request isn't retried, because the
    /// lease lapses anyway.
    async fn release(&mut self) {
        let led = self.elector.held_until().is_some();
        // Before the request: another process may lead as soon as the API server has the release.
        self.handle.set_lease_end(None);
        if !led {
            return;
        }
        let patience = self.elector.patience(clock());
        let known = match self.elector.record() {
            Some(record) => Ok(record.clone()),
            None => call_within(patience, self.leases.get(&self.name))
                .await
                .map(|lease| {
                    self.lease = lease;
                    record_of(&self.lease)
                }),
        };
        let released = match known {
            Ok(record) => match self.elector.release(record, Timestamp::now()) {
                Some(record) => {
                    let lease = self.lease_of(&record);
                    call_within(patience, self.put(&lease)).await.map(|_| ())
                }
                None => return,
            },
            Err(error) => Err(error),
        };
        match released {
            Ok(()) => info!("released the Lease"),
            Err(error) => {
                warn!(%error, "the Lease could not be released, so the next leader waits until the Lease expires");
            }
        }
    }

    async fn put(&self, lease: &Lease) -> Result<Lease, kube::Error> {
        let params = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        if lease.metadata.resource_version.is_some() {
            self.leases.replace(&self.name, &params, lease).await
        } else {
            self.leases.create(&params, lease).await
        }
    }

    fn lease_of(&self, record: &Record) -> Lease {
        let mut metadata = if record.version.is_some() {
            ObjectMeta {
                resource_version: record.version.clone(),
                managed_fields: None,
                ..self.lease.metadata.clone()
            }
        } else {
            let ours = ("app.kubernetes.io/managed-by", FIELD_MANAGER);
            ObjectMeta {
                name: Some(self.name.clone()),
                labels: Some(
                    [ours]
                        .map(|(key, value)| (key.to_owned(), value.to_owned()))
                        .into(),
                ),
                ..ObjectMeta::default()
            }
        };
        let annotations = metadata.annotations.get_or_insert_default();
        annotations.insert(SERVES.to_owned(), self.serves.clone());
        Lease {
            metadata,
            spec: Some(LeaseSpec {
                holder_identity: Some(record.holder.clone()),
                lease_duration_seconds: record.seconds,
                lease_transitions: Some(record.transitions),
                acquire_time: record.acquired.map(MicroTime),
                renew_time: record.renewed.map(MicroTime),
                ..self.lease.spec.clone().unwrap_or_default()
            }),
        }
    }

    /// Why the Lease seems to belong to another installation: the holder serves something else, and is no pod
    /// of this Deployment. (A pod of this Deployment may have started before or after a change of flags.)
    fn foreign_lease(&self) -> Option<String> {
        let holder = self.elector.other().filter(|holder| !holder.is_empty())?;
        let serves = self.lease.metadata.annotations.as_ref()?.get(SERVES)?;
        let (ours, name) = (&self.serves, &self.name);
        if serves == ours || self.holder.is_of_same_deployment_as(holder) {
            return None;
        }
        Some(format!(
            "{holder} holds the Lease and serves {serves}; this operator would serve {ours}, and sets no password while the other operator runs. If these are two installations, give one of them another Lease than {name} by --lease-name"
        ))
    }

    /// Logs each new reason once. Reports the reason to `set_failure` if requests have failed for as long as a
    /// lease lasts.
    fn record_failure(&mut self, why: &str, now: Duration, set_failure: &impl Fn(Option<&str>)) {
        self.handle.count_failure();
        let since = match &self.failure {
            Some(failure) if failure.why == why => failure.since,
            earlier => {
                warn!(why, "the Lease can't be acquired or renewed; trying again");
                earlier.as_ref().map_or(now, |earlier| earlier.since)
            }
        };
        if clock() >= since + LEASE_DURATION {
            set_failure(Some(why));
        }
        self.failure = Some(Failure {
            why: why.to_owned(),
            since,
        });
    }

    fn clear_failure(&mut self, set_failure: &impl Fn(Option<&str>)) {
        if self.failure.take().is_some() {
            info!("the Lease can be acquired and renewed again");
            set_failure(self.foreign_lease.as_deref());
        }
    }
}

fn record_of(lease: &Lease) -> Record {
    let spec = lease.spec.clone().unwrap_or_default();
    Record {
        version: lease.metadata.resource_version.clone(),
        holder: spec.holder_identity.unwrap_or_default(),
        seconds: spec.lease_duration_seconds,
        transitions: spec.lease_transitions.unwrap_or_default(),
        acquired: spec.acquire_time.map(|time| time.0),
        renewed: spec.renew_time.map(|time| time.0),
    }
}
