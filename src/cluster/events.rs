//! Kubernetes Events on resources: one for each change of reason and each set. An Event repeats a condition,
//! so no reconcile waits for an Event. Events pass through a bounded queue at a bounded pace. A lost Event
//! only raises a counter.

use super::{CALL_TIMEOUT, client::call::chain};
use crate::api::FIELD_MANAGER;
use futures::FutureExt;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client, Resource,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use std::{
    collections::VecDeque,
    panic::AssertUnwindSafe,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, sleep_until, timeout},
};
use tracing::{debug, warn};

/// Maximum number of queued Events. Each takes half a kilobyte.
const WAITING_MAX: usize = 1_000;

/// The pace: 12.5 Events a second, a quarter more than the calls that the default rate limit allows. So a
/// mass rotation loses no Event by default. A higher rate limit doesn't raise the pace, because the API
/// server has more important work.
const INTERVAL: Duration = Duration::from_millis(80);

/// Events that are sent at once after a quiet time.
const BURST: u32 = 25;

/// After each Event, pause this many times as long as the write took, so that a slow API server gets fewer
/// Events.
const PAUSE_FACTOR: u32 = 4;

/// Maximum number of Events in the recorder's cache. kube's recorder caches each Event, 3 KB, to count
/// repetitions.
const CACHE_MAX: u32 = 100;
/// The recorder counts repetitions within this time, so a cache without a new Event for this long is dropped.
const CACHE_LIFETIME: Duration = Duration::from_mins(6);

/// Publishes Events. A repetition of the same reason within 6 minutes raises the count of the earlier Event.
/// Cheap to clone.
#[derive(Clone)]
pub struct Events(Arc<Shared>);

struct Shared {
    client: Client,
    waiting: Mutex<VecDeque<QueuedEvent>>,
    /// Signals that an Event was queued.
    added: Notify,
    lost: Box<dyn Fn() + Send + Sync>,
}

/// A queued Event.
#[derive(Debug)]
struct QueuedEvent {
    regarding: ObjectReference,
    type_: EventType,
    reason: &'static str,
    action: &'static str,
    note: String,
}

impl Events {
    /// Creates an empty queue. [`Events::report`] publishes the Events in this operator's name. `lost` is
    /// called for each Event that is dropped or can't be published.
    #[must_use]
    pub fn new(client: Client, lost: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(Shared {
            client,
            waiting: Mutex::default(),
            added: Notify::new(),
            lost: Box::new(lost),
        }))
    }

    /// Queues one Event on a resource. `note` is cut to the API's 1,024 bytes.
    pub fn enqueue(
        &self,
        regarding: ObjectReference,
        type_: EventType,
        reason: &'static str,
        action: &'static str,
        note: &str,
    ) {
        let queued = QueuedEvent {
            regarding,
            type_,
            reason,
            action,
            note: cut(note),
        };
        if let Some(lost) = push(&mut self.waiting(), queued) {
            debug!(
                reason = lost.reason,
                note = lost.note,
                "dropped an Event, because the queue is full"
            );
            (self.0.lost)();
        }
        self.0.added.notify_one();
    }

    /// Drops a resource's queued Events with this reason, because the reason no longer holds.
    pub fn withdraw(&self, namespace: &str, name: &str, reason: &str) {
        self.waiting().retain(|queued| {
            queued.reason != reason
                || queued.regarding.name.as_deref() != Some(name)
                || queued.regarding.namespace.as_deref() != Some(namespace)
        });
    }

    /// Publishes Events in order until `ended` completes, then the rest of the queue without pauses.
    pub async fn report(&self, ended: impl Future<Output = ()>) {
        let mut ended = pin!(ended);
        let mut recorder = EventRecorder::new(self.0.client.clone());
        let mut pace = Pace::new();
        loop {
            let due = async {
                pace.wait().await;
                self.next().await
            };
            tokio::select! {
                queued = due => {
                    let began = Instant::now();
                    self.publish(&mut recorder, queued).await;
                    pace.pause_after(began.elapsed());
                }
                () = sleep(CACHE_LIFETIME), if recorder.cached > 0 => recorder.forget(),
                () = &mut ended => break,
            }
        }
        while let Some(queued) = self.pop() {
            self.publish(&mut recorder, queued).await;
        }
    }

    async fn publish(&self, recorder: &mut EventRecorder, queued: QueuedEvent) {
        let reason = queued.reason;
        let published = AssertUnwindSafe(recorder.publish(queued))
            .catch_unwind()
            .await;
        let published = published.unwrap_or_else(|_| {
            // The panic may have left the recorder's cache inconsistent.
            recorder.forget();
            Err("publishing the Event panicked".to_owned())
        });
        if let Err(error) = published {
            warn!(reason, error, "an Event could not be published");
            (self.0.lost)();
        }
    }

    async fn next(&self) -> QueuedEvent {
        loop {
            let added = self.0.added.notified();
            if let Some(queued) = self.pop() {
                return queued;
            }
            added.await;
        }
    }

    fn pop(&self) -> Option<QueuedEvent> {
        let mut waiting = self.waiting();
        let queued = waiting.pop_front();
        if waiting.is_empty() {
            // Frees the memory of a long queue.
            waiting.shrink_to(BURST as usize);
        }
        queued
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<QueuedEvent>> {
        let waiting = self.0.waiting.lock();
        waiting.unwrap_or_else(PoisonError::into_inner)
    }
}

/// Queues an Event. Returns the Event that a full queue drops: the oldest Normal Event if the new Event is a
/// Warning, else the new Event. So a flood of successes never crowds out failures.
fn push(waiting: &mut VecDeque<QueuedEvent>, queued: QueuedEvent) -> Option<QueuedEvent> {
    let lost = if waiting.len() < WAITING_MAX {
        None
    } else if queued.type_ == EventType::Warning
        && let Some(normal) = waiting
            .iter()
            .position(|queued| queued.type_ == EventType::Normal)
    {
        waiting.remove(normal)
    } else {
        return Some(queued);
    };
    waiting.push_back(queued);
    lost
}

/// The recorder, with a cache of recent Events for counting repetitions.
struct EventRecorder {
    client: Client,
    recorder: Recorder,
    cached: u32,
}

impl EventRecorder {
    fn new(client: Client) -> Self {
        let recorder = recorder(client.clone());
        Self {
            client,
            recorder,
            cached: 0,
        }
    }

    fn forget(&mut self) {
        self.recorder = recorder(self.client.clone());
        self.cached = 0;
    }

    async fn publish(&mut self, queued: QueuedEvent) -> Result<(), String> {
        if self.cached >= CACHE_MAX {
            self.forget();
        }
        self.cached += 1;
        let event = Event {
            type_: queued.type_,
            reason: queued.reason.to_owned(),
            note: Some(queued.note),
            action: queued.action.to_owned(),
            secondary: None,
        };
        let publish = self.recorder.publish(&event, &queued.regarding);
        match timeout(CALL_TIMEOUT, publish).await {
            Ok(result) => result.map_err(|error| chain(&error)),
            Err(_) => Err("the API server didn't answer in time".to_owned()),
        }
    }
}

fn recorder(client: Client) -> Recorder {
    let reporter = Reporter {
        controller: FIELD_MANAGER.to_owned(),
        instance: None,
    };
    Recorder::new(client, reporter)
}

/// The pace of publishing.
struct Pace {
    /// The time of the next Event by [`INTERVAL`] alone.
    next: Instant,
    /// The end of the pause after the last Event. Quiet time doesn't shorten this pause.
    pause_until: Instant,
}

impl Pace {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            next: now,
            pause_until: now,
        }
    }

    async fn wait(&mut self) {
        let now = Instant::now();
        let earliest = now.checked_sub(INTERVAL * BURST).unwrap_or(now);
        let at = self.next.max(earliest);
        sleep_until(at.max(self.pause_until)).await;
        self.next = at + INTERVAL;
    }

    /// Starts the pause after a write that took `took` and has just ended.
    fn pause_after(&mut self, took: Duration) {
        self.pause_until = Instant::now() + took * PAUSE_FACTOR;
    }
}

/// The reference from an Event to its resource. Without a resourceVersion, so that repetitions of the same
/// state count as one Event.
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
    use futures::future::BoxFuture;
    use kube::client::Body;
    use std::{
        convert::Infallible,
        sync::atomic::{AtomicUsize, Ordering},
        task::{Context, Poll},
    };
    use tower_service::Service;

    fn queued(type_: EventType, name: usize) -> QueuedEvent {
        QueuedEvent {
            regarding: ObjectReference {
                name: Some(name.to_string()),
                ..ObjectReference::default()
            },
            type_,
            reason: "Reason",
            action: "Act",
            note: String::new(),
        }
    }

    #[test]
    fn a_long_note_is_cut_to_the_1024_bytes_of_the_api() {
        assert_eq!(cut("short"), "short");
        let long = cut(&"é".repeat(5_000));
        assert!(long.len() <= 1_024 && long.ends_with('…'), "{}", long.len());
    }

    #[test]
    fn a_full_queue_drops_normal_events_before_warnings() {
        let mut waiting = VecDeque::new();
        for name in 0..WAITING_MAX {
            assert!(push(&mut waiting, queued(EventType::Normal, name)).is_none());
        }
        let name = |queued: Option<QueuedEvent>| queued.and_then(|queued| queued.regarding.name);
        let late = push(&mut waiting, queued(EventType::Normal, 2_000));
        assert_eq!(name(late).as_deref(), Some("2000"), "the latest finds none");
        for n in 0..WAITING_MAX {
            let lost = push(&mut waiting, queued(EventType::Warning, 3_000 + n));
            assert_eq!(name(lost), Some(n.to_string()), "the oldest gives way");
        }
        let late = push(&mut waiting, queued(EventType::Warning, 5_000));
        assert_eq!(name(late).as_deref(), Some("5000"), "not to its like");
        assert_eq!(waiting.len(), WAITING_MAX);
        let mut order = (0..).zip(&waiting);
        let in_order = |(n, queued): (usize, &QueuedEvent)| {
            queued.regarding.name.as_deref() == Some(&*(3_000 + n).to_string())
        };
        assert!(order.all(in_order), "{waiting:?}");
    }

    /// An API server that panics at requests about `bad` and counts the others.
    #[derive(Clone, Default)]
    struct Server(Arc<AtomicUsize>);

    impl Service<http::Request<Body>> for Server {
        type Response = http::Response<Body>;
        type Error = Infallible;
        type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: http::Request<Body>) -> Self::Future {
            let count = self.0.clone();
            async move {
                let event = request.into_body().collect_bytes().await.expect("a body");
                let text = String::from_utf8(event.to_vec()).expect("JSON");
                assert!(!text.contains("bad"), "a test wants this panic");
                count.fetch_add(1, Ordering::Relaxed);
                Ok(http::Response::new(Body::from(event.to_vec())))
            }
            .boxed()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_whose_report_panics_is_lost_and_the_others_are_reported() {
        let server = Server::default();
        let lost = Arc::new(AtomicUsize::new(0));
        let count = lost.clone();
        let client = Client::new(server.clone(), "a");
        let events = Events::new(client, move || {
            count.fetch_add(1, Ordering::Relaxed);
        });
        for name in ["good", "bad", "other"] {
            let regarding = ObjectReference {
                name: Some(name.to_owned()),
                namespace: Some("a".to_owned()),
                ..ObjectReference::default()
            };
            events.enqueue(regarding, EventType::Normal, "Reason", "Act", "");
        }
        let reported = async {
            while server.0.load(Ordering::Relaxed) < 2 {
                sleep(INTERVAL).await;
            }
        };
        events.report(reported).await;
        assert_eq!(server.0.load(Ordering::Relaxed), 2);
        assert_eq!(lost.load(Ordering::Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn many_events_are_published_at_a_bounded_pace() {
        let mut pace = Pace::new();
        sleep(Duration::from_hours(1)).await;
        let began = Instant::now();
        for _ in 0..=BURST {
            pace.wait().await;
        }
        assert_eq!(began.elapsed(), Duration::ZERO, "a few at once");
        for _ in 0..100 {
            pace.wait().await;
        }
        assert_eq!(began.elapsed(), INTERVAL * 100);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_api_server_gets_fewer_events() {
        let mut pace = Pace::new();
        for took in [1, 50, 1_000].map(Duration::from_millis) {
            // Quiet time doesn't shorten the pauses.
            sleep(Duration::from_hours(1)).await;
            pace.wait().await;
            let began = Instant::now();
            for _ in 1..BURST {
                sleep(took).await;
                pace.pause_after(took);
                pace.wait().await;
            }
            let each = took * (1 + PAUSE_FACTOR);
            assert_eq!(began.elapsed(), each * (BURST - 1));
        }
    }
}
