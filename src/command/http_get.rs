//! Reads the pages of the operator's own port over plain HTTP.

use crate::{
    cluster::chain,
    core::checkup::judge::facts::{Answer, Page},
};
use http_body_util::{BodyExt, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use std::time::Duration;

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The longest answer that is read, in bytes. `/metrics` has some 30 KB.
const ANSWER_MAX: usize = 1024 * 1024;

/// `/readyz` and `/metrics` at an address, such as `http://localhost:8080`.
pub(super) async fn pages_at(url: &str) -> Page {
    let url = url.trim_end_matches('/');
    let (readyz, metrics) = (format!("{url}/readyz"), format!("{url}/metrics"));
    let (readyz, metrics) = futures::join!(http_get(&readyz), http_get(&metrics));
    Page {
        of: url.to_owned(),
        readyz,
        metrics,
    }
}

/// Gets a URL, such as `http://cognito-password-operator:8080/readyz`. Returns the status and the text of the
/// answer, without control characters but line breaks.
///
/// # Errors
/// Why there is no answer.
async fn http_get(url: &str) -> Answer {
    let url: http::Uri = url.parse().map_err(|_| format!("{url} is not a URL"))?;
    let client: Client<_, String> =
        Client::builder(TokioExecutor::new()).build(HttpConnector::new());
    let answer = async {
        let response = client.get(url).await.map_err(|error| chain(&error))?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), ANSWER_MAX)
            .collect()
            .await;
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        let text = String::from_utf8_lossy(&body);
        Ok((
            status,
            text.replace(|it: char| it.is_control() && it != '\n', " "),
        ))
    };
    match tokio::time::timeout(TIMEOUT, answer).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no answer within {} s", TIMEOUT.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    /// Serves this response to one request. Returns the address.
    async fn serve(response: String) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a client");
            let mut head = [0; 1024];
            let read = stream.read(&mut head).await.expect("a request");
            assert!(head[..read].starts_with(b"GET /readyz HTTP/1.1"));
            // A client that has read enough closes the connection.
            let _ = stream.write_all(response.as_bytes()).await;
        });
        format!("http://{address}/readyz")
    }

    #[tokio::test]
    async fn status_and_text_come_back_without_control_characters() {
        let body = "lease: \u{1b}[31mred\nkeys: b\n";
        let url = serve(format!(
            "HTTP/1.1 503 Service Unavailable\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ));
        let answer = http_get(&url.await).await;
        assert_eq!(answer, Ok((503, "lease:  [31mred\nkeys: b\n".to_owned())));
    }

    #[tokio::test]
    async fn an_endless_answer_is_an_error() {
        let url = serve(format!(
            "HTTP/1.1 200 OK\r\ncontent-length: 9999999\r\n\r\n{}",
            "x".repeat(ANSWER_MAX + 1)
        ));
        let answer = http_get(&url.await).await;
        assert!(answer.is_err(), "{answer:?}");
    }

    #[tokio::test]
    async fn a_closed_port_is_an_error_that_says_so() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        let answer = http_get(&format!("http://{address}/readyz")).await;
        let why = answer.expect_err("nobody listens");
        assert!(why.contains("refused"), "{why}");
    }
}
