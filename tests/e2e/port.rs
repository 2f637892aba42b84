//! The port that everybody reaches: what clients do there costs little, and keeps no probe waiting.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::support::Operator;
use crate::world::World;

const CONNECTIONS: usize = 1_000;
const MEBIBYTE: u64 = 1 << 20;
/// For what takes seconds.
const PATIENCE: Duration = Duration::from_mins(2);

/// What a process has resident.
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

/// Sends this, and then a byte a second, if `slowly`. Returns when the server has closed the
/// connection.
async fn hold_open(address: SocketAddr, bytes: Arc<[u8]>, slowly: bool) {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let (mut read, mut write) = stream.split();
    let writes = async {
        let mut sent = write.write_all(&bytes).await;
        while slowly && sent.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
            sent = write.write_all(b"x").await;
        }
        std::future::pending::<()>().await;
    };
    let mut answer = Vec::new();
    tokio::select! {
        () = writes => {}
        // Reset or not.
        _ = read.read_to_end(&mut answer) => {}
    }
}

/// Opens all of them, and asks for `/livez` until the operator has closed them all. What it had
/// resident at most meanwhile.
async fn storm(operator: &Operator, address: SocketAddr, bytes: Vec<u8>, slowly: bool) -> u64 {
    let bytes: Arc<[u8]> = bytes.into();
    let mut clients = JoinSet::new();
    for _ in 0..CONNECTIONS {
        clients.spawn(hold_open(address, bytes.clone(), slowly));
    }
    let mut most = resident(operator.pid());
    let all_closed = async {
        while !clients.is_empty() {
            let (status, _) = operator.get("/livez").await;
            assert_eq!(status, 200);
            most = most.max(resident(operator.pid()));
            while let Some(ended) = clients.try_join_next() {
                ended.expect("a connection");
            }
        }
    };
    let closed = timeout(PATIENCE, all_closed).await;
    closed.unwrap_or_else(|_| panic!("{} are open: {}", clients.len(), operator.logs()));
    most
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_unfinished_requests_cost_little_and_keep_no_probe_waiting() {
    allow_open_files(4_096);
    let world = World::new("port").await;
    let operator = world.operator().await;
    let address = operator.url().trim_start_matches("http://").parse();
    let address: SocketAddr = address.expect("an address");
    // What the first answers take isn't counted.
    for path in ["/livez", "/readyz", "/metrics"] {
        operator.get(path).await;
    }
    let head = |length| {
        let mut head = b"GET /livez HTTP/1.1\r\nhost: ".to_vec();
        head.resize(length, b'x');
        head
    };
    let before = resident(operator.pid());
    for (length, slowly) in [(380_000, false), (8_000, false), (7_000, true), (0, false)] {
        let most = storm(&operator, address, head(length), slowly).await;
        let more = most.saturating_sub(before);
        assert!(
            more < 10 * MEBIBYTE,
            "{more} bytes more than {before}, by heads of {length} bytes"
        );
    }
    let (status, metrics) = operator.get("/metrics").await;
    assert_eq!(status, 200, "{metrics}");
    world.in_sync("bot", "First-Passw0rd").await;
}

/// Everybody gets a whole answer. How few renderings that takes: `ops::server::pages`.
#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_scrapes_at_once_are_all_answered() {
    let world = World::new("scrapes").await;
    let operator = world.operator().await;
    let scrapes = (0..200).map(|_| operator.metrics());
    for scrape in futures::future::join_all(scrapes).await {
        assert!(scrape.ends_with("# EOF\n"), "{scrape}");
    }
}
