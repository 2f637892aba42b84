//! One HTTP client for all requests to AWS. All roles and Regions share the connections, the TLS
//! configuration and the trusted certificates. No reply is read beyond a limit, and no connection is used
//! again after a long silence.

use super::{
    connect::{ConnectTimeout, Connector},
    endpoint::{Service, may_be_sent},
    error_text::find,
};
use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        http::{
            HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings,
            SharedHttpClient, SharedHttpConnector,
        },
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
        runtime_components::RuntimeComponents,
    },
};
use aws_smithy_types::{DateTime, body::SdkBody, date_time::Format, retry::ErrorKind};
use http::{
    HeaderValue, Request,
    header::{DATE, PROXY_AUTHORIZATION},
    uri::Scheme,
};
use http_body_util::Limited;
use hyper_util::{
    client::{
        legacy::{
            Client,
            connect::{CaptureConnection, capture_connection},
        },
        proxy::matcher::Matcher,
    },
    rt::{TokioExecutor, TokioTimer},
};
use rustls::RootCertStore;
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};
use tokio::time::timeout;

/// Maximum size of a reply, in bytes. Replies of Cognito and STS have a few kB. A message of a million
/// characters is still read, then cut. The SDK would read into memory until the call's time is over: a
/// gigabyte a second on a good network.
const REPLY_MAX: usize = 4 << 20;

/// How long a connection may be silent and still be used again. Middleboxes forget silent connections without
/// notice, some within half a minute. The next request is then lost, and whether Cognito has applied the
/// request is unknown.
pub(super) const IDLE_MAX: Duration = Duration::from_secs(20);

/// Maximum number of silent connections for each host.
const IDLE_CONNECTIONS: usize = 32;

/// In seconds.
const CENTURY: u64 = 100 * 365 * 86_400;

type Pool = Client<Connector, SdkBody>;

/// A client with these trusted certificates and the environment's proxies.
pub(super) fn client(roots: Arc<RootCertStore>, idle_max: Duration) -> SharedHttpClient {
    let proxies = Arc::new(Matcher::from_env());
    SharedHttpClient::new(Http {
        connector: Connector::new(roots, proxies.clone()),
        proxies,
        idle_max,
        pools: Mutex::default(),
    })
}

struct Http {
    connector: Connector,
    proxies: Arc<Matcher>,
    idle_max: Duration,
    /// One pool for each connect timeout: Cognito's, STS's and those of the metadata services.
    pools: Mutex<HashMap<Option<Duration>, Pool>>,
}

impl Http {
    fn pool(&self, connect_timeout: Option<Duration>) -> Pool {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        pools
            .entry(connect_timeout)
            .or_insert_with(|| {
                Client::builder(TokioExecutor::new())
                    .pool_timer(TokioTimer::new())
                    .pool_idle_timeout(self.idle_max)
                    .pool_max_idle_per_host(IDLE_CONNECTIONS)
                    .build(self.connector.clone().with_connect_timeout(connect_timeout))
            })
            .clone()
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Http(..)")
    }
}

impl HttpClient for Http {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(GuardedConnector {
            pool: self.pool(settings.connect_timeout()),
            proxies: self.proxies.clone(),
            read_timeout: settings.read_timeout(),
        })
    }
}

/// Refuses requests to STS that would cross the network in the clear. The credential chain takes no
/// interceptor, so the endpoint guard doesn't cover requests of the chain.
struct GuardedConnector {
    pool: Pool,
    proxies: Arc<Matcher>,
    read_timeout: Option<Duration>,
}

impl fmt::Debug for GuardedConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GuardedConnector(..)")
    }
}

impl HttpConnector for GuardedConnector {
    /// Each POST goes to Cognito, which the endpoint guard has checked, or to STS, which is checked here. GET
    /// and PUT go to the metadata services, which are plain HTTP by design.
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        if request.method() == "POST"
            && let Err(error) = may_be_sent(Service::Sts, request.uri(), Matcher::from_env)
        {
            return HttpConnectorFuture::ready(Err(ConnectorError::user(error.into())));
        }
        let mut request = match request.try_into_http1x() {
            Ok(request) => request,
            Err(error) => {
                return HttpConnectorFuture::ready(Err(ConnectorError::user(error.into())));
            }
        };
        if let Some(authorization) = self.forward_authorization(&request) {
            request
                .headers_mut()
                .insert(PROXY_AUTHORIZATION, authorization);
        }
        let poison = PoisonOnDrop(Some(capture_connection(&mut request)));
        let (pool, read_timeout) = (self.pool.clone(), self.read_timeout);
        HttpConnectorFuture::new(async move { send(&pool, request, read_timeout, poison).await })
    }
}

impl GuardedConnector {
    /// The credentials for a proxy that reads the request itself. For a tunnel, the connector sends the
    /// credentials.
    fn forward_authorization(&self, request: &Request<SdkBody>) -> Option<HeaderValue> {
        let plain = request.uri().scheme() == Some(&Scheme::HTTP);
        let proxy = self.proxies.intercept(request.uri()).filter(|_| plain)?;
        proxy.basic_auth().cloned()
    }
}

async fn send(
    pool: &Pool,
    request: Request<SdkBody>,
    read_timeout: Option<Duration>,
    mut poison: PoisonOnDrop,
) -> Result<HttpResponse, ConnectorError> {
    let reply = pool.request(request);
    let reply = match read_timeout {
        None => reply.await,
        Some(limit) => match timeout(limit, reply).await {
            Ok(reply) => reply,
            Err(_) => return Err(ConnectorError::timeout(ReadTimeout(limit).into())),
        },
    };
    let reply = reply.map_err(|error| connector_error(error.into()))?;
    poison.0 = None;
    let mut reply = reply;
    if !is_possible_date(reply.headers().get(DATE), SystemTime::now()) {
        reply.headers_mut().remove(DATE);
    }
    let reply = reply.map(|body| SdkBody::from_body_1_x(Limited::new(body, REPLY_MAX)));
    HttpResponse::try_from(reply).map_err(|error| ConnectorError::other(error.into(), None))
}

/// Whether a reply's `Date` is within a century of now; a missing or unreadable `Date` counts as possible.
/// The SDK adds the difference to the time of each later request, and a request after the year 9999 panics.
fn is_possible_date(date: Option<&HeaderValue>, now: SystemTime) -> bool {
    let date = date.and_then(|date| date.to_str().ok());
    let date = date.and_then(|date| DateTime::from_str(date, Format::HttpDate).ok());
    let now = DateTime::from(now).secs();
    date.is_none_or(|date| date.secs().abs_diff(now) <= CENTURY)
}

/// No reply came within this time.
#[derive(Debug, thiserror::Error)]
#[error("no reply within {0:?}")]
struct ReadTimeout(Duration);

/// The connection of a request in flight. If no reply comes, no request uses the connection again: with
/// HTTP/2, all calls would share a silent connection until its end.
struct PoisonOnDrop(Option<CaptureConnection>);

impl Drop for PoisonOnDrop {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take()
            && let Some(connection) = connection.connection_metadata().as_ref()
        {
            connection.poison();
        }
    }
}

/// Classifies an error for the SDK's retries, which only STS and the metadata services have.
fn connector_error(error: BoxError) -> ConnectorError {
    if find::<ConnectTimeout>(&*error).is_some() {
        return ConnectorError::timeout(error);
    }
    let of_connection = find::<hyper_util::client::legacy::Error>(&*error)
        .is_some_and(hyper_util::client::legacy::Error::is_connect);
    let of_network = find::<std::io::Error>(&*error).is_some();
    let closed =
        find::<hyper::Error>(&*error).is_some_and(|error| error.is_closed() || error.is_canceled());
    if of_connection || of_network || closed || is_unprocessed(&*error) {
        ConnectorError::io(error)
    } else {
        ConnectorError::other(error, Some(ErrorKind::TransientError))
    }
}

/// Whether a request provably had no effect although there was a connection for the request. There are two
/// cases:
///
/// - hyper had not handed the request to the connection.
/// - The server says with HTTP/2 that the request was not processed (RFC 9113, 6.8 and 8.7): by a GOAWAY
///   whose last stream is an earlier one, or by `REFUSED_STREAM`.
///
/// Read in h2 0.4.20: after a GOAWAY of the server, only the requests that the server did not accept end with
/// this error. All others end with an I/O error. Read in hyper 1.12.0: a request is cancelled only as long as
/// hyper can give the request back.
pub(super) fn is_unprocessed(error: &(dyn std::error::Error + 'static)) -> bool {
    find::<hyper::Error>(error).is_some_and(hyper::Error::is_canceled)
        || find::<h2::Error>(error).is_some_and(|error| {
            let refused = error.reason() == Some(h2::Reason::REFUSED_STREAM);
            error.is_remote() && (error.is_go_away() || (error.is_reset() && refused))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(None, true)]
    #[case(Some("no date"), true)]
    #[case(Some("Thu, 01 Jan 1970 00:00:00 GMT"), true)]
    #[case(Some("Sat, 01 Jan 2050 00:00:00 GMT"), true)]
    #[case(Some("Fri, 31 Dec 9999 23:59:59 GMT"), false)]
    fn a_date_that_would_break_later_signatures_is_removed(
        #[case] date: Option<&'static str>,
        #[case] possible: bool,
    ) {
        let now = SystemTime::UNIX_EPOCH + Duration::from_hours(500_000);
        let date = date.map(HeaderValue::from_static);
        assert_eq!(is_possible_date(date.as_ref(), now), possible);
    }
}
