//! HTTP/1.1 by hand, because a real server doesn't misbehave as these tests need.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// What the server does with one request.
pub(super) enum Act {
    /// Send this text and keep the connection.
    Reply(String),
    /// Send this text, then close the idle connection.
    ReplyThenClose(String),
    /// Send this text, then answer nothing more on this connection, and don't close the connection.
    ReplyThenMute(String),
    /// Send these bytes, not necessarily text, and keep the connection.
    ReplyBytes(Vec<u8>),
    /// Send a head with this status, then a body without end, as fast as the client reads.
    Endless(&'static str),
    /// Close the connection without a reply.
    Close,
    /// Never reply.
    Hang,
}

#[derive(Clone, Default, Debug)]
pub(super) struct Traffic {
    /// Head and body of each request, as text.
    pub(super) requests: Vec<String>,
    pub(super) connections: usize,
    /// Bytes sent in bodies without end.
    pub(super) sent: usize,
    /// Connections that the client closed: after a close or silence of the server, or within a body without
    /// end.
    pub(super) closed_by_client: usize,
}

pub(super) struct Server {
    address: SocketAddr,
    traffic: watch::Receiver<Traffic>,
}

/// An HTTP response as text.
pub(super) fn http(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n{body}")
}

pub(super) fn ok(body: &str) -> Act {
    Act::Reply(http("200 OK", "x-amzn-requestid: 4711\r\n", body))
}

/// An error as Cognito writes it.
pub(super) fn error(status: &str, code: &str, message: &str) -> Act {
    let body = serde_json::json!({ "__type": code, "message": message });
    Act::Reply(http(
        status,
        "x-amzn-requestid: 4711\r\n",
        &body.to_string(),
    ))
}

/// The access key that signed a request.
pub(super) fn key(request: &str) -> String {
    let (_, rest) = request.split_once("Credential=").expect("a signature");
    rest.chars().take_while(|&c| c != '/').collect()
}

impl Server {
    /// One act for each request, in order of arrival. Every later request hangs.
    pub(super) async fn start(acts: impl IntoIterator<Item = Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let (sender, traffic) = watch::channel(Traffic::default());
        let script = Arc::new(Mutex::new(acts.into_iter().collect::<VecDeque<_>>()));
        tokio::spawn(async move {
            let sender = Arc::new(sender);
            while let Ok((stream, _)) = listener.accept().await {
                sender.send_modify(|traffic| traffic.connections += 1);
                tokio::spawn(serve(stream, script.clone(), sender.clone()));
            }
        });
        Self { address, traffic }
    }

    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn traffic(&self) -> Traffic {
        self.traffic.borrow().clone()
    }

    /// Waits until `what` holds, 2 minutes at most.
    pub(super) async fn wait_until(&self, what: impl Fn(&Traffic) -> bool) -> Traffic {
        let mut traffic = self.traffic.clone();
        let waited = tokio::time::timeout(Duration::from_mins(2), traffic.wait_for(what));
        match waited.await {
            Ok(Ok(traffic)) => traffic.clone(),
            _ => panic!("it never came to that: {:?}", self.traffic()),
        }
    }

    /// Asserts that exactly `count` requests have reached the server.
    pub(super) async fn assert_requests(&self, count: usize) {
        let traffic = self
            .wait_until(|traffic| traffic.requests.len() >= count)
            .await;
        assert_eq!(traffic.requests.len(), count, "{traffic:#?}");
    }
}

type Script = Arc<Mutex<VecDeque<Act>>>;

fn lock(script: &Script) -> MutexGuard<'_, VecDeque<Act>> {
    script.lock().expect("no test panics in here")
}

async fn serve(mut stream: TcpStream, script: Script, sender: Arc<watch::Sender<Traffic>>) {
    while let Some(request) = read_request(&mut stream).await {
        let act = lock(&script).pop_front().unwrap_or(Act::Hang);
        sender.send_modify(|traffic| traffic.requests.push(request));
        match act {
            Act::Reply(reply) => {
                let _ = stream.write_all(reply.as_bytes()).await;
            }
            Act::ReplyBytes(reply) => {
                let _ = stream.write_all(&reply).await;
            }
            Act::Endless(status) => {
                let head = format!("HTTP/1.1 {status}\r\ntransfer-encoding: chunked\r\n\r\n");
                let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x1_0000));
                let mut sent = stream.write_all(head.as_bytes()).await;
                while sent.is_ok() {
                    sent = stream.write_all(chunk.as_bytes()).await;
                    sender.send_modify(|traffic| traffic.sent += chunk.len());
                }
                sender.send_modify(|traffic| traffic.closed_by_client += 1);
                return;
            }
            Act::ReplyThenClose(reply) => {
                let _ = stream.write_all(reply.as_bytes()).await;
                let _ = stream.shutdown().await;
                while stream.read(&mut [0; 64]).await.is_ok_and(|read| read > 0) {}
                sender.send_modify(|traffic| traffic.closed_by_client += 1);
                return;
            }
            Act::ReplyThenMute(reply) => {
                let _ = stream.write_all(reply.as_bytes()).await;
                while stream.read(&mut [0; 64]).await.is_ok_and(|read| read > 0) {}
                sender.send_modify(|traffic| traffic.closed_by_client += 1);
                return;
            }
            Act::Close => return,
            Act::Hang => std::future::pending().await,
        }
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                let is_length = name.eq_ignore_ascii_case("content-length");
                is_length.then(|| value.trim().parse::<usize>().ok())?
            });
            if body.len() >= length.unwrap_or(0) {
                return Some(text);
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}
