//! Clients of the operator's own port that never finish a request, and many clients that scrape at once.

use std::path::Path;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::StallWatch;
use crate::given;
use crate::process;
use crate::scenarios::lines;
use crate::stage::{Stage, number};
use crate::support::Operator;
use crate::table::{Goal, Line};

/// Bytes that every second client sends of an endless head: more than any real client sends.
const LONG: usize = 380_000;

/// Bytes that the other clients send before these clients fall silent.
const SHORT: usize = 4_000;

/// The number of concurrent scrapers, and the time that they scrape.
const SCRAPERS: usize = 16;
const SCRAPED_FOR: Duration = Duration::from_secs(10);

/// No client waits longer for the server to close the connection.
const PATIENCE: Duration = Duration::from_mins(1);

pub(super) async fn run(operator: &Path) -> Vec<Line> {
    let count = given("CONNECTIONS").unwrap_or(1_000);
    let resources = given("SCRAPED").unwrap_or(10_000);
    let stage = Stage::set(operator.to_owned()).await;
    let running = stage.operator_in_sync().await;
    let watching = StallWatch::now(&running).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let without = watching.ended(&running).await;
    let before = process::memory(running.pid()).0;
    let watching = StallWatch::now(&running).await;
    let (most, closed) = half_open(&running, count).await;
    let with = watching.ended(&running).await;
    stage.say(&format!(
        "{count} half-open connections: {:.1} MB more, the last one closed after {closed:.1} s, {:?}",
        most - before,
        with.outside,
    ));
    stage.end(running).await;
    let mut all = lines(
        "connections",
        [
            (
                format!("{count} unfinished heads of 4 and 380 KB: memory more"),
                "MB",
                most - before,
                None,
                Goal::Most(10.0),
            ),
            (
                "until all are closed".to_owned(),
                "s",
                closed,
                None,
                Goal::Most(20.0),
            ),
            (
                "longest wait for /livez meanwhile".to_owned(),
                "s",
                with.outside.longest / 1e3,
                Some(without.outside.longest / 1e3),
                Goal::Most(1.0),
            ),
            (
                "/livez not answered".to_owned(),
                "",
                number(with.outside.unanswered),
                Some(0.0),
                Goal::Nothing,
            ),
            (
                "most work while /livez waits".to_owned(),
                "ms",
                with.outside.work,
                Some(without.outside.work),
                Goal::Most(super::STALL),
            ),
        ],
    );

    stage.fill("scraped", resources, false).await;
    let running = stage.operator_in_sync().await;
    stage.end(running).await;
    // A fresh operator, without any earlier work.
    let running = stage.operator_in_sync().await;
    let watching = StallWatch::now(&running).await;
    tokio::time::sleep(SCRAPED_FOR).await;
    let without = watching.ended(&running).await;
    let watching = StallWatch::now(&running).await;
    let cpu = process::cpu(running.pid());
    let scrapes = scrape(&running).await;
    let cpu = (process::cpu(running.pid()) - cpu) / SCRAPED_FOR.as_secs_f64() * 100.0;
    let with = watching.ended(&running).await;
    stage.say(&format!(
        "{scrapes} scrapes, {cpu:.1} % CPU, {:?}",
        with.outside
    ));
    stage.end(running).await;
    all.extend(lines(
        "connections",
        [(
            format!("CPU, {SCRAPERS} that scrape {resources} resources all the time"),
            "%",
            cpu,
            None,
            Goal::None,
        )],
    ));
    all.extend(with.lines("connections", "scraped", without));
    all
}

/// Returns the peak of the memory, and the seconds until the last connection was closed.
async fn half_open(operator: &Operator, count: usize) -> (f64, f64) {
    let url = operator.url();
    let address = url.trim_start_matches("http://").to_owned();
    let began = Instant::now();
    let mut clients = JoinSet::new();
    for n in 0..count {
        let length = if n % 2 == 0 { LONG } else { SHORT };
        clients.spawn(half_of_a_request(address.clone(), length));
    }
    let mut most: f64 = 0.0;
    let mut look = tokio::time::interval(Duration::from_millis(100));
    let mut last = began;
    loop {
        tokio::select! {
            ended = clients.join_next() => match ended {
                Some(ended) => last = last.max(ended.expect("no panic")),
                None => break,
            },
            _ = look.tick() => most = most.max(process::memory(operator.pid()).0),
        }
    }
    (most, (last - began).as_secs_f64())
}

/// Begins a request and never ends the request. Returns the time when the connection was closed.
async fn half_of_a_request(address: String, length: usize) -> Instant {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        let mut head = b"GET /livez HTTP/1.1\r\nHost: bench\r\n".to_vec();
        while head.len() < length {
            head.extend_from_slice(format!("X-{}: ", head.len()).as_bytes());
            head.extend_from_slice(&[b'x'; SHORT]);
            head.extend_from_slice(b"\r\n");
        }
        stream.write_all(&head).await?;
        // Reads to the end, and ignores any answer.
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).await
    };
    // A connection that is refused, reset or ended is closed.
    let _ = timeout(PATIENCE, exchange).await;
    Instant::now()
}

/// Scrapes from all scrapers at once. Returns the number of answers.
async fn scrape(operator: &Operator) -> usize {
    let began = Instant::now();
    let scrapers = (0..SCRAPERS).map(|_| async {
        let mut scrapes = 0;
        while began.elapsed() < SCRAPED_FOR {
            // The server refuses a scrape that waits too long, and one connection too many. Neither counts.
            scrapes += usize::from(operator.try_get("/metrics").await.is_ok());
        }
        scrapes
    });
    futures::future::join_all(scrapers).await.into_iter().sum()
}
