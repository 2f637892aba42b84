//! A proxy between an operator and the API server, for the faults of networks and API servers. On command the
//! proxy cuts watches, loses requests or replies, answers errors, or lets nothing pass. The proxy can also
//! hold a chosen request, so that a test can end the operator at exactly that point, without a hook in the
//! operator.
//!
//! TLS on both sides, HTTP/1; the operator's token passes through.

mod forward;
mod pods;
mod request;
mod rules;
mod tls;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::watch;

pub(crate) use request::{Kind, ProxiedRequest};
pub(crate) use rules::{ApiFault, HeldRequest, HoldRule, Moment};

use super::control_plane::ControlPlane;
use super::process::lock;
use super::server::Server;
use forward::Upstream;
use pods::Pods;
use request::PendingAttempts;
use rules::Rules;
use tls::Tls;

/// A connection that is idle for this time is closed, as by the API server.
const IDLE_MAX: Duration = Duration::from_secs(90);

/// All connections close when this value is dropped.
pub(crate) struct Proxy {
    server: Server,
    shared: Arc<Shared>,
}

/// Whether traffic passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Link {
    #[default]
    Up,
    /// Nothing passes, and no connection is closed: a network that is gone.
    BlackHole,
}

struct Shared {
    tls: Tls,
    rules: Mutex<Rules>,
    pending: Mutex<PendingAttempts>,
    link: watch::Sender<Link>,
    pods: Mutex<Pods>,
    /// Changes when the watches are cut.
    cut: watch::Sender<u64>,
    /// The number of requests so far that are part of a set: reads of Secrets, writes of statuses.
    steps: watch::Sender<u64>,
}

impl Proxy {
    pub(crate) fn start(plane: &ControlPlane) -> Self {
        let shared = Arc::new(Shared {
            tls: Tls::new(plane.certificates(), &plane.url()),
            rules: Mutex::default(),
            pending: Mutex::default(),
            link: watch::Sender::default(),
            pods: Mutex::default(),
            cut: watch::Sender::default(),
            steps: watch::Sender::default(),
        });
        let state = Arc::clone(&shared);
        let server = Server::start("proxy", move |stream| serve(stream, Arc::clone(&state)));
        Self { server, shared }
    }

    /// A kubeconfig with the proxy's address and this token. `name` is the name of the file.
    pub(crate) fn kubeconfig(&self, plane: &ControlPlane, name: &str, token: &str) -> PathBuf {
        let url = format!("https://{}", self.server.address());
        plane.kubeconfig_for_token_at(&url, name, token)
    }

    /// Ends all watches in the middle of an event.
    pub(crate) fn cut_watches(&self) {
        self.shared.cut.send_modify(|count| *count += 1);
    }

    /// From now on, these processes play pods: requests for a pod's page go to the port, if the API server doesn't
    /// refuse the caller.
    pub(crate) fn play_pods(&self, pods: &[(&str, u16)]) {
        let pods = pods.iter().map(|(name, port)| ((*name).to_owned(), *port));
        *lock(&self.shared.pods) = Pods(pods.collect());
    }

    /// The next request of this kind gets this fault.
    pub(crate) fn next(&self, kind: Kind, fault: ApiFault) {
        lock(&self.shared.rules).next(kind, fault);
    }

    /// Every request of this kind gets this fault, until [`heal`](Self::heal).
    pub(crate) fn always(&self, kind: Kind, fault: ApiFault) {
        lock(&self.shared.rules).always(kind, fault);
    }

    /// Each request gets at most one of these faults, each with its probability; the probabilities sum up to
    /// at most 1. A fault that does not fit the request's kind is skipped.
    pub(crate) fn chance(&self, seed: u64, faults: impl IntoIterator<Item = (ApiFault, f64)>) {
        let faults = faults.into_iter().collect();
        lock(&self.shared.rules).set_chance(seed, faults);
    }

    /// No faults from now on, and all traffic passes.
    pub(crate) fn heal(&self) {
        lock(&self.shared.rules).heal();
        self.shared.link.send_replace(Link::Up);
    }

    /// Nothing passes, and no client is notified: requests, replies, watches, new connections.
    pub(crate) fn black_hole(&self) {
        self.shared.link.send_replace(Link::BlackHole);
    }

    /// New connections pass again; older connections are closed.
    pub(crate) fn restore(&self) {
        self.shared.link.send_replace(Link::Up);
    }

    /// Holds the next request of this kind, before it is forwarded or before its reply is forwarded.
    pub(crate) fn hold(&self, kind: Kind, moment: Moment) -> HoldRule {
        lock(&self.shared.rules).hold(kind, moment)
    }

    /// The number of requests per kind of fault.
    pub(crate) fn met(&self) -> BTreeMap<&'static str, usize> {
        lock(&self.shared.rules).met.clone()
    }

    /// Returns after this many more steps of sets: reads of Secrets and writes of statuses. Returns after 5 s
    /// in any case, because there are no steps while every reconcile waits.
    pub(crate) async fn steps(&self, count: u64) {
        let mut steps = self.shared.steps.subscribe();
        let wanted = *steps.borrow() + count;
        let some = steps.wait_for(|steps| *steps >= wanted);
        let _ = tokio::time::timeout(Duration::from_secs(5), some).await;
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let mut link = shared.link.subscribe();
    if link.wait_for(|link| *link == Link::Up).await.is_err() {
        return;
    }
    // A client that fails the handshake tries again.
    let Ok(stream) = shared.tls.accept(stream).await else {
        return;
    };
    let upstream = Arc::new(Upstream::default());
    let service =
        service_fn(|request| forward::answer(Arc::clone(&shared), Arc::clone(&upstream), request));
    // An error is a connection that the proxy drops on purpose, or a client that closed its connection.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}
