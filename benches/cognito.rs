//! A Cognito that answers `AdminSetUserPassword` at once, and records the time of each user's last call.
//! `ListUsers` lists the users that were set, in pages.

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
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::support::Server;

/// A call gets no answer if the Region in its pool's id contains this text.
pub(crate) const HANGING: &str = "hanging";

/// How many users a page of `ListUsers` has.
const PAGE: usize = 60;

/// The server ends when this value is dropped.
pub(crate) struct Cognito {
    server: Server,
    calls: Arc<Mutex<Calls>>,
}

#[derive(Default)]
struct Calls {
    count: usize,
    /// The number of calls of `ListUsers`.
    lists: usize,
    /// The users in the order of their first calls.
    users: Vec<String>,
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

    /// The number of calls of `ListUsers` so far.
    pub(crate) fn lists(&self) -> usize {
        self.lock().lists
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
    let target = request.headers().get("x-amz-target");
    let is_list = target.is_some_and(|it| it.as_bytes().ends_with(b".ListUsers"));
    let body = request.into_body().collect().await;
    let body = body
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let mut reply = "{}".to_owned();
    {
        let mut calls = calls.lock().unwrap_or_else(PoisonError::into_inner);
        if is_list {
            calls.lists += 1;
            reply = page(&calls.users, &body).to_string();
        } else {
            calls.count += 1;
            let username = body["Username"].as_str().unwrap_or_default();
            if calls.last.insert(username.to_owned(), at).is_none() {
                calls.users.push(username.to_owned());
            }
        }
    }
    let pool = body["UserPoolId"].as_str().unwrap_or_default();
    if pool.contains(HANGING) {
        // Hangs until the client closes the connection.
        std::future::pending::<()>().await;
    }
    let response = Response::builder()
        .header("content-type", "application/x-amz-json-1.1")
        .body(Full::new(Bytes::from(reply)));
    Ok(response.expect("the response is well-formed"))
}

/// The page of users that begins at the token. Every user was created long ago, and is confirmed.
fn page(users: &[String], request: &Value) -> Value {
    let token = request["PaginationToken"].as_str();
    let from: usize = token.map_or(0, |token| token.parse().expect("the server's own token"));
    let page: Vec<_> = users.iter().skip(from).take(PAGE).collect();
    let next = from + page.len();
    let user = |name: &&String| {
        json!({
            "Username": name,
            "Attributes": [{ "Name": "sub", "Value": "00000000-0000-4000-8000-000000000000" }],
            "UserCreateDate": 1_600_000_000,
            "UserLastModifiedDate": 1_600_000_000,
            "Enabled": true,
            "UserStatus": "CONFIRMED",
        })
    };
    let mut reply = json!({ "Users": page.iter().map(user).collect::<Vec<_>>() });
    if next < users.len() {
        reply["PaginationToken"] = json!(next.to_string());
    }
    reply
}
