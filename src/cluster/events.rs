//! Events on resources: one for each change of reason and each set. They repeat a condition, so a
//! lost one is logged and nothing more.

use super::{CALL_TIMEOUT, call::chain};
use crate::api::FIELD_MANAGER;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client, Resource,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use tracing::warn;

/// Reports events; those of the same reason within 6 minutes are counted, not repeated.
#[derive(Clone)]
pub struct Events {
    recorder: Recorder,
}

impl Events {
    /// Reports as this operator.
    #[must_use]
    pub fn new(client: Client) -> Self {
        let reporter = Reporter {
            controller: FIELD_MANAGER.to_owned(),
            instance: None,
        };
        Self {
            recorder: Recorder::new(client, reporter),
        }
    }

    /// Reports one event on a resource. `note` is cut to the API's 1,024 bytes.
    pub async fn publish(
        &self,
        resource: &ObjectReference,
        type_: EventType,
        reason: &str,
        action: &str,
        note: &str,
    ) {
        let event = Event {
            type_,
            reason: reason.to_owned(),
            note: Some(cut(note)),
            action: action.to_owned(),
            secondary: None,
        };
        let publish = self.recorder.publish(&event, resource);
        let failed = match tokio::time::timeout(CALL_TIMEOUT, publish).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => chain(&error),
            Err(_) => "timeout".to_owned(),
        };
        warn!(reason, error = failed, "an event could not be reported");
    }
}

/// What an event regards. Without resourceVersion, so that the same state is the same event.
#[must_use]
pub fn reference<K: Resource<DynamicType = ()>>(resource: &K) -> ObjectReference {
    ObjectReference {
        resource_version: None,
        ..resource.object_ref(&())
    }
}

fn cut(note: &str) -> String {
    const MAX: usize = 1_000;
    if note.len() <= MAX {
        return note.to_owned();
    }
    let kept: String = note
        .char_indices()
        .take_while(|(at, c)| at + c.len_utf8() <= MAX)
        .map(|(_, c)| c)
        .collect();
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_fits_into_the_apis_1024_bytes() {
        assert_eq!(cut("short"), "short");
        let long = cut(&"é".repeat(5_000));
        assert!(long.len() <= 1_024 && long.ends_with('…'), "{}", long.len());
    }
}
