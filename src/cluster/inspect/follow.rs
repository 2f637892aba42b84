//! Follows one resource by its name: a read, then a watch with the field selector `metadata.name`. So a Role
//! whose rule names the resource in `resourceNames`, with the verbs get and watch, is enough. Without the right to
//! watch, the resource is read every two seconds.

use super::observed::{Sight, failure, get, requests, resource_right};
use crate::{
    cluster::client::call::CALL_TIMEOUT,
    core::{ask::observed::ObservedResource, checkup::right::Right},
};
use futures::{StreamExt, stream::BoxStream};
use kube::{
    Client, Error,
    api::{WatchEvent, WatchParams},
};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How long a watch lasts. After a watch, the resource is read again: a connection that silently lost events costs
/// a minute at most.
const WATCH: Duration = Duration::from_mins(1);

/// After this much more silence, a watch is given up.
const WATCH_GRACE: Duration = Duration::from_secs(5);

/// The pause between two reads without a watch.
const POLL: Duration = Duration::from_secs(2);

/// The pause before the next try after a failure. Each next pause doubles, up to the second constant.
const RETRY: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(8);

/// What the API server sent, or why nothing more comes.
type Events = BoxStream<'static, Result<WatchEvent<ObservedResource>, Error>>;

/// The next step.
enum Step {
    Read,
    Watch { since: String },
    Events(Events),
    Pause(Duration),
}

/// Follows one resource, for as long as [`Follower::next`] is called.
pub struct Follower {
    client: Client,
    namespace: String,
    name: String,
    step: Step,
    retry: Duration,
    may_watch: bool,
}

/// What a watch showed that isn't a [`Sight`].
enum NoEvents {
    Forbidden,
    /// The watch ended, or the version is too old, or the API server failed.
    Over(Option<String>),
}

impl Follower {
    /// A follower that hasn't made a request yet.
    #[must_use]
    pub fn new(client: Client, namespace: &str, name: &str) -> Self {
        Self {
            client,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            step: Step::Read,
            retry: RETRY,
            may_watch: true,
        }
    }

    /// The missing right, if the resource is read again and again instead of watched.
    #[must_use]
    pub fn unwatched(&self) -> Option<Right> {
        let right = || resource_right("watch", Some(&self.namespace), Some(&self.name));
        (!self.may_watch).then(right)
    }

    /// The next sight of the resource. The first comes from a read. After a failure, the next call pauses and reads
    /// again. May be dropped at any time.
    pub async fn next(&mut self) -> Sight {
        loop {
            match &mut self.step {
                Step::Read => return self.read().await,
                Step::Pause(pause) => {
                    sleep(*pause).await;
                    self.step = Step::Read;
                }
                Step::Watch { since } => {
                    let since = since.clone();
                    match self.watch(&since).await {
                        Ok(events) => self.step = Step::Events(events),
                        Err(over) => {
                            if let Some(sight) = self.end_watch(over) {
                                return sight;
                            }
                        }
                    }
                }
                Step::Events(events) => match next_sight(events).await {
                    Ok(sight) => return sight,
                    Err(over) => {
                        if let Some(sight) = self.end_watch(over) {
                            return sight;
                        }
                    }
                },
            }
        }
    }

    async fn read(&mut self) -> Sight {
        let sight = get(&self.client, &self.namespace, &self.name).await;
        let next = |since: String| {
            if self.may_watch {
                Step::Watch { since }
            } else {
                Step::Pause(POLL)
            }
        };
        self.step = match &sight {
            Sight::Present(resource) => next(resource.resource_version.clone()),
            // Without a version, a watch begins with what there is.
            Sight::Absent => next(String::new()),
            Sight::Denied(_) | Sight::Failed(_) => Step::Pause(self.retry),
        };
        self.retry = match sight {
            Sight::Failed(_) => (self.retry * 2).min(RETRY_MAX),
            Sight::Present(_) | Sight::Absent | Sight::Denied(_) => RETRY,
        };
        sight
    }

    async fn watch(&self, since: &str) -> Result<Events, NoEvents> {
        let mut params = WatchParams::default()
            .fields(&format!("metadata.name={}", self.name))
            .disable_bookmarks();
        params.timeout = u32::try_from(WATCH.as_secs()).ok();
        let over = |error: Error| NoEvents::Over(Some(failure(error)));
        let request = requests(Some(&self.namespace)).watch(&params, since);
        let request = request.map_err(|error| over(Error::BuildRequest(error)))?;
        let events = self.client.request_events(request);
        match timeout(CALL_TIMEOUT, events).await {
            Ok(Ok(events)) => Ok(events.boxed()),
            Ok(Err(Error::Api(status))) if status.code == 403 => Err(NoEvents::Forbidden),
            Ok(Err(Error::Api(status))) if status.code == 410 => Err(NoEvents::Over(None)),
            Ok(Err(error)) => Err(over(error)),
            Err(_) => Err(NoEvents::Over(Some(format!(
                "the API server didn't answer within {} s",
                CALL_TIMEOUT.as_secs()
            )))),
        }
    }

    /// Goes on after a watch. Returns what the caller should know.
    fn end_watch(&mut self, over: NoEvents) -> Option<Sight> {
        match over {
            NoEvents::Forbidden => {
                self.may_watch = false;
                self.step = Step::Pause(POLL);
                None
            }
            NoEvents::Over(why) => {
                self.step = Step::Pause(RETRY);
                why.map(Sight::Failed)
            }
        }
    }
}

async fn next_sight(events: &mut Events) -> Result<Sight, NoEvents> {
    loop {
        match timeout(WATCH + WATCH_GRACE, events.next()).await {
            Ok(Some(Ok(WatchEvent::Added(resource) | WatchEvent::Modified(resource)))) => {
                return Ok(Sight::Present(Box::new(resource)));
            }
            Ok(Some(Ok(WatchEvent::Deleted(_)))) => return Ok(Sight::Absent),
            Ok(Some(Ok(WatchEvent::Bookmark(_)))) => {}
            // Mostly 410: the version is too old. The read that follows shows what is wrong otherwise.
            Ok(Some(Ok(WatchEvent::Error(_)) | Err(_)) | None) | Err(_) => {
                return Err(NoEvents::Over(None));
            }
        }
    }
}
