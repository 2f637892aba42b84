//! The listening socket.

use rustix::{
    io::Errno,
    net::{self, AddressFamily, SocketFlags, SocketType, sockopt},
};
use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
};
use tokio::net::TcpListener;

/// How many connections may wait for an accept.
const BACKLOG: i32 = 1024;

/// The kernel's receive buffer for a connection; the kernel doubles this number. A request has some hundred
/// bytes. More bytes of a client stay unread, but count as memory of this container.
const RECEIVE_BUFFER: usize = 16 << 10;

/// Binds the port; port 0 takes a free port. The listener knows its address.
///
/// `[::]` means every address: IPv6 and IPv4, whatever `net.ipv6.bindv6only` says, or IPv4 alone on a machine
/// without IPv6. `0.0.0.0` means IPv4 alone.
///
/// # Errors
/// If the address can't be bound.
///
/// # Panics
/// Outside of a tokio runtime.
pub fn bind(listen: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::from_std(bind_with(listen, open)?)
}

fn bind_with<T>(listen: SocketAddr, open: impl Fn(SocketAddr) -> io::Result<T>) -> io::Result<T> {
    match open(listen) {
        Err(error) if is_every_address(listen) && is_lack_of_ipv6(&error) => {
            open(SocketAddr::from((Ipv4Addr::UNSPECIFIED, listen.port())))
        }
        opened => opened,
    }
}

fn is_every_address(listen: SocketAddr) -> bool {
    listen.ip() == Ipv6Addr::UNSPECIFIED
}

/// Whether the error says that the kernel, or every network interface, lacks IPv6.
fn is_lack_of_ipv6(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    errno == Some(Errno::AFNOSUPPORT) || errno == Some(Errno::ADDRNOTAVAIL)
}

fn open(listen: SocketAddr) -> io::Result<std::net::TcpListener> {
    let family = if listen.is_ipv6() {
        AddressFamily::INET6
    } else {
        AddressFamily::INET
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = net::socket_with(family, SocketType::STREAM, flags, None)?;
    // Otherwise a restart would have to wait a minute for old connections in TIME-WAIT.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if is_every_address(listen) {
        sockopt::set_ipv6_v6only(&socket, false)?;
    }
    // Each accepted connection inherits the buffer size.
    sockopt::set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER)?;
    net::bind(&socket, &listen)?;
    net::listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use std::cell::RefCell;
    use tokio::net::TcpStream;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    /// The addresses that are tried if IPv6 fails with this error, and the result.
    fn tried(listen: &str, ipv6: Errno) -> (Vec<String>, io::Result<SocketAddr>) {
        let tried = RefCell::new(Vec::new());
        let opened = bind_with(address(listen), |address| {
            tried.borrow_mut().push(address.to_string());
            if address.is_ipv6() {
                return Err(ipv6.into());
            }
            Ok(address)
        });
        (tried.into_inner(), opened)
    }

    #[rstest]
    #[case(Errno::AFNOSUPPORT)]
    #[case(Errno::ADDRNOTAVAIL)]
    fn without_ipv6_every_address_means_every_ipv4_address(#[case] errno: Errno) {
        let (tried, opened) = tried("[::]:8080", errno);
        assert_eq!(tried, ["[::]:8080", "0.0.0.0:8080"]);
        assert_eq!(opened.expect("IPv4"), address("0.0.0.0:8080"));
    }

    #[rstest]
    #[case("[::1]:8080", Errno::ADDRNOTAVAIL)]
    #[case("[2001:db8::1]:8080", Errno::AFNOSUPPORT)]
    #[case("[::]:8080", Errno::ADDRINUSE)]
    #[case("[::]:80", Errno::ACCESS)]
    fn any_other_failure_is_an_error(#[case] listen: &str, #[case] errno: Errno) {
        let (tried, opened) = tried(listen, errno);
        assert_eq!(tried, [listen]);
        let error = opened.expect_err("no address");
        assert_eq!(Errno::from_io_error(&error), Some(errno));
    }

    #[tokio::test]
    async fn every_address_is_answered_over_ipv4_and_over_ipv6() {
        if bind(address("[::1]:0")).is_err() {
            return; // no IPv6 on this machine: the cases above are all that can be tested
        }
        let listener = bind(address("[::]:0")).expect("a free port");
        let only_v6 = sockopt::ipv6_v6only(&listener).expect("an IPv6 socket");
        assert!(!only_v6, "whatever the machine's default is");
        let port = listener.local_addr().expect("an address").port();
        for host in ["127.0.0.1", "::1"] {
            let connected = TcpStream::connect((host, port)).await;
            let from = connected.expect("a connection").local_addr();
            let (_, peer) = listener.accept().await.expect("accepted");
            let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
            assert_eq!(peer, from.expect("an address"), "{host}");
        }
    }

    #[tokio::test]
    async fn an_ipv4_address_stays_ipv4_alone() {
        let listener = bind(address("0.0.0.0:0")).expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        TcpStream::connect(("127.0.0.1", port))
            .await
            .expect("a connection");
        let refused = TcpStream::connect(("::1", port)).await;
        refused.expect_err("nobody listens there");
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_an_error() {
        let first = bind(address("127.0.0.1:0")).expect("a free port");
        let address = first.local_addr().expect("an address");
        let error = bind(address).expect_err("taken");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }
}
