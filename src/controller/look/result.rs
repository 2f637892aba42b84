//! What the looker does with the end of each step: the next step of the job, or the decisions that follow from
//! what a look found.

use super::{
    CREDENTIALS_PAUSE, Done, Looker,
    job::{Job, PassId},
    note::{failure, may_have_expired, note, report_modified, resource_of},
};
use crate::{
    api::Reason,
    cognito::Cognito,
    controller::{
        reconcile::triage::triage_all, schedule::credential_gate::GateRefusal, state::key::Key,
    },
    core::{
        credential::failure::CredentialsFailure,
        look::{
            found::{Look, LookFailure, Validity},
            judge::VALIDITY_DAYS,
            user::UserPage,
        },
        names::target::PoolId,
        protocol::{
            outcome::{CredentialsEvidence, evidence},
            reply::{NotSent, Reply},
        },
    },
};
use jiff::Timestamp;
use std::{sync::Arc, time::Duration};
use tracing::{debug, warn};

/// How often a call of a pass that failed is made again, before the pass gives the call up.
const TRIES: u32 = 4;

/// The pause before the first of these tries. Each next pause is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

impl<C: Cognito> Looker<C> {
    /// Handles the end of a step.
    pub(super) async fn ended(&mut self, job: Job, done: Done) {
        if let Some(progress) = self.jobs.get_mut(&job.of_progress()) {
            progress.is_calling = false;
        }
        match done {
            Done::Credentials(id, found) => {
                self.resolving.remove(&id.authority);
                match found {
                    Ok(account) => self.enter_by(&job, Some(account)),
                    Err(refusal) => self.without_credentials(&job, &id, refusal).await,
                }
            }
            Done::Unanswered(id) => self.unanswered(&job, &id).await,
            Done::Paused => self.enter(&job),
            Done::Listed(begun, Reply::Success { output, .. }) => {
                self.tell_gate(&job, &CredentialsEvidence::Accepted);
                self.listed(&job, begun, output).await;
            }
            Done::Listed(_, reply) => {
                self.tell_gate(&job, &evidence(&reply));
                self.not_listed(&job, &reply).await;
            }
            Done::Policy(reply) => {
                self.tell_gate(&job, &evidence(&reply));
                self.policy(&job, &reply).await;
            }
            Done::Panicked => {
                self.resolving.clear();
                self.permits.leave(&job);
                self.jobs.remove(&job.of_progress());
                if let Job::Pass(id) | Job::Policy(id) = &job {
                    self.pools.ended(id, None);
                }
            }
        }
    }

    /// Has the resource decide without a look, because `ListUsers` does not answer.
    async fn unanswered(&self, job: &Job, id: &PassId) {
        if let Job::Lookup(key) = job {
            let failure = LookFailure {
                reason: Reason::Unreachable,
                words: "ListUsers does not answer".to_owned(),
                at: Timestamp::now(),
            };
            self.report(&id.pool, vec![key.clone()], &failure).await;
        }
    }

    /// A resource of a pass may be at rest, and then makes no call when the gate lets the resource try. So only a
    /// lookup closes the gate.
    fn tell_gate(&self, job: &Job, evidence: &CredentialsEvidence) {
        let may_close = matches!(job, Job::Lookup(_));
        if let CredentialsEvidence::Refused(_) = evidence
            && !may_close
        {
            return;
        }
        if let Some(progress) = self.progress(job) {
            let gate = &self.context.credential_gate;
            gate.answered(&progress.speaker, &progress.id.authority, evidence);
        }
    }

    /// A lookup fails at once, so that no first set waits for credentials that only the set can report. A pass
    /// comes again.
    async fn without_credentials(&mut self, job: &Job, id: &PassId, refusal: GateRefusal) {
        let CredentialsFailure(words) = refusal.failure;
        let (reason, at) = (Reason::InvalidCredentials, Timestamp::now());
        match job {
            Job::Lookup(_) if !refusal.report_now => self.pause(job, CREDENTIALS_PAUSE),
            Job::Lookup(key) if !self.jobs.contains_key(job) => {
                let failure = LookFailure { reason, words, at };
                self.report(&id.pool, vec![key.clone()], &failure).await;
            }
            Job::Lookup(_) | Job::Pass(_) => {
                let failure = LookFailure { reason, words, at };
                self.give_up(job, &failure, true).await;
            }
            Job::Policy(_) => {
                let cause = NotSent::Credentials;
                let reply = Reply::NotSent {
                    cause,
                    detail: words,
                };
                self.policy(job, &reply).await;
            }
        }
    }

    async fn listed(&mut self, job: &Job, begun: Timestamp, page: UserPage) {
        let Some(progress) = self.jobs.get_mut(job) else {
            return;
        };
        progress.failures = 0;
        let found = progress.sweep.answered(page);
        let id = progress.id.clone();
        let mut affected = Vec::new();
        for (wanted, found, kind) in found {
            let look = Look { found, begun, kind };
            let Some(resource) = resource_of(&self.context, &id, &wanted) else {
                continue;
            };
            if matches!(job, Job::Pass(_)) && may_have_expired(&resource, &look) {
                if let Some(progress) = self.jobs.get_mut(job) {
                    progress.held.push((wanted, look));
                }
                continue;
            }
            let key = wanted.key;
            note(&self.context, &key, &resource, look, Validity::NotRead);
            report_modified(&self.context, &key, resource);
            affected.push(key);
        }
        triage_all(&self.context, affected).await;
        self.go_on(job).await;
    }

    /// Makes the next call of the job, or ends the job.
    async fn go_on(&mut self, job: &Job) {
        let Some(progress) = self.jobs.get(job) else {
            return;
        };
        if progress.sweep.next().is_some() {
            return self.enter(job);
        }
        match job {
            Job::Pass(id) if !progress.held.is_empty() => match self.pools.validity(id) {
                Some(validity) => self.release_held(id, validity).await,
                None => self.enter(&Job::Policy(id.clone())),
            },
            Job::Lookup(_) | Job::Pass(_) | Job::Policy(_) => self.finish(job),
        }
    }

    fn finish(&mut self, job: &Job) {
        let Some(progress) = self.jobs.remove(job) else {
            return;
        };
        if let Job::Pass(id) = job {
            let is_complete = !progress.has_failed;
            debug!(pool = %id.pool, authority = %id.authority, is_complete, "looked at the users of a pool");
            let habit = is_complete.then(|| progress.sweep.habit());
            self.pools.ended(id, habit);
            if is_complete {
                self.context.looks.passed(&id.pool, progress.began);
            }
        }
    }

    async fn policy(&mut self, job: &Job, reply: &Reply<Option<u32>>) {
        let Job::Policy(id) = job else {
            return;
        };
        // A policy that does not say has Cognito's default. A policy that could not be read says nothing.
        let validity = match reply {
            Reply::Success { output, .. } => Validity::Days(output.unwrap_or(VALIDITY_DAYS)),
            Reply::ServiceError(_) | Reply::NotSent { .. } | Reply::NoReply { .. } => {
                Validity::Unreadable
            }
        };
        self.pools.read(id, validity);
        self.release_held(id, validity).await;
    }

    /// Decides on the looks that waited for the validity of temporary passwords, and ends the pass.
    async fn release_held(&mut self, id: &Arc<PassId>, validity: Validity) {
        let pass = Job::Pass(id.clone());
        let Some(progress) = self.jobs.get_mut(&pass) else {
            return;
        };
        let mut affected = Vec::new();
        for (wanted, look) in std::mem::take(&mut progress.held) {
            if let Some(resource) = resource_of(&self.context, id, &wanted) {
                note(&self.context, &wanted.key, &resource, look, validity);
                affected.push(wanted.key);
            }
        }
        triage_all(&self.context, affected).await;
        self.finish(&pass);
    }

    /// Makes a call again that may succeed soon. A lookup fails at the first failure, because a first set may wait
    /// for the lookup.
    async fn not_listed(&mut self, job: &Job, reply: &Reply<UserPage>) {
        let (failure, may_pass) = failure(reply);
        let Some(progress) = self.jobs.get_mut(job) else {
            return;
        };
        progress.failures += 1;
        let failures = progress.failures;
        if may_pass && failures < TRIES && matches!(job, Job::Pass(_)) {
            return self.pause(job, FIRST_PAUSE * 2_u32.pow(failures - 1));
        }
        self.give_up(job, &failure, may_pass).await;
    }

    /// Gives up a call. Resources say so at once if only a person can help, and otherwise after two intervals
    /// without a complete pass, so that a short trouble writes nothing.
    async fn give_up(&mut self, job: &Job, failure: &LookFailure, may_pass: bool) {
        let Some(progress) = self.jobs.get_mut(job) else {
            return;
        };
        let id = progress.id.clone();
        warn!(pool = %id.pool, reason = failure.reason.as_str(), why = failure.words, "the operator could not look at users");
        // Only this lookup fails: its filter is not what Cognito takes.
        let is_of_one = failure.reason == Reason::InvalidParameter;
        progress.has_failed |= !is_of_one;
        progress.failures = 0;
        let keys = match job {
            Job::Pass(_) if is_of_one => progress.sweep.failed(),
            // Every further call of the pass would fail too.
            Job::Pass(_) | Job::Policy(_) => {
                let rest: Vec<_> = progress.sweep.rest().cloned().collect();
                while progress.sweep.next().is_some() {
                    progress.sweep.failed();
                }
                rest
            }
            Job::Lookup(_) => progress.sweep.failed(),
        };
        let age = self.context.looks.age(&id.pool).unwrap_or_default();
        let says_so =
            !may_pass || matches!(job, Job::Lookup(_)) || age > 2 * self.context.drift_interval;
        if says_so {
            self.report(&id.pool, keys, failure).await;
        }
        self.go_on(job).await;
    }

    /// Has these resources decide that the operator can't look at their users.
    async fn report(&self, pool: &PoolId, keys: Vec<Key>, failure: &LookFailure) {
        debug!(%pool, reason = failure.reason.as_str(), count = keys.len(), "resources decide without a look");
        let mut affected = Vec::new();
        for key in keys {
            let resource = self.context.index().resource(&key);
            if let Some(uid) = resource.and_then(|resource| resource.metadata.uid) {
                self.context.looks.fail(&key, &uid, failure.clone());
                affected.push(key);
            }
        }
        triage_all(&self.context, affected).await;
    }
}
