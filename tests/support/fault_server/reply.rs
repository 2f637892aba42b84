//! HTTP replies: whole, of something else than Cognito, and cut in half.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::{Either, Full};
use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::CONTENT_TYPE;
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

use super::faults::Failure;

pub(super) type Reply = Response<Either<Full<Bytes>, Half>>;

const JSON: &str = "application/x-amz-json-1.1";

pub(super) fn succeeded(answer: &Value) -> Reply {
    response(StatusCode::OK, JSON, &answer.to_string())
}

pub(super) fn failed(failure: &Failure) -> Reply {
    let body = match &failure.code {
        Some(code) => json!({ "__type": code, "message": failure.message }),
        None => json!({ "message": failure.message }),
    };
    let status = StatusCode::from_u16(failure.status).expect("an HTTP status");
    response(status, JSON, &body.to_string())
}

pub(super) fn garbage(status: u16) -> Reply {
    let status = StatusCode::from_u16(status).expect("an HTTP status");
    let page = "<html><body><h1>Not what you asked for</h1></body></html>";
    response(status, "text/html", page)
}

pub(super) fn response(status: StatusCode, content_type: &str, body: &str) -> Reply {
    with_head(status, content_type)
        .body(Either::Left(Full::new(Bytes::from(body.to_owned()))))
        .expect("the response is well-formed")
}

pub(super) fn truncated() -> Reply {
    with_head(StatusCode::OK, JSON)
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
