//! An API server for tests, which gives prepared answers.

use crate::cluster::connect;
use kube::{Client, Config};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// The answer to each request whose line, such as `GET /version HTTP/1.1`, has this part: status and body. Several
/// answers with the same part are given in turn, the last one again and again.
pub(crate) type Answers = &'static [(&'static str, u16, &'static str)];

/// How often each part has fitted.
type Hits = Arc<Mutex<HashMap<&'static str, usize>>>;

/// A client of an API server that gives the fitting answer, and otherwise 404.
pub(crate) async fn client(answers: Answers) -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let hits = Hits::default();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("a client");
            tokio::spawn(answer(stream, answers, Arc::clone(&hits)));
        }
    });
    let url = format!("http://{address}").parse().expect("a URL");
    connect(Config::new(url), Arc::new(|_| ())).expect("a client")
}

/// Answers the requests of one connection.
async fn answer(mut stream: TcpStream, answers: Answers, hits: Hits) {
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
        let (status, body) = fitting(line, answers, &hits);
        let reply = format!(
            "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        // A client that has gone needs no answer.
        let _ = stream.write_all(reply.as_bytes()).await;
        read.clear();
    }
}

fn fitting(line: &str, answers: Answers, hits: &Hits) -> (u16, &'static str) {
    let Some((part, _, _)) = answers.iter().find(|(part, _, _)| line.contains(part)) else {
        return (404, NOT_FOUND);
    };
    let mut hits = hits.lock().expect("no thread has panicked");
    let hit = hits.entry(part).or_default();
    let in_turn = answers.iter().filter(|it| it.0 == *part);
    let (_, status, body) = in_turn.take(*hit + 1).last().expect("an answer");
    *hit += 1;
    (*status, body)
}

const NOT_FOUND: &str =
    r#"{"kind":"Status","status":"Failure","reason":"NotFound","message":"not found","code":404}"#;

/// The answer to a review of the caller's own rights: the caller has each right.
pub(crate) const MAY: (&str, u16, &str) = (
    "selfsubjectaccessreviews",
    201,
    r#"{"apiVersion":"authorization.k8s.io/v1","kind":"SelfSubjectAccessReview","spec":{},"status":{"allowed":true}}"#,
);
