//! One request: Cognito's wire protocol (AWS JSON 1.1) in front of the model and the faults.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::sync::watch;

use http_body_util::{BodyExt, Either, Full};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use serde_json::{Value, json};

use super::faults::{Failure, Fault};
use super::model::Key;
use super::record::{Call, Outcome};
use super::{Shared, State, sts};

const TARGET: &str = "AWSCognitoIdentityProviderService.AdminSetUserPassword";

type Reply = Response<Either<Full<Bytes>, Half>>;

/// hyper closes the connection without a reply if a service returns an error.
#[derive(Debug)]
pub(super) struct ConnectionDrop;

impl std::fmt::Display for ConnectionDrop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the fault server drops this connection")
    }
}

impl std::error::Error for ConnectionDrop {}

/// Answers one request, or drops its connection.
pub(super) async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Reply, ConnectionDrop> {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        return Err(ConnectionDrop);
    };
    let body = body.to_bytes();
    let target = header(&head.headers, "x-amz-target");
    if target.is_empty()
        && let Some(request) = sts::Request::parse(&head.headers, &body)
    {
        let action = request.action().to_owned();
        shared.update(|state| state.actions.insert(action));
        return Ok(answer_sts(shared, &request).await);
    }
    let operation = target.rsplit('.').next().unwrap_or_default();
    let action = format!("cognito-idp:{operation}");
    shared.update(|state| state.actions.insert(action));
    if target != TARGET {
        let failure = Failure::new(400, "UnknownOperationException", &target);
        return Ok(failed(&failure));
    }
    let Some(call) = parse(&head.headers, &body) else {
        let message = "Start of structure or map found where not expected.";
        return Ok(failed(&Failure::new(
            400,
            "SerializationException",
            message,
        )));
    };
    if call.access_key.is_empty() {
        let message = "Missing Authentication Token";
        let failure = Failure::new(400, "MissingAuthenticationTokenException", message);
        return Ok(failed(&failure));
    }
    UnderWay::begin(shared, call).run().await
}

async fn answer_sts(shared: Arc<Shared>, request: &sts::Request) -> Reply {
    let number = shared.update(|state| state.sts.arrived(request));
    let mut changed = shared.changed.subscribe();
    loop {
        match shared.read(|state| state.sts.answer(request)) {
            sts::Answer::Reply(body) => return response(StatusCode::OK, "text/xml", &body),
            sts::Answer::Refuse(failure) => {
                if let sts::Request::AssumeRole(_) = request {
                    shared.update(|state| state.sts.refused(number, &failure));
                }
                let status = StatusCode::from_u16(failure.status).expect("an HTTP status");
                return response(status, "text/xml", &sts::failed(&failure));
            }
            sts::Answer::Hang => {}
        }
        // An error means that the server has ended, and this task ends with the server.
        let _ = changed.changed().await;
    }
}

/// A call in flight. If this value is dropped before the call has ended, the client has closed the
/// connection.
struct UnderWay {
    shared: Arc<Shared>,
    id: u64,
    key: Key,
    password: String,
    permanent: bool,
    fault: Fault,
    throttled: Result<(), Failure>,
    released: watch::Receiver<u64>,
}

impl UnderWay {
    fn begin(shared: Arc<Shared>, call: Call) -> Self {
        let key = Key::new(&call.pool, &call.username);
        let (password, permanent) = (call.password.clone(), call.permanent);
        // Subscribe before the call is recorded: a test that sees the call may release it at once.
        let released = shared.released.subscribe();
        let arrived = call.arrived;
        let (id, fault, throttled) = shared.update(|state| {
            let id = state.record.arrived(call);
            let fault = state.faults.take(&key);
            if let Some(call) = state.record.get_mut(id) {
                call.fault = fault.clone();
            }
            (id, fault, state.model.throttle(arrived))
        });
        Self {
            shared,
            id,
            key,
            password,
            permanent,
            fault,
            throttled,
            released,
        }
    }

    async fn run(mut self) -> Result<Reply, ConnectionDrop> {
        if let Err(failure) = self.throttled.clone() {
            return Ok(self.refused(&failure));
        }
        match std::mem::replace(&mut self.fault, Fault::None) {
            Fault::None => Ok(self.plain()),
            Fault::Latency(duration) => {
                tokio::time::sleep(duration).await;
                Ok(self.plain())
            }
            Fault::Error(failure) => Ok(self.refused(&failure)),
            Fault::ErrorAfter(failure) => {
                let applied = self.apply().is_ok();
                self.end(Outcome::Lost { applied });
                Ok(failed(&failure))
            }
            Fault::DropBefore => Err(self.lost(false)),
            Fault::DropAfter => {
                let applied = self.apply().is_ok();
                Err(self.lost(applied))
            }
            Fault::HangBefore => {
                self.hang().await;
                Ok(self.plain())
            }
            Fault::HangAfter => {
                let result = self.apply();
                self.hang().await;
                Ok(self.reply(result))
            }
            Fault::LandLate(duration) => {
                let (shared, id) = (Arc::clone(&self.shared), self.id);
                let (key, password) = (self.key.clone(), self.password.clone());
                let permanent = self.permanent;
                let mut changed = shared.changed.subscribe();
                tokio::spawn(async move {
                    tokio::time::sleep(duration).await;
                    let gone = || {
                        let call = shared.read(|state| state.record.get(id).cloned());
                        call.is_none_or(|call| call.abandoned)
                    };
                    // An error means that the server has ended, and this task ends with the server.
                    let _ = changed.wait_for(|_| gone()).await;
                    // Ignore a refusal: the client is gone.
                    let _ = shared.update(|state| apply(state, id, &key, &password, permanent));
                });
                std::future::pending().await
            }
            Fault::Garbage { status, applied } => {
                let applied = applied && self.apply().is_ok();
                self.end(Outcome::Lost { applied });
                Ok(garbage(status))
            }
            Fault::Truncated { applied } => {
                let applied = applied && self.apply().is_ok();
                self.end(Outcome::Lost { applied });
                Ok(truncated())
            }
        }
    }

    /// Answers like a server without faults.
    fn plain(&self) -> Reply {
        let result = self.apply();
        self.reply(result)
    }

    fn reply(&self, result: Result<(), Failure>) -> Reply {
        match result {
            Ok(()) => {
                self.end(Outcome::Applied);
                response(StatusCode::OK, "application/x-amz-json-1.1", "{}")
            }
            Err(failure) => self.refused(&failure),
        }
    }

    fn refused(&self, failure: &Failure) -> Reply {
        self.end(Outcome::Refused(failure.code.clone().unwrap_or_default()));
        failed(failure)
    }

    fn lost(&self, applied: bool) -> ConnectionDrop {
        self.end(Outcome::Lost { applied });
        ConnectionDrop
    }

    async fn hang(&mut self) {
        // An error means that the server has ended, and this task ends with the server.
        let _ = self.released.changed().await;
    }

    fn apply(&self) -> Result<(), Failure> {
        self.shared
            .update(|state| apply(state, self.id, &self.key, &self.password, self.permanent))
    }

    fn end(&self, outcome: Outcome) {
        self.shared.update(|state| {
            if let Some(call) = state.record.get_mut(self.id) {
                call.outcome = outcome;
                call.ended = Some(Instant::now());
            }
        });
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let outcome = self
            .shared
            .read(|state| state.record.get(self.id).map(|call| call.outcome.clone()));
        let abandoned = match outcome {
            Some(Outcome::InFlight { applied }) => Some(applied),
            _ => None,
        };
        if let Some(applied) = abandoned {
            self.end(Outcome::Lost { applied });
            self.shared.update(|state| {
                if let Some(call) = state.record.get_mut(self.id) {
                    call.abandoned = true;
                }
            });
        }
    }
}

/// Sets the password, and marks the call as applied.
fn apply(
    state: &mut State,
    id: u64,
    key: &Key,
    password: &str,
    permanent: bool,
) -> Result<(), Failure> {
    state.model.set(key, password, permanent, Instant::now())?;
    if let Some(call) = state.record.get_mut(id) {
        match &mut call.outcome {
            Outcome::InFlight { applied } | Outcome::Lost { applied } => *applied = true,
            Outcome::Applied | Outcome::Refused(_) => {}
        }
    }
    Ok(())
}

fn parse(headers: &HeaderMap, body: &[u8]) -> Option<Call> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let text = |name: &str| body.get(name)?.as_str().map(str::to_owned);
    let (access_key, region) = signer(headers);
    Some(Call {
        id: 0,
        arrived: Instant::now(),
        ended: None,
        pool: text("UserPoolId")?,
        username: text("Username")?,
        password: text("Password")?,
        permanent: body
            .get("Permanent")
            .and_then(Value::as_bool)
            .unwrap_or(false),
        outcome: Outcome::InFlight { applied: false },
        fault: Fault::None,
        abandoned: false,
        user_agent: header(headers, USER_AGENT.as_str()),
        access_key,
        region,
    })
}

/// The access key id and the Region from the signature.
pub(super) fn signer(headers: &HeaderMap) -> (String, String) {
    let authorization = header(headers, AUTHORIZATION.as_str());
    // AWS4-HMAC-SHA256 Credential=KEY/DATE/REGION/SERVICE/aws4_request, ...
    let mut scope = authorization
        .split_once("Credential=")
        .map_or("", |(_, scope)| scope)
        .split('/');
    let key = scope.next().unwrap_or_default().to_owned();
    (key, scope.nth(1).unwrap_or_default().to_owned())
}

pub(super) fn header(headers: &HeaderMap, name: &str) -> String {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}

fn failed(failure: &Failure) -> Reply {
    let body = match &failure.code {
        Some(code) => json!({ "__type": code, "message": failure.message }),
        None => json!({ "message": failure.message }),
    };
    let status = StatusCode::from_u16(failure.status).expect("an HTTP status");
    response(status, "application/x-amz-json-1.1", &body.to_string())
}

fn garbage(status: u16) -> Reply {
    let status = StatusCode::from_u16(status).expect("an HTTP status");
    let page = "<html><body><h1>Not what you asked for</h1></body></html>";
    response(status, "text/html", page)
}

fn response(status: StatusCode, content_type: &str, body: &str) -> Reply {
    with_head(status, content_type)
        .body(Either::Left(Full::new(Bytes::from(body.to_owned()))))
        .expect("the response is well-formed")
}

fn truncated() -> Reply {
    with_head(StatusCode::OK, "application/x-amz-json-1.1")
        .body(Either::Right(Half::new()))
        .expect("the response is well-formed")
}

fn with_head(status: StatusCode, content_type: &str) -> hyper::http::response::Builder {
    let random = getrandom::u64().expect("the system has randomness");
    Response::builder()
        .status(status)
        .header(CONTENT_TYPE, content_type)
        .header(
            "x-amzn-RequestId",
            format!("00000000-0000-4000-8000-{:012x}", random >> 16),
        )
}

/// A body that announces more bytes than it has, so that hyper closes the connection. The pause before the
/// end lets hyper send the first half.
pub(super) struct Half {
    sent: bool,
    pause: Pin<Box<tokio::time::Sleep>>,
}

impl Half {
    fn new() -> Self {
        Self {
            sent: false,
            pause: Box::pin(tokio::time::sleep(Duration::from_millis(20))),
        }
    }
}

impl Body for Half {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.sent {
            return self.pause.as_mut().poll(context).map(|()| None);
        }
        self.sent = true;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"{\"Cod")))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(100)
    }
}
