//! Judges one observed resource for a command that waits.

use super::observed::ObservedResource;
use crate::{
    api::{Class, Condition, ConditionStatus, ConditionType},
    core::text::legible,
};
use serde::Serialize;

/// The most characters of a message that are printed.
const MESSAGE_MAX: usize = 1000;

/// The most characters of a name or a request that are printed.
const WORD_MAX: usize = 128;

/// What `wait` waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Goal {
    /// The condition that is to be True for the current generation.
    pub condition: ConditionType,
    /// Whether the wait ends once only a person can change something.
    pub fail_fast: bool,
}

/// What the resource says about the wait, in one word and one sentence or more.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Words {
    /// One word, such as `InvalidPassword` or `NotFound`.
    pub reason: String,
    /// What happened, on one line.
    pub message: String,
}

/// Whether a wait is over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Judgement {
    /// What was waited for is there.
    Met(Words),
    /// What was waited for won't come by itself.
    Failed(Words),
    /// The wait goes on.
    Waiting(Words),
}

impl Words {
    fn new(reason: &str, message: impl Into<String>) -> Self {
        Self {
            reason: reason.to_owned(),
            message: message.into(),
        }
    }

    fn of(condition: &Condition) -> Self {
        Self {
            reason: legible(&condition.reason, WORD_MAX),
            message: legible(&condition.message, MESSAGE_MAX),
        }
    }
}

impl Judgement {
    /// The words.
    #[must_use]
    pub const fn words(&self) -> &Words {
        match self {
            Self::Met(words) | Self::Failed(words) | Self::Waiting(words) => words,
        }
    }
}

impl Goal {
    /// Judges a resource; None for a resource that doesn't exist.
    #[must_use]
    pub fn judge(self, resource: Option<&ObservedResource>) -> Judgement {
        let Some(resource) = resource else {
            let message = "there is no such resource yet";
            return Judgement::Waiting(Words::new("NotFound", message));
        };
        // A set that was asked for is still to come, so what was true before says nothing.
        let is_about_the_password = matches!(
            self.condition,
            ConditionType::Ready | ConditionType::Verified
        );
        let request = resource.open_request().filter(|_| is_about_the_password);
        match resource.current(self.condition) {
            Some(it) if it.status == ConditionStatus::True && request.is_none() => {
                return Judgement::Met(Words::of(it));
            }
            Some(_) | None => {}
        }
        let words = self.why_not(resource, request);
        if self.fail_fast && self.needs_a_person(resource, request) {
            Judgement::Failed(words)
        } else {
            Judgement::Waiting(words)
        }
    }

    fn needs_a_person(self, resource: &ObservedResource, request: Option<&str>) -> bool {
        let is_suspended = self.condition != ConditionType::Suspended && is_suspended(resource);
        // A Stalled from before the request isn't the request's outcome.
        let is_about_request = request.is_none() || resource.request_failed();
        is_suspended || (resource.is_true(ConditionType::Stalled) && is_about_request)
    }

    fn why_not(self, resource: &ObservedResource, request: Option<&str>) -> Words {
        let wanted = self.condition.as_str();
        if resource.condition(ConditionType::Ready).is_none() && !is_suspended(resource) {
            let message = "the operator hasn't observed the resource yet";
            return Words::new("NotObserved", message);
        }
        if self.condition != ConditionType::Suspended && is_suspended(resource) {
            return suspended(resource);
        }
        match (resource.current(self.condition), request) {
            (Some(it), None) => Words::of(it),
            (Some(it), Some(_)) if it.status != ConditionStatus::True => Words::of(it),
            (_, Some(request)) => open(request),
            (None, None) => match resource.condition(self.condition) {
                Some(it) => {
                    let message = format!(
                        "{wanted} is about generation {}, and the present generation is {}",
                        it.observed_generation.unwrap_or_default(),
                        resource.generation
                    );
                    Words::new("NotObserved", message)
                }
                None => Words::new("NoCondition", self.absent()),
            },
        }
    }

    /// Why a condition may be absent.
    fn absent(self) -> String {
        let wanted = self.condition.as_str();
        let hint = match self.condition {
            ConditionType::Verified => {
                ": Verified comes with the first look, where drift is Report or Correct"
            }
            ConditionType::Suspended => ": Suspended comes once spec.suspend is true",
            ConditionType::Ready | ConditionType::Reconciling | ConditionType::Stalled => "",
        };
        format!("the resource has no condition {wanted}{hint}")
    }
}

/// Whether the resource is suspended, and the operator says so.
fn is_suspended(resource: &ObservedResource) -> bool {
    resource.suspend && resource.is_true(ConditionType::Suspended)
}

fn open(request: &str) -> Words {
    let request = legible(request, WORD_MAX);
    let message = format!("the operator hasn't answered the request {request} yet");
    Words::new("RequestOpen", message)
}

fn suspended(resource: &ObservedResource) -> Words {
    let because = resource.suspended_because.as_deref();
    let because = because.map(|it| format!(" ({})", legible(it, MESSAGE_MAX)));
    let because = because.unwrap_or_default();
    let message = format!(
        "the resource is suspended{because}, so the operator leaves the password alone until spec.suspend is false"
    );
    Words::new("Suspended", message)
}

/// Judges how the operator answered the request that a `set` made; None for a resource that doesn't exist.
#[must_use]
pub fn judge_answer(request: &str, resource: Option<&ObservedResource>) -> Judgement {
    let Some(resource) = resource else {
        let message = "the resource was deleted";
        return Judgement::Failed(Words::new("NotFound", message));
    };
    let ready = resource.current(ConditionType::Ready);
    let words = ready.map_or_else(
        || {
            Words::new(
                "NotObserved",
                "the operator hasn't observed the resource yet",
            )
        },
        Words::of,
    );
    if is_suspended(resource) {
        return Judgement::Failed(suspended(resource));
    }
    let handled = resource.status.last_handled_reconcile_at.as_deref();
    // Somebody else's later request counts as well.
    let is_answered = handled == Some(request) || resource.open_request().is_none();
    if resource.requested_at.is_none() && handled != Some(request) {
        let message = "the annotation requestedAt was taken away before the operator answered";
        return Judgement::Failed(Words::new("Withdrawn", message));
    }
    let Some(ready) = ready.filter(|_| is_answered) else {
        let is_true = resource.is_true(ConditionType::Ready);
        return Judgement::Waiting(if is_true { open(request) } else { words });
    };
    match ready.known_reason().map(crate::api::Reason::class) {
        _ if ready.status == ConditionStatus::True => Judgement::Met(words),
        Some(Class::Stalled | Class::Waiting) => Judgement::Failed(words),
        _ if resource.is_true(ConditionType::Stalled) => Judgement::Failed(words),
        Some(Class::Settled | Class::Transient | Class::Unknown) | None => {
            Judgement::Waiting(words)
        }
    }
}

#[cfg(test)]
mod tests;
