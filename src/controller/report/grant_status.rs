//! The status of grants: whether a grant is in force, and how many resources the grant admits. Changes
//! within [`COLLECTED_FOR`] are one write, and an equal status is not written.

use crate::{
    api::CognitoUserPoolGrant,
    cluster::{CALL_TIMEOUT, CallError, status},
    cognito::Cognito,
    controller::{context::Context, isolate::isolated_async},
    core::access::{
        authority::Authority,
        grant::{Grant, InvalidGrant},
        grant_status::{Finding, grant_status},
    },
};
use futures::{StreamExt, stream};
use jiff::Timestamp;
use kube::ResourceExt;
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;
use tracing::{info, warn};

/// How long changes are collected before the status is written.
const COLLECTED_FOR: Duration = Duration::from_secs(1);

/// How many grants are checked at the same time. A check takes up to 10 s if the role cannot be
/// assumed.
const CONCURRENCY: usize = 64;

/// The first pause before the recheck of a grant whose role cannot be assumed, or whose status could
/// not be written. The pause doubles up to [`RECHECK_MAX`].
const RECHECK_FIRST: Duration = Duration::from_secs(5);
const RECHECK_MAX: Duration = Duration::from_mins(5);

/// The time of the recheck of a grant, if no change comes before.
struct Recheck {
    at: Instant,
    pause: Duration,
}

/// The result of a check of a grant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum GrantCheck {
    Done,
    /// The check must be repeated, because no event reports that the failure is over.
    Recheck,
}

/// Checks grants and writes their status once this process leads, for ever.
pub(crate) async fn report<C: Cognito>(context: &Context<C>) {
    let mut rechecks: HashMap<Arc<str>, Recheck> = HashMap::new();
    context.leadership.won().await;
    loop {
        let next = rechecks.values().map(|it| it.at).min();
        let due = async {
            match next {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = due => {}
            () = context.grants_changed.notified() => {}
        }
        tokio::time::sleep(COLLECTED_FOR).await;
        // Before all watches are listed, the number of admitted resources is not known. The last list
        // notifies again.
        if context.index().awaits_any() {
            continue;
        }
        let now = Instant::now();
        let mut names: BTreeSet<_> = context.index().grants().take_changed();
        let forget = || forget_unneeded(context);
        let _ = context.isolated(&"authorities", "forgetting unneeded credentials", forget);
        names.extend(
            rechecks
                .iter()
                .filter(|(_, it)| it.at <= now)
                .map(|(name, _)| name.clone()),
        );
        let checks = stream::iter(names).map(|name| async {
            let step = "reporting a grant's status";
            let result = isolated_async(&context.metrics, &name, step, check(context, &name)).await;
            (name, result.unwrap_or(GrantCheck::Recheck))
        });
        let mut checks = checks.buffer_unordered(CONCURRENCY);
        while let Some((name, result)) = checks.next().await {
            match result {
                GrantCheck::Done => {
                    rechecks.remove(&name);
                }
                GrantCheck::Recheck => {
                    // A failed check before the recheck was due does not double the pause: a change
                    // caused that check.
                    let before = rechecks
                        .get(&name)
                        .map(|it| if it.at <= now { it.pause * 2 } else { it.pause });
                    let pause = before.unwrap_or(RECHECK_FIRST).min(RECHECK_MAX);
                    let at = Instant::now() + pause;
                    rechecks.insert(name, Recheck { at, pause });
                }
            }
        }
    }
}

/// Drops the credentials, connections and closed credential gates of authorities that no grant names
/// any more.
fn forget_unneeded<C: Cognito>(context: &Context<C>) {
    let named = context.index().grants().authorities();
    // The operator's own identity is always needed.
    let needed = |authority: &Authority| authority.role.is_none() || named.contains(authority);
    context.credential_gate.retain(needed);
    context.cognito.retain(&needed);
}

/// Checks one grant, and writes the status if the status differs.
async fn check<C: Cognito>(context: &Context<C>, name: &str) -> GrantCheck {
    #[cfg(test)]
    crate::controller::panic_tests::panic_at(
        "grant status",
        &crate::controller::state::key::Key::new("", name),
    );
    let (entry, resources) = {
        let mut index = context.index();
        let grants = index.grants();
        let Some(entry) = grants.grant(name).cloned() else {
            return GrantCheck::Done;
        };
        (entry, grants.admitted_count(name))
    };
    let finding = check_authority(context, &entry.grant).await;
    let failed = matches!(finding, Finding::NoCredentials(..));
    let before = entry.object.status.clone().unwrap_or_default();
    let generation = entry.object.metadata.generation.unwrap_or_default();
    let status = grant_status(&before, generation, resources, &finding, Timestamp::now());
    let written = if status == before {
        Ok(())
    } else if context.leadership.has_left(CALL_TIMEOUT) {
        write(context, &entry.object, &status, &finding).await
    } else {
        // Too little of the lease is left for a write. The lease is renewed, or the process ends.
        return GrantCheck::Recheck;
    };
    match written {
        // After a conflict or a deletion, a watch event reports the grant again.
        Ok(()) | Err(CallError::Conflict | CallError::NotFound) if !failed => GrantCheck::Done,
        Ok(()) | Err(_) => GrantCheck::Recheck,
    }
}

async fn check_authority<C: Cognito>(
    context: &Context<C>,
    grant: &Result<Arc<Grant>, InvalidGrant>,
) -> Finding {
    let authority = match grant {
        Ok(grant) => &grant.authority,
        Err(why) => return Finding::Invalid(why.clone()),
    };
    let Some(role) = &authority.role else {
        return Finding::Accepted;
    };
    match context.credential_gate.examine(authority).await {
        Ok(()) => Finding::Accepted,
        Err(failure) => Finding::NoCredentials(role.arn.clone(), failure),
    }
}

async fn write<C: Cognito>(
    context: &Context<C>,
    grant: &CognitoUserPoolGrant,
    status: &crate::api::GrantStatus,
    finding: &Finding,
) -> Result<(), CallError> {
    let name = grant.name_any();
    let written = status::write_grant(&context.client, grant, status).await;
    match (&written, finding) {
        (Ok(()), Finding::Accepted) => {
            info!(
                grant = name,
                resources = status.resources,
                "the grant is in force"
            );
        }
        (Ok(()), _) => {
            let why = status.conditions.first().map(|it| it.message.as_str());
            warn!(grant = name, why, "the grant is not in force");
        }
        (Err(CallError::Conflict | CallError::NotFound), _) => {}
        (Err(error), _) => warn!(grant = name, %error, "the grant's status could not be written"),
    }
    written
}
