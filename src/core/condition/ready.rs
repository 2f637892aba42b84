//! What the Ready condition of a status says.

use crate::{
    api::{Class, ConditionType, Reason, Status},
    core::condition::verdict::Verdict,
};

/// The class of what a status says: that of its reason, unless the reason is one that is mostly
/// tried again by itself, and this time a person must act.
pub(crate) fn said(status: &Status) -> Option<Class> {
    let stalled = says_stalled(status);
    match status.ready_reason().map(Reason::class)? {
        Class::Transient | Class::Unknown if stalled => Some(Class::Stalled),
        class => Some(class),
    }
}

/// What a status says.
pub(crate) fn ready_verdict(status: &Status) -> Option<Verdict> {
    let ready = status.condition(ConditionType::Ready)?;
    Some(Verdict {
        reason: ready.known_reason()?,
        class: said(status)?,
        message: ready.message.clone(),
    })
}

/// Whether a status says that a person must act, be it suspended or not.
pub(crate) fn says_stalled(status: &Status) -> bool {
    let stalled = status.condition(ConditionType::Stalled);
    stalled.is_some_and(|stalled| stalled.reason != SUSPENDED)
}

/// Why Suspended is True, and Stalled where it is so for no other reason.
pub(crate) const SUSPENDED: &str = "Suspended";
