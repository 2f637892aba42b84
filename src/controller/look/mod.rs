//! Looks at the users of resources whose drift isn't `Ignore`: a pass over each pool in each interval, and single
//! lookups that the protocol asks for. `core::look` decides which calls a pass makes, and `core::protocol` decides
//! what follows from a look.
//!
//! Each call is one call of `ListUsers`, and waits for a permit of its account and Region. The permits of looks are
//! an instance of their own, so a Region in which `ListUsers` hangs takes no permit of a set.
//!
//! Imports `context`, `reconcile`, `schedule` and `state`.

mod job;
mod note;
mod pools;
mod result;

use self::{
    job::{Job, PassId, Progress, ToLooker},
    pools::{Candidate, Pools},
};
use super::{
    calls,
    context::Context,
    isolate::isolated_async,
    schedule::{
        credential_gate::GateRefusal,
        permits::{Permit, Permits},
    },
    state::key::Key,
};
use crate::{
    cognito::Cognito,
    core::{
        access::authority::Authority,
        look::{sweep::Sweep, user::UserPage},
        names::target::Account,
        protocol::reply::Reply,
    },
    ops::metrics,
};
use jiff::Timestamp;
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

/// How often the looker checks which pools are due.
const TICK: Duration = Duration::from_secs(5);

/// When a lookup comes again that could not begin because another task resolves the credentials.
const CREDENTIALS_PAUSE: Duration = Duration::from_secs(1);

/// How long a first set waits for a lookup while `ListUsers` does not answer. The guard is no lock.
const PATIENCE: Duration = Duration::from_secs(30);

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
    running: JoinSet<(Job, Done)>,
}

/// The end of one asynchronous step of a job.
enum Done {
    /// The credentials of the job's authority are there, or not.
    Credentials(Arc<PassId>, Result<Account, GateRefusal>),
    /// A call of `ListUsers` that began at this time ended.
    Listed(Timestamp, Reply<UserPage>),
    /// The pool's policy was read.
    Policy(Reply<Option<u32>>),
    /// A lookup waited for long for a service that doesn't answer.
    Unanswered(Arc<PassId>),
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
                    if let Ok((job, done)) = ended {
                        self.ended(job, done).await;
                    }
                }
            }
        }
    }

    /// Begins the lookup that the protocol asked for, unless there is no more reason for a lookup. Until there is a
    /// permit, nothing is kept of the lookup: a tenant can have any number of new resources.
    fn begin_lookup(&mut self, job: &Job, key: &Key, account: Option<Account>) {
        let find = || pools::candidate(&self.context, key);
        let found = self
            .context
            .isolated(key, "finding a user to look at", find);
        let Some(Candidate { id, wanted, .. }) = found.flatten() else {
            return self.permits.leave(job);
        };
        let known = || self.context.credential_gate.account(&id.authority);
        let Some(account) = account.or_else(known) else {
            return self.resolve_credentials(job, key, id);
        };
        if let Ok(permit) = self
            .permits
            .claim(job, &job.payer(&id, account), job.urgency())
        {
            let progress = Progress::new(id, Sweep::of_one(wanted), key.clone());
            self.jobs.insert(job.clone(), progress);
            self.call(job, permit);
        } else if self.permits.waits_in_vain(job, PATIENCE) {
            self.permits.leave(job);
            self.spawn(job, async move { Done::Unanswered(id) });
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
        self.enter_by(job, None);
    }

    /// The same, with the account if the credential gate has just named the account. A closed gate lets one call
    /// through, and names no account to others.
    fn enter_by(&mut self, job: &Job, account: Option<Account>) {
        let Some(progress) = self.progress(job) else {
            return match job {
                Job::Lookup(key) => self.begin_lookup(job, key, account),
                Job::Pass(_) | Job::Policy(_) => self.permits.leave(job),
            };
        };
        if progress.is_calling {
            return self.ask_again(job);
        }
        let id = progress.id.clone();
        let known = || self.context.credential_gate.account(&id.authority);
        let Some(account) = account.or_else(known) else {
            let speaker = progress.speaker.clone();
            return self.resolve_credentials(job, &speaker, id);
        };
        if let Ok(permit) = self
            .permits
            .claim(job, &job.payer(&id, account), job.urgency())
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
        let is_lookup = matches!(job, Job::Lookup(_));
        self.spawn(job, async move {
            let gate = &context.credential_gate;
            if !is_lookup {
                let found = gate.identify(&id.authority).await;
                return Done::Credentials(id, found);
            }
            // The credential gate gives the slot away while it waits for a service of AWS.
            let _slot = context.slots.take().await;
            let found = gate.ensure(&speaker, &id.authority, true).await;
            Done::Credentials(id, found)
        });
    }

    /// An ask for a lookup while a lookup of the same key is under way: the key may name another user by now.
    fn ask_again(&self, job: &Job) {
        if let Job::Lookup(key) = job {
            self.context.looks.ask(key, CREDENTIALS_PAUSE);
        }
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
        let Some(progress) = self.jobs.get_mut(&job.of_progress()) else {
            return;
        };
        progress.is_calling = true;
        let id = progress.id.clone();
        let query = progress.sweep.next();
        let context = self.context.clone();
        match (job, query) {
            (Job::Policy(_), _) => {
                self.spawn(job, async move { read_policy(&context, &id, permit).await });
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
            (job, done.unwrap_or(Done::Panicked))
        }));
    }

    fn progress(&self, job: &Job) -> Option<&Progress> {
        self.jobs.get(&job.of_progress())
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
