//! Connections to AWS: TCP, the environment's proxy, TLS.
//!
//! The SDK's own connector has no TCP keepalive, and its new pool keeps an entry for each host for ever
//! (aws-smithy-http-client 1.5.2). So this module assembles the same stack: hyper-util's client, CONNECT
//! tunnel and proxy matcher, and hyper-rustls.

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::{
    client::{
        legacy::connect::{Connected, Connection, HttpConnector, proxy::Tunnel},
        proxy::matcher::Matcher,
    },
    rt::TokioIo,
};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use std::{
    error::Error,
    future::Future,
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{net::TcpStream, time::timeout};
use tower_service::Service;

/// Silence on a connection before TCP sends the first keepalive probe. The probe comes before a middlebox
/// forgets the connection. A connection that is dead all the same is closed.
const KEEPALIVE: Duration = Duration::from_secs(10);
/// The time between two keepalive probes.
const KEEPALIVE_AGAIN: Duration = Duration::from_secs(5);
/// The number of unanswered probes after which TCP closes the connection.
const KEEPALIVE_TIMES: u32 = 2;

type BoxError = Box<dyn Error + Send + Sync>;
type Connecting<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

/// No connection came about within this time.
#[derive(Debug, thiserror::Error)]
#[error("no connection within {0:?}")]
pub(super) struct ConnectTimeout(Duration);

/// Makes connections for hyper-util's client. The limit covers DNS, TCP, the proxy and TLS together.
#[derive(Clone)]
pub(super) struct Connector {
    https: HttpsConnector<Route>,
    limit: Option<Duration>,
}

impl Connector {
    pub(super) fn new(roots: Arc<RootCertStore>, proxies: Arc<Matcher>) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(KEEPALIVE));
        tcp.set_keepalive_interval(Some(KEEPALIVE_AGAIN));
        tcp.set_keepalive_retries(Some(KEEPALIVE_TIMES));
        let to_proxy = HttpsConnector::from((tcp.clone(), tls(roots.clone(), &["http/1.1"])));
        let route = Route {
            tcp,
            to_proxy,
            proxies,
        };
        Self {
            https: HttpsConnector::from((route, tls(roots, &["h2", "http/1.1"]))),
            limit: None,
        }
    }

    pub(super) fn with_connect_timeout(mut self, limit: Option<Duration>) -> Self {
        self.limit = limit;
        self
    }
}

fn tls(roots: Arc<RootCertStore>, protocols: &[&str]) -> ClientConfig {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("aws-lc-rs speaks TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols
        .iter()
        .map(|name| name.as_bytes().to_vec())
        .collect();
    config
}

impl Service<http::Uri> for Connector {
    type Response = MaybeHttpsStream<TransportStream>;
    type Error = BoxError;
    type Future = Connecting<Self::Response>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.https.poll_ready(context)
    }

    fn call(&mut self, to: http::Uri) -> Self::Future {
        let connecting = self.https.call(to);
        match self.limit {
            None => connecting,
            Some(limit) => Box::pin(async move {
                timeout(limit, connecting)
                    .await
                    .unwrap_or_else(|_| Err(ConnectTimeout(limit).into()))
            }),
        }
    }
}

/// The route to a host: direct, or through the proxy that the environment names for the host.
#[derive(Clone)]
struct Route {
    tcp: HttpConnector,
    to_proxy: HttpsConnector<HttpConnector>,
    proxies: Arc<Matcher>,
}

impl Service<http::Uri> for Route {
    type Response = TransportStream;
    type Error = BoxError;
    type Future = Connecting<TransportStream>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tcp.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, to: http::Uri) -> Self::Future {
        let Some(proxy) = self.proxies.intercept(&to) else {
            let connecting = self.tcp.call(to);
            return Box::pin(async move {
                Ok(TransportStream {
                    stream: MaybeHttpsStream::Http(connecting.await?),
                    forwarded: false,
                })
            });
        };
        if to.scheme() == Some(&http::uri::Scheme::HTTPS) {
            let mut tunnel = Tunnel::new(proxy.uri().clone(), self.to_proxy.clone());
            if let Some(authorization) = proxy.basic_auth() {
                tunnel = tunnel.with_auth(authorization.clone());
            }
            Box::pin(async move {
                Ok(TransportStream {
                    stream: tunnel.call(to).await?,
                    forwarded: false,
                })
            })
        } else {
            let connecting = self.to_proxy.call(proxy.uri().clone());
            Box::pin(async move {
                Ok(TransportStream {
                    stream: connecting.await?,
                    forwarded: true,
                })
            })
        }
    }
}

/// A connection to a host or to its proxy, before TLS with the host.
pub(super) struct TransportStream {
    stream: MaybeHttpsStream<TokioIo<TcpStream>>,
    /// Whether a proxy reads the requests themselves. Then each request names the host.
    forwarded: bool,
}

impl Connection for TransportStream {
    fn connected(&self) -> Connected {
        self.stream.connected().proxy(self.forwarded)
    }
}

impl Read for TransportStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl Write for TransportStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, buffers)
    }
}
