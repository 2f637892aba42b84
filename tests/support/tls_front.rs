//! TLS in front of a server without TLS, with a certificate of the control plane's CA, which no system
//! trusts.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::certificates::Pair;
use super::control_plane::ControlPlane;
use super::server::Server;

/// All connections close when this value is dropped.
pub(crate) struct TlsFront {
    server: Server,
    ca: PathBuf,
}

impl TlsFront {
    /// Starts in front of the server at this URL, `http://ADDRESS:PORT`.
    pub(crate) fn start(plane: &ControlPlane, behind: &str) -> Self {
        let certificates = plane.certificates();
        Self::serve(&certificates.server, &certificates.ca, behind, false)
    }

    /// Starts as an HTTP proxy that opens TLS: whichever of AWS's hosts a client asks for, the client gets the server
    /// at this URL.
    pub(crate) fn proxy(plane: &ControlPlane, behind: &str) -> Self {
        let certificates = plane.certificates();
        Self::serve(&certificates.aws, &certificates.ca, behind, true)
    }

    fn serve(pair: &Pair, ca: &Path, behind: &str, is_proxy: bool) -> Self {
        let certificate = CertificateDer::from_pem_file(&pair.certificate);
        let certificate = certificate.expect("we wrote this certificate");
        let key = PrivateKeyDer::from_pem_file(&pair.key);
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider knows TLS 1.3")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key.expect("we wrote this key"))
            .expect("the key is the certificate's");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let behind: Arc<str> = behind.trim_start_matches("http://").into();
        let server = Server::start("tls", move |mut stream| {
            let (acceptor, behind) = (acceptor.clone(), Arc::clone(&behind));
            async move {
                if is_proxy && connected(&mut stream).await.is_err() {
                    return;
                }
                // A client that does not trust the CA closes the connection.
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    return;
                };
                let Ok(mut behind) = TcpStream::connect(&*behind).await else {
                    return;
                };
                let _ = copy_bidirectional(&mut stream, &mut behind).await;
            }
        });
        Self {
            server,
            ca: ca.to_owned(),
        }
    }

    /// The URL of the proxy for `HTTPS_PROXY`.
    pub(crate) fn proxy_url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}", self.server.address().port())
    }

    /// The file with the CA's certificate.
    pub(crate) fn ca(&self) -> String {
        self.ca.display().to_string()
    }
}

/// Reads a `CONNECT` and agrees.
async fn connected(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    if head.starts_with(b"CONNECT ") {
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await
    } else {
        Err(std::io::ErrorKind::Unsupported.into())
    }
}
