//! Writes the status: the report of a decision, or the outcome of a call. Then queues an Event.

use super::{
    action::{Action, write_failed},
    gather::refresh,
};
use crate::{
    api::{Class, CognitoUserPassword, Reason, Status},
    cluster::{CALL_TIMEOUT, CallError, events, status},
    cognito::Cognito,
    controller::{
        context::Context,
        reconcile::gather::Snapshot,
        state::{key::Key, memory::PendingOutcome},
    },
    core::{
        condition::verdict::Verdict,
        protocol::{
            conclude::{Conclusion, OutcomeReport, conclude, withdraw},
            decision::Report,
            obligation::SignOutReport,
            observation::SecretState,
            outcome::Outcome,
            plan::Plan,
            sign_out::SignOutOutcome,
        },
    },
};
use jiff::Timestamp;
use kube::{ResourceExt, runtime::events::EventType};
use std::sync::Arc;
use tracing::warn;

/// How many writes of one outcome may conflict. After that the reconcile ends, and other resources get
/// the slot.
const CONFLICTS_MAX: u32 = 5;

/// Writes the report of a decision that needed no call, if the status differs. Queues an Event if the reason
/// of the Ready condition changes.
pub(crate) async fn write_report<C: Cognito>(
    context: &Context<C>,
    key: &Key,
    resource: &CognitoUserPassword,
    report: &Report,
) -> Action {
    if resource.status.as_ref() == Some(&report.status) {
        return Action::Wake(report.wake);
    }
    if !context.leadership.has_left(CALL_TIMEOUT) {
        return Action::ShortOfLease;
    }
    let before = resource.status.as_ref().and_then(Status::ready_reason);
    match status::write(&context.client, resource, &report.status).await {
        Ok(written) => context.remember(key, Arc::new(written)),
        Err(CallError::NotFound) => return Action::Wake(None),
        Err(CallError::Conflict) => return Action::Restart,
        Err(error) => return write_failed(key, &error),
    }
    let reason = report.verdict.reason;
    let progress = matches!(reason, Reason::Progressing | Reason::RevokingSessions);
    if before != Some(report.verdict.reason) && !progress {
        queue_event(context, resource, &report.verdict, None);
    }
    Action::Wake(report.wake)
}

/// Writes a pending outcome into the status. The memory keeps the pending outcome until the write succeeds.
/// Otherwise an outage of the API server would lose a known outcome, and the call would be repeated.
///
/// Checks no lease: a known outcome is written even if the lease has ended, because the resourceVersion and
/// the attempt's id protect the record.
pub(crate) async fn write_outcome<C: Cognito>(
    context: &Context<C>,
    key: &Key,
    resource: &Arc<CognitoUserPassword>,
    pending_outcome: &PendingOutcome,
) -> Action {
    let uid = resource.uid().unwrap_or_default();
    let forget = || context.memory.recorded(key);
    let mut resource = resource.clone();
    for _ in 0..CONFLICTS_MAX {
        let current = resource.status.clone().unwrap_or_default();
        let PendingOutcome { plan, outcome } = pending_outcome;
        let plan = &plan.by_the_spec(&resource.spec);
        let now = Timestamp::now();
        let (wanted, recorded) = match outcome {
            None => (withdraw(&current, plan), None),
            Some(outcome) => match conclude(&current, plan, outcome, &uid, now) {
                Conclusion::Record(recorded) => {
                    (Some(recorded.status.clone()), Some((recorded, outcome)))
                }
                Conclusion::Superseded(doubtful) => (doubtful.map(|status| *status), None),
            },
        };
        let Some(wanted) = wanted else {
            forget();
            return Action::Restart;
        };
        match status::write(&context.client, &resource, &wanted).await {
            Ok(written) => {
                context.remember(key, Arc::new(written));
                forget();
                let Some((recorded, outcome)) = recorded else {
                    return Action::Restart;
                };
                report_outcome(context, &resource, plan, outcome, &recorded);
                return Action::Wake(recorded.wake);
            }
            Err(CallError::NotFound) => {
                forget();
                return Action::Wake(None);
            }
            Err(CallError::Conflict) => {}
            Err(error) => return write_failed(key, &error),
        }
        resource = match refresh(context, key).await {
            Ok(Some(now)) if now.uid().as_deref() == Some(&uid) => now,
            Ok(_) => {
                forget();
                return Action::Restart;
            }
            Err(done) => return done,
        };
    }
    Action::Restart
}

/// Queues the Event of a recorded outcome, and measures the time from the Secret's change to the set.
fn report_outcome<C: Cognito>(
    context: &Context<C>,
    resource: &CognitoUserPassword,
    plan: &Plan,
    outcome: &Outcome,
    recorded: &OutcomeReport,
) {
    let before = plan.before.ready_reason();
    // The first set of a resource or generation is not measured: the Secret may be much older than the
    // resource.
    let followed = plan.before.synced.is_some()
        && plan.before.observed_generation == Some(plan.attempt.generation);
    if recorded.applied && followed {
        let secret = Key::of_secret(resource);
        let version = &plan.attempt.secret_resource_version;
        let changed_at = context.index().changed_at(&secret, version);
        if let Some(changed_at) = changed_at {
            context.metrics.secret_change_to_set(changed_at.elapsed());
        }
    }
    if let Some(found) = plan.corrects.filter(|_| recorded.applied) {
        context.metrics.correction(found);
    }
    if recorded.applied || before != Some(recorded.verdict.reason) {
        let request_id = outcome.request_id.as_deref();
        let verdict = &recorded.verdict;
        match plan.corrects.filter(|_| recorded.applied) {
            Some(found) => queue_correction(context, resource, found, request_id),
            None => queue_event(context, resource, verdict, request_id),
        }
    }
}

/// Queues the Event of a set that corrected what a look found.
fn queue_correction<C: Cognito>(
    context: &Context<C>,
    resource: &CognitoUserPassword,
    found: Reason,
    request_id: Option<&str>,
) {
    let found = found.as_str();
    let note = format!(
        "The operator set the password again, because a look found {found}{}",
        of_request(request_id)
    );
    warn!(object = %Key::of(resource), reason = found, "the operator set the password again");
    let regarding = events::reference(resource);
    let events = &context.events;
    events.enqueue(
        regarding,
        EventType::Warning,
        "Corrected",
        "SetPassword",
        &note,
    );
}

/// Queues the Event of a recorded sign-out: each one that succeeded, and each new reason of a failure.
pub(crate) fn report_sign_out<C: Cognito>(
    context: &Context<C>,
    resource: &CognitoUserPassword,
    outcome: &SignOutOutcome,
    report: &SignOutReport,
) {
    let before = resource.status.as_ref().and_then(Status::ready_reason);
    if !report.done {
        if before != Some(report.verdict.reason) {
            let request_id = outcome.request_id.as_deref();
            queue_event(context, resource, &report.verdict, request_id);
        }
        return;
    }
    let note = format!(
        "The sessions that the user had before the set have ended{}",
        of_request(outcome.request_id.as_deref())
    );
    let regarding = events::reference(resource);
    let events = &context.events;
    events.enqueue(
        regarding,
        EventType::Normal,
        "SessionsRevoked",
        "SignOut",
        &note,
    );
}

/// AWS's request id, as the end of a note.
fn of_request(id: Option<&str>) -> String {
    id.map_or_else(|| ".".to_owned(), |id| format!(". (request id {id})"))
}

/// Warns that `status.synced` was signed again, because the former fingerprint key is lost.
pub(crate) fn warn_new_signature<C: Cognito>(context: &Context<C>, resource: &CognitoUserPassword) {
    let note = "The fingerprint key that signed status.synced is gone; the Secret has not changed since, so the operator signed its value again with the present key, and set nothing.";
    warn!(object = %Key::of(resource), "{note}");
    let regarding = events::reference(resource);
    let type_ = EventType::Warning;
    let events = &context.events;
    events.enqueue(regarding, type_, "FingerprintKeyLost", "Sign", note);
}

fn queue_event<C: Cognito>(
    context: &Context<C>,
    resource: &CognitoUserPassword,
    verdict: &Verdict,
    request_id: Option<&str>,
) {
    let type_ = match verdict.class {
        Class::Settled => EventType::Normal,
        Class::Stalled | Class::Waiting | Class::Transient | Class::Unknown => EventType::Warning,
    };
    if type_ == EventType::Warning {
        warn!(object = %Key::of(resource), reason = verdict.reason.as_str(), why = verdict.message, "the password is not set");
    }
    let note = match request_id {
        Some(id) => format!("{} (request id {id})", verdict.message),
        None => verdict.message.clone(),
    };
    let action = if verdict.reason == Reason::PasswordSet {
        "SetPassword"
    } else {
        "Reconcile"
    };
    let regarding = events::reference(resource);
    let events = &context.events;
    events.enqueue(regarding, type_, verdict.reason.as_str(), action, &note);
}

/// Remembers the basis of a decision once the status is written. After a conflict nothing is remembered: the
/// status does not report the wait yet, and a decision that finds its basis unchanged would wait silently.
pub(crate) fn remember_basis<C: Cognito>(
    context: &Context<C>,
    key: &Key,
    snapshot: &Snapshot,
    fact: &SecretState,
    done: Action,
) -> Action {
    if let Action::Wake(_) = done {
        let observed = snapshot.observe(context, fact.clone());
        let tried = observed.tried();
        context.memory.concluded(key, snapshot.uid(), tried);
        snapshot.note_action(context, key);
    }
    done
}
