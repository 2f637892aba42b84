//! A wait becomes stalled after 5 minutes.

use crate::{
    api::Reason,
    core::{
        access::grant::Admission,
        condition::{ready::ready_verdict, status::with_verdict},
        protocol::{
            decision::{Decision, Report},
            observation::{Observation, SecretState},
            retry::{shorter, until_stalled},
        },
    },
};
use jiff::Timestamp;
use std::time::Duration;

/// Marks a waiting resource as stalled after 5 minutes. A recheck need not be due at that moment, so the wake
/// is shortened to it. Nothing else in the status changes.
pub(super) fn while_waiting(
    observed: &Observation<'_>,
    wake: Option<Duration>,
    now: Timestamp,
) -> Decision {
    let status = observed.status;
    let left = until_stalled(status, now).filter(|_| still_waits(observed));
    match left {
        Some(left) if left.is_zero() => report_stalled(observed, wake, now),
        Some(_) | None => Decision::Stay {
            wake: shorter(wake, left),
        },
    }
}

/// The decision for a resource whose status already reports missing credentials, while the credential gate is
/// closed. The only possible change is that the wait becomes stalled after 5 minutes.
#[must_use]
pub fn decide_at_closed_gate(observed: &Observation<'_>, now: Timestamp) -> Decision {
    while_waiting(observed, None, now)
}

/// Whether the wait that the status reports goes on, as far as the observation shows.
fn still_waits(observed: &Observation<'_>) -> bool {
    let Some(reason) = observed.status.ready_reason() else {
        return false;
    };
    let has_value = matches!(observed.secret, SecretState::Value(..));
    let waits_for_a_value =
        reason == Reason::SecretNotFound || reason.is_about_an_unusable_secret();
    observed.ready_is_current()
        && matches!(observed.admission, Admission::Granted(_))
        && !reason.is_about_grants()
        && !(waits_for_a_value && has_value)
}

/// Reports the same verdict again, with conditions for the present time.
fn report_stalled(observed: &Observation<'_>, wake: Option<Duration>, now: Timestamp) -> Decision {
    let before = observed.status;
    let Some(verdict) = ready_verdict(before) else {
        return Decision::Stay { wake };
    };
    let mut status = with_verdict(before, &verdict, observed.generation, now);
    // Earlier versions of the operator wrote a retry time for this reason.
    status
        .failures
        .take_if(|_| verdict.reason.ends_with_an_event());
    let wake = shorter(wake, until_stalled(&status, now));
    Decision::Report(Box::new(Report::new(status, verdict, wake)))
}
