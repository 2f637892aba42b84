//! An API server in memory.

use super::lock;
use futures::{FutureExt, future::BoxFuture};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use kube::client::Body;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex},
    task::{self, Poll},
};
use tower_service::Service;

/// An API server in memory: stores objects by path, and merges the status that a request writes. A write that
/// names another resourceVersion than the stored one is a conflict.
#[derive(Clone, Default)]
pub struct ApiServer(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Value>,
    /// The path and the new status of each write of a status, in order.
    writes: Vec<(String, Value)>,
}

impl ApiServer {
    pub fn put(&self, path: &str, object: Value) {
        lock(&self.0).objects.insert(path.to_owned(), object);
    }

    pub fn get(&self, path: &str) -> Value {
        lock(&self.0).objects.get(path).cloned().unwrap_or_default()
    }

    /// The statuses that were written to the object at this path, in order.
    pub fn writes(&self, path: &str) -> Vec<Value> {
        let state = lock(&self.0);
        let of_path = state.writes.iter().filter(|(at, _)| at == path);
        of_path.map(|(_, status)| status.clone()).collect()
    }

    /// Changes an object as somebody else would, which gives the object another resourceVersion.
    pub fn change(&self, path: &str, change: impl FnOnce(&mut Value)) {
        let mut state = lock(&self.0);
        let object = state.objects.get_mut(path).expect("an object");
        change(object);
        next_version(object);
    }

    fn answer(&self, method: &http::Method, path: &str, body: &[u8]) -> Result<Value, Failure> {
        let mut state = lock(&self.0);
        let State { objects, writes } = &mut *state;
        if *method == http::Method::GET {
            return objects.get(path).cloned().ok_or(NOT_FOUND);
        }
        let path = path.strip_suffix("/status").ok_or(NOT_FOUND)?;
        let object = objects.get_mut(path).ok_or(NOT_FOUND)?;
        let wanted: Value = serde_json::from_slice(body).map_err(|_| NOT_FOUND)?;
        let version = &wanted["metadata"]["resourceVersion"];
        if !version.is_null() && *version != object["metadata"]["resourceVersion"] {
            return Err(CONFLICT);
        }
        let mut status = object["status"].as_object().cloned().unwrap_or_default();
        for (field, value) in wanted["status"].as_object().ok_or(NOT_FOUND)? {
            status.insert(field.clone(), value.clone());
        }
        status.retain(|_, value| !value.is_null());
        object["status"] = status.into();
        next_version(object);
        writes.push((path.to_owned(), object["status"].clone()));
        Ok(object.clone())
    }
}

/// The code and the reason of a refusal.
type Failure = (u16, &'static str);

const NOT_FOUND: Failure = (404, "NotFound");
const CONFLICT: Failure = (409, "Conflict");

fn next_version(object: &mut Value) {
    let version = object["metadata"]["resourceVersion"].as_str();
    let version = version.and_then(|version| version.parse::<u64>().ok());
    let version = version.expect("a number") + 1;
    object["metadata"]["resourceVersion"] = json!(version.to_string());
}

impl Service<http::Request<Body>> for ApiServer {
    type Response = http::Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let server = self.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.expect("a body in memory").to_bytes();
            let found = server.answer(&head.method, head.uri.path(), &body);
            let (code, answer) = match found {
                Ok(object) => (200, object),
                Err((code, reason)) => (
                    code,
                    json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": reason }),
                ),
            };
            let mut response = http::Response::new(Full::from(answer.to_string()));
            *response.status_mut() = http::StatusCode::from_u16(code).expect("a code");
            Ok(response)
        }
        .boxed()
    }
}
