use super::*;
use crate::ops::{health::Readiness, metrics::Metrics};
use std::future::pending;

/// A listener that fails the first `failures` accepts with `error`, then waits for ever.
struct FailingListener {
    failures: usize,
    error: io::ErrorKind,
    asked: usize,
}

impl Accept for &mut FailingListener {
    async fn accept(&mut self) -> io::Result<(TcpStream, IpAddr)> {
        self.asked += 1;
        if self.asked > self.failures {
            return pending().await;
        }
        Err(self.error.into())
    }
}

fn pages() -> Arc<Pages> {
    let metrics = Arc::new(Metrics::new("1.2.3"));
    Arc::new(Pages::new(Readiness::new(), metrics))
}

/// How often the server calls `accept` within a minute.
async fn accepts_in_a_minute(failures: usize, error: io::ErrorKind) -> usize {
    let mut listener = FailingListener {
        failures,
        error,
        asked: 0,
    };
    let minute = tokio::time::sleep(Duration::from_mins(1));
    serve(
        &mut listener,
        pages(),
        StallMeter::new(),
        ConnectionLimits::default(),
        minute,
    )
    .await;
    listener.asked
}

#[tokio::test(start_paused = true)]
async fn a_shortage_of_file_descriptors_causes_a_pause_before_the_next_accept() {
    let short = io::ErrorKind::QuotaExceeded; // any error that isn't a client's
    let asked = accepts_in_a_minute(usize::MAX, short).await;
    assert!((100..=1_000).contains(&asked), "{asked}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_gone_before_its_accept_causes_no_pause() {
    let asked = accepts_in_a_minute(100_000, io::ErrorKind::ConnectionAborted).await;
    assert_eq!(asked, 100_001);
}

#[test]
fn a_shortage_of_file_descriptors_is_no_client_error() {
    for errno in [
        rustix::io::Errno::MFILE,
        rustix::io::Errno::NFILE,
        rustix::io::Errno::NOBUFS,
        rustix::io::Errno::NOMEM,
    ] {
        assert!(!is_client_error(&errno.into()), "{errno}");
    }
    assert!(is_client_error(&rustix::io::Errno::CONNABORTED.into()));
}

/// The numbers of the connections that are still open. No connection ends by itself.
async fn still_open(open: &mut OpenConnections, handles: &[AbortHandle]) -> Vec<usize> {
    // An aborted task ends when the runtime polls the task again.
    while open.tasks.len() > open.connections.len() {
        open.tasks.join_next().await;
    }
    let numbered = handles.iter().enumerate();
    numbered
        .filter(|(_, handle)| !handle.is_finished())
        .map(|(number, _)| number)
        .collect()
}

fn client(number: u8) -> Client {
    Client::at([10, 0, 0, number].into())
}

/// Makes room once per element of `left`, and compares the connections that are then open with the element.
async fn assert_makes_room<const N: usize>(asked: [bool; N], left: &[&[usize]]) {
    assert_makes_room_among(asked.map(|asked| (client(1), asked)), left).await;
}

/// The same, with connections of several clients.
async fn assert_makes_room_among<const N: usize>(
    connections: [(Client, bool); N],
    left: &[&[usize]],
) {
    let mut open = OpenConnections::with_limit(N);
    let mut handles = Vec::new();
    for (client, asked) in connections {
        assert!(!open.make_room());
        open.add(pending(), client, Arc::new(AtomicBool::new(asked)));
        handles.push(open.connections[handles.len()].task.clone());
    }
    for left in left {
        assert!(open.make_room());
        assert_eq!(still_open(&mut open, &handles).await, *left);
        // This newcomer never sends a request, and its state is not checked.
        open.add(pending(), client(1), Arc::default());
    }
}

#[tokio::test]
async fn a_connection_of_the_client_with_the_most_connections_is_closed_first() {
    let (one, other) = (client(1), client(2));
    let connections = [other, one, one, other, one].map(|client| (client, false));
    // The newcomers belong to the first client.
    let left: [&[usize]; 3] = [&[0, 2, 3, 4], &[0, 3, 4], &[0, 3]];
    assert_makes_room_among(connections, &left).await;
}

#[test]
fn all_addresses_of_an_ipv6_network_are_one_client() {
    let client = |address: &str| Client::at(address.parse().expect("an address"));
    assert_eq!(client("2001:db8:1:2::1"), client("2001:db8:1:2:f::2"));
    assert_ne!(client("2001:db8:1:2::1"), client("2001:db8:1:3::1"));
    assert_eq!(client("::ffff:10.0.0.1"), client("10.0.0.1"));
    assert_ne!(client("10.0.0.1"), client("10.0.0.2"));
}

#[tokio::test]
async fn the_oldest_connection_without_a_request_is_closed_first() {
    let left: [&[usize]; 3] = [&[0, 2, 3], &[0, 2], &[0, 2]];
    assert_makes_room([true, false, true, false], &left).await;
}

#[tokio::test]
async fn connections_with_a_request_keep_half_of_the_room() {
    let left: [&[usize]; 4] = [&[1, 2, 3, 4, 5], &[2, 3, 4, 5], &[3, 4, 5], &[3, 4, 5]];
    assert_makes_room([true; 6], &left).await;
}

#[tokio::test]
async fn the_oldest_connection_is_closed_if_all_have_a_request() {
    assert_makes_room([true], &[&[]]).await;
}

#[tokio::test]
async fn a_connection_that_has_ended_takes_no_room() {
    let mut open = OpenConnections::with_limit(2);
    open.add(async {}, client(1), Arc::default());
    open.add(pending(), client(1), Arc::default());
    open.tasks.join_next().await;
    assert!(!open.make_room());
    assert_eq!(open.connections.len(), 1);
}
