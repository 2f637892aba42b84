//! A list that comes as a watch, and whether it gets on. An API server that doesn't know of such lists
//! may ignore that one was asked for: it answers 200 and never says that the list is complete.

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

/// A list that shows no new object for so long doesn't get on.
const STALLED_AFTER: Duration = Duration::from_secs(10);

/// A list may take so long, however it gets on: the watch that it comes by ends after 200 s, and the list
/// begins anew. New objects come also where the end of the list never does.
const LIST_MAX: Duration = Duration::from_mins(3);

/// A list that is cut so often in a row, without an error, doesn't get on.
const CUTS_MAX: u32 = 3;

/// A list under way.
struct List {
    began: Instant,
    /// When it last showed a new object.
    moved: Instant,
    /// The objects that it has shown, hashed: fifty thousand names would take megabytes.
    shown: HashSet<u64>,
    hasher: RandomState,
    /// How often it has begun anew.
    cuts: u32,
}

impl List {
    fn new(now: Instant) -> Self {
        Self {
            began: now,
            moved: now,
            shown: HashSet::new(),
            hasher: RandomState::new(),
            cuts: 0,
        }
    }

    fn deadline(&self) -> Instant {
        (self.moved + STALLED_AFTER).min(self.began + LIST_MAX)
    }

    fn show<K: Resource>(&mut self, object: &K, now: Instant) {
        let name = (
            object.meta().namespace.as_deref(),
            object.meta().name.as_deref(),
        );
        if self.shown.insert(self.hasher.hash_one(name)) {
            self.moved = now;
        }
    }
}

/// The list wasn't completed.
#[derive(Debug, thiserror::Error)]
#[error(
    "the API server began a list as a watch and didn't complete it; lists are read in pages from now on"
)]
pub(crate) struct Incomplete;

fn incomplete() -> watcher::Error {
    watcher::Error::WatchStartFailed(kube::Error::Service(Box::new(Incomplete)))
}

/// The events of a watch, until its list doesn't get on: that is its last event, [`Incomplete`].
pub(crate) fn while_it_gets_on<K: Resource + ResourceExt + Send + 'static>(
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
            (Ok(Event::Init), Some(cut)) => {
                cut.cuts += 1;
                if cut.cuts >= CUTS_MAX {
                    return Some((Err(incomplete()), None));
                }
                cut.moved = now;
                cut.shown.clear();
            }
            (Ok(Event::InitApply(object)), Some(list)) => list.show(object, now),
            // Of a failure something else is said, and until the next try nothing comes.
            (Ok(Event::InitDone) | Err(_), _) => list = None,
            (Ok(Event::InitApply(_) | Event::Apply(_) | Event::Delete(_)), _) => {}
        }
        Some((event, Some((events, list))))
    })
}
