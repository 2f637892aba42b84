//! A port of a server that does not run yet.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// A reserved port that refuses connections until a test opens the port.
pub(crate) struct ClosedPort {
    socket: TcpSocket,
    address: SocketAddr,
}

impl ClosedPort {
    pub(crate) fn reserve() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        socket.bind(any_port).expect("a free port");
        let address = socket.local_addr().expect("it is bound");
        Self { socket, address }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts connections from now on, and never reads or writes.
    pub(crate) fn accept_and_stay_silent(self) -> TcpListener {
        self.socket.listen(16).expect("it is bound")
    }

    /// Forwards connections to another server from now on.
    pub(crate) fn forward(self, to: &str) {
        let to = to.trim_start_matches("http://").to_owned();
        let listener = self.socket.listen(16).expect("it is bound");
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let to = to.clone();
                tokio::spawn(async move {
                    let mut server = TcpStream::connect(to).await?;
                    tokio::io::copy_bidirectional(&mut client, &mut server).await
                });
            }
        });
    }
}
