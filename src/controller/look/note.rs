//! What a look leaves: a look to remember, an Event, or the reason why the operator can't look.

use super::job::PassId;
use crate::{
    api::{Class, CognitoUserPassword, Reason},
    cluster::events,
    cognito::Cognito,
    controller::{context::Context, reconcile::gather::Snapshot, state::key::Key},
    core::{
        condition::verified::drift_reason,
        look::{
            found::{Found, Look, LookFailure, Validity},
            sweep::Wanted,
            user::{UserPage, UserState},
        },
        protocol::{
            looked::modified_since,
            outcome::reason_and_class,
            reply::{NotSent, Reply},
        },
    },
};
use jiff::{SignedDuration, Timestamp};
use kube::runtime::events::EventType;

/// How old a temporary password is at least before the pool's policy is read: the shortest validity is a day.
const VALIDITY_MIN: SignedDuration = SignedDuration::from_hours(24);

/// The resource that wants the user. None if the resource is gone or names another user by now.
pub(super) fn resource_of<C: Cognito>(
    context: &Context<C>,
    id: &PassId,
    wanted: &Wanted<Key>,
) -> Option<CognitoUserPassword> {
    let resource = context.index().resource(&wanted.key)?;
    let spec = &resource.spec;
    let is_same = spec.user_pool_id == id.pool.as_str() && *spec.username == *wanted.name;
    is_same.then_some(resource)
}

/// Remembers a look at the user of this resource.
pub(super) fn note<C: Cognito>(
    context: &Context<C>,
    key: &Key,
    resource: &CognitoUserPassword,
    look: Look,
    validity: Validity,
) {
    let uid = resource.metadata.uid.as_deref().unwrap_or_default();
    context.looks.add(key, uid, look, validity);
}

/// Queues an Event if something about the user was modified since the set, and this process has not said so of
/// this time. No status is written: anything may move that time, a sign-in perhaps too.
pub(super) fn report_modified<C: Cognito>(
    context: &Context<C>,
    key: &Key,
    stored: CognitoUserPassword,
) {
    let report = || {
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
pub(super) fn may_have_expired(resource: &CognitoUserPassword, look: &Look) -> bool {
    let Found::User(user) = &look.found else {
        return false;
    };
    if user.state != UserState::ForceChangePassword {
        return false;
    }
    let status = resource.status.as_ref();
    if status.and_then(drift_reason) == Some(Reason::TemporaryPasswordExpired) {
        return false;
    }
    let synced = status.and_then(|status| status.synced.as_ref());
    let set_at = synced.map(|synced| synced.at.0);
    !resource.spec.permanent
        && set_at.is_some_and(|at| look.begun.duration_since(at) > VALIDITY_MIN)
}

/// Why a call failed, and whether the same call may succeed soon.
pub(super) fn failure(reply: &Reply<UserPage>) -> (LookFailure, bool) {
    let at = Timestamp::now();
    let of = |reason: Reason, words: String| LookFailure { reason, words, at };
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
