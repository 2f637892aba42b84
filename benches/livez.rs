//! How long the operator's thread is blocked, measured from outside by a request for `/livez` every 20 ms.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::process;
use crate::support::{Operator, metrics};

const EVERY: Duration = Duration::from_millis(20);

/// Longer than the timeout of any probe.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sends requests on a thread of its own, until [`ended`](Self::ended).
pub(crate) struct Livez {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Answers>,
}

/// The results of the requests.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Answers {
    /// The longest time from a request to its answer, in ms.
    pub(crate) longest: f64,
    /// The most processor time that the operator's thread used while a request waited, in ms. On a busy
    /// machine a request waits longer, because the thread waits for a processor.
    pub(crate) work: f64,
    /// Requests without an answer, after the first answer.
    pub(crate) unanswered: usize,
}

impl Livez {
    /// The operator may not listen yet: a refused connection before the first answer does not count.
    pub(crate) fn of(operator: &Operator) -> Self {
        let url = operator.url();
        let port = url.rsplit(':').next().and_then(|port| port.parse().ok());
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.expect("a port")));
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, pid) = (stop.clone(), operator.pid());
        let ask = move || ask(address, pid, &stopped);
        let thread = std::thread::Builder::new().name("livez".to_owned());
        Self {
            stop,
            thread: thread.spawn(ask).expect("a thread can be started"),
        }
    }

    pub(crate) async fn ended(self) -> Answers {
        self.stop.store(true, Ordering::Relaxed);
        let joined = tokio::task::spawn_blocking(|| self.thread.join());
        joined.await.expect("no panic").expect("no panic")
    }
}

impl Answers {
    /// The greater of both times, and the sum of the unanswered requests.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            longest: self.longest.max(other.longest),
            work: self.work.max(other.work),
            unanswered: self.unanswered + other.unanswered,
        }
    }
}

fn ask(address: SocketAddr, pid: i32, stop: &AtomicBool) -> Answers {
    let mut answers = Answers::default();
    let mut listens = false;
    let mut next = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let (began, worked) = (Instant::now(), process::work(pid));
        match get(address) {
            Ok(()) => {
                listens = true;
                let waited = began.elapsed().as_secs_f64() * 1e3;
                answers.longest = answers.longest.max(waited);
                answers.work = answers.work.max(process::work(pid) - worked);
            }
            Err(_) if listens => answers.unanswered += 1,
            Err(_) => {}
        }
        next = Instant::now().max(next + EVERY);
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    answers
}

fn get(address: SocketAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /livez HTTP/1.0\r\nHost: bench\r\n\r\n")?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply)?;
    if reply.starts_with(b"HTTP/1.0 200 ") || reply.starts_with(b"HTTP/1.1 200 ") {
        return Ok(());
    }
    Err(std::io::Error::other("not the answer of a live one"))
}

/// The number of polls that blocked the thread for more than 50 ms since the start, by the operator's own
/// meter.
pub(crate) async fn stalls(operator: &Operator) -> f64 {
    let name = "cognito_password_operator_stalls_total";
    let scrape = operator.metrics().await;
    metrics::value(&scrape, name, &[]).expect("the meter's metric")
}
