//! Enums in the status to which another version of the operator may have added words.

use serde::{
    Deserialize, Deserializer,
    de::{
        DeserializeOwned,
        value::{Error, StrDeserializer},
    },
};

/// Reads one of the words of an enum. Any other word is read as `otherwise`.
pub(super) fn known_word<'de, T: DeserializeOwned, D: Deserializer<'de>>(
    deserializer: D,
    otherwise: T,
) -> Result<T, D::Error> {
    let word = String::deserialize(deserializer)?;
    Ok(T::deserialize(StrDeserializer::<Error>::new(&word)).unwrap_or(otherwise))
}

#[cfg(test)]
mod tests {
    use crate::api::{AttemptOutcome, ConditionStatus, Status};
    use serde_json::{from_value, json};

    #[test]
    fn unknown_words_of_another_version_do_not_make_a_status_unreadable() {
        let status = |outcome: &str, ready: &str| {
            let status = json!({
                "attempt": {
                    "id": "a", "fingerprint": "k.0", "generation": 1, "secretUid": "u",
                    "secretResourceVersion": "7", "startedAt": "2026-01-01T00:00:00.000000Z",
                    "outcome": outcome,
                },
                "conditions": [{
                    "type": "Ready", "status": ready, "reason": "A", "message": "",
                    "lastTransitionTime": "2026-01-01T00:00:00Z",
                }],
            });
            let status: Status = from_value(status).expect("it is read");
            let attempt = status.attempt.expect("it is there");
            (
                attempt.outcome,
                attempt.is_open(),
                status.conditions[0].status,
            )
        };
        let known = (AttemptOutcome::Refused, false, ConditionStatus::True);
        assert_eq!(status("Refused", "True"), known);
        let unknown = (AttemptOutcome::Unknown, true, ConditionStatus::Unknown);
        assert_eq!(status("Postponed", "Perhaps"), unknown);
    }
}
