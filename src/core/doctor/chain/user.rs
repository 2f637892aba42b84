//! The link `user`: what the operator's looks at the user found.

use crate::{
    api::{ConditionStatus, ConditionType, Drift, Reason},
    core::{
        checkup::finding::{Cure, Level},
        doctor::{
            facts::Surroundings,
            link::Link,
            subject::Subject,
            words::{ago, shown},
        },
        text::legible,
    },
};

const SUBJECT: &str = "user";

/// The link.
#[must_use]
pub fn link(subject: &Subject<'_>, around: &Surroundings) -> Link {
    let Some(verified) = subject.condition(ConditionType::Verified) else {
        return Link::new(SUBJECT, Level::Well, unverified(subject, around));
    };
    let since = ago(verified.last_transition_time.0, around.now);
    let found_as = subject.resource.status.as_ref();
    let found_as = found_as.and_then(|it| it.found_as.as_deref());
    let message = legible(&verified.message, 400);
    match verified.status {
        ConditionStatus::True => {
            let name = found_as.map_or_else(String::new, |it| format!(" as {}", shown(it)));
            let text =
                format!("looks find the user{name}, as the last set left the user (since {since})");
            Link::new(SUBJECT, Level::Well, text)
        }
        ConditionStatus::False => {
            let text = format!("a look found {} {since}", shown(&verified.reason));
            match verified.known_reason() {
                Some(reason) => Link::broken(SUBJECT, text, reason),
                None => Link::new(SUBJECT, Level::Failed, text),
            }
        }
        ConditionStatus::Unknown => {
            let text = format!("{}, {since}: {message}", shown(&verified.reason));
            let mut link = Link::new(SUBJECT, Level::Warning, text);
            link.finding.cure = cure(verified.known_reason());
            link
        }
    }
}

fn cure(reason: Option<Reason>) -> Option<Cure> {
    (reason == Some(Reason::AccessDenied)).then(|| {
        Cure::words("allow cognito-idp:ListUsers on the pool, for the looks")
            .more("iam.md#see-users")
    })
}

fn unverified(subject: &Subject<'_>, around: &Surroundings) -> String {
    let spec = &subject.resource.spec;
    if spec.suspend {
        return "not looked at while suspended".to_owned();
    }
    let by_default = around
        .operators
        .iter()
        .find(|it| it.installed.is_some() && it.watches(subject.namespace))
        .map(|it| it.settings().drift);
    match (spec.drift, by_default.as_deref()) {
        (Some(Drift::Ignore), _) => "not looked at (spec.drift: Ignore)".to_owned(),
        (Some(_), _) | (None, Some("report" | "correct")) => "no look yet".to_owned(),
        (None, _) => "not looked at (no spec.drift)".to_owned(),
    }
}
