//! Supervises a list that is streamed as a watch (`sendInitialEvents`). An API server that doesn't know such
//! lists may ignore the parameter: the API server answers 200 and never reports the list as complete.

use futures::{Stream, StreamExt, stream};
use kube::{
    Resource, ResourceExt,
    runtime::watcher::{self, Event},
};
use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    time::Duration,
};
use tokio::time::{Instant, timeout_at};

/// A list fails if no new object arrives for this long.
const STALLED_AFTER: Duration = Duration::from_secs(10);

/// Maximum duration of a list, restarts included. New objects alone prove nothing, because new objects may
/// arrive for ever without an end of the list. The limit is below the 200 s after which the API server ends
/// the watch and the list restarts.
const LIST_MAX: Duration = Duration::from_mins(3);

/// The number of restarts in a row, without an error, at which a list fails.
const RESTARTS_MAX: u32 = 3;

/// A list in progress.
struct List {
    began: Instant,
    /// When the last new object arrived, or the list restarted.
    last_progress: Instant,
    /// Hashes of the names that have arrived: fifty thousand names would take megabytes.
    names: HashSet<u64>,
    hasher: RandomState,
    /// How often the list has restarted.
    restarts: u32,
}

impl List {
    fn new(now: Instant) -> Self {
        Self {
            began: now,
            last_progress: now,
            names: HashSet::new(),
            hasher: RandomState::new(),
            restarts: 0,
        }
    }

    fn deadline(&self) -> Instant {
        (self.last_progress + STALLED_AFTER).min(self.began + LIST_MAX)
    }

    fn add<K: Resource>(&mut self, object: &K, now: Instant) {
        let name = (
            object.meta().namespace.as_deref(),
            object.meta().name.as_deref(),
        );
        if self.names.insert(self.hasher.hash_one(name)) {
            self.last_progress = now;
        }
    }
}

/// The API server began a streamed list and did not complete the list.
#[derive(Debug, thiserror::Error)]
#[error(
    "the API server began a streaming list and didn't complete the list; from now on the operator reads lists in pages"
)]
pub(crate) struct IncompleteList;

fn incomplete() -> watcher::Error {
    watcher::Error::WatchStartFailed(kube::Error::Service(Box::new(IncompleteList)))
}

/// The events of a watch, until a list fails. Then [`IncompleteList`] is the last event.
pub(crate) fn until_list_fails<K: Resource + ResourceExt + Send + 'static>(
    events: impl Stream<Item = watcher::Result<Event<K>>> + Send + 'static,
) -> impl Stream<Item = watcher::Result<Event<K>>> + Send {
    let state = Some((events.boxed(), None::<List>));
    stream::unfold(state, async |state| {
        let (mut events, mut list) = state?;
        let next = match &list {
            None => Ok(events.next().await),
            Some(under_way) => timeout_at(under_way.deadline(), events.next()).await,
        };
        let Ok(event) = next else {
            return Some((Err(incomplete()), None));
        };
        let event = event?;
        let now = Instant::now();
        match (&event, &mut list) {
            (Ok(Event::Init), None) => list = Some(List::new(now)),
            (Ok(Event::Init), Some(restarted)) => {
                restarted.restarts += 1;
                if restarted.restarts >= RESTARTS_MAX {
                    return Some((Err(incomplete()), None));
                }
                restarted.last_progress = now;
                restarted.names.clear();
            }
            (Ok(Event::InitApply(object)), Some(list)) => list.add(object, now),
            // The supervision ends with the list, and at an error: the watcher reports the error and sends
            // nothing before the next try.
            (Ok(Event::InitDone) | Err(_), _) => list = None,
            (Ok(Event::InitApply(_) | Event::Apply(_) | Event::Delete(_)), _) => {}
        }
        Some((event, Some((events, list))))
    })
}
