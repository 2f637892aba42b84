//! A Cognito that answers `AdminSetUserPassword` at once, and records the time of each user's last call.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::support::Server;

/// A call gets no answer if the Region in its pool's id contains this text.
pub(crate) const HANGING: &str = "hanging";

/// The server ends when this value is dropped.
pub(crate) struct Cognito {
    server: Server,
    calls: Arc<Mutex<Calls>>,
}

#[derive(Default)]
struct Calls {
    count: usize,
    /// The time of each user's last call.
    last: HashMap<String, Instant>,
}

impl Cognito {
    pub(crate) fn start() -> Self {
        let calls = Arc::<Mutex<Calls>>::default();
        let told = calls.clone();
        let server = Server::start("cognito", move |stream| serve(stream, told.clone()));
        Self { server, calls }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The number of calls so far.
    pub(crate) fn count(&self) -> usize {
        self.lock().count
    }

    /// The time of this user's last call, if that was not before `since`.
    pub(crate) fn called(&self, username: &str, since: Instant) -> Option<Instant> {
        let at = self.lock().last.get(username).copied();
        at.filter(|at| *at >= since)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn serve(stream: TcpStream, calls: Arc<Mutex<Calls>>) {
    // A reply is one small packet; Nagle's algorithm would delay the packet.
    let _ = stream.set_nodelay(true);
    let answer = service_fn(move |request| answer(request, calls.clone()));
    // The client may close the connection at any time.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), answer)
        .await;
}

async fn answer(
    request: Request<Incoming>,
    calls: Arc<Mutex<Calls>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let at = Instant::now();
    let body = request.into_body().collect().await;
    let body = body
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    {
        let mut calls = calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.count += 1;
        let username = body["Username"].as_str().unwrap_or_default();
        calls.last.insert(username.to_owned(), at);
    }
    let pool = body["UserPoolId"].as_str().unwrap_or_default();
    if pool.contains(HANGING) {
        // Hangs until the client closes the connection.
        std::future::pending::<()>().await;
    }
    let response = Response::builder()
        .header("content-type", "application/x-amz-json-1.1")
        .body(Full::new(Bytes::from_static(b"{}")));
    Ok(response.expect("the response is well-formed"))
}
