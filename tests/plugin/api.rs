//! An API server of a few fixed answers, or of silence, which remembers what it was asked.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    sync::{Arc, Mutex},
    thread,
};

use serde_json::{Value, json};

/// The part of a path, and the answer to its requests. What fits none is not found.
pub(crate) type Answers = &'static [(&'static str, &'static str)];

/// A fake API server on loopback. Ends with the test's process.
pub(crate) struct Api {
    address: SocketAddr,
    folder: tempfile::TempDir,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Api {
    /// An API server that gives these answers.
    pub(crate) fn answering(answers: Answers) -> Self {
        Self::start(Some(answers))
    }

    /// An API server that takes requests, and never answers.
    pub(crate) fn silent() -> Self {
        Self::start(None)
    }

    fn start(answers: Option<Answers>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let remembered = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let remembered = Arc::clone(&remembered);
                thread::spawn(move || serve(&stream, answers, &remembered));
            }
        });
        Self {
            address,
            folder: tempfile::tempdir().expect("a temporary folder"),
            asked,
        }
    }

    /// A kubeconfig whose current context names this API server.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        let server = format!("http://{}", self.address);
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{ "name": "one", "cluster": { "server": server } }],
            "users": [{ "name": "one", "user": {} }],
            "contexts": [{ "name": "one", "context": { "cluster": "one", "user": "one", "namespace": "team-a" } }],
            "current-context": "one",
        });
        let file = self.folder.path().join("kubeconfig");
        std::fs::write(&file, config.to_string()).expect("a file");
        file
    }

    /// The heads of the requests so far, in lower case.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no test panicked").clone()
    }
}

fn serve(mut stream: &TcpStream, answers: Option<Answers>, asked: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or_default() == 0 {
                return;
            }
            let line = line.to_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
            if line.trim().is_empty() {
                break;
            }
            head.push_str(&line);
        }
        let mut body = vec![0; length];
        if std::io::Read::read_exact(&mut reader, &mut body).is_err() {
            return;
        }
        asked.lock().expect("no test panicked").push(head.clone());
        let Some(answers) = answers else {
            // The caller closes the connection, which ends the read.
            continue;
        };
        let path = head.split(' ').nth(1).unwrap_or_default();
        let answer = answers.iter().find(|(part, _)| path.contains(part));
        let (status, text) = match answer {
            Some((_, text)) => ("200 OK", (*text).to_owned()),
            None => ("404 Not Found", not_found().to_string()),
        };
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{text}",
            text.len()
        );
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn not_found() -> Value {
    json!({ "apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404, "message": "the server could not find the requested resource" })
}
