//! Looks at the users of resources whose drift isn't `Ignore`: a pass over each pool in each interval, and single
//! lookups that the protocol asks for. `core::look` decides which calls a pass makes, and `core::protocol` decides
//! what follows from a look.
//!
//! Each call is one call of `ListUsers`, and waits for a permit of its account and Region. The permits of looks are
//! an instance of their own, so a Region in which `ListUsers` hangs takes no permit of a set.
//!
//! Imports `context`, `reconcile`, `schedule` and `state`.

mod job;
mod pools;

use self::{
    job::{Job, PassId, Progress, ToLooker},
    pools::{Candidate, Pools},
};
use super::{
    calls,
    context::Context,
    isolate::isolated_async,
    reconcile::{gather::Snapshot, triage::triage_all},
    schedule::{
        credential_gate::GateRefusal,
        permits::{Payer, Permit, Permits},
    },
    state::key::Key,
};
use crate::{
    api::{Class, Reason},
    cluster::events,
    cognito::Cognito,
    core::{
        access::authority::Authority,
        credential::failure::CredentialsFailure,
        look::{
            found::{Found, Look, LookFailure},
            sweep::{Sweep, Wanted},
            user::{UserPage, UserState},
        },
        names::target::{Account, PoolId},
        protocol::{
            looked::modified_since,
            outcome::{CredentialsEvidence, evidence, reason_and_class},
            reply::{NotSent, Reply},
        },
        schedule::rate_limit::{Category, Urgency},
    },
    ops::metrics,
};
use jiff::Timestamp;
use kube::runtime::events::EventType;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    task::JoinSet,
    time::{Instant, interval},
};
use tracing::{debug, warn};

/// How often the looker checks which pools are due.
const TICK: Duration = Duration::from_secs(5);

/// How often a call of a pass that failed is made again, before the pass gives the call up.
const TRIES: u32 = 4;

/// The pause before the first of these tries. Each next pause is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// When a lookup comes again that could not begin because another task resolves the credentials.
const CREDENTIALS_PAUSE: Duration = Duration::from_secs(1);

/// How old a temporary password is at least before the pool's policy is read: the shortest validity is a day.
const VALIDITY_MIN: jiff::SignedDuration = jiff::SignedDuration::from_hours(24);

/// Looks at users once this process leads, for ever.
pub(crate) async fn look<C: Cognito>(context: &Arc<Context<C>>) {
    context.leadership.won().await;
    let (sender, turns) = unbounded_channel();
    let permits = Permits::new(context.budget, ToLooker(sender));
    let mut looker = Looker {
        context: context.clone(),
        permits: permits.clone(),
        jobs: HashMap::new(),
        pools: Pools::new(context.drift_interval),
        resolving: HashSet::new(),
        running: JoinSet::new(),
    };
    tokio::select! {
        () = looker.run(turns) => {}
        () = permits.give(&context.metrics) => {}
    }
}

struct Looker<C: Cognito> {
    context: Arc<Context<C>>,
    permits: Permits<Job>,
    jobs: HashMap<Job, Progress>,
    pools: Pools,
    /// The authorities whose credentials are being resolved.
    resolving: HashSet<Authority>,
    running: JoinSet<Option<(Job, Done)>>,
}

/// The end of one asynchronous step of a job.
enum Done {
    /// The credentials of the job's authority are there, or not.
    Credentials(Arc<PassId>, Result<Account, GateRefusal>),
    /// A call of `ListUsers` that began at this time ended.
    Listed(Timestamp, Reply<UserPage>),
    /// The pool's policy was read.
    Policy(Reply<Option<u32>>),
    /// The pause after a failure is over.
    Paused,
    /// The step panicked.
    Panicked,
}

impl<C: Cognito> Looker<C> {
    async fn run(&mut self, mut turns: UnboundedReceiver<Job>) {
        let context = self.context.clone();
        let mut tick = interval(TICK);
        loop {
            tokio::select! {
                key = context.looks.next_asked() => self.enter(&Job::Lookup(key)),
                _ = tick.tick() => self.begin_passes().await,
                Some(job) = turns.recv() => self.enter(&job),
                Some(ended) = self.running.join_next() => {
                    if let Ok(Some((job, done))) = ended {
                        self.ended(job, done).await;
                    }
                }
            }
        }
    }

    /// Begins the lookup that the protocol asked for, unless there is no more reason for a lookup. Until there is a
    /// permit, nothing is kept of the lookup: a tenant can have any number of new resources.
    fn begin_lookup(&mut self, job: &Job, key: &Key) {
        let find = || pools::candidate(&self.context, key);
        let found = self
            .context
            .isolated(key, "finding a user to look at", find);
        let Some(Candidate { id, wanted, .. }) = found.flatten() else {
            return self.permits.leave(job);
        };
        let Some(account) = self.context.credential_gate.account(&id.authority) else {
            return self.resolve_credentials(job, key, id);
        };
        if let Ok(permit) = self
            .permits
            .claim(job, &payer(job, &id, account), urgency(job))
        {
            let progress = Progress::new(id, Sweep::of_one(wanted), key.clone());
            self.jobs.insert(job.clone(), progress);
            self.call(job, permit);
        }
    }

    /// Begins a pass over each pool that is due. Before the first lists are complete, a pass would miss the
    /// resources that are not listed yet, and the next pass would come an interval later.
    async fn begin_passes(&mut self) {
        let context = self.context.clone();
        if context.index().awaits_any() {
            return;
        }
        let pools: Vec<_> = context.index().pools_looked_at().cloned().collect();
        for pool in self.pools.due(&context.looks, pools) {
            let now = Instant::now();
            let passes = pools::collect(&context, &pool).await;
            if passes.is_empty() {
                // Nobody waits for a pass, so the age of the last one means nothing.
                context.looks.passed(&pool, now);
            }
            for (id, wanted) in passes {
                let id = Arc::new(id);
                let job = Job::Pass(id.clone());
                let Some(speaker) = wanted.first().map(|wanted| wanted.key.clone()) else {
                    continue;
                };
                if !self.jobs.contains_key(&job) {
                    let sweep = Sweep::new(wanted, self.pools.begun(&id));
                    self.jobs
                        .insert(job.clone(), Progress::new(id, sweep, speaker));
                    self.enter(&job);
                }
            }
        }
    }

    /// Makes the next call of a job, or waits for credentials or a permit.
    fn enter(&mut self, job: &Job) {
        let Some(progress) = self.progress(job) else {
            return match job {
                Job::Lookup(key) => self.begin_lookup(job, key),
                Job::Pass(_) | Job::Policy(_) => self.permits.leave(job),
            };
        };
        if progress.is_calling {
            return;
        }
        let id = progress.id.clone();
        let Some(account) = self.context.credential_gate.account(&id.authority) else {
            let speaker = progress.speaker.clone();
            return self.resolve_credentials(job, &speaker, id);
        };
        if let Ok(permit) = self
            .permits
            .claim(job, &payer(job, &id, account), urgency(job))
        {
            self.call(job, permit);
        }
    }

    /// Resolves the credentials of an authority. One job does so, and the others try again after a pause.
    fn resolve_credentials(&mut self, job: &Job, speaker: &Key, id: Arc<PassId>) {
        self.permits.leave(job);
        if !self.resolving.insert(id.authority.clone()) {
            return self.pause(job, CREDENTIALS_PAUSE);
        }
        let (context, speaker) = (self.context.clone(), speaker.clone());
        let must_report = matches!(job, Job::Lookup(_));
        self.spawn(job, async move {
            // The credential gate gives the slot away while it waits for a service of AWS.
            let _slot = context.slots.take().await;
            let gate = &context.credential_gate;
            let found = gate.ensure(&speaker, &id.authority, must_report).await;
            Done::Credentials(id, found)
        });
    }

    fn pause(&mut self, job: &Job, pause: Duration) {
        match job {
            Job::Lookup(key) if !self.jobs.contains_key(job) => self.context.looks.ask(key, pause),
            Job::Lookup(_) | Job::Pass(_) | Job::Policy(_) => self.spawn(job, async move {
                tokio::time::sleep(pause).await;
                Done::Paused
            }),
        }
    }

    fn call(&mut self, job: &Job, permit: Permit<Job>) {
        let Some(progress) = self.jobs.get_mut(&of_progress(job)) else {
            return;
        };
        progress.is_calling = true;
        let id = progress.id.clone();
        let query = progress.sweep.next();
        let context = self.context.clone();
        match (job, query) {
            (Job::Policy(_), _) => {
                self.spawn(job, async move { read_policy(&context, &id, permit).await })
            }
            (Job::Lookup(_) | Job::Pass(_), Some(query)) => self.spawn(job, async move {
                let begun = Timestamp::now();
                let mut permit = permit;
                permit.calling();
                let started = Instant::now();
                let cognito = &context.cognito;
                let reply = cognito.list_users(&id.authority, &id.pool, &query).await;
                calls::ended(
                    &context,
                    permit,
                    metrics::LIST_USERS,
                    &reply,
                    started.elapsed(),
                );
                Done::Listed(begun, reply)
            }),
            (Job::Lookup(_) | Job::Pass(_), None) => {}
        }
    }

    fn spawn(&mut self, job: &Job, step: impl Future<Output = Done> + Send + 'static) {
        let (context, job) = (self.context.clone(), job.clone());
        let stalls = context.metrics.stalls();
        self.running.spawn(stalls.instrument(async move {
            let done = isolated_async(&context.metrics, &job, "looking at users", step).await;
            Some((job, done.unwrap_or(Done::Panicked)))
        }));
    }

    fn progress(&self, job: &Job) -> Option<&Progress> {
        self.jobs.get(&of_progress(job))
    }

    async fn ended(&mut self, job: Job, done: Done) {
        if let Some(progress) = self.jobs.get_mut(&of_progress(&job)) {
            progress.is_calling = false;
        }
        match done {
            Done::Credentials(id, found) => {
                self.resolving.remove(&id.authority);
                match found {
                    Ok(_) => self.enter(&job),
                    Err(refusal) => self.without_credentials(&job, &id, refusal).await,
                }
            }
            Done::Paused => self.enter(&job),
            Done::Listed(begun, Reply::Success { output, .. }) => {
                self.accepted(&job);
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
                self.jobs.remove(&of_progress(&job));
                if let Job::Pass(id) | Job::Policy(id) = &job {
                    self.pools.ended(id, None);
                }
            }
        }
    }

    fn accepted(&self, job: &Job) {
        self.tell_gate(job, &CredentialsEvidence::Accepted);
    }

    fn tell_gate(&self, job: &Job, evidence: &CredentialsEvidence) {
        if let Some(progress) = self.progress(job) {
            let gate = &self.context.credential_gate;
            gate.answered(&progress.speaker, &progress.id.authority, evidence);
        }
    }

    /// A lookup fails at once, so that no first set waits for credentials that only the set can report. A pass
    /// comes again.
    async fn without_credentials(&mut self, job: &Job, id: &PassId, refusal: GateRefusal) {
        let CredentialsFailure(words) = refusal.failure;
        let reason = Reason::InvalidCredentials;
        match job {
            Job::Lookup(_) if !refusal.report_now => self.pause(job, CREDENTIALS_PAUSE),
            Job::Lookup(key) if !self.jobs.contains_key(job) => {
                let failure = LookFailure { reason, words };
                self.report(&id.pool, vec![key.clone()], &failure).await;
            }
            Job::Lookup(_) | Job::Pass(_) => {
                let failure = LookFailure { reason, words };
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
            if matches!(job, Job::Pass(_)) && may_have_expired(&self.context, &wanted, &look) {
                if let Some(progress) = self.jobs.get_mut(job) {
                    progress.held.push((wanted, look));
                }
                continue;
            }
            let noted = note(&self.context, &id, wanted, look, None);
            if let Some(key) = &noted {
                report_modified(&self.context, key);
            }
            affected.extend(noted);
        }
        triage_all(&self.context, affected).await;
        self.go_on(job);
    }

    /// Makes the next call of the job, or ends the job.
    fn go_on(&mut self, job: &Job) {
        let Some(progress) = self.jobs.get(job) else {
            return;
        };
        if progress.sweep.next().is_some() {
            return self.enter(job);
        }
        match job {
            Job::Pass(id) if !progress.held.is_empty() => self.enter(&Job::Policy(id.clone())),
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
        let days = match reply {
            Reply::Success { output, .. } => {
                Some(output.unwrap_or(crate::core::look::judge::VALIDITY_DAYS))
            }
            Reply::ServiceError(_) | Reply::NotSent { .. } | Reply::NoReply { .. } => None,
        };
        let pass = Job::Pass(id.clone());
        let Some(progress) = self.jobs.get_mut(&pass) else {
            return;
        };
        let held = std::mem::take(&mut progress.held);
        let noted = held
            .into_iter()
            .filter_map(|(wanted, look)| note(&self.context, id, wanted, look, days));
        let affected: Vec<_> = noted.collect();
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
        progress.has_failed = true;
        progress.failures = 0;
        let keys = match job {
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
        self.go_on(job);
    }

    /// Has these resources decide that the operator can't look at their users.
    async fn report(&self, pool: &PoolId, keys: Vec<Key>, failure: &LookFailure) {
        warn!(%pool, reason = failure.reason.as_str(), why = failure.words, "the operator could not look at users");
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

/// The job under which the progress of a job is kept.
fn of_progress(job: &Job) -> Job {
    match job {
        Job::Lookup(_) | Job::Pass(_) => job.clone(),
        Job::Policy(id) => Job::Pass(id.clone()),
    }
}

fn payer(job: &Job, id: &PassId, account: Account) -> Payer {
    let category = match job {
        Job::Lookup(_) | Job::Pass(_) => Category::UserList,
        Job::Policy(_) => Category::UserPoolRead,
    };
    let region = id.authority.region.clone();
    Payer {
        account,
        region,
        category,
    }
}

/// A first set may wait for a lookup. Nobody waits for a pass.
const fn urgency(job: &Job) -> Urgency {
    match job {
        Job::Lookup(_) => Urgency::Requested,
        Job::Pass(_) | Job::Policy(_) => Urgency::Retry,
    }
}

/// Reads the validity of temporary passwords in a pool.
async fn read_policy<C: Cognito>(
    context: &Context<C>,
    id: &PassId,
    mut permit: Permit<Job>,
) -> Done {
    permit.calling();
    let started = Instant::now();
    let cognito = &context.cognito;
    let reply = cognito
        .temporary_password_validity_days(&id.authority, &id.pool)
        .await;
    let took = started.elapsed();
    calls::ended(context, permit, metrics::DESCRIBE_POOL, &reply, took);
    Done::Policy(reply)
}

/// Remembers a look, unless the resource has changed meanwhile. Returns the resource to decide on.
fn note<C: Cognito>(
    context: &Context<C>,
    id: &PassId,
    wanted: Wanted<Key>,
    look: Look,
    validity_days: Option<u32>,
) -> Option<Key> {
    let resource = context.index().resource(&wanted.key)?;
    let spec = &resource.spec;
    if spec.user_pool_id != id.pool.as_str() || spec.username != wanted.name {
        return None;
    }
    let uid = resource.metadata.uid.unwrap_or_default();
    context.looks.add(&wanted.key, &uid, look, validity_days);
    Some(wanted.key)
}

/// Queues an Event if something about the user was modified since the set, and this process has not said so of
/// this time. No status is written: anything may move that time, a sign-in perhaps too.
fn report_modified<C: Cognito>(context: &Context<C>, key: &Key) {
    let report = || {
        let stored = context.index().resource(key)?;
        let resource = context.memory.freshest(key, stored);
        let snapshot = Snapshot::new(context, key, resource.clone());
        let observed = snapshot.observe(context, snapshot.watched_secret(context));
        let at = modified_since(&observed, Timestamp::now())?;
        context.looks.is_news(key, at).then(|| {
            let note = format!(
                "Something about the user was modified at {at} by AWS's clock, after the operator set the password. AWS doesn't say what. If somebody may have changed the password, request a set: kubectl annotate cup NAME --overwrite cognito-password-operator.io/requestedAt=$(date +%s)."
            );
            let regarding = events::reference(&*resource);
            let events = &context.events;
            events.enqueue(regarding, EventType::Normal, "UserModified", "Look", &note);
        })
    };
    let _ = context.isolated(key, "reporting a modified user", report);
}

/// Whether the look shows a user who has not signed in, with a temporary password that is older than the shortest
/// validity.
fn may_have_expired<C: Cognito>(context: &Context<C>, wanted: &Wanted<Key>, look: &Look) -> bool {
    let Found::User(user) = &look.found else {
        return false;
    };
    if user.state != UserState::ForceChangePassword {
        return false;
    }
    let Some(resource) = context.index().resource(&wanted.key) else {
        return false;
    };
    let set_at = resource
        .status
        .and_then(|status| status.synced)
        .map(|synced| synced.at.0);
    !resource.spec.permanent
        && set_at.is_some_and(|at| look.begun.duration_since(at) > VALIDITY_MIN)
}

/// Why a call failed, and whether the same call may succeed soon.
fn failure(reply: &Reply<UserPage>) -> (LookFailure, bool) {
    let of = |reason: Reason, words: String| LookFailure { reason, words };
    match reply {
        Reply::ServiceError(error) => {
            let (reason, class) = reason_and_class(error);
            let may_pass = matches!(class, Class::Transient | Class::Unknown);
            (of(reason, error.words()), may_pass)
        }
        Reply::NotSent {
            cause: NotSent::Credentials,
            detail,
        } => (of(Reason::InvalidCredentials, detail.clone()), true),
        Reply::NotSent { detail, .. } | Reply::NoReply { detail } => {
            (of(Reason::Unreachable, detail.clone()), true)
        }
        Reply::Success { .. } => (of(Reason::UnhandledError, String::new()), true),
    }
}
