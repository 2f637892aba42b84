//! The connections of the port, and what each may cost.
//!
//! Whatever clients do, the server holds at most [`ConnectionLimits::connections`] connections of some 20 kB, each
//! for at most [`ConnectionLimits::age`]. A new connection always gets in: where there is no room, the server closes
//! an old one of the address that has the most connections. So a probe is answered, whatever clients at
//! other addresses hold open, and however fast they open more.

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

/// What is read of a request before it is answered or refused; hyper's minimum.
const HEAD_BYTES: usize = 8 << 10;

/// kubelet and Prometheus send five or six.
const HEADERS: usize = 32;

/// How long requests in flight may take once shutdown has begun. A scrape takes milliseconds; a client
/// that never finishes its request must not keep the process from ending.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(1);

/// The pause after an accept that failed for want of something: it would fail again at once.
const SHORTAGE: Duration = Duration::from_millis(100);

/// Such a failure is logged once in this time.
const SAID_EVERY: Duration = Duration::from_mins(1);

/// What clients may hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConnectionLimits {
    /// How many connections are open at the same time.
    pub(super) connections: usize,
    /// How long a client may take to send its request's head.
    pub(super) head: Duration,
    /// How long a connection lives, whatever it does.
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

/// Where connections come from.
pub(super) trait Accept {
    /// The next connection, and its client's address. Dropped before it completes, it loses none.
    fn accept(&mut self) -> impl Future<Output = io::Result<(TcpStream, IpAddr)>> + Send;
}

impl Accept for TcpListener {
    async fn accept(&mut self) -> io::Result<(TcpStream, IpAddr)> {
        let (stream, client) = TcpListener::accept(self).await?;
        Ok((stream, client.ip()))
    }
}

/// Answers until `shutdown` completes, and a second longer if requests are in flight then.
pub(super) async fn serve(
    mut listener: impl Accept,
    pages: Arc<Pages>,
    stalls: StallMeter,
    limits: ConnectionLimits,
    shutdown: impl Future<Output = ()>,
) {
    let mut shutdown = pin!(shutdown);
    let (ending, ended) = watch::channel(false);
    let mut open = Open::at_most(limits.connections);
    let mut shortage = Shortage::default();
    loop {
        let accept = async {
            shortage.over().await;
            listener.accept().await
        };
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            // Frees what the connection's task has left.
            Some(_) = open.tasks.join_next() => continue,
            accepted = accept => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                let full = open.make_room();
                let asked = Arc::new(AtomicBool::new(false));
                let connection =
                    attend(stream, pages.clone(), asked.clone(), limits, ended.clone());
                open.add(stalls.watch(connection), Client::at(address), asked);
                if full {
                    // So that a connection gets to send its request before newer ones push it out.
                    tokio::task::yield_now().await;
                }
            }
            Err(error) if is_the_clients(&error) => {}
            Err(error) => {
                // One file descriptor less, if that is what is missing.
                open.close_one();
                shortage.begins(&error);
            }
        }
    }
    drop(listener);
    ending.send_replace(true);
    let all_ended = async { while open.tasks.join_next().await.is_some() {} };
    // What is still open after that ends with the set of tasks.
    let _ = timeout(SHUTDOWN_GRACE, all_ended).await;
}

/// One connection, from its request to the end of its answer. There is one request in a connection:
/// kubelet makes a new one for each probe, and Prometheus makes one where it must.
async fn attend(
    stream: TcpStream,
    pages: Arc<Pages>,
    asked: Arc<AtomicBool>,
    limits: ConnectionLimits,
    mut ended: watch::Receiver<bool>,
) {
    let answer = service_fn(|request: hyper::Request<Incoming>| {
        asked.store(true, Ordering::Relaxed);
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
        // What fails with a client's connection is the client's concern.
        let _ = connection.await;
    };
    let _ = timeout(limits.age, answered).await;
}

/// Whom a connection belongs to, as far as its address tells: an IPv4 address, or the first 64 bits of an
/// IPv6 address, because a host may use every address of such a network.
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
struct Open {
    limit: usize,
    tasks: JoinSet<()>,
    /// The oldest first; some may have ended.
    connections: VecDeque<Connection>,
}

#[derive(Debug)]
struct Connection {
    task: AbortHandle,
    client: Client,
    /// Whether it has sent a whole request.
    asked: Arc<AtomicBool>,
}

impl Open {
    fn at_most(limit: usize) -> Self {
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
        asked: Arc<AtomicBool>,
    ) {
        let task = self.tasks.spawn(connection);
        self.connections.push_back(Connection {
            task,
            client,
            asked,
        });
    }

    /// Closes a connection if there is no room for one more; whether that was so.
    fn make_room(&mut self) -> bool {
        self.connections
            .retain(|connection| !connection.task.is_finished());
        let full = self.connections.len() >= self.limit;
        if full {
            self.close_one();
        }
        full
    }

    /// Closes a connection that hasn't sent a whole request; or, where those that have take more than half
    /// of the room (their clients don't read the answers), one of these. So neither kind pushes out the
    /// other. Of that kind, the oldest connection of the client that has the most goes.
    fn close_one(&mut self) {
        let has_asked = |connection: &&Connection| connection.asked.load(Ordering::Relaxed);
        let asked = self.connections.iter().filter(has_asked).count();
        let of_asked = asked > self.limit / 2 || asked == self.connections.len();
        let may_go = |connection: &&Connection| has_asked(connection) == of_asked;
        let mut counts: HashMap<Client, usize> = HashMap::new();
        for connection in self.connections.iter().filter(may_go) {
            *counts.entry(connection.client).or_default() += 1;
        }
        let most = counts.values().max().copied();
        let oldest = self.connections.iter().position(|connection| {
            may_go(&connection) && counts.get(&connection.client).copied() == most
        });
        if let Some(closed) = oldest.and_then(|oldest| self.connections.remove(oldest)) {
            closed.task.abort();
        }
    }
}

/// Something that accepting a connection takes is missing: file descriptors or memory.
#[derive(Debug, Default)]
struct Shortage {
    until: Option<Instant>,
    said: Option<Instant>,
}

impl Shortage {
    fn begins(&mut self, error: &io::Error) {
        let now = Instant::now();
        self.until = Some(now + SHORTAGE);
        if self.said.is_none_or(|said| now >= said + SAID_EVERY) {
            self.said = Some(now);
            warn!(%error, "the port can't take connections; it is tried again");
        }
    }

    /// Until the pause is over.
    async fn over(&self) {
        if let Some(until) = self.until {
            sleep_until(until).await;
        }
    }
}

/// Whether an accept failed because of that one connection, which is gone with that.
fn is_the_clients(error: &io::Error) -> bool {
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
