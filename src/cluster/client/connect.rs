//! The client of the API server: connections, user agent, and measures against silent connections.
//!
//! A network may drop packets without an error. Under the network policies of some CNIs the first connections
//! of a pod are half dead, and middleboxes forget idle connections. Three measures keep requests from waiting
//! on such a connection again and again:
//!
//! - TCP keepalive closes a connection whose other side has answered no probe for a minute.
//! - A connection that was idle for 30 s isn't used again.
//! - A request that is given up without an answer closes its connection. No idle connection from before is
//!   used again either: the next request connects anew.

use super::{
    call::{CALL_TIMEOUT, chain},
    request_count::{CountedRequests, RequestObserver},
};
use futures::future::BoxFuture;
use hyper::body::Incoming;
use hyper_timeout::TimeoutConnector;
use hyper_util::{
    client::legacy::{
        self,
        connect::{Connect, HttpConnector},
    },
    rt::{TokioExecutor, TokioTimer},
};
use kube::{
    Client, Config,
    client::{Body, ClientBuilder, ConfigExt},
    config::{InferConfigError, KubeConfigOptions, Kubeconfig, KubeconfigError},
};
use std::{
    error::Error,
    io::ErrorKind,
    net::IpAddr,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};
use tower_layer::layer_fn;
use tower_service::Service;

/// The operator's user agent, which the API server's audit log records.
const USER_AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

/// A watch ends after 200 s, because some load balancers drop connections that were idle for 240 s. kube
/// gives up a watch after 5 more seconds of silence.
#[cfg(feature = "operator")]
pub(crate) const WATCH_TIMEOUT_SECONDS: u32 = 200;

/// A connection without incoming data for this long is dead. Longer than any watch is silent.
const READ_TIMEOUT: Duration = Duration::from_secs(210);

/// Silence on a connection before TCP sends the first keepalive probe.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// The time between two keepalive probes.
const KEEPALIVE_AGAIN: Duration = Duration::from_secs(10);
/// The number of unanswered probes after which TCP closes the connection.
const KEEPALIVE_TRIES: u32 = 3;

/// A connection that was idle for longer isn't used again.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// The client for an inferred configuration. kube's own retries are off, because kube would repeat a fenced
/// write up to 15 times. The read timeout is longer than any idle watch is silent. `observer` takes each request
/// that has ended.
///
/// # Errors
/// What is wrong with certificates, proxy or credentials, in one line.
pub fn connect(mut config: Config, observer: RequestObserver) -> Result<Client, String> {
    config.default_retry = false;
    config.connect_timeout = Some(CALL_TIMEOUT);
    config.read_timeout = Some(READ_TIMEOUT);
    let agent = http::HeaderValue::from_static(USER_AGENT);
    config.headers.push((http::header::USER_AGENT, agent));
    if is_loopback(config.cluster_url.host()) {
        // Like Go, and so kubectl: a request to this machine never uses a proxy.
        config.proxy_url = None;
    }
    let client = if config.proxy_url.is_some() {
        // Only kube's own builder handles the credentials of a proxy.
        let count = layer_fn(|inner| CountedRequests::new(inner, observer.clone()));
        ClientBuilder::try_from(config).map(|builder| builder.with_layer(&count).build())
    } else {
        build_client(&config, observer)
    };
    client.map_err(|error| chain(&error))
}

/// The configuration of the API server, found as kubectl finds it.
///
/// # Errors
/// Why there is none, in one line.
pub async fn infer_config() -> Result<Config, String> {
    let config = Config::infer().await;
    config.map_err(|error| not_configured(&error))
}

fn not_configured(error: &InferConfigError) -> String {
    format!(
        "no API server is configured, neither by KUBECONFIG nor by a pod's ServiceAccount: {}",
        without_content(error)
    )
}

/// Why there is no configuration of the API server, in one line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ConfigError {
    /// The caller named a kubeconfig or a context that isn't there, or a kubeconfig isn't valid.
    Wrong(String),
    /// No kubeconfig is named, none is in the usual place, and this is no pod.
    Missing(String),
}

/// The configuration of a person or a pod: of the file and the context that the caller names, or else found as
/// kubectl finds it.
///
/// # Errors
/// Why there is none.
pub async fn caller_config(
    file: Option<&Path>,
    context: Option<&str>,
) -> Result<Config, ConfigError> {
    if file.is_some() || context.is_some() {
        let config = kubeconfig_config(file, context).await;
        return config.map_err(ConfigError::Wrong);
    }
    let error = match Config::infer().await {
        Ok(config) => return Ok(config),
        Err(error) => error,
    };
    let is_named = std::env::var_os("KUBECONFIG").is_some_and(|it| !it.is_empty());
    let cause = error.source().and_then(|cause| cause.downcast_ref());
    if is_named || !is_absent(cause) {
        Err(ConfigError::Wrong(cause_without_content(cause)))
    } else {
        Err(ConfigError::Missing(not_configured(&error)))
    }
}

/// Whether there is no kubeconfig in the usual place.
fn is_absent(cause: Option<&KubeconfigError>) -> bool {
    match cause {
        Some(KubeconfigError::ReadConfig(error, _)) => error.kind() == ErrorKind::NotFound,
        Some(KubeconfigError::FindPath) | None => true,
        Some(_) => false,
    }
}

/// The configuration of one kubeconfig file, or of a context. Without a file, the file is found as kubectl finds
/// it; without a context, the current context counts.
///
/// # Errors
/// What is wrong, in one line.
async fn kubeconfig_config(file: Option<&Path>, context: Option<&str>) -> Result<Config, String> {
    let read = match file {
        Some(file) => Kubeconfig::read_from(file),
        None => Kubeconfig::read(),
    };
    let options = KubeConfigOptions {
        context: context.map(str::to_owned),
        ..KubeConfigOptions::default()
    };
    let config = match read {
        Ok(kubeconfig) => Config::from_custom_kubeconfig(kubeconfig, &options).await,
        Err(error) => Err(error),
    };
    config.map_err(|error| cause_without_content(Some(&error)))
}

/// What is wrong with the kubeconfig, without its content: the parser's error quotes the lines around the
/// mistake, and these lines may contain tokens and keys.
fn without_content(error: &InferConfigError) -> String {
    cause_without_content(error.source().and_then(|cause| cause.downcast_ref()))
}

fn cause_without_content(cause: Option<&KubeconfigError>) -> String {
    match cause {
        Some(KubeconfigError::Parse(_)) => {
            "the kubeconfig is not valid, `kubectl config view` says where".to_owned()
        }
        Some(KubeconfigError::LoadContext(name)) => {
            let name = name.replace(char::is_control, " ");
            format!("the kubeconfig has no context {name}")
        }
        Some(KubeconfigError::CurrentContextNotSet) => {
            "the kubeconfig has no current context, `kubectl config use-context` sets one"
                .to_owned()
        }
        Some(cause) => cause.to_string().replace(char::is_control, " "),
        None => "no kubeconfig".to_owned(),
    }
}

/// Does the same as kube's own builder, plus the measures that the module's documentation lists.
fn build_client(config: &Config, observer: RequestObserver) -> kube::Result<Client> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(KEEPALIVE));
    tcp.set_keepalive_interval(Some(KEEPALIVE_AGAIN));
    tcp.set_keepalive_retries(Some(KEEPALIVE_TRIES));
    let mut connector = TimeoutConnector::new(config.rustls_https_connector_with_connector(tcp)?);
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(config.read_timeout);

    let service = CountedRequests::new(Connections::new(connector), observer);
    let builder = ClientBuilder::new(service, config.default_namespace.clone());
    let builder = builder.with_layer(&config.extra_headers_layer()?);
    let base = config.base_uri_layer();
    Ok(match config.auth_layer()? {
        Some(auth) => builder.with_layer(&auth).with_layer(&base).build(),
        None => builder.with_layer(&base).build(),
    })
}

fn is_loopback(host: Option<&str>) -> bool {
    let host = host.unwrap_or_default().trim_matches(['[', ']']);
    let ip = host.parse::<IpAddr>();
    host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
}

/// The open connections, as a tower service.
struct Connections<C>(Arc<Pools<C>>);

/// The pool in use, and the connector for the next pool.
struct Pools<C> {
    connector: C,
    current: Mutex<PoolGeneration<C>>,
}

/// A pool, and the number of earlier pools.
struct PoolGeneration<C> {
    generation: u64,
    pool: legacy::Client<C, Body>,
}

/// A request without an answer so far. If the request is dropped in this state, the next request connects
/// anew.
struct RequestGuard<C: Connect + Clone> {
    pools: Arc<Pools<C>>,
    generation: u64,
    is_answered: bool,
}

impl<C: Connect + Clone> Connections<C> {
    fn new(connector: C) -> Self {
        let pool = pool(connector.clone());
        let current = Mutex::new(PoolGeneration {
            generation: 0,
            pool,
        });
        Self(Arc::new(Pools { connector, current }))
    }
}

fn pool<C: Connect + Clone>(connector: C) -> legacy::Client<C, Body> {
    legacy::Builder::new(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_MAX)
        .build(connector)
}

impl<C> Pools<C> {
    fn current(&self) -> MutexGuard<'_, PoolGeneration<C>> {
        // No code can panic while the lock is taken.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C> Clone for Connections<C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<C: Connect + Clone> RequestGuard<C> {
    fn answered(mut self) {
        self.is_answered = true;
    }
}

impl<C: Connect + Clone> Drop for RequestGuard<C> {
    fn drop(&mut self) {
        if self.is_answered {
            return;
        }
        let mut current = self.pools.current();
        // With another generation, another request has replaced the pool already. Requests in flight keep their
        // connections.
        if current.generation == self.generation {
            current.generation += 1;
            current.pool = pool(self.pools.connector.clone());
        }
    }
}

impl<C: Connect + Clone + Send + Sync + 'static> Service<http::Request<Body>> for Connections<C> {
    type Response = http::Response<Incoming>;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let (pool, generation) = {
            let current = self.0.current();
            (current.pool.clone(), current.generation)
        };
        let guard = RequestGuard {
            pools: self.0.clone(),
            generation,
            is_answered: false,
        };
        Box::pin(async move {
            let answer = pool.request(request).await;
            // An error counts as an answer here, because an error closes the connection too.
            guard.answered();
            answer.map_err(Into::into)
        })
    }
}

#[cfg(test)]
mod tests;
