//! One reconcile: gather, decide, act, report. What it does is decided in [`crate::core`]; here is
//! the order in which things are read, written and called.
//!
//! 1. gather what the watches showed, and decide; mostly that is all
//! 2. read the Secret, and decide again; not before there is a turn in the budget, where that isn't long
//! 3. for a set: credentials; a turn in the budget, for which the reconcile ends if it has to wait;
//!    the Secret again if the read is older than 1 s; then [`set`](super::set)
//!
//! At each conflict it begins again with the resource as it is then.

use super::{
    context::Context, credentials::TurnedAway, gather::Facts, key::Key, pace::Pace, record,
    set::set, turns::Waits,
};
use crate::{
    api::{Class, CognitoUserPassword, Reason},
    cluster::{CallError, status},
    cognito::Cognito,
    core::{
        backoff,
        decide::{
            Decision, decide, while_turned_away, while_waiting_for_turn, without_credentials,
        },
        grant::Admission,
        observed::{Observed, SecretFact},
    },
};
use futures::FutureExt;
use jiff::Timestamp;
use kube::ResourceExt;
use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};
use tracing::{error, warn};

/// A read of a Secret that is older than this is repeated before a set.
const READ_IS_FRESH: Duration = Duration::from_secs(1);

/// How long to wait while too little is left of the lease. It is renewed, or the process ends.
pub(super) const SHORT_OF_LEASE: Duration = Duration::from_secs(1);

/// How often a reconcile begins again after a conflict before it lets others have their turn.
const CONFLICTS_MAX: u32 = 5;

/// How a reconcile ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Done {
    /// Nothing more to do until an event, or until this time has passed.
    Wake(Option<Duration>),
    /// It waits for its turn in the budget, which puts it into the queue; after this time there is
    /// something to say of that.
    Queued(Option<Duration>),
    /// Too little is left of the lease to say it: nothing was written, and it is all to be done again.
    ShortOfLease,
    /// The resource has moved on: begin again with what is there now.
    Again,
    /// The API server failed: try again after a backoff.
    ApiFailed,
}

/// Looks at a resource that was taken from the queue. Answers with when to look again, if no event asks
/// for it. A panic stops nobody else.
pub(super) async fn reconcile<C: Cognito>(context: &Context<C>, key: &Key) -> Option<Duration> {
    let began = Instant::now();
    let reconciled = AssertUnwindSafe(look(context, key)).catch_unwind().await;
    reconciled.unwrap_or_else(|_| {
        error!(object = %key, "the reconcile panicked; it is tried again");
        context.metrics.reconcile("panic", began.elapsed());
        context.isolated(key, "leaving the budget", || context.turns.leave(key));
        Some(after_panic(context, key))
    })
}

async fn look<C: Cognito>(context: &Context<C>, key: &Key) -> Option<Duration> {
    let stored = context.index().resource(key);
    let Some(resource) = stored.filter(|_| !context.is_stopping()) else {
        context.turns.leave(key);
        return None;
    };
    if !context.leads_for_a_call() {
        context.turns.leave(key);
        return Some(SHORT_OF_LEASE);
    }
    let uid = resource.uid().unwrap_or_default();
    let started = Instant::now();
    let done = attend(context, key, resource).await;
    if !matches!(done, Done::Queued(_)) {
        context.turns.leave(key);
    }
    let (result, wake) = match done {
        Done::Wake(wake) => {
            context.memory.api_works(key);
            ("ok", wake)
        }
        Done::Queued(quiet) => {
            context.memory.api_works(key);
            ("queued", quiet)
        }
        Done::ShortOfLease => ("ok", Some(SHORT_OF_LEASE)),
        Done::Again => ("conflict", Some(Duration::from_millis(200))),
        Done::ApiFailed => {
            let failures = context.memory.api_failed(key);
            ("api_error", Some(retry(failures, &uid)))
        }
    };
    context.metrics.reconcile(result, started.elapsed());
    if !context.index().has_resource(key) {
        context.memory.forget(key);
    }
    wake
}

/// Asks for a look at each of these, but not where a glance tells that there is nothing to do: of ten
/// thousand in sync, none is looked at.
pub(super) async fn ask<C: Cognito>(context: &Context<C>, keys: impl IntoIterator<Item = Key>) {
    let mut pace = Pace::new();
    for key in keys {
        ask_for(context, key);
        pace.step().await;
    }
}

fn ask_for<C: Cognito>(context: &Context<C>, key: Key) {
    let glance = || {
        if context.index().may_look_at(&key) {
            glance(context, &key)
        } else {
            Glance::NothingToDo
        }
    };
    match context.isolated(&key, "the first decision on a resource", glance) {
        Some(Glance::Look) if context.turns.has_turn(&key) => context.queue.push_first(key),
        Some(Glance::Look) => context.queue.push(key),
        Some(Glance::LookAfter(wait)) => context.queue.push_after(key, wait),
        Some(Glance::NothingToDo) => {}
        None => {
            let wait = after_panic(context, &key);
            context.queue.push_after(key, wait);
        }
    }
}

/// What a glance at a resource tells.
enum Glance {
    NothingToDo,
    Look,
    LookAfter(Duration),
}

/// Decides on what the watches show, as a look begins.
fn glance<C: Cognito>(context: &Context<C>, key: &Key) -> Glance {
    let begun = context.queue.is_taken(key) || context.turns.holds(key);
    if begun || context.memory.has_unrecorded(key) {
        return Glance::Look;
    }
    let Some(stored) = context.index().resource(key) else {
        return Glance::NothingToDo;
    };
    let resource = context.memory.freshest(key, stored);
    let facts = Facts::new(context, key, resource);
    let observed = facts.observed(context, facts.hint(context));
    // What would need an id is for the look.
    match decide(&observed, Timestamp::now(), "") {
        Decision::Leave => Glance::NothingToDo,
        Decision::Stay { wake: None } => {
            if observed.is_at_rest() {
                context.memory.rest(key);
            }
            Glance::NothingToDo
        }
        Decision::Stay { wake: Some(wake) } => Glance::LookAfter(wake),
        Decision::Read | Decision::Report(_) | Decision::Set(_) => Glance::Look,
    }
}

fn retry(failures: u32, uid: &str) -> Duration {
    backoff::delay(Reason::Unreachable, Class::Transient, failures, uid)
}

/// When to reconcile a resource again after a panic: after 3 s at the earliest, and later with each panic.
fn after_panic<C: Cognito>(context: &Context<C>, key: &Key) -> Duration {
    let failures = context.memory.api_failed(key);
    if !context.index().has_resource(key) {
        context.memory.forget(key);
    }
    retry(failures.saturating_add(3), &key.to_string())
}

/// Begins again as long as there are conflicts.
async fn attend<C: Cognito>(context: &Context<C>, key: &Key, stored: CognitoUserPassword) -> Done {
    let mut resource = context.memory.freshest(key, stored);
    for _ in 0..CONFLICTS_MAX {
        match pass(context, key, resource).await {
            Done::Again => {}
            done @ (Done::Wake(_) | Done::Queued(_) | Done::ShortOfLease | Done::ApiFailed) => {
                return done;
            }
        }
        resource = match refresh(context, key).await {
            Ok(Some(resource)) => resource,
            Ok(None) => return Done::Wake(None),
            Err(done) => return done,
        };
    }
    Done::Again
}

/// Reads the resource as it is now; none when it is gone.
pub(super) async fn refresh<C: Cognito>(
    context: &Context<C>,
    key: &Key,
) -> Result<Option<Arc<CognitoUserPassword>>, Done> {
    match status::read(&context.client, key.namespace(), key.name()).await {
        Ok(resource) => {
            let resource = Arc::new(resource);
            context.wrote(key, resource.clone());
            Ok(Some(resource))
        }
        Err(CallError::NotFound) => Ok(None),
        Err(error) => {
            warn!(object = %key, %error, "the resource could not be read");
            Err(Done::ApiFailed)
        }
    }
}

/// One pass over the stages.
async fn pass<C: Cognito>(
    context: &Context<C>,
    key: &Key,
    resource: Arc<CognitoUserPassword>,
) -> Done {
    let facts = Facts::new(context, key, resource);
    if let Some(unrecorded) = facts.unrecorded() {
        let resource = match &unrecorded.outcome {
            Some(_) => facts.resource,
            // Whether the attempt is on record only a read tells: the watch may not show it yet.
            None => match refresh(context, key).await {
                Ok(Some(now)) => now,
                Ok(None) => return Done::Wake(None),
                Err(done) => return done,
            },
        };
        return match record::record(context, key, &resource, &unrecorded).await {
            // What asked for this look is still to be looked at.
            Done::Wake(_) => Done::Again,
            done @ (Done::Queued(_) | Done::ShortOfLease | Done::Again | Done::ApiFailed) => done,
        };
    }
    let Some(id) = fresh_id() else {
        error!("the system's random source failed");
        return Done::ApiFailed;
    };
    let now = Timestamp::now();
    let observed = facts.observed(context, facts.hint(context));
    match decide(&observed, now, &id) {
        Decision::Leave => Done::Wake(None),
        Decision::Stay { wake } => Done::Wake(wake),
        Decision::Report(report) => record::report(context, key, &facts.resource, &report).await,
        // Without the value there is no plan.
        Decision::Set(_) | Decision::Read
            if observed.is_unidentified() && is_turned_away(context, key, &facts, &observed) =>
        {
            match while_turned_away(&observed, now) {
                Decision::Report(report) => {
                    record::report(context, key, &facts.resource, &report).await
                }
                Decision::Stay { wake } => Done::Wake(wake),
                Decision::Leave | Decision::Read | Decision::Set(_) => Done::Wake(None),
            }
        }
        Decision::Set(_) | Decision::Read if awaits_credentials(context, key, &observed) => {
            Done::Wake(None)
        }
        Decision::Set(_) | Decision::Read => match line_up(context, key, &observed) {
            Some(quiet) => Done::Queued(Some(quiet)),
            None => with_value(context, key, &facts, &id).await,
        },
    }
}

/// Whether another reconcile waits for the credentials of the same authority. Until they are there, or
/// aren't, nothing is read: the queue is asked for this resource then.
fn awaits_credentials<C: Cognito>(
    context: &Context<C>,
    key: &Key,
    observed: &Observed<'_>,
) -> bool {
    match &observed.admission {
        Admission::Granted(authority) => context.credentials.awaits_resolution(key, authority),
        Admission::NotGranted
        | Admission::Ambiguous
        | Admission::UnknownRegion
        | Admission::Unknown => false,
    }
}

/// Where it is to wait for a turn before it is read, and for how long at most: not where that is long. What has
/// failed may be less urgent than it looks, and is read first: only the value tells.
fn line_up<C: Cognito>(
    context: &Context<C>,
    key: &Key,
    observed: &Observed<'_>,
) -> Option<Duration> {
    let Admission::Granted(authority) = &observed.admission else {
        return None;
    };
    if !matches!(observed.secret, SecretFact::Seen(_)) || observed.status.failures.is_some() {
        return None;
    }
    let account = context.credentials.account(authority)?;
    let payer = (account, authority.region.clone());
    context.turns.line_up(key, &payer).err()?.quiet
}

/// While there are no credentials and the status says so, there is nothing to read and nothing to
/// write: when there are some, it is looked at.
fn is_turned_away<C: Cognito>(
    context: &Context<C>,
    key: &Key,
    facts: &Facts,
    observed: &Observed<'_>,
) -> bool {
    let Admission::Granted(authority) = &observed.admission else {
        return false;
    };
    context.memory.expect_healing(key, facts.uid());
    context.credentials.turn_away(key, authority)
}

/// Reads the Secret and decides again.
async fn with_value<C: Cognito>(context: &Context<C>, key: &Key, facts: &Facts, id: &str) -> Done {
    let mut gathered = match facts.read(context).await {
        Ok(gathered) => gathered,
        Err(error) => return read_failed(key, &error),
    };
    let now = Timestamp::now();
    let observed = facts.observed(context, gathered.fact.clone());
    let plan = match decide(&observed, now, id) {
        Decision::Set(plan) => plan,
        other => {
            gathered.password = None;
            return without_set(context, key, facts, &gathered.fact, other).await;
        }
    };
    // Before anything is recorded: a broken identity must never leave an open attempt.
    let authority = &plan.authority;
    let must_tell = observed.says_what_is_over();
    context.memory.expect_healing(key, facts.uid());
    let ensured = context.credentials.ensure(key, authority, must_tell).await;
    let account = match ensured {
        Ok(account) => account,
        Err(TurnedAway { tell: false, .. }) => return Done::Wake(None),
        Err(TurnedAway { failure, .. }) => {
            gathered.password = None;
            let report = without_credentials(&observed, &failure.0, Timestamp::now());
            let done = record::report(context, key, &facts.resource, &report).await;
            return concluded(context, key, facts, &gathered.fact, done);
        }
    };
    let payer = (account, authority.region.clone());
    let turn = match context.turns.claim(key, &payer, plan.urgency) {
        Ok(turn) => turn,
        Err(Waits { quiet: Some(quiet) }) => return Done::Queued(Some(quiet)),
        Err(Waits { quiet: None }) => {
            gathered.password = None;
            return queued(context, key, facts, &observed).await;
        }
    };
    if gathered.read_at.elapsed() < READ_IS_FRESH {
        return set(context, key, facts, gathered, &plan, turn).await;
    }
    // The credentials took their time: decide on what is true now.
    gathered.password = None;
    if !facts.is_granted(context, authority) {
        return Done::Again;
    }
    let mut gathered = match facts.read(context).await {
        Ok(gathered) => gathered,
        Err(error) => return read_failed(key, &error),
    };
    let observed = facts.observed(context, gathered.fact.clone());
    match decide(&observed, Timestamp::now(), id) {
        Decision::Set(now) if now.authority != *authority => Done::Again,
        Decision::Set(plan) => set(context, key, facts, gathered, &plan, turn).await,
        other => {
            gathered.password = None;
            without_set(context, key, facts, &gathered.fact, other).await
        }
    }
}

/// The set waits for its turn: until then the status must not say of the old value that all is well.
async fn queued<C: Cognito>(
    context: &Context<C>,
    key: &Key,
    facts: &Facts,
    observed: &Observed<'_>,
) -> Done {
    let Some(report) = while_waiting_for_turn(observed, Timestamp::now()) else {
        return Done::Queued(None);
    };
    match record::report(context, key, &facts.resource, &report).await {
        Done::Wake(_) => Done::Queued(None),
        done @ (Done::Queued(_) | Done::ShortOfLease | Done::Again | Done::ApiFailed) => done,
    }
}

/// What a decision on a value comes to, when it isn't to set it.
async fn without_set<C: Cognito>(
    context: &Context<C>,
    key: &Key,
    facts: &Facts,
    fact: &SecretFact,
    decision: Decision,
) -> Done {
    let done = match decision {
        Decision::Leave => Done::Wake(None),
        Decision::Stay { wake } => Done::Wake(wake),
        Decision::Report(report) => {
            let done = record::report(context, key, &facts.resource, &report).await;
            if report.signed_again && matches!(done, Done::Wake(_)) {
                record::warn_signed_again(context, &facts.resource);
            }
            done
        }
        // A read was made: there is nothing that another would tell.
        Decision::Read | Decision::Set(_) => Done::Again,
    };
    let done = concluded(context, key, facts, fact, done);
    if let Done::Wake(_) = done {
        context.verified.add(key);
    }
    done
}

/// Remembers what was concluded on, once the status says so: not before, or a conflict would look
/// like a wait that holds.
pub(super) fn concluded<C: Cognito>(
    context: &Context<C>,
    key: &Key,
    facts: &Facts,
    fact: &SecretFact,
    done: Done,
) -> Done {
    if let Done::Wake(_) = done {
        let observed = facts.observed(context, fact.clone());
        let tried = observed.tried();
        context.memory.concluded(key, facts.uid(), tried);
        facts.acted(context, key);
    }
    done
}

fn read_failed(key: &Key, error: &CallError) -> Done {
    warn!(object = %key, %error, "the Secret could not be read");
    Done::ApiFailed
}

pub(super) fn write_failed(key: &Key, error: &CallError) -> Done {
    warn!(object = %key, %error, "the status could not be written");
    Done::ApiFailed
}

/// 64 random bits, as hex.
fn fresh_id() -> Option<String> {
    getrandom::u64().ok().map(|id| format!("{id:016x}"))
}
