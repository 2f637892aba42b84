//! Reads the verdict back from the conditions of a status.

use crate::{
    api::{Class, ConditionType, Reason, Status},
    core::condition::verdict::Verdict,
};

/// The class of the verdict in a status: the class of the reason. The exception is a transient or unknown
/// reason whose status says Stalled, because a person must act this time.
pub(crate) fn ready_class(status: &Status) -> Option<Class> {
    let stalled = says_stalled(status);
    match status.ready_reason().map(Reason::class)? {
        Class::Transient | Class::Unknown if stalled => Some(Class::Stalled),
        class => Some(class),
    }
}

/// The verdict in a status; None without a Ready condition, or if the condition's reason is none of ours.
pub(crate) fn ready_verdict(status: &Status) -> Option<Verdict> {
    let ready = status.condition(ConditionType::Ready)?;
    Some(Verdict {
        reason: ready.known_reason()?,
        class: ready_class(status)?,
        message: ready.message.clone(),
    })
}

/// Whether a status says that a person must act. A Stalled condition that only the suspension caused doesn't
/// count.
pub(crate) fn says_stalled(status: &Status) -> bool {
    let stalled = status.condition(ConditionType::Stalled);
    stalled.is_some_and(|stalled| stalled.reason != SUSPENDED)
}

/// The reason of the Suspended condition, and of a Stalled condition that only the suspension caused.
pub(crate) const SUSPENDED: &str = "Suspended";
