//! Reads the conditions of grants and resources, and nothing else of the objects.

use super::access::{right, seen};
use crate::{
    api::{GROUP, VERSION},
    cluster::client::call::call,
    core::checkup::{
        judge::facts::{GrantState, Resources},
        seen::Seen,
    },
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{Client, Error};
use serde::Deserialize;

/// How many objects one page of a list has.
const PAGE: u32 = 500;

#[derive(Deserialize)]
struct List {
    metadata: ListMeta,
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct ListMeta {
    #[serde(rename = "continue")]
    next: Option<String>,
}

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
    #[serde(default)]
    message: String,
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

/// The state of every grant.
pub async fn grant_states(client: &Client) -> Seen<Vec<GrantState>> {
    let mut states = Vec::new();
    let read = each(client, None, "cognitouserpoolgrants", |item| {
        let ready = item.ready();
        let text = |of: fn(&Condition) -> &String| ready.map(of).cloned().unwrap_or_default();
        states.push(GrantState {
            is_ready: match ready.map(|it| it.status.as_str()) {
                Some("True") => Some(true),
                Some("False") => Some(false),
                _ => None,
            },
            reason: text(|it| &it.reason),
            message: text(|it| &it.message),
            name: item.metadata.name,
        });
    });
    read.await.map(|()| states)
}

/// How many resources there are in each state: in these namespaces, or in all if the list is empty.
pub async fn resources(client: &Client, namespaces: &[String], now: Timestamp) -> Seen<Resources> {
    let mut counted = Resources::default();
    let places = if namespaces.is_empty() {
        vec![None]
    } else {
        namespaces.iter().map(|it| Some(&**it)).collect()
    };
    for place in places {
        let read = each(client, place, "cognitouserpasswords", |item| {
            count(&mut counted, &item, now);
        });
        match read.await {
            Seen::Known(()) => {}
            Seen::Denied(right) => return Seen::Denied(right),
            Seen::Failed(why) => return Seen::Failed(why),
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
        if longest.is_none_or(|(_, longest)| *longest < since) {
            let name = format!("{}/{}", item.metadata.namespace, item.metadata.name);
            counted.longest_suspended = Some((name, since));
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

/// Reads a list page by page, so that the program holds one page at a time.
async fn each(
    client: &Client,
    namespace: Option<&str>,
    plural: &'static str,
    mut with: impl FnMut(Item),
) -> Seen<()> {
    let needed = right("list", GROUP, plural, namespace, None);
    let mut list = match seen(client, needed, page(client, namespace, plural, "")).await {
        Seen::Known(list) => list,
        Seen::Denied(right) => return Seen::Denied(right),
        Seen::Failed(why) => return Seen::Failed(why),
    };
    loop {
        list.items.into_iter().for_each(&mut with);
        let Some(next) = list.metadata.next.filter(|it| !it.is_empty()) else {
            return Seen::Known(());
        };
        list = match call(page(client, namespace, plural, &next)).await {
            Ok(list) => list,
            Err(error) => return Seen::Failed(error.to_string()),
        };
    }
}

/// One page. `next` is the token that the page before ends with.
async fn page(
    client: &Client,
    namespace: Option<&str>,
    plural: &str,
    next: &str,
) -> Result<List, Error> {
    let place = namespace.map_or_else(String::new, |it| format!("namespaces/{it}/"));
    // A token of a page has letters, digits and signs that a URL takes as they are.
    let path = format!("/apis/{GROUP}/{VERSION}/{place}{plural}?limit={PAGE}&continue={next}");
    let request = http::Request::get(path).body(Vec::new());
    client.request(request.map_err(Error::HttpError)?).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn item(name: &str, spec: &Value, conditions: &Value) -> Item {
        let item = json!({
            "metadata": { "namespace": "team-a", "name": name, "generation": 3 },
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
            longest_suspended: Some(("team-a/f".to_owned(), 9 * 86_400)),
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
