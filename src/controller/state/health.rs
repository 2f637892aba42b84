//! What the gauges show of a resource: the reason, whether the resource is suspended, and since when it has not
//! been Ready. Computed when the watch shows a version, so that a scrape expands no record.

use crate::{
    api::{Class, CognitoUserPassword, ConditionStatus, ConditionType, REASONS, Reason, Status},
    core::condition::ready::ready_class,
};
use jiff::Timestamp;
use std::time::Duration;

/// The reason under which resources count that have no Ready reason in their status.
const NO_REASON: &str = "Unknown";

/// The class under which resources count that have no Ready reason in their status.
const NO_CLASS: &str = "unreconciled";

/// The classes of resources that are not Ready, as the label of the gauge.
const UNREADY_CLASSES: [&str; 5] = ["stalled", "waiting", "transient", "unknown", NO_CLASS];

/// The health of one resource, in 8 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Health {
    reason: Option<Reason>,
    state: State,
    /// Since when the resource has been in this state, in seconds since 1970.
    since: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Ready,
    /// Not Ready, by the class of the reason. None without a reason that this version knows.
    Unready(Option<Class>),
    Suspended,
}

impl Health {
    /// The health of a resource, by its spec and its status.
    pub fn of(resource: &CognitoUserPassword) -> Self {
        let status = resource.status.as_ref();
        let condition = |type_| status.and_then(|status| status.condition(type_));
        let ready = condition(ConditionType::Ready);
        let (state, since) = if resource.spec.suspend {
            (State::Suspended, condition(ConditionType::Suspended))
        } else if ready.is_some_and(|ready| ready.status == ConditionStatus::True) {
            (State::Ready, ready)
        } else {
            (State::Unready(status.and_then(ready_class)), ready)
        };
        let created = resource.metadata.creation_timestamp.as_ref();
        let since = since.map(|it| &it.last_transition_time).or(created);
        let since = since.map_or(0, |since| since.0.as_second());
        Self {
            reason: status.and_then(Status::ready_reason),
            state,
            since: u32::try_from(since).unwrap_or_default(),
        }
    }
}

/// The health of all resources.
#[derive(PartialEq, Eq, Debug)]
pub struct HealthSummary {
    /// The number of resources by the reason of their Ready condition, for each reason that there is.
    pub by_reason: Vec<(&'static str, u64)>,
    /// The number of suspended resources.
    pub suspended: u64,
    /// How long the resource that has been suspended for longest has been suspended. Zero if none is.
    pub oldest_suspended: Duration,
    /// How long the resource that has not been Ready for longest has not been Ready, for each class. Zero if
    /// the class has no resource. Suspended resources don't count.
    pub oldest_unready: Vec<(&'static str, Duration)>,
}

impl HealthSummary {
    /// Sums up in one pass over the resources.
    pub fn of(resources: impl Iterator<Item = Health>, now: Timestamp) -> Self {
        let now = now.as_second();
        let mut by_reason = [0; REASONS.len()];
        let mut without_reason = 0;
        let mut suspended = 0;
        let mut oldest_suspended = now;
        let mut oldest_unready = [now; UNREADY_CLASSES.len()];
        for Health {
            reason,
            state,
            since,
        } in resources
        {
            match reason {
                Some(reason) => by_reason[reason as usize] += 1,
                None => without_reason += 1,
            }
            let since = i64::from(since);
            match state {
                State::Suspended => {
                    suspended += 1;
                    oldest_suspended = oldest_suspended.min(since);
                }
                State::Unready(class) => {
                    let oldest = &mut oldest_unready[unready_class(class)];
                    *oldest = since.min(*oldest);
                }
                State::Ready => {}
            }
        }
        let age = |since| Duration::from_secs(u64::try_from(now - since).unwrap_or_default());
        let words = REASONS.iter().map(|entry| entry.word);
        Self {
            by_reason: words
                .zip(by_reason)
                .chain([(NO_REASON, without_reason)])
                .collect(),
            suspended,
            oldest_suspended: age(oldest_suspended),
            oldest_unready: UNREADY_CLASSES
                .into_iter()
                .zip(oldest_unready.map(age))
                .collect(),
        }
    }
}

/// The index in [`UNREADY_CLASSES`].
const fn unready_class(class: Option<Class>) -> usize {
    match class {
        Some(Class::Stalled) => 0,
        Some(Class::Waiting) => 1,
        Some(Class::Transient) => 2,
        Some(Class::Unknown) => 3,
        // A settled reason belongs to Ready=True. Somebody else wrote this status.
        Some(Class::Settled) | None => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Condition;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    const NOW: i64 = 1_800_000_000;

    fn at(second: i64) -> Time {
        Time(Timestamp::from_second(second).expect("a time"))
    }

    fn resource(created: i64, suspend: bool, conditions: Vec<Condition>) -> CognitoUserPassword {
        let mut resource: CognitoUserPassword = serde_json::from_value(serde_json::json!({
            "apiVersion": "cognito-password-operator.io/v1alpha1",
            "kind": "CognitoUserPassword",
            "metadata": { "name": "a", "namespace": "n" },
            "spec": {
                "userPoolId": "eu-west-1_AbCdEf123",
                "username": "ci-bot",
                "passwordSecretRef": { "name": "s" },
                "suspend": suspend,
            },
        }))
        .expect("a resource");
        resource.metadata.creation_timestamp = Some(at(created));
        if !conditions.is_empty() {
            resource.status = Some(Status {
                conditions,
                ..Status::default()
            });
        }
        resource
    }

    fn condition(
        type_: ConditionType,
        status: ConditionStatus,
        reason: &str,
        since: i64,
    ) -> Condition {
        Condition {
            type_: type_.as_str().to_owned(),
            status,
            observed_generation: None,
            last_transition_time: at(since),
            reason: reason.to_owned(),
            message: String::new(),
        }
    }

    fn ready(status: ConditionStatus, reason: &str, ago: i64) -> Condition {
        condition(ConditionType::Ready, status, reason, NOW - ago)
    }

    fn summary(resources: &[CognitoUserPassword]) -> HealthSummary {
        let now = Timestamp::from_second(NOW).expect("a time");
        HealthSummary::of(resources.iter().map(Health::of), now)
    }

    fn count(summary: &HealthSummary, reason: &str) -> u64 {
        let found = summary.by_reason.iter().find(|(word, _)| *word == reason);
        found.expect("every reason is there").1
    }

    #[test]
    fn every_reason_and_every_class_is_there_without_a_resource() {
        let empty = summary(&[]);
        assert_eq!(empty.by_reason.len(), REASONS.len() + 1);
        assert!(empty.by_reason.iter().all(|(_, count)| *count == 0));
        assert_eq!(empty.suspended, 0);
        assert_eq!(empty.oldest_suspended, Duration::ZERO);
        let none = UNREADY_CLASSES.map(|class| (class, Duration::ZERO));
        assert_eq!(empty.oldest_unready, none);
    }

    #[test]
    fn resources_count_by_reason_and_the_oldest_by_class() {
        use ConditionStatus::{False, True, Unknown};
        let summary = summary(&[
            resource(NOW - 900, false, vec![ready(True, "PasswordSet", 900)]),
            resource(NOW - 900, false, vec![ready(False, "NotGranted", 30)]),
            resource(NOW - 900, false, vec![ready(False, "SecretNotFound", 700)]),
            resource(NOW - 900, false, vec![ready(False, "InvalidPassword", 5)]),
            resource(NOW - 900, false, vec![ready(False, "Unreachable", 6)]),
            resource(NOW - 900, false, vec![ready(Unknown, "OutcomeUnknown", 7)]),
            // Transient by the reason, but only a person can help.
            resource(
                NOW - 900,
                false,
                vec![
                    ready(False, "Unreachable", 8),
                    condition(ConditionType::Stalled, True, "Unreachable", NOW),
                ],
            ),
            resource(NOW - 40, false, vec![]),
            // Of a version that knows more reasons.
            resource(NOW - 900, false, vec![ready(False, "FromTheFuture", 50)]),
            // The clocks disagree.
            resource(NOW + 10, false, vec![]),
        ]);
        assert_eq!(count(&summary, "PasswordSet"), 1);
        assert_eq!(count(&summary, "NotGranted"), 1);
        assert_eq!(count(&summary, "Unreachable"), 2);
        assert_eq!(count(&summary, NO_REASON), 3);
        let oldest = [8, 700, 6, 7, 50].map(Duration::from_secs);
        let oldest: Vec<_> = UNREADY_CLASSES.into_iter().zip(oldest).collect();
        assert_eq!(summary.oldest_unready, oldest);
        assert_eq!(summary.suspended, 0);
    }

    #[test]
    fn a_suspended_resource_counts_as_suspended_alone() {
        use ConditionStatus::{False, True};
        let suspended = |ago| condition(ConditionType::Suspended, True, "Suspended", NOW - ago);
        let summary = summary(&[
            resource(
                NOW - 900,
                true,
                vec![ready(False, "NotGranted", 800), suspended(60)],
            ),
            resource(
                NOW - 900,
                true,
                vec![ready(True, "PasswordSet", 800), suspended(90)],
            ),
            // Suspended from the beginning; the operator has not seen the resource yet.
            resource(NOW - 20, true, vec![]),
        ]);
        assert_eq!(summary.suspended, 3);
        assert_eq!(summary.oldest_suspended, Duration::from_secs(90));
        let none = UNREADY_CLASSES.map(|class| (class, Duration::ZERO));
        assert_eq!(summary.oldest_unready, none);
        assert_eq!(count(&summary, "NotGranted"), 1);
    }

    #[test]
    fn a_health_takes_eight_bytes() {
        assert_eq!(size_of::<Health>(), 8);
    }
}
