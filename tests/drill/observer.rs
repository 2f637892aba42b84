//! Watches all resources of a drill, and keeps every state that the API server showed.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use jiff::Timestamp;
use kube::api::DynamicObject;
use kube::runtime::watcher::{Config, Event, watcher};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::book::{Book, MARKER};
use crate::support::{condition, resources};

/// A status, as the watch showed the status.
#[derive(Clone, Debug)]
pub(crate) struct ObservedState {
    /// When the watch showed the status. The write was earlier.
    pub(crate) at: Instant,
    pub(crate) user: String,
    /// The state came from a list, so earlier states may be missing.
    pub(crate) after_gap: bool,
    /// Status and reason of the condition.
    pub(crate) ready: (String, String),
    /// The condition is about the newest generation.
    pub(crate) of_generation: bool,
    pub(crate) attempt: Option<Attempt>,
    /// The resourceVersion of the Secret whose value is believed to be set.
    pub(crate) synced: Option<String>,
    /// The time of that set, by the operator's clock, which is the clock of this machine.
    pub(crate) synced_at: Option<Timestamp>,
    /// The time of the set whose sign-out is still to be made.
    pub(crate) owed_since: Option<Timestamp>,
    /// The time of the next retry.
    pub(crate) retry_at: Option<Timestamp>,
    pub(crate) leaks: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) id: String,
    /// The resourceVersion of the Secret whose value the attempt sets.
    pub(crate) version: String,
    pub(crate) outcome: String,
    pub(crate) started: Timestamp,
}

impl Attempt {
    pub(crate) fn is_open(&self) -> bool {
        self.outcome != "Refused"
    }
}

/// The watch ends when this value is dropped.
pub(crate) struct Observer {
    seen: Arc<watch::Sender<Vec<ObservedState>>>,
    task: JoinHandle<()>,
}

impl Observer {
    pub(crate) fn start(client: &kube::Client, namespace: &str) -> Self {
        let seen = Arc::new(watch::Sender::new(Vec::new()));
        let api = resources(client, namespace);
        let sender = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let mut events = pin!(watcher(api, Config::default()));
            while let Some(event) = events.next().await {
                let (object, after_gap) = match event {
                    Ok(Event::Apply(object)) => (object, false),
                    Ok(Event::InitApply(object)) => (object, true),
                    Ok(Event::Init | Event::InitDone | Event::Delete(_)) => continue,
                    Err(_) => {
                        // Outages are part of the drills.
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        continue;
                    }
                };
                sender.send_modify(|seen: &mut Vec<ObservedState>| {
                    seen.push(read(&object, after_gap));
                });
            }
        });
        Self { seen, task }
    }

    /// All states of this user's resource.
    pub(crate) fn seen_of(&self, user: &str) -> Vec<ObservedState> {
        let all = self.seen.borrow();
        all.iter()
            .filter(|seen| seen.user == user)
            .cloned()
            .collect()
    }

    /// The latest state of this user's resource.
    pub(crate) fn latest_of(&self, user: &str) -> Option<ObservedState> {
        let all = self.seen.borrow();
        all.iter().rev().find(|seen| seen.user == user).cloned()
    }

    /// The number of states.
    pub(crate) fn count(&self) -> usize {
        self.seen.borrow().len()
    }

    /// Returns once the user's resource is Ready for its Secret's newest value.
    pub(crate) async fn settled(&self, book: &Book, user: &str) {
        let mut seen = self.seen.subscribe();
        // The sender lives as long as this observer.
        let _ = seen
            .wait_for(|all| {
                let last = all.iter().rev().find(|seen| seen.user == user);
                last.is_some_and(|last| last.is_settled(book))
            })
            .await;
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ObservedState {
    pub(crate) fn says_ready(&self) -> bool {
        self.ready.0 == "True"
    }

    /// Whether the status is Ready for the Secret's newest value.
    pub(crate) fn is_settled(&self, book: &Book) -> bool {
        let synced = self.synced.as_ref();
        let value = synced.and_then(|version| book.value_at(&self.user, version));
        self.says_ready()
            && self.of_generation
            && self.attempt.is_none()
            && value.is_some()
            && value == book.newest(&self.user)
    }
}

impl std::fmt::Display for ObservedState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let gap = if self.after_gap { " (listed)" } else { "" };
        let synced = self.synced.as_deref().unwrap_or("none");
        write!(
            f,
            "Ready={} {}{gap}, synced {synced}",
            self.ready.0, self.ready.1
        )?;
        if self.owed_since.is_some() {
            write!(f, ", owes a sign-out")?;
        }
        match &self.attempt {
            Some(it) => write!(f, ", attempt {} of {} {}", it.id, it.version, it.outcome),
            None => Ok(()),
        }
    }
}

fn read(object: &DynamicObject, after_gap: bool) -> ObservedState {
    let status = &object.data["status"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let ready = condition(object, "Ready").cloned().unwrap_or_default();
    let attempt = status["attempt"].is_object().then(|| {
        let attempt = &status["attempt"];
        Attempt {
            id: text(&attempt["id"]),
            version: text(&attempt["secretResourceVersion"]),
            outcome: text(&attempt["outcome"]),
            started: text(&attempt["startedAt"]).parse().unwrap_or_default(),
        }
    });
    ObservedState {
        at: Instant::now(),
        user: object.metadata.name.clone().unwrap_or_default(),
        after_gap,
        ready: (text(&ready["status"]), text(&ready["reason"])),
        of_generation: ready["observedGeneration"].as_i64() == object.metadata.generation,
        attempt,
        synced: status["synced"]["secretResourceVersion"]
            .as_str()
            .map(str::to_owned),
        synced_at: text(&status["synced"]["at"]).parse().ok(),
        owed_since: text(&status["signOutOwed"]["since"]).parse().ok(),
        retry_at: text(&status["failures"]["retryAt"]).parse().ok(),
        leaks: status.to_string().contains(MARKER),
    }
}
