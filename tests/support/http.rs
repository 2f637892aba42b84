//! A minimal HTTP client for the test servers.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Long enough for a server on a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);

/// GET over plain HTTP; returns status and body. Uses HTTP/1.0, so that the body is not chunked and ends with
/// the connection.
pub(crate) async fn get(port: u16, path: &str) -> Result<(u16, String), String> {
    ask(port, &format!("GET {path}"), "", "").await
}

/// POST over plain HTTP; each header ends with a line break.
pub(crate) async fn post(
    port: u16,
    path: &str,
    headers: &str,
    body: &str,
) -> Result<(u16, String), String> {
    let headers = format!("{headers}Content-Length: {}\r\n", body.len());
    ask(port, &format!("POST {path}"), &headers, body).await
}

async fn ask(port: u16, what: &str, headers: &str, body: &str) -> Result<(u16, String), String> {
    let request = request(what, headers, body);
    tokio::time::timeout(PATIENCE, exchange(port, &request))
        .await
        .unwrap_or_else(|_| {
            Err(std::io::Error::other(format!(
                "no reply within {PATIENCE:?}"
            )))
        })
        .map_err(|error| format!("{what}: {error}"))
}

async fn exchange(port: u16, request: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
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

/// GET without a runtime, of a server that may not answer; returns the whole reply.
pub(crate) fn get_blocking(port: u16, path: &str) -> std::io::Result<Vec<u8>> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = std::net::TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request(&format!("GET {path}"), "", "").as_bytes())?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply)?;
    Ok(reply)
}

fn request(what: &str, headers: &str, body: &str) -> String {
    format!("{what} HTTP/1.0\r\nHost: 127.0.0.1\r\n{headers}\r\n{body}")
}
