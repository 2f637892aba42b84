//! The condition Verified: what the last look at the user found.

use super::{conditions::beside_others, ready::ready_verdict, verdict::Verdict};
use crate::{
    api::{Condition, ConditionStatus, ConditionType, Reason, Status},
    core::clock,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// A reason that only this condition has, with its message.
pub type Said = (&'static str, &'static str);

/// Verified=True.
pub const USER_SEEN: Said = (
    "UserSeen",
    "A look found the user enabled, and nothing that contradicts the last set.",
);

/// Verified=Unknown: no look found the user by this name.
pub const NOT_SEEN: Said = (
    "NotSeen",
    "No look found a user of this name, although the password was set: the name may be an alias, or differ in case. Name the user by the username that Cognito stores, or by the sub, in a new resource.",
);

/// Verified=Unknown: the user's state is new to this version.
pub const UNKNOWN_STATE: Said = (
    "UnknownUserState",
    "The user is in a state that this version of the operator doesn't know.",
);

/// What an earlier look found of the user, and nothing has ended since: the verdict in Ready, or the reason of
/// Verified=False while Ready speaks of something else, such as a Secret that is missing.
pub(crate) fn drift_verdict(status: &Status) -> Option<Verdict> {
    let ready = ready_verdict(status).filter(|said| said.reason.is_about_user());
    ready.or_else(|| {
        let verified = status.condition(ConditionType::Verified)?;
        let is_false = verified.status == ConditionStatus::False;
        let reason = verified
            .known_reason()
            .filter(|reason| is_false && reason.is_about_user())?;
        Some(Verdict {
            reason,
            class: reason.class(),
            message: verified.message.clone(),
        })
    })
}

/// The reason of [`drift_verdict`].
pub(crate) fn drift_reason(status: &Status) -> Option<Reason> {
    drift_verdict(status).map(|said| said.reason)
}

/// The conditions with this condition Verified in place of the one before.
pub(crate) fn with_verified(
    before: &Status,
    status: ConditionStatus,
    reason: &str,
    message: &str,
    generation: i64,
    now: Timestamp,
) -> Vec<Condition> {
    let said = before.condition(ConditionType::Verified);
    let since = said.filter(|c| c.status == status).map_or_else(
        || Time(clock::seconds(now)),
        |c| c.last_transition_time.clone(),
    );
    let verified = Condition {
        type_: ConditionType::Verified.as_str().to_owned(),
        status,
        observed_generation: Some(generation),
        last_transition_time: since,
        reason: reason.to_owned(),
        message: message.to_owned(),
    };
    let rest = ConditionType::ALL.iter();
    let rest = rest.filter(|type_| **type_ != ConditionType::Verified);
    let rest = rest.filter_map(|type_| before.condition(*type_).cloned());
    beside_others(rest.chain([verified]), before)
}
