//! Whether the operator lives and is ready, and its metrics, over HTTP: `/livez`, `/readyz` and
//! `/metrics`. Without authentication, so nothing that is said here may be secret.

use super::metrics::{self, Metrics};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header::CONTENT_TYPE};
use axum::response::IntoResponse;
use axum::routing::get;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

/// How long requests in flight may take once shutdown has begun. A scrape takes milliseconds; a
/// client that never finishes its request must not keep the process from ending.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(1);

/// The sum of all checks: ready when every one passes. Clones are one and the same.
///
/// With no check at all it is ready, so make the checks before serving.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    checks: Checks,
}

/// One thing that must work for the operator to be ready. Clones are one and the same; dropping
/// it leaves its last word standing.
#[derive(Clone, Debug)]
pub struct Check {
    name: String,
    checks: Checks,
}

/// By name, so that the answer is sorted.
type Checks = Arc<Mutex<BTreeMap<String, Verdict>>>;

#[derive(Debug)]
struct Verdict {
    /// The last lasting word: passed, or why not.
    lasting: Result<(), String>,
    /// A failure on top that heals by itself.
    passing_by: Option<Ailment>,
}

#[derive(Debug)]
struct Ailment {
    message: String,
    /// Until when it counts, unless it is repeated.
    until: Instant,
}

impl Verdict {
    fn fresh() -> Self {
        Self {
            lasting: Err("not yet".to_owned()),
            passing_by: None,
        }
    }

    fn failure_at(&self, now: Instant) -> Option<&str> {
        match (&self.passing_by, &self.lasting) {
            (Some(ailment), _) if now < ailment.until => Some(&ailment.message),
            (_, Err(message)) => Some(message),
            (_, Ok(())) => None,
        }
    }
}

/// A thread that panicked with the lock held left whole verdicts behind: each is one assignment.
fn lock(checks: &Checks) -> MutexGuard<'_, BTreeMap<String, Verdict>> {
    checks.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Readiness {
    /// Ready, until there are checks.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A new check, failing with "not yet" until it passes. For a name that is known already, that
    /// same check as it stands.
    pub fn check(&self, name: impl Into<String>) -> Check {
        let name = name.into();
        lock(&self.checks)
            .entry(name.clone())
            .or_insert_with(Verdict::fresh);
        Check {
            name,
            checks: Arc::clone(&self.checks),
        }
    }

    /// The checks that fail now, as `name: message`, one line each, sorted by name. Empty: ready.
    #[must_use]
    pub fn failing(&self) -> Vec<String> {
        self.failing_at(Instant::now())
    }

    fn failing_at(&self, now: Instant) -> Vec<String> {
        lock(&self.checks)
            .iter()
            .filter_map(|(name, verdict)| {
                let message = verdict.failure_at(now)?;
                Some(one_line(&format!("{name}: {message}")))
            })
            .collect()
    }
}

fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

impl Check {
    /// It works.
    pub fn pass(&self) {
        self.say(Ok(()));
    }

    /// It doesn't, until it is said to pass.
    pub fn fail(&self, message: impl Into<String>) {
        self.say(Err(message.into()));
    }

    /// It doesn't just now. If that isn't said again within `heal_after`, it counts as it did
    /// before: passing if it had passed, else failing as it was. For what reports failures over and
    /// over but no recovery, as kube's watcher does; `heal_after` must be longer than the longest
    /// pause between two such reports.
    pub fn fail_for(&self, message: impl Into<String>, heal_after: Duration) {
        self.fail_for_at(message.into(), heal_after, Instant::now());
    }

    fn fail_for_at(&self, message: String, heal_after: Duration, now: Instant) {
        let Some(until) = now.checked_add(heal_after) else {
            return self.fail(message); // longer than the clock reaches: it doesn't heal
        };
        self.verdict(|verdict| verdict.passing_by = Some(Ailment { message, until }));
    }

    fn say(&self, lasting: Result<(), String>) {
        self.verdict(|verdict| {
            *verdict = Verdict {
                lasting,
                passing_by: None,
            };
        });
    }

    fn verdict(&self, change: impl FnOnce(&mut Verdict)) {
        let mut checks = lock(&self.checks);
        let verdict = checks
            .entry(self.name.clone())
            .or_insert_with(Verdict::fresh);
        change(verdict);
    }
}

/// Takes the port; port 0 takes a free one, which the listener then tells.
///
/// # Errors
/// If the address can't be had.
pub async fn bind(listen: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(listen).await
}

/// Answers until `shutdown` completes, and a second longer if requests are in flight then.
///
/// - `/livez`: 200 `ok`, as long as there is somebody to answer
/// - `/readyz`: 200 `ok`, or 503 with one line `name: message` for each failing check
/// - `/metrics`: the metrics, as [`metrics::CONTENT_TYPE`]
///
/// # Errors
/// Those of axum's server, which has none at present: what fails with one connection stays with it.
pub async fn serve(
    listener: TcpListener,
    readiness: Readiness,
    metrics: Arc<Metrics>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let router = Router::new()
        .route("/livez", get("ok"))
        .route("/readyz", get(readyz).with_state(readiness))
        .route("/metrics", get(scrape).with_state(metrics));

    let (begun, shutdown_begun) = tokio::sync::oneshot::channel();
    let server = axum::serve(listener, router).with_graceful_shutdown(async move {
        shutdown.await;
        let _ = begun.send(()); // nobody listens any more: then it is over already
    });
    let out_of_patience = async {
        match shutdown_begun.await {
            Ok(()) => tokio::time::sleep(SHUTDOWN_GRACE).await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        done = async { server.await } => done,
        () = out_of_patience => Ok(()),
    }
}

async fn readyz(State(readiness): State<Readiness>) -> impl IntoResponse {
    let failing = readiness.failing();
    if failing.is_empty() {
        (StatusCode::OK, "ok".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, failing.join("\n") + "\n")
    }
}

async fn scrape(State(metrics): State<Arc<Metrics>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics.encode())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio::sync::oneshot;
    use tokio::task::JoinHandle;
    use tokio::time::timeout;

    const MINUTE: Duration = Duration::from_mins(1);
    const SECOND: Duration = Duration::from_secs(1);
    /// How long a test waits for what should come at once.
    const SOON: Duration = Duration::from_mins(2);

    #[test]
    fn a_fresh_check_fails_with_not_yet() {
        let readiness = Readiness::new();
        assert_eq!(readiness.failing(), [""; 0]);
        let lease = readiness.check("lease");
        assert_eq!(readiness.failing(), ["lease: not yet"]);
        lease.pass();
        assert_eq!(readiness.failing(), [""; 0]);
    }

    #[test]
    fn failing_checks_are_listed_by_name_one_line_each() {
        let readiness = Readiness::new();
        readiness.check("watch").fail("403\nForbidden\r\nx: y");
        readiness.check("keys").pass();
        readiness.check("api");
        assert_eq!(
            readiness.failing(),
            ["api: not yet", "watch: 403 Forbidden  x: y"]
        );
    }

    #[test]
    fn a_failure_lasts_until_it_passes() {
        let readiness = Readiness::new();
        let check = readiness.check("watch");
        check.pass();
        check.fail("gone");
        assert_eq!(
            readiness.failing_at(Instant::now() + 1000 * MINUTE),
            ["watch: gone"]
        );
    }

    #[test]
    fn a_failure_that_is_not_repeated_heals() {
        let now = Instant::now();
        let readiness = Readiness::new();
        let check = readiness.check("watch");
        check.pass();
        check.fail_for_at("gone".to_owned(), MINUTE, now);
        assert_eq!(readiness.failing_at(now), ["watch: gone"]);
        assert_eq!(readiness.failing_at(now + 59 * SECOND), ["watch: gone"]);
        assert_eq!(readiness.failing_at(now + MINUTE), [""; 0]);
    }

    #[test]
    fn a_repeated_failure_counts_on() {
        let now = Instant::now();
        let readiness = Readiness::new();
        let check = readiness.check("watch");
        check.pass();
        check.fail_for_at("gone".to_owned(), MINUTE, now);
        check.fail_for_at("still gone".to_owned(), MINUTE, now + 50 * SECOND);
        assert_eq!(
            readiness.failing_at(now + 100 * SECOND),
            ["watch: still gone"]
        );
        assert_eq!(readiness.failing_at(now + 110 * SECOND), [""; 0]);
    }

    #[test]
    fn what_never_worked_does_not_heal_into_ready() {
        let now = Instant::now();
        let readiness = Readiness::new();
        let check = readiness.check("watch");
        check.fail_for_at("403".to_owned(), MINUTE, now);
        assert_eq!(readiness.failing_at(now), ["watch: 403"]);
        assert_eq!(readiness.failing_at(now + 2 * MINUTE), ["watch: not yet"]);
    }

    #[test]
    fn success_heals_at_once() {
        let now = Instant::now();
        let readiness = Readiness::new();
        let check = readiness.check("watch");
        check.fail_for_at("403".to_owned(), MINUTE, now);
        check.pass();
        assert_eq!(readiness.failing_at(now), [""; 0]);
    }

    #[test]
    fn a_failure_longer_than_the_clock_reaches_stays() {
        let readiness = Readiness::new();
        let check = readiness.check("watch");
        check.pass();
        check.fail_for("gone", Duration::MAX);
        assert_eq!(readiness.failing(), ["watch: gone"]);
    }

    #[test]
    fn a_name_asked_for_twice_is_one_check() {
        let readiness = Readiness::new();
        readiness.check("lease").pass();
        let again = readiness.clone().check("lease");
        assert_eq!(readiness.failing(), [""; 0]);
        again.fail("lost");
        assert_eq!(readiness.failing(), ["lease: lost"]);
    }

    struct Server {
        address: SocketAddr,
        stop: oneshot::Sender<()>,
        done: JoinHandle<io::Result<()>>,
    }

    async fn start(readiness: Readiness, metrics: Arc<Metrics>) -> Server {
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0)))
            .await
            .expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async {
            let _ = stopped.await;
        };
        let done = tokio::spawn(serve(listener, readiness, metrics, shutdown));
        Server {
            address,
            stop,
            done,
        }
    }

    impl Server {
        async fn stop(self) {
            self.stop.send(()).expect("still serving");
            timeout(SOON, self.done)
                .await
                .expect("an end")
                .expect("no panic")
                .expect("no error");
        }
    }

    struct Answer {
        status: u16,
        head: String,
        body: String,
    }

    async fn ask(address: SocketAddr, path: &str) -> Answer {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
        stream
            .write_all(request.as_bytes())
            .await
            .expect("a request");
        let mut reply = String::new();
        timeout(SOON, stream.read_to_string(&mut reply))
            .await
            .expect("a reply in time")
            .expect("a reply");
        let (head, body) = reply.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).expect("a status");
        Answer {
            status: status.parse().expect("a number"),
            head: head.to_lowercase(),
            body: body.to_owned(),
        }
    }

    #[tokio::test]
    async fn probes_and_metrics_answer_on_their_paths() {
        let readiness = Readiness::new();
        let (lease, watch) = (readiness.check("lease"), readiness.check("watch"));
        let metrics = Arc::new(Metrics::new("1.2.3"));
        metrics.watch_error("secrets");
        let server = start(readiness, Arc::clone(&metrics)).await;

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
        // Of the process's own some have moved since.
        let ours = |body: &str| -> Vec<String> {
            let lines = body.lines().filter(|line| !line.starts_with("process_"));
            lines.map(str::to_owned).collect()
        };
        assert_eq!(ours(&scraped.body), ours(&metrics.encode()));

        for unknown in ["/", "/metrics/", "/healthz"] {
            assert_eq!(ask(server.address, unknown).await.status, 404, "{unknown}");
        }
        server.stop().await;
    }

    #[tokio::test]
    async fn a_client_that_never_finishes_does_not_hold_up_the_end() {
        let server = start(Readiness::new(), Arc::new(Metrics::new("1.2.3"))).await;
        let mut idle = TcpStream::connect(server.address).await.expect("connected");
        idle.write_all(b"GET /livez HTTP/1.1\r\nhost:")
            .await
            .expect("half a request");
        // Answered after it, so the half request has been accepted.
        assert_eq!(ask(server.address, "/livez").await.status, 200);
        server.stop().await;
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_an_error() {
        let first = bind(SocketAddr::from(([127, 0, 0, 1], 0)))
            .await
            .expect("a free port");
        let address = first.local_addr().expect("an address");
        let error = bind(address).await.expect_err("taken");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }
}
