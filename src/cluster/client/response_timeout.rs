//! Limits how long a watch waits for the API server's first response. No other limit is short enough: kube
//! gives up a watch after 205 s of silence, which suits only a watch that has begun.
//!
//! Each watch has its own client on top of the common client. The first response (the head of a watch,
//! each part of a list) must come within 10 s. After three such failures in a row the next try
//! waits longer, up to a minute. A slow API server answers in the end.

use futures::future::BoxFuture;
use http_body_util::BodyExt;
use kube::{Client, client::Body};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, sleep, timeout};
use tower_service::Service;

/// The limit of the first response in the first tries.
const FIRST_LIMIT: Duration = Duration::from_secs(10);
/// How many tries in a row have the limit [`FIRST_LIMIT`].
const FIRST_TRIES: u32 = 3;
/// The longest limit: the API server itself ends an ordinary request after this long.
const LIMIT_MAX: Duration = Duration::from_mins(1);

/// The minimum time between the beginnings of two watches. When a watch ends, kube begins the next at once,
/// even if the API server ends every watch at once.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// How long a try of a watch may take to fail if the API server answers.
const FAILS_WITHIN: Duration = Duration::from_secs(7);

/// The first response did not come in time.
#[derive(Debug, thiserror::Error)]
#[error("the API server didn't answer within {} s", .0.as_secs_f32())]
pub(crate) struct NoResponse(Duration);

/// The limit of the next first response. Counts the responses in a row that did not come. Clones share the
/// count.
#[derive(Clone, Default)]
pub(crate) struct ResponseTimeout(Arc<AtomicU32>);

impl ResponseTimeout {
    /// How long the next first response may take.
    fn limit(&self) -> Duration {
        let longer = (self.0.load(Ordering::Relaxed) + 1).saturating_sub(FIRST_TRIES);
        let limit = FIRST_LIMIT.saturating_mul(2_u32.saturating_pow(longer));
        limit.min(LIMIT_MAX)
    }

    /// How long the next try may take to fail.
    pub(crate) fn fails_within(&self) -> Duration {
        let is_responsive = self.0.load(Ordering::Relaxed) == 0;
        if is_responsive {
            FAILS_WITHIN
        } else {
            self.limit() + WATCH_INTERVAL
        }
    }

    async fn wait<T>(&self, answer: impl Future<Output = T>) -> kube::Result<T> {
        let limit = self.limit();
        timeout(limit, answer).await.map_err(|_| {
            self.0.fetch_add(1, Ordering::Relaxed);
            kube::Error::Service(Box::new(NoResponse(limit)))
        })
    }
}

/// A client for one watch, with this limit of the first response.
pub(crate) fn with_response_timeout(client: &Client, response_timeout: &ResponseTimeout) -> Client {
    let watch = WatchService {
        client: client.clone(),
        response_timeout: response_timeout.clone(),
        began: None,
    };
    Client::new(watch, client.default_namespace())
}

struct WatchService {
    client: Client,
    response_timeout: ResponseTimeout,
    /// When the last watch began.
    began: Option<Instant>,
}

impl WatchService {
    /// How long a watch that begins now must wait.
    fn pause(&mut self) -> Duration {
        let now = Instant::now();
        let earliest = self.began.map_or(now, |began| began + WATCH_INTERVAL);
        let begins = earliest.max(now);
        self.began = Some(begins);
        begins - now
    }
}

impl Service<http::Request<Body>> for WatchService {
    type Response = http::Response<Body>;
    type Error = kube::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let query = request.uri().query().unwrap_or_default();
        let is_watch = query.split('&').any(|part| part == "watch=true");
        let pause = if is_watch {
            self.pause()
        } else {
            Duration::ZERO
        };
        let (client, response_timeout) = (self.client.clone(), self.response_timeout.clone());
        Box::pin(async move {
            if !pause.is_zero() {
                sleep(pause).await;
            }
            let (head, body) = response_timeout
                .wait(client.send(request))
                .await??
                .into_parts();
            let body = if is_watch {
                body
            } else {
                read_body(body, &response_timeout).await?
            };
            response_timeout.0.store(0, Ordering::Relaxed);
            Ok(http::Response::from_parts(head, body))
        })
    }
}

/// Reads the whole body of a list. Each part of the body must come in time.
async fn read_body(mut body: Body, response_timeout: &ResponseTimeout) -> kube::Result<Body> {
    let mut bytes = Vec::new();
    while let Some(frame) = response_timeout.wait(body.frame()).await? {
        if let Ok(data) = frame?.into_data() {
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_grows_after_three_tries() {
        let response_timeout = ResponseTimeout::default();
        let limits = (0..7).map(|failures| {
            response_timeout.0.store(failures, Ordering::Relaxed);
            response_timeout.limit().as_secs()
        });
        assert_eq!(limits.collect::<Vec<_>>(), [10, 10, 10, 20, 40, 60, 60]);
        response_timeout.0.store(u32::MAX - 1, Ordering::Relaxed);
        assert_eq!(response_timeout.limit(), LIMIT_MAX);
    }
}
