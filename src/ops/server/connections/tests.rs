use super::*;
use crate::ops::{health::Readiness, metrics::Metrics};
use std::future::pending;

/// A listener that fails the first `first` accepts with `what`, then waits for ever.
struct Says {
    first: usize,
    what: io::ErrorKind,
    asked: usize,
}

impl Accept for &mut Says {
    async fn accept(&mut self) -> io::Result<(TcpStream, IpAddr)> {
        self.asked += 1;
        if self.asked > self.first {
            return pending().await;
        }
        Err(self.what.into())
    }
}

fn pages() -> Arc<Pages> {
    let metrics = Arc::new(Metrics::new("1.2.3"));
    Arc::new(Pages::new(Readiness::new(), metrics))
}

/// How often the server calls `accept` within a minute.
async fn asked_in_a_minute(first: usize, what: io::ErrorKind) -> usize {
    let mut says = Says {
        first,
        what,
        asked: 0,
    };
    let minute = tokio::time::sleep(Duration::from_mins(1));
    serve(
        &mut says,
        pages(),
        StallMeter::new(),
        ConnectionLimits::default(),
        minute,
    )
    .await;
    says.asked
}

#[tokio::test(start_paused = true)]
async fn while_file_descriptors_are_short_it_waits_between_two_tries() {
    let short = io::ErrorKind::QuotaExceeded; // any error that isn't a client's
    let asked = asked_in_a_minute(usize::MAX, short).await;
    assert!((100..=1_000).contains(&asked), "{asked}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_gone_already_keeps_no_other_waiting() {
    let asked = asked_in_a_minute(100_000, io::ErrorKind::ConnectionAborted).await;
    assert_eq!(asked, 100_001);
}

#[test]
fn too_many_open_files_is_no_clients_doing() {
    for errno in [
        rustix::io::Errno::MFILE,
        rustix::io::Errno::NFILE,
        rustix::io::Errno::NOBUFS,
        rustix::io::Errno::NOMEM,
    ] {
        assert!(!is_the_clients(&errno.into()), "{errno}");
    }
    assert!(is_the_clients(&rustix::io::Errno::CONNABORTED.into()));
}

/// The numbers of the connections that are still open. No connection ends by itself.
async fn still_open(open: &mut Open, handles: &[AbortHandle]) -> Vec<usize> {
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
    let mut open = Open::at_most(N);
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
async fn the_client_with_the_most_connections_makes_room() {
    let (one, other) = (client(1), client(2));
    let connections = [other, one, one, other, one].map(|client| (client, false));
    // The newcomers belong to the first client.
    let left: [&[usize]; 3] = [&[0, 2, 3, 4], &[0, 3, 4], &[0, 3]];
    assert_makes_room_among(connections, &left).await;
}

#[test]
fn a_network_of_ipv6_is_one_client() {
    let client = |address: &str| Client::at(address.parse().expect("an address"));
    assert_eq!(client("2001:db8:1:2::1"), client("2001:db8:1:2:f::2"));
    assert_ne!(client("2001:db8:1:2::1"), client("2001:db8:1:3::1"));
    assert_eq!(client("::ffff:10.0.0.1"), client("10.0.0.1"));
    assert_ne!(client("10.0.0.1"), client("10.0.0.2"));
}

#[tokio::test]
async fn the_oldest_that_has_not_asked_makes_room() {
    let left: [&[usize]; 3] = [&[0, 2, 3], &[0, 2], &[0, 2]];
    assert_makes_room([true, false, true, false], &left).await;
}

#[tokio::test]
async fn those_who_have_asked_keep_half_of_the_room() {
    let left: [&[usize]; 4] = [&[1, 2, 3, 4, 5], &[2, 3, 4, 5], &[3, 4, 5], &[3, 4, 5]];
    assert_makes_room([true; 6], &left).await;
}

#[tokio::test]
async fn where_all_have_asked_the_oldest_makes_room() {
    assert_makes_room([true], &[&[]]).await;
}

#[tokio::test]
async fn one_that_has_ended_takes_no_room() {
    let mut open = Open::at_most(2);
    open.add(async {}, client(1), Arc::default());
    open.add(pending(), client(1), Arc::default());
    open.tasks.join_next().await;
    assert!(!open.make_room());
    assert_eq!(open.connections.len(), 1);
}
