//! The link `duplicate`: whether an older resource manages the same user.

use super::grant::{Admissions, Admitted};
use crate::{
    api::{CognitoUserPassword, Reason},
    core::{
        access::grant::Admission,
        checkup::finding::Level,
        doctor::{
            facts::{Missing, Surroundings},
            link::Link,
            subject::Subject,
            words::ago,
        },
        names::target::Target,
    },
};
use jiff::Timestamp;

const SUBJECT: &str = "duplicate";

/// The link.
#[must_use]
pub fn link(subject: &Subject<'_>, around: &Surroundings) -> Link {
    if let Some(older) = older(subject, around) {
        let created = age(older).0.map(|at| ago(at, around.now));
        let text = format!(
            "{} is older (created {}) and manages this user already",
            name_of(older),
            created.unwrap_or_default()
        );
        return Link::broken(SUBJECT, text, Reason::DuplicateUser);
    }
    let says_duplicate = subject.reason() == Some(Reason::DuplicateUser);
    let missing = around.rivals.missing.as_ref().map(|missing| match missing {
        Missing::Right(right) => format!("you may not {right}"),
        Missing::Why(why) => why.clone(),
    });
    match (missing, says_duplicate) {
        (Some(why), true) => Link::broken(
            SUBJECT,
            format!(
                "the older resource is in a namespace where you can't look: {why}"
            ),
            Reason::DuplicateUser,
        ),
        (Some(why), false) => {
            let text = format!(
                "no other resource in {} names this user; elsewhere: {why}",
                subject.namespace
            );
            Link::new(SUBJECT, Level::Unknown, text)
        }
        (None, true) => Link::new(
            SUBJECT,
            Level::Warning,
            "the status says DuplicateUser, and the older resource is gone: the operator takes the user over within 30 s".to_owned(),
        ),
        (None, false) => {
            let younger = rivals(subject, around).map(name_of).next();
            let text = younger.map_or_else(
                || "no other resource names this user".to_owned(),
                |it| format!("{it} names this user too, and waits for this resource"),
            );
            Link::new(SUBJECT, Level::Well, text)
        }
    }
}

/// The oldest resource of the same user that is older than the subject, and that a grant admits.
#[must_use]
pub fn older<'a>(
    subject: &Subject<'_>,
    around: &'a Surroundings,
) -> Option<&'a CognitoUserPassword> {
    let own = age(subject.resource);
    let older = rivals(subject, around).filter(|it| age(it) < own);
    older
        .filter(|it| is_admitted(it, around))
        .min_by(|a, b| age(a).cmp(&age(b)))
}

/// `namespace/name` of a resource.
#[must_use]
pub fn name_of(resource: &CognitoUserPassword) -> String {
    let it = Subject::new(resource);
    format!("{}/{}", it.namespace, it.name)
}

fn rivals<'a>(
    subject: &Subject<'_>,
    around: &'a Surroundings,
) -> impl Iterator<Item = &'a CognitoUserPassword> {
    let user = subject.target.as_ref().map(Target::user);
    let uid = subject.resource.metadata.uid.clone();
    let same = user.map(|user| around.rivals.of(&user));
    same.into_iter()
        .flatten()
        .filter(move |it| it.metadata.uid != uid)
}

/// The order of age: by the time of creation, then by uid.
fn age(resource: &CognitoUserPassword) -> (Option<Timestamp>, &str) {
    let created = resource.metadata.creation_timestamp.as_ref();
    let uid = resource.metadata.uid.as_deref();
    (created.map(|it| it.0), uid.unwrap_or_default())
}

/// Whether grants admit a resource; by its status, if the caller can't see the grants.
fn is_admitted(resource: &CognitoUserPassword, around: &Surroundings) -> bool {
    let subject = Subject::new(resource);
    match Admissions::new(around).of(&subject) {
        Admitted::NoGrantsNeeded => true,
        Admitted::InvalidTarget => false,
        Admitted::Decided { admission, .. } => {
            matches!(admission, Admission::Granted(_) | Admission::Ambiguous)
        }
        Admitted::Unseen(_) => subject.reason() != Some(Reason::NotGranted),
    }
}
