//! The short form of a condition.

use super::{
    text::{Interner, Text},
    time::CompactTime,
};
use crate::{
    api::{Condition, ConditionStatus, ConditionType, Reason},
    core::condition::{verdict::Verdict, verified::USER_SEEN},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::{Deserialize, Serialize};

/// A condition of a resource.
#[derive(Serialize, Deserialize)]
pub(super) struct CompactCondition {
    said: Said,
    observed_generation: Option<i64>,
    since: CompactTime,
}

/// What a condition says. At rest, nearly every resource has the first two, which take one byte each.
#[derive(Serialize, Deserialize)]
enum Said {
    /// Ready=True, with `PasswordSet` and its usual message.
    PasswordSet,
    /// Verified=True.
    UserSeen,
    /// Anything else.
    Other {
        type_: Text,
        status: ConditionStatus,
        reason: Text,
        message: Text,
    },
}

impl CompactCondition {
    pub(super) fn of(condition: &Condition, interner: &Interner) -> Self {
        Self {
            said: Said::of(condition, interner),
            observed_generation: condition.observed_generation,
            since: CompactTime::of(condition.last_transition_time.0),
        }
    }

    pub(super) fn condition(self, interner: &Interner) -> Condition {
        let (type_, status, reason, message) = self.said.words(interner);
        Condition {
            type_,
            status,
            observed_generation: self.observed_generation,
            last_transition_time: Time(self.since.timestamp()),
            reason,
            message,
        }
    }
}

impl Said {
    fn of(condition: &Condition, interner: &Interner) -> Self {
        let usual = match condition.known_reason() {
            Some(Reason::PasswordSet) => Self::PasswordSet,
            Some(_) | None => Self::UserSeen,
        };
        let (type_, status, reason, message) = usual.words(interner);
        let is_usual = condition.type_ == type_
            && condition.status == status
            && condition.reason == reason
            && condition.message == message;
        if is_usual {
            return usual;
        }
        Self::Other {
            type_: interner.text(&condition.type_),
            status: condition.status,
            reason: interner.text(&condition.reason),
            message: interner.text(&condition.message),
        }
    }

    /// Type, status, reason and message.
    fn words(&self, interner: &Interner) -> (String, ConditionStatus, String, String) {
        let is_true = |type_: ConditionType, reason: &str, message: String| {
            let type_ = type_.as_str().to_owned();
            (type_, ConditionStatus::True, reason.to_owned(), message)
        };
        match self {
            Self::PasswordSet => {
                let Verdict {
                    reason, message, ..
                } = Verdict::new(Reason::PasswordSet);
                is_true(ConditionType::Ready, reason.as_str(), message)
            }
            Self::UserSeen => {
                let (reason, message) = USER_SEEN;
                is_true(ConditionType::Verified, reason, message.to_owned())
            }
            Self::Other {
                type_,
                status,
                reason,
                message,
            } => {
                let string = |text: &Text| interner.string(text);
                (string(type_), *status, string(reason), string(message))
            }
        }
    }
}
