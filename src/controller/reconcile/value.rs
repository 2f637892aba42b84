//! The stage that needs the Secret's value: read, decide again, wait for credentials and for a permit.

use super::record;
use crate::{
    cognito::Cognito,
    controller::{
        context::Context,
        reconcile::{
            action::{Done, read_failed},
            gather::Facts,
            record::concluded,
            set::set,
        },
        schedule::{credentials::TurnedAway, turns::Waits},
        state::key::Key,
    },
    core::protocol::{
        decide::{decide, while_waiting_for_turn, without_credentials},
        decision::Decision,
        observed::{Observed, SecretFact},
    },
};
use jiff::Timestamp;
use std::time::Duration;

/// Reads the Secret and decides again.
pub(crate) async fn with_value<C: Cognito>(
    context: &Context<C>,
    key: &Key,
    facts: &Facts,
    id: &str,
) -> Done {
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
pub(crate) async fn queued<C: Cognito>(
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
pub(crate) async fn without_set<C: Cognito>(
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

/// A read of a Secret that is older than this is repeated before a set.
pub(crate) const READ_IS_FRESH: Duration = Duration::from_secs(1);
