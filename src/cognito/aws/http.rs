//! One HTTP client for everything that goes to AWS: connections, TLS configuration and the trusted
//! certificates are there once, however many roles and Regions there are. Measured with 300 roles: 27 kB
//! for each of them, and 130 kB where each client has an HTTP client of its own. No reply is read beyond
//! a limit.

use super::endpoint::{Service, may_be_sent};
use aws_smithy_http_client::{
    Builder, ConnectorBuilder,
    proxy::ProxyConfig,
    tls::{Provider, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::{
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector,
        http_client_fn,
    },
    orchestrator::HttpRequest,
    result::ConnectorError,
};
use aws_smithy_types::body::SdkBody;
use http_body_util::Limited;
use hyper_util::client::proxy::matcher::Matcher;

/// The longest reply that is read, in bytes: Cognito's and STS's have a few kB, and a message of a
/// million characters is still read and cut. The SDK would read what
/// comes until the call's time is over, into memory: a gigabyte a second on a good network.
const REPLY_MAX: usize = 4 << 20;

/// As the SDK makes its own (aws-smithy-runtime 1.16.2, client/http.rs): the proxies of the
/// environment, the trusted certificates of the system or of `SSL_CERT_FILE`. The SDK would make one
/// for each of its clients.
pub(super) fn client() -> SharedHttpClient {
    guarded(
        Builder::new().build_with_connector_fn(|settings, components| {
            let provider = Provider::Rustls(CryptoMode::AwsLc);
            let mut connector = ConnectorBuilder::default()
                .tls_provider(provider)
                .proxy_config(ProxyConfig::from_env());
            connector.set_connector_settings(settings.cloned());
            if let Some(components) = components {
                connector.set_sleep_impl(components.sleep_impl());
            }
            connector.build()
        }),
    )
}

/// Keeps what is asked of STS off the network in the clear, also where the credential chain asks it,
/// which takes no interceptor.
fn guarded(client: SharedHttpClient) -> SharedHttpClient {
    http_client_fn(move |settings, components| {
        SharedHttpConnector::new(Guarded(client.http_connector(settings, components)))
    })
}

#[derive(Debug)]
struct Guarded(SharedHttpConnector);

impl HttpConnector for Guarded {
    /// A POST is Cognito's, which has passed its own guard, or STS's. The metadata services, which are
    /// plain HTTP by design, are asked with GET and PUT.
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        if request.method() == "POST"
            && let Err(error) = may_be_sent(Service::Sts, request.uri(), Matcher::from_env)
        {
            return HttpConnectorFuture::ready(Err(ConnectorError::user(error.into())));
        }
        let reply = self.0.call(request);
        HttpConnectorFuture::new(async {
            let limited = |body| SdkBody::from_body_1_x(Limited::new(body, REPLY_MAX));
            reply.await.map(|reply| reply.map(limited))
        })
    }
}
