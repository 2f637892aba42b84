//! The connections of the port, and what each may cost.
//!
//! The server keeps at most [`ConnectionLimits::connections`] connections of about 20 kB, each for at most
//! [`ConnectionLimits::age`]. A new connection always gets in: if there is no room, the server closes an old
//! connection of the client with the most connections. So a probe is answered, however many connections
//! clients at other addresses keep open, and however fast these clients open more.

use super::{super::stall::StallMeter, pages::Pages};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{
    collections::{HashMap, VecDeque},
    convert::Infallible,
    io,
    net::{IpAddr, Ipv6Addr},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep_until, timeout},
};
use tracing::warn;

/// The most bytes of a request's head; the minimum that hyper allows.
const HEAD_BYTES: usize = 8 << 10;

/// The most headers of a request. The kubelet and Prometheus send five or six.
const HEADERS: usize = 32;

/// How long requests in flight may take once the shutdown has begun. A scrape takes milliseconds. A client
/// that never finishes its request must not keep the process from ending.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(1);

/// The pause after an accept that failed for lack of file descriptors or memory. Without a pause, the next
/// accept would fail at once.
const SHORTAGE: Duration = Duration::from_millis(100);

/// The shortest time between two log lines about failed accepts.
const LOG_INTERVAL: Duration = Duration::from_mins(1);

/// The limits on clients' connections.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConnectionLimits {
    /// How many connections are open at the same time.
    pub(super) connections: usize,
    /// How long a client may take to send its request's head.
    pub(super) head: Duration,
    /// How long a connection lives at most.
    pub(super) age: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections: 256,
            head: Duration::from_secs(5),
            age: Duration::from_secs(10),
        }
    }
}

/// The source of connections.
pub(super) trait Accept {
    /// The next connection, and the address of its client. Cancel-safe: a dropped future loses no connection.
    fn accept(&mut self) -> impl Future<Output = io::Result<(TcpStream, IpAddr)>> + Send;
}

impl Accept for TcpListener {
    async fn accept(&mut self) -> io::Result<(TcpStream, IpAddr)> {
        let (stream, client) = TcpListener::accept(self).await?;
        Ok((stream, client.ip()))
    }
}

/// Serves until `shutdown` completes, and then up to one second longer for requests in flight.
pub(super) async fn serve(
    mut listener: impl Accept,
    pages: Arc<Pages>,
    stalls: StallMeter,
    limits: ConnectionLimits,
    shutdown: impl Future<Output = ()>,
) {
    let mut shutdown = pin!(shutdown);
    let (ending, ended) = watch::channel(false);
    let mut open = OpenConnections::with_limit(limits.connections);
    let mut shortage = Shortage::default();
    loop {
        let accept = async {
            shortage.wait().await;
            listener.accept().await
        };
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            // Frees the memory of a task that has ended.
            Some(_) = open.tasks.join_next() => continue,
            accepted = accept => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                let full = open.make_room();
                let requested = Arc::new(AtomicBool::new(false));
                let connection = serve_connection(
                    stream,
                    pages.clone(),
                    requested.clone(),
                    limits,
                    ended.clone(),
                );
                open.add(
                    stalls.instrument(connection),
                    Client::at(address),
                    requested,
                );
                if full {
                    // So that the new connection can send its request before newer connections push it out.
                    tokio::task::yield_now().await;
                }
            }
            Err(error) if is_client_error(&error) => {}
            Err(error) => {
                // Frees a file descriptor, in case descriptors are what is missing.
                open.close_one();
                shortage.begin(&error);
            }
        }
    }
    drop(listener);
    ending.send_replace(true);
    let all_ended = async { while open.tasks.join_next().await.is_some() {} };
    // Dropping the set of tasks aborts the connections that are still open.
    let _ = timeout(SHUTDOWN_GRACE, all_ended).await;
}

/// Serves one connection, from the request to the end of the answer. A connection takes only one request: the
/// kubelet opens a connection for each probe, and Prometheus opens a new one if it must.
async fn serve_connection(
    stream: TcpStream,
    pages: Arc<Pages>,
    requested: Arc<AtomicBool>,
    limits: ConnectionLimits,
    mut ended: watch::Receiver<bool>,
) {
    let answer = service_fn(|request: hyper::Request<Incoming>| {
        requested.store(true, Ordering::Relaxed);
        let pages = pages.clone();
        async move {
            let path = request.uri().path();
            Ok::<_, Infallible>(pages.answer(request.method(), path).await)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), answer);
    let answered = async {
        let mut connection = pin!(connection);
        tokio::select! {
            _ = connection.as_mut() => return,
            _ = ended.wait_for(|ended| *ended) => connection.as_mut().graceful_shutdown(),
        }
        // An error of a client's connection concerns only that client.
        let _ = connection.await;
    };
    let _ = timeout(limits.age, answered).await;
}

/// The client of a connection, as far as the address tells: an IPv4 address, or the first 64 bits of an IPv6
/// address. One host may use every IPv6 address of such a network.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Client(IpAddr);

impl Client {
    fn at(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
            }
            address @ IpAddr::V4(_) => address,
        })
    }
}

/// The open connections.
#[derive(Debug)]
struct OpenConnections {
    limit: usize,
    tasks: JoinSet<()>,
    /// The oldest first; some of the tasks may have ended.
    connections: VecDeque<Connection>,
}

#[derive(Debug)]
struct Connection {
    task: AbortHandle,
    client: Client,
    /// Whether the client has sent a whole request.
    requested: Arc<AtomicBool>,
}

impl OpenConnections {
    fn with_limit(limit: usize) -> Self {
        Self {
            limit,
            tasks: JoinSet::new(),
            connections: VecDeque::with_capacity(limit),
        }
    }

    fn add(
        &mut self,
        connection: impl Future<Output = ()> + Send + 'static,
        client: Client,
        requested: Arc<AtomicBool>,
    ) {
        let task = self.tasks.spawn(connection);
        self.connections.push_back(Connection {
            task,
            client,
            requested,
        });
    }

    /// Closes a connection if there is no room for one more. Returns whether there was no room.
    fn make_room(&mut self) -> bool {
        self.connections
            .retain(|connection| !connection.task.is_finished());
        let full = self.connections.len() >= self.limit;
        if full {
            self.close_one();
        }
        full
    }

    /// Closes the oldest connection of the client with the most connections. Only connections without a whole
    /// request count, unless connections with a request take more than half of the room, or all of it. (The
    /// clients of such connections don't read their answers.) So neither kind pushes out the other.
    fn close_one(&mut self) {
        let has_request = |connection: &&Connection| connection.requested.load(Ordering::Relaxed);
        let requested = self.connections.iter().filter(has_request).count();
        let among_requested = requested > self.limit / 2 || requested == self.connections.len();
        let is_closable = |connection: &&Connection| has_request(connection) == among_requested;
        let mut counts: HashMap<Client, usize> = HashMap::new();
        for connection in self.connections.iter().filter(is_closable) {
            *counts.entry(connection.client).or_default() += 1;
        }
        let most = counts.values().max().copied();
        let oldest = self.connections.iter().position(|connection| {
            is_closable(&connection) && counts.get(&connection.client).copied() == most
        });
        if let Some(closed) = oldest.and_then(|oldest| self.connections.remove(oldest)) {
            closed.task.abort();
        }
    }
}

/// A shortage of file descriptors or memory, which accepting a connection needs.
#[derive(Debug, Default)]
struct Shortage {
    until: Option<Instant>,
    logged: Option<Instant>,
}

impl Shortage {
    fn begin(&mut self, error: &io::Error) {
        let now = Instant::now();
        self.until = Some(now + SHORTAGE);
        if self
            .logged
            .is_none_or(|logged| now >= logged + LOG_INTERVAL)
        {
            self.logged = Some(now);
            warn!(%error, "the port can't accept connections; trying again");
        }
    }

    /// Waits until the pause is over.
    async fn wait(&self) {
        if let Some(until) = self.until {
            sleep_until(until).await;
        }
    }
}

/// Whether an accept failed because of that one connection. The connection is gone, and the next accept may
/// work.
fn is_client_error(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, Interrupted,
        NetworkDown, NetworkUnreachable,
    };
    [
        ConnectionAborted,
        ConnectionRefused,
        ConnectionReset,
        HostUnreachable,
        Interrupted,
        NetworkDown,
        NetworkUnreachable,
    ]
    .contains(&error.kind())
}

#[cfg(test)]
mod tests;
