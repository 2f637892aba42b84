//! TLS on both sides: the API server's certificate towards the operator, the cluster's CA towards the API
//! server.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::super::certificates::Certificates;

pub(super) struct Tls {
    acceptor: TlsAcceptor,
    connector: TlsConnector,
    api_server: SocketAddr,
}

impl Tls {
    pub(super) fn new(certificates: &Certificates, api_server: &str) -> Self {
        let read = |path| CertificateDer::from_pem_file(path).expect("we wrote this certificate");
        let key = PrivateKeyDer::from_pem_file(&certificates.server.key);
        let key = key.expect("we wrote this key");
        let provider = Arc::new(aws_lc_rs::default_provider());
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("the provider knows TLS 1.3")
            .with_no_client_auth()
            .with_single_cert(vec![read(&certificates.server.certificate)], key)
            .expect("the key is the certificate's");
        let mut roots = RootCertStore::empty();
        let added = roots.add(read(&certificates.ca));
        added.expect("we made this CA");
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider knows TLS 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let address = api_server.trim_start_matches("https://").parse();
        Self {
            acceptor: TlsAcceptor::from(Arc::new(server)),
            connector: TlsConnector::from(Arc::new(client)),
            api_server: address.expect("an address and a port"),
        }
    }

    pub(super) async fn accept(
        &self,
        stream: TcpStream,
    ) -> std::io::Result<tokio_rustls::server::TlsStream<TcpStream>> {
        self.acceptor.accept(stream).await
    }

    pub(super) async fn connect(
        &self,
    ) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.api_server).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::IpAddress(self.api_server.ip().into());
        self.connector.connect(name, stream).await
    }
}
