//! The Events of a resource.

use k8s_openapi::api::core::v1::Event;

use super::world::{SOON, World};
use crate::support::{describe, eventually};

/// The number of occurrences that these Events count.
pub(crate) fn occurrences(events: &[Event]) -> i32 {
    let count = |event: &Event| event.series.as_ref().and_then(|series| series.count);
    events.iter().map(|event| count(event).unwrap_or(1)).sum()
}

/// Waits for the Event with this reason, and returns its message. Panics if the Event occurred twice.
pub(crate) async fn wait_for_one_event(world: &World<'_>, name: &str, reason: &str) -> String {
    let found = eventually(SOON, async || {
        let found = world.events(name, reason).await;
        if found.is_empty() {
            let state = describe(&world.client, &world.namespace, name).await;
            return Err(format!("no event says {reason} of {state}"));
        }
        Ok(found)
    })
    .await;
    assert_eq!(occurrences(&found), 1, "{name}: told once: {found:#?}");
    found[0].message.clone().unwrap_or_default()
}
