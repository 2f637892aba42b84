//! The status of a grant. The conditions follow kstatus, as the conditions of a resource do.

use super::grant::InvalidGrant;
use crate::{
    api::{CONDITIONS_MAX, Condition, ConditionStatus, ConditionType, GrantStatus},
    core::{
        clock, condition::verdict::sentence, credential::failure::CredentialsFailure,
        names::arn::RoleArn,
    },
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// The reasons of a grant's Ready condition.
pub const GRANT_REASONS: [&str; 3] = [ACCEPTED, INVALID_SPEC, INVALID_CREDENTIALS];

const ACCEPTED: &str = "Accepted";
const INVALID_SPEC: &str = "InvalidSpec";
const INVALID_CREDENTIALS: &str = "InvalidCredentials";

/// The result of checking a grant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Finding {
    /// The grant is in force: the operator acts for the admitted resources.
    Accepted,
    /// The grant is invalid and admits no resource.
    Invalid(InvalidGrant),
    /// The grant is valid, but its role can't be assumed, or AWS refuses the credentials of the role.
    NoCredentials(RoleArn, CredentialsFailure),
}

/// The status of a grant that admits `resources` resources. Conditions of other writers in `before` stay,
/// up to [`CONDITIONS_MAX`] conditions in total.
#[must_use]
pub fn grant_status(
    before: &GrantStatus,
    generation: i64,
    resources: usize,
    finding: &Finding,
    now: Timestamp,
) -> GrantStatus {
    let (reason, message, also) = match finding {
        Finding::Accepted => (ACCEPTED, "The grant is in force.".to_owned(), None),
        Finding::Invalid(why) => (
            INVALID_SPEC,
            sentence("the grant admits no resource", None, &why.to_string()),
            Some(ConditionType::Stalled),
        ),
        Finding::NoCredentials(role, failure) => (
            INVALID_CREDENTIALS,
            sentence(
                &format!("the operator can't assume {role}"),
                Some(&failure.0),
                "let the role's trust policy name the operator's identity, and spec.externalId if it asks for one, and let the operator's own policy allow sts:AssumeRole on it; the operator tries again by itself",
            ),
            Some(ConditionType::Reconciling),
        ),
    };
    let ready = match also {
        None => ConditionStatus::True,
        Some(_) => ConditionStatus::False,
    };
    let said = [(ConditionType::Ready, ready)]
        .into_iter()
        .chain(also.map(|type_| (type_, ConditionStatus::True)));
    let ours = said.map(|(type_, status)| {
        let known = before
            .conditions
            .iter()
            .find(|it| it.type_ == type_.as_str());
        let since = known.filter(|it| it.status == status);
        Condition {
            type_: type_.as_str().to_owned(),
            status,
            observed_generation: Some(generation),
            last_transition_time: since.map_or_else(
                || Time(clock::seconds(now)),
                |it| it.last_transition_time.clone(),
            ),
            reason: reason.to_owned(),
            message: message.clone(),
        }
    });
    let is_ours = |it: &&Condition| ConditionType::ALL.iter().any(|t| t.as_str() == it.type_);
    let others = before.conditions.iter().filter(|it| !is_ours(it)).cloned();
    GrantStatus {
        observed_generation: Some(generation),
        resources: Some(i64::try_from(resources).unwrap_or(i64::MAX)),
        conditions: ours.chain(others).take(CONDITIONS_MAX).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    fn refused() -> Finding {
        let role = RoleArn::parse("arn:aws:iam::111122223333:role/passwords").expect("valid");
        let why = "AccessDenied: not authorized to perform: sts:AssumeRole";
        Finding::NoCredentials(role, CredentialsFailure(why.to_owned()))
    }

    fn said(status: &GrantStatus) -> Vec<(&str, ConditionStatus, &str)> {
        let conditions = status.conditions.iter();
        conditions
            .map(|it| (it.type_.as_str(), it.status, it.reason.as_str()))
            .collect()
    }

    #[test]
    fn the_status_of_a_grant_says_whether_the_grant_is_in_force() {
        let none = GrantStatus::default();
        let accepted = grant_status(&none, 1, 3, &Finding::Accepted, at(1));
        assert_eq!(accepted.resources, Some(3));
        assert_eq!(
            said(&accepted),
            [("Ready", ConditionStatus::True, "Accepted")]
        );
        let invalid = Finding::Invalid(InvalidGrant::Region);
        let invalid = grant_status(&accepted, 2, 0, &invalid, at(2));
        assert_eq!(invalid.observed_generation, Some(2));
        assert_eq!(
            said(&invalid),
            [
                ("Ready", ConditionStatus::False, "InvalidSpec"),
                ("Stalled", ConditionStatus::True, "InvalidSpec")
            ]
        );
    }

    #[test]
    fn the_status_quotes_sts_if_a_role_cannot_be_assumed() {
        let refused = grant_status(&GrantStatus::default(), 1, 3, &refused(), at(1));
        assert_eq!(
            said(&refused),
            [
                ("Ready", ConditionStatus::False, "InvalidCredentials"),
                ("Reconciling", ConditionStatus::True, "InvalidCredentials")
            ]
        );
        let message = &refused.conditions[0].message;
        for words in [
            "arn:aws:iam::111122223333:role/passwords",
            "(AccessDenied: not authorized",
            "trust policy",
        ] {
            assert!(message.contains(words), "{words}: {message}");
        }
    }

    #[test]
    fn an_unchanged_finding_gives_the_same_bytes_and_keeps_other_conditions() {
        let mut before = grant_status(&GrantStatus::default(), 1, 3, &refused(), at(1));
        let mut foreign = before.conditions[0].clone();
        foreign.type_ = "Audited".to_owned();
        before.conditions.push(foreign.clone());
        assert_eq!(grant_status(&before, 1, 3, &refused(), at(9)), before);
        let recovered = grant_status(&before, 1, 3, &Finding::Accepted, at(9));
        assert_eq!(recovered.conditions[0].last_transition_time, Time(at(9)));
        assert_eq!(recovered.conditions[1..], [foreign.clone()]);
        // The API server takes a limited number of conditions. The operator's conditions come first.
        let full = GrantStatus {
            conditions: vec![foreign; CONDITIONS_MAX],
            ..GrantStatus::default()
        };
        let crowded = grant_status(&full, 1, 3, &refused(), at(9));
        assert_eq!(crowded.conditions.len(), CONDITIONS_MAX);
        assert_eq!(said(&crowded)[..2], said(&before)[..2]);
    }
}
