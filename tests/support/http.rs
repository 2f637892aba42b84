//! The few lines of HTTP that asking our own servers takes.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// GET over plain HTTP: status and body. HTTP/1.0, so that the body comes unchunked and ends with
/// the connection.
pub(crate) async fn get(port: u16, path: &str) -> Result<(u16, String), String> {
    tokio::time::timeout(Duration::from_secs(10), exchange(port, path))
        .await
        .unwrap_or_else(|_| Err(std::io::Error::other("no reply within 10 s")))
        .map_err(|error| format!("GET {path}: {error}"))
}

async fn exchange(port: u16, path: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).await?;
    let reply = String::from_utf8_lossy(&reply);
    let (head, body) = reply
        .split_once("\r\n\r\n")
        .ok_or_else(|| std::io::Error::other("the reply has no headers"))?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .ok_or_else(|| std::io::Error::other("the reply has no status"))?;
    Ok((status, body.to_owned()))
}
