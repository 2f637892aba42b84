//! Handles one request: classifies it, then forwards it or applies a fault.

use std::sync::Arc;

use futures::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER, TRANSFER_ENCODING};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::sync::{Mutex, watch};

use super::super::process::lock;
use super::pods;
use super::request::{Kind, ProxiedRequest};
use super::rules::{ApiFault, Moment};
use super::{Link, Shared};

type Reply = Response<UnsyncBoxBody<Bytes, ConnectionDrop>>;

/// hyper closes the connection without a further byte if a service returns an error.
#[derive(Debug)]
pub(super) struct ConnectionDrop;

impl std::fmt::Display for ConnectionDrop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the proxy drops this connection")
    }
}

impl std::error::Error for ConnectionDrop {}

/// The connection to the API server for one connection of the operator.
#[derive(Default)]
pub(super) struct Upstream(Mutex<Option<SendRequest<Full<Bytes>>>>);

/// Answers one request, or drops its connection.
pub(super) async fn answer(
    shared: Arc<Shared>,
    upstream: Arc<Upstream>,
    request: Request<Incoming>,
) -> Result<Reply, ConnectionDrop> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| ConnectionDrop)?.to_bytes();
    let asked = lock(&shared.pending).asked(&head.method, &head.uri, &body);
    shared.comes_through().await?;
    if asked.kind.is_step() {
        shared.steps.send_modify(|count| *count += 1);
    }
    let fault = lock(&shared.rules).take(asked.kind);
    shared.hold(&asked, Moment::Before).await?;
    match fault {
        Some(ApiFault::Gone) => return Ok(failed(410, "Expired")),
        Some(ApiFault::GoneLater) => return Ok(gone_later()),
        Some(ApiFault::Unstreamed) => return Ok(failed(422, "Invalid")),
        Some(ApiFault::Conflict) => return Ok(failed(409, "Conflict")),
        Some(ApiFault::TooManyRequests) => return Ok(failed(429, "TooManyRequests")),
        Some(ApiFault::InternalError) => return Ok(failed(500, "InternalError")),
        Some(ApiFault::DropBefore) => return Err(ConnectionDrop),
        Some(ApiFault::Delay(duration)) => tokio::time::sleep(duration).await,
        // Hangs until the client closes the connection.
        Some(ApiFault::Hang) => std::future::pending().await,
        Some(ApiFault::InternalErrorAfter | ApiFault::DropAfter | ApiFault::NeverComplete)
        | None => {}
    }
    let page = lock(&shared.pods).page(&head.uri);
    let request = Request::from_parts(head, Full::new(body.clone()));
    let response = upstream.ask(&shared, request).await?;
    let is_refused = matches!(
        response.status(),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
    );
    if let Some(page) = page.filter(|_| !is_refused) {
        let (status, text) = pods::answer(page).await;
        let mut reply = Response::new(whole(text));
        *reply.status_mut() = status;
        return Ok(reply);
    }
    if asked.kind == Kind::Watch {
        let complete = fault != Some(ApiFault::NeverComplete);
        return Ok(watched(&shared, response, complete));
    }
    let (head, reply) = response.into_parts();
    if head.status.is_success() {
        lock(&shared.pending).accepted(&asked, &body);
    }
    let reply = reply
        .collect()
        .await
        .map_err(|_| ConnectionDrop)?
        .to_bytes();
    shared.hold(&asked, Moment::After).await?;
    shared.comes_through().await?;
    match fault {
        Some(ApiFault::InternalErrorAfter) => Ok(failed(500, "InternalError")),
        Some(ApiFault::DropAfter) => Err(ConnectionDrop),
        _ => Ok(without_framing(Response::from_parts(head, whole(reply)))),
    }
}

impl Shared {
    /// Returns at once while traffic passes. Otherwise waits until traffic passes again, and then closes the
    /// connection.
    async fn comes_through(&self) -> Result<(), ConnectionDrop> {
        let mut link = self.link.subscribe();
        if *link.borrow_and_update() == Link::Up {
            return Ok(());
        }
        let _ = link.wait_for(|link| *link == Link::Up).await;
        Err(ConnectionDrop)
    }

    async fn hold(&self, asked: &ProxiedRequest, moment: Moment) -> Result<(), ConnectionDrop> {
        let held = lock(&self.rules).held(asked, moment);
        match held {
            Some(go) => go.await.map_err(|_| ConnectionDrop),
            None => Ok(()),
        }
    }
}

impl Upstream {
    async fn ask(
        &self,
        shared: &Shared,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, ConnectionDrop> {
        let mut connection = self.0.lock().await;
        let open = match connection.take() {
            Some(mut open) => open.ready().await.is_ok().then_some(open),
            None => None,
        };
        let sender = match open {
            Some(open) => open,
            None => connect(shared).await.ok_or(ConnectionDrop)?,
        };
        let response = connection.insert(sender).send_request(request).await;
        response.map_err(|_| ConnectionDrop)
    }
}

async fn connect(shared: &Shared) -> Option<SendRequest<Full<Bytes>>> {
    let stream = shared.tls.connect().await.ok()?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await.ok()?;
    // The task ends when its sender is dropped.
    tokio::spawn(connection);
    Some(sender)
}

/// The stream of a watch, until the watch is cut.
struct WatchStream {
    events: Incoming,
    /// Set if the end of the initial events is filtered out; then the bytes of the last, incomplete line.
    begun: Option<Vec<u8>>,
    cut: watch::Receiver<u64>,
    link: watch::Receiver<Link>,
}

impl WatchStream {
    async fn frame(&mut self) -> Option<Result<Frame<Bytes>, ConnectionDrop>> {
        // An error means that the proxy has ended.
        tokio::select! {
            biased;
            () = vanished(&mut self.link) => {
                let _ = self.link.wait_for(|link| *link == Link::Up).await;
                Some(Err(ConnectionDrop))
            }
            _ = self.cut.changed() => Some(Err(ConnectionDrop)),
            frame = self.events.frame() => frame.map(|frame| {
                let frame = frame.map_err(|_| ConnectionDrop)?;
                Ok(self.without_end(frame))
            }),
        }
    }

    fn without_end(&mut self, frame: Frame<Bytes>) -> Frame<Bytes> {
        let (Some(begun), Some(data)) = (&mut self.begun, frame.data_ref()) else {
            return frame;
        };
        begun.extend_from_slice(data);
        let whole = begun.iter().rposition(|byte| *byte == b'\n');
        let lines: Vec<u8> = begun.drain(..whole.map_or(0, |at| at + 1)).collect();
        let end = b"k8s.io/initial-events-end";
        let kept = lines
            .split_inclusive(|byte| *byte == b'\n')
            .filter(|line| !line.windows(end.len()).any(|part| part == end));
        Frame::data(kept.flatten().copied().collect())
    }
}

async fn vanished(link: &mut watch::Receiver<Link>) {
    let _ = link.wait_for(|link| *link == Link::BlackHole).await;
}

fn watched(shared: &Shared, response: Response<Incoming>, complete: bool) -> Reply {
    let (head, events) = response.into_parts();
    let watched = WatchStream {
        events,
        begun: (!complete).then(Vec::new),
        cut: shared.cut.subscribe(),
        link: shared.link.subscribe(),
    };
    let frames = stream::unfold(Some(watched), async |watched| {
        let mut watched = watched?;
        let frame = watched.frame().await?;
        let goes_on = frame.is_ok().then_some(watched);
        Some((frame, goes_on))
    });
    without_framing(Response::from_parts(
        head,
        StreamBody::new(frames).boxed_unsync(),
    ))
}

/// hyper chooses the framing of the reply on each side, so the header is removed.
fn without_framing(mut reply: Reply) -> Reply {
    reply.headers_mut().remove(TRANSFER_ENCODING);
    reply
}

fn whole(body: impl Into<Bytes>) -> UnsyncBoxBody<Bytes, ConnectionDrop> {
    let body = Full::new(body.into());
    body.map_err(|never| match never {}).boxed_unsync()
}

/// An error in the API server's format.
fn failed(code: u16, reason: &str) -> Reply {
    let mut reply = Response::new(whole(status(code, reason).to_string()));
    *reply.status_mut() = StatusCode::from_u16(code).expect("an HTTP status");
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if code == 429 {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    reply
}

/// A watch whose first event says that its resourceVersion is too old.
fn gone_later() -> Reply {
    let event = json!({ "type": "ERROR", "object": status(410, "Expired") });
    let mut reply = Response::new(whole(format!("{event}\n")));
    let json = HeaderValue::from_static("application/json");
    reply.headers_mut().insert(CONTENT_TYPE, json);
    reply
}

fn status(code: u16, reason: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "the proxy says so", "reason": reason, "code": code,
    })
}
