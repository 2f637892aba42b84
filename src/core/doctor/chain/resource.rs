//! The link `resource`: whether the operator has observed the spec, and whether somebody suspended the resource.

use crate::{
    api::{ConditionType, REQUESTED_AT, SUSPENDED_BECAUSE},
    core::{
        checkup::finding::{Cure, Level},
        doctor::{
            cures,
            link::{Link, PATIENCE},
            subject::Subject,
            words::{ago, shown, span, when},
        },
        protocol::request::known_by,
    },
};
use jiff::Timestamp;

const SUBJECT: &str = "resource";

/// The link.
#[must_use]
pub fn link(subject: &Subject<'_>, now: Timestamp) -> Link {
    let generation = subject.generation();
    if let Some(deleted) = &subject.resource.metadata.deletion_timestamp {
        let finalizers = subject.resource.metadata.finalizers.iter().flatten();
        let finalizers: Vec<_> = finalizers.map(|it| shown(it)).collect();
        let text = format!(
            "deletion began {}, and waits for the finalizers {}; the operator has none",
            ago(deleted.0, now),
            finalizers.join(", ")
        );
        return Link::new(SUBJECT, Level::Warning, text);
    }
    if !subject.is_observed() {
        return unobserved(subject, now);
    }
    if subject.resource.spec.suspend {
        return suspended(subject, now);
    }
    if let Some(text) = open_request(subject) {
        return Link::new(SUBJECT, Level::Warning, text);
    }
    let text = format!("generation {generation} is observed; not suspended");
    Link::new(SUBJECT, Level::Well, text)
}

fn unobserved(subject: &Subject<'_>, now: Timestamp) -> Link {
    let generation = subject.generation();
    let ready = subject.condition(ConditionType::Ready);
    let known = match ready.and_then(|it| it.observed_generation) {
        Some(of) if of != generation => {
            format!("the status describes generation {of}, and the spec is generation {generation}")
        }
        Some(_) => "the status doesn't describe the present spec.suspend".to_owned(),
        None => "the status is empty: no operator has acted on this resource".to_owned(),
    };
    let changed = subject.changed().map(|at| now.duration_since(at));
    match changed {
        Some(age) if age <= PATIENCE => {
            let text = format!("{known}; changed {} ago", span(age));
            Link::new(SUBJECT, Level::Warning, text)
        }
        Some(age) => {
            let text = format!("{known}, for {}", span(age));
            Link::new(SUBJECT, Level::Failed, text)
        }
        None => Link::new(SUBJECT, Level::Failed, known),
    }
}

fn suspended(subject: &Subject<'_>, now: Timestamp) -> Link {
    let since = subject.condition(ConditionType::Suspended);
    let since = since.map(|it| ago(it.last_transition_time.0, now));
    let annotations = subject.resource.metadata.annotations.as_ref();
    let because = annotations.and_then(|it| it.get(SUSPENDED_BECAUSE));
    let because = because.map_or_else(
        || "nobody said why".to_owned(),
        |why| format!("because: {:?}", shown(why)),
    );
    let text = format!(
        "suspended {}, {because}; the operator leaves the password alone",
        since.unwrap_or_default()
    );
    let mut link = Link::new(SUBJECT, Level::Warning, text);
    let cure = Cure::command(
        "end the suspension, if its cause is gone",
        cures::resume(subject),
    );
    link.finding.cure = Some(cure);
    link
}

/// The words about a request that isn't answered yet; None if there is none.
fn open_request(subject: &Subject<'_>) -> Option<String> {
    let annotations = subject.resource.metadata.annotations.as_ref()?;
    let asked = known_by(annotations.get(REQUESTED_AT)?);
    let status = subject.resource.status.as_ref()?;
    if status.last_handled_reconcile_at.as_deref() == Some(&*asked) {
        return None;
    }
    Some(format!(
        "the request requestedAt={} is not answered yet",
        shown(&asked)
    ))
}

/// When the next try is due, as the end of a sentence.
#[must_use]
pub fn next_try(subject: &Subject<'_>, now: Timestamp) -> Option<String> {
    let failures = subject.resource.status.as_ref()?.failures.as_ref()?;
    Some(when(failures.retry_at.0, now))
}
