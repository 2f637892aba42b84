//! `/livez`, `/readyz` and `/metrics` over HTTP, on a port that every pod of the cluster can reach.
//!
//! There is no authentication, so no answer may contain a secret and no client may cost much. `connections`
//! limits a client's connections, and `pages` limits the cost of scrapes.

mod connections;
mod listen;
mod pages;

pub use listen::bind;

use super::{health::Readiness, metrics::Metrics};
use connections::ConnectionLimits;
use pages::Pages;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Serves until `shutdown` completes, and then up to one second longer for requests in flight.
///
/// - `/livez`: 200 `ok`, as long as the process answers at all
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
