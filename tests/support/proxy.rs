//! A proxy between an operator and the API server, which does on command what networks and API
//! servers do on bad days: watches are cut, requests or their replies get lost, errors are
//! answered, nothing comes through at all. And it holds a chosen request, so that a test can end
//! the operator at exactly that point, without a hook in the operator.
//!
//! TLS on both sides, HTTP/1; the operator's token passes through.

mod asked;
mod forward;
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

pub(crate) use asked::{Asked, Kind};
pub(crate) use rules::{ApiFault, Held, Hold, Moment};

use super::control_plane::ControlPlane;
use super::process::lock;
use super::server::Server;
use asked::Pending;
use forward::Upstream;
use rules::Rules;
use tls::Tls;

/// A connection that is idle for so long is closed, as the API server does.
const IDLE_MAX: Duration = Duration::from_secs(90);

/// Dropping it closes all connections.
pub(crate) struct Proxy {
    server: Server,
    shared: Arc<Shared>,
}

/// Whether anything comes through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Link {
    #[default]
    Up,
    /// What is sent vanishes, and no connection is closed: a network that is gone.
    BlackHole,
}

struct Shared {
    tls: Tls,
    rules: Mutex<Rules>,
    pending: Mutex<Pending>,
    link: watch::Sender<Link>,
    /// Moves when the watches are cut.
    cut: watch::Sender<u64>,
    /// How many requests arrived that are part of a set: reads of Secrets, writes of statuses.
    steps: watch::Sender<u64>,
}

impl Proxy {
    pub(crate) fn start(plane: &ControlPlane) -> Self {
        let shared = Arc::new(Shared {
            tls: Tls::new(plane.certificates(), &plane.url()),
            rules: Mutex::default(),
            pending: Mutex::default(),
            link: watch::Sender::default(),
            cut: watch::Sender::default(),
            steps: watch::Sender::default(),
        });
        let state = Arc::clone(&shared);
        let server = Server::start("proxy", move |stream| serve(stream, Arc::clone(&state)));
        Self { server, shared }
    }

    /// A kubeconfig that leads here and presents this token. `name` is the file's.
    pub(crate) fn kubeconfig(&self, plane: &ControlPlane, name: &str, token: &str) -> PathBuf {
        let url = format!("https://{}", self.server.address());
        plane.kubeconfig_for_token_at(&url, name, token)
    }

    /// Ends all watches in the middle of what they say.
    pub(crate) fn cut_watches(&self) {
        self.shared.cut.send_modify(|count| *count += 1);
    }

    /// The next request of this kind meets this.
    pub(crate) fn next(&self, kind: Kind, fault: ApiFault) {
        lock(&self.shared.rules).next(kind, fault);
    }

    /// Each request meets one of these with its probability (their sum is at most 1), if the fault
    /// is one of its kind, and otherwise none.
    pub(crate) fn chance(&self, seed: u64, faults: impl IntoIterator<Item = (ApiFault, f64)>) {
        let faults = faults.into_iter().collect();
        lock(&self.shared.rules).set_chance(seed, faults);
    }

    /// No faults from now on, and everything comes through.
    pub(crate) fn heal(&self) {
        lock(&self.shared.rules).heal();
        self.shared.link.send_replace(Link::Up);
    }

    /// Nothing comes through, and nobody is told: requests, replies, watches, new connections.
    pub(crate) fn black_hole(&self) {
        self.shared.link.send_replace(Link::BlackHole);
    }

    /// New connections come through again; those from before are closed.
    pub(crate) fn restore(&self) {
        self.shared.link.send_replace(Link::Up);
    }

    /// Holds the next request of this kind, before it is forwarded or before its reply is.
    pub(crate) fn hold(&self, kind: Kind, moment: Moment) -> Hold {
        lock(&self.shared.rules).hold(kind, moment)
    }

    /// How many requests met each kind of fault.
    pub(crate) fn met(&self) -> BTreeMap<&'static str, usize> {
        lock(&self.shared.rules).met.clone()
    }

    /// Returns after this many more steps of sets: reads of Secrets and writes of statuses. Or after
    /// 5 s: while everybody waits for something, there are none.
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
    // Whoever doesn't get through the handshake tries again.
    let Ok(stream) = shared.tls.accept(stream).await else {
        return;
    };
    let upstream = Arc::new(Upstream::default());
    let service =
        service_fn(|request| forward::answer(Arc::clone(&shared), Arc::clone(&upstream), request));
    // An error is how a connection is dropped on purpose, or a client that went away.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}
