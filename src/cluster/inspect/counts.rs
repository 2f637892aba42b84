//! Counts resources by their conditions, and decodes nothing else of the objects.

use super::{lists::each, observed::resource_right};
use crate::{
    api::CognitoUserPassword,
    core::checkup::{
        judge::facts::{Resources, Suspension},
        seen::Seen,
    },
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{
    Client,
    api::{ApiResource, ListParams},
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Item {
    metadata: Meta,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize)]
struct Meta {
    #[serde(default)]
    namespace: String,
    name: String,
    #[serde(default)]
    generation: i64,
    #[serde(default)]
    annotations: Annotations,
}

#[derive(Deserialize, Default)]
struct Annotations {
    // SUSPENDED_BECAUSE.
    #[serde(rename = "cognito-password-operator.io/suspended-because")]
    because: Option<String>,
}

#[derive(Deserialize, Default)]
struct Spec {
    #[serde(default)]
    suspend: bool,
}

#[derive(Deserialize, Default)]
struct Status {
    #[serde(default)]
    conditions: Vec<Condition>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    observed_generation: Option<i64>,
    #[serde(default)]
    reason: String,
    last_transition_time: Option<Time>,
}

impl Item {
    fn condition(&self, kind: &str) -> Option<&Condition> {
        self.status.conditions.iter().find(|it| it.kind == kind)
    }

    /// The Ready condition of the present generation.
    fn ready(&self) -> Option<&Condition> {
        let of_now = |it: &&Condition| {
            let of = it.observed_generation;
            of.is_none_or(|of| of >= self.metadata.generation)
        };
        self.condition("Ready").filter(of_now)
    }
}

/// How many resources there are in each state: in these namespaces, or in all if the list is empty.
pub async fn counts(client: &Client, namespaces: &[String], now: Timestamp) -> Seen<Resources> {
    let kind = ApiResource::erase::<CognitoUserPassword>(&());
    let mut counted = Resources::default();
    let places = if namespaces.is_empty() {
        vec![None]
    } else {
        namespaces.iter().map(|it| Some(&**it)).collect()
    };
    for place in places {
        let needed = resource_right("list", place, None);
        let params = ListParams::default();
        let read = each(client, needed, &kind, params, |item: Item| {
            count(&mut counted, &item, now);
        });
        let read = read.await;
        if read.known().is_none() {
            return read.map(|()| counted);
        }
    }
    Seen::Known(counted)
}

fn count(counted: &mut Resources, item: &Item, now: Timestamp) {
    if item.spec.suspend {
        counted.suspended += 1;
        let since = item.condition("Suspended").filter(|it| it.status == "True");
        let since = since.and_then(|it| it.last_transition_time.as_ref());
        let since = since.map_or(0, |at| now.as_second() - at.0.as_second());
        let longest = counted.longest_suspended.as_ref();
        if longest.is_none_or(|longest| longest.since < since) {
            let name = format!("{}/{}", item.metadata.namespace, item.metadata.name);
            let because = item.metadata.annotations.because.clone();
            counted.longest_suspended = Some(Suspension {
                name,
                since,
                because,
            });
        }
        return;
    }
    match item.ready() {
        Some(ready) if ready.status == "True" => counted.ready += 1,
        ready => {
            let reason = ready.map(|it| it.reason.clone()).unwrap_or_default();
            *counted.unready.entry(reason).or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn item(name: &str, spec: &Value, conditions: &Value) -> Item {
        let annotations = json!({ crate::api::SUSPENDED_BECAUSE: "INC-4711" });
        let item = json!({
            "metadata": {
                "namespace": "team-a", "name": name, "generation": 3, "annotations": annotations,
            },
            "spec": spec,
            "status": { "conditions": conditions },
        });
        serde_json::from_value(item).expect("an item")
    }

    fn ready(status: &str, reason: &str, generation: i64) -> Value {
        json!([{ "type": "Ready", "status": status, "reason": reason, "observedGeneration": generation }])
    }

    #[test]
    fn resources_are_counted_by_the_condition_of_the_present_generation() {
        let now = "2026-01-10T00:00:00Z".parse().expect("a time");
        let mut counted = Resources::default();
        let suspended =
            |at: &str| json!([{ "type": "Suspended", "status": "True", "lastTransitionTime": at }]);
        for item in [
            item("a", &json!({}), &ready("True", "PasswordSet", 3)),
            item("b", &json!({}), &ready("True", "PasswordSet", 2)),
            item("c", &json!({}), &ready("False", "NotGranted", 3)),
            item("d", &json!({}), &ready("Unknown", "NotConfirmed", 3)),
            item(
                "e",
                &json!({ "suspend": true }),
                &suspended("2026-01-09T00:00:00Z"),
            ),
            item(
                "f",
                &json!({ "suspend": true }),
                &suspended("2026-01-01T00:00:00Z"),
            ),
            item("g", &json!({ "suspend": true }), &json!([])),
        ] {
            count(&mut counted, &item, now);
        }
        let reasons = [("", 1), ("NotConfirmed", 1), ("NotGranted", 1)];
        let wanted = Resources {
            ready: 1,
            unready: reasons
                .map(|(reason, count)| (reason.to_owned(), count))
                .into(),
            suspended: 3,
            longest_suspended: Some(Suspension {
                name: "team-a/f".to_owned(),
                since: 9 * 86_400,
                because: Some("INC-4711".to_owned()),
            }),
        };
        assert_eq!(counted, wanted);
    }

    #[test]
    fn an_item_without_status_is_not_reconciled() {
        let item = json!({ "metadata": { "name": "a", "namespace": "b" } });
        let item: Item = serde_json::from_value(item).expect("an item");
        let mut counted = Resources::default();
        count(&mut counted, &item, Timestamp::UNIX_EPOCH);
        assert_eq!(counted.unready.get(""), Some(&1));
    }
}
