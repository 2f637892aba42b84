//! `/livez`, `/readyz` and `/metrics` over HTTP, on a port that everybody in the cluster reaches.
//!
//! There is no authentication, so nothing that is served may be secret, and no client may cost much:
//! [`connections`] bounds what a client can hold, [`pages`] what a scrape can cost.

mod connections;
mod listen;
mod pages;

pub use listen::bind;

use super::{health::Readiness, metrics::Metrics};
use connections::ConnectionLimits;
use pages::Pages;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Answers until `shutdown` completes, and a second longer if requests are in flight then.
///
/// - `/livez`: 200 `ok`, as long as there is somebody to answer
/// - `/readyz`: 200 `ok`, or 503 with one line `name: message` for each failing check
/// - `/metrics`: the metrics, as [`CONTENT_TYPE`](super::metrics::CONTENT_TYPE)
pub async fn serve(
    listener: TcpListener,
    readiness: Readiness,
    metrics: Arc<Metrics>,
    shutdown: impl Future<Output = ()>,
) {
    let stalls = metrics.stalls();
    let pages = Arc::new(Pages::new(readiness, metrics));
    connections::serve(
        listener,
        pages,
        stalls,
        ConnectionLimits::default(),
        shutdown,
    )
    .await;
}

#[cfg(test)]
mod tests;
