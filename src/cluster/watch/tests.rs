//! Watches of an API server that follows a script. The clock is paused and skips every wait.

use super::*;
use futures::{FutureExt, future::BoxFuture, stream};
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Bytes, Frame};
use kube::{client::Body, runtime::watcher::Event};
use rstest::rstest;
use serde_json::{Value, json};
use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};
use tokio::time::{Instant, sleep, timeout};
use tower_service::Service;

/// The response to one request.
enum Answer {
    /// No response, not even the head.
    Never,
    /// Only the head, then silence.
    OnlyHead,
    /// A complete list of objects with these names.
    List(Vec<&'static str>),
    /// These lines, with this pause before each line; and whether the watch ends afterwards.
    Watch(Vec<Value>, Duration, bool),
}

/// The time and the query of each request.
type Requests = Arc<Mutex<Vec<(Instant, String)>>>;

/// Answers by the script. After the end of the script every answer is a silent watch.
struct Script {
    answers: VecDeque<Answer>,
    requests: Requests,
}

impl Service<http::Request<Body>> for Script {
    type Response = http::Response<UnsyncBoxBody<Bytes, Infallible>>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let query = request.uri().query().unwrap_or_default().to_owned();
        let mut requests = self.requests.lock().expect("no test panicked");
        requests.push((Instant::now(), query));
        let (lines, pause, ends) = match self.answers.pop_front() {
            Some(Answer::Never) => return std::future::pending().boxed(),
            None | Some(Answer::OnlyHead) => (Vec::new(), Duration::ZERO, false),
            Some(Answer::List(names)) => (vec![list(&names)], Duration::ZERO, true),
            Some(Answer::Watch(lines, pause, ends)) => (lines, pause, ends),
        };
        let frames = stream::iter(lines).then(move |line| async move {
            sleep(pause).await;
            Ok(Frame::data(Bytes::from(format!("{line}\n"))))
        });
        let body = if ends {
            StreamBody::new(frames).boxed_unsync()
        } else {
            StreamBody::new(frames.chain(stream::pending())).boxed_unsync()
        };
        std::future::ready(Ok(http::Response::new(body))).boxed()
    }
}

fn metadata(name: &str) -> Value {
    json!({ "name": name, "namespace": "a", "uid": name, "resourceVersion": "7" })
}

fn list(names: &[&str]) -> Value {
    let items = names
        .iter()
        .map(|name| json!({ "metadata": metadata(name) }));
    let items: Vec<_> = items.collect();
    json!({ "kind": "L", "apiVersion": "v1", "metadata": { "resourceVersion": "9" }, "items": items })
}

fn event(type_: &str, name: &str) -> Value {
    json!({ "type": type_, "object": { "metadata": metadata(name) } })
}

/// The bookmark that completes a list.
fn end() -> Value {
    json!({ "type": "BOOKMARK", "object": {
        "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
        "metadata": {
            "resourceVersion": "9", "creationTimestamp": null,
            "annotations": { "k8s.io/initial-events-end": "true" },
        },
    } })
}

const INCOMPLETE: &str = "the API server began a streaming list and didn't complete the list; from now on the operator reads lists in pages";

const AT_ONCE: Duration = Duration::ZERO;
const SECOND: Duration = Duration::from_secs(1);

/// The watch of Secrets at an API server with these answers.
struct Scene {
    watch_client: WatchClient,
    requests: Requests,
}

impl Scene {
    fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        let requests = Requests::default();
        let script = Script {
            answers: answers.into_iter().collect(),
            requests: requests.clone(),
        };
        let client = Client::new(script, "a");
        let watch_client = WatchClient::new(&client, WatchKind::Secrets);
        Self {
            watch_client,
            requests,
        }
    }

    fn api(&self) -> Api<SecretName> {
        api(&self.watch_client.client, &Scope::All)
    }

    /// The events of a watch, until the watch is silent for `quiet`.
    async fn events_of(
        &self,
        events: impl Stream<Item = watcher::Result<Event<SecretName>>>,
        quiet: Duration,
    ) -> Vec<String> {
        let mut events = std::pin::pin!(events);
        let mut names = Vec::new();
        while let Ok(event) = timeout(quiet, events.next()).await {
            names.push(match event.expect("a watch is for ever") {
                Ok(event) => event.to_string(),
                Err(error) => match self.watch_client.broken_event(&error) {
                    Some(WatchEvent::Broken { why, .. }) => why,
                    _ => continue,
                },
            });
        }
        names
    }

    async fn streamed(&self, quiet: Duration) -> Vec<String> {
        let events = streamed(self.api(), config(), &self.watch_client);
        self.events_of(events, quiet).await
    }

    async fn in_pages(&self, quiet: Duration) -> Vec<String> {
        let events = in_pages(self.api(), config(), &self.watch_client);
        self.events_of(events, quiet).await
    }

    fn requests(&self) -> Vec<(Instant, String)> {
        self.requests.lock().expect("no test panicked").clone()
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_response_is_reported_and_repeated_and_an_idle_watch_is_not_cut() {
    let list = vec![event("ADDED", "one"), end()];
    let scene = Scene::new([
        Answer::Never,
        Answer::Never,
        Answer::Watch(list, AT_ONCE, false),
    ]);
    let began = Instant::now();
    // The longest time for which the API server keeps an idle watch open.
    let quiet = Duration::from_secs(u64::from(WATCH_TIMEOUT_SECONDS));
    let events = scene.streamed(quiet).await;
    let silent = "the API server didn't answer within 10 s";
    assert_eq!(
        events,
        [silent, silent, "Init", "InitApply(one)", "InitDone"]
    );
    let requests = scene.requests();
    assert_eq!(requests.len(), 3, "{requests:?}");
    assert!(
        requests[2].0 - began < Duration::from_secs(25),
        "{requests:?}"
    );
}

#[rstest]
#[case::not_answered(Answer::Never)]
#[case::begun_and_not_ended(Answer::OnlyHead)]
#[tokio::test(start_paused = true)]
async fn a_list_without_a_response_is_reported_and_repeated(#[case] first: Answer) {
    let scene = Scene::new([first, Answer::List(vec!["one"])]);
    let events = scene.in_pages(Duration::from_secs(11)).await;
    let silent = "the API server didn't answer within 10 s";
    // kube emits `Init` before the request for the list.
    let wanted = ["Init", silent, "Init", "InitApply(one)", "InitDone"];
    assert_eq!(events[..5], wanted);
}

#[rstest]
#[case::in_silence(Answer::Watch(vec![event("ADDED", "one")], AT_ONCE, false), 10)]
#[case::empty(Answer::Watch(vec![], AT_ONCE, false), 10)]
#[case::while_others_change(Answer::Watch(vec![event("MODIFIED", "one"); 100], SECOND, false), 11)]
#[case::while_new_ones_come(
    Answer::Watch((0..500).map(|n| event("ADDED", &n.to_string())).collect(), SECOND, false), 180
)]
#[tokio::test(start_paused = true)]
async fn a_streamed_list_that_never_completes_is_read_in_pages(
    #[case] first: Answer,
    #[case] seconds: u64,
) {
    let scene = Scene::new([first, Answer::List(vec!["one", "two"])]);
    let began = Instant::now();
    let events = scene.streamed(Duration::from_secs(15)).await;
    let wanted = [
        INCOMPLETE,
        "Init",
        "InitApply(one)",
        "InitApply(two)",
        "InitDone",
    ];
    assert!(events.ends_with(&wanted.map(str::to_owned)), "{events:?}");
    let requests = scene.requests();
    assert!(
        requests[0].1.contains("sendInitialEvents=true"),
        "{requests:?}"
    );
    let (at, query) = &requests[1];
    assert!(!query.contains("watch="), "{requests:?}");
    assert_eq!((*at - began).as_secs(), seconds);
}

#[tokio::test(start_paused = true)]
async fn a_streamed_list_that_restarts_again_and_again_is_read_in_pages() {
    let cut = || Answer::Watch(vec![event("ADDED", "one")], AT_ONCE, true);
    let scene = Scene::new([cut(), cut(), cut(), cut(), Answer::List(vec!["one"])]);
    let events = scene.streamed(Duration::from_secs(10)).await;
    let wanted = [INCOMPLETE, "Init", "InitApply(one)", "InitDone"];
    assert!(events.ends_with(&wanted.map(str::to_owned)), "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_list_that_makes_progress_is_not_cut() {
    let mut lines: Vec<_> = (0..20).map(|n| event("ADDED", &n.to_string())).collect();
    lines.push(end());
    let scene = Scene::new([Answer::Watch(lines, 8 * SECOND, false)]);
    let events = scene.streamed(Duration::from_mins(1)).await;
    assert_eq!(events.len(), 22, "{events:?}");
    assert_eq!(events.last().map(String::as_str), Some("InitDone"));
    assert_eq!(scene.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_plain_watch_may_send_the_bookmark_of_a_complete_list() {
    let lines = vec![
        end(),
        event("MODIFIED", "one"),
        end(),
        event("DELETED", "one"),
    ];
    let scene = Scene::new([
        Answer::List(vec!["one"]),
        Answer::Watch(lines, AT_ONCE, false),
    ]);
    let events = scene.in_pages(SECOND).await;
    let wanted = [
        "Init",
        "InitApply(one)",
        "InitDone",
        "Apply(one)",
        "Delete(one)",
    ];
    assert_eq!(events, wanted);
}

#[tokio::test(start_paused = true)]
async fn watches_that_end_at_once_are_repeated_once_a_second() {
    let ended = || Answer::Watch(Vec::new(), AT_ONCE, true);
    let answers = std::iter::once(Answer::List(vec!["one"])).chain((0..1_000).map(|_| ended()));
    let scene = Scene::new(answers);
    let events = scene.in_pages(Duration::from_secs(20)).await;
    assert_eq!(events, ["Init", "InitApply(one)", "InitDone"]);
    let requests = scene.requests();
    assert!((15..=23).contains(&requests.len()), "{}", requests.len());
}

#[test]
fn failures_within_the_time_of_a_try_continue_the_streak() {
    let mut streak = Streak::default();
    let mut now = std::time::Instant::now();
    for nth in 1..10 {
        assert_eq!(streak.record_failure(now, Duration::from_mins(1)), nth);
        now += Duration::from_mins(1);
    }
    now += Duration::from_secs(80);
    assert_eq!(streak.record_failure(now, Duration::from_mins(1)), 1);
}

#[test]
fn a_resource_whose_trimming_panics_counts_as_undecodable_and_keeps_its_user() {
    let object = json!({
        "metadata": metadata("bot"),
        "spec": {
            "userPoolId": "eu-west-1_a", "username": "b", "passwordSecretRef": { "name": "a" },
        },
    });
    let mut resource: MaybeResource = serde_json::from_value(object).expect("a resource");
    for _ in 0..2 {
        trim_with(|_| panic!("a test wants this panic"), &mut resource);
        let unreadable = resource.0.as_ref().expect_err("it can't be read");
        assert_eq!(unreadable.metadata.uid.as_deref(), Some("bot"));
        let user = unreadable.user.as_ref().map(|user| &*user.username);
        assert_eq!(user, Some("b"));
    }
}
