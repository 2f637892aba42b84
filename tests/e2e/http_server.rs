//! The operator's port, which every client in the cluster reaches. No client costs much there, or delays a
//! probe.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::support::Operator;
use crate::world::World;

const CONNECTIONS: usize = 1_000;

/// Another source address than that of the probes, so that the server counts the connections separately.
const ELSEWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)), 0);

const MEBIBYTE: u64 = 1 << 20;
/// The limit for steps that take seconds.
const PATIENCE: Duration = Duration::from_mins(2);

/// The resident memory of a process.
fn resident(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kibibytes: u64 = kibibytes
        .and_then(|number| number.parse().ok())
        .expect("its memory");
    kibibytes * 1024
}

fn allow_open_files(files: u64) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= files) {
        return;
    }
    let current = Some(maximum.map_or(files, |maximum| maximum.min(files)));
    setrlimit(Resource::Nofile, Rlimit { current, maximum }).expect("up to the maximum");
}

/// The head of a request that a client never finishes.
#[derive(Clone)]
struct Head {
    bytes: Arc<[u8]>,
    /// Whether one more byte follows every second.
    slowly: bool,
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slowly = if self.slowly { ", and more slowly" } else { "" };
        write!(f, "{} bytes{slowly}", self.bytes.len())
    }
}

impl Head {
    fn new(length: usize, slowly: bool) -> Self {
        let mut head = b"GET /livez HTTP/1.1\r\nhost: ".to_vec();
        head.resize(length, b'x');
        let bytes = head.into();
        Self { bytes, slowly }
    }

    /// Whether the server waits for the rest of the head. The server refuses a head of more than 8 KiB at
    /// once.
    fn is_waited_for(&self) -> bool {
        self.bytes.len() < 8 << 10
    }

    /// Sends the head, and counts it in `sent`. Returns when the server has closed the connection.
    async fn send(self, address: SocketAddr, sent: Arc<AtomicUsize>) {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(ELSEWHERE).expect("an address of this machine");
        let mut stream = socket.connect(address).await.expect("a connection");
        let (mut read, mut write) = stream.split();
        let writes = async {
            let mut written = write.write_all(&self.bytes).await;
            sent.fetch_add(1, Ordering::Relaxed);
            while self.slowly && written.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
                written = write.write_all(b"x").await;
            }
            std::future::pending::<()>().await;
        };
        let mut answer = Vec::new();
        tokio::select! {
            () = writes => {}
            // The end of the connection, or a reset.
            _ = read.read_to_end(&mut answer) => {}
        }
    }
}

/// Measurements while a thousand clients held connections open.
struct Storm {
    /// The operator's highest resident memory.
    resident: u64,
    /// The number of probes that began after every client had sent its head, and that were answered while at
    /// least one of the connections was open.
    answered: usize,
}

impl Storm {
    /// Measures until a storm has answered probes. On a busy machine a probe may take longer than the
    /// connections last; then another storm follows.
    async fn answered_meanwhile(operator: &Operator, heads: &[Head]) -> Self {
        for _ in 0..10 {
            let storm = Self::of(operator, heads).await;
            if storm.answered > 0 || !heads.iter().any(Head::is_waited_for) {
                return storm;
            }
        }
        panic!("no probe was answered before all connections were closed: {heads:?}");
    }

    /// Sends these heads in turn, and requests `/livez` until the operator has closed all connections.
    async fn of(operator: &Operator, heads: &[Head]) -> Self {
        let address = operator.url().trim_start_matches("http://").parse();
        let address: SocketAddr = address.expect("an address");
        let sent = Arc::new(AtomicUsize::new(0));
        let mut clients = JoinSet::new();
        for head in heads.iter().cycle().take(CONNECTIONS) {
            clients.spawn(head.clone().send(address, sent.clone()));
        }
        let mut seen = Self {
            resident: resident(operator.pid()),
            answered: 0,
        };
        let all_closed = async {
            while !clients.is_empty() {
                let all_sent = sent.load(Ordering::Relaxed) == CONNECTIONS;
                let (status, _) = operator.get("/livez").await;
                assert_eq!(status, 200);
                seen.resident = seen.resident.max(resident(operator.pid()));
                while let Some(ended) = clients.try_join_next() {
                    ended.expect("a connection");
                }
                seen.answered += usize::from(all_sent && !clients.is_empty());
            }
        };
        let closed = timeout(PATIENCE, all_closed).await;
        closed.unwrap_or_else(|_| panic!("{} are open: {}", clients.len(), operator.logs()));
        seen
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_unfinished_requests_cost_little_and_keep_no_probe_waiting() {
    allow_open_files(4_096);
    let world = World::new("port").await;
    let operator = world.operator().await;
    // The first answers cost more, and are not measured.
    for path in ["/livez", "/readyz", "/metrics"] {
        operator.get(path).await;
    }
    let heads = [(380_000, false), (8_000, false), (7_000, true), (0, false)]
        .map(|(length, slowly)| Head::new(length, slowly));
    let before = resident(operator.pid());
    // Each kind of head alone, and all kinds together.
    for heads in heads.chunks(1).chain([&heads[..]]) {
        let storm = Storm::answered_meanwhile(&operator, heads).await;
        let more = storm.resident.saturating_sub(before);
        assert!(
            more < 10 * MEBIBYTE,
            "{more} bytes more than {before}, by {heads:?}"
        );
    }
    let (status, metrics) = operator.get("/metrics").await;
    assert_eq!(status, 200, "{metrics}");
    world.in_sync("bot", "First-Passw0rd").await;
}

/// Every client gets a whole answer. Unit tests of `ops::server::pages` count the renderings.
#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_scrapes_at_once_are_all_answered() {
    let world = World::new("scrapes").await;
    let operator = world.operator().await;
    let scrapes = (0..200).map(|_| operator.metrics());
    for scrape in futures::future::join_all(scrapes).await {
        assert!(scrape.ends_with("# EOF\n"), "{scrape}");
    }
}
