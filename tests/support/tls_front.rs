//! TLS in front of a server without TLS, with a certificate of the control plane's CA, which no system
//! trusts.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

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
        let certificate = CertificateDer::from_pem_file(&certificates.server.certificate);
        let certificate = certificate.expect("we wrote this certificate");
        let key = PrivateKeyDer::from_pem_file(&certificates.server.key);
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider knows TLS 1.3")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key.expect("we wrote this key"))
            .expect("the key is the certificate's");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let behind: Arc<str> = behind.trim_start_matches("http://").into();
        let server = Server::start("tls", move |stream| {
            let (acceptor, behind) = (acceptor.clone(), Arc::clone(&behind));
            async move {
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
            ca: certificates.ca.clone(),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}", self.server.address().port())
    }

    /// The file with the CA's certificate.
    pub(crate) fn ca(&self) -> String {
        self.ca.display().to_string()
    }
}
