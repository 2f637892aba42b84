//! What is said of the grants themselves: whether each is in force, and how many resources it lets
//! in. Written once for many changes that come together, and only what differs.

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

/// How long changes are gathered before they are said.
const GATHERED_FOR: Duration = Duration::from_secs(1);

/// How many grants are looked at at the same time: a role that can't be assumed may take 10 s to say so.
const AT_ONCE: usize = 64;

/// Until a grant whose role can't be assumed, or that couldn't be written, is looked at again.
const AGAIN_FIRST: Duration = Duration::from_secs(5);
const AGAIN_MAX: Duration = Duration::from_mins(5);

/// When a grant is looked at again although nothing changed.
struct Again {
    at: Instant,
    pause: Duration,
}

/// What came of a look at a grant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum GrantCheck {
    Done,
    /// Nothing will tell when it is otherwise.
    Again,
}

/// Says it, as long as this process leads; for ever.
pub(crate) async fn tell<C: Cognito>(context: &Context<C>) {
    let mut again: HashMap<Arc<str>, Again> = HashMap::new();
    context.leadership.won().await;
    loop {
        let next = again.values().map(|it| it.at).min();
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
        tokio::time::sleep(GATHERED_FOR).await;
        // How many each lets in isn't known before. Once it is, that notifies.
        if context.index().awaits_any() {
            continue;
        }
        let now = Instant::now();
        let mut names: BTreeSet<_> = context.index().grants().take_changed();
        let forget = || forget_unneeded(context);
        let _ = context.isolated(&"authorities", "forgetting unneeded credentials", forget);
        names.extend(
            again
                .iter()
                .filter(|(_, it)| it.at <= now)
                .map(|(name, _)| name.clone()),
        );
        let looks = stream::iter(names).map(|name| async {
            let step = "reporting a grant's status";
            let looked = isolated_async(&context.metrics, &name, step, look(context, &name)).await;
            (name, looked.unwrap_or(GrantCheck::Again))
        });
        let mut looks = looks.buffer_unordered(AT_ONCE);
        while let Some((name, looked)) = looks.next().await {
            match looked {
                GrantCheck::Done => {
                    again.remove(&name);
                }
                GrantCheck::Again => {
                    // What was looked at for something else is no further failure.
                    let before = again
                        .get(&name)
                        .map(|it| if it.at <= now { it.pause * 2 } else { it.pause });
                    let pause = before.unwrap_or(AGAIN_FIRST).min(AGAIN_MAX);
                    let at = Instant::now() + pause;
                    again.insert(name, Again { at, pause });
                }
            }
        }
    }
}

/// What no grant names any more is given up: credentials, connections, closed doors.
fn forget_unneeded<C: Cognito>(context: &Context<C>) {
    let named = context.index().grants().authorities();
    // The operator's own identity is always needed.
    let needed = |authority: &Authority| authority.role.is_none() || named.contains(authority);
    context.credential_gate.retain(needed);
    context.cognito.retain(&needed);
}

/// Looks at one grant, and says what there is to say.
async fn look<C: Cognito>(context: &Context<C>, name: &str) -> GrantCheck {
    #[cfg(test)]
    crate::controller::panic_tests::panic_at(
        "grant status",
        &crate::controller::state::key::Key::new("", name),
    );
    let (held, lets_in) = {
        let mut index = context.index();
        let grants = index.grants();
        let Some(held) = grants.grant(name).cloned() else {
            return GrantCheck::Done;
        };
        (held, grants.lets_in(name))
    };
    let finding = find(context, &held.grant).await;
    let failed = matches!(finding, Finding::NoCredentials(..));
    let before = held.object.status.clone().unwrap_or_default();
    let generation = held.object.metadata.generation.unwrap_or_default();
    let status = grant_status(&before, generation, lets_in, &finding, Timestamp::now());
    let written = if status == before {
        Ok(())
    } else if context.leadership.has_left(CALL_TIMEOUT) {
        write(context, &held.object, &status, &finding).await
    } else {
        // The lease is renewed, or the process ends.
        return GrantCheck::Again;
    };
    match written {
        // After a conflict the watch tells of it anew.
        Ok(()) | Err(CallError::Conflict | CallError::NotFound) if !failed => GrantCheck::Done,
        Ok(()) | Err(_) => GrantCheck::Again,
    }
}

async fn find<C: Cognito>(
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
            info!(grant = name, resources = status.resources, "in force");
        }
        (Ok(()), _) => {
            let said = status.conditions.first().map(|it| it.message.as_str());
            warn!(grant = name, said, "not in force");
        }
        (Err(CallError::Conflict | CallError::NotFound), _) => {}
        (Err(error), _) => warn!(grant = name, %error, "the grant's status could not be written"),
    }
    written
}
