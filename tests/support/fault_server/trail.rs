//! `CloudTrail` at the same URL: `LookupEvents` shows what others than the operator did to users.

use jiff::Timestamp;
use serde_json::{Value, json};

/// Who did it, as `CloudTrail` names a session of a role.
pub(crate) const SOMEBODY_ELSE: &str = "nightly-sync";

const TARGET: &str = "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.LookupEvents";

/// The events of others, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Trail(Vec<Event>);

#[derive(Debug)]
struct Event {
    name: &'static str,
    username: String,
    at: Timestamp,
}

impl Trail {
    pub(super) fn record(&mut self, name: &'static str, username: &str, at: Timestamp) {
        let username = username.to_owned();
        self.0.push(Event { name, username, at });
    }

    /// The reply to `LookupEvents` of events of one name, the newest first. None if the request is another.
    pub(super) fn answer(&self, target: &str, body: &[u8]) -> Option<Value> {
        if target != TARGET {
            return None;
        }
        let body: Value = serde_json::from_slice(body).ok()?;
        let wanted = body.pointer("/LookupAttributes/0")?;
        if wanted["AttributeKey"] != "EventName" {
            return None;
        }
        let events = self.0.iter().rev();
        let events = events.filter(|event| wanted["AttributeValue"] == event.name);
        Some(json!({ "Events": events.map(row).collect::<Vec<_>>() }))
    }
}

fn row(event: &Event) -> Value {
    let parameters = json!({ "username": event.username });
    json!({
        "EventName": event.name,
        "EventSource": "cognito-idp.amazonaws.com",
        "EventTime": event.at.as_second(),
        "Username": SOMEBODY_ELSE,
        "CloudTrailEvent": json!({ "requestParameters": parameters }).to_string(),
    })
}
