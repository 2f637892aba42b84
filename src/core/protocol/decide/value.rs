//! The decision on the value of the Secret: at first only its version is known, and then the value.

use super::reports::report_pending_call;
use crate::{
    api::{Attempt, Class, Reason, Status, Synced},
    core::{
        access::authority::Authority,
        condition::{
            ready::{ready_class, ready_verdict},
            status::{failed_status, settled_status},
            verdict::Verdict,
            verified::drift_verdict,
        },
        credential::fingerprint::Match,
        protocol::{
            decision::{Decision, Report},
            looked::{self, Course},
            obligation,
            observation::{Comparison, Observation, SecretVersion},
            owed::owed,
            plan::plan,
            quarantine::{corrected, quarantine_left, recorded_quarantine_left},
            record::handled_request,
            resend::{ResendPolicy, kind},
            retry::backoff_left,
            temporary::report_instead_of_sending,
        },
    },
};
use jiff::Timestamp;
use std::time::Duration;

/// Decides on a Secret of which only the version is known: either the status still holds, or the Secret must
/// be read.
pub(super) fn decide_unread(
    observed: &Observation<'_>,
    version: &SecretVersion,
    now: Timestamp,
) -> Decision {
    let status = observed.status;
    let tried_this = observed.tried_at(version).is_some();
    let tried_value = observed.tried.and_then(|tried| tried.fingerprint.as_ref());
    if observed.is_set() && !observed.has_new_request() {
        // A read of this version by this process is not enough: the read may have compared a different value
        // with an earlier status. So the value that was read must be the value in `synced`.
        let found = |s: &Synced| tried_this && tried_value == Some(&s.fingerprint);
        let is_this = |s: &Synced| version.is_of(s) || found(s);
        return match &status.synced {
            Some(synced) if observed.newest_signed.synced && is_this(synced) => {
                at_rest(observed, now)
            }
            Some(_) | None => Decision::Read,
        };
    }
    if observed.says_unusable() && !observed.has_new_request() {
        let on_record = (status.unusable.as_ref())
            .is_some_and(|it| version.is(&it.secret_uid, &it.secret_resource_version));
        let found_none = tried_this && tried_value.is_none();
        return if on_record || found_none {
            Decision::Stay { wake: None }
        } else {
            Decision::Read
        };
    }
    let attempted_this = !observed.has_untried_request()
        && (status.attempt.as_ref()).is_some_and(|a| observed.is_attempt_at(a, version));
    // An open attempt at a different value waits for its quarantine, not for its backoff.
    let same_value = (status.attempt.as_ref()).is_none_or(|a| tried_value == Some(&a.fingerprint));
    // The status may say that the Secret holds no usable value although this process read one at this
    // version: another process wrote the status. Then the Secret is read again.
    let of_no_value = matches!(
        status.ready_reason(),
        Some(Reason::SecretNotFound | Reason::SecretKeyNotFound | Reason::InvalidSecretValue)
    );
    let is_same_read = tried_this && same_value && !(of_no_value && tried_value.is_some());
    let judged = observed.ready_is_current()
        && !observed.waited_for_grant()
        && (is_same_read || (attempted_this && !of_no_value));
    match ready_class(status) {
        // A request without an answer asks for a set, so a stalled resource with such a request is read.
        Some(Class::Stalled)
            if judged && observed.newest_signed.attempt && !observed.has_new_request() =>
        {
            Decision::Stay { wake: None }
        }
        Some(Class::Waiting | Class::Transient | Class::Unknown) if judged => {
            match backoff_left(observed, None, now) {
                Some(wake) => Decision::Stay { wake: Some(wake) },
                None => Decision::Read,
            }
        }
        Some(_) | None => Decision::Read,
    }
}

/// Decides on a value that was read, with the quarantines of a wrong clock corrected.
pub(super) fn decide_value(
    observed: &Observation<'_>,
    authority: &Authority,
    version: &SecretVersion,
    value: &Comparison,
    now: Timestamp,
    fresh_id: &str,
) -> Decision {
    let Some(status) = corrected(observed.status, now) else {
        return decide_read(observed, authority, version, value, now, fresh_id);
    };
    let observed = Observation {
        status: &status,
        ..observed.clone()
    };
    match decide_read(&observed, authority, version, value, now, fresh_id) {
        // The corrected times must be on record. Otherwise each decision would begin the whole quarantine
        // again.
        Decision::Stay { wake: Some(wake) } => {
            let verdict =
                ready_verdict(&status).unwrap_or_else(|| Verdict::new(Reason::Progressing));
            Decision::Report(Box::new(Report::new(status.clone(), verdict, Some(wake))))
        }
        other => other,
    }
}

fn decide_read(
    observed: &Observation<'_>,
    authority: &Authority,
    version: &SecretVersion,
    value: &Comparison,
    now: Timestamp,
    fresh_id: &str,
) -> Decision {
    let status = observed.status;
    let plan = |inherited| {
        let authority = authority.clone();
        let plan = plan(
            observed, authority, version, value, inherited, now, fresh_id,
        );
        Decision::Set(Box::new(plan))
    };
    let correct = |found| match plan(false) {
        Decision::Set(plan) => Decision::Set(Box::new(plan.correcting(found, now))),
        other => other,
    };
    // A value that may have been sent for this request is not sent again for the same request.
    let asked = observed.has_new_request() && !observed.is_acted_on();
    let spent = !asked && kind(observed, version, value) == ResendPolicy::Spent;
    if spent
        && let Some(report) = report_instead_of_sending(observed, version, value, now, fresh_id)
    {
        return report;
    }
    if let Some(attempt) = &status.attempt {
        let same = observed.is_attempted(attempt, version, value);
        if same && let Some(stay) = leave_attempt(observed, attempt, value, now) {
            return stay;
        }
        match (attempt.is_open(), same) {
            (true, true) => {
                // A temporary value is sent again only after the recorded quarantine, and a spent one only on
                // request. The lost call may have sent a different value: if a fingerprint key is lost,
                // nobody can compare.
                let landing =
                    recorded_quarantine_left(status, now).filter(|_| !observed.spec.permanent);
                return match landing {
                    Some(wake) => Decision::Stay { wake: Some(wake) },
                    None => plan(true),
                };
            }
            (true, false) => {
                return match quarantine_left(attempt, now)
                    .max(recorded_quarantine_left(status, now))
                {
                    Some(wake) => Decision::Stay { wake: Some(wake) },
                    None => plan(false),
                };
            }
            (false, true) if !spent => return plan(false),
            // The attempt on record was refused. The Secret holds another value by now, or this value may
            // have been applied before (spent). `synced` decides below.
            (false, _) => {}
        }
    }
    match &status.synced {
        // If an older key signed `synced`, the newest key signs the value again, so that older keys can be
        // deleted.
        Some(synced)
            if observed.is_synced(synced, version, value) && !observed.has_new_request() =>
        {
            let signed = Synced {
                fingerprint: value.fingerprint.clone(),
                ..synced.clone()
            };
            let key_gone = value.synced == Some(Match::KeyGone);
            match looked::course(observed, now) {
                Course::Correct(found) => correct(found),
                course => settle(observed, &course, signed, (version, key_gone), now),
            }
        }
        Some(_) | None => match backoff_left(observed, Some(value), now) {
            Some(wake) => Decision::Stay { wake: Some(wake) },
            None => match recorded_quarantine_left(status, now) {
                Some(wake) if value.synced != Some(Match::Same) => {
                    Decision::Report(Box::new(report_pending_call(observed, wake, now)))
                }
                Some(_) | None => plan(false),
            },
        },
    }
}

/// The decision that leaves an attempt at this value alone for now; None if the value may be sent.
fn leave_attempt(
    observed: &Observation<'_>,
    attempt: &Attempt,
    value: &Comparison,
    now: Timestamp,
) -> Option<Decision> {
    let is_new_request = observed.has_new_request() || attempt.generation != observed.generation;
    match ready_class(observed.status) {
        // A person must act, so this value is not sent again. `InvalidSecretValue` is the exception: that
        // verdict is about another value that the Secret held in between.
        Some(Class::Stalled)
            if !is_new_request
                && observed.ready_is_current()
                && !observed.waited_for_grant()
                && observed.status.ready_reason() != Some(Reason::InvalidSecretValue) =>
        {
            Some(re_sign_attempt(observed, attempt, value))
        }
        Some(Class::Waiting | Class::Transient | Class::Unknown) => {
            let wake = backoff_left(observed, Some(value), now)?;
            Some(Decision::Stay { wake: Some(wake) })
        }
        Some(Class::Stalled | Class::Settled) | None => None,
    }
}

/// Signs a stalled attempt with the newest key, so that older keys can be deleted. `Stay` if the newest key
/// signed the attempt already.
fn re_sign_attempt(observed: &Observation<'_>, attempt: &Attempt, value: &Comparison) -> Decision {
    let verdict = ready_verdict(observed.status);
    match verdict.filter(|_| attempt.fingerprint != value.fingerprint) {
        None => Decision::Stay { wake: None },
        Some(verdict) => {
            let mut status = observed.status.clone();
            status.attempt = Some(Attempt {
                fingerprint: value.fingerprint.clone(),
                ..attempt.clone()
            });
            Decision::Report(Box::new(Report::new(status, verdict, None)))
        }
    }
}

/// The decision on a resource whose value is set, by the record and by the version of the Secret. Only a look
/// at the user can change anything.
fn at_rest(observed: &Observation<'_>, now: Timestamp) -> Decision {
    let before = observed.status;
    let (status, verdict) = match looked::course(observed, now) {
        Course::Correct(_) => return Decision::Read,
        Course::Hold | Course::Keep => (before.clone(), ready_verdict(before)),
        course @ (Course::Healed | Course::Say(_)) => {
            let (status, verdict) = status_at_rest(observed, &course, now);
            (status, Some(verdict))
        }
    };
    let status = looked::with_look(observed, status, now);
    match verdict.filter(|_| status != *before) {
        None => Decision::Stay { wake: None },
        Some(verdict) => Decision::Report(Box::new(Report::new(status, verdict, None))),
    }
}

/// The status and the verdict for a resource whose value is the value in `synced`. The attempt and the failures
/// are dropped.
fn status_at_rest(
    observed: &Observation<'_>,
    course: &Course,
    now: Timestamp,
) -> (Status, Verdict) {
    let (before, generation) = (observed.status, observed.generation);
    let said = drift_verdict(before);
    let found = match course {
        Course::Say(verdict) => Some(verdict.clone()),
        Course::Keep | Course::Correct(_) => said,
        Course::Hold | Course::Healed => None,
    };
    if let Some(verdict) = found {
        let status = Status {
            attempt: None,
            ..failed_status(before, &verdict, false, generation, observed.uid, now)
        };
        return (status, verdict);
    }
    if owed(observed.status, observed.spec).is_some() {
        let verdict = obligation::verdict(observed);
        let status = obligation::owing_status(before, &verdict, generation, now);
        return (status, verdict);
    }
    let verdict = match before.ready_reason() {
        Some(Reason::AppliedAfterLostReply) => Verdict::new(Reason::AppliedAfterLostReply),
        Some(_) | None => Verdict::new(Reason::PasswordSet),
    };
    let status = settled_status(before, &verdict, generation, now);
    (status, verdict)
}

/// Reports that the value is set, or what a look found since. `signed_again` says that the newest key signed the
/// value again because its key is lost.
fn settle(
    observed: &Observation<'_>,
    course: &Course,
    synced: Synced,
    (version, signed_again): (&SecretVersion, bool),
    now: Timestamp,
) -> Decision {
    let before = observed.status;
    if looked::needs_a_look(observed, course) {
        return Decision::Look {
            after: Duration::ZERO,
            wake: Some(looked::LOOK_AGAIN),
        };
    }
    let (mut status, verdict) = status_at_rest(observed, course, now);
    status.synced = Some(synced.clone());
    status.last_handled_reconcile_at = handled_request(observed);
    let mut status = looked::with_look(observed, status, now);
    if status == *before {
        // At most the Secret's metadata or other keys changed, and that is not worth a write.
        return Decision::Stay { wake: None };
    }
    status.synced = Some(Synced {
        secret_uid: version.uid.clone(),
        secret_resource_version: version.resource_version.clone(),
        ..synced
    });
    Decision::Report(Box::new(Report {
        status,
        verdict,
        wake: None,
        signed_again,
    }))
}
