//! The link `secret`: whether the Secret and the key are there, and what is wrong with the value. The value itself
//! never gets here.

use crate::{
    api::{Reason, Status},
    core::{
        access::why_not::listed,
        checkup::{finding::Level, seen::Seen},
        credential::password::InvalidValue,
        doctor::{facts::FoundSecret, link::Link, subject::Subject, words::shown},
    },
};

const SUBJECT: &str = "secret";

/// The link.
#[must_use]
pub fn link(subject: &Subject<'_>, secret: &Seen<Option<FoundSecret>>) -> Link {
    let reference = &subject.resource.spec.password_secret_ref;
    let (name, key) = (shown(&reference.name), shown(&reference.key));
    let found = match secret {
        Seen::Known(Some(found)) => found,
        Seen::Known(None) => {
            let text = format!("{} has no Secret {name}", subject.namespace);
            return Link::broken(SUBJECT, text, Reason::SecretNotFound);
        }
        unseen => return hidden(subject, unseen),
    };
    if let [selector, ..] = &*found.unfit {
        let text = format!(
            "{name} lacks the labels that the operator's --secret-selector needs: {}",
            shown(selector)
        );
        return Link::broken(SUBJECT, text, Reason::SecretNotFound);
    }
    match &found.value {
        None if found.keys.is_empty() => Link::broken(
            SUBJECT,
            format!("{name} has no key at all, and so no {key}"),
            Reason::SecretKeyNotFound,
        ),
        None => Link::broken(
            SUBJECT,
            format!("{name} has no key {key}; its keys: {}", listed(&found.keys)),
            Reason::SecretKeyNotFound,
        ),
        Some(Err(why)) => Link::broken(
            SUBJECT,
            format!("{name}, key {key}: {}", what_is_wrong(*why)),
            Reason::InvalidSecretValue,
        ),
        Some(Ok(())) => well(subject, &name, &key),
    }
}

fn well(subject: &Subject<'_>, name: &str, key: &str) -> Link {
    let text = format!("{name} has the key {key}, with a value that Cognito's API takes");
    match subject.reason() {
        // Only the selector is left, and the caller doesn't see the operator's.
        Some(Reason::SecretNotFound) => Link::broken(
            SUBJECT,
            format!(
                "{name} has the key {key}, but the operator doesn't find the Secret: it lacks labels of the operator's --secret-selector"
            ),
            Reason::SecretNotFound,
        ),
        Some(reason @ (Reason::SecretKeyNotFound | Reason::InvalidSecretValue)) => Link::new(
            SUBJECT,
            Level::Warning,
            format!("{text}; but the status still says {}", reason.as_str()),
        ),
        _ => Link::new(SUBJECT, Level::Well, text),
    }
}

/// The value's fault, without the cure, which follows in a command.
fn what_is_wrong(why: InvalidValue) -> String {
    let text = why.to_string();
    let fault = text.split(':').next().unwrap_or_default();
    fault.to_owned()
}

/// The caller can't read the Secret: what the operator says of it.
fn hidden(subject: &Subject<'_>, secret: &Seen<Option<FoundSecret>>) -> Link {
    let name = shown(&subject.resource.spec.password_secret_ref.name);
    let why = secret.why_not().unwrap_or_default();
    let status = subject.resource.status.as_ref();
    let has_read = status.is_some_and(|it: &Status| it.synced.is_some());
    let also = match subject.reason() {
        Some(reason) if reason.is_about_grants() => {
            "; without a grant the operator doesn't read it either"
        }
        Some(Reason::SecretNotFound) => "; the operator didn't find it",
        Some(Reason::SecretKeyNotFound) => "; the operator didn't find the key",
        Some(Reason::InvalidSecretValue) => "; the operator could not use its value",
        _ if has_read => "; the operator read it for the last set",
        _ => "",
    };
    let text = format!("{name}: {why}{also}");
    Link::new(SUBJECT, Level::Unknown, text)
}
