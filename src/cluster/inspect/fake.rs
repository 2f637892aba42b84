//! An API server for tests, which gives prepared answers.

use crate::cluster::connect;
use kube::{Client, Config};
use std::sync::Arc;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// The answer to each request whose line, such as `GET /version HTTP/1.1`, has this part: status and body.
pub(super) type Answers = &'static [(&'static str, u16, &'static str)];

/// A client of an API server that gives the first fitting answer, and otherwise 404.
pub(super) async fn client(answers: Answers) -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("a client");
            tokio::spawn(answer(stream, answers));
        }
    });
    let url = format!("http://{address}").parse().expect("a URL");
    connect(Config::new(url), Arc::new(|_| ())).expect("a client")
}

/// Answers the requests of one connection.
async fn answer(mut stream: TcpStream, answers: Answers) {
    let mut read = Vec::new();
    let mut some = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut some).await {
        read.extend_from_slice(&some[..length]);
        let text = String::from_utf8_lossy(&read).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let of_body = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            let is_length = name.eq_ignore_ascii_case("content-length");
            is_length.then(|| value.parse::<usize>().expect("a length"))
        });
        if body.len() < of_body.unwrap_or_default() {
            continue;
        }
        let line = head.lines().next().unwrap_or_default();
        let found = answers.iter().find(|(part, _, _)| line.contains(part));
        let (status, body) = found.map_or((404, "{}"), |(_, status, body)| (*status, *body));
        let reply = format!(
            "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        // A client that has gone needs no answer.
        let _ = stream.write_all(reply.as_bytes()).await;
        read.clear();
    }
}
