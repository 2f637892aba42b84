use super::super::metrics::MemorySample;
use super::*;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long a test waits for something that must happen.
const SOON: Duration = Duration::from_mins(2);
/// Longer than any test.
const NEVER: Duration = Duration::from_hours(1);

/// Limits that no test reaches unless the test sets them.
const LIMITS: ConnectionLimits = ConnectionLimits {
    connections: 1_000,
    head: NEVER,
    age: NEVER,
};

struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    done: JoinHandle<()>,
}

fn start(readiness: Readiness, metrics: Arc<Metrics>, limits: ConnectionLimits) -> Server {
    let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
    let address = listener.local_addr().expect("an address");
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async {
        let _ = stopped.await;
    };
    let stalls = metrics.stalls();
    let pages = Arc::new(Pages::new(readiness, metrics));
    let serving = connections::serve(listener, pages, stalls, limits, shutdown);
    Server {
        address,
        stop,
        done: tokio::spawn(serving),
    }
}

fn limited(limits: ConnectionLimits) -> Server {
    start(Readiness::new(), Arc::new(Metrics::new("1.2.3")), limits)
}

impl Server {
    async fn stop(self) {
        self.stop.send(()).expect("still serving");
        let done = timeout(SOON, self.done).await;
        done.expect("an end").expect("no panic");
    }
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

/// Connects and sends the bytes.
async fn send(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    // A client that is refused meanwhile can't send all bytes.
    let _ = stream.write_all(bytes).await;
    stream
}

/// Reads until the connection ends.
async fn rest(stream: &mut TcpStream) -> String {
    let mut reply = Vec::new();
    let read = timeout(SOON, stream.read_to_end(&mut reply)).await;
    let _ = read.expect("an end"); // reset or not
    String::from_utf8(reply).expect("text")
}

/// Sends a request without `Connection: close`.
async fn ask(address: SocketAddr, path: &str) -> Answer {
    let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n");
    let mut stream = send(address, request.as_bytes()).await;
    let reply = rest(&mut stream).await;
    let (head, body) = reply.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).expect("a status");
    Answer {
        status: status.parse().expect("a number"),
        head: head.to_lowercase(),
        body: body.to_owned(),
    }
}

const HALF: &[u8] = b"GET /livez HTTP/1.1\r\nhost:";

#[tokio::test]
async fn probes_and_metrics_answer_on_their_paths() {
    let readiness = Readiness::new();
    let (lease, watch) = (readiness.check("lease"), readiness.check("watch"));
    let metrics = Arc::new(Metrics::new("1.2.3"));
    metrics.watch_error("secrets");
    let server = start(readiness, Arc::clone(&metrics), ConnectionLimits::default());

    let live = ask(server.address, "/livez").await;
    assert_eq!((live.status, live.body.as_str()), (200, "ok"));

    watch.fail("forbidden");
    let unready = ask(server.address, "/readyz").await;
    assert_eq!(unready.status, 503);
    assert_eq!(unready.body, "lease: not yet\nwatch: forbidden\n");
    assert!(
        unready.head.contains("content-type: text/plain"),
        "{}",
        unready.head
    );

    lease.pass();
    watch.pass();
    let ready = ask(server.address, "/readyz").await;
    assert_eq!((ready.status, ready.body.as_str()), (200, "ok"));

    let scraped = ask(server.address, "/metrics").await;
    assert_eq!(scraped.status, 200);
    assert!(
        scraped
            .head
            .contains("content-type: application/openmetrics-text; version=1.0.0"),
        "{}",
        scraped.head
    );
    // Some metrics of the process itself have changed since the scrape.
    let ours = |body: &str| -> Vec<String> {
        let lines = body
            .lines()
            .filter(|line| !line.starts_with("process_") && !line.contains("_longest_stall_"));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(ours(&scraped.body), ours(&metrics.encode()));

    assert_eq!(ask(server.address, "/").await.status, 404);
    server.stop().await;
}

#[tokio::test]
async fn a_connection_is_for_one_request() {
    let server = limited(LIMITS);
    let twice = "GET /livez HTTP/1.1\r\nhost: test\r\n\r\n".repeat(2);
    let mut stream = send(server.address, twice.as_bytes()).await;
    let reply = rest(&mut stream).await;
    assert_eq!(reply.matches("HTTP/1.1 200").count(), 1, "{reply}");
    assert!(
        reply.to_lowercase().contains("connection: close"),
        "{reply}"
    );
}

#[tokio::test]
async fn a_client_that_does_not_finish_its_request_is_disconnected_in_time() {
    let head = Duration::from_millis(50);
    let server = limited(ConnectionLimits { head, ..LIMITS });
    let mut silent = send(server.address, b"").await;
    let mut half = send(server.address, HALF).await;
    // Single bytes don't extend the time limit.
    let mut slow = send(server.address, HALF).await;
    let writes = async { while slow.write_all(b"x").await.is_ok() {} };
    timeout(SOON, writes).await.expect("an end");
    assert_eq!(rest(&mut silent).await, "");
    assert_eq!(rest(&mut half).await, "");
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused_at_once() {
    let server = limited(LIMITS);
    let long = [HALF, &vec![b'x'; 380_000]].concat();
    let mut stream = send(server.address, &long).await;
    rest(&mut stream).await;
    // A shorter head, so that the refusal reaches the client.
    let long = [HALF, &[b'x'; 9_000]].concat();
    let mut stream = send(server.address, &long).await;
    let reply = rest(&mut stream).await;
    assert!(reply.is_empty() || reply.contains(" 431 "), "{reply}");

    let many = format!("GET /livez HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(33));
    let mut stream = send(server.address, many.as_bytes()).await;
    let reply = rest(&mut stream).await;
    assert!(reply.contains(" 431 "), "{reply}");
    assert_eq!(ask(server.address, "/livez").await.status, 200);
}

/// Metrics that are too long for the kernel's send buffer.
fn long_metrics() -> Arc<Metrics> {
    const NAMES: usize = 60_000;
    let metrics = Metrics::new("1.2.3");
    let names: Vec<&'static str> = (0..NAMES)
        .map(|number| &*format!("a name that makes the answer long, number {number}").leak())
        .collect();
    metrics.measure_memory_with(move || MemorySample {
        tasks: 0,
        entries: names.iter().map(|name| (*name, 1)).collect(),
    });
    Arc::new(metrics)
}

/// Requests the metrics and does not read the answer.
async fn ask_and_ignore(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    let mut stream = socket.connect(address).await.expect("a connection");
    let request = b"GET /metrics HTTP/1.1\r\nhost: test\r\n\r\n";
    stream.write_all(request).await.expect("a request");
    stream
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answer_is_disconnected_in_time() {
    let age = Duration::from_secs(2);
    let limits = ConnectionLimits { age, ..LIMITS };
    let metrics = long_metrics();
    let whole = metrics.encode().len();
    let server = start(Readiness::new(), metrics, limits);
    let mut ignoring = ask_and_ignore(server.address).await;
    // A read would already consume the answer, and no other sign of the end exists. So wait for a fixed time.
    tokio::time::sleep(age * 2).await;
    let read = rest(&mut ignoring).await.len();
    assert!(read < whole, "{read} of {whole}");
    server.stop().await;
}

#[tokio::test]
async fn a_new_connection_is_served_however_many_others_are_open() {
    let limits = ConnectionLimits {
        connections: 4,
        ..LIMITS
    };
    let server = start(Readiness::new(), long_metrics(), limits);
    // Clients that don't read the answer.
    let mut ignoring = Vec::new();
    for _ in 0..6 {
        ignoring.push(ask_and_ignore(server.address).await);
    }
    assert_eq!(ask(server.address, "/livez").await.status, 200);
    // Clients that don't send a whole request.
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(send(server.address, HALF).await);
        if silent.len() % 20 == 0 {
            assert_eq!(ask(server.address, "/livez").await.status, 200);
        }
    }
    // The old connections were closed to make room, and the newest is open.
    let mut newest = silent.pop().expect("one");
    for stream in &mut silent[..190] {
        assert_eq!(rest(stream).await, "");
    }
    newest.write_all(b" test\r\n\r\n").await.expect("open");
    let reply = rest(&mut newest).await;
    assert!(reply.contains(" 200 "), "{reply}");
    server.stop().await;
}

#[tokio::test]
async fn an_unfinished_request_does_not_delay_the_shutdown() {
    let server = limited(LIMITS);
    let mut idle = send(server.address, HALF).await;
    // This request is answered after the half request was accepted.
    assert_eq!(ask(server.address, "/livez").await.status, 200);
    server.stop().await;
    assert_eq!(rest(&mut idle).await, "");
}

#[tokio::test]
async fn polls_of_connections_are_recorded() {
    let metrics = Arc::new(Metrics::new("1.2.3"));
    let slow = Duration::from_millis(60);
    metrics.measure_queue_with(move || {
        std::thread::sleep(slow);
        0
    });
    let server = start(Readiness::new(), metrics.clone(), LIMITS);
    assert_eq!(ask(server.address, "/metrics").await.status, 200);
    assert!(metrics.stalls().longest() >= slow);
    server.stop().await;
}
