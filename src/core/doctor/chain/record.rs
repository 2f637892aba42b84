//! The link `record`: what the status says of the last set, of an attempt without an outcome, and of the next try.

use crate::{
    api::{Attempt, AttemptOutcome, Status},
    core::{
        checkup::finding::Level,
        doctor::{
            facts::FoundSecret,
            link::{Link, PATIENCE},
            subject::Subject,
            words::{ago, count, when},
        },
        protocol::quarantine::QUARANTINE,
    },
};
use jiff::{SignedDuration, Timestamp};

const SUBJECT: &str = "record";

/// How long after the time of a next try a queue may delay the try before that is worth a warning.
const LATE: SignedDuration = SignedDuration::from_mins(10);

/// The link.
#[must_use]
pub fn link(subject: &Subject<'_>, secret: Option<&FoundSecret>, now: Timestamp) -> Link {
    let Some(status) = &subject.resource.status else {
        return Link::new(SUBJECT, Level::Well, "nothing was set yet".to_owned());
    };
    let mut parts = vec![last_set(
        status,
        secret.filter(|_| !subject.is_ready()),
        now,
    )];
    let attempt = attempt(status, now);
    let owed = status.sign_out_owed.as_ref().map(|owed| {
        let since = ago(owed.since.0, now);
        format!("the user's sessions are still to be ended, after the set {since}")
    });
    let is_open = status.attempt.as_ref().is_some_and(Attempt::is_open);
    let needs_care = is_open || owed.is_some();
    parts.extend(attempt);
    parts.extend(owed);
    parts.extend(quarantine(status, now));
    parts.extend(status.corrections.as_ref().map(|it| {
        let times = count(it.count as usize, "time");
        format!("corrected {times}, last {}", ago(it.at.0, now))
    }));
    let mut is_late = false;
    if let Some(failures) = status
        .failures
        .as_ref()
        .filter(|_| !subject.resource.spec.suspend)
    {
        let failed = count(failures.count as usize, "failure");
        let due = when(failures.retry_at.0, now);
        let late = now.duration_since(failures.retry_at.0);
        is_late = late > LATE;
        parts.push(if late > PATIENCE {
            format!("{failed} in a row; the next try was due {due}")
        } else if late > SignedDuration::ZERO {
            format!("{failed} in a row, next try now")
        } else {
            format!("{failed} in a row, next try {due}")
        });
    }
    let level = if needs_care || is_late {
        Level::Warning
    } else {
        Level::Well
    };
    Link::new(SUBJECT, level, parts.join("; "))
}

/// The last set. `secret` is the Secret of a resource that isn't Ready.
fn last_set(status: &Status, secret: Option<&FoundSecret>, now: Timestamp) -> String {
    let Some(synced) = &status.synced else {
        return "nothing was set yet".to_owned();
    };
    let set = format!("the password of {} stays set", ago(synced.at.0, now));
    let of_set = (&synced.secret_uid, &synced.secret_resource_version);
    match secret {
        Some(found) if of_set != (&found.uid, &found.version) => {
            format!("{set}, and the Secret has been written since")
        }
        _ => set,
    }
}

fn attempt(status: &Status, now: Timestamp) -> Option<String> {
    let attempt = status.attempt.as_ref()?;
    let since = ago(attempt.started_at.0, now);
    let words = match attempt.outcome {
        AttemptOutcome::Pending => "an attempt is in progress or was cut off,",
        AttemptOutcome::Unknown => "an attempt without a known outcome is open,",
        AttemptOutcome::UserNotFound => "an attempt is open that found no user,",
        AttemptOutcome::InHistory => "an attempt is open whose value is in Cognito's history,",
        AttemptOutcome::Refused => return Some(format!("the attempt {since} was refused")),
    };
    Some(format!("{words} begun {since}"))
}

/// Until when no other value is sent.
fn quarantine(status: &Status, now: Timestamp) -> Option<String> {
    let open = status.attempt.as_ref().filter(|it| it.is_open());
    let lost = open.filter(|it| it.outcome != AttemptOutcome::InHistory);
    let of_attempt = lost.and_then(|it| it.started_at.0.checked_add(QUARANTINE).ok());
    let known = status.quarantined_until.as_ref().map(|it| it.0);
    let until = of_attempt.max(known).filter(|until| *until > now)?;
    Some(format!(
        "in quarantine: another value is sent {} at the earliest",
        when(until, now)
    ))
}
