//! The time of the next retry. Count and time are in the status, so that they survive a restart. The jitter
//! comes from (uid, count), so that a hundred resources spread out and each resource keeps its place.

use super::{ready::ready_class, verdict::Verdict};
use crate::{
    api::{Class, ConditionType, Failures, Reason, Status},
    core::clock,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use sha2::{Digest, Sha256};
use std::time::Duration;

/// How long a resource waits before the status calls the resource stalled.
pub const STALLED_AFTER: SignedDuration = SignedDuration::from_mins(5);

/// The API server takes an int32.
const COUNT_MAX: u32 = i32::MAX.unsigned_abs();

const RETRY_FIRST: f64 = 1.5;
/// The growth of the delay with each failure: the thirteenth failure in a row passes 3 minutes. A factor of 2
/// would pass 3 minutes with the eighth, and eight in a row come by chance if half of the calls fail.
const RETRY_GROWTH: f64 = 1.5;
const RETRY_MAX: f64 = 300.0;
const RECHECK_FIRST: f64 = 300.0;
const RECHECK_GROWTH: f64 = 2.0;
const RECHECK_MAX: f64 = 3_600.0;

/// The delay before the retry that follows failure number `count`.
///
/// - Transient and unknown: 1 s growing to 5 min.
/// - Waiting: 5 min growing to 1 h, for changes that no event reports.
/// - `InvalidCredentials`: 1 to 2 s after the first refusal. The `Date` of an error reply corrects the SDK's
///   clock skew for the next call. 5 to 6 s after the second refusal. A third refusal shows that the
///   credentials are at fault, so the delays of the class Waiting follow.
#[must_use]
pub fn delay(reason: Reason, class: Class, count: u32, uid: &str) -> Duration {
    let jitter = jitter(uid, count);
    let grown = |first: f64, growth: f64, max: f64, failures: u32| {
        let exponent = i32::try_from(failures.clamp(1, 20)).unwrap_or(1) - 1;
        (first * growth.powi(exponent)).min(max)
    };
    let recheck = |failures| {
        let grown = grown(RECHECK_FIRST, RECHECK_GROWTH, RECHECK_MAX, failures);
        (grown * (1.0 + 0.1 * jitter)).min(RECHECK_MAX)
    };
    let seconds = match (reason, class) {
        (Reason::InvalidCredentials, _) if count <= 1 => 1.0 + jitter,
        (Reason::InvalidCredentials, _) if count == 2 => 5.0 + jitter,
        (Reason::InvalidCredentials, _) => recheck(count - 2),
        (_, Class::Waiting) => recheck(count),
        (_, Class::Transient | Class::Unknown | Class::Settled | Class::Stalled) => {
            (grown(RETRY_FIRST, RETRY_GROWTH, RETRY_MAX, count) * (0.7 + 0.3 * jitter)).max(1.0)
        }
    };
    Duration::from_secs_f64(seconds)
}

/// A fraction of [0, 1) that is the same for the same (uid, count).
fn jitter(uid: &str, count: u32) -> f64 {
    let mut digest = Sha256::new();
    digest.update(uid.as_bytes());
    digest.update(count.to_be_bytes());
    let digest = digest.finalize();
    f64::from(u32::from_be_bytes([
        digest[0], digest[1], digest[2], digest[3],
    ])) / (f64::from(u32::MAX) + 1.0)
}

/// Time until the retry; None if the retry is due.
///
/// A `retryAt` further away than the delay of this failure comes from a wrong clock, then or now, and counts
/// as due. A clock that is set back by an hour must not turn a retry after 2 s into an hour.
#[must_use]
pub fn left(status: &Status, uid: &str, now: Timestamp) -> Option<Duration> {
    let failures = status.failures.as_ref()?;
    let longest = delay(
        status.ready_reason()?,
        ready_class(status)?,
        failures.count,
        uid,
    );
    until(failures, longest, now)
}

/// Time until the retry, which is at most `longest` away; None if the retry is due, or if a wrong clock wrote a
/// time that is further away.
pub(crate) fn until(failures: &Failures, longest: Duration, now: Timestamp) -> Option<Duration> {
    let left = Duration::try_from(failures.retry_at.0.duration_since(now)).ok()?;
    (!left.is_zero() && left <= longest).then_some(left)
}

/// The number of failures in a row after one more failure.
pub(crate) fn count_after(previous: Option<&Failures>) -> u32 {
    previous.map_or(1, |previous| {
        previous.count.saturating_add(1).min(COUNT_MAX)
    })
}

/// The time of a retry after this delay.
pub(crate) fn retry_at(delay: Duration, now: Timestamp) -> MicroTime {
    let delay = SignedDuration::try_from(delay).unwrap_or(SignedDuration::from_hours(1));
    MicroTime(clock::micros(now.saturating_add(delay).unwrap_or(now)))
}

/// The new `status.failures` after this verdict. `called` says that a call to Cognito was just made. Without
/// a call, an unchanged failure keeps its retry time.
#[must_use]
pub fn next(
    status: &Status,
    verdict: &Verdict,
    called: bool,
    generation: i64,
    uid: &str,
    now: Timestamp,
) -> Option<Failures> {
    match verdict.class {
        Class::Settled | Class::Stalled => return None,
        Class::Waiting if verdict.reason.ends_with_an_event() => return None,
        Class::Waiting | Class::Transient | Class::Unknown => {}
    }
    let ready = status.condition(ConditionType::Ready);
    let before = ready.and_then(crate::api::Condition::known_reason);
    let unchanged = ready.is_some_and(|ready| ready.observed_generation == Some(generation));
    let goes_on = match (before, verdict.class) {
        (Some(before), Class::Waiting) => before == verdict.reason,
        (Some(before), _) => matches!(before.class(), Class::Transient | Class::Unknown),
        (None, _) => false,
    };
    let previous = status.failures.as_ref().filter(|_| unchanged && goes_on);
    if let Some(previous) = previous
        && !called
        && left(status, uid, now).is_some()
    {
        return Some(previous.clone());
    }
    let count = count_after(previous);
    let delay = delay(verdict.reason, verdict.class, count, uid);
    Some(Failures {
        count,
        retry_at: retry_at(delay, now),
        request: previous.and_then(|previous| previous.request.clone()),
    })
}

#[cfg(test)]
mod tests {
    use super::{super::conditions::conditions, *};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_delay_is_within_the_limits_of_its_class(count in 1_u32.., uid in "[a-f0-9-]{0,36}") {
            let retry = delay(Reason::TooManyRequests, Class::Transient, count, &uid).as_secs_f64();
            prop_assert!((1.0..=300.0).contains(&retry), "{retry}");
            let recheck = delay(Reason::AccessDenied, Class::Waiting, count, &uid).as_secs_f64();
            prop_assert!((300.0..=3600.0).contains(&recheck), "{recheck}");
        }

        #[test]
        fn the_first_retry_of_refused_credentials_is_prompt(uid in "[a-f0-9-]{0,36}") {
            let first = delay(Reason::InvalidCredentials, Class::Waiting, 1, &uid).as_secs_f64();
            prop_assert!((1.0..2.0).contains(&first), "{first}");
            let second = delay(Reason::InvalidCredentials, Class::Waiting, 2, &uid).as_secs_f64();
            prop_assert!((5.0..6.0).contains(&second), "{second}");
            let third = delay(Reason::InvalidCredentials, Class::Waiting, 3, &uid).as_secs_f64();
            prop_assert!((300.0..=330.0).contains(&third), "{third}");
        }
    }

    #[test]
    fn a_hundred_resources_spread_out() {
        let delays: std::collections::BTreeSet<_> = (0..100)
            .map(|n| {
                delay(
                    Reason::TooManyRequests,
                    Class::Transient,
                    8,
                    &format!("uid-{n}"),
                )
            })
            .map(|delay| delay.as_millis())
            .collect();
        assert!(delays.len() > 90, "{delays:?}");
    }

    /// What is left of a wait after `count` failures in a row with this verdict, by a clock that is then set
    /// back by `back`.
    fn left_after(verdict: &Verdict, count: u32, back: SignedDuration) -> Option<Duration> {
        let (now, uid) = (Timestamp::UNIX_EPOCH, "uid");
        let mut status = Status::default();
        for _ in 0..count {
            let failures = next(&status, verdict, true, 1, uid, now);
            let conditions = conditions(&status, verdict, 1, now);
            status = Status {
                failures,
                conditions,
                ..status
            };
        }
        assert_eq!(status.failures.as_ref().map(|it| it.count), Some(count));
        left(&status, uid, now - back)
    }

    proptest! {
        #[test]
        fn a_clock_that_is_set_back_never_makes_a_wait_longer_than_its_own_delay(
            count in 1_u32..20,
            seconds in 0_i64..100_000,
            reason in proptest::sample::select(vec![
                Reason::TooManyRequests,
                Reason::OutcomeUnknown,
                Reason::AccessDenied,
                Reason::InvalidCredentials,
            ]),
        ) {
            let verdict = Verdict::new(reason);
            let longest = delay(reason, verdict.class, count, "uid");
            let left = left_after(&verdict, count, SignedDuration::from_secs(seconds));
            prop_assert!(left.is_none_or(|left| left <= longest), "{left:?} of {longest:?}");
            prop_assert_eq!(left.is_some(), seconds == 0);
        }
    }

    #[test]
    fn a_retry_time_in_the_past_is_due() {
        let verdict = Verdict::new(Reason::TooManyRequests);
        let forward = SignedDuration::from_secs(-2);
        assert_eq!(left_after(&verdict, 1, forward), None);
    }

    #[test]
    fn a_wait_that_an_event_ends_has_no_retry_time() {
        for entry in crate::api::REASONS {
            let verdict = Verdict::new(entry.reason);
            let failures = next(
                &Status::default(),
                &verdict,
                false,
                1,
                "uid",
                Timestamp::UNIX_EPOCH,
            );
            let rechecked = match entry.class {
                Class::Settled | Class::Stalled => false,
                Class::Waiting => !entry.reason.ends_with_an_event(),
                Class::Transient | Class::Unknown => true,
            };
            assert_eq!(failures.is_some(), rechecked, "{}", entry.word);
        }
    }
}
