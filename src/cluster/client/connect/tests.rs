use super::{connect, is_loopback};
use crate::cluster::{
    CallError,
    client::call::{call, call_within},
};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, Config};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

#[test]
fn requests_to_this_machine_use_no_proxy() {
    for host in ["127.0.0.1", "127.9.9.9", "[::1]", "localhost"] {
        assert!(is_loopback(Some(host)), "{host}");
    }
    for host in ["10.0.0.1", "example.com", "127.0.0.1.example.com"] {
        assert!(!is_loopback(Some(host)), "{host}");
    }
}

/// An API server with a number of answers for each of its first connections. After these answers the
/// connection is silent. `connections` counts the connections so far.
struct Server {
    client: Client,
    connections: Arc<AtomicUsize>,
}

impl Server {
    async fn start(answers: &'static [usize]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let nth = count.fetch_add(1, Ordering::SeqCst);
                let answers = answers.get(nth).copied().unwrap_or(usize::MAX);
                tokio::spawn(serve(stream, answers));
            }
        });
        let url = format!("http://{address}").parse().expect("a URL");
        let client = connect(Config::new(url), Arc::new(|_| ())).expect("nothing is missing");
        Self {
            client,
            connections,
        }
    }

    fn namespaces(&self) -> Api<Namespace> {
        Api::all(self.client.clone())
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn serve(mut stream: TcpStream, answers: usize) {
    let mut head = Vec::new();
    let mut answered = 0;
    while let Ok(byte) = stream.read_u8().await {
        head.push(byte);
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        let agent = format!("user-agent: {}\r\n", super::USER_AGENT);
        let text = String::from_utf8_lossy(&head).to_lowercase();
        assert!(text.contains(&agent), "{text}");
        head.clear();
        if answered == answers {
            continue;
        }
        answered += 1;
        let body = r#"{"metadata":{"name":"a"}}"#;
        let reply = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream
            .write_all(reply.as_bytes())
            .await
            .expect("it listens");
    }
}

#[tokio::test]
async fn a_connection_that_answered_is_used_again() {
    let server = Server::start(&[]).await;
    for _ in 0..3 {
        call(server.namespaces().get("a"))
            .await
            .expect("it answers");
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn after_a_request_without_an_answer_the_next_request_connects_anew() {
    // Each of the two connections answers one request, then falls silent.
    let server = Server::start(&[1, 1]).await;
    let namespaces = server.namespaces();
    let both = futures::join!(namespaces.get("a"), namespaces.get("b"));
    both.0.expect("it answers");
    both.1.expect("it answers");
    assert_eq!(server.connections(), 2);

    let limit = Duration::from_millis(200);
    let silent = call_within(limit, namespaces.get("a")).await;
    assert_eq!(silent.err(), Some(CallError::TimedOut(limit)));
    call(namespaces.get("a")).await.expect("a new connection");
    assert_eq!(server.connections(), 3);
}
